"""Flow-Factory's way of calling: a class by its dotted path, lists of fields, latents of some steps alone."""

import sys
from importlib import import_module

import pytest
import torch
import yaml
from einops import rearrange

from dina_lrm.integrations.scorer import ScoreWarning
from dina_lrm.integrations.shown import files_of

CLOSE = 1e-5  # batches of another size differ by some units of the last place of a score of 4, by the processor


@pytest.fixture
def trainer(trainers):
    return import_module("flow_factory.processor")


def entry(file="in_process.yaml", **changes):
    (found,) = yaml.safe_load(files_of("flow-factory")[file])["rewards"]
    return {**found, **changes}


def samples(rollout, model, stored=(0, 3, 4), steps=4, packed=False, dtype=torch.float32):
    """Samples of a sampler of four steps that keeps the latents of some; the clean one is the fifth."""
    index = torch.full((steps + 1,), -1)
    index[list(stored)] = torch.arange(len(stored))
    found = []
    for row, prompt in enumerate(rollout.prompts):
        states = torch.randn(len(stored), 16, 8, 8, generator=torch.Generator().manual_seed(row))
        if steps in stored:
            states[-1] = rollout.latents[row]
        if packed:
            states = rearrange(states, "k c (h p) (w q) -> k (h w) (c p q)", p=2, q=2)
        pictures = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(row))
        extra = {**rollout.extra(row), "prompt_embeds_mask": None}
        told = {"all_latents": states.to(dtype), "latent_index_map": index, "height": 32, "width": 32}
        found.append({"prompt": prompt, "image": pictures, "video": None, **extra, **told})
    return found


@pytest.mark.parametrize("file", ["in_process.yaml"])
def test_the_shown_configuration_is_understood_and_scores(file, trainer, rollout, model):
    reward = trainer.loaded(entry(file))
    found = trainer.computed(reward, samples(rollout, model))
    assert torch.allclose(found, rollout.scores, atol=CLOSE, rtol=0)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("batch", [1, 5, 12])
def test_no_score_depends_on_the_batch(batch, trainer, rollout, model):
    reward, given = trainer.loaded(entry()), samples(rollout, model)
    found = torch.cat([trainer.computed(reward, given[start : start + batch]) for start in range(0, 12, batch)])
    assert torch.allclose(found, rollout.scores, atol=CLOSE, rtol=0)


def test_a_noisy_last_latent_is_never_read(trainer, rollout, model):
    reward, given = trainer.loaded(entry(max_batch=10)), samples(rollout, model, stored=(0, 2, 3))
    with pytest.warns(ScoreWarning, match=r"latent_index_map\[-1\] is -1\): pictures are read in their place"):
        found = trainer.computed(reward, given)
    pictures = [(sample["image"] * 255).round() / 255 for sample in given]
    assert torch.allclose(found, model.score(torch.stack(pictures), rollout.prompts, 0.4), atol=CLOSE, rtol=0)


def test_without_pictures_either_it_raises(trainer, rollout, model):
    given = [{**sample, "image": None} for sample in samples(rollout, model, stored=(0, 2, 3))]
    with pytest.raises(ValueError, match=r"latent_index_map\[-1\] is -1\), and no image came"):
        trainer.computed(trainer.loaded(entry()), given)


def test_packed_latents_are_unpacked_by_the_size_of_the_pictures(trainer, rollout, model):
    given = samples(rollout, model, packed=True)
    found = trainer.computed(trainer.loaded(entry()), given)
    assert torch.allclose(found, rollout.scores, atol=CLOSE, rtol=0)
    other = [{**sample, "height": 64} for sample in given]
    with pytest.raises(ValueError, match=r"packed latents of shape \(16, 64\) for 64x32 pixels"):
        trainer.computed(trainer.loaded(entry()), other)


def test_latents_stored_in_half_precision_are_scored_in_float32(trainer, rollout, model):
    found = trainer.computed(trainer.loaded(entry()), samples(rollout, model, dtype=torch.bfloat16))
    expected = model.score_latents(rollout.latents.bfloat16().float(), rollout.told, 0.4)
    assert torch.allclose(found, expected, atol=CLOSE, rtol=0)


def test_fields_that_are_none_are_made_up_for(trainer, rollout, model):
    bare = {"prompt_embeds": None, "pooled_prompt_embeds": None}
    given = [{**sample, **bare} for sample in samples(rollout, model)]
    found = trainer.computed(trainer.loaded(entry()), given)
    assert torch.allclose(found, rollout.scores, atol=CLOSE, rtol=0)


def test_a_reward_of_pictures_goes_in_the_same_way(trainer, rollout, model):
    reward = trainer.loaded({**entry(model="sharpness"), "noise_level": None})
    given = [{**sample, "all_latents": None} for sample in samples(rollout, model)]
    with pytest.warns(ScoreWarning, match="no latents came"):
        found = trainer.computed(reward, given)
    assert len(set(found.tolist())) == 12


def test_a_misspelt_key_is_refused_though_the_trainer_takes_any(trainer):
    with pytest.raises(ValueError, match=r"the reward's key 'noise_levle'; accepted: model, noise_level, seed"):
        trainer.loaded(entry(noise_levle=0.2))


def test_what_is_not_finite_is_said(trainer, rollout, model):
    given = samples(rollout, model)
    given[5]["all_latents"][-1, 0] = torch.inf
    with pytest.raises(ValueError, match=r"item 5: .*non-finite values"):
        trainer.computed(trainer.loaded(entry()), given)


def test_without_the_trainer_the_module_imports_and_says_what_is_missing():
    from dina_lrm.integrations import flow_factory

    assert "flow_factory" not in sys.modules
    with pytest.raises(ModuleNotFoundError, match="flow_factory"):
        _ = flow_factory.Dina
    with pytest.raises(AttributeError, match="it offers Dina"):
        _ = flow_factory.Dino
