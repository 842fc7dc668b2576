"""Several judges on several sets, each measurement kept as it is made.

plan = EvaluationPlan(("synthetic", "sharpness"), named_sets("synthetic:in_domain"), levels=(0.2, 0.4), pairs=500)
found = plan.run(Path("evaluation/parts"))
found.results[0].of("in_domain").at(found.results[0].reference).accuracy

The same plan on the same folder goes on where it was stopped, and a set that fails does not lose the others.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dina_lrm.backbones.settings import EncoderSettings, T5Weights
from dina_lrm.data.encoding.encoders import encoding_backbone
from dina_lrm.evaluation.about import set_for
from dina_lrm.evaluation.accuracy import convention_named
from dina_lrm.evaluation.evaluate import JudgedSet, judge_set, result_of
from dina_lrm.evaluation.judges import EncodedSets, Judge, LatentJudge, Passes, picture_judge
from dina_lrm.evaluation.kept.parts import EvaluationParts, content_of_judge
from dina_lrm.evaluation.kept.recording import record_result, recordable
from dina_lrm.evaluation.named_sets import SYNTHETIC, NamedSet, made_set
from dina_lrm.evaluation.paired import JudgeDifference, judge_differences
from dina_lrm.evaluation.results import EvaluationResult
from dina_lrm.evaluation.scoring import readings_of
from dina_lrm.evaluation.sets import EvaluationSet, decoded_pair
from dina_lrm.locate import locate_reward_model, split_score
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.contents import content_of_reward
from dina_lrm.rewards.names import is_reward
from dina_lrm.runs.progress import TitledProgress, silent
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    import torch

    from dina_lrm.backbones.base import Backbone

_PICTURES_AT_ONCE: Final = 16
"""A judge of pictures is given no more pairs than these, whatever the batch size of latents."""


@dataclass(frozen=True)
class EvaluationPlan:
    """Judges, the sets that they are measured on, and all that decides the numbers.

    `judges` are latent reward models ("synthetic", folders, hub ids), and other rewards by family ("sharpness",
    "clip:MODEL"). `levels` and `ensembles` are in [0, 1]; None = those stored with each model. Scores are means over
    `draws` noises, by turns a noise and its negative where they are `antithetic`. `pairs` are those of each synthetic
    set; `seed` is that of noise, synthetic sets, sides of published pairs, and bootstrap; `batch_size` pairs are scored
    at once and change no score. `backbone` says where the generator is when it is not where the models say. `record`
    keeps the accuracies with each latent reward model, in its card and its config.json. `by_name` measures every named
    score of a model as a judge of its own (FOLDER?score=NAME), all of them from one pass over each set.

    Raises:
        ValueError: no judge, or one twice; an unknown convention; levels or draws that cannot be.
    """

    judges: tuple[str, ...]
    sets: tuple[NamedSet, ...]
    levels: tuple[float, ...] | None = None
    ensembles: tuple[tuple[float, ...], ...] | None = None
    draws: int = 1
    antithetic: bool = False
    convention: str = "micro_strict"
    pairs: int = 2_000
    seed: int = 0
    batch_size: int = 64
    backbone: str | None = None
    device: str | None = None
    dtype: torch.dtype | None = None
    encoders: EncoderSettings | None = None
    t5_weights: T5Weights | None = None
    record: bool = False
    by_name: bool = False

    def __post_init__(self) -> None:
        if not self.judges or len(set(self.judges)) < len(self.judges):
            raise DinaError(f"judges: {' '.join(self.judges) or 'none'}; accepted: one or more, each once")
        if self.draws < 1 or self.batch_size < 1 or (self.antithetic and self.draws % 2):
            given = f"draws {self.draws}, antithetic {self.antithetic}, batch_size {self.batch_size}"
            raise DinaError(f"{given}; accepted: whole numbers of at least 1, and even antithetic draws")
        asked = [name for name in self.judges if self.by_name and split_score(name)[1] is not None]
        if asked:
            raise DinaError(f"by_name: {asked[0]} asks for a score; accepted: models, each score of which is measured")
        convention_named(self.convention)
        readings_of(self.levels or (0.0,), self.ensembles or ())

    def run(self, kept: Path | None = None, progress: TitledProgress = silent, command: str = "") -> Evaluation:
        """Measure every judge on every set; what `kept` holds of an earlier run is not measured again.

        Results say that `command` made them. A failure is noted and the rest goes on, but where there is a single judge
        (and for failures of sets, a single set) it is raised: nothing else would be left. Raises ValueError, before
        anything is measured, for a model that results cannot be recorded with.
        """
        folders = recordable(self.judges) if self.record else {}
        work = _Work(self, EvaluationParts(kept), progress)
        for name in self.judges:
            work.judge(name)
        found = work.found(command)
        kept_with = {result.model: folders.get(work.loaded_as(result.model)) for result in found.results}
        cards = [record_result(folder, each) for each in found.results if (folder := kept_with[each.model]) is not None]
        return replace(found, cards=tuple(dict.fromkeys(cards)))


@dataclass(frozen=True)
class MeasurementFailure:
    """A judge that could not be loaded (`set` is "all"), or a set that it could not be measured on."""

    model: str
    set: str
    error: str


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a plan found: a result for each judge that was measured on any set, every later judge against the first,
    and what failed. `sets` are those that were made, by name.
    """

    results: tuple[EvaluationResult, ...]
    differences: tuple[JudgeDifference, ...]
    failures: tuple[MeasurementFailure, ...]
    sets: Mapping[str, EvaluationSet]
    model: LatentRewardModel | None
    """The first latent reward model; None where all judges look at pictures."""
    cards: tuple[Path, ...] = ()
    """The cards that it was recorded in."""

    def pictures(self, name: str, pair: int) -> tuple[np.ndarray, np.ndarray]:
        """Both images of a pair of a set, (h, w, 3) uint8.

        They are the originals where the set has them, else what the decoder makes of the latents.
        """
        own = self.sets[name].pictures
        if own is not None:
            return own(pair)
        assert self.model is not None  # a judge of pictures cannot have judged a set without them
        return decoded_pair(self.model, self.sets[name].encoded, pair)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "results": [result.to_dict() for result in self.results],
            "differences": [difference.to_dict() for difference in self.differences],
            "failures": [asdict(failure) for failure in self.failures],
        }


