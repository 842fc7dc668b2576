"""The backbone: a pretrained generator read as a feature extractor, `(x_t, t, conditioning) -> features`.

Everything a model family does its own way (layout and scaling of latents, unit of the timestep, text encoders, prompt
length, names of its blocks) stays behind this class. A noise level `t` in [0, 1] and latents in the generator's own
scaled space are all that the rest of the library sees.

A backbone runs in one of two modes:

- standalone: it owns the first `depth` blocks of the model, and nothing beyond them was loaded;
- shared: it reads a generator that somebody else owns (`pipeline=`). No weight is copied, only the reward LoRA is new,
  and outside `features` the generator behaves as if the backbone did not exist.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.fx.experimental._config
from diffusers import DiffusionPipeline
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.backbones.adapter_files import CONFIG_FILE, WEIGHTS_FILE, naming, read_lora_folder, write_lora_folder
from dina_lrm.backbones.adapter_state import AdapterScope, ModuleState, refuse_merged
from dina_lrm.backbones.adapters import RewardLora, attach_lora
from dina_lrm.backbones.attention import AttentionChoice, choose_attention
from dina_lrm.backbones.conditioning import Conditioning, Features, PromptShape
from dina_lrm.backbones.eight_bit import EightBit, in_eight_bits
from dina_lrm.backbones.input_checks import check_batch, check_size
from dina_lrm.backbones.latents import Autoencoder, KLAutoencoder, Scale, encoded_in_parts
from dina_lrm.backbones.parts import Encode, ExchangeableParts, Parts, has_component
from dina_lrm.backbones.pipeline_sampling import PipelineSampling
from dina_lrm.backbones.placement import weights_dtype
from dina_lrm.backbones.rows_read import RowsRead
from dina_lrm.backbones.settings import BackboneConfig, EncoderSettings, LoraSettings
from dina_lrm.backbones.shared_weights import SharedWeights
from dina_lrm.backbones.taps import BlockScope, TappedRun, block_names, run_tapped
from dina_lrm.backbones.tokens import KeptTokens, composed, joined_cuts, unread_prompts
from dina_lrm.backbones.truncated import Kept
from dina_lrm.backbones.turn import turn
from dina_lrm.backbones.unpadded import check_padded_as, check_padding, features_by_length
from dina_lrm.diffusion.process import ForwardProcess
from dina_lrm.typed import DinaError


class Backbone(nn.Module, ABC):
    """The blocks of one diffusers transformer or U-Net, read; what is a family's own is data and abstract here.

    How it is used:

    ```python
    conditioning = backbone.encode_prompts(["a red cube"])
    latents = backbone.encode_images(pixels)
    noisy = backbone.process.add_noise(latents, noise, 0.4)
    features = backbone.features(noisy, torch.tensor([0.4]), conditioning)
    ```

    A standalone backbone registers the model as its submodule `owned`. A shared one registers only the reward's LoRA,
    so that `.to`, `.train` and `.parameters` of a reward model do not reach the generator.
    A family sets data, implements what is abstract, and overrides nothing else.
    """

    component: ClassVar[str] = "transformer"
    """What its pipelines call the model that is read."""
    blocks: ClassVar[str]
    """Name of the list of blocks that `depth` counts."""
    more_blocks: ClassVar[tuple[str, ...]] = ()
    """Lists of blocks, or blocks that stand alone, that run behind it, where `depth` goes on counting."""
    leading_blocks: ClassVar[tuple[str, ...]] = ()
    """Lists of blocks that run before it, whole; the LoRA reaches them, no tap does."""
    behind: ClassVar[tuple[str, ...]]
    """Modules that run behind the last block only, and are not loaded."""
    watched: ClassVar[tuple[str, ...]] = ()
    """Modules whose outputs are wanted beside the taps."""
    prompt_width: ClassVar[str]
    """Key of the model's configuration that holds the width of a prompt's states."""
    short_states: ClassVar[bool] = False
    """Whether a prompt's states begin with those of a CLIP encoder, or are nothing else."""
    long_states: ClassVar[bool] = True
    """Whether a prompt's states hold those of the encoder that `prompt_length` counts the tokens of."""
    lora_targets: ClassVar[tuple[str, ...]]
    """Query, key, value and output of every stream."""
    readings: ClassVar[tuple[str, ...]] = ("own",)
    """Which of `BackboneConfig.reading` the family knows."""
    least_prompt_length: ClassVar[int] = 1
    """0 where a pipeline can do without its long text encoder, or has none."""
    long_encoder: ClassVar[tuple[str, ...]] = ()
    """Components that are left out at prompt length 0: a text encoder that the pipeline can do without, first."""
    encoder_names: ClassVar[tuple[str, ...]] = ("text_encoder",)
    """Components, where the pipeline has them, that a generator's LoRA may cover beside the model."""
    autoencoder: ClassVar[Autoencoder] = KLAutoencoder()
    """How its pipelines go from pixels to latents and back."""
    open_sizes: ClassVar[bool] = True
    """Whether its compiled blocks take pictures and batches of any size by one graph."""
    sampling: ClassVar[PipelineSampling] = PipelineSampling()
    """How its own pipeline samples."""

    config: BackboneConfig
    process: ForwardProcess
    shared: bool
    """True when the weights belong to a generator's pipeline."""
    text_encoders: Path | None = None
    """Folder of the text encoders in use where they are not the generator's own."""
    visual_widths: tuple[int, ...]
    """Width of the visual tokens at each visual tap."""
    text_widths: tuple[int, ...]
    """Width of the text tokens at each text tap."""
    time_embedding_width: int
    pooled_width: int = 0
    """Width of the prompt's pooled vector; 0 where the family has none."""
    latent_channels: int
    latent_multiple: int
    """Height and width of the latents must be multiples of this (the patch size)."""
    pixels_per_latent: int
    """Side of the square of pixels that one latent position stands for (the VAE's factor)."""
    latent_scale: Scale
    latent_shift: Scale
    """latents = (the VAE's own - latent_shift) * latent_scale; one number, or one for each channel."""
    predicts_noise: bool = False
    """Whether the model's output is the noise, not a velocity."""
    guidance_built_in: bool = False
    """Whether the scale of guidance that its pipeline is called with goes into the model, and none is added."""

    def __init__(
        self, config: BackboneConfig, process: ForwardProcess, transformer: ModelMixin, parts: Parts, shared: bool
    ) -> None:
        super().__init__()
        available = len(self.block_names(transformer))
        if config.depth > available:
            raise DinaError(f"depth: got {config.depth}, but {config.pretrained} has {available} {self.blocks}")
        if config.reading not in self.readings:
            raise DinaError(f"reading: got {config.reading!r}; family {config.family} has {', '.join(self.readings)}")
        check_padding(config)
        if config.prompt_length < self.least_prompt_length:
            raise DinaError(
                f"prompt_length: got {config.prompt_length}, family {config.family} needs at least "
                f"{self.least_prompt_length}"
            )
        self.config, self.process, self.shared = config, process, shared
        space = self.autoencoder.space(parts.vae_config)
        self.pixels_per_latent = space.pixels_per_latent
        self.latent_shift, self.latent_scale = space.shift, space.scale
        self._parts = parts
        # A module inside a tuple is not registered as a submodule.
        self._transformer = (transformer,)
        self.owned = nn.ModuleList([] if shared else [transformer.requires_grad_(False).eval()])
        self.borrowed_lora = nn.ModuleList()
        self._scope = AdapterScope(transformer)
        self._lora: RewardLora | None = None
        self._gradient_checkpointing = False
        self.rows_read = RowsRead()
        self._shared: SharedWeights | None = None
        self._attention: AttentionChoice = nullcontext
        self._empty: Conditioning | None = None
        self._unguided: Conditioning | None = None
        self.eval()

    @classmethod
    @abstractmethod
    def from_pipeline(cls, config: BackboneConfig, pipeline: DiffusionPipeline) -> "Backbone":
        """Read a loaded pipeline's weights where they are (shared mode)."""

    @classmethod
    @abstractmethod
    def from_folder(cls, config: BackboneConfig, folder: Path, device: torch.device, dtype: torch.dtype) -> "Backbone":
        """Load what is used of a pipeline folder (standalone mode)."""

    @classmethod
    @abstractmethod
    def stored_part(cls, config: BackboneConfig, folder: Path) -> tuple[dict[str, Any], Kept]:
        """The configuration of the model in a pipeline folder, and which part of it a standalone backbone holds."""

    @classmethod
    def components_left_out(cls, config: BackboneConfig, folder: Path) -> tuple[str, ...]:
        """The long text encoder where no tokens of it are read, or where the folder has none."""
        present = config.prompt_length and all(has_component(folder, name) for name in cls.long_encoder[:1])
        return () if present else cls.long_encoder

    @abstractmethod
    def arguments(self, noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning) -> dict[str, Any]:
        """What the model's own forward is called with; ValueError for what it cannot take."""

    @abstractmethod
    def read(self, run: TappedRun, noisy_latents: Tensor, conditioning: Conditioning) -> Features:
        """The tapped states of a run as visual and text tokens."""

    @abstractmethod
    def velocity_of(self, output: Any, noisy_latents: Tensor, noise_level: Tensor) -> Tensor:  # noqa: ANN401
        """The velocity in the layout of `noisy_latents`, of what the model's forward returned."""

    @abstractmethod
    def kept_tokens(self, pipeline: DiffusionPipeline, prompts: list[str]) -> tuple[KeptTokens, ...]:
        """What each of the pipeline's tokenizers keeps of the prompts."""

    @abstractmethod
    def encode(self, pipeline: DiffusionPipeline, prompts: list[str]) -> Conditioning:
        """Call the pipeline's text encoders, without guidance."""

    @abstractmethod
    def encode_unguided(self) -> Conditioning:
        """One row: what guidance leads away from where its pipeline is given no negative prompt."""

    @property
    def transformer(self) -> ModelMixin:
        """The model that is read, a transformer or U-Net."""
        return self._transformer[0]

    @property
    def owner(self) -> nn.Module:
        """The module that is switched while features are read, which may be shared: threads take turns on it."""
        return self.transformer

    @property
    def device(self) -> torch.device:
        """Where the work is done."""
        return self._parts.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pretrained weights."""
        if self.shared:
            return weights_dtype(self.transformer)
        # A standalone backbone has no hooks, and this is asked for in every forward
        return next(p.dtype for p in self.transformer.parameters() if p.is_floating_point())

    @classmethod
    def block_names(cls, transformer: ModelMixin) -> list[str]:
        """Names of the blocks that `depth` counts, in the order they run."""
        return block_names(transformer, (cls.blocks, *cls.more_blocks))

    @property
    def prompt_shape(self) -> PromptShape:
        """Shape of a prompt as `encode_prompts` gives it, known without a text encoder."""
        tokens = self._parts.short_tokens() if self.short_states else 0
        tokens += self.config.prompt_length if self.long_states else 0
        return PromptShape(tokens, self.transformer.config[self.prompt_width], self.pooled_width)

    def load_encoders(self) -> None:
        """Load autoencoder and text encoders now, to stay, which else happens when they are first used."""
        self._parts.load(self.device, self.dtype)

    def hold_encoders(self, settings: EncoderSettings) -> None:
        """Say how autoencoder and text encoders are held from now on (standalone only; ValueError for a pipeline's)."""
        self._parts.hold(settings)

    def held(self) -> dict[str, nn.Module]:
        """The pretrained modules that are in memory now, by name; others are loaded when they are first used."""
        return {**self._parts.loaded(), type(self.transformer).__name__: self.transformer}

    @property
    def used_blocks(self) -> list[str]:
        """Names of the leading blocks and of the first `depth` blocks: all that run."""
        return block_names(self.transformer, self.leading_blocks) + self._counted_blocks

    def features(
        self,
        noisy_latents: Float[Tensor, "batch channels height width"],
        noise_level: Float[Tensor, " levels"],
        conditioning: Conditioning,
    ) -> Features:
        """The tapped states of `noisy_latents` at `noise_level` (one value in [0, 1] for each image).

        The forward is left behind the last block used; the reward's LoRA alone is on. Inputs are moved to the
        backbone's device and dtype. Differentiable with respect to `noisy_latents`.
        Raises ValueError on a wrong number of channels, a size that is no multiple of `latent_multiple`, or batches
        that disagree.
        """
        if self.config.prompt_padding == "none":
            return features_by_length(self._features, noisy_latents, noise_level, conditioning, self.rows_read)
        return self._features(noisy_latents, noise_level, conditioning)

    def check_prompts(self, conditioning: Conditioning) -> None:
        """ValueError for prompts that were padded where the backbone reads them without, or the other way round."""
        check_padded_as(self.config, conditioning, self.prompt_shape.tokens)

    def _features(self, noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning) -> Features:
        arguments = self._checked_arguments(noisy_latents, noise_level, conditioning)
        with self.reward_adapter():
            run = self._tapped(arguments, self._block_scope())
        return self.read(run, noisy_latents, conditioning)

    def velocity(
        self,
        noisy_latents: Float[Tensor, "batch channels height width"],
        noise_level: Float[Tensor, " levels"],
        conditioning: Conditioning,
    ) -> Float[Tensor, "batch channels height width"]:
        """The generator's own prediction as the velocity of `process` (float32), with its adapters as they are.

        Needs the whole generator: shared mode only (ValueError). No classifier-free guidance; FLUX's embedded guidance
        is that of the configuration. Differentiable with respect to latents and to the generator's trained weights.
        """
        self._whole_generator("velocity")
        arguments = self._checked_arguments(noisy_latents, noise_level, conditioning)
        with turn(self.transformer):
            output = self.transformer(**arguments)
        return self.velocity_of(output.sample, noisy_latents, noise_level).float()

    def velocity_and_features(
        self,
        noisy_latents: Float[Tensor, "batch channels height width"],
        noise_level: Float[Tensor, " levels"],
        conditioning: Conditioning,
    ) -> tuple[Float[Tensor, "batch channels height width"], Features]:
        """Both from one pass: `velocity`, and the states that the generator itself has at the taps.

        They are `features` wherever the reward leaves the backbone alone and the generator has no adapter active; with
        a reward LoRA they cannot be, which is a ValueError.
        """
        self._whole_generator("velocity_and_features")
        if self._lora is not None:
            raise DinaError(
                "velocity_and_features: the reward has a LoRA of its own, and needs a pass of its own (`features`); "
                "only a reward on a frozen backbone reads the generator's pass"
            )
        arguments = self._checked_arguments(noisy_latents, noise_level, conditioning)
        run = self._tapped(arguments, lambda block: nullcontext(), whole=True)
        velocity = self.velocity_of(run.result.sample, noisy_latents, noise_level).float()
        return velocity, self.read(run, noisy_latents, conditioning)

    def check_sampled(self, levels: Float[Tensor, " levels"]) -> None:
        """ValueError for levels to sample at where a predicted noise tells nothing: there is nothing but noise."""
        if self.predicts_noise and float(self.process.alpha(levels[0])) == 0:
            raise DinaError(
                f"sampling from noise level {levels[0]:g}, which holds no signal (rescale_betas_zero_snr), by a model "
                "that predicts noise; accepted: prediction_type='v_prediction', or timesteps that start below"
            )

    def encode_images(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels h w"]:
        """Scaled latents (float32) of pixels in [-1, 1]: the mode of the VAE's posterior, the same for the same image.

        Raises ValueError for images whose latents would not have a size that the model takes.
        """
        check_size("pixels", pixels, self.pixels_per_latent * self.latent_multiple)
        return encoded_in_parts(self.autoencoder, self._parts.vae(self.device, self.dtype), pixels, self.device)

    def decode_latents(self, latents: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch 3 height width"]:
        """Pixels (float32), nominally in [-1, 1], of scaled latents. Differentiable."""
        return self.autoencoder.decode(self._parts.vae(self.device, self.dtype), latents.to(self.device))

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """The conditioning of `prompts`, padded or cut to the stored prompt length; what was cut is recorded.

        Raises ValueError for no prompts, and for anything but strings.
        """
        (conditioning,) = self.encode_prompt_batches([prompts])
        return conditioning

    def encode_one_by_one(self, prompts: Sequence[str]) -> Conditioning:
        """As `encode_prompts`, but each prompt by itself: its last bits do not depend on what it is encoded with."""
        return Conditioning.cat([*self.encode_prompt_batches([[text] for text in composed(prompts)])])

    def encode_prompt_batches(self, batches: Iterable[Sequence[str]]) -> Iterator[Conditioning]:
        """The conditioning of each batch, as `encode_prompts` gives it to the bit, as they come.

        Where text encoders do not stay in memory (`hold_encoders`), each is loaded once for all batches; what the
        short ones make of every prompt is held until the long one has read it, some 0.3 MB a prompt of Stable
        Diffusion 3.5. Raises ValueError as `encode_prompts`, before anything is loaded.
        """
        return self.encoded_by(self.encode, batches)

    def encoded_by(self, encode: Encode, batches: Iterable[Sequence[str]]) -> Iterator[Conditioning]:
        """What `encode` makes of each batch, by the pipeline with its pretrained text encoders inside."""
        texts = [composed(batch) for batch in batches]

        def pretrained(pipeline: DiffusionPipeline, prompts: list[str]) -> Conditioning:
            # A generator's LoRA may cover its text encoders too; the reward was trained on the pretrained ones.
            with torch.no_grad(), ExitStack() as stack:
                for name in self.encoder_names:
                    if name in pipeline.components:
                        stack.enter_context(AdapterScope(pipeline.components[name]).entered())
                return encode(pipeline, prompts)

        return self._parts.encoded(pretrained, texts, self.device, self.dtype)

    @property
    def encoders_stay(self) -> bool:
        """Whether text encoders stay in memory between two uses; where not, all prompts are best encoded together."""
        return self._parts.stay(self.device, self.dtype)

    def prompts_in(self, most_bytes: int) -> int:
        """How many encoded prompts take that many bytes, at least one."""
        shape = self.prompt_shape
        return max(1, most_bytes // ((shape.tokens * shape.width + shape.pooled) * self.dtype.itemsize))

    def cut_prompts(self, prompts: Sequence[str]) -> tuple[str | None, ...]:
        """What `encode_prompts` would leave out of each prompt, by its tokens alone: a sentence, or None."""
        pipeline = self._parts.prompt_pipeline(self.device, self.dtype)
        return joined_cuts(self.kept_tokens(pipeline, composed(prompts)))

    def unread_prompts(self, prompts: Sequence[str]) -> tuple[str | None, ...]:
        """What of each prompt is not read as text (unknown characters, control tokens): a sentence, or None."""
        return unread_prompts(self._parts.prompt_pipeline(self.device, self.dtype).components, prompts)

    def use_text_encoders(self, folder: Path) -> None:
        """Encode prompts with the text encoders in `folder` (standalone only); ValueError for a family that cannot."""
        self._own_weights("use_text_encoders")
        if not isinstance(self._parts, ExchangeableParts):
            raise DinaError(f"{folder}: a backbone of family {self.config.family!r} takes no other text encoders")
        self._parts.replace_text_encoders(folder)
        self.text_encoders, self._empty, self._unguided = folder, None, None

    def empty_conditioning(self) -> Conditioning:
        """The encoded empty prompt, one row, kept once it was asked for."""
        if self._empty is None:
            self._empty = self.encode_prompts([""])
        return self._empty

    def unguided_conditioning(self) -> Conditioning:
        """What guidance leads away from where its pipeline is given no negative prompt, kept once it was asked for."""
        if self._unguided is None:
            self._unguided = self.encode_unguided()
        return self._unguided

    @property
    def lora_settings(self) -> LoraSettings | None:
        """Settings of the LoRA in place, its targets spelled out; None without one."""
        return None if self._lora is None else self._lora.settings

    def add_lora(self, settings: LoraSettings, seed: int = 0) -> None:
        """Attach a fresh, trainable reward LoRA in float32; its values are a function of `seed`."""
        if self._lora is not None:
            raise DinaError(f"the backbone has a reward LoRA already: {self._lora.settings}")
        spelled = replace(settings, targets=settings.targets or self.lora_targets)
        lora = attach_lora(self.transformer, spelled, self.used_blocks, self.shared, seed)
        self._lora, self._scope = lora, AdapterScope(self.transformer, lora.name)
        if self.shared:
            self.borrowed_lora.extend(lora.modules())

    def set_lora_dtype(self, dtype: torch.dtype) -> None:
        """Keep the LoRA in another type than float32; ValueError without a LoRA."""
        for module in self._existing_lora().modules():
            module.to(dtype)

    def load_lora(self, folder: Path) -> None:
        """Attach the LoRA stored in a PEFT folder.

        ValueError, naming the file, for targets that are no modules and for a missing, unexpected or misshapen tensor.
        """
        settings, tensors = read_lora_folder(folder)
        with naming(folder / CONFIG_FILE):
            self.add_lora(settings)
        with naming(folder / WEIGHTS_FILE):
            self.load_lora_state_dict(tensors)

    def save_lora(self, folder: Path) -> None:
        """Write the LoRA as a PEFT folder: `adapter_config.json` and `adapter_model.safetensors`."""
        lora = self._existing_lora()
        write_lora_folder(folder, lora.settings, lora.state_dict(), self.config.pretrained)

    def lora_state_dict(self) -> dict[str, Tensor]:
        """The LoRA's tensors under PEFT's file names (`base_model.model.....lora_A.weight`)."""
        return self._existing_lora().state_dict()

    def load_lora_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy tensors into the LoRA in place; strict about names and shapes (ValueError naming the tensor)."""
        self._existing_lora().load_state_dict(tensors)

    def reward_adapter(self) -> AbstractContextManager[None]:
        """Inside, the model computes with the reward LoRA alone; at the exit everything is exactly as it was.

        `features` enters it by itself; do not call `backward` of the generator inside. Standalone it does nothing:
        there the LoRA is always on.
        """
        if not self.shared:
            return nullcontext()
        if self._lora is not None:
            self._lora.expect_attached()
        return self._scope.entered(training=self.training)

    def merge_lora(self, keep_base: bool = True) -> None:
        """Add the LoRA into the weights, for inference (standalone only).

        `keep_base` holds the original adapted weights in host memory, so that `unmerge_lora` can restore them exactly.
        """
        self._own_weights("merge_lora")
        self._existing_lora().merge(keep_base)

    @property
    def lora_merged(self) -> bool:
        """Whether there is a LoRA that was added into the weights."""
        return self._lora is not None and self._lora.merged

    def unmerge_lora(self) -> None:
        """Undo `merge_lora(keep_base=True)` exactly."""
        self._existing_lora().unmerge()

    def freeze(self) -> None:
        """Train none of the pretrained weights (the state after loading); the LoRA stays trainable.

        In shared mode they are not ours to train anyway.
        """
        kept = {id(parameter) for parameter in self._lora_parameters()}
        for parameter in self.owned.parameters():
            if id(parameter) not in kept:
                parameter.requires_grad = False

    def unfreeze(self) -> None:
        """Train all pretrained weights that `features` uses (standalone only)."""
        self._own_weights("unfreeze").requires_grad_(True)

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The parameters an optimizer should get: the LoRA's, or all after `unfreeze`."""
        if self._lora is not None and self._lora.merged:
            raise DinaError("the LoRA is merged into the weights and takes no part in training; unmerge_lora() first")
        candidates = self._lora_parameters() if self.shared else self.owned.parameters()
        return [parameter for parameter in candidates if parameter.requires_grad]

    def enable_gradient_checkpointing(self) -> None:
        """Recompute block activations in the backward pass; a generator's own setting is left alone."""
        self._gradient_checkpointing = True

    def set_attention_backend(self, name: str) -> None:
        """Choose one of diffusers' attention backends by its name there; standalone only, a generator has its own."""
        self._own_weights("set_attention_backend")
        self._attention = choose_attention(self.transformer, name)

    def compile_blocks(
        self,
        mode: str | None = None,
        dynamic: bool | Literal["family"] | None = "family",
        fullgraph: bool = False,
        backend: str | Callable[..., Any] = "inductor",
    ) -> None:
        """Compile each block by itself (regional compilation); the arguments are `torch.compile`'s.

        Sizes stay open, so that another resolution, prompt length or batch is no other graph, but for families whose
        blocks the compiler cannot take so (`open_sizes`): those have a graph for each. Standalone only, for compiled
        blocks would change the generator's outputs. Raises dynamo's global recompile limit to 64 (kinds of blocks,
        training or scoring each count against it), and tells it that two sizes which are equal by chance need not
        stay so.
        """
        self._own_weights("compile_blocks")
        torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
        torch.fx.experimental._config.use_duck_shape = False
        open_sizes = self.open_sizes if dynamic == "family" else dynamic
        for name in self.used_blocks:
            block = self.transformer.get_submodule(name)
            block.compile(mode=mode, dynamic=open_sizes, fullgraph=fullgraph, backend=backend)

    def multiply_in(self, kind: EightBit) -> int:
        """Multiply the frozen linear layers of the blocks in 8 bits (`eight_bit.py`); how many they are.

        Standalone only, and for good; a LoRA is attached before. Raises ValueError where there is none.
        """
        self._own_weights("multiply_in")
        return in_eight_bits(self.transformer, self.used_blocks, kind)

    def watch_shared(self, pipeline: DiffusionPipeline) -> None:
        """Remember the weights of the pipeline that `features` and `encode_prompts` read, as they are now."""
        unread = (*self.block_names(self.transformer)[self.config.depth :], *self.behind)
        self._shared = SharedWeights.of_pipeline(pipeline, self.transformer, unread)

    def check_shared(self) -> None:
        """ValueError when weights that are shared with a generator are not what they were when it was loaded."""
        if self._shared is None:
            return
        try:
            self._shared.check()
        except ValueError:
            # Where that is a fused adapter, there is a way back
            refuse_merged(ModuleState.of(self.transformer))
            raise

    def expect_frozen(self) -> None:
        """ValueError where a weight that is shared with a generator takes a gradient, whether it trains now or not."""
        if self._shared is not None:
            self._shared.expect_frozen()

    def _checked_arguments(
        self, noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning
    ) -> dict[str, Any]:
        channels = noisy_latents.shape[1]
        if channels != self.latent_channels:
            raise DinaError(f"latents: got {channels} channels, {self.config.pretrained} has {self.latent_channels}")
        check_size("latents", noisy_latents, self.latent_multiple)
        check_batch(noisy_latents, noise_level, conditioning)
        return self.arguments(noisy_latents, noise_level, conditioning)

    def _tapped(self, arguments: dict[str, Any], scope: BlockScope, whole: bool = False) -> TappedRun:
        return run_tapped(
            self.transformer,
            arguments,
            blocks=self._counted_blocks,
            taps={*self.config.visual_taps, *self.config.text_taps},
            scope=scope,
            leading=block_names(self.transformer, self.leading_blocks),
            watched=self.watched,
            gradient_checkpointing=self._gradient_checkpointing,
            whole=whole,
        )

    @property
    def _counted_blocks(self) -> list[str]:
        return self.block_names(self.transformer)[: self.config.depth]

    def _block_scope(self) -> BlockScope:
        training, names = self.training, self.rows_read.names

        @contextmanager
        def scope(block: nn.Module) -> Iterator[None]:
            # Entered again for a block that gradient checkpointing recomputes, when the generator has its turn back.
            adapter = self._scope.entered(block, training) if self.shared else nullcontext()
            with turn(self.transformer), adapter, self._attention(), self.rows_read.of(names):
                yield

        return scope

    def _existing_lora(self) -> RewardLora:
        if self._lora is None:
            raise DinaError("the backbone has no reward LoRA; add_lora() or load_lora() first")
        return self._lora

    def _lora_parameters(self) -> list[nn.Parameter]:
        return [] if self._lora is None else self._lora.parameters()

    def _whole_generator(self, what: str) -> None:
        if self.config.prompt_padding == "none":
            raise DinaError(
                f"{what} runs the generator, which reads padded prompts; this backbone has prompt_padding='none'"
            )
        if not self.shared:
            raise DinaError(f"{what} runs the whole generator: load the backbone with pipeline=")

    def _own_weights(self, what: str) -> nn.Module:
        if self.shared:
            raise DinaError(f"{what} would change the generator that this backbone shares (pipeline=)")
        return self.owned
