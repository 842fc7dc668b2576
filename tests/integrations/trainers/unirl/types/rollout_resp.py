"""The track of a rollout, and how a copy of it gets a field."""

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass
class Text:
    embeds: Any
    pooled: Any = None
    attn_mask: Any = None


@dataclass
class Segment:
    latents: Any = None
    sigmas: Any = None
    indices: Any = None


@dataclass
class Images:
    pixels: Any


@dataclass
class RolloutTrack:
    sample_ids: list
    conditions: dict = field(default_factory=dict)
    segment: Any = None
    decoded: Any = None
    rewards: Any = None
    component_rewards: Any = None


def _track_with_field(track, field_name, value):
    return replace(track, **{field_name: value})
