"""The reward's LoRA inside a transformer that may carry other adapters.

Made by PEFT, so that quantised layers work too, and kept in float32, because it is what gets trained. Tensor names are
those PEFT writes to files: `base_model.model.<module>.lora_A.weight`.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from diffusers.models.modeling_utils import ModelMixin
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from dina_lrm.backbones.adapter_state import ModuleState, own_modules
from dina_lrm.backbones.attention import ATTENTION_LAYERS
from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.model_folders import one_load_at_a_time
from dina_lrm.typed import DinaError

ADAPTER_NAME = "reward"
_PREFIX = "base_model.model."


class RewardLora:
    """The adapter `name` in `layers` of a transformer; made by `attach_lora`."""

    def __init__(
        self, transformer: ModelMixin, name: str, settings: LoraSettings, layers: dict[str, LoraLayer]
    ) -> None:
        self.transformer = transformer
        self.name = name
        self.settings = settings
        self.layers = layers
        self.merged = False
        self._base: dict[str, Tensor] | None = None
        self._parents = {name: transformer.get_submodule(name.rpartition(".")[0]) for name in layers}

    def modules(self) -> list[nn.Module]:
        """The factors and dropouts, which are all that is the reward's own."""
        return own_modules(list(self.layers.values()), self.name)

    def parameters(self) -> list[nn.Parameter]:
        """The factors A and B of every layer."""
        return [parameter for module in self.modules() for parameter in module.parameters()]

    def state_dict(self) -> dict[str, Tensor]:
        """Detached factors under PEFT's file names."""
        return {key: parameter.detach() for key, parameter in self._named().items()}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy values in; a missing, unexpected or misshapen tensor is a ValueError that names it."""
        if self.merged:
            raise DinaError("the LoRA is merged into the weights; unmerge_lora() before loading another")
        own = self._named()
        missing, unexpected = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
        if missing or unexpected:
            raise DinaError(f"LoRA tensors do not match: missing {_some(missing)}; unexpected {_some(unexpected)}")
        for key, parameter in own.items():
            if tensors[key].shape != parameter.shape:
                given, wanted = tuple(tensors[key].shape), tuple(parameter.shape)
                raise DinaError(f"LoRA tensor {key}: got shape {given}, expected {wanted}")
        with torch.no_grad():
            for key, parameter in own.items():
                parameter.copy_(tensors[key])

    def expect_attached(self) -> None:
        """ValueError when something done to the shared transformer keeps the LoRA from taking part."""
        for name, layer in self.layers.items():
            parent = self._parents[name]
            if parent._modules.get(name.rpartition(".")[2]) is not layer or self.name not in layer.lora_A:
                raise DinaError(
                    f"the reward LoRA is no longer in {name}: it was removed together with the generator's adapters "
                    "(unload_lora_weights?). Load the reward model again; to drop one LoRA use delete_adapters(name)"
                )
            if isinstance(parent, ATTENTION_LAYERS) and parent.fused_projections:
                raise DinaError(f"{name}: fused projections pass over the reward LoRA; call unfuse_qkv_projections()")

    def merge(self, keep_base: bool) -> None:
        """`W + (alpha / rank) B A`, computed in float32 and rounded once to W's dtype."""
        if self.merged:
            raise DinaError("the LoRA is merged already")
        weights = {name: layer.get_base_layer().weight for name, layer in self.layers.items()}
        for name, weight in weights.items():
            if not weight.is_floating_point() or weight.itemsize == 1:
                raise DinaError(f"{name}: cannot merge a LoRA into quantised weights of dtype {weight.dtype}")
        self._base = (
            {name: weight.detach().to("cpu", copy=True) for name, weight in weights.items()} if keep_base else None
        )
        with torch.no_grad():
            for name, layer in self.layers.items():
                update = layer.get_delta_weight(self.name).to(torch.float32)
                weights[name].copy_(weights[name].to(torch.float32) + update)
                layer.merged_adapters.append(self.name)
        self.merged = True

    def unmerge(self) -> None:
        """Put the kept weights back, bit by bit."""
        if not self.merged or self._base is None:
            raise DinaError("nothing to unmerge: merge_lora(keep_base=True) was not called")
        with torch.no_grad():
            for name, layer in self.layers.items():
                layer.get_base_layer().weight.copy_(self._base[name])
                layer.merged_adapters.remove(self.name)
        self.merged, self._base = False, None

    def _named(self) -> dict[str, nn.Parameter]:
        return {
            f"{_PREFIX}{name}.lora_{factor}.weight": container[self.name].weight
            for name, layer in self.layers.items()
            for factor, container in (("A", layer.lora_A), ("B", layer.lora_B))
        }


