"""A cell is trained, measured, kept, and not trained again."""

import json
import os
import signal
import time
from pathlib import Path
from threading import Thread

import pytest

from dina_lrm.cli.main import main
from dina_lrm.experiments.ablations.cells import Cell
from dina_lrm.experiments.ablations.training import TrainingBudget, _encode_training_set, _latent_cell
from dina_lrm.experiments.ablations.variants import VARIANTS
from dina_lrm.experiments.cells import load_cells

pytestmark = pytest.mark.slow


def ablate(out: Path, *words: str) -> tuple[int, dict]:
    target = out.parent / "result.json"
    small = ["--steps", "2", "--prompts", "8", "--pairs", "10", "--workers", "1", "--quiet", "--json", str(target)]
    code = main(["ablate", *words, "--seeds", "0", "--out", str(out), *small])
    return code, json.loads(target.read_text())


@pytest.fixture(name="ablated", scope="module")
def _ablated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The folder of two ablations, which have a variant in common, and what the command told."""
    out = tmp_path_factory.mktemp("ablated") / "ablations"
    code, found = ablate(out, "uncertainty", "judges")
    assert code == 0
    return out, found


def test_every_cell_is_trained_once_and_not_again(ablated: tuple[Path, dict]) -> None:
    out, found = ablated
    cells = load_cells(Cell, out / "cells")
    names = ("base", "bradley-terry", "lrm", "unet-lrm", "pixel-cnn", "pixel-clip")
    assert set(cells) == {f"{name}.seed-0" for name in names} and found["trained"] == len(names)
    assert cells["base.seed-0"].parameters > cells["lrm.seed-0"].parameters
    assert set(cells["base.seed-0"].sets["in_domain"].readings) > {"0", "0.2", "0.8", "0.1+0.2+0.4"}
    assert "wrong shape" in cells["base.seed-0"].faults
    before = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    code, again = ablate(out, "uncertainty", "judges")
    assert (code, again["trained"]) == (0, 0)
    assert {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()} == before
    assert out.with_suffix(".md").is_file()


def test_judges_of_pixels_are_measured_on_the_same_pairs(ablated: tuple[Path, dict]) -> None:
    out, found = ablated
    cells = load_cells(Cell, out / "cells")
    assert len({cell.sets["generated"].fingerprint for cell in cells.values()}) == 1
    assert set(cells["unet-lrm.seed-0"].sets["generated"].readings) == {"0.02", "0.06", "0.24", "0.02+0.06+0.24"}
    for name in ("pixel-cnn.seed-0", "pixel-clip.seed-0"):
        assert set(cells[name].sets["generated"].readings) == {"pixels"}
        assert cells[name].parameters > 100_000
    rows = found["results"]["judges"]["rows"]
    assert all(0 < row["mean"]["value"] < 1 for row in rows)


def test_a_model_that_was_stopped_on_the_way_is_no_cell(tmp_path: Path) -> None:
    """A run that is told to stop ends well, with the weights of the step it was at."""
    _encode_training_set("synthetic", tmp_path, prompts=30, seed=0, votes=1)

    def stop() -> None:
        lines = tmp_path / "depth-2.seed-0" / "metrics.jsonl"
        # The file is opened before signals are caught, and has a line once steps are done
        while not lines.exists() or lines.stat().st_size == 0:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=stop, daemon=True).start()
    with pytest.raises(RuntimeError, match=r"stopped by SIGTERM after step \d+ of 100000"):
        _latent_cell("depth-2", 0, TrainingBudget(100_000, 30, 30), tmp_path, {})


def test_a_bad_name_or_number_is_refused_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["dept"], "ablation 'dept'"),
        (["depth", "--seeds", "1", "1"], "different numbers"),
        ([], "no ablation was named"),
    ):
        assert main(["ablate", *words, "--out", str(tmp_path), "--quiet"]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_a_complete_config(name: str) -> None:
    from dina_lrm.training.assemble import preference_objective, reward_model_config

    config = VARIANTS[name].config()
    assert reward_model_config(config).backbone.pretrained == VARIANTS[name].generator
    preference_objective(config.objective.preference)
