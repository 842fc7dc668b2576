"""Say what a loaded reward model is: to programs as plain values, to people in two lines, to notebooks as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from dina_lrm.cards.measured import accuracy_text, measurements
from dina_lrm.heads.base import Head
from dina_lrm.reward_model.config import RewardModelConfig

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


def describe(config: RewardModelConfig, backbone: Backbone, head: Head) -> dict[str, Any]:
    """The configuration, what the weights are and where, and what a score means; plain values, ready for JSON."""
    lora = backbone.lora_settings
    return config.to_dict() | {
        "lora": None if lora is None else {"rank": lora.rank, "alpha": lora.alpha, "targets": list(lora.targets or ())},
        "process": type(backbone.process).__name__,
        "shared": backbone.shared,
        "device": str(backbone.device),
        "backbone_dtype": str(backbone.dtype).removeprefix("torch."),
        "latent_channels": backbone.latent_channels,
        "latent_multiple": backbone.latent_multiple,
        "pixels_per_latent": backbone.pixels_per_latent,
        "parameters": {
            "head": sum(p.numel() for p in head.parameters()),
            "lora": 0 if lora is None else sum(t.numel() for t in backbone.lora_state_dict().values()),
        },
        "score": {
            "raw": "unbounded; compare scores of one prompt and one noise level",
            "z": f"(raw - {config.score_mean:g}) / {config.score_std:g}",
            "win_probability": "P(a preferred) of the margin raw_a - raw_b under the preference model, "
            f"margins divided by the temperature {config.temperature:g}",
        },
    }


def two_lines(config: RewardModelConfig, backbone: Backbone, head: Head) -> str:
    """What a loaded model is, in two lines: what it reads and was adapted by, and how it scores."""
    described = describe(config, backbone, head)
    learned = sum(described["parameters"].values())
    levels = ", ".join(f"{level:g}" for level in config.ensemble_levels)
    likelihood = config.preference.to_dict()["name"]
    named = f" as {', '.join(config.scores)} (main: {config.main})" if config.scores else ""
    sizes = config.sizes if config.buckets else f"about {config.resolution} x {config.resolution} pixels"
    return (
        f"LatentRewardModel: {blocks(config)} of {config.backbone.family} {config.backbone.pretrained!r}, "
        f"{adaptation(config)}, {type(head).__name__}; {learned / 1e6:.3g} M parameters of its own, on "
        f"{described['device']}\n"
        f"scores pictures{named} of {sizes} at noise level "
        f"{config.noise_level:g} (ensemble {levels}), likelihood {likelihood}; z = (raw - {config.score_mean:.3g}) / "
        f"{config.score_std:.3g}"
    )


def as_html(config: RewardModelConfig, backbone: Backbone, head: Head) -> str:
    """The same for a notebook, with what was measured; everything is escaped."""
    first, second = two_lines(config, backbone, head).split("\n")
    title, _, rest = first.partition(": ")
    rows = measurements(config.notes)
    item = Markup("<li>{}, {}: accuracy {} %</li>")
    listed = Markup().join(item.format(row.get("set", "?"), row.get("read at", ""), accuracy_text(row)) for row in rows)
    return str(Markup("<div><strong>{}</strong><br/>{}<br/>{}<ul>{}</ul></div>").format(title, rest, second, listed))


def blocks(config: RewardModelConfig) -> str:
    """How much of the generator is used."""
    return f"the first {config.backbone.depth} blocks"


def adaptation(config: RewardModelConfig) -> str:
    """What was trained of the generator."""
    if config.own_backbone:
        return "every weight trained"
    return "the head alone" if config.lora is None else f"LoRA of rank {config.lora.rank}, alpha {config.lora.alpha:g}"
