"""Updates on given pairs: what they begin with, that cuts and orders change nothing, that a stopped run goes on."""

import math
from dataclasses import replace

import pytest
import torch

from dina_lrm.alignment.monitor.records import read_records
from dina_lrm.alignment.pairs.levels import pair_levels
from dina_lrm.rewards.names import load_reward
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.typed import DinaError
from tests.alignment.runs import OWN_PAIRS, PROMPTS, a_generator, a_run, an_algorithm, given_pairs, pairs_algorithm


def gradients(config, pairs=None, step=1):
    algorithm = pairs_algorithm(config, pairs=pairs)
    if pairs is not None:
        algorithm.pairs = pairs
    outcome = algorithm.update(step, lambda: 0.0)
    return outcome, torch.cat([p.grad.flatten() for p in algorithm.generator.parameters.values()])


@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_micro_batches_change_nothing(kind):
    config = OWN_PAIRS[kind]
    whole, expected = gradients(replace(config, micro_batch=4))
    parts, found = gradients(replace(config, micro_batch=1))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * expected.abs().max().item())
    assert parts.loss == pytest.approx(whole.loss, rel=1e-4)
    assert parts.details == pytest.approx(whole.details, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_the_order_of_the_file_and_of_its_sides_changes_nothing(kind):
    generator = a_generator(OWN_PAIRS[kind])
    kto = kind == "kto"
    one, expected = gradients(OWN_PAIRS[kind], given_pairs(generator, kto))
    other, found = gradients(OWN_PAIRS[kind], given_pairs(generator, kto, order=[3, 0, 4, 2, 1], swapped=(0, 2)))
    assert torch.equal(found, expected) and other == one


def test_every_pair_is_learned_from_once_an_epoch():
    algorithm = pairs_algorithm(replace(OWN_PAIRS["dpo"], batch_size=2, micro_batch=2))
    rows = torch.cat([algorithm._rows(step) for step in range(5)])
    assert sorted(rows.tolist()) == sorted([*range(5)] * 2)
    assert sorted(rows[:5].tolist()) == sorted(rows[5:].tolist()) == [*range(5)]


def test_it_begins_at_ln_2_and_looks_begin_at_the_reference():
    config = replace(OWN_PAIRS["dpo"], dpo=replace(OWN_PAIRS["dpo"].dpo, winner_weight=0.0))
    algorithm = pairs_algorithm(config, a_generator(config))
    assert algorithm.update(0, lambda: 0.0).loss == pytest.approx(math.log(2), abs=1e-5)
    found = algorithm.watch()
    assert found == {"winner_change": 0.0, "loser_change": 0.0, "pair_accuracy": 0.5}
    moved = pairs_algorithm(config).watch()
    assert moved["winner_change"] != 0 and 0 <= moved["pair_accuracy"] <= 1


@pytest.mark.parametrize("kind", ["dpo"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(kind, tmp_path):
    whole, half = tmp_path / "whole", tmp_path / "half"
    a_run(OWN_PAIRS[kind], whole)
    a_run(OWN_PAIRS[kind], half, stop_after=3)
    a_run(OWN_PAIRS[kind], half, resume=True)
    for file in ("metrics.jsonl", "monitor.jsonl", "prompts.json", "lora/pytorch_lora_weights.safetensors"):
        assert (half / file).read_bytes() == (whole / file).read_bytes(), file
    assert "winner_change" in read_records(whole)[-1].extra
    with pytest.raises(ValueError, match="started with other settings: dpo"):
        a_run(OWN_PAIRS["ipo"], half, resume=True)


def test_the_reward_filters_or_labels_and_never_both():
    config = OWN_PAIRS["dpo"]
    with_use = lambda use: replace(config, dpo=replace(config.dpo, reward=use))  # noqa: E731
    generator = a_generator(config)
    pairs = given_pairs(generator)
    kept = pairs_algorithm(with_use("filters"), generator, pairs).pairs
    gone = kept.left_out.counts["where the reward prefers the other picture"]
    assert len(kept.trained) + gone == len(pairs.trained) == 5 and gone < 5
    labelled = pairs_algorithm(with_use("labels"), generator, pairs).pairs.trained
    a, b = (labelled.image_a[0].item(), labelled.image_b[0].item())
    reward = load_reward(config.rewards[0].name, generator, config.rewards[0].noise_level).bound_to(generator)
    data, prompt = pairs.data, PROMPTS[labelled.prompt[0]]
    latents = data.latents[labelled.bucket_a[0]].rows(torch.tensor([a, b]))["latents"]
    with torch.no_grad():
        first, second = reward(latents, [prompt, prompt], 0)
    assert labelled.preference[0] == pytest.approx(reward.preferred(first - second, None).item(), abs=1e-5)
    with pytest.raises(DinaError, match=r"dpo.reward: got 'labels'; accepted: .*labels with one reward latent:MODEL"):
        replace(with_use("labels"), rewards=(RewardTerm("sharpness"),))


def test_levels_rise_with_their_numbers_towards_noise_by_the_shift_of_the_generator():
    generator = a_generator(OWN_PAIRS["dpo"])
    uniform = (torch.arange(1000).double().numpy() + 0.5) / 1000
    level = pair_levels(generator, uniform)
    assert bool((level.diff() >= 0).all()) and level.min() >= 0.01 and level.max() <= 0.99
    s = generator.shift
    assert level.median() == pytest.approx(s / (1 + s), abs=2e-3)
    assert pair_levels(generator, uniform, "elbo").min() >= 0.02
    unet = a_generator(OWN_PAIRS["dpo"], "synthetic-unet")
    assert pair_levels(unet, uniform).mean() == pytest.approx(0.5, abs=1e-3)


def test_what_pairs_alone_can_do_is_refused_without_them(tmp_path):
    with pytest.raises(ValueError, match=r"dpo.kind: got 'kto'; accepted: dpo or ipo, or --pairs"):
        an_algorithm(OWN_PAIRS["kto"])
    config = OWN_PAIRS["dpo"]
    with pytest.raises(ValueError, match=r"dpo.reward: got 'filters'; accepted: judges, or --pairs"):
        an_algorithm(replace(config, dpo=replace(config.dpo, reward="filters")))
    with pytest.raises(ValueError, match=r"dpo.weighting: elbo for a VariancePreserving"):
        elbo = replace(config, dpo=replace(config.dpo, weighting="elbo"), rewards=(RewardTerm("sharpness"),))
        pairs_algorithm(elbo, a_generator(config, "synthetic-unet"))
