"""Options of `dina-lrm compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.before import SaysBefore
from dina_lrm.console.common import UserError
from dina_lrm.console.options import AnnotatorOptions, EncoderOptions, ReadingOptions
from dina_lrm.screen import whole


@dataclass
class Arguments(AnnotatorOptions, EncoderOptions, ReadingOptions, SaysBefore):
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
