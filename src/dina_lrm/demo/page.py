"""The page of a demonstration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from dina_lrm.demo.align import BeforeAndAfter
from dina_lrm.demo.folder import RankedPrompt
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.reports.blocks import Facts, Figure, Headline, Headlines, ImageGrid, ImageRow, Picture, Section, Text
from dina_lrm.reports.evaluation import evaluation_sections
from dina_lrm.reports.html import write_report
from dina_lrm.reports.run_plots import training_curves
from dina_lrm.runs.metrics import METRICS_FILE, read_lines
from dina_lrm.screen import number_text

if TYPE_CHECKING:
    from dina_lrm.demo.run import Demonstration

_SHOWN: Final = 12
"""Prompts before and after the alignment: the first ones."""


def write_demo_page(
    path: Path,
    demonstration: Demonstration,
    sets: Mapping[str, EvaluationSet],
    ranking: Sequence[RankedPrompt],
    command: str,
) -> None:
    """Write the page: what happened, the rankings, training curves, and the full evaluation of all three models."""
    results = list(demonstration.results.values())
    sections = [
        _opening(demonstration),
        _rankings(ranking),
        _alignment(demonstration.aligned),
        _training(demonstration),
    ]
    sections += evaluation_sections(results, lambda name, pair: _pictures(sets[name], pair))
    subtitle = f"seed {demonstration.settings.seed}, {demonstration.pairs:,} training pairs, {command}"
    write_report(path, "DiNa-LRM on the synthetic world", sections, subtitle)


def _opening(demonstration: Demonstration) -> Section:
    ours, random = (demonstration.results[name] for name in ("ours", "random_backbone"))
    measured = ours.of("in_domain")
    accuracy = measured.at(ours.reference).accuracy.accuracy
    gap = accuracy - random.of("in_domain").at(random.reference).accuracy.accuracy
    run = demonstration.outcomes["ours"]
    assert measured.ceiling is not None
    text = (
        "Simulated people compared pictures of coloured shapes for a prompt. Three reward models learned from the same "
        f"{demonstration.pairs:,} comparisons for {run.steps} steps: **ours** adapts a pretrained generator with "
        "LoRA, **frozen** leaves it as it is, **random_backbone** starts from random weights. "
        "The true utility of every picture is known, so is the ceiling: the accuracy of a judge who knows it, which "
        "the annotators' noise keeps below 100 %."
    )
    headlines = Headlines(
        [
            Headline("In-domain accuracy", f"{100 * accuracy:.1f} %", f"ceiling {100 * measured.ceiling:.1f} %"),
            Headline("Of the Bayes ceiling", f"{100 * accuracy / measured.ceiling:.1f} %", "in-domain"),
            Headline("Pretraining is worth", number_text(gap, "+.1f", percent=True), "points over a random backbone"),
            Headline("Training", f"{run.seconds:.0f} s", f"{run.pairs_per_second:.0f} pairs/s"),
        ]
    )
    return Section("What happened", [Text(text), headlines])


def _rankings(ranking: Sequence[RankedPrompt]) -> Section:
    text = (
        "Files read from disk and scored. The best score stands left; under each picture are its score, its true "
        "utility, and what is truly wrong with it. The frames mark the two best and the two worst by *true* utility."
    )
    rows = []
    for ranked in ranking:
        order = np.argsort(ranked.utilities)
        worst, best = set(order[:2].tolist()), set(order[-2:].tolist())
        pictures = [
            Picture(
                image,
                f"{_signed(score)}\nutility {number_text(utility)}\n{flaws}",
                "good" if i in best else "bad" if i in worst else "",
            )
            for i, (image, score, utility, flaws) in enumerate(
                zip(ranked.images, ranked.scores, ranked.utilities, ranked.flaws, strict=True)
            )
        ]
        rows.append(ImageRow(ranked.prompt, pictures, f"rank correlation {number_text(ranked.rank_correlation)}"))
    return Section("Best and worst pictures", [Text(text), ImageGrid(rows)])


def _alignment(aligned: BeforeAndAfter) -> Section:
    gain = aligned.gain
    text = (
        f"ReFL followed the gradient of the bundled reward model for {aligned.updates} updates, from a generator that "
        f"learned from damaged pictures. Its pictures for {len(aligned.prompts)} prompts that it did not train on, "
        "from the same noise before and after. Their true utility is what the analytic oracle reads off them; the "
        "golden judge is a network of pixels that nothing was optimised for."
    )
    heads = Headlines(
        [
            Headline("True utility", gain.middle("+.2f"), f"95 % interval: {gain.ends('+.2f')}"),
            _change("Reward, optimised", aligned.reward_before, aligned.reward_after),
            _change("Golden judge", aligned.golden_before, aligned.golden_after),
        ]
    )
    rows = [
        ImageRow(
            prompt,
            [
                Picture(aligned.before[row], f"before, utility {_signed(aligned.utility_before[row])}"),
                Picture(aligned.after[row], f"after, utility {_signed(aligned.utility_after[row])}"),
            ],
        )
        for row, prompt in enumerate(aligned.prompts[:_SHOWN])
    ]
    return Section("Aligning a generator", [Text(text), heads, ImageGrid(rows, columns=3)])


def _change(name: str, before: float, after: float) -> Headline:
    return Headline(name, _signed(after - before), f"from {_signed(before)} to {_signed(after)}")


def _signed(value: float) -> str:
    return number_text(value, "+.2f")


def _training(demonstration: Demonstration) -> Section:
    blocks: list[Text | Figure | Facts] = []
    for name, outcome in demonstration.outcomes.items():
        plot = training_curves(read_lines(outcome.run / METRICS_FILE), ("loss", "accuracy"))
        blocks.append(Figure(plot, f"{name}: loss and accuracy on the training batches, at random noise levels."))
    seconds = {stage: f"{value:.1f} s" for stage, value in demonstration.stages.items()}
    return Section("Training", [*blocks, Facts(seconds)])


def _pictures(chosen: EvaluationSet, pair: int) -> tuple[np.ndarray | Image.Image, np.ndarray | Image.Image]:
    assert chosen.pictures is not None
    return chosen.pictures(pair)
