"""Comparisons of the synthetic world as a folder: PNG files, a comparisons.jsonl that names them, and a card."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dina_lrm.cards.data_sets import DataSet, comparisons_card
from dina_lrm.data.sources.counting import Counted
from dina_lrm.data.sources.writing import write_comparisons
from dina_lrm.runs.files import folder_replaced_when_complete, write_text
from dina_lrm.runs.ownership import mark
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.synthetic.comparisons import Labelling, SyntheticComparisons, training_comparisons
from dina_lrm.synthetic.generated import PROMPTS, save_generated
from dina_lrm.synthetic.on_policy import on_policy_comparisons
from dina_lrm.synthetic.sets import synthetic_comparisons
from dina_lrm.synthetic.vocabulary import IMAGE_SIZE
from dina_lrm.synthetic.world import bundled_pipeline, draw_generated
from dina_lrm.typed import DinaError

COMPARISONS: Final = "comparisons.jsonl"
CARD: Final = "README.md"
KIND: Final = "data set"
"""What the marker of its folder says."""


@dataclass(frozen=True)
class SyntheticSet:
    """Which comparisons: `name` is "train", "on_policy" (of the bundled generator's own samples) or a test set's.

    `prompts` counts pairs for a test set; `images` of each prompt and `labels` are of the training sets alone.
    """

    name: str = "train"
    prompts: int = 500
    images: int = 8
    seed: int = 0
    labels: Labelling = field(default_factory=Labelling)
    by_name: bool = False
    """Write what was said of each axis too, alignment and quality, beside the overall preference."""

    def make(self, report: ReportProgress = lambda done, total: None) -> SyntheticComparisons:
        """The judged pictures, a function of the seed; `report` is told of samples as they are drawn.

        Raises ValueError for an unknown set or personality, before any picture is made.
        """
        self.labels.annotators()
        if self.name == "on_policy":
            return on_policy_comparisons(bundled_pipeline(), self.prompts, self.images, self.seed, self.labels, report)
        if self.name == "train":
            return training_comparisons(self.prompts, self.images, self.seed, self.labels)
        return synthetic_comparisons(self.name, self.prompts, self.seed)

    def write(self, folder: Path, report: ReportProgress = lambda done, total: None) -> SyntheticComparisons:
        """Make them and write them as `folder`, which appears when it is complete.

        Raises ValueError as `make`, and for a folder that holds anything.
        """
        check_new(folder)
        # It has its name once it is complete: after a kill, the same call starts again
        with folder_replaced_when_complete(folder) as temporary:
            made = self.make(report)
            counted = Counted(made.write_images(temporary / "images", self.by_name))
            write_comparisons(temporary / COMPARISONS, counted)
            write_text(temporary / CARD, comparisons_card(self._described(made, counted), COMPARISONS, counted.columns))
            mark(temporary, KIND)
        return made

    def _described(self, made: SyntheticComparisons, counted: Counted) -> DataSet:
        """What the card says."""
        people, votes = ", ".join(self.labels.personalities), self.labels.votes
        counts = {
            "set": self.name,
            "seed": self.seed,
            **counted.facts(),
            "pictures": f"{len(made.images):,} of {IMAGE_SIZE} x {IMAGE_SIZE} pixels",
            "judged by": f"{people}; {votes} {'vote' if votes == 1 else 'votes'} a pair",
            "accuracy of who knows the truth": f"{100 * made.ceiling:.1f} %",
        }
        about = (
            "Comparisons of the synthetic world: pictures of coloured shapes with captions, drawn and judged by a "
            "program, so that the truth about every pair is known. The same set and seed give the same files."
        )
        return DataSet("Synthetic comparisons", about, counts, "apache-2.0")


def redraw_generated(folder: Path, prompts: int = PROMPTS, report: ReportProgress = lambda done, total: None) -> int:
    """Draw the bundled samples of at most `PROMPTS` prompts anew and write them as `folder`; how many pictures.

    Raises ValueError for a folder that holds anything.
    """
    check_new(folder)
    with folder_replaced_when_complete(folder) as temporary:
        images = draw_generated(bundled_pipeline(), min(prompts, PROMPTS), report)
        save_generated(images, temporary)
    return len(images)


def check_new(folder: Path) -> None:
    """Raise ValueError for a folder that holds anything, a file, and the working directory."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DinaError(f"{folder}: exists and is not empty; give the name of a new folder")
    if folder.exists() and folder.samefile("."):
        raise DinaError(f"{folder}: is where you are; give the name of a new folder")
