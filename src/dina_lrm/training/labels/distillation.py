r"""Labels mixed with the win probabilities of a stronger judge.

    p = (1 - w) p_label + w P_teacher(a preferred)

The teacher scores every image once, at its own noise level and with common noise; its temperature, where it has one, is
in its probabilities. A pair that annotators decided by a hair then no longer counts as much as a plain one.

A named score may have a teacher of its own, which also says what comparisons do not: there the label is all its.

With a gap the order of the teacher's scores is taught in the place of probabilities, P = 1 or 0, of pairs whose
z-scores differ by more than the gap; of the others the teacher says nothing, and labels stay as they are.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float32
from torch import Tensor

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.format import BackboneIdentity
from dina_lrm.data.cache.pairs import SAYS_NOTHING
from dina_lrm.data.cache.row_buffers import RowBuffers
from dina_lrm.live.line import LiveLine
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.processes import Processes
from dina_lrm.training.config import TeacherSettings
from dina_lrm.training.validation import in_order
from dina_lrm.typed import DinaError

_PAIRS_AT_ONCE = 128


def distilled(
    settings: TeacherSettings, data: EncodedComparisons, processes: Processes, shown: bool
) -> EncodedComparisons:
    """`data` with its labels mixed with those of the teachers; as it is where there is none.

    Processes share the work. Raises ValueError when a teacher was made for another generator than the data.
    """
    weight, apart = settings.weight, "" if settings.gap is None else f" gap {settings.gap}"
    if settings.name is not None and weight > 0:
        taught = _taught("objective.teacher.name", settings, settings.name, data, processes, shown)
        unsaid = torch.tensor([text == SAYS_NOTHING for text in data.pairs.preferences])
        label = _mixed(torch.where(unsaid, torch.nan, data.preference), taught, weight)
        weighs = torch.where(unsaid & taught.isfinite(), 1.0, data.weight)
        pairs = replace(data.pairs, preference=label.nan_to_num(0.5), weight=weighs)
        data = data.with_pairs(pairs, f"teacher {settings.name} {weight}{apart}")
    for score, name in settings.of.items():
        taught = _taught(f"objective.teacher.of.{score}", settings, name, data, processes, shown)
        said = data.pairs.labels.get(score, torch.full_like(taught, torch.nan))
        label = _mixed(said, taught, weight)
        data = data.with_named({score: label}, f"teacher of {score} {name} {weight}{apart}")
    return data


def _mixed(said: Tensor, taught: Tensor, weight: float) -> Float32[Tensor, " pairs"]:
    """The label, where NaN is nothing said: of both as weighed, else of whoever says something."""
    both = ((1 - weight) * said + weight * taught).clamp(0, 1)
    return torch.where(said.isfinite() & taught.isfinite(), both, torch.where(taught.isfinite(), taught, said))


def _taught(
    where: str, settings: TeacherSettings, name: str, data: EncodedComparisons, processes: Processes, shown: bool
) -> Float32[Tensor, " pairs"]:
    teacher = LatentRewardModel.from_pretrained(name, device=processes.device)
    wanted = BackboneIdentity.of(teacher.backbone.config)
    if data.header is not None and not data.header.backbone.same_as(wanted):
        raise DinaError(
            f"{where} {name}: it reads latents of {wanted}, the data were encoded by "
            f"{data.header.backbone}; accepted: a teacher on the generator of the data"
        )
    margin = teacher_margins(teacher, data, processes, shown)
    if settings.gap is None:
        return teacher.margin_probability(margin).float().clamp(0, 1)
    # Differences of z-scores, which have no mean in them; a weighted sum is one of z-scores already
    apart = margin if teacher.weights else margin / teacher.config.score_std
    return torch.where(apart.abs() > settings.gap, (apart.sign() + 1) / 2, torch.nan)


@torch.no_grad()
def teacher_margins(
    teacher: LatentRewardModel, data: EncodedComparisons, processes: Processes, shown: bool = False
) -> Float32[Tensor, " pairs"]:
    """Raw score of the first image less that of the second, on the CPU, the same on all processes."""
    found = torch.zeros(len(data), device=processes.device)
    batches = list(in_order(data, _PAIRS_AT_ONCE))[processes.index :: processes.count]
    held = RowBuffers()
    with LiveLine("reading the teacher", "pair", quiet=not shown) as line:
        done, total = 0, sum(len(indices) for indices in batches)
        for indices in batches:
            line(done, total)
            done += len(indices)
            batch = data.batch(indices, into=held).to(processes.device)
            scores = torch.cat([teacher.score_latents(part.latents, part.conditioning) for part in batch.images])
            found[indices.to(found.device)] = (scores[batch.first] - scores[batch.second]).float()
    return processes.summed(found).cpu()
