"""What all families built on a diffusers transformer share: the tapped forward, the LoRA, the training switches."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.backbones.adapter_files import CONFIG_FILE, WEIGHTS_FILE, naming, read_lora_folder, write_lora_folder
from dina_lrm.backbones.adapter_state import AdapterScope, ModuleState, refuse_merged
from dina_lrm.backbones.adapters import RewardLora, attach_lora
from dina_lrm.backbones.attention import AttentionChoice, choose_attention
from dina_lrm.backbones.base import Backbone
from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.placement import weights_dtype
from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.backbones.shared_weights import SharedWeights
from dina_lrm.backbones.taps import BlockScope, TappedRun, block_names, run_tapped
from dina_lrm.backbones.turn import turn
from dina_lrm.diffusion.process import ForwardProcess


class TransformerBackbone(Backbone):
    """A family that reads the blocks of one diffusers transformer; what is the family's own is in its file.

    A standalone backbone registers the transformer as its submodule `owned`. A shared one registers only the reward's
    LoRA, so that `.to`, `.train` and `.parameters` of a reward model do not reach the generator.
    """

    blocks: ClassVar[str]
    """Name of the list of blocks that `depth` counts."""
    more_blocks: ClassVar[tuple[str, ...]] = ()
    """Lists of blocks, or blocks that stand alone, that run behind it, where `depth` goes on counting."""
    leading_blocks: ClassVar[tuple[str, ...]] = ()
    """Lists of blocks that run before it, whole; the LoRA reaches them, no tap does."""
    behind: ClassVar[tuple[str, ...]] = ()
    """Modules that run behind the last block only."""
    lora_targets: ClassVar[tuple[str, ...]]
    """Query, key, value and output of every stream."""
    readings: ClassVar[tuple[str, ...]] = ("own",)
    """Which of `BackboneConfig.reading` the family knows."""
    even_sigmas: ClassVar[bool] = False
    """Whether its pipeline asks the scheduler for levels from 1 to 1 / steps in even intervals."""
    even_for_solvers: ClassVar[bool] = True
    """Whether it asks so of solvers that make flow levels themselves (`use_flow_sigmas`)."""
    largest_shift: ClassVar[float | None] = 1.15
    """Its pipeline's default for schedules that are shifted by the size of the picture; None where it shifts none."""
    watched: ClassVar[tuple[str, ...]] = ()
    """Modules whose outputs are wanted beside the taps."""

    def __init__(self, config: BackboneConfig, process: ForwardProcess, transformer: ModelMixin, shared: bool) -> None:
        super().__init__()
        available = len(self.block_names(transformer))
        if config.depth > available:
            raise ValueError(f"depth: got {config.depth}, but {config.pretrained} has {available} {self.blocks}")
        if config.reading not in self.readings:
            raise ValueError(f"reading: got {config.reading!r}; family {config.family} has {', '.join(self.readings)}")
        self.config = config
        self.process = process
        self.shared = shared
        # A module inside a tuple is not registered as a submodule.
        self._transformer = (transformer,)
        self.owned = nn.ModuleList([] if shared else [transformer.requires_grad_(False).eval()])
        self.borrowed_lora = nn.ModuleList()
        self._scope = AdapterScope(transformer)
        self._lora: RewardLora | None = None
        self._gradient_checkpointing = False
        self._shared: SharedWeights | None = None
        self._attention: AttentionChoice = nullcontext
        self._empty: Conditioning | None = None
        self._unguided: Conditioning | None = None
        self.eval()

    @classmethod
    @abstractmethod
    def from_pipeline(cls, config: BackboneConfig, pipeline: DiffusionPipeline) -> "TransformerBackbone":
        """Read a loaded pipeline's weights where they are (shared mode)."""

    @classmethod
    @abstractmethod
    def from_folder(
        cls, config: BackboneConfig, folder: Path, device: torch.device, dtype: torch.dtype
    ) -> "TransformerBackbone":
        """Load what is used of a pipeline folder (standalone mode)."""

    @classmethod
    def block_names(cls, transformer: ModelMixin) -> list[str]:
        """Names of the blocks that `depth` counts, in the order they run."""
        return block_names(transformer, (cls.blocks, *cls.more_blocks))

    @property
    def used_blocks(self) -> list[str]:
        """Names of the leading blocks and of the first `depth` blocks: all that run."""
        return block_names(self.transformer, self.leading_blocks) + self._counted_blocks

    def empty_conditioning(self) -> Conditioning:
        """The encoded empty prompt, kept once it was asked for."""
        if self._empty is None:
            self._empty = self.encode_prompts([""])
        return self._empty

    def unguided_conditioning(self) -> Conditioning:
        """What guidance leads away from where its pipeline is given no negative prompt, kept once it was asked for."""
        if self._unguided is None:
            self._unguided = self.encode_unguided()
        return self._unguided

    @property
    def owner(self) -> nn.Module:
        """The transformer, which may be shared."""
        return self.transformer

    def watch_shared(self, pipeline: DiffusionPipeline) -> None:
        """Remember the weights of the pipeline that `features` and `encode_prompts` read, as they are now."""
        parts = {
            name: part
            for name, part in pipeline.components.items()
            if isinstance(part, nn.Module) and (part is self.transformer or name.startswith("text_encoder"))
        }
        model = next(name for name, part in parts.items() if part is self.transformer)
        unread = (*self.block_names(self.transformer)[self.config.depth :], *self.behind)
        skipped = tuple(f"{model}.{name}." for name in unread)
        self._shared = SharedWeights(parts, lambda name: not name.startswith(skipped))

    def check_shared(self) -> None:
        """ValueError when the generator's own weights have changed since the backbone was loaded."""
        if self._shared is None:
            return
        try:
            self._shared.check()
        except ValueError:
            # Where that is a fused adapter, there is a way back
            refuse_merged(ModuleState.of(self.transformer))
            raise

    def check_sampled(self, levels: Float[Tensor, " levels"]) -> None:
        """ValueError for levels to sample at where the model's output tells nothing."""

    def encode_unguided(self) -> Conditioning:
        """Of one row; the encoded empty prompt unless its pipeline has something else."""
        return self.empty_conditioning()

    def guided(
        self, without: Float[Tensor, "batch channels h w"], given: Float[Tensor, "batch channels h w"], guidance: float
    ) -> Float[Tensor, "batch channels h w"]:
        """Classifier-free guidance (Ho and Salimans, 2022) as its pipeline has it, for a scale above 1."""
        return without + guidance * (given - without)

    @property
    def guidance_built_in(self) -> bool:
        """Whether the scale of guidance that its pipeline is called with goes into the model, and none is added."""
        return False

    @property
    def transformer(self) -> ModelMixin:
        """The model that is read."""
        return self._transformer[0]

    @property
    def dtype(self) -> torch.dtype:
        """Of the pretrained weights."""
        if self.shared:
            return weights_dtype(self.transformer)
        # A standalone backbone has no hooks, and this is asked for in every forward
        return next(p.dtype for p in self.transformer.parameters() if p.is_floating_point())

    @property
    def lora_settings(self) -> LoraSettings | None:
        """Of the LoRA in place, its targets spelled out."""
        return None if self._lora is None else self._lora.settings

    def add_lora(self, settings: LoraSettings, seed: int = 0) -> None:
        """Attach a fresh, trainable reward LoRA in float32; its values are a function of `seed`."""
        if self._lora is not None:
            raise ValueError(f"the backbone has a reward LoRA already: {self._lora.settings}")
        spelled = replace(settings, targets=settings.targets or self.lora_targets)
        lora = attach_lora(self.transformer, spelled, self.used_blocks, self.shared, seed)
        self._lora, self._scope = lora, AdapterScope(self.transformer, lora.name)
        if self.shared:
            self.borrowed_lora.extend(lora.modules())

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
        """Write the LoRA as a PEFT folder."""
        lora = self._existing_lora()
        write_lora_folder(folder, lora.settings, lora.state_dict(), self.config.pretrained)

    def lora_state_dict(self) -> dict[str, Tensor]:
        """The LoRA's tensors under PEFT's file names."""
        return self._existing_lora().state_dict()

    def load_lora_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy tensors into the LoRA in place."""
        self._existing_lora().load_state_dict(tensors)

    def merge_lora(self, keep_base: bool = True) -> None:
        """Add the LoRA into the weights; `keep_base` costs a copy of the adapted weights in host memory."""
        self._own_weights("merge_lora")
        self._existing_lora().merge(keep_base)

    def unmerge_lora(self) -> None:
        """Undo `merge_lora(keep_base=True)` exactly."""
        self._existing_lora().unmerge()

    def freeze(self) -> None:
        """Train none of the pretrained weights; in shared mode they are not ours to train anyway."""
        kept = {id(parameter) for parameter in self._lora_parameters()}
        for parameter in self.owned.parameters():
            if id(parameter) not in kept:
                parameter.requires_grad = False

    def unfreeze(self) -> None:
        """Train all pretrained weights that `features` uses."""
        self._own_weights("unfreeze").requires_grad_(True)

    def trainable_parameters(self) -> list[nn.Parameter]:
        """Parameters with `requires_grad` among the LoRA's and, standalone, the pretrained ones."""
        if self._lora is not None and self._lora.merged:
            raise ValueError("the LoRA is merged into the weights and takes no part in training; unmerge_lora() first")
        candidates = self._lora_parameters() if self.shared else self.owned.parameters()
        return [parameter for parameter in candidates if parameter.requires_grad]

    def enable_gradient_checkpointing(self) -> None:
        """Recompute block activations in the backward pass; a generator's own setting is left alone."""
        self._gradient_checkpointing = True

    def set_attention_backend(self, name: str) -> None:
        """Choose one of diffusers' attention backends; standalone only, a generator has its own choice."""
        self._own_weights("set_attention_backend")
        self._attention = choose_attention(self.transformer, name)

    def compile_blocks(self, mode: str | None = None, dynamic: bool | None = None, fullgraph: bool = False) -> None:
        """Compile each block by itself; standalone only, for compiled blocks would change the generator's outputs.

        Raises dynamo's global recompile limit to 64: two kinds of blocks, resolutions and training or scoring each
        count against it.
        """
        self._own_weights("compile_blocks")
        torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
        for name in self.used_blocks:
            self.transformer.get_submodule(name).compile(mode=mode, dynamic=dynamic, fullgraph=fullgraph)

    def reward_adapter(self) -> AbstractContextManager[None]:
        """Inside, the model computes with the reward LoRA alone; do not call `backward` of the generator inside."""
        if not self.shared:
            return nullcontext()
        if self._lora is not None:
            self._lora.expect_attached()
        return self._scope.entered(training=self.training)

    def check_latents(self, noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning) -> None:
        """ValueError for latents of the wrong channels or size, and for batches that disagree."""
        batch, channels, height, width = noisy_latents.shape
        if channels != self.latent_channels:
            raise ValueError(f"latents: got {channels} channels, {self.config.pretrained} has {self.latent_channels}")
        multiple = self.latent_multiple
        if height % multiple or width % multiple or not height or not width:
            raise ValueError(f"latents: got size {height} x {width}, expected multiples of {multiple}")
        if noise_level.shape != (batch,):
            raise ValueError(f"noise_level: got shape {tuple(noise_level.shape)}, expected ({batch},) as the latents")
        if len(conditioning) != batch:
            raise ValueError(f"conditioning: got {len(conditioning)} prompts for {batch} latents")

    def check_pixels(self, pixels: Tensor) -> None:
        """ValueError for images whose latents would not have a size that the model takes."""
        multiple = self.pixels_per_latent * self.latent_multiple
        height, width = pixels.shape[-2:]
        if height % multiple or width % multiple or not height or not width:
            raise ValueError(f"pixels: got size {height} x {width}, expected multiples of {multiple}")

    @abstractmethod
    def arguments(self, noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning) -> dict[str, Any]:
        """What the model's own forward is called with; ValueError for what it cannot take."""

    @abstractmethod
    def read(self, run: TappedRun, noisy_latents: Tensor, conditioning: Conditioning) -> Features:
        """The tapped states of a run as visual and text tokens."""

    @abstractmethod
    def velocity_of(self, output: Any, noisy_latents: Tensor, noise_level: Tensor) -> Tensor:  # noqa: ANN401
        """The velocity in the layout of `noisy_latents`, of what the model's forward returned."""

    def features(
        self,
        noisy_latents: Float[Tensor, "batch channels height width"],
        noise_level: Float[Tensor, " levels"],
        conditioning: Conditioning,
    ) -> Features:
        """States at the taps, from a forward that is left behind the last block used, with the reward adapter."""
        self.check_latents(noisy_latents, noise_level, conditioning)
        arguments = self.arguments(noisy_latents, noise_level, conditioning)
        with self.reward_adapter():
            run = self.tapped(arguments, self._block_scope())
        return self.read(run, noisy_latents, conditioning)

    def velocity(
        self,
        noisy_latents: Float[Tensor, "batch channels height width"],
        noise_level: Float[Tensor, " levels"],
        conditioning: Conditioning,
    ) -> Float[Tensor, "batch channels height width"]:
        """The generator's own prediction, by its own forward."""
        self._whole_generator("velocity")
        self.check_latents(noisy_latents, noise_level, conditioning)
        with turn(self.transformer):
            output = self.transformer(**self.arguments(noisy_latents, noise_level, conditioning))
        return self.velocity_of(output.sample, noisy_latents, noise_level).float()

    def velocity_and_features(
        self,
        noisy_latents: Float[Tensor, "batch channels height width"],
        noise_level: Float[Tensor, " levels"],
        conditioning: Conditioning,
    ) -> tuple[Float[Tensor, "batch channels height width"], Features]:
        """Both, from one pass of the whole generator."""
        self._whole_generator("velocity_and_features")
        if self._lora is not None:
            raise ValueError(
                "velocity_and_features: the reward has a LoRA of its own, and needs a pass of its own (`features`); "
                "only a reward on a frozen backbone reads the generator's pass"
            )
        self.check_latents(noisy_latents, noise_level, conditioning)
        arguments = self.arguments(noisy_latents, noise_level, conditioning)
        run = self.tapped(arguments, lambda block: nullcontext(), whole=True)
        velocity = self.velocity_of(run.result.sample, noisy_latents, noise_level).float()
        return velocity, self.read(run, noisy_latents, conditioning)

    @property
    def taps(self) -> set[int]:
        """Numbers of blocks behind which states are read."""
        return {*self.config.visual_taps, *self.config.text_taps}

    def tapped(self, arguments: dict[str, Any], scope: BlockScope, whole: bool = False) -> TappedRun:
        """The model's forward with its states at the taps: left behind the last block used, or `whole`."""
        return run_tapped(
            self.transformer,
            arguments,
            blocks=self._counted_blocks,
            taps=self.taps,
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
        training = self.training

        @contextmanager
        def scope(block: nn.Module) -> Iterator[None]:
            # Entered again for a block that gradient checkpointing recomputes, when the generator has its turn back.
            adapter = self._scope.entered(block, training) if self.shared else nullcontext()
            with turn(self.transformer), adapter, self._attention():
                yield

        return scope

    def _existing_lora(self) -> RewardLora:
        if self._lora is None:
            raise ValueError("the backbone has no reward LoRA; add_lora() or load_lora() first")
        return self._lora

    def _lora_parameters(self) -> list[nn.Parameter]:
        return [] if self._lora is None else self._lora.parameters()

    def _whole_generator(self, what: str) -> None:
        if not self.shared:
            raise ValueError(f"{what} runs the whole generator: load the backbone with pipeline=")

    def _own_weights(self, what: str) -> nn.Module:
        if self.shared:
            raise ValueError(f"{what} would change the generator that this backbone shares (pipeline=)")
        return self.owned
