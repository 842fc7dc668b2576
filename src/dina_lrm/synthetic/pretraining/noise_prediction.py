"""The U-Net and its text encoder by prediction of the noise (Ho et al., 2020, arXiv 2006.11239, Eq. 14)."""

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from torch import Tensor, nn

from dina_lrm.diffusion.from_scheduler import process_from_scheduler
from dina_lrm.synthetic.draws import corpus
from dina_lrm.synthetic.pretraining.autoencoder import unscaled_latents
from dina_lrm.synthetic.pretraining.config import UnetConfig
from dina_lrm.synthetic.pretraining.flow import fast_arithmetic, optimizer_of
from dina_lrm.synthetic.pretraining.loop import Report, Schedule, Stage


def noise_prediction_loss(
    pipeline: StableDiffusionPipeline, x_0: Tensor, tokens: Tensor, generator: torch.Generator
) -> Tensor:
    """Mean squared error of the noise at whole timesteps, each as likely as the others."""
    process = process_from_scheduler(pipeline.scheduler)
    timestep = torch.randint(process.num_train_timesteps, (len(x_0),), generator=generator)
    noise = torch.randn(x_0.shape, generator=generator)
    x_t = process.add_noise(x_0, noise, process.noise_level_from_timestep(timestep))
    embeds = pipeline.text_encoder(tokens)[0]
    return F.mse_loss(pipeline.unet(x_t, timestep, embeds, return_dict=False)[0], noise)


def train_unet(
    pipeline: StableDiffusionPipeline, config: UnetConfig, seed: int, folder: Path, every: float, report: Report
) -> float:
    """Train U-Net and text encoder in place, leave the averaged weights in them; returns the smoothed loss."""
    images, captions = corpus(config.images, seed + 3, config.mismatched, config.damaged)
    latents = unscaled_latents(pipeline.vae, images) * pipeline.vae.config.scaling_factor
    ids = pipeline.tokenizer([*captions, ""], padding="max_length", truncation=True, return_tensors="pt").input_ids
    tokens, empty = ids[:-1], ids[-1]
    trained = nn.ModuleList([pipeline.unet, pipeline.text_encoder]).train()

    def loss_of(rows: Tensor, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        dropped = torch.rand(len(rows), generator=generator) < config.prompt_dropout
        with fast_arithmetic():
            prompts = torch.where(dropped[:, None], empty, tokens[rows])
            return noise_prediction_loss(pipeline, latents[rows], prompts, generator)

    schedule = Schedule(config.steps, config.batch_size, config.learning_rate, config.warmup, config.ema)
    stage = Stage("unet", trained, optimizer_of(trained, config.learning_rate), schedule, folder)
    loss = stage.run(len(latents), seed, loss_of, every, report)
    trained.eval()
    return loss
