"""UniRL's way of calling: a service that is handed a whole track, and gives back a copy with rewards."""

import inspect
from dataclasses import replace
from importlib import import_module

import pytest
import torch
import yaml

from dina_lrm.integrations.shown import files_of

CLOSE = 1e-5  # batches of another size differ by some units of the last place of a score of 4, by the processor


@pytest.fixture
def types(trainers):
    return import_module("unirl.types.rollout_resp")


def made(file="in_process.yaml", **changes):
    """The service as hydra makes it from the shown configuration."""
    settings = {**yaml.safe_load(files_of("unirl")[file])["reward"], "device": "cpu", **changes}
    module, _, name = settings.pop("_target_").rpartition(".")
    return getattr(import_module(module), name)(**settings)


def track(types, rollout, steps=(0, 1, 4), dtype=torch.bfloat16):
    states = torch.randn(12, len(steps), 16, 8, 8)
    states[:, -1] = rollout.latents
    text = types.Text(rollout.told.prompt_embeds, rollout.told.pooled_prompt_embeds)
    segment = types.Segment(states.to(dtype), torch.linspace(1, 0, 5), torch.tensor(steps))
    pictures = types.Images(torch.rand(12, 3, 32, 32))
    return types.RolloutTrack([f"s{row}" for row in range(12)], {"text": text}, segment, pictures)


def test_a_copy_of_the_track_gets_the_scores_and_the_track_stays(types, rollout, model):
    given, service = track(types, rollout), made()
    found = service.score_and_attach(req=None, track=given)
    expected = model.score_latents(rollout.latents.bfloat16().float(), rollout.told, 0.4)
    assert torch.allclose(found.rewards, expected, atol=CLOSE, rtol=0)
    assert torch.equal(found.component_rewards["dina"], found.rewards)
    assert found.component_rewards["dina"] is not found.rewards
    assert given.rewards is None and given.component_rewards is None
    assert given.segment.latents.dtype == torch.bfloat16
    assert found.segment is given.segment


def test_workers_see_a_spread_method_of_a_class_that_is_found_by_its_name(types):
    service, dispatch = made(), import_module("unirl.distributed.group.dispatch")
    assert type(service).score_and_attach.dispatched is dispatch.Dispatch.DP_SCATTER
    assert list(inspect.signature(type(service).score_and_attach).parameters) == ["self", "req", "track"]
    assert getattr(import_module(type(service).__module__), type(service).__qualname__) is type(service)
    assert service.is_available() and service.backend.input_kind == "image"
    with pytest.raises(RuntimeError, match="reads latents; accepted: score_and_attach"):
        service.backend.compute_rewards(None)


def test_a_part_of_the_samples_scores_as_all(types, rollout):
    given, service = track(types, rollout, dtype=torch.float32), made()
    text, segment = given.conditions["text"], given.segment
    part = replace(
        given,
        sample_ids=given.sample_ids[3:5],
        conditions={"text": replace(text, embeds=text.embeds[3:5], pooled=text.pooled[3:5])},
        segment=replace(segment, latents=segment.latents[3:5]),
    )
    found = service.score_and_attach(req=None, track=part).rewards
    assert torch.allclose(found, rollout.scores[3:5], atol=CLOSE, rtol=0)


def test_a_mask_of_numbers_is_one(types, rollout, model):
    given, service = track(types, rollout, dtype=torch.float32), made()
    given.conditions["text"].attn_mask = rollout.told.prompt_mask.long()
    found = service.score_and_attach(req=None, track=given).rewards
    assert torch.allclose(found, rollout.scores, atol=CLOSE, rtol=0)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda given: {"conditions": {}}, "conditions are none; accepted: one called text"),
        (lambda given: {"segment": None}, "the track has no latents"),
        (lambda given: {"segment": replace(given.segment, indices=torch.tensor([0, 1, 3]))}, "step 3 of 4.*has noise"),
        (lambda given: {"sample_ids": given.sample_ids[:7]}, "12 entries for 7 items"),
        (lambda given: {"segment": replace(given.segment, latents=given.segment.latents * torch.nan)}, "non-finite"),
    ],
)
def test_what_cannot_be_read_is_said(spoil, reason, types, rollout):
    given = track(types, rollout)
    with pytest.raises(ValueError, match=reason):
        made().score_and_attach(req=None, track=replace(given, **spoil(given)))


def test_rewards_that_are_there_are_not_written_over(types, rollout):
    given = replace(track(types, rollout), rewards=torch.zeros(12))
    with pytest.raises(RuntimeError, match="has rewards already"):
        made().score_and_attach(req=None, track=given)
