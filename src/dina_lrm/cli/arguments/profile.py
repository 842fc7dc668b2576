"""The options of `dina-lrm profile`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.before import SaysBefore
from dina_lrm.console.common import UserError
from dina_lrm.console.options import EncoderOptions, ModelOptions
from dina_lrm.runs.ownership import check_page
from dina_lrm.runs.places import check_file


@dataclass
class Arguments(EncoderOptions, ModelOptions, SaysBefore):
    """Count what a reward model costs on a generator of full size, without weights; or measure one that is here.

    A generator of the paper (sd3.5-medium, flux.1-dev, z-image-turbo) is counted: parameters, FLOPs, memory that
    autograd keeps, and the seconds that a roofline expects on a GPU, for scoring, training and one ReFL step, beside
    rewards of pixels; and an update of each objective of `align`, with the latent reward and with the last of
    --pixel-rewards, on the largest image. A reward model is measured: latency, throughput and memory of the same jobs;
    how text encoders are held, and what is said beforehand, concern such a one.

    Examples:
        dina-lrm profile sd3.5-medium --resolution 1024 --gpu h100
        dina-lrm profile synthetic --batch-sizes 1 16
    """

    subject: Positional[str]
    """A generator to count (sd3.5-medium, flux.1-dev, z-image-turbo), or a reward model to measure ("synthetic", a
    folder, a hub id)."""
    resolution: tuple[int, ...] = (512, 1024)
    """Sides of square images to count, in pixels."""
    batch_sizes: tuple[int, ...] = (1, 16)
    """Images scored at once; pairs in a training step."""
    levels: int = 3
    """Noise levels of the ensemble."""
    pixel_rewards: tuple[str, ...] = ("clip-b16", "pickscore", "hpsv3")
    """Pixel rewards whose ReFL step is counted beside the latent reward's."""
    gpu: str = "h100"
    """GPU of the estimate: h200, h100, a100, l40s or rtx4090."""
    dataset_pairs: int = 800_000
    """Pairs whose storage and hours are estimated."""
    rounds: int = 5
    """Measured rounds of each row; the median is shown."""
    plot: Path | None = None
    """Draw what a ReFL step of the largest batch and image costs with each reward into this file (.png, .svg, .pdf)."""
    update_plot: Path | None = None
    """Draw what an update of each objective of `align` costs into this file (.png, .svg, .pdf); of a generator that is
    counted."""

    def check(self) -> None:
        """Refuse numbers out of range, and a plot that is somebody else's."""
        for name in ("resolution", "batch_sizes"):
            given = getattr(self, name)
            if not given or min(given) < 1:
                raise UserError(f"--{name.replace('_', '-')} {given}; accepted: one or more numbers of at least 1")
        if self.levels < 1 or self.rounds < 1:
            raise UserError(f"--levels {self.levels}, --rounds {self.rounds}; accepted: numbers of at least 1")
        if self.dataset_pairs < 1:
            raise UserError(f"--dataset-pairs {self.dataset_pairs}; accepted: whole numbers of at least 1")
        for name, path in (("--plot", self.plot), ("--update-plot", self.update_plot)):
            if path is not None:
                check_file(name, path, (".png", ".svg", ".pdf"))
                check_page(path, "atplotlib")  # which signs what it draws
