"""The same plug-ins with their model on a real server: the scores are those of the model in process."""

import asyncio
from importlib import import_module

import pytest
import torch
import yaml

from dina_lrm.integrations.scorer import ScorerSettings, ScoreWarning, shared_scorer
from dina_lrm.integrations.shown import files_of
from dina_lrm.integrations.table import INTEGRATIONS
from dina_lrm.rewards.remote import RemoteRewardError
from dina_lrm.serving.items import LatentItem
from tests.integrations import test_flow_factory, test_unirl, test_verl_omni
from tests.integrations.trainers.verl_omni_like import Manager
from tests.serving.servers import running

CLOSE = 1e-4


@pytest.fixture(scope="module")
def address(warm_programs):
    with running(warm_programs / "dina-lrm", "--model", "dina=synthetic", "--max-batch-size", "12") as (address, _):
        yield f"remote:{address}"


def test_verl_omni_asks_for_a_batch_at_a_time(address, rollout):
    entries = test_verl_omni.entries("remote.yaml", model=address, max_batch=12, max_wait_ms=60_000.0)
    found = asyncio.run(test_verl_omni.gathered(test_verl_omni.samples(rollout, Manager(entries))))
    assert torch.allclose(test_verl_omni.scores(found), rollout.scores, atol=CLOSE, rtol=0)
    assert shared_scorer(ScorerSettings(address, "cpu", max_batch=12, max_wait_ms=60_000.0)).batches == 1


def test_a_sample_that_the_server_refuses_spares_its_mates(address, rollout):
    manager = Manager(test_verl_omni.entries("remote.yaml", model=address))
    calls = test_verl_omni.samples(rollout, manager)
    calls[3].close()
    calls[3] = manager.run_single(100 * rollout.latents[3], rollout.extra(3))
    found = asyncio.run(test_verl_omni.gathered(calls))
    assert "root mean square" in str(found.pop(3))
    kept = [row for row in range(12) if row != 3]
    assert torch.allclose(test_verl_omni.scores(found), rollout.scores[kept], atol=CLOSE, rtol=0)


def test_flow_factory_sends_clean_latents_and_else_pictures(address, rollout, model, trainers):
    trainer = import_module("flow_factory.processor")
    reward = trainer.loaded(test_flow_factory.entry("remote.yaml", model=address))
    found = trainer.computed(reward, test_flow_factory.samples(rollout, model))
    assert torch.allclose(found, rollout.scores, atol=CLOSE, rtol=0)
    noisy = test_flow_factory.samples(rollout, model, stored=(0, 2, 3))
    # A scorer warns once: one of its own for each test that waits for that
    with pytest.warns(ScoreWarning, match="pictures are read in their place"):
        local = trainer.computed(trainer.loaded(test_flow_factory.entry(max_batch=11)), noisy)
    with pytest.warns(ScoreWarning, match="pictures are read in their place"):
        found = trainer.computed(reward, noisy)
    assert torch.allclose(found, local, atol=CLOSE, rtol=0)


def test_flow_factory_sends_words_where_it_has_no_embeddings(address, rollout, model, trainers):
    trainer, bare = import_module("flow_factory.processor"), {"prompt_embeds": None, "pooled_prompt_embeds": None}
    reward = trainer.loaded(test_flow_factory.entry("remote.yaml", model=address))
    found = trainer.computed(reward, [{**each, **bare} for each in test_flow_factory.samples(rollout, model)])
    assert torch.allclose(found, rollout.scores, atol=CLOSE, rtol=0)


def test_an_error_of_the_server_says_which_sample(address, rollout):
    good, bad = (LatentItem(size * rollout.latents[0], rollout.told[0], (0.4,)) for size in (1, 100))
    with pytest.raises(RemoteRewardError, match=r"^item 1: remote:http.*: 422 .*root mean square"):
        shared_scorer(ScorerSettings(address)).scores([good, bad, good])


def test_unirl_sends_the_last_latents_of_a_track(address, rollout, trainers):
    given = test_unirl.track(import_module("unirl.types.rollout_resp"), rollout, dtype=torch.float32)
    found = test_unirl.made("remote.yaml", model=address).score_and_attach(req=None, track=given)
    assert torch.allclose(found.rewards, rollout.scores, atol=CLOSE, rtol=0)


def test_a_server_that_never_was_stops_the_run(rollout):
    manager = Manager(test_verl_omni.entries("remote.yaml", model="remote:http://127.0.0.1:9"))
    with pytest.raises(RuntimeError, match=r"Required sub-reward 'dina' failed: remote:http://127.0.0.1:9: no answer"):
        asyncio.run(manager.run_single(rollout.latents[0], rollout.extra(0)))


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_configurations_that_are_shown_name_a_server_by_one_address(name):
    shown = [text for file, text in files_of(name).items() if file.startswith("remote")]
    assert all("remote:http://127.0.0.1:8000" in text for text in shown)
    for file, text in files_of(name).items():
        if file.endswith(".yaml"):
            assert yaml.safe_load(text)
