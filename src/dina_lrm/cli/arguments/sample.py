"""The options of `dina-lrm sample`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import tyro

from dina_lrm.console.before import SaysBefore
from dina_lrm.console.common import UserError, WritesToOut
from dina_lrm.console.options import DeviceOptions
from dina_lrm.console.tables import ReadsPrompts
from dina_lrm.runs.places import check_folder

MethodName = Literal["best-of-n", "pruned", "guided", "noise-search"]
_OF_METHOD: Final[dict[MethodName, tuple[str, ...]]] = {
    "pruned": ("prune", "reading"),
    "guided": ("strength", "guide"),
    "noise-search": ("radius", "width"),
}


@dataclass
class Arguments(WritesToOut, DeviceOptions, ReadsPrompts, SaysBefore):
    """Sample with a reward: choose among samples, drop weak ones early, climb its gradient, or search the noise.

    OUT gets a picture a prompt, sheet.png (the first sample beside the chosen one) and samples.json (seeds, scores of
    all candidates, what they cost). On prompts of the synthetic world the oracle's true utility is shown beside the
    reward: trust it, not the reward.

    Examples:
        dina-lrm sample --prompts synthetic --method pruned -n 16 --out samples
        dina-lrm sample --prompts "a small red ring on white" --method best-of-n -n 4 --out ring
    """

    prompts: tuple[str, ...]
    """Prompts, a text file with a prompt a line, or "synthetic"."""
    out: Path
    """Folder for the pictures."""
    generator: str = "synthetic"
    """"synthetic", "synthetic-uncurated", "synthetic-unet", or a pipeline of diffusers by folder or hub id."""
    reward: str = "latent:synthetic"
    """latent:MODEL, or a judge of pixels such as clip or sharpness."""
    reward_level: float | None = None
    """Noise level at which a latent reward reads finished samples; by default the one stored with it."""
    method: MethodName = "best-of-n"
    """best-of-n: the best of N; pruned: N are begun and the worst dropped on the way; guided: pulled up the reward's
    gradient, then the best of N; noise-search: a walk through initial noises, N finished samples in all."""
    n: Annotated[int, tyro.conf.arg(aliases=("-n",))] = 16
    """Candidates a prompt."""
    prune: tuple[str, ...] = ()
    """Cuts of `pruned`, AT:KEEP or AT:within=MARGIN, where AT is a step from 0 (4:8) or a noise level (0.6:8); MARGIN
    is below the best of the prompt. By default a quarter stays after three tenths of the steps."""
    reading: Literal["clean", "noisy", "in-pass"] = "clean"
    """What `pruned` scores: the clean estimate, the noisy state, or that from the generator's own pass, which needs a
    reward on a frozen backbone."""
    strength: float = 0.1
    """guided: how far a step moves the clean estimate, whose root mean square is about 1."""
    guide: tuple[str, ...] = ()
    """guided: rewards that guide in place of --reward, which then only chooses; each NAME or NAME=WEIGHT, their
    gradients brought to one size."""
    radius: float = 0.5
    """noise-search: how far a round goes from the best noise, in (0, 1]."""
    width: int = 4
    """noise-search: candidates a round; a divisor of N."""
    prompt_count: int = 16
    """Prompts of the synthetic world."""
    steps: int | None = None
    """Sampling steps; by default 20 for the bundled generators, else 40."""
    guidance: float | None = None
    """Scale of classifier-free guidance, 1 for none; by default 3 for the bundled generators, else 4.5."""
    resolution: int | None = None
    """Side in pixels; by default 32 for the bundled generators, else 1024."""
    prompt_length: int | None = None
    """Tokens of the long text encoder; by default 0 for the bundled generators, else 128."""
    lora: Path | None = None
    """A generator's LoRA: the folder of a run of `align`, or any file or folder that diffusers reads."""
    lora_scale: float = 1.0
    """How much of it."""
    seed: int = 0
    """Seed of the candidates, and of the prompts of the synthetic world."""
    batch_size: int = 64
    """Images in the networks at once; changes no choice but by rounding."""

    def check(self) -> None:
        """Refuse a folder in the way, and an option of another method than the one that is meant: it does nothing."""
        if (self.out / "samples.json").exists():
            raise UserError(f"--out {self.out}: holds samples already; give another folder")
        check_folder("--out", self.out)
        for method, names in _OF_METHOD.items():
            for name in names:
                given, usual = getattr(self, name), type(self).__dataclass_fields__[name].default
                if given != usual and self.method != method:
                    raise UserError(f"--{name} with --method {self.method}: accepted with --method {method}")
        if self.prompt_count < 1:
            raise UserError(f"--prompt-count {self.prompt_count}; accepted: whole numbers of at least 1")
