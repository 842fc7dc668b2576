"""Replicas by Ray Serve: one answer whichever is asked, prompts known to all, one killed and nothing lost."""

import signal
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest
import torch

from benchmarks.load.survival import OwnClient, ask_through, questions, replicas_of
from dina_lrm import LatentRewardModel
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.rewards.remote import RemoteReward
from dina_lrm.serving.job import serve
from dina_lrm.serving.settings import ServerSettings
from tests.serving.servers import running

pytest.importorskip("ray", reason="the extra ray is not installed")
from dina_lrm.serving.ray_serve import application, build

PROGRAM = Path(sys.executable).with_name("dina-lrm")
PROMPTS = ["a large red ring on white", "a small blue bar on black"]
TOKEN = "a-token-of-many-letters"


def replicas_told(address, headers):
    text = httpx.get(f"{address}/metrics", headers=headers).text
    scored = [line for line in text.splitlines() if line.startswith("dina_lrm_items_total")]
    return {line.partition('replica="')[2].partition('"')[0]: float(line.split()[-1]) for line in scored}


@pytest.mark.slow
def test_two_replicas_one_killed_all_answered_and_a_signal_ends_them(tmp_path, monkeypatch):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    monkeypatch.setenv("DINA_LRM_TOKEN", TOKEN)
    headers = {"authorization": f"Bearer {TOKEN}"}
    asked = questions(LatentRewardModel.from_pretrained("synthetic", device="cpu"), 120, PROMPTS)
    words = ("--replicas", "2", "--replica-cpus", "0.5", "--token-file", str(token))
    with running(PROGRAM, *words) as (address, process):
        assert httpx.get(f"{address}/healthz").status_code == 401
        server = psutil.Process(process.pid)
        before = ask_through(lambda: OwnClient(address), asked[:40], lambda: None, 0, threads=8)
        assert (before.answered, before.wrong, before.asked_again, before.lost) == (40, 0, 0, {})
        assert len(replicas_of(server)) == 2
        found = ask_through(lambda: OwnClient(address), asked, lambda: replicas_of(server)[0].kill(), 40, threads=8)
        assert (found.answered, found.wrong, found.lost) == (120, 0, {})
        told = replicas_told(address, headers)
        assert 1 <= len(told) <= 3 and sum(told.values()) >= 100
        reward, latents = RemoteReward(address), torch.cat([each.latents for each in asked])
        told_them = Conditioning.cat([each.prompt for each in asked])
        wanted, late = reward.score(latents, told_them), []
        thread = threading.Thread(target=lambda: late.append(reward.score(latents, told_them)))
        thread.start()
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        thread.join()
        assert process.wait(60) == 0
    torch.testing.assert_close(late[0], wanted, rtol=0, atol=1e-4)


def test_an_application_is_built_of_settings_by_name():
    app = application({"model": "dina=synthetic,sharp=sharpness", "replicas": "3", "host": "127.0.0.1"})
    assert app is not None
    assert build(ServerSettings(replicas=2), dtype=torch.float32) is not None


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({}, "neither token_file nor host"),
        ({"host": "127.0.0.1", "replica": 2}, "did you mean 'replicas'"),
        ({"host": "127.0.0.1", "dtype": "int8"}, "accepted: float32, float16, bfloat16"),
        ({"host": "0.0.0.0"}, "without a token"),
        ({"token_file": "/nowhere/token"}, "--token-file /nowhere/token"),
        ({"host": "127.0.0.1", "replicas": -1}, "--replicas -1"),
        ({"host": "127.0.0.1", "limits": {"batch": 0}}, "limits.batch: 0"),
    ],
)
def test_what_could_not_run_is_refused_before_ray_is_started(args, told):
    with pytest.raises(ValueError, match=told):
        application(args)


def test_a_model_that_is_none_is_refused_before_ray_is_started(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        serve(ServerSettings(model=(f"dina={tmp_path / 'nowhere'}",), replicas=2, port=0))
