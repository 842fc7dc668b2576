"""A reward model that is scored from several threads: the scores are those of one, to the bit, whoever asks when."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import torch
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.turn import turn
from dina_lrm.generators.generator import Generator
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.world import bundled_pipeline
from tests.models import some_images

pytestmark = pytest.mark.filterwarnings("ignore::dina_lrm.reward_model.inputs.ResizeWarning")
PROMPTS = ["a small red ring on white", "two large blue bars on black", "a green cross", "a red disc"]
THREADS, TASKS = 4, 12
LATENT = (16, 8, 8)


def at_once(work: Callable[[int], Any], threads: int) -> list[Any]:
    """`work` of each number, a thread each for as many as there are."""
    barrier = Barrier(threads)

    def begun_together(number: int) -> Any:
        # What a thread computes with must not depend on the thread
        torch.set_num_threads(1)
        if number < threads:
            barrier.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begun_together, range(TASKS)))


@pytest.fixture(scope="module", params=["alone", "shared"])
def model(request):
    pipeline = bundled_pipeline() if request.param == "shared" else None
    return LatentRewardModel.from_pretrained("synthetic", pipeline=pipeline)


def test_scores_of_threads_are_those_of_one(model):
    images, latents = some_images(TASKS), torch.randn(TASKS, 1, *LATENT, generator=torch.Generator().manual_seed(0))
    conditioning = model.encode_prompts(PROMPTS)

    def work(number: int) -> tuple[Tensor, ...]:
        kind, prompt = number % 3, number % len(PROMPTS)
        if kind == 0:
            return (model.score(images[number], PROMPTS[prompt], noise_level=(0.2, 0.5)),)
        if kind == 1:
            return (model.score_noisy(latents[number], 0.3, conditioning[[prompt]]),)
        clean = latents[number].clone().requires_grad_()
        score = model.score_latents(clean, conditioning[[prompt]])
        return (score.detach(), *torch.autograd.grad(score.sum(), clean))

    alone, together = at_once(work, 1), at_once(work, THREADS)
    for one, other in zip(alone, together, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert len({float(found[0][0]) for found in alone}) == TASKS
    assert not any(module.training for module in model.modules())


def test_two_models_and_the_generator_they_share_take_turns():
    generator = Generator(bundled_pipeline(), 32, 2, 4.0)
    models = [LatentRewardModel.from_pretrained("synthetic", pipeline=generator.pipeline) for _ in range(2)]
    assert turn(models[0].backbone.owner) is turn(models[1].backbone.owner) is turn(generator.model)
    x, conditioning = generator.noise([1]), generator.encode_prompts(PROMPTS[:1])

    def work(number: int) -> Tensor:
        if number % 3 == 2:
            with torch.no_grad():
                return generator.velocity(x, torch.tensor(0.5), conditioning)
        return models[number % 3].score_noisy(x, 0.1 + number / 20, conditioning)

    for one, other in zip(at_once(work, 1), at_once(work, THREADS), strict=True):
        assert torch.equal(one, other)


def test_a_fault_in_one_thread_leaves_the_turn_to_the_others(model):
    conditioning = model.encode_prompts(PROMPTS[:1])

    def work(number: int) -> Tensor | None:
        latents = torch.zeros(1, *LATENT)
        if number % 2:
            with pytest.raises(ValueError, match="needs pooled_prompt_embeds"):
                model.score_latents(latents, Conditioning(conditioning.prompt_embeds))
            return None
        return model.score_latents(latents, conditioning)

    found = [scores for scores in at_once(work, THREADS) if scores is not None]
    assert all(torch.equal(scores, found[0]) for scores in found)
