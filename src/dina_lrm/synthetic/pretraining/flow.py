"""Second stage: transformer and text encoders by flow matching (SD3, arXiv 2403.03206, section 3.1)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import StableDiffusion3Pipeline
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dina_lrm.diffusion.process import RectifiedFlow
from dina_lrm.precision import preferred_dtype
from dina_lrm.synthetic.draws import corpus
from dina_lrm.synthetic.pretraining.autoencoder import set_latent_scale, unscaled_latents
from dina_lrm.synthetic.pretraining.config import GeneratorConfig
from dina_lrm.synthetic.pretraining.loop import Report, Schedule, Stage


def encode_tokens(pipeline: StableDiffusion3Pipeline, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """(prompt_embeds, pooled_prompt_embeds) with gradient, the way the pipeline's own encode_prompt computes them."""
    embeds, pooled = [], []
    for encoder in (pipeline.text_encoder, pipeline.text_encoder_2):
        out = encoder(tokens, output_hidden_states=True)
        embeds.append(out.hidden_states[-2])
        pooled.append(out[0])
    return torch.cat(embeds, -1), torch.cat(pooled, -1)


def flow_matching_loss(
    pipeline: StableDiffusion3Pipeline, x_0: Tensor, tokens: Tensor, generator: torch.Generator
) -> Tensor:
    """Mean squared error of the velocity at logit-normal times."""
    process = RectifiedFlow()
    t = torch.sigmoid(torch.randn(len(x_0), generator=generator))
    noise = torch.randn(x_0.shape, generator=generator)
    embeds, pooled = encode_tokens(pipeline, tokens)
    x_t = process.add_noise(x_0, noise, t)
    velocity = pipeline.transformer(x_t, embeds, pooled, process.timestep_from_noise_level(t), return_dict=False)[0]
    return F.mse_loss(velocity, process.velocity(x_0, noise, t))


def loss_with_dropped_prompts(
    pipeline: StableDiffusion3Pipeline, latents: Tensor, captions: list[str], dropout: float, seed: int
) -> Callable[[Tensor, int], Tensor]:
    """The loss of some rows at a step; a share of the prompts is left empty, for classifier-free guidance."""
    ids = pipeline.tokenizer([*captions, ""], padding="max_length", truncation=True, return_tensors="pt").input_ids
    tokens, empty = ids[:-1], ids[-1]

    def loss_of(rows: Tensor, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        dropped = torch.rand(len(rows), generator=generator) < dropout
        prompts = torch.where(dropped[:, None], empty, tokens[rows])
        with fast_arithmetic():
            return flow_matching_loss(pipeline, latents[rows], prompts, generator)

    return loss_of


def train_flow(
    pipeline: StableDiffusion3Pipeline, config: GeneratorConfig, seed: int, folder: Path, every: float, report: Report
) -> float:
    """Train transformer and text encoders in place, leave the averaged weights in them; returns the smoothed loss."""
    images, captions = corpus(config.images, seed + 3, config.mismatched, config.damaged)
    latents = unscaled_latents(pipeline.vae, images)
    set_latent_scale(pipeline.vae, latents)
    latents = (latents - pipeline.vae.config.shift_factor) * pipeline.vae.config.scaling_factor
    _norms_keep_type(pipeline.transformer)
    trained = nn.ModuleList([pipeline.transformer, pipeline.text_encoder, pipeline.text_encoder_2])
    loss_of = loss_with_dropped_prompts(pipeline, latents, captions, config.prompt_dropout, seed)
    schedule = Schedule(config.steps, config.batch_size, config.learning_rate, config.warmup, config.ema)
    stage = Stage("generator", trained, optimizer_of(trained, config.learning_rate), schedule, folder)
    return stage.run(len(latents), seed, loss_of, every, report)


@contextmanager
def fast_arithmetic() -> Iterator[None]:
    """Bfloat16 where the processor has it, and plain attention: the fused kernel's backward is slow at 32 tokens."""
    half = preferred_dtype("cpu")
    with torch.autocast("cpu", half, enabled=half is torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        yield


def _norms_keep_type(transformer: nn.Module) -> None:
    """Under autocast the query and key norms answer in float32, and attention with them; make them keep their input's.

    The weights stay float32; only what leaves the norm is rounded.
    """
    for name, module in transformer.named_modules():
        if name.endswith(("norm_q", "norm_k", "norm_added_q", "norm_added_k")):
            module.register_forward_hook(lambda _, given, out: out.to(given[0].dtype))


def optimizer_of(modules: nn.Module, rate: float) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices alone."""
    matrices = [p for p in modules.parameters() if p.ndim >= 2]
    rest = [p for p in modules.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)
