"""What the conformance suite needs to know of a family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dina_lrm.backbones.base import Backbone
from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.registry import load_backbone
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.diffusion.from_scheduler import process_from_scheduler

PROMPTS = ("a red cube", "the large blue ball", "green table on the left")
LONG = "the large blue ball on the left of the green table"
NAMED_COMPONENTS = ("text_encoder", "text_encoder_2", "text_encoder_3")


@dataclass(frozen=True)
class FamilyCase:
    """`config.pretrained` is a placeholder for the folder."""

    name: str
    config: BackboneConfig
    pipeline: Callable[[], Any]
    save: Callable[[Path], Path]
    hooked: Callable[[Any, dict[str, Any]], Features]
    """The same features by plain forward hooks on an untouched pipeline's model."""
    call: Callable[[Any, Tensor, Tensor, Conditioning], dict[str, Any]]
    """Arguments with which the family's own pipeline calls its model: of (pipeline, latents, timestep, ...),
    where a timestep is that of the scheduler, 0 to 1000."""
    velocity: Callable[[Any, Tensor], Tensor]
    """The model's output for latents, in their layout: data to noise (or the noise itself, see `predicts_noise`)."""
    sampled: Callable[..., Tensor]
    """One step of the family's own sampler for a prompt: of (pipeline, prompt, latents, noise level, output type)."""
    encoded: Callable[[Any, Sequence[str]], tuple[list[Tensor], Tensor | None]]
    """The pipeline's own prompt states, a tensor for each prompt, and its pooled vectors."""
    latents_of_pixels: Callable[[Any, Tensor], Tensor]
    """By the formula of the family's pipeline."""
    adapted: int
    """Modules that the family's own LoRA targets name within the depth."""
    same: tuple[str, ...]
    """Arguments of the model that must be those that the pipeline itself passes."""
    mask: tuple[bool, ...]
    """Of the tokens of PROMPTS[0]."""
    cut: str
    """What is said of LONG, as a pattern."""
    component: str = "transformer"
    """The model that is read, as the pipeline and its folder call it."""
    strides: tuple[int, ...] | None = None
    """Latents that a token stands for in each direction, at each visual tap; None for the patch size at all of them."""
    predicts_noise: bool = False
    """Whether the model's output is the noise, not a velocity."""
    reads_pooled: bool = True
    """Whether the model takes the pooled vector, where the text encoders give one."""
    encoder_configs: bool = False
    """Whether loading reads the text encoders' configurations, for the width of a pooled vector the model never takes
    or tells."""
    channels: int = 16
    masked: bool = False
    """Whether the model itself passes over masked tokens."""
    query: str = "attn.to_q"
    """A query projection that the blocks have, by the end of its name."""
    coarse: float = 0.15
    """Tolerance in bfloat16; FLUX rounds its timestep to it before the sinusoids."""
    compiled: bool = False
    """Whether the compile test, which takes minutes, takes this row; one for each family will do."""

    def shared(self, pipeline: Any) -> Backbone:
        return load_backbone(self.config, pipeline=pipeline)

    def standalone(self, folder: Path, dtype: torch.dtype = torch.float32, **changes: Any) -> Backbone:
        return load_backbone(replace(self.config, pretrained=str(folder), **changes), dtype=dtype)

    def latents(self, height: int = 8, width: int = 8, batch: int = 3, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(batch, self.channels, height, width, generator=generator)

    def model(self, pipeline: Any) -> Any:
        """The transformer or U-Net."""
        return pipeline.components[self.component]

    def queries(self, backbone: Backbone) -> list[str]:
        """Names of the projections `query` in the blocks that run."""
        blocks = tuple(f"{block}." for block in backbone.used_blocks)
        modules = [name for name, _ in backbone.transformer.named_modules() if name.startswith(blocks)]
        return [name for name in modules if name.endswith(f".{self.query}")]

    def predicted(self, pipeline: Any, latents: Tensor, levels: Tensor, conditioning: Conditioning) -> Tensor:
        """The generator's own velocity."""
        process = process_from_scheduler(pipeline.scheduler)
        timestep = process.timestep_from_noise_level(levels)
        output = self.velocity(self.model(pipeline)(**self.call(pipeline, latents, timestep, conditioning)), latents)
        return process.velocity_from_noise(latents, output, levels) if self.predicts_noise else output

    def sampled_once(self, pipeline: Any, prompt: str, latents: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the family's own sampler to the clean end, and the noise level it was at: of a flow, one of a
        shifted schedule."""
        flow = "shift" in pipeline.scheduler.config
        if flow:
            pipeline.scheduler.register_to_config(shift=3.0)
            pipeline.scheduler.set_shift(3.0)
        clean = self.sampled(pipeline, prompt, latents, 0.5)
        level = process_from_scheduler(pipeline.scheduler).noise_level_from_timestep(pipeline.scheduler.timesteps[:1])
        assert 0.5 < level.item() < 1.0 if flow else level.item() == 0.5
        return clean, level


class Hooks:
    """Forward hooks on a transformer: `inputs` of its first block, `outputs` by the number of blocks run."""

    def __init__(self, transformer: Any, blocks: Sequence[Any], watched: str | None = None) -> None:
        self.inputs: dict[str, Any] = {}
        self.arguments: tuple[Any, ...] = ()
        self.outputs: dict[int, Any] = {}
        self.watched: Any = None
        self._transformer = transformer
        self._handles = [blocks[0].register_forward_pre_hook(self._before, with_kwargs=True)]
        self._handles += [block.register_forward_hook(self._after(i)) for i, block in enumerate(blocks, 1)]
        if watched is not None:
            self._handles.append(transformer.get_submodule(watched).register_forward_hook(self._watch))

    def run(self, arguments: dict[str, Any]) -> "Hooks":
        """Call the whole transformer and take the hooks away."""
        try:
            self._transformer(**arguments)
        finally:
            for handle in self._handles:
                handle.remove()
        return self

    def _before(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.arguments, self.inputs = args, kwargs

    def _after(self, number: int) -> Callable[..., None]:
        return lambda module, args, output: self.outputs.__setitem__(number, output)

    def _watch(self, module: Any, args: tuple[Any, ...], output: Any) -> None:
        self.watched = output


def scaled_mode(pipeline: Any, pixels: Tensor) -> Tensor:
    """Latents of an `AutoencoderKL` with scale and shift."""
    mode = pipeline.vae.encode(pixels).latent_dist.mode()
    return (mode - pipeline.vae.config.shift_factor) * pipeline.vae.config.scaling_factor


def unpacked(tokens: Tensor, like: Tensor) -> Tensor:
    """Tokens of 2 x 2 latents back in the layout of `like`."""
    batch, channels, height, width = like.shape
    squares = tokens.view(batch, height // 2, width // 2, channels, 2, 2)
    return squares.permute(0, 3, 1, 4, 2, 5).reshape(like.shape)
