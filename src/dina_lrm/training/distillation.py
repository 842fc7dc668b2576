r"""Labels mixed with the win probabilities of a stronger judge.

    p = (1 - w) p_label + w P_teacher(a preferred)

The teacher scores every image once, at its own noise level and with common noise; its temperature, where it has one, is
in its probabilities. A pair that annotators decided by a hair then no longer counts as much as a plain one.

A named score may have a teacher of its own, which also says what comparisons do not: there the label is all its.
"""

from __future__ import annotations

import torch
from jaxtyping import Float32
from torch import Tensor

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.format import BackboneIdentity
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
    weight = settings.weight
    if settings.name is not None and weight > 0:
        probability = _taught("objective.teacher.name", settings.name, data, processes, shown)
        label = (1 - weight) * data.preference + weight * probability
        data = data.with_preference(label.clamp(0, 1), f"teacher {settings.name} {weight}")
    for score, name in settings.of.items():
        probability = _taught(f"objective.teacher.of.{score}", name, data, processes, shown)
        said = data.pairs.labels.get(score, torch.full_like(probability, torch.nan))
        label = torch.where(said.isfinite(), (1 - weight) * said + weight * probability, probability)
        data = data.with_named({score: label.clamp(0, 1)}, f"teacher of {score} {name} {weight}")
    return data


def _taught(
    where: str, name: str, data: EncodedComparisons, processes: Processes, shown: bool
) -> Float32[Tensor, " pairs"]:
    teacher = LatentRewardModel.from_pretrained(name, device=processes.device)
    wanted = BackboneIdentity.of(teacher.backbone.config)
    if data.header is not None and not data.header.backbone.same_as(wanted):
        raise DinaError(
            f"{where} {name}: it reads latents of {wanted}, the data were encoded by "
            f"{data.header.backbone}; accepted: a teacher on the generator of the data"
        )
    return teacher_probabilities(teacher, data, processes, shown)


@torch.no_grad()
def teacher_probabilities(
    teacher: LatentRewardModel, data: EncodedComparisons, processes: Processes, shown: bool = False
) -> Float32[Tensor, " pairs"]:
    """P(first preferred) of every comparison, on the CPU, the same on all processes."""
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
            margin = scores[batch.first] - scores[batch.second]
            found[indices.to(found.device)] = teacher.margin_probability(margin).float()
    return processes.summed(found).cpu()
