import pytest

from dina_lrm.console.engines import EngineOptions
from dina_lrm.engines.settings import RayEngine


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"ray_address": "auto"}, "--ray-address was given with --engine local"),
        ({"actors": 2}, "--actors was given with --engine local"),
        ({"actor_cpus": 2}, "--actor-cpus was given with --engine local"),
    ],
)
def test_options_that_would_do_nothing_are_refused(given, told):
    with pytest.raises(ValueError, match=told):
        EngineOptions(**given).ray_engine()


@pytest.mark.parametrize(("given", "told"), [({"actors": 0}, "--actors 0"), ({"cpus": 0}, "--actor-cpus 0")])
def test_workers_without_anything_to_run_on_are_refused(given, told):
    with pytest.raises(ValueError, match=f"{told}; accepted: at least 1"):
        RayEngine(**given).check()


def test_without_an_engine_nothing_is_asked_of_ray():
    assert EngineOptions().ray_engine() is None
