"""One pass over the data gives what scoring each level by itself gives, and the result says all of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dina_lrm.data.cache.batch import ComparisonBatch
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.row_buffers import RowBuffers
from dina_lrm.evaluation.diagnostics import PairGroups
from dina_lrm.evaluation.evaluate import evaluate, prompt_ids
from dina_lrm.evaluation.readings import Reading
from dina_lrm.evaluation.results import EvaluationResult
from dina_lrm.evaluation.scoring import readings_of, score_comparisons
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.reward_model.model import LatentRewardModel
from tests.models import some_conditioning, some_latents, tiny_reward_model

LATENTS, CONDITIONING = some_latents(9), some_conditioning(3)
# Prompts out of order, images shared inside a prompt (0, 1, 2) and between prompts (0), one tie.
PROMPT = torch.tensor([2, 0, 1, 0, 0, 2, 1])
FIRST = torch.tensor([3, 0, 5, 1, 2, 4, 0])
SECOND = torch.tensor([4, 1, 6, 2, 0, 7, 8])
PREFERENCE = torch.tensor([1.0, 0.0, 0.5, 1.0, 0.0, 0.25, 1.0])
READINGS = readings_of([0.4, 0.1], [(0.2, 0.5, 0.7)])


class Watched(EncodedComparisons):
    """Remembers what was asked of it."""

    def batch(self, indices: Tensor, into: RowBuffers | None = None) -> ComparisonBatch:
        batch = super().batch(indices, into=into)
        self.asked = [*getattr(self, "asked", []), (len(indices), len(batch.latents))]
        return batch


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> LatentRewardModel:
    return tiny_reward_model(tiny_folder)


def comparisons(kind: type[EncodedComparisons] = EncodedComparisons) -> EncodedComparisons:
    texts = ["a red cube", "the blue ball", "a green table"]
    return kind.from_tensors(LATENTS, CONDITIONING, FIRST, SECOND, PROMPT, PREFERENCE, prompts=texts)


def truth() -> np.ndarray:
    return np.linspace(0.05, 0.95, len(PREFERENCE))


@pytest.fixture(scope="module")
def result(model: LatentRewardModel) -> EvaluationResult:
    known = EvaluationSet(
        "known", comparisons(), ceiling=0.8, true_probability=truth(), notes=("made by hand",),
        groups=PairGroups(("blur", "blur", "", "grid", "", "", ""), np.full(7, 0.5)),
    )  # fmt: skip
    sets = {"known": known, "plain": EvaluationSet("plain", comparisons())}
    return evaluate(model, sets, [0.4, 0.1], [(0.2, 0.5, 0.7)], batch_size=4, name="tiny", command="evaluate tiny")


class TestScores:
    def test_one_pass_equals_scoring_each_reading_by_itself(self, model: LatentRewardModel) -> None:
        found = score_comparisons(model, comparisons(), READINGS, batch_size=3, seed=5)
        for column, reading in enumerate(READINGS):
            for rows, side in ((FIRST, found.first), (SECOND, found.second)):
                alone = model.score_latents(LATENTS[rows], CONDITIONING[PROMPT], reading.levels, seed=5)
                np.testing.assert_allclose(side[:, column], alone.numpy(), atol=1e-5)

    def test_batch_size_changes_nothing(self, model: LatentRewardModel) -> None:
        whole = score_comparisons(model, comparisons(), READINGS, batch_size=64)
        for batch_size in (1, 2):
            parts = score_comparisons(model, comparisons(), READINGS, batch_size=batch_size)
            np.testing.assert_allclose(parts.margins, whole.margins, atol=1e-5)

    def test_readings_keep_the_order_asked_for(self, model: LatentRewardModel) -> None:
        there = score_comparisons(model, comparisons(), READINGS)
        back = score_comparisons(model, comparisons(), READINGS[::-1])
        np.testing.assert_allclose(back.first[:, ::-1], there.first, atol=1e-6)
        np.testing.assert_allclose(back.probability[:, ::-1], there.probability, atol=1e-6)

    def test_probabilities_are_the_models_own(self, model: LatentRewardModel) -> None:
        found = score_comparisons(model, comparisons(), READINGS)
        for column, reading in enumerate(READINGS):
            expected = model.margin_probability(torch.tensor(found.margins[:, column]), reading.levels)
            np.testing.assert_allclose(found.probability[:, column], expected.numpy(), atol=1e-6)

    def test_memory_is_bounded_by_the_batch_and_shared_images_are_read_once(self, model: LatentRewardModel) -> None:
        data = comparisons(Watched)
        score_comparisons(model, data, READINGS, batch_size=3)
        # By prompt: three pairs on three images, two on four (one shared with another prompt), two on three.
        assert data.asked == [(3, 3), (3, 6), (1, 2)]

    def test_progress_ends_at_the_number_of_pairs(self, model: LatentRewardModel) -> None:
        calls: list[tuple[int, int]] = []
        score_comparisons(model, comparisons(), READINGS, 2, progress=lambda done, total: calls.append((done, total)))
        assert calls == [(2, 7), (4, 7), (6, 7), (7, 7)]


class TestReadings:
    def test_each_once_in_the_order_given(self) -> None:
        assert readings_of([0.4, 0.2, 0.4], [(0.2, 0.5)]) == (Reading((0.4,)), Reading((0.2,)), Reading((0.2, 0.5)))
        assert [reading.name for reading in readings_of([0.25], [(0.2, 0.5)])] == ["t = 0.25", "0.2 + 0.5"]

    @pytest.mark.parametrize(
        ("levels", "ensembles", "message"),
        [
            ([], [], "neither noise levels nor ensembles"),
            ([1.5], [], r"noise levels \(1.5,\); accepted: numbers in \[0, 1\]"),
            ([], [(0.2,)], r"ensemble \[0.2\]; accepted: two or more"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, levels: list, ensembles: list, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            readings_of(levels, ensembles)


class TestResult:
    def test_accuracy_is_that_of_the_scores(self, result: EvaluationResult, model: LatentRewardModel) -> None:
        found = score_comparisons(model, comparisons(), READINGS)
        strict = PREFERENCE.numpy() != 0.5
        right = np.sign(found.margins) == np.sign(PREFERENCE.numpy() - 0.5)[:, None]
        for column, reading in enumerate(READINGS):
            accuracy = result.of("plain").at(reading).accuracy
            assert accuracy.accuracy == pytest.approx(right[strict, column].mean())
            assert (accuracy.pairs, accuracy.counted, accuracy.label_ties, accuracy.missing) == (7, 6, 1, 0)
            assert accuracy.prompts == 3

    def test_it_says_what_is_needed_to_repeat_it(self, result: EvaluationResult, model: LatentRewardModel) -> None:
        assert result.reference == Reading((0.4,))
        assert result.readings == READINGS
        assert (result.model, result.command, result.seed, result.convention) == (
            "tiny",
            "evaluate tiny",
            0,
            "micro_strict",
        )
        assert (
            result.description["config"]["noise_level"] == 0.4 if "config" in result.description else result.description
        )
        assert {"torch", "dina-lrm", "python"} <= result.environment.keys()
        assert result.of("known").data_hash == comparisons().content_hash
        assert (result.of("known").ceiling, result.of("plain").ceiling) == (0.8, None)
        assert result.of("known").notes == ("made by hand",)

    def test_the_truth_is_compared_where_it_is_known(self, result: EvaluationResult) -> None:
        assert result.of("known").at(result.reference).truth is not None
        assert result.of("plain").at(result.reference).truth is None
        assert {row.kind for row in result.of("known").diagnostics} == {"blur", "grid"}
        assert result.of("plain").diagnostics == ()

    def test_disagreements_are_certain_and_against_the_label(self, result: EvaluationResult) -> None:
        pairs = result.of("known").disagreements
        for pair in pairs:
            assert (pair.probability - 0.5) * (pair.preference - 0.5) < 0
            assert pair.prompt == comparisons().prompts[int(PROMPT[pair.pair])]
            assert pair.true_probability == pytest.approx(truth()[pair.pair])
        certainty = [abs(pair.probability - 0.5) for pair in pairs]
        assert certainty == sorted(certainty, reverse=True)

    def test_histograms_count_both_images_of_every_strict_pair(self, result: EvaluationResult) -> None:
        histogram = result.of("plain").at(result.reference).histogram
        assert sum(histogram.preferred) == sum(histogram.other) == 6
        assert len(histogram.edges) == len(histogram.preferred) + 1

    def test_json_holds_all_of_it(self, result: EvaluationResult) -> None:
        assert EvaluationResult.from_json(result.to_json()) == result
        values = json.loads(result.to_json())
        values["sets"][0]["readings"][0]["accuracy"]["acuracy"] = 1
        with pytest.raises(ValueError, match=r"unknown key 'acuracy'; did you mean 'accuracy'"):
            EvaluationResult.from_dict(values)

    def test_an_unknown_name_is_answered_with_the_known_ones(self, result: EvaluationResult) -> None:
        with pytest.raises(ValueError, match="no set 'knwon'; sets: known, plain"):
            result.of("knwon")
        with pytest.raises(ValueError, match=r"not read at t = 0.9; readings: t = 0.4, t = 0.1, 0.2 \+ 0.5 \+ 0.7"):
            result.of("known").at(Reading((0.9,)))


def test_the_models_own_level_and_ensemble_are_the_default(model: LatentRewardModel) -> None:
    result = evaluate(model, {"plain": EvaluationSet("plain", comparisons())})
    assert result.readings == (Reading((0.4,)), Reading((0.2, 0.5, 0.7)))
    other = evaluate(model, {"plain": EvaluationSet("plain", comparisons())}, levels=[0.9], ensembles=[])
    assert other.reference == Reading((0.9,))


def test_prompt_ids_are_those_given_else_the_texts() -> None:
    data = comparisons()
    assert prompt_ids(data).tolist() == [0, 1, 2, 1, 1, 0, 2]
    named = [None, "x", "x", "y", "y", None, "x"]
    object.__setattr__(data.pairs, "prompt_id", named)
    assert prompt_ids(data).tolist() == [0, 1, 1, 2, 2, 0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"true_probability": np.ones(3)}, "'s': 3 true probabilities for 7 pairs"),
        ({"groups": PairGroups(("a",), np.ones(1))}, "'s': groups of 1 pairs for 7 pairs"),
    ],
)
def test_a_set_whose_parts_disagree_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluationSet("s", comparisons(), **changes)


def test_no_sets_are_refused(model: LatentRewardModel) -> None:
    with pytest.raises(ValueError, match="no sets were given"):
        evaluate(model, {})
