"""Options of `dina-lrm compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.common import CommonArguments, UserError
from dina_lrm.console.levels import parsed_levels
from dina_lrm.screen import whole


@dataclass
class Arguments(CommonArguments):
    """Compare two images: raw scores, z-scores, and the probability that the first is preferred.

    Example:
        dina-lrm compare a.png b.png --prompt "a red cube" --model synthetic
    """

    image_a: Positional[Path]
    """The first image."""
    image_b: Positional[Path]
    """The second image."""
    prompt: str
    """What both were made for."""
    model: str = "synthetic"
    """The reward model: "synthetic", a folder, or a Hugging Face Hub id."""
    noise_level: float | None = None
    """Noise level in [0, 1]; by default the one stored with the model."""
    ensemble: str | None = None
    """Several noise levels read together, such as 0.2,0.5,0.7."""
    seed: int = 0
    """Seed of the noise; both images see the same."""
    backbone: str | None = None
    """Where the generator is, a folder or hub id, when it is not where the model says."""
    revision: str | None = None
    """Revision of a hub id: a branch, a tag or a commit."""
    device: str | None = None
    """Where to compute; by default the first GPU, else the CPU."""

    def levels(self) -> float | tuple[float, ...] | None:
        """The noise levels that are asked for; None is the model's own."""
        return parsed_levels(self.noise_level, self.ensemble)

    def check(self) -> None:
        """Refuse levels, a prompt and images that cannot be."""
        self.levels()
        if not self.prompt.strip():
            raise UserError("--prompt: is empty; accepted: the text that both images were made for")
        if whole(self.prompt) != self.prompt:
            raise UserError(f"--prompt {whole(self.prompt)}: holds bytes that are no UTF-8; accepted: text")
        for image in (self.image_a, self.image_b):
            if not image.is_file():
                raise UserError(f"{image}: no such image file")
