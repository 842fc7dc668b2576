"""The load on a real server, in small: everything is answered, once and rightly, and what is reported is there."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import serving
from benchmarks.load.clients import Answer, Load
from benchmarks.load.wire import full_size


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::dina_lrm.reward_model.inputs.ResizeWarning")
def test_a_small_load_is_answered_once_and_rightly(tmp_path: Path) -> None:
    found = serving.main(["--quick", "--parts", "load", "bytes", "memory", "--json", str(tmp_path / "found.json")])
    assert json.loads((tmp_path / "found.json").read_text()) == json.loads(json.dumps(found))
    for run in (found["load"]["1 loops"], found["load"]["4 loops"], found["memory"]):
        assert (run["answered_once"], run["wrong"]) == (True, 0)
        assert run["largest_difference"] < 1e-4
        assert 0 < run["queue_ms"]["p50"] <= run["latency_ms"]["p50"] <= run["latency_ms"]["p99"]
        assert run.get("scored", run["requests"]) == run["requests"]
    assert sum(found["memory"]["kinds"].values()) == found["memory"]["requests"] == 40
    assert found["memory"]["second_tenth_mib"] > 100
    wire = found["bytes"]["bundled, on the wire"]
    assert wire["again"] < wire["protocol_2"] < wire["protocol_1"]
    assert wire["our_client_again"] < wire["our_client"] < wire["protocol_1"]
    assert wire["our_client_difference"] < 1e-4
    assert wire["protocol_1_wrong"] == wire["protocol_2_wrong"] == wire["again_wrong"] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prompts_by_hash_save_nine_tenths_of_a_step_at_full_size(dtype: torch.dtype) -> None:
    step = full_size(dtype=dtype)
    floats = 16 * 64 * 64 + 333 * 4096 + 2048
    assert 0 < step["protocol_1"] - 252 * floats * dtype.itemsize < 252 * 1024
    assert step["protocol_2"] < 0.1 * step["protocol_1"]


def test_wrong_missing_and_double_answers_are_told() -> None:
    good, wrong = Answer(0, 200, 0.1, 0.05, 0.04, 0.0), Answer(1, 200, 0.3, 0.2, 0.04, 1e-3)
    failed = Answer(1, 0, 9.0, float("nan"), float("nan"), float("inf"), "TimeoutError")
    assert Load((good, wrong), 2.0, 2).wrong == [wrong]
    assert Load((good, wrong), 2.0, 2).rate == 1.0
    assert Load((good, failed), 2.0, 2).wrong == [failed]
    assert Load((good, Answer(2, 200, 0.1, 0.0, 0.0, float("nan"))), 2.0, 3).wrong
    assert not Load((good, good), 2.0, 2).once
    assert Load((good, failed), 2.0, 2).percentiles("queue_seconds")["max"] == 50.0
