"""Writers of a cache that Ray starts: the bytes of one process, also where one of them is killed."""

import itertools
from functools import partial

import psutil
import pytest
import torch

from dina_lrm.backbones.registry import load_backbone
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.encoding.comparisons import encode_comparisons
from dina_lrm.engines.settings import RayEngine
from dina_lrm.typed import DinaError
from tests.data.test_encoding import held, picture
from tests.engines.ray_workers import workers_of

pytest.importorskip("ray", reason="the extra ray is not installed")
from dina_lrm.data.encoding.on_ray import RayWriters, WorkerReplacedWarning
from dina_lrm.engines.ray_session import session

CONFIG = {"depth": 1, "visual_taps": (1,), "prompt_length": 0}
SMALL = {"resolution": 32, "batch_size": 2, "shard_bytes": 1}
TWO = RayEngine(actors=2)


def loaded(folder, writer=0):
    return load_backbone(BackboneConfig("sd3", str(folder), **CONFIG), dtype=torch.float32)


@pytest.fixture(scope="module", autouse=True)
def own_ray():
    with session(TWO):
        yield


@pytest.fixture
def pairs(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for number, path in enumerate(paths):
        picture(number, ((32, 32), (48, 24))[number % 2]).save(path)
    paths[9].write_bytes(b"no picture")
    return [Comparison(f"a cube {a.stem}", a, b, 1.0) for a, b in itertools.pairwise(paths)]


@pytest.mark.slow
def test_one_of_two_workers_is_killed_and_the_cache_is_that_of_one_process(tmp_path, pairs, tiny_folder):
    backbone = loaded(tiny_folder)
    encode_comparisons(pairs, backbone, tmp_path / "here", **SMALL)
    killed = []

    def kill(done, total):
        if done >= 8 and not killed:
            killed.append(done)
            workers_of(psutil.Process())[0].kill()

    with pytest.warns(WorkerReplacedWarning, match="1 workers of Ray ended and were replaced"):
        encode_comparisons(
            pairs,
            backbone,
            tmp_path / "there",
            writers=RayWriters(TWO, partial(loaded, tiny_folder), with_gpu=False),
            progress=kill,
            **SMALL,
        )
    assert held(tmp_path / "there") == held(tmp_path / "here")


def no_encoders(writer):
    raise DinaError("there is no such generator")


@pytest.mark.slow
def test_what_a_worker_cannot_load_is_said_and_the_encoding_goes_on_later(tmp_path, pairs, tiny_folder):
    backbone = loaded(tiny_folder)
    with pytest.raises(DinaError, match=r"worker on .*: there is no such generator"):
        encode_comparisons(
            pairs, backbone, tmp_path / "cache", writers=RayWriters(RayEngine(actors=1), no_encoders), **SMALL
        )
    assert encode_comparisons(pairs, backbone, tmp_path / "cache", **SMALL).images == 39
