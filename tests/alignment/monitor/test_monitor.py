"""The monitor records what is there, says what is missing, and goes on where it was cut off."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dina_lrm.alignment.monitor.alarm import findings
from dina_lrm.alignment.monitor.monitor import MissingScoresWarning, Monitor
from dina_lrm.alignment.monitor.records import MONITOR_FILE, best_record, history, read_records, summarise
from dina_lrm.pictures.measures import MEASURES, diversity
from dina_lrm.rewards.function import FunctionReward
from dina_lrm.rewards.heuristics import Colourfulness, Sharpness
from dina_lrm.rewards.latent import LatentReward
from dina_lrm.synthetic import defects
from dina_lrm.synthetic.oracle import oracle_parts
from dina_lrm.synthetic.render import render
from dina_lrm.synthetic.scene import realise, sample_prompt
from tests.models import tiny_reward_model
from tests.rewards.functions import brightness, sometimes, too_few

RNG = np.random.default_rng(0)
PROMPTS = [prompt for prompt in (sample_prompt(RNG) for _ in range(6)) for _ in range(2)]
CAPTIONS = [prompt.caption() for prompt in PROMPTS]
CLEAN = render([realise(prompt, RNG) for prompt in PROMPTS])
IMAGES = np.round(CLEAN * 255).astype(np.uint8)


def monitor(folder, **changes) -> Monitor:
    settings = {
        "judges": {"sharp": Sharpness(), "colourful": Colourfulness()},
        "proxy": "sharp",
        "golden": "colourful",
        "objective": [Sharpness()],
    }
    return Monitor(folder, **(settings | changes))


def test_a_record_holds_judges_truth_and_measures(tmp_path):
    record = monitor(tmp_path, batch_size=5).observe(20, IMAGES, CAPTIONS, extra={"kl": 0.25, "broken": float("nan")})
    assert (record.step, record.pictures, record.prompts) == (20, 12, 6)
    assert (record.proxy, record.golden) == ("sharp", "colourful")
    pixels = torch.from_numpy(IMAGES).permute(0, 3, 1, 2).float() / 255
    for name, judge in (("sharp", Sharpness()), ("colourful", Colourfulness())):
        assert record.judges[name].mean == pytest.approx(judge(pixels, CAPTIONS).mean().item(), rel=1e-5)
    for name, measure in MEASURES.items():
        assert record.measures[name] == summarise(measure(IMAGES), CAPTIONS)
    spread = diversity(IMAGES, CAPTIONS)
    assert record.measures["diversity"].mean == pytest.approx(np.mean(list(spread.values())))
    assert record.measures["diversity"].counted == 6
    parts = oracle_parts(IMAGES, PROMPTS).mean(axis=0)
    assert record.truth["utility"].mean == pytest.approx(parts.sum())
    assert record.truth["alignment"].mean == pytest.approx(parts[0])
    assert record.extra == {"kl": 0.25, "broken": None}


def test_prompts_outside_the_synthetic_world_have_no_true_utility(tmp_path):
    found = monitor(tmp_path)
    assert found.observe(0, IMAGES, ["a cat"] * 12).truth == {}
    mixed = found.observe(1, IMAGES, [*CAPTIONS[:4], *["a cat"] * 8]).truth["utility"]
    assert (mixed.counted, mixed.missing) == (4, 8)
    assert mixed.mean == pytest.approx(oracle_parts(IMAGES[:4], PROMPTS[:4]).sum(axis=1).mean())


def test_one_picture_a_prompt_has_no_diversity(tmp_path):
    assert set(monitor(tmp_path).observe(0, IMAGES[::2], CAPTIONS[::2]).measures) == set(MEASURES)


def test_scores_that_are_missing_are_counted_and_said(tmp_path):
    judges = {"sharp": Sharpness(), "moody": FunctionReward(sometimes)}
    watched = monitor(tmp_path, judges=judges, golden="moody")
    with pytest.warns(MissingScoresWarning, match="moody gave no score for 3 of 12 images"):
        record = watched.observe(0, IMAGES, ["hard"] * 3 + ["easy"] * 9)
    assert record.judges["moody"].mean == 1.0
    assert (record.judges["moody"].counted, record.judges["moody"].missing) == (9, 3)
    with pytest.warns(MissingScoresWarning, match="12 of 12"):
        record = watched.observe(1, IMAGES, ["hard"] * 12)
    assert record.judges["moody"].mean is None
    with pytest.warns(MissingScoresWarning, match="own gave no score for 1 of 12"):
        watched.observe(2, IMAGES, ["easy"] * 12, scores={"own": [float("inf"), *[0.5] * 11]})
    assert np.isnan(history(tmp_path).golden.values).tolist() == [False, True, False]


def test_the_trainers_own_scores_may_be_the_proxy(tmp_path):
    watched = monitor(tmp_path, judges={"colourful": Colourfulness()}, proxy="latent")
    record = watched.observe(0, IMAGES, CAPTIONS, scores={"latent": torch.arange(12.0)})
    assert record.judges["latent"].mean == 5.5
    with pytest.raises(ValueError, match="no scores of the proxy 'latent'; given: none"):
        watched.observe(1, IMAGES, CAPTIONS)
    with pytest.raises(ValueError, match="scores of colourful are given, and there is a judge of that name"):
        watched.observe(1, IMAGES, CAPTIONS, scores={"latent": torch.zeros(12), "colourful": torch.zeros(12)})


def test_records_from_before_the_measure_had_a_name_of_its_own_are_read(tmp_path):
    line = """{"step": 0, "pictures": 1, "prompts": 1, "proxy": "r", "golden": null, "judges": {}, "measures":
    {"sharpness": {"mean": 0.5, "deviation": null, "standard_error": null, "counted": 1}}}"""
    (tmp_path / MONITOR_FILE).write_text(" ".join(line.split()) + "\n")
    assert {name: found.mean for name, found in read_records(tmp_path)[0].measures.items()} == {"edge_strength": 0.5}


def test_records_are_read_back(tmp_path):
    watched = monitor(tmp_path)
    for step in (0, 10, 20):
        watched.observe(step, np.roll(IMAGES, step // 10, axis=0), CAPTIONS)
    assert tuple(read_records(tmp_path)) == watched.records
    found = history(tmp_path)
    assert found.steps.tolist() == [0, 10, 20]
    assert found.proxy.values.tolist() == [record.judges["sharp"].mean for record in watched.records]
    assert found.proxy.spread == watched.records[0].judges["sharp"].deviation
    assert set(found.series()) == {"proxy", "golden", "utility", "diversity", *MEASURES}
    assert history(tmp_path / "nothing").steps.size == 0


def test_a_resumed_run_drops_what_lies_beyond_its_step(tmp_path):
    watched = monitor(tmp_path)
    for step in (0, 10, 20, 30):
        watched.observe(step, IMAGES, CAPTIONS)
    whole = (tmp_path / MONITOR_FILE).read_text()
    # The run is killed while it writes
    (tmp_path / MONITOR_FILE).write_text(whole + '{"step": 40, "pict')
    resumed = monitor(tmp_path, resumed_step=10)
    assert [record.step for record in resumed.records] == [0, 10]
    for step in (20, 30):
        resumed.observe(step, IMAGES, CAPTIONS)
    assert (tmp_path / MONITOR_FILE).read_text() == whole


def test_a_step_that_is_seen_again_takes_the_place_of_the_first_time(tmp_path):
    watched = monitor(tmp_path)
    for step in (0, 10, 20, 10):
        watched.observe(step, IMAGES, CAPTIONS, extra={"kl": float(len(watched.records))})
    assert [(record.step, record.extra["kl"]) for record in read_records(tmp_path)] == [(0, 0), (10, 3)]


def test_a_line_that_cannot_be_read_is_named(tmp_path):
    monitor(tmp_path).observe(0, IMAGES, CAPTIONS)
    line = (tmp_path / MONITOR_FILE).read_text()
    (tmp_path / MONITOR_FILE).write_text(line + json.dumps(json.loads(line) | {"surprise": 1}) + "\n")
    with pytest.raises(ValueError, match=r"monitor.jsonl, line 2.*surprise: unknown key"):
        read_records(tmp_path)


def test_the_best_record_is_the_golden_ones_choice(tmp_path):
    watched = monitor(tmp_path)
    grey = IMAGES.mean(axis=-1, keepdims=True).repeat(3, axis=-1).astype(np.uint8)
    for step, images in enumerate((grey, IMAGES, grey, IMAGES)):
        watched.observe(step, images, CAPTIONS)
    assert best_record(watched.records).step == 1
    assert best_record(watched.records, until=0).step == 0
    with pytest.raises(ValueError, match="none of 1 records has a golden mean"):
        best_record([replace(watched.records[0], golden=None)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"golden": "sharp"}, "golden reward 'sharp': is what is optimised"),
        ({"golden": "colourful", "objective": [Colourfulness()]}, "golden reward 'colourfulness': shares the name"),
        ({"golden": "gold"}, "no judge 'gold' to be golden; accepted: sharp, colourful"),
        ({"objective": []}, "no rewards in the objective"),
    ],
)
def test_what_would_not_be_honest_is_refused_before_anything_is_written(tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        monitor(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_bad_calls_are_refused(tmp_path, tiny_folder):
    watched = monitor(tmp_path)
    with pytest.raises(ValueError, match="12 images and 11 prompts"):
        watched.observe(0, IMAGES, CAPTIONS[1:])
    with pytest.raises(ValueError, match="accepted: uint8"):
        watched.observe(0, IMAGES / 255, CAPTIONS)
    with pytest.raises(ValueError, match=r"own gave scores of shape \(3,\) for 12 images"):
        watched.observe(0, IMAGES, CAPTIONS, scores={"own": torch.zeros(3)})
    with pytest.raises(ValueError, match=r"function: \(1,\) scores of 12 inputs"):
        monitor(tmp_path / "few", judges={"few": FunctionReward(too_few)}, proxy="few", golden=None).observe(
            0, IMAGES, CAPTIONS
        )
    assert read_records(tmp_path) == []
    watched.observe(0, IMAGES, CAPTIONS)
    with pytest.raises(ValueError, match="holds 1 records; accepted: a new folder, or the step"):
        monitor(tmp_path)
    with pytest.raises(ValueError, match="latent read latents; accepted: judges of pictures, such as image:MODEL"):
        monitor(tmp_path / "new", judges={"latent": LatentReward(tiny_reward_model(tiny_folder))})


def test_a_run_that_is_hacked_with_a_grid_sounds_the_alarm(tmp_path):
    """Sharpness is optimised, brightness is held out: the grid feeds the first, the oracle sees through it."""
    judges = {"sharp": Sharpness(), "bright": FunctionReward(brightness)}
    watched = monitor(tmp_path, judges=judges, golden="bright")
    few = CLEAN[:4]  # the oracle is slow where a grid cuts shapes into pieces
    for step, severity in enumerate(np.linspace(0.05, 0.75, 8)):
        hacked = defects.apply(few, np.array(["grid"] * 4), np.full(4, severity, np.float32), RNG)
        watched.observe(10 * step, np.round(hacked * 255).astype(np.uint8), CAPTIONS[:4])
    found = {finding.kind for finding in findings(watched.history())}
    assert {"utility falls while proxy rises", "grid energy rises"} <= found


def test_the_standard_error_takes_prompts_as_the_unit():
    # Two prompts of two pictures: means 1 and 3, so that the error of the mean is half their distance
    found = summarise(np.array([0.0, 2.0, 2.0, 4.0]), ["a", "a", "b", "b"])
    assert (found.mean, found.standard_error) == pytest.approx((2, 1))
    assert found.deviation == pytest.approx(np.std([0, 2, 2, 4], ddof=1))
    every = np.random.default_rng(0).normal(size=50)
    single = summarise(every, [str(i) for i in range(50)])
    assert single.standard_error == pytest.approx(every.std(ddof=1) / 50**0.5)
    assert summarise(every[:2], ["a", "a"]).standard_error is None
    assert summarise(every[:1], ["a"]).deviation is None