class _Work:
    """What has been measured so far, and what judges share: sets, encodings, parts on disk."""

    def __init__(self, plan: EvaluationPlan, parts: EvaluationParts, progress: TitledProgress) -> None:
        self._plan, self._parts, self._progress = plan, parts, progress
        self._judged: dict[str, tuple[Judge, list[JudgedSet], float]] = {}
        self._failures: list[MeasurementFailure] = []
        self._model: LatentRewardModel | None = None
        self._sets: dict[str, EvaluationSet] = {}
        self._made: dict[tuple[object, ...], EvaluationSet] = {}
        self._encoded: EncodedSets = {}
        self._contents: dict[str, str] = {}
        self._bundled: Backbone | None = None
        self._loaded_as: dict[str, str] = {}

    def judge(self, name: str) -> None:
        """Measure one judge on every set."""
        try:
            loaded = self._loaded(name)
        except Exception as error:
            self._failed(name, "all", error, alone=len(self._plan.judges) == 1)
            return
        for judge, model in loaded:
            self._loaded_as[judge.name] = name
            self._judge(judge, model)

    def loaded_as(self, judge: str) -> str:
        """The model that a judge, one of its scores by name, was asked for as."""
        return self._loaded_as[judge]

    def _judge(self, judge: Judge, model: LatentRewardModel | None) -> None:
        began, plan, name = time.perf_counter(), self._plan, judge.name
        judged: list[JudgedSet] = []
        for named in plan.sets:
            try:
                judged.append(self._measured(judge, model, named))
            except Exception as error:
                self._failed(name, named.name, error, alone=len(plan.sets) == len(plan.judges) == 1)
        self._judged[name] = (judge, judged, time.perf_counter() - began)

    def _failed(self, name: str, of: str, error: Exception, alone: bool) -> None:
        if alone:
            raise error
        self._failures.append(MeasurementFailure(name, of, str(error) or repr(error)))

    def _loaded(self, name: str) -> list[tuple[Judge, LatentRewardModel | None]]:
        plan = self._plan
        if is_reward(name):
            reward = picture_judge(name, min(plan.batch_size, _PICTURES_AT_ONCE))
            self._contents[reward.name] = content_of_reward(reward.reward)
            return [(reward, None)]
        locate_reward_model(name)  # one that is none is said before anything is loaded
        model = LatentRewardModel.from_pretrained(
            name,
            backbone=plan.backbone,
            device=plan.device,
            dtype=plan.dtype,
            encoders=plan.encoders,
            t5_weights=plan.t5_weights,
        )
        self._model = self._model or model
        asked = "" if plan.dtype is None else f" {plan.dtype}"
        content = content_of_judge(model) + asked
        named = {name: model}
        if plan.by_name and model.config.scores:
            named = {f"{name}?score={score}": model.named(score) for score in model.config.scores}
        self._contents |= dict.fromkeys(named, content)
        settings = (plan.levels, plan.ensembles, plan.batch_size, plan.draws)
        passes: Passes | None = {} if plan.by_name else None
        return [
            (LatentJudge(one, judge, *settings, self._encoded, plan.antithetic, passes), one)
            for judge, one in named.items()
        ]

    def _measured(self, judge: Judge, model: LatentRewardModel | None, named: NamedSet) -> JudgedSet:
        plan, item = self._plan, self._set(named, model)
        key = self._parts.key(
            judge=judge.describe(),
            name=judge.name,
            content=self._contents[judge.name],
            readings=judge.readings,
            draws=(plan.draws, plan.antithetic),
            set=(item.name, item.data.content_hash, len(item.data)),
            seed=plan.seed,
            convention=plan.convention,
        )
        known = self._parts.load(key)
        if known is not None:
            return known
        with self._progress(f"{judge.name} on {item.name}") as report:
            judged = judge_set(judge, item, plan.seed, report, plan.convention)
        self._parts.save(key, judged)
        return judged

    def _set(self, named: NamedSet, model: LatentRewardModel | None) -> EvaluationSet:
        """The set; encoded ones once for each generator, which models on it share."""
        key: tuple[object, ...] = (named.word,)
        if model is not None and not named.is_plain:
            config = model.config
            own = config.backbone
            key += (own.pretrained, own.prompt_length, own.prompt_padding, own.t5_weights, config.sizes)
        if key not in self._made:
            backbone = self._bundled_backbone if model is None else lambda: model.backbone
            self._made[key] = made_set(named, backbone, self._plan.pairs, self._plan.seed)
        item = self._made[key]
        if model is not None and model.config.scores:
            own_key = (*key, "about", model.config.main)
            item = self._made.setdefault(own_key, set_for(item, model))
        self._sets.setdefault(item.name, item)
        return item

    def _bundled_backbone(self) -> Backbone:
        """What synthetic sets are encoded with where no latent reward model asks for another generator."""
        if self._bundled is None:
            self._bundled = encoding_backbone(SYNTHETIC)
        return self._bundled

    def found(self, command: str) -> Evaluation:
        """Results, differences and failures so far."""
        plan = self._plan
        results = [
            result_of(judge, [part.result for part in judged], plan.seed, plan.convention, command, seconds)
            for judge, judged, seconds in self._judged.values()
            if judged
        ]
        judged = {name: {part.result.name: part for part in parts} for name, (_, parts, _) in self._judged.items()}
        differences = judge_differences(judged, self._sets, plan.convention, plan.seed)
        return Evaluation(tuple(results), tuple(differences), tuple(self._failures), self._sets, self._model)
