"""The jobs of a reward model that is at hand, as the library itself does them: scoring, training, one ReFL step.

ReFL (paper, algorithm 2): one velocity prediction of the generator with gradient, the clean estimate
`x_0 = x_t - sigma v`, its reward, and the way back into a LoRA of rank 32 on the generator's attention.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn
from torch.nn import functional as F

from dina_lrm.alignment.algorithms.refl_loss import refl_loss
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.buckets import Bucket
from dina_lrm.data.cache.batch import ComparisonBatch
from dina_lrm.generators.generator import Generator
from dina_lrm.profiling.pixel_judges import clip_vision, pixel_judge
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.processes import Processes
from dina_lrm.training.batching import MicroBatch, StepInputs
from dina_lrm.training.config import TrainConfig
from dina_lrm.training.step import Stepper

PROMPT = "a large red bar on white"
PIXEL_REWARD = "clip-b32"
"""The reward set beside the latent one; its weights are random, which changes nothing about its cost."""
_LATE = 0.2
"""Noise level of the ReFL step, one of the last of a sampling run."""


@dataclass(frozen=True)
class Workload:
    """A job, a call that does it, and the modules whose weights stand in memory meanwhile."""

    job: str
    run: Callable[[], object]
    modules: tuple[nn.Module, ...]


def scoring(model: LatentRewardModel, batch: int, levels: int) -> list[Workload]:
    """Encoding, and scoring `batch` items: latents at one level and at several, images and prompts."""
    images, prompts = _images(model, batch), [PROMPT] * batch
    latents, conditioning = model.encode_images(images, batch_size=batch), model.encode_prompts(prompts)
    ensemble = tuple(0.1 + 0.6 * i / max(levels - 1, 1) for i in range(levels))
    calls: dict[str, Callable[[], object]] = {
        "encode images": lambda: model.encode_images(images, batch_size=batch),
        "encode prompts": lambda: model.backbone.encode_prompts(prompts),
        "score latents, one level": lambda: model.score_latents(latents, conditioning),
        f"score latents, {levels} levels": lambda: model.score_latents(latents, conditioning, ensemble),
        "score images and prompts": lambda: model.score(images, prompts, batch_size=batch),
    }
    return [Workload(job, run, (model,)) for job, run in calls.items()]


def training(model: LatentRewardModel, batch: int) -> Workload:
    """A step of the trainer on `batch` pairs: forward, backward, clipping, AdamW and the moving average.

    `model` is one loaded with `trainable=True`.
    """
    latents = model.encode_images(_images(model, 2 * batch), batch_size=2 * batch)
    conditioning = model.encode_prompts([PROMPT] * (2 * batch))
    first = torch.arange(0, 2 * batch, 2)
    pairs = ComparisonBatch.of_one_size(
        latents.cpu(),
        conditioning.to("cpu"),
        first,
        first + 1,
        torch.arange(2 * batch) // 2,
        torch.ones(batch),
        torch.ones(batch),
    )
    levels = torch.rand(batch, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(batch, *latents.shape[1:], generator=torch.Generator().manual_seed(0))
    micro = MicroBatch([str(i) for i in range(batch)], pairs, levels, [noise])
    processes = Processes(cpu=model.device.type == "cpu")
    folder = Path(tempfile.gettempdir())  # for a report of values that are not finite
    step = Stepper(TrainConfig(batch_size=batch), model, 1_000, processes, folder)
    return Workload("train, one step", lambda: step(StepInputs(0, [micro], float(batch))), (model,))


class ReflSteps:
    """The step with gradient of ReFL, on a generator whose weights the reward model shares."""

    def __init__(self, name: str, pipeline: DiffusionPipeline) -> None:
        self.model = model = LatentRewardModel.from_pretrained(name, pipeline)
        pipeline.vae.requires_grad_(False)
        length = model.config.backbone.prompt_length
        self._generator = generator = Generator(pipeline, _bucket(model).width, prompt_length=length)
        self._modules: tuple[nn.Module, ...] = (generator.model, model.head)
        self._optimizer = torch.optim.AdamW(generator.parameters.values(), lr=3e-5)
        vit, side = pixel_judge(PIXEL_REWARD).vit, pixel_judge(PIXEL_REWARD).side
        assert vit is not None
        self._vae = pipeline.vae
        self._judge = clip_vision(vit, side).to(model.device).requires_grad_(False)
        self._judge_side = side

    def workloads(self, batch: int) -> list[Workload]:
        """The rewards by themselves, with the way back to the clean estimate, and the whole steps."""
        model = self.model
        latents = model.encode_images(_images(model, batch), batch_size=batch)
        conditioning = model.encode_prompts([PROMPT] * batch)
        pixel_modules = (self._vae, self._judge)

        def latent(clean: Tensor) -> Tensor:
            return model.score_latents(clean, conditioning)

        rows = []
        for name, reward, modules in (
            ("latent", latent, self._modules),
            (PIXEL_REWARD, self._pixel_reward, pixel_modules),
        ):
            alone = _reward_alone(reward, latents)
            rows.append(Workload(f"ReFL reward, {name}", alone, modules))
            step = self._step(reward, latents, conditioning)
            rows.append(Workload(f"ReFL step, {name}", step, tuple({*self._modules, *modules})))
        return rows

    def _step(
        self, reward: Callable[[Tensor], Tensor], latents: Tensor, conditioning: Conditioning
    ) -> Callable[[], None]:
        generator, level = self._generator, torch.tensor(_LATE)
        noise = generator.noise(range(len(latents)))
        noisy = generator.process.add_noise(latents, noise.to(latents), level.to(latents.device))

        def run() -> None:
            velocity = generator.velocity(noisy, level, conditioning)
            clean = generator.process.clean_from_velocity(noisy, velocity.float(), level.to(noisy.device))
            refl_loss(reward(clean)).backward()
            self._optimizer.step()
            self._optimizer.zero_grad()

        return run

    def _pixel_reward(self, clean: Tensor) -> Tensor:
        pixels = self.model.backbone.decode_latents(clean).clamp(-1, 1)
        side = (self._judge_side, self._judge_side)
        scaled = F.interpolate(pixels, side, mode="bicubic", antialias=True)
        return self._judge(pixel_values=scaled).pooler_output.mean(dim=1)


def _reward_alone(reward: Callable[[Tensor], Tensor], latents: Tensor) -> Callable[[], None]:
    clean = latents.detach().clone().requires_grad_()

    def run() -> None:
        clean.grad = None
        reward(clean).mean().backward()

    return run


def _images(model: LatentRewardModel, batch: int) -> Tensor:
    bucket = _bucket(model)
    return torch.rand(batch, 3, bucket.height, bucket.width, generator=torch.Generator().manual_seed(0))


def _bucket(model: LatentRewardModel) -> Bucket:
    """The largest square size of images, or the first size where there is none."""
    squares = (bucket for bucket in model.buckets if bucket.width == bucket.height)
    return max(squares, key=lambda bucket: bucket.pixels, default=model.buckets[0])
