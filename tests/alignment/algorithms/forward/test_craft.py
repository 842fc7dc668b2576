"""CRAFT: what is drawn once, what is kept of it, and what is refused."""

from dataclasses import replace

import pytest
import torch

from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import CRAFT, an_algorithm, updated

LATENT, SHARP = RewardTerm("latent:synthetic", noise_level=0.2), RewardTerm("sharpness", weight=0.0)


def drawn(config=CRAFT, **changes):
    return an_algorithm(replace(config, craft=replace(config.craft, **changes)))._drawn()


def test_samples_above_their_prompt_are_kept_and_drawn_again_alike():
    kept, again = drawn(), drawn()
    assert torch.equal(kept.latents, again.latents) and kept.prompts == again.prompts
    assert (kept.advantage > 0).all() and kept.kept_reward > kept.reward
    assert len(kept.prompts) == kept.passed < kept.drawn == 9


def test_the_first_sample_of_a_prompt_beats_no_itself():
    assert drawn(baseline="first", candidates=4).passed <= 9


def test_a_reward_of_weight_0_filters_and_weighs_nothing():
    both = replace(CRAFT, rewards=(LATENT, SHARP))
    strict, one = drawn(both), drawn(both, at_least=1)
    assert strict.passed <= drawn().passed <= one.passed
    assert strict.reward == pytest.approx(drawn().reward)


def test_an_update_matches_what_was_kept_and_nothing_else_is_scored():
    algorithm = an_algorithm(CRAFT)
    outcome = algorithm.update(0, lambda: 1.0)
    assert 0 < outcome.details["kept"] <= outcome.details["passed"] < 1 and outcome.loss > 0
    algorithm.objective = None
    assert algorithm.update(1, lambda: 1.0).reward == outcome.reward
    assert updated(CRAFT).gradient_norm > 0


def test_nothing_kept_names_the_reward_and_settings_that_cannot_be_are_refused():
    flat = replace(CRAFT, rewards=(RewardTerm("python:tests.rewards.functions.constant"),))
    with pytest.raises(ValueError, match=r"none of 9 samples .* python:tests\.rewards\.functions\.constant rejected 9"):
        an_algorithm(flat)._drawn()
    with pytest.raises(ValueError, match=r"craft\.at_least.*2; accepted: 1 to 1 rewards"):
        replace(CRAFT, craft=replace(CRAFT.craft, at_least=2))
    with pytest.raises(ValueError, match=r"craft\.candidates.*1; accepted: at least two"):
        replace(CRAFT.craft, candidates=1)
