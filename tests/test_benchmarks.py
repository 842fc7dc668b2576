"""The benchmarks compare like with like: the plain side gives the same scores."""

import mmap
import time
from pathlib import Path

import pytest
import torch

from benchmarks import in_pass_reward, judges, named_scores
from benchmarks.measuring import Timing, cpu_saving, peak_memory, speed_up, timed_in_turn
from benchmarks.scoring_throughput import Workload, measure, our_scores, plain_scores
from benchmarks.serving_replicas import replicas_needed
from dina_lrm.reward_model.model import LatentRewardModel
from tests.models import some_images, tiny_reward_model


@pytest.fixture(scope="module")
def folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("benchmark") / "model"
    tiny_reward_model(tiny_folder).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def work() -> Workload:
    pairs = torch.tensor([[0, 1], [1, 2], [3, 4], [0, 2]]).numpy()
    return Workload("tiny", some_images(5), ["a red cube"] * 3 + ["the blue ball"] * 2, pairs)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_plain_side_gives_the_same_scores(folder: Path, work: Workload, batch_size: int) -> None:
    ours = our_scores(LatentRewardModel.from_pretrained(folder, device="cpu"), work)
    separate = LatentRewardModel.from_pretrained(folder, device="cpu", trainable=True).eval()
    assert ours.std() > 0.01
    torch.testing.assert_close(plain_scores(separate, work, batch_size), ours, rtol=1e-4, atol=1e-4)


def test_a_measurement_holds_times_ratios_agreement_and_memory(folder: Path, work: Workload) -> None:
    found = measure(folder, work, rounds=1)
    assert found["largest_difference"] < 1e-4
    assert found["peak_memory_mib"] > found["added_memory_mib"] >= 0
    assert found["ratio"].keys() == {"plain, 1 pairs", "plain, 4 pairs", "plain, 16 pairs"}
    assert (found["pairs"], found["images"], found["prompts"]) == (4, 5, 2)


def test_jobs_take_turns_and_ratios_are_of_rounds() -> None:
    calls: list[str] = []
    times = timed_in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, warm_up=1)
    assert calls == ["a", "b"] * 3
    assert len(times["a"].seconds) == len(times["a"].cpu_seconds) == 2
    slow, fast = Timing((2.0, 6.0, 4.0), (3.0, 3.0, 3.0)), Timing((1.0, 2.0, 2.0), (1.0, 1.0, 1.0))
    assert str(speed_up(slow, fast)) == "2.00x (2.00-3.00)"
    assert cpu_saving(slow, fast).median == 3.0


def test_the_peak_is_seen_while_it_lasts() -> None:
    with peak_memory(every=0.001) as memory, mmap.mmap(-1, 40 * 2**20) as fresh:  # a tensor may reuse freed memory
        fresh.write(b"1" * len(fresh))
        time.sleep(0.2)
    assert memory.added > 20


@pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
def test_a_score_in_the_generators_pass_is_the_same_and_costs_less() -> None:
    found = in_pass_reward.measure(batch=2, guidance=3.0, rounds=1)
    assert found["largest_difference"] < 1e-4
    assert 0 < found["in_pass_share"] < found["separate_share"] / 2


@pytest.mark.filterwarnings(
    "ignore::dina_lrm.reward_model.inputs.PromptTruncatedWarning", "ignore:.*:DeprecationWarning"
)
@pytest.mark.parametrize("name", ["imagereward", "hpsv2"])
def test_judges_are_as_published_on_awkward_pictures_and_prompts_and_a_plausible_reading_is_not(name: str) -> None:
    found = judges.measure(name, judges.SIZES[1:6])
    assert found["ours"] < 1e-5 and found["plausible"] > 0.1


def test_replicas_are_as_many_as_a_step_keeps_busy_for_its_seconds() -> None:
    assert replicas_needed(252, batch_ms=100, seconds=3.2) == 1  # 32 batches of 8, the last one half full
    assert replicas_needed(252, batch_ms=100, seconds=3.1) == 2
    assert replicas_needed(4096, batch_ms=100, seconds=5.0) == 11
    assert replicas_needed(8, batch_ms=100, seconds=0.01, batch=1) == 80


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_two_scores_and_two_models_learn_from_the_same_and_are_asked_the_same() -> None:
    found = named_scores.measured(named_scores.Sizes(prompts=2, steps=1, batch=8, pairs=9), seed=0)
    told = named_scores.summary([found])
    for row in told["axes"].values():
        assert row["said"]["one"]["n"] == row["said"]["two"]["n"] == 9
        assert row["true"]["one"]["n"] == row["true"]["two"]["n"] > 0
        assert 0.5 < row["ceiling"] < 1
    assert all(found.scoring_seconds[kind] > 0 for kind in ("one", "two"))
    assert len(named_scores.lines(told)) == 6
