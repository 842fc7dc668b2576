"""Tasks dealt out by Ray: results in order, one worker killed and nothing lost, and what cannot work is said."""

import itertools
from functools import partial

import psutil
import pytest

from dina_lrm.engines.settings import RayEngine
from tests.engines.ray_workers import Squares, Unlike, ended, refused, workers_of

pytest.importorskip("ray", reason="the extra ray is not installed")

from dina_lrm.engines import ray_pool
from dina_lrm.engines.ray_pool import RayPool
from dina_lrm.engines.ray_session import session

ONE, TWO = RayEngine(actors=1), RayEngine(actors=2)


@pytest.fixture(scope="module", autouse=True)
def own_ray():
    """One Ray for all tests here, with room for two workers."""
    with session(TWO):
        yield


@pytest.fixture
def squares(tmp_path):
    return partial(Squares, tmp_path)


def test_results_come_in_the_order_of_the_tasks(squares):
    with RayPool(TWO, squares) as pool:
        assert list(pool.each(range(60), 1000)) == [number * number + 1000 for number in range(60)]
        assert list(pool.each([])) == []
        assert list(pool.each(iter([3]))) == [9]
        assert (dict(pool.told), list(pool.notes())) == ({"weights": 1}, [])


def test_no_more_is_done_ahead_than_the_bound(squares, tmp_path):
    read = []
    with RayPool(TWO, squares) as pool:
        results = pool.each(read.append(number) or number for number in range(1000))
        assert [next(results) for _ in range(3)] == [0, 1, 4]
        assert len(read) <= 3 + 2 * ray_pool._AHEAD


def test_a_worker_that_is_killed_is_replaced_and_its_tasks_are_done_again(squares):
    with RayPool(TWO, squares) as pool:
        results = []
        for number, found in enumerate(pool.each(range(200))):
            results.append(found)
            if number == 50:
                workers_of(psutil.Process())[0].kill()
        assert results == [number * number for number in range(200)]
        assert pool.replaced == 1 and pool.again >= 1
        assert list(pool.notes()) == [f"1 workers of Ray ended and were replaced; {pool.again} tasks were done again"]


def test_a_task_that_ends_its_worker_once_is_done(squares):
    with RayPool(ONE, squares) as pool:
        assert list(pool.each([1, (2, "mark"), 3])) == [1, 4, 9]


@pytest.mark.parametrize("task", ["end", "end at once"])
def test_a_task_that_always_ends_its_worker_is_named_and_not_the_one_beside_it(task, squares):
    with RayPool(ONE, squares, named=lambda task: f"the task {task}") as pool:
        with pytest.raises(ValueError, match=f"3 workers in a row ended on the task {task}:"):
            list(pool.each([7, task, 3]))


def test_what_a_task_refuses_is_raised_here(squares):
    with RayPool(ONE, squares) as pool, pytest.raises(ValueError, match="a task that is refused"):
        list(pool.each([1, "refuse", 3]))


@pytest.mark.parametrize(
    ("load", "told"),
    [
        (refused, "worker on .*: there is no such model"),
        (ended, "3 workers in a row ended while they load"),
    ],
)
def test_workers_that_cannot_load_are_an_error_and_not_asked_again_and_again(load, told):
    with pytest.raises(ValueError, match=told), RayPool(ONE, load):
        pass


def test_workers_with_other_weights_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"weights is .*; accepted: the same on all machines"):
        with RayPool(TWO, Unlike(tmp_path)) as pool:
            for _ in pool.each(itertools.count()):  # until the second has begun
                pass


def test_files_that_a_worker_does_not_see_are_said_before_anything_is_loaded(tmp_path):
    (tmp_path / "there").touch()
    for files, told in (([str(tmp_path / "there")], "no such model"), ([str(tmp_path / "none")], "none is not there")):
        with pytest.raises(ValueError, match=told), RayPool(ONE, refused, files=files):
            pass


@pytest.mark.parametrize("engine", [RayEngine(actors=3), RayEngine(cpus=3)])
def test_more_workers_than_there_is_room_for_are_refused(engine, squares):
    with pytest.raises(ValueError, match=r"this Ray has room for \d on 1 machines"), RayPool(engine, squares):
        pass


def test_by_default_there_is_one_worker_for_a_machine_without_gpus(squares, tmp_path):
    with RayPool(RayEngine(), squares) as pool:
        list(pool.each(range(4)))
    assert len({line.split()[1] for line in (tmp_path / "done").read_text().splitlines()}) == 1
