"""A reward's gradient through more of the sampler: each way against the others where they have to agree."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from dina_lrm.alignment.algorithms.refl_settings import ReflSettings
from dina_lrm.alignment.algorithms.through.drtune import chosen_steps, drtune_backward, velocity_weights
from dina_lrm.diffusion.process import RectifiedFlow
from dina_lrm.generators.kernels import Ode
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import REFL, a_generator, an_algorithm, updated, with_rewards

UNGUIDED = replace(REFL, batch_size=2, generator=replace(REFL.generator, guidance=1.0))
HELD = {"kl_weight": 2.0, "pretraining_weight": 1.5, "pretraining_samples": 2}


def through(way, count=1, config=UNGUIDED, **changes):
    return replace(config, refl=replace(config.refl, through=way, through_steps=count, **changes))


def pulled(config, name=None):
    """The outcome and the gradient of an update of a LoRA that has learned something."""
    generator = a_generator(config, name)
    with torch.no_grad():
        for parameter in generator.parameters.values():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    outcome = updated(config, generator)
    return outcome, torch.cat([p.grad.flatten() for p in generator.parameters.values()])


@pytest.fixture(scope="module")
def of_last():
    return pulled(through("one", first=3, last=3, **HELD))


@pytest.mark.parametrize("way", ["draft", "drtune"])
def test_the_last_step_alone_is_refl_there(way, of_last):
    """With the pull to the base and the pretraining loss."""
    expected, gradient = of_last
    found, own = pulled(through(way, **HELD))
    torch.testing.assert_close(own, gradient, rtol=1e-4, atol=1e-6)
    assert (found.reward, found.loss) == pytest.approx((expected.reward, expected.loss), rel=1e-4)


def test_the_last_step_of_a_generator_of_noise_is_the_same_by_both():
    """Its sampler ends before level 0, so that the clean estimate of `one` is another picture."""
    generator = replace(UNGUIDED.generator, sampling_steps=2)
    pixels = with_rewards(replace(UNGUIDED, generator=generator, refl=ReflSettings(first=0, last=1)), "cnn")
    draft, drtune = (pulled(through(way, 1, pixels), "synthetic-unet")[1] for way in ("draft", "drtune"))
    assert draft.norm() > 0
    torch.testing.assert_close(drtune, draft, rtol=1e-3, atol=1e-5)


def test_steps_are_held_near_the_base_each_by_itself():
    far = replace(UNGUIDED, rewards=(RewardTerm("sharpness", weight=0.0),))
    (one, gradient), (other, same) = (pulled(through(way, 3, far, kl_weight=1.0)) for way in ("drtune", "draft"))
    assert one.loss == pytest.approx(other.loss, rel=1e-4) and one.loss > 0
    torch.testing.assert_close(gradient, same, rtol=1e-4, atol=1e-7)


class Chain:
    """A toy sampler of a linear velocity, in float64."""

    def __init__(self, process, levels, of_state=True):
        torch.manual_seed(0)
        self.process, self.levels, self.of_state = process, levels, of_state
        self.net = nn.Linear(4, 4).double()
        self.start = torch.randn(2, 1, 2, 2, dtype=torch.float64)

    def velocity(self, x, k):
        shape = x.shape
        seen = x.flatten(1) if self.of_state else torch.full((len(x), 4), 0.1 * (k + 1), dtype=torch.float64)
        return self.net(seen).tanh().reshape(shape)

    def sampled(self, held=False):
        x, states = self.start, []
        for k in range(len(self.levels) - 1):
            states.append(x.detach())
            v = self.velocity(x.detach() if held else x, k)
            x = Ode().step(self.process, x, v, self.levels[k], self.levels[k + 1]).mean
        return x, states

    def gradients(self):
        found = [p.grad.clone() for p in self.net.parameters()]
        self.net.zero_grad()
        return found


def of_drtune(chain, chosen):
    with torch.no_grad():
        clean, states = chain.sampled()
    leaf = clean.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(leaf.sin().sum(), leaf)
    weights = velocity_weights(chain.process, chain.levels)
    drtune_backward(lambda k: chain.velocity(states[k], k), gradient, weights, chosen)
    return chain.gradients()


@pytest.fixture(params=["flow", "noise"])
def process(request):
    return RectifiedFlow() if request.param == "flow" else a_generator(name="synthetic-unet").process


def test_passes_of_each_step_are_one_graph_with_held_inputs(process):
    chain = Chain(process, torch.tensor([0.95, 0.7, 0.4, 0.0], dtype=torch.float64))
    chain.sampled(held=True)[0].sin().sum().backward()
    expected = chain.gradients()
    for one, two in zip(of_drtune(chain, range(3)), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-9)


def test_all_steps_are_the_whole_gradient_of_a_velocity_that_does_not_read_its_state(process):
    chain = Chain(process, torch.tensor([0.95, 0.7, 0.4, 0.0], dtype=torch.float64), of_state=False)
    chain.sampled()[0].sin().sum().backward()
    for one, two in zip(chain.gradients(), of_drtune(chain, range(3)), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-9)


def test_weights_of_a_flow_are_its_steps():
    levels = torch.tensor([1.0, 0.6, 0.25, 0.0])
    torch.testing.assert_close(velocity_weights(RectifiedFlow(), levels), levels.diff())


def test_steps_are_spread_evenly_and_end_with_the_last():
    assert chosen_steps(10, 1) == (9,) and chosen_steps(10, 3) == (9, 6, 3)
    assert chosen_steps(4, 4) == (3, 2, 1, 0)
    assert all(len(set(chosen_steps(20, count))) == count for count in range(1, 21))


def test_the_reward_of_a_noisy_state_trains_any_step_but_the_last():
    """Of a guided generator too: the steps before are guided, the one with gradient is not."""
    config = through("prfl", config=REFL, first=1, last=3, shaping="relu", scale=0.1)
    assert an_algorithm(config)._way.steps == range(1, 3)
    outcome, gradient = pulled(replace(config, batch_size=2))
    assert gradient.norm() > 0 and outcome.reward < 2
    assert outcome.loss == pytest.approx(0.1 * (2 - outcome.reward), rel=1e-4)


def test_what_cannot_be_meant_is_refused_by_name():
    for way in ("draft", "drtune"):
        with pytest.raises(ValueError, match=rf"refl.through: {way} with guidance 3; accepted: --generator.guidance 1"):
            an_algorithm(through(way, config=REFL))
    with pytest.raises(ValueError, match=r"refl.through_steps: got 5; accepted: at most 4 sampling steps"):
        through("draft", 5)
    with pytest.raises(ValueError, match=r"refl.first: got 3; accepted: at most 2 with refl.through prfl"):
        through("prfl", first=3, last=3)
    with pytest.raises(ValueError, match=r"refl.through prfl scores of unfinished samples: got sharpness"):
        an_algorithm(with_rewards(through("prfl"), "sharpness"))
