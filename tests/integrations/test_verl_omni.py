"""verl-omni's way of calling: one sample a call on an event loop, errors one by one."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
import torch
import yaml

from dina_lrm.integrations.scorer import ScorerSettings, shared_scorer
from dina_lrm.integrations.shown import files_of
from tests.integrations.trainers.verl_omni_like import Manager

CLOSE = 1e-5  # batches of another size differ by some units of the last place of a score of 4, by the processor


def entries(file="in_process.yaml", **changes):
    config = yaml.safe_load(files_of("verl-omni")[file])
    assert config["reward"]["custom_reward_function"]["path"].startswith("pkg://verl_omni.")
    found = config["reward"]["reward_functions"]
    return {key: {**entry, "device": "cpu", **changes} for key, entry in found.items()}


def samples(rollout, manager, rows=range(12)):
    return [manager.run_single(rollout.latents[row], rollout.extra(row)) for row in rows]


async def gathered(calls):
    return await asyncio.gather(*calls, return_exceptions=True)


def scores(answers):
    return torch.tensor([answer["reward_score"] for answer in answers])


@pytest.mark.parametrize("file", ["in_process.yaml", "remote.yaml"])
def test_the_shown_configuration_names_a_function_and_its_keys(file):
    for entry in entries(file).values():
        taken = set(import_module(entry["path"].removeprefix("pkg://")).compute_score.__code__.co_varnames)
        assert set(entry) - {"path", "name", "weight", "required"} <= taken


def test_twelve_samples_at_once_are_one_batch_and_score_as_alone(rollout, model):
    patient = {"device": "cpu", "max_batch": 12, "max_wait_ms": 60_000.0}
    together = scores(asyncio.run(gathered(samples(rollout, Manager(entries(**patient))))))
    assert shared_scorer(ScorerSettings(**patient)).batches == 1
    alone = torch.cat(
        [model.score_latents(rollout.latents[row : row + 1], rollout.told[row], 0.4) for row in range(12)]
    )
    assert torch.allclose(together, rollout.scores, atol=CLOSE, rtol=0)
    assert torch.allclose(together, alone, atol=CLOSE, rtol=0)


def test_several_loops_and_threads_share_one_model(rollout):
    manager = Manager(entries())
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: scores(asyncio.run(gathered(samples(rollout, manager)))), range(4)))
    for each in found:
        assert torch.allclose(each, rollout.scores, atol=CLOSE, rtol=0)


def test_latents_beside_pixels_and_a_leading_axis_and_bfloat16_are_read(rollout, model):
    manager, pixels = Manager(entries()), torch.zeros(3, 32, 32, dtype=torch.uint8)
    row = {name: value[None] for name, value in rollout.extra(0).items()}
    clean = rollout.latents[0].bfloat16()
    both = manager.run_single(pixels, {**row, "latents_clean": clean})
    found = asyncio.run(gathered([both]))
    assert found[0]["reward_extra_info"] == {"reward/dina": pytest.approx(found[0]["reward_score"])}
    expected = model.score_latents(clean.float()[None], rollout.told[0], 0.4)
    assert torch.allclose(scores(found), expected, atol=CLOSE, rtol=0)


def test_a_bad_sample_raises_its_reason_and_spares_its_mates(rollout):
    manager = Manager(entries())
    calls = samples(rollout, manager)
    bad = rollout.latents[3].clone()
    bad[0, 0, 0] = torch.nan
    calls[3].close()
    calls[3] = manager.run_single(bad, rollout.extra(3))
    found = asyncio.run(gathered(calls))
    assert "non-finite values" in str(found.pop(3))
    kept = [row for row in range(12) if row != 3]
    assert torch.allclose(scores(found), rollout.scores[kept], atol=CLOSE, rtol=0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt_embeds": None}, "prompt_embeds: is missing"),
        ({"pooled_prompt_embeds": None}, "no pooled_prompt_embeds; synthetic needs it"),
        ({"prompt_embeds": torch.zeros(7, 5)}, "prompt_embeds is 5 wide; accepted by synthetic"),
        ({"latents_clean": torch.zeros(16, 64)}, "looks packed"),
        ({"latents_clean": torch.zeros(4, 4, 4)}, r"\(1, 4, 4, 4\)"),
        ({"prompt_embeds": torch.full((40, 32), torch.inf)}, "prompt_embeds"),
    ],
)
def test_what_cannot_be_read_is_said(rollout, changes, reason):
    extra = {**rollout.extra(0), **changes}
    with pytest.raises(RuntimeError, match=f"Required sub-reward 'dina' failed: .*{reason}"):
        asyncio.run(Manager(entries()).run_single(rollout.latents[0], extra))


def test_pixels_without_latents_say_which_setting_brings_them(rollout):
    pixels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match=r"dtype torch.uint8.*output_type latent or both"):
        asyncio.run(Manager(entries()).run_single(pixels, rollout.extra(0)))


def test_a_wrong_setting_is_said(rollout):
    with pytest.raises(RuntimeError, match=r"noise_level is 1.5; accepted: numbers in \[0, 1\]"):
        asyncio.run(Manager(entries(noise_level=1.5)).run_single(rollout.latents[0], rollout.extra(0)))
    with pytest.raises(RuntimeError, match=r"There is no reward model 'no-such'"):
        asyncio.run(Manager(entries(model="no-such")).run_single(rollout.latents[0], rollout.extra(0)))


def test_an_ensemble_of_levels_is_one(rollout, model):
    levels = (0.2, 0.5, 0.7)
    found = asyncio.run(gathered(samples(rollout, Manager(entries(noise_level=list(levels))))))
    expected = model.score_latents(rollout.latents, rollout.told, levels)
    assert torch.allclose(scores(found), expected, atol=CLOSE, rtol=0)