def attach_lora(
    transformer: ModelMixin, settings: LoraSettings, blocks: Sequence[str], shared: bool, seed: int
) -> RewardLora:
    """Inject a fresh LoRA into the modules named `blocks`, its values a function of `seed`.

    Standalone it is switched on. In a shared transformer it stays off, and the adapters in use, `requires_grad` and the
    train flags are as before. Raises ValueError for targets that name no module there.
    """
    assert settings.targets is not None
    names = adapted_modules(transformer, settings.targets, blocks, settings.exclude)
    before = ModuleState.of(transformer)
    name, own = _free_name(transformer), vars(transformer).get("peft_config")
    if own is not None:
        # PEFT's own model around the transformer (get_peft_model) saves whatever the same dictionary lists
        transformer.peft_config = dict(own)
    config = peft_config(replace(settings, targets=tuple(names), exclude=()))
    with one_load_at_a_time(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # Several adapters are what is wanted here.
        warnings.filterwarnings("ignore", "Already found a `peft_config` attribute", UserWarning)
        torch.manual_seed(seed)
        transformer.add_adapter(config, name)
    before.restore()
    layers = {path: transformer.get_submodule(path) for path in names}
    wrapped_before = {id(layer) for layer, _, _ in before.layers}
    in_use = before.layers[0][1] if before.layers else []
    for layer in layers.values():
        if id(layer) not in wrapped_before:
            layer._active_adapter = in_use if shared else [name]
            layer.train(layer.get_base_layer().training)
    lora = RewardLora(transformer, name, settings, layers)
    for module in lora.modules():
        module.float().requires_grad_(True)
    return lora


def adapted_modules(
    transformer: nn.Module, targets: Sequence[str], blocks: Sequence[str], exclude: Sequence[str] = ()
) -> list[str]:
    """Names of the modules within `blocks` (names too) whose name is, or ends with, one of `targets`.

    Those whose name is, or ends with, one of `exclude` are left out.
    """
    within = ((block, name) for block in blocks for name, _ in transformer.get_submodule(block).named_modules())
    names = [f"{block}.{name}" for block, name in within if name]
    for target in targets:
        if not any(_named_by(name, target) for name in names):
            where = f"{len(blocks)} blocks from {blocks[0]} to {blocks[-1]}"
            raise DinaError(f"LoRA target {target!r} names no module in the first {where}")
    return [
        name
        for name in names
        if any(_named_by(name, target) for target in targets) and not any(_named_by(name, other) for other in exclude)
    ]


def _named_by(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith(f".{suffix}")


def peft_config(settings: LoraSettings, pretrained: str | None = None) -> LoraConfig:
    """PEFT's form of the settings."""
    assert settings.targets is not None
    return LoraConfig(
        r=settings.rank,
        lora_alpha=int(settings.alpha) if settings.alpha == int(settings.alpha) else settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        exclude_modules=list(settings.exclude) or None,
        init_lora_weights=settings.init,
        base_model_name_or_path=pretrained,
    )


def _free_name(transformer: ModelMixin) -> str:
    # Several reward models may read one generator.
    taken = vars(transformer).get("peft_config") or {}
    names = [ADAPTER_NAME, *(f"{ADAPTER_NAME}_{i}" for i in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3]) or "none"
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
