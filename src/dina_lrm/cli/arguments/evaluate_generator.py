"""Options of `dina-lrm evaluate-generator`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.before import SaysBefore
from dina_lrm.console.options import DeviceOptions
from dina_lrm.console.tables import ReadsPrompts
from dina_lrm.evaluation.generators.checks import check_asked
from dina_lrm.runs.ownership import check_results
from dina_lrm.runs.places import check_folder
from dina_lrm.runs.settings import option


@dataclass
class Arguments(DeviceOptions, ReadsPrompts, SaysBefore):
    """Judge a tuned generator: rewards, truth, composition, diversity, beside its base on the same prompts and seeds.

    Every number has a 95 % interval, by a bootstrap that draws prompts; ties count half. Rewards that the tuning was
    optimised for are marked: the config.json of the run that made the LoRA names them. Pictures are kept in
    OUT/samples: the same command goes on where it was stopped, and other --rewards are judged on the same pictures.

    Example:
        dina-lrm evaluate-generator synthetic-uncurated runs/refl --prompts synthetic --rewards cnn,clip --out gain
    """

    base: Positional[str]
    """The generator: "synthetic", "synthetic-uncurated", "synthetic-unet", a pipeline's folder, or a hub id."""
    tuned: Positional[str]
    """A LoRA of it: the folder of an `align` run, or a file or folder as diffusers, PEFT, kohya or ComfyUI write it; or
    another generator."""
    prompts: str
    """A text file with a prompt a line, PartiPrompts or DrawBench as published, a folder of T2I-CompBench, or
    "synthetic"."""
    out: Path
    """Folder for evaluation.json, report.html, gallery.png and the samples."""
    rewards: str = ""
    """Rewards with commas between them: clip, hpsv3, image:MODEL, ... on pictures, latent:MODEL on latents."""
    count: int | None = None
    """How many prompts: drawn from a file by --seed (by default all), or of the synthetic world (by default 64)."""
    images_per_prompt: int = 4
    """Pictures of each prompt and side."""
    seed: int = 0
    """Seed of the pictures, the choice of prompts and the bootstrap."""
    steps: int | None = None
    """Steps of the sampler; by default those of the run that made the LoRA, else 20 (bundled) or 40."""
    guidance: float | None = None
    """Scale of classifier-free guidance; by default as --steps, else 3 (bundled) or 4.5."""
    resolution: int | None = None
    """Side of the pictures; by default as --steps, else 32 (bundled) or 1024."""
    prompt_length: int | None = None
    """Tokens of the long text encoder; by default as --steps, else 0 (bundled) or 128."""
    lora_scale: float = 1.0
    """How much of the LoRA is added."""
    batch_size: int = 16
    """Pictures drawn and judged at once; changes no result."""

    def names(self) -> tuple[str, ...]:
        """The rewards by name."""
        return tuple(name.strip() for name in self.rewards.split(",") if name.strip())

    def check(self) -> None:
        """Refuse numbers, a folder and rewards that cannot be."""
        counts = {name: getattr(self, name) for name in ("images_per_prompt", "batch_size", "count", "steps")}
        check_asked(self.names(), option, **counts)
        check_folder("--out", self.out)
        check_results(self.out, "evaluation.json", _is_evaluation, ("gallery.png", "report.html"))


def _is_evaluation(found: Mapping[str, object]) -> bool:
    return {"base", "tuned"} <= found.keys()
