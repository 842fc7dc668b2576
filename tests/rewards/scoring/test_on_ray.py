"""The same table by workers of Ray as by one process: whole, killed in the middle, stopped and gone on with."""

import dataclasses
import shutil

import psutil
import pytest

from dina_lrm.engines.settings import RayEngine
from dina_lrm.reward_model.config import ScoreScale
from dina_lrm.rewards.scoring.files import score_files_by
from dina_lrm.rewards.scoring.rows import ScoreRow
from tests.engines.ray_workers import workers_of
from tests.models import tiny_reward_model
from tests.rewards.scoring.test_files import picture

pytest.importorskip("ray", reason="the extra ray is not installed")
from dina_lrm.engines.ray_session import session

TWO = RayEngine(actors=2)
GIVEN = {"device": "cpu", "batch_size": 4, "seed": 3}


class StopError(Exception):
    pass


@pytest.fixture(scope="module", autouse=True)
def own_ray():
    with session(TWO):
        yield


@pytest.fixture
def rows(tmp_path):
    """Pictures of two shapes, one damaged, one absent, one in memory, with prompts that come again."""
    found = []
    for number in range(60):
        source = tmp_path / f"{number:02}.png"
        picture(number, (48, 24) if number % 3 == 0 else (32, 32)).save(source)
        found.append(ScoreRow(source.name, f"a {('red', 'blue', 'green')[number * 5 % 7 % 3]} ring on white", source))
    (tmp_path / "07.png").write_bytes(b"no picture")
    (tmp_path / "11.png").unlink()
    found[20] = ScoreRow("20", found[20].prompt, found[20].source.read_bytes())
    return found


@pytest.mark.slow
def test_a_worker_is_killed_and_the_table_is_that_of_one_process(rows, tmp_path):
    local, ray, stopped = (tmp_path / f"{name}.csv" for name in ("local", "ray", "stopped"))
    here = score_files_by("synthetic", rows, local, **GIVEN)

    def kill(done, total):
        if done == 8:
            workers_of(psutil.Process())[0].kill()

    there = score_files_by("synthetic", rows, ray, engine=TWO, progress=kill, **GIVEN)
    assert ray.read_bytes() == local.read_bytes()
    assert (there.rows, there.scored, there.failed, there.resized) == (60, 58, 2, here.resized) and here.resized == 20
    assert here.workers == () and there.workers[0].startswith("1 workers of Ray ended and were replaced")

    def stop(done, total):
        if done == 24:
            raise StopError

    with pytest.raises(StopError):
        score_files_by("synthetic", rows, stopped, progress=stop, **GIVEN)
    for beside in ("stopped.csv.partial.jsonl", "stopped.csv.settings.json"):
        shutil.copy(tmp_path / beside, tmp_path / beside.replace("stopped", "copy"))
    goes_on = score_files_by("synthetic", rows, tmp_path / "copy.csv", **GIVEN)
    found = score_files_by("synthetic", rows, stopped, engine=RayEngine(actors=1), **GIVEN)
    assert (found.already, found.scored, found.failed, found.retried) == (22, 36, 2, 2)
    assert dataclasses.replace(found, seconds=goes_on.seconds) == goes_on
    assert stopped.read_bytes() == (tmp_path / "copy.csv").read_bytes()


def test_named_scores_have_their_columns(rows, tiny_folder, tmp_path):
    model, scales = tmp_path / "model", {"quality": ScoreScale(mean=-1.0, std=4.0)}
    tiny_reward_model(tiny_folder, scores=("overall", "quality"), other_scales=scales).save_pretrained(model)
    local, ray = tmp_path / "local.csv", tmp_path / "ray.csv"
    score_files_by(str(model), rows[:12], local, **GIVEN)
    score_files_by(str(model), rows[:12], ray, engine=RayEngine(actors=1), **GIVEN)
    assert "score.quality" in local.read_text().splitlines()[0] and ray.read_bytes() == local.read_bytes()


def test_a_model_that_is_none_is_said_by_the_worker(rows, tmp_path):
    with pytest.raises(ValueError, match=r"worker on .*nowhere"):
        score_files_by(str(tmp_path / "nowhere"), rows, tmp_path / "s.csv", engine=RayEngine(actors=1))
    assert not (tmp_path / "s.csv").exists()
