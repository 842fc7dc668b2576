"""First stage: the autoencoder. It sees every defect: one that it drops could not be judged in latent space."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from einops import rearrange
from torch import Tensor

from dina_lrm.synthetic.defects import DEFECTS
from dina_lrm.synthetic.draws import corpus
from dina_lrm.synthetic.pretraining.config import VaeConfig
from dina_lrm.synthetic.pretraining.loop import Report, Schedule, Stage


def to_pixels(images: np.ndarray) -> Tensor:
    """(n, H, W, 3) bytes to (n, 3, H, W) float32 in [-1, 1]."""
    return rearrange(torch.from_numpy(images), "n h w c -> n c h w").float() / 127.5 - 1


def damaged_pixels(n: int, seed: int) -> Tensor:
    """Pictures as the autoencoder sees them: half of them with a defect of any kind."""
    return to_pixels(corpus(n, seed, mismatch=0.3, defect=0.5, kinds=tuple(DEFECTS))[0])


def train_autoencoder(
    vae: AutoencoderKL, config: VaeConfig, seed: int, folder: Path, every: float, report: Report
) -> float:
    """Train in place; returns the mean PSNR in dB on held-out pictures."""
    pixels = damaged_pixels(config.images, seed + 1)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=config.learning_rate, weight_decay=1e-4, betas=(0.9, 0.99))

    def loss_of(rows: Tensor, step: int) -> Tensor:
        x = pixels[rows]
        posterior = vae.encode(x).latent_dist
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        z = posterior.mean + posterior.std * torch.randn(posterior.mean.shape, generator=generator)
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        return F.mse_loss(vae.decode(z).sample, x) + config.kl_weight * kl

    schedule = Schedule(config.steps, config.batch_size, config.learning_rate)
    Stage("autoencoder", vae, optimizer, schedule, folder).run(len(pixels), seed, loss_of, every, report)
    return psnr(vae, seed + 2, config.held_out)


@torch.inference_mode()
def psnr(vae: AutoencoderKL, seed: int, n: int) -> float:
    """Mean peak signal-to-noise ratio in dB of reconstructions of n pictures with every kind of defect."""
    errors = []
    for part in damaged_pixels(n, seed).split(256):
        y = vae.decode(vae.encode(part).latent_dist.mode()).sample.clamp(-1, 1)
        errors.append((y - part).square().mean(dim=(1, 2, 3)) / 4)
    return float((-10 * torch.cat(errors).log10()).mean())


@torch.inference_mode()
def unscaled_latents(vae: AutoencoderKL, images: np.ndarray) -> Tensor:
    """(n, c, h, w) posterior modes of (n, H, W, 3) bytes."""
    parts = np.array_split(images, -(-len(images) // 512))
    return torch.cat([vae.encode(to_pixels(part)).latent_dist.mode() for part in parts])


def set_latent_scale(vae: AutoencoderKL, latents: Tensor) -> None:
    """Record the shift and scale that bring the latents to mean 0 and standard deviation 1."""
    vae.register_to_config(shift_factor=float(latents.mean()), scaling_factor=float(1 / latents.std()))
