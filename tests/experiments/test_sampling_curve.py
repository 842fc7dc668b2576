"""Pools and the curve read off them: the same choices and counts as sampling itself, and a table and plot of them."""

import json

import numpy as np
import pytest

from dina_lrm.cli.main import main
from dina_lrm.evaluation.interval import renamed
from dina_lrm.experiments.sampling_curve import (
    PLAIN,
    CurvePoint,
    Schedule,
    best_of_n_curve,
    curve_plot,
    curve_table,
    joined,
    stored_points,
)
from dina_lrm.experiments.sampling_pools import Pool, draw_pool, replay
from dina_lrm.generators.generator import Generator
from dina_lrm.sampling.best_of_n import best_of_n
from dina_lrm.sampling.ledger import UnitFlops
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.pruning import Cut, Pruning
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.sampling.selection import SamplingPlan
from dina_lrm.synthetic.world import bundled_pipeline
from dina_lrm.typed import from_plain
from tests.documents import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
PROMPTS = ["a small red ring on white", "two large blue bars on black"]
UNITS = UnitFlops(2, 3, 6, 1, 1)


def a_pool(seed=0, n=4, prompts=3):
    """Numbers drawn at random: the final score is the truth plus noise, scores on the way more so."""
    rng = np.random.default_rng(seed)
    utility = rng.normal(size=(prompts, n))
    final = utility + 0.5 * rng.normal(size=(prompts, n))
    steps = {
        f"{reading} 1": (final + rng.normal(size=final.shape)).astype(np.float32) for reading in ("clean", "noisy")
    }
    names = tuple(f"prompt {row}" for row in range(prompts))
    return Pool(SamplingPlan(n, 4, seed), names, final.astype(np.float32), utility, steps, True)


def test_a_replay_chooses_and_counts_as_sampling_does():
    generator = Generator(bundled_pipeline(), 32, 1, 1.0, 0, 3.0)
    objective = Objective(generator, (RewardTerm("latent:synthetic"),))
    plan = SamplingPlan(4, 3)
    pool = draw_pool(generator, objective, PROMPTS, plan, (1,))
    for reading in ("clean", "noisy"):
        pruning = Pruning((Cut(1, keep=2),), reading)
        for row, sampled in enumerate(best_of_n(generator, objective, PROMPTS, plan, pruning)):
            found = replay(pool, row, range(4), pruning)
            assert (found.chosen, found.spent) == (sampled.chosen, sampled.spent)
            assert pool.final[row, found.chosen] == pytest.approx(sampled.score, abs=1e-3)


def test_a_pool_is_read_as_it_was_written(tmp_path):
    pool = a_pool()
    pool.save(tmp_path / "pools" / "pool.npz")
    again = Pool.load(tmp_path / "pools" / "pool.npz")
    assert (again.plan, again.prompts, again.guided, again.steps.keys()) == (
        pool.plan, pool.prompts, pool.guided, pool.steps.keys(),
    )  # fmt: skip
    for name in pool.steps:
        np.testing.assert_array_equal(again.steps[name], pool.steps[name])
    np.testing.assert_array_equal(again.utility, pool.utility)


def test_the_curve_by_hand():
    pools = [a_pool(0), a_pool(1)]
    schedule = Schedule("half", "clean", ((1, 0.5),))
    points = {(p.method, p.n): p for p in best_of_n_curve(pools, (1, 2, 4, 8), (schedule,), UNITS)}
    assert set(points) == {(PLAIN, 1), (PLAIN, 2), (PLAIN, 4), (PLAIN, 8), ("half", 4), ("half", 8)}
    whole = joined(pools)
    assert points[PLAIN, 1].utility.value == pytest.approx(whole.utility.mean())
    assert points[PLAIN, 1].gain.value == pytest.approx(0) and points[PLAIN, 1].groups == 8
    best = whole.final.argmax(axis=1)
    assert points[PLAIN, 8].utility.value == pytest.approx(whole.utility[np.arange(3), best].mean())
    # 8 candidates of 4 steps, two forwards of 2 each, and a score of 3; the chosen one is decoded
    assert points[PLAIN, 8].gflops * 1e9 == pytest.approx(8 * (4 * 2 * 2 + 3) + 1)
    # two steps of all with a score, then two of half with a score
    assert points["half", 8].gflops * 1e9 == pytest.approx(8 * (2 * 4 + 3) + 4 * (2 * 4 + 3) + 1)
    lost = points["half", 8].lost.value
    assert lost == pytest.approx(points[PLAIN, 8].utility.value - points["half", 8].utility.value)
    proxies = [points[PLAIN, n].proxy.value for n in (1, 2, 4, 8)]
    assert proxies == sorted(proxies)
    with pytest.raises(ValueError, match="at most 8"):
        best_of_n_curve(pools, (16,), (), UNITS)
    with pytest.raises(ValueError, match="pools differ"):
        joined([a_pool(0), a_pool(1, prompts=4)])


def test_the_command_draws_once_and_writes_table_and_plot(tmp_path, capsys):
    words = ["sample", "curve", "--prompt-count", "2", "--candidates", "2", "--seeds", "0", "1", "--out"]
    assert main([*words, str(tmp_path / "curve"), "--quiet"]) == 0
    first = (tmp_path / "curve" / "curve.json").read_text()
    drawn = (tmp_path / "curve" / "pools" / "seed-1.npz").stat().st_mtime_ns
    assert main([*words, str(tmp_path / "curve"), "--quiet"]) == 0
    assert (tmp_path / "curve" / "curve.json").read_text() == first
    assert (tmp_path / "curve" / "pools" / "seed-1.npz").stat().st_mtime_ns == drawn
    assert {row["n"] for row in json.loads(first)["points"]} == {1, 2, 4}
    assert (tmp_path / "curve" / "curve.png").stat().st_size > 5_000
    assert main([*words, str(tmp_path / "curve"), "--steps", "20"]) == 2
    assert "was drawn with other settings" in capsys.readouterr().err
    for wrong, error in (
        (["--seeds", "0", "0"], "--seeds 0 0"),
        (["--steps", "9"], "at least 10"),
        (["--prompt-count", "1"], "--prompt-count 1"),
    ):
        assert main([*words, str(tmp_path / "other"), *wrong]) == 2
        assert error in capsys.readouterr().err


def read_points(rows):
    return [from_plain(CurvePoint, row) for row in renamed(rows, {"mean": "value"})]


def test_the_page_shows_the_table_of_the_committed_results():
    rows = json.loads((ROOT / "docs" / "results" / "sampling" / "curve.json").read_text())["points"]
    points = read_points(rows)
    assert read_points(stored_points(points)) == points
    assert curve_table(points).strip("\n") in (ROOT / "docs" / "sampling.md").read_text()
    assert len(curve_plot(points).axes) == 2
