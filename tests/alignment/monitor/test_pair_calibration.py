"""Win rates against who won: laws of the comparison, what a look records of it, and runs that are resumed."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dina_lrm.alignment.job import AlignmentJob
from dina_lrm.alignment.monitor.monitor import Monitor
from dina_lrm.alignment.monitor.pair_calibration import (
    TRUTH,
    PairJudge,
    calibration_of_pairs,
    calibration_sentence,
    overconfidence,
    pairs_of,
    winners,
)
from dina_lrm.alignment.monitor.records import MONITOR_FILE, PairCalibration, read_records
from dina_lrm.alignment.monitor.settings import LookSettings
from dina_lrm.alignment.prompts import held_prompts
from dina_lrm.preference.likelihood import BradleyTerry
from dina_lrm.rewards.heuristics import JpegSize, Sharpness
from dina_lrm.synthetic.utility import PERSONALITIES
from tests.alignment.runs import CRD, a_run

RNG = np.random.default_rng(0)
NAN = float("nan")


def logistic(margin):
    return BradleyTerry().probability(margin, 1.0)


def drawn(pairs, sureness=1.0):
    """Probabilities, winners that are drawn from them, and four pairs a prompt."""
    margin = RNG.normal(size=pairs)
    truth, said = (1 / (1 + np.exp(-scale * margin)) for scale in (1.0, sureness))
    won = (RNG.random(pairs) < truth).astype(float)
    return said, won, [str(pair // 4) for pair in range(pairs)]


def test_winners_that_are_drawn_from_p_win_itself_find_it_calibrated():
    found = calibration_of_pairs(*drawn(4000))
    assert found.ece == pytest.approx(found.ece_floor, abs=0.01)
    surer, half = overconfidence(found)
    assert abs(surer) <= 1.5 * half and found.pairs == 4000
    wild = calibration_of_pairs(*drawn(4000, sureness=4.0))
    surer, half = overconfidence(wild)
    assert surer > 3 * half and wild.ece > 5 * wild.ece_floor
    assert "was overconfident: sure of 8" in calibration_sentence("it", "clip", wild)
    shy = calibration_of_pairs(*drawn(4000, sureness=0.1))
    assert overconfidence(shy)[0] < 0 and "was underconfident: sure of 5" in calibration_sentence("it", "clip", shy)


def test_a_true_probability_has_no_noise_of_its_own():
    said, _, prompts = drawn(40)
    found = calibration_of_pairs(said, said, prompts, sampled=False)
    assert (found.ece, found.ece_floor) == (pytest.approx(0, abs=1e-12), 0)
    assert found.confidence == pytest.approx(found.right) == pytest.approx(np.maximum(said, 1 - said).mean())


def test_which_image_is_called_the_first_changes_nothing():
    said, won, prompts = drawn(60)
    one, other = (calibration_of_pairs(p, y, prompts) for p, y in ((said, won), (1 - said, 1 - won)))
    assert vars(other) == pytest.approx(vars(one))


def test_pairs_without_a_winner_or_a_probability_are_left_out_and_counted():
    said, won, prompts = drawn(12)
    holes = won.copy()
    holes[:4], said[11] = NAN, NAN
    found = calibration_of_pairs(said, holes, prompts)
    assert (found.pairs, found.left_out) == (7, 5)
    assert found == replace(calibration_of_pairs(said[4:11], won[4:11], prompts[4:11]), left_out=5)
    none = calibration_of_pairs(said, np.full(12, NAN), prompts)
    assert none == PairCalibration(0, 12, None, None, None, None, None) and overconfidence(none) is None
    assert calibration_sentence("it", "clip", none).startswith("clip told no winner of 12 pairs")


def test_pairs_are_those_of_one_prompt_and_equal_scores_are_half_a_win():
    first, second = pairs_of(["a", "b", "a", "a", "b"])
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 2), (0, 3), (1, 4), (2, 3)]
    won = winners(np.array([1.0, 2.0, 1.0, 0.5, NAN]), first, second)
    np.testing.assert_array_equal(won, [0.5, 1.0, NAN, 1.0])


def test_it_is_the_likelihood_of_the_margin_against_the_balanced_annotator():
    scores, utility = np.array([0.3, -0.4, 2.0, 2.0]), np.array([-0.1, -0.2, NAN, -1.0])
    judge = PairJudge({"r": logistic}, {"r": 1.0}, "objective")
    found = judge({"r": scores}, ["a", "a", "b", "b"], ("clip", np.array([0.0, 1.0, 1.0, 0.0])), utility)
    sure = logistic(torch.tensor(0.7)).item()
    truth = PERSONALITIES["balanced"].probability(np.array([[-0.1, 0.0]]), np.array([[0.0, -0.2]]))[0]
    told = found["r"][TRUTH]
    assert (told.pairs, told.left_out) == (1, 1)
    assert (told.confidence, told.right) == pytest.approx((sure, truth))
    golden = found["r"]["clip"]
    assert (golden.pairs, golden.confidence, golden.right) == (2, pytest.approx((sure + 0.5) / 2), 0.5)
    assert judge({"r": scores}, list("abcd"), None, utility) == {}, "one image a prompt"
    assert judge({"r": scores}, ["a", "a", "b", "b"], None, np.full(4, NAN)) == {}, "no judge"


def test_several_rewards_are_compared_each_and_as_the_run_adds_them():
    rows = {name: RNG.normal(size=6) for name in ("one", "other")}
    prompts, golden = ["a"] * 3 + ["b"] * 3, ("clip", RNG.normal(size=6))
    likelihoods, nobody = dict.fromkeys(rows, logistic), np.full(6, NAN)
    found = PairJudge(likelihoods, {"one": 3.0, "other": -1.0}, "objective")(rows, prompts, golden, nobody)
    assert list(found) == ["one", "other", "objective"]
    negated = PairJudge(likelihoods, {"one": 1.0, "other": 1.0}, "objective")(
        {"one": rows["one"], "other": -rows["other"]}, prompts, golden, nobody
    )
    for name in rows:
        assert vars(found[name]["clip"]) == pytest.approx(vars(negated[name]["clip"]))
    only = PairJudge(likelihoods, {"one": 1.0, "other": 0.0}, "objective")(rows, prompts, golden, nobody)
    assert only["objective"] == only["one"]


@pytest.mark.parametrize("weights", [{"r": 0.0}, {"other": 1.0}, {}])
def test_weights_that_decide_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="accepted: a weight for each, one of them not 0"):
        PairJudge({"r": logistic}, weights, "objective")


def test_a_look_records_it_and_older_lines_are_read_without(tmp_path):
    images = RNG.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    images[::2] //= 2
    prompts, size = [name for name in "abc" for _ in range(2)], RNG.normal(size=6)
    pairs = PairJudge({"jpeg-size": logistic}, {"jpeg-size": 1.0}, "objective")
    judged = {"sharpness": Sharpness()}
    watched = Monitor(tmp_path, judged, "objective", "sharpness", [JpegSize()], pairs=pairs)
    record = watched.observe(0, images, prompts, {"objective": size.tolist(), "jpeg-size": size.tolist()})
    sharp = np.array(record.scores["sharpness"])
    right = np.mean((size[::2] > size[1::2]) == (sharp[::2] > sharp[1::2]))
    found = record.win_rates["jpeg-size"]["sharpness"]
    assert (found.pairs, found.right) == (3, pytest.approx(right)) and TRUTH not in record.win_rates["jpeg-size"]
    assert read_records(tmp_path) == [record]
    with pytest.raises(ValueError, match="no scores of jpeg-size; given: objective"):
        watched.observe(1, images, prompts, {"objective": size.tolist()})
    older = {key: value for key, value in json.loads((tmp_path / MONITOR_FILE).read_text()).items() if key[:3] != "win"}
    (tmp_path / MONITOR_FILE).write_text(json.dumps(older) + "\n")
    assert read_records(tmp_path) == [replace(record, win_rates={})]


def test_a_run_on_win_rates_says_so_and_goes_on_to_the_same_lines(tmp_path):
    config = replace(CRD, steps=3, looks=LookSettings(every=2, images=2, golden="sharpness"), checkpoint_every=1)
    _, looks, _ = a_run(config, tmp_path / "whole")
    for look in looks:
        judges = look.record.win_rates["latent:synthetic"]
        assert set(judges) == {TRUTH, "sharpness"} and judges[TRUTH].pairs == 2
        assert {f"overconfidence ({judge})" for judge in judges} <= set(look.means())
    a_run(config, tmp_path / "cut", stop_after=1)
    a_run(config, tmp_path / "cut", resume=True)
    whole, cut = ((tmp_path / name / MONITOR_FILE).read_bytes() for name in ("whole", "cut"))
    assert cut == whole
    assert "By true utility, `latent:synthetic` was " in (tmp_path / "whole" / "lora" / "README.md").read_text()


def test_one_image_a_prompt_is_said_to_tell_nothing(tmp_path):
    said = []
    config = replace(CRD, steps=1, looks=LookSettings(images=1, prompts=2))
    AlignmentJob(config, held_prompts("synthetic", None, 2), tmp_path / "run").run(say=said.append)
    assert any(each.startswith("--looks.images 1: looks have no two images of a prompt") for each in said)
    assert read_records(tmp_path / "run")[-1].win_rates == {}
