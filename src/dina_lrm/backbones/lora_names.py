"""Names of a LoRA's tensors in the layouts that are in use, and the modules of a model that they mean.

    diffusers       unet.M.lora_A.weight, unet.M.lora.down.weight, unet.M.processor.to_q_lora.down.weight
    PEFT            base_model.model.M.lora_A.weight
    kohya, ComfyUI  lora_unet_N.lora_down.weight, lora_unet_N.alpha     N: M with "_" for ".", of diffusers' or SGM's M
    original        diffusion_model.M.lora_A.weight                     M of the model's own code

M is a module's name, (lora_A, lora_B), (down, up) the two factors: the update is (alpha / rank) up down.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from dina_lrm.typed import DinaError

Part = Literal["down", "up", "alpha"]
_FACTOR: Final = re.compile(
    r"(?P<module>.+?)[._](?:lora_linear_layer\.|lora\.|lora_)(?P<end>A|B|down|up)(?:\.default)?\.weight"
)
_PARTS: Final[Mapping[str, Part]] = {"A": "down", "down": "down", "B": "up", "up": "up"}
_OTHER: Final = {
    r"dora_scale|lora_magnitude_vector": "DoRA",
    r"hada_": "LoHa",
    r"lokr_": "LoKr",
    r"lora_mid": "LoCon with a third factor",
    r"\.oft_|oft_blocks|oft_r": "OFT",
    r"\.diff(_b)?$|\.set_weight$": "whole differences of weights",
    r"[wb]_norm$": "trained norms",
    r"lora_bias|lora_[AB]\.bias|lora_(up|down)\.bias": "LoRA with a bias",
    r"\.[ab][12]\.weight$": "GLoRA",
    r"ia3_|\.on_input$": "IA3",
}
_TEXT_ENCODERS: Final = re.compile(r"(base_model\.model\.)?(text_encoder|lora_te|te\d?[._]|clip_[lg]\.|t5xxl\.)")
_PREFIXES: Final = re.compile(
    r"^(base_model\.model\.|unet\.|transformer\.|diffusion_model\.|model\.diffusion_model\.|"
    r"lora_unet_|lora_transformer_|lycoris_)"
)
_SGM_RESNET: Final = {
    "conv1": "in_layers_2", "conv2": "out_layers_3", "time_emb_proj": "emb_layers_1",
    "conv_shortcut": "skip_connection",
}  # fmt: skip
_SGM_REST: Final = {
    "conv_in": "input_blocks_0_0", "conv_out": "out_2", "time_embedding_linear_1": "time_embed_0",
    "time_embedding_linear_2": "time_embed_2", "add_embedding_linear_1": "label_emb_0_0",
    "add_embedding_linear_2": "label_emb_0_2",
}  # fmt: skip


@dataclass(frozen=True)
class TensorName:
    """What the name of a tensor says: the module, as the file spells it, and which part of its update it is."""

    module: str
    part: Part

    @property
    def of_text_encoder(self) -> bool:
        """Whether the module is one of a text encoder."""
        return _TEXT_ENCODERS.match(self.module) is not None


def tensor_name(name: str) -> TensorName:
    """The parts of a tensor's name. Raises ValueError for other adapters than LoRA, and for what is none."""
    for pattern, kind in _OTHER.items():
        if re.search(pattern, name):
            raise DinaError(f"{name!r} is of {kind}; accepted: plain LoRA")
    if name.endswith(".alpha"):
        return TensorName(name.removesuffix(".alpha"), "alpha")
    match = _FACTOR.fullmatch(name)
    if match is None:
        raise DinaError(f"{name!r} is no tensor of a LoRA; accepted: lora_A and lora_B, or lora_down and lora_up")
    return TensorName(match["module"], _PARTS[match["end"]])


class ModuleNames:
    """The modules of a model that a LoRA can be of, found by any of the names that files give them."""

    def __init__(self, model: nn.Module) -> None:
        self.layers = dict(_layers(model))
        self._spelled: dict[str, str] = {}
        for module in self.layers:
            for spelled in (module, kohya_name(module), *_sgm_names(module)):
                self._spelled[spelled.removesuffix(".0") if spelled.endswith("to_out.0") else spelled] = module

    def find(self, spelled: str) -> str | None:
        """The module that a file's name of it means; None where the model has none of that name."""
        plain = spelled.replace(".processor.", ".")
        while True:
            shorter = plain.removesuffix(".0") if plain.endswith("to_out.0") else plain
            if shorter in self._spelled:
                return self._spelled[shorter]
            bare = _PREFIXES.sub("", plain)
            if bare == plain:
                return None
            plain = bare


def kohya_name(module: str) -> str:
    """A module's name as kohya's layout has it, behind `lora_unet_`."""
    return module.replace(".", "_")


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Linear and convolution layers by name, without the adapters around them."""
    wrapped: tuple[str, ...] = ()
    for name, module in model.named_modules():
        if isinstance(module, BaseTunerLayer):
            wrapped = (*wrapped, f"{name}.")
            yield name, module.get_base_layer()
        elif isinstance(module, nn.Linear | nn.Conv2d) and not name.startswith(wrapped or ("\0",)):
            yield name, module


def _sgm_names(module: str) -> Iterator[str]:
    """The name in the code that Stable Diffusion XL was published with, as kohya's files of it have."""
    name = kohya_name(module)
    if name in _SGM_REST:
        yield _SGM_REST[name]
    match = re.fullmatch(r"(down|up)_blocks_(\d+)_(resnets|attentions|downsamplers|upsamplers)_(\d+)_(.+)", name)
    if match is not None:
        yield from _sgm_block(match[1] == "down", int(match[2]), match[3], int(match[4]), match[5])
    match = re.fullmatch(r"mid_block_(resnets|attentions)_(\d+)_(.+)", name)
    if match is not None:
        kind, number, rest = match[1], int(match[2]), match[3]
        yield f"middle_block_{2 * number if kind == 'resnets' else 1}_{_SGM_RESNET.get(rest, rest)}"


def _sgm_block(down: bool, block: int, kind: str, number: int, rest: str) -> Iterator[str]:
    """Two layers a block on the way down, three on the way up; the first input block is the convolution."""
    place = f"input_blocks_{3 * block + number + 1}" if down else f"output_blocks_{3 * block + number}"
    if kind == "downsamplers":
        yield f"input_blocks_{3 * (block + 1)}_0_op"
    elif kind == "upsamplers":
        # Behind a layer of attention, or right behind the residual one
        yield from (f"output_blocks_{3 * block + 2}_{behind}_{rest}" for behind in (1, 2))
    else:
        yield f"{place}_{0 if kind == 'resnets' else 1}_{_SGM_RESNET.get(rest, rest)}"
