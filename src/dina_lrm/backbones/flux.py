"""FLUX.1 (dev, schnell): double blocks over image and text, then single blocks over both joined; CLIP and T5.

latents: 16 channels, packed 2 x 2 into tokens of 64;   positions: (0, row, column), and 0 for all of the text
tokens: T5 (`prompt_length`);   time embedding: of timestep, guidance (dev; schnell has none) and the pooled CLIP vector
time input: t in [0, 1], which the model multiplies by 1000, as it does with guidance
taps: 1 to 19 behind the double blocks, 20 to 57 behind the single blocks, which give both streams too

The code released with the paper does not multiply: its reward weights know t and guidance a thousand times smaller.
They are read with `reading="released"`.
"""

from typing import Any, ClassVar, final

import torch
from diffusers import DiffusionPipeline, FluxPipeline, FluxTransformer2DModel
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.latents import packed, unpacked
from dina_lrm.backbones.parts import Parts
from dina_lrm.backbones.pipeline_backbone import PipelineBackbone
from dina_lrm.backbones.pipeline_sampling import PipelineSampling
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.backbones.taps import TappedRun
from dina_lrm.backbones.tokens import KeptTokens, joined_cuts, kept_tokens, read_on
from dina_lrm.backbones.unpadded import encoded
from dina_lrm.diffusion.process import ForwardProcess


@final
class FluxBackbone(PipelineBackbone):
    """FLUX.1-dev and FLUX.1-schnell."""

    transformer_class: ClassVar[type[ModelMixin]] = FluxTransformer2DModel
    pipeline_class: ClassVar[type[DiffusionPipeline]] = FluxPipeline
    encoder_names: ClassVar[tuple[str, ...]] = ("text_encoder", "text_encoder_2")
    sampling: ClassVar[PipelineSampling] = PipelineSampling(even_sigmas=True, even_for_solvers=False, packs=True)
    blocks: ClassVar[str] = "transformer_blocks"
    more_blocks: ClassVar[tuple[str, ...]] = ("single_transformer_blocks",)
    behind: ClassVar[tuple[str, ...]] = ("norm_out", "proj_out")
    readings: ClassVar[tuple[str, ...]] = ("own", "released")
    prompt_width: ClassVar[str] = "joint_attention_dim"
    lora_targets: ClassVar[tuple[str, ...]] = (
        *("to_q", "to_k", "to_v", "to_out.0"),
        *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
    )

    def __init__(
        self, config: BackboneConfig, process: ForwardProcess, transformer: ModelMixin, parts: Parts, shared: bool
    ) -> None:
        super().__init__(config, process, transformer, parts, shared)
        width = transformer.inner_dim
        self.visual_widths = (width,) * len(config.visual_taps)
        self.text_widths = (width,) * len(config.text_taps)
        self.time_embedding_width = width
        self.pooled_width = transformer.config.pooled_projection_dim
        self.latent_channels = transformer.config.in_channels // 4
        self.latent_multiple = 2

    def arguments(self, noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning) -> dict[str, Any]:
        """Return the arguments that `FluxPipeline`, or the code released with the paper, gives the transformer."""
        config, device, dtype = self.transformer.config, self.device, self.dtype
        self.check_widths(conditioning, config.joint_attention_dim)
        embeds, pooled = conditioning.prompt_embeds, conditioning.pooled_prompt_embeds
        assert pooled is not None
        batch, _, height, width = noisy_latents.shape
        unit = 1000.0 if self.config.reading == "released" else 1.0
        guidance = torch.full((batch,), self.config.guidance / unit, device=device)
        return {
            "hidden_states": packed(noisy_latents.to(device, dtype)),
            "encoder_hidden_states": embeds.to(device, dtype),
            "pooled_projections": pooled.to(device, dtype),
            "timestep": self.process.timestep_from_noise_level(noise_level.to(device, torch.float32)) / 1000 / unit,
            "guidance": guidance if config.guidance_embeds else None,
            "img_ids": _positions(height // 2, width // 2, device),
            "txt_ids": torch.zeros(embeds.shape[1], 3, device=device),
        }

    def read(self, run: TappedRun, noisy_latents: Tensor, conditioning: Conditioning) -> Features:
        """A block of either kind returns (text, visual); the time embedding is the transformer's `temb`."""
        states = run.outputs | {0: (run.inputs["encoder_hidden_states"], run.inputs["hidden_states"])}
        mask, pooled = conditioning.prompt_mask, conditioning.pooled_prompt_embeds
        assert pooled is not None
        return Features(
            tuple(states[tap][1] for tap in self.config.visual_taps),
            tuple(states[tap][0] for tap in self.config.text_taps),
            run.inputs["temb"],
            None if mask is None else mask.to(self.device),
            pooled_text=pooled.to(self.device, self.dtype),
        )

    def velocity_of(self, output: Tensor, noisy_latents: Tensor, noise_level: Tensor) -> Tensor:
        """The output, unpacked."""
        return unpacked(output, noisy_latents.shape[-2], noisy_latents.shape[-1])

    def kept_tokens(self, pipeline: DiffusionPipeline, prompts: list[str]) -> tuple[KeptTokens, ...]:
        """Say what CLIP and T5 keep of prompts."""
        clip = kept_tokens("tokenizer (CLIP)", pipeline.tokenizer, prompts, pipeline.tokenizer_max_length)
        t5 = kept_tokens("tokenizer_2 (T5)", pipeline.tokenizer_2, prompts, self.config.prompt_length)
        return read_on([clip], t5)

    def encode_unguided(self) -> Conditioning:
        """The encoded empty prompt."""
        return self.empty_conditioning()

    def encode(self, pipeline: DiffusionPipeline, prompts: list[str]) -> Conditioning:
        """T5 states and the pooled CLIP vector."""
        clip, t5 = self.kept_tokens(pipeline, prompts)

        def states(texts: list[str], most: int) -> tuple[Tensor, Tensor]:
            embeds, pooled, _ = pipeline.encode_prompt(texts, device=self.device, max_sequence_length=most)
            return embeds, pooled

        embeds, pooled = encoded(states, prompts, self.config.prompt_length, t5.mask, self.config.prompt_padding)
        return Conditioning(embeds, pooled, t5.mask.to(embeds.device), joined_cuts([clip, t5]))


def _positions(rows: int, columns: int, device: torch.device) -> Float[Tensor, "tokens 3"]:
    row, column = torch.arange(rows, device=device), torch.arange(columns, device=device)
    zero = torch.zeros(1, dtype=row.dtype, device=device)
    return torch.cartesian_prod(zero, row, column).float()
