"""Z-Image: one stream of image tokens followed by caption tokens, behind refiners for either; a Qwen3 text encoder.

latents: 16 channels, patch 2;   time input: (1000 - 1000 t) / 1000, so that 1 is clean
captions: of any length, inside a chat template; the model pads each one, and the image tokens, to a multiple of 32 with
    tokens of its own and masks what a batch adds to that, so that a caption's states do not depend on its neighbours
time embedding: 256 wide, of the timestep alone

`reading="released"`: the code released with the paper hands those padding tokens to its head too. Its reward weights
are read that way, and see exactly what they saw with one image at a time; what a batch adds stays masked.
"""

from typing import Any, ClassVar, final

import torch
from diffusers import DiffusionPipeline, ZImagePipeline, ZImageTransformer2DModel
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.transformers.transformer_z_image import SEQ_MULTI_OF
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.parts import Parts
from dina_lrm.backbones.pipeline_backbone import PipelineBackbone
from dina_lrm.backbones.pipeline_sampling import PipelineSampling
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.backbones.taps import TappedRun
from dina_lrm.backbones.tokens import KeptTokens, kept_tokens
from dina_lrm.diffusion.process import ForwardProcess
from dina_lrm.typed import DinaError

_PATCH = "2-1"
"""The only patch size of the published weights: 2 x 2, one frame."""


@final
class ZImageBackbone(PipelineBackbone):
    """Z-Image and Z-Image-Turbo. The LoRA covers the refiners too, as in the released weights."""

    transformer_class: ClassVar[type[ModelMixin]] = ZImageTransformer2DModel
    pipeline_class: ClassVar[type[DiffusionPipeline]] = ZImagePipeline
    sampling: ClassVar[PipelineSampling] = PipelineSampling(even_sigmas=True)
    blocks: ClassVar[str] = "layers"
    leading_blocks: ClassVar[tuple[str, ...]] = ("noise_refiner", "context_refiner")
    behind: ClassVar[tuple[str, ...]] = (f"all_final_layer.{_PATCH}",)
    readings: ClassVar[tuple[str, ...]] = ("own", "released")
    prompt_width: ClassVar[str] = "cap_feat_dim"
    lora_targets: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v", "to_out.0")

    def __init__(
        self, config: BackboneConfig, process: ForwardProcess, transformer: ModelMixin, parts: Parts, shared: bool
    ) -> None:
        super().__init__(config, process, transformer, parts, shared)
        self.visual_widths = (transformer.dim,) * len(config.visual_taps)
        self.text_widths = (transformer.dim,) * len(config.text_taps)
        self.time_embedding_width = transformer.t_embedder.mlp[-1].out_features
        self.latent_channels = transformer.in_channels
        self.latent_multiple = 2

    def arguments(self, noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning) -> dict[str, Any]:
        """Return the arguments that `ZImagePipeline` gives the transformer."""
        self.check_widths(conditioning, self.transformer.config.cap_feat_dim)
        device, dtype = self.device, self.dtype
        timestep = self.process.timestep_from_noise_level(noise_level.to(device, torch.float32))
        return {
            "x": list(noisy_latents.to(device, dtype).unsqueeze(2).unbind()),
            "t": (1000 - timestep) / 1000,
            "cap_feats": _real_tokens(conditioning.to(device, dtype)),
        }

    def read(self, run: TappedRun, noisy_latents: Tensor, conditioning: Conditioning) -> Features:
        """States at the taps, split into image and caption; a masked caption position holds zeros."""
        captions = conditioning.to(self.device, self.dtype)
        states = run.outputs | {0: run.inputs["x"]}
        released = self.config.reading == "released"
        mask = _with_padding(captions) if released else captions.prompt_mask
        image = noisy_latents.shape[-2] * noisy_latents.shape[-1] // 4
        split = _padded(image)
        return Features(
            tuple(states[tap][:, : split if released else image] for tap in self.config.visual_taps),
            tuple(
                _placed(states[tap][:, split:], mask, captions.prompt_embeds.shape[1]) for tap in self.config.text_taps
            ),
            run.inputs["adaln_input"],
            mask,
        )

    def velocity_of(self, output: list[Tensor], noisy_latents: Tensor, noise_level: Tensor) -> Tensor:
        """The model predicts from noise to data, a tensor with one frame for each image."""
        return -torch.stack(output).squeeze(2)

    def kept_tokens(self, pipeline: DiffusionPipeline, prompts: list[str]) -> tuple[KeptTokens, ...]:
        """Say what is kept of prompts in the model's chat template."""
        template = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": True}
        messages = [[{"role": "user", "content": prompt}] for prompt in prompts]
        whole = [pipeline.tokenizer.apply_chat_template(message, **template) for message in messages]
        name, length = "tokenizer (with the chat template)", self.config.prompt_length
        return (kept_tokens(name, pipeline.tokenizer, whole, length),)

    def encode_unguided(self) -> Conditioning:
        """The encoded empty prompt."""
        return self.empty_conditioning()

    def encode(self, pipeline: DiffusionPipeline, prompts: list[str]) -> Conditioning:
        """States before the text encoder's last layer, padded to the prompt length with zeros."""
        length = self.config.prompt_length
        (kept,) = self.kept_tokens(pipeline, prompts)
        rows, _ = pipeline.encode_prompt(
            list(prompts), device=self.device, do_classifier_free_guidance=False, max_sequence_length=length
        )
        embeds = torch.stack([F.pad(row, (0, 0, 0, length - len(row))) for row in rows])
        lengths = torch.tensor([len(row) for row in rows])
        mask = torch.arange(length) < lengths[:, None]
        return Conditioning(embeds, None, mask.to(embeds.device), kept.cut)


def _padded(tokens: int) -> int:
    """With the model's own padding."""
    return tokens + -tokens % SEQ_MULTI_OF


def _real_tokens(captions: Conditioning) -> list[Float[Tensor, "tokens width"]]:
    if captions.prompt_mask is None:
        return list(captions.prompt_embeds.unbind())
    rows = [embeds[mask] for embeds, mask in zip(captions.prompt_embeds, captions.prompt_mask, strict=True)]
    empty = [i for i, row in enumerate(rows) if not len(row)]
    if empty:
        raise DinaError(f"conditioning: prompt {empty[0]} has no token that is not masked; Z-Image needs at least one")
    return rows


def _with_padding(captions: Conditioning) -> Bool[Tensor, "batch tokens"]:
    """True at a caption's tokens and at the model's padding behind them, which are at the front of a row."""
    batch, tokens, _ = captions.prompt_embeds.shape
    device = captions.prompt_embeds.device
    mask = captions.prompt_mask
    lengths = torch.full((batch,), tokens, device=device) if mask is None else mask.sum(dim=1)
    return torch.arange(_padded(tokens), device=device) < (lengths + -lengths % SEQ_MULTI_OF)[:, None]


def _placed(
    states: Float[Tensor, "batch kept width"], mask: Bool[Tensor, "batch tokens"] | None, tokens: int
) -> Float[Tensor, "batch tokens width"]:
    """The model holds a caption's states without gaps: put them where `mask` has the tokens, and zeros elsewhere."""
    if mask is None:
        return states[:, :tokens]
    position = (mask.cumsum(dim=1) - 1).clamp(0, states.shape[1] - 1)
    gathered = states.gather(1, position[..., None].expand(-1, -1, states.shape[-1]))
    return torch.where(mask[..., None], gathered, torch.zeros((), dtype=states.dtype, device=states.device))
