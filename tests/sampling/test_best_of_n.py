"""Best-of-N on the bundled worlds: the pipeline's own samples, laws of N, cuts, what is counted and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dina_lrm.generators.generator import Generator
from dina_lrm.sampling.best_of_n import best_of_n
from dina_lrm.sampling.guidance import RewardGuidance, guided_velocity
from dina_lrm.sampling.ledger import Evaluations, UnitFlops, unit_flops
from dina_lrm.sampling.noise_search import NoiseSearch, noise_search
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.pruning import Cut, Pruning, step_at, survivors
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.sampling.selection import SamplingPlan
from dina_lrm.synthetic.world import bundled_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
PROMPTS = ["a small red ring on white", "two large blue bars on black"]
PLAN = SamplingPlan(n=4, steps=3, batch_size=6)
LATENT = RewardTerm("latent:synthetic")


def a_generator(name="synthetic", guidance=3.0):
    return Generator(bundled_pipeline(name), 32, 1, 1.0, 0, guidance)


@pytest.fixture(scope="module")
def generator():
    return a_generator()


@pytest.fixture(scope="module")
def objective(generator):
    return Objective(generator, (LATENT,))


@pytest.fixture(scope="module")
def plain(generator, objective):
    return best_of_n(generator, objective, PROMPTS, PLAN)


@pytest.mark.parametrize("name", ["synthetic", "synthetic-unet"])
def test_one_sample_is_that_of_the_plain_pipeline(name):
    generator = a_generator(name)
    objective = Objective(generator, (RewardTerm("sharpness"),))
    (found,) = best_of_n(generator, objective, PROMPTS[:1], replace(PLAN, n=1))
    own = {"max_sequence_length": 0} if name == "synthetic" else {}
    image = bundled_pipeline(name)(
        PROMPTS[0], num_inference_steps=3, guidance_scale=3.0, height=32, width=32,
        latents=generator.noise([found.candidates[0].seed]), output_type="np", **own,
    ).images[0]  # fmt: skip
    with torch.no_grad():
        ours = generator.images(found.latents)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - image).max() <= 1 / 255
    assert found.spent == Evaluations(generator=6, reward=1, decoder=1)


def test_the_best_of_more_is_no_worse_and_starts_with_the_same_candidates(generator, objective, plain):
    fewer = best_of_n(generator, objective, PROMPTS, replace(PLAN, n=2, batch_size=64))
    for few, many in zip(fewer, plain, strict=True):
        assert [c.seed for c in few.candidates] == [c.seed for c in many.candidates[:2]]
        torch.testing.assert_close(
            [c.score for c in few.candidates], [c.score for c in many.candidates[:2]], atol=1e-3, rtol=1e-3
        )
        assert many.score >= few.score - 1e-3 and many.score == max(c.score for c in many.candidates)
    assert plain[0].candidates[0].seed != plain[1].candidates[0].seed


def test_the_chosen_latents_are_those_that_were_scored(generator, objective, plain):
    with torch.no_grad():
        again = objective(torch.cat([one.latents for one in plain]), PROMPTS).total
    torch.testing.assert_close(again, torch.tensor([one.score for one in plain]), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("reading", ["clean", "noisy"])
def test_a_cut_that_keeps_all_changes_nothing_and_one_that_keeps_few_costs_less(generator, objective, plain, reading):
    all_kept = best_of_n(generator, objective, PROMPTS, PLAN, Pruning((Cut(1, keep=4),), reading))
    assert [one.chosen for one in all_kept] == [one.chosen for one in plain]
    few = best_of_n(generator, objective, PROMPTS, PLAN, Pruning((Cut(1, keep=3), Cut(2, keep=1)), reading))
    paid = {"clean": 4 + 4 + 3, "noisy": 4 + 3 + 1}[reading]
    for pruned, whole, best in zip(few, all_kept, plain, strict=True):
        assert pruned.spent == Evaluations(generator=2 * paid, reward=4 + 3 + 1)
        on_the_way = [candidate.step_scores[1] for candidate in whole.candidates]
        dropped = int(np.argmin(on_the_way))
        assert pruned.candidates[dropped].score is None and set(pruned.candidates[dropped].step_scores) == {1}
        left = pruned.candidates[pruned.chosen]
        assert left.score == pytest.approx(best.candidates[pruned.chosen].score, abs=1e-3)


def test_survivors_by_hand():
    scores, owners = torch.tensor([1.0, 3.0, 2.0, 5.0, 5.0, 4.9]), torch.tensor([0, 0, 0, 1, 1, 1])

    def kept(**rule):
        return survivors(scores, owners, Cut(0, **rule)).tolist()

    assert kept(keep=1) == [1, 3]  # of equals the first
    assert kept(keep=2) == [1, 2, 3, 4]
    assert kept(within=0.2) == [1, 3, 4, 5]
    assert kept(within=1.0, keep=2) == [1, 2, 3, 4]
    assert kept(within=0.0) == [1, 3, 4]


def test_a_noise_level_is_the_step_that_starts_there_or_below():
    levels = torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0])
    assert [step_at(levels, level) for level in (1.0, 0.8, 0.75, 0.3)] == [0, 1, 1, 3]
    with pytest.raises(ValueError, match=r"cut at noise level 0\.2; accepted: levels from 0\.25"):
        step_at(levels, 0.2)


def test_guidance_points_up_the_gradient_and_no_further_than_it_was_told(generator, objective):
    x, level = generator.noise([1, 2]), generator.levels(4)[2]
    conditioning = generator.encode_prompts(PROMPTS)
    with torch.no_grad():
        velocity = generator.velocity(x, level, conditioning, 3.0)
        moved = guided_velocity(generator, objective, x, velocity, level, PROMPTS, conditioning, 0.02)
        before, after = (generator.process.clean_from_velocity(x, v, level) for v in (velocity, moved))
        size = (after - before).square().mean(dim=(1, 2, 3)).sqrt()
        torch.testing.assert_close(size, torch.full((2,), 0.02), atol=1e-5, rtol=1e-3)
        gain = objective(after, PROMPTS).total - objective(before, PROMPTS).total
    assert (gain > 0).all()


def test_guided_samples_score_higher_and_their_gradients_are_counted(generator, objective, plain):
    guided = best_of_n(generator, objective, PROMPTS, PLAN, guidance=RewardGuidance(0.1, lowest=0.3, highest=0.8))
    steps = sum(0.3 <= level <= 0.8 for level in generator.levels(3)[:-1].tolist())
    for one, best in zip(guided, plain, strict=True):
        assert one.spent == best.spent + Evaluations(reward_gradient=4 * steps)
        assert one.score > best.score


def test_the_search_goes_on_from_its_best_and_with_radius_1_is_best_of_n(generator, objective, plain):
    found = noise_search(generator, objective, PROMPTS, PLAN, NoiseSearch(width=2, radius=1.0))
    assert [one.chosen for one in found] == [one.chosen for one in plain]
    assert [one.spent for one in found] == [one.spent for one in plain]
    near = noise_search(generator, objective, PROMPTS, PLAN, NoiseSearch(width=2, radius=0.05))
    for one, best in zip(near, plain, strict=True):
        scores = [candidate.score for candidate in one.candidates]
        start = max(scores[:2])
        assert one.score >= start and scores[:2] == pytest.approx([c.score for c in best.candidates[:2]], abs=1e-3)
        assert max(abs(score - start) for score in scores[2:]) < 0.5  # a small step from the best
    with torch.no_grad():
        again = objective(torch.cat([one.latents for one in near]), PROMPTS).total
    torch.testing.assert_close(again, torch.tensor([one.score for one in near]), atol=1e-3, rtol=1e-3)


def test_flops_are_counted_by_kind(generator, objective):
    units = unit_flops(generator, objective, 4, PROMPTS[0])
    assert units.head is None  # the bundled reward has a LoRA
    assert units.generator > 0 and units.decoder > 0 and units.reward_gradient > 1.5 * units.reward
    assert units.total(Evaluations(2, 3, 4, 0, 5)) == (
        2 * units.generator + 3 * units.reward + 4 * units.reward_gradient + 5 * units.decoder
    )
    with pytest.raises(ValueError, match="head was evaluated"):
        UnitFlops(1, 1, 1, None, 1).total(Evaluations(head=1))
    pixels = unit_flops(generator, Objective(generator, (RewardTerm("sharpness"),)), 4, PROMPTS[0])
    assert pixels.reward < pixels.decoder == units.decoder  # the decoder is counted by itself


def test_bad_input_is_refused_before_anything_is_sampled(generator, objective):
    def refused(match, prompts=PROMPTS, plan=PLAN, pruning=None, objective=objective):
        with pytest.raises(ValueError, match=match):
            best_of_n(generator, objective, prompts, plan, pruning, report=lambda *_: pytest.fail("it sampled"))

    refused("prompts: got none", prompts=[])
    refused("prompt 1 is empty", prompts=["a ring", " "])
    refused("longer than the text encoders read", prompts=["a small red ring right of a large blue bar " * 5])
    refused("keep: got 5; accepted: at most 4", pruning=Pruning((Cut(1, keep=5),)))
    refused("keep: got 3; accepted: at most 2", pruning=Pruning((Cut(1, keep=2), Cut(2, keep=3))))
    refused("step: got 3; accepted: at most 2", pruning=Pruning((Cut(3, keep=1),)))
    pixels = Objective(generator, (RewardTerm("sharpness"),))
    for reading in ("noisy", "in-pass"):
        refused("sharpness; accepted: one reward latent", pruning=Pruning((Cut(1, 1),), reading), objective=pixels)
    refused("needs a pass of its own", pruning=Pruning((Cut(1, 1),), "in-pass"))
    with pytest.raises(ValueError, match="n: got 0"):
        SamplingPlan(n=0)
    with pytest.raises(ValueError, match="one of them or both"):
        Cut(1)
    with pytest.raises(ValueError, match="at steps that rise"):
        Pruning((Cut(2, 1), Cut(1, 1)))
    with pytest.raises(ValueError, match="a divisor of n = 4"):
        noise_search(generator, objective, PROMPTS, PLAN, NoiseSearch(width=3))
    with pytest.raises(ValueError, match="radius"):
        NoiseSearch(radius=0.0)
    with pytest.raises(ValueError, match="strength"):
        RewardGuidance(float("nan"))


def test_a_score_that_is_not_finite_stops_the_run_with_its_prompt():
    generator = a_generator()
    objective = Objective(generator, (LATENT,))
    with torch.no_grad():
        for parameter in objective.rewards[0].model.head.parameters():
            parameter.fill_(float("nan"))
    for pruning in (None, Pruning((Cut(1, 1),), "noisy")):
        with pytest.raises(ValueError, match="nan for 'a small red ring on white'"):
            best_of_n(generator, objective, PROMPTS, replace(PLAN, n=1, steps=2), pruning)
