"""A tiny Stable Diffusion 1.5 as one file, in the names of the code that it was first published with."""

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from tests.tiny_unets import tiny_sd_pipeline

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def saved_one_file(path: Path, layers: int = 2) -> Path:
    """U-Net, autoencoder and text encoder of `tiny_sd_pipeline` in one file."""
    pipeline = tiny_sd_pipeline(layers=layers)
    tensors = {f"model.diffusion_model.{_unet(name, layers)}": t for name, t in pipeline.unet.state_dict().items()}
    tensors |= {f"first_stage_model.{_vae(name)}": _conv(name, t) for name, t in pipeline.vae.state_dict().items()}
    text = {_text(name): t for name, t in pipeline.text_encoder.state_dict().items()}
    tensors |= {f"cond_stage_model.transformer.text_model.{name}": t for name, t in text.items()}
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path)
    return path


def _text(name: str) -> str:
    return name.removeprefix("text_model.")


def _unet(name: str, layers: int) -> str:
    """The name of a tensor of the U-Net, of two resolutions."""
    head, *rest = name.split(".")
    simple = {
        "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    }  # fmt: skip
    if head in simple:
        return ".".join([simple[head], *rest])
    if head == "time_embedding":
        return ".".join(["time_embed", {"linear_1": "0", "linear_2": "2"}[rest[0]], *rest[1:]])
    if head == "mid_block":
        place = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}[".".join(rest[:2])]
        return ".".join(["middle_block", place, *_inside(rest[2:], rest[0])])
    level, kind, at, *inner = rest
    if head == "down_blocks":
        if kind == "downsamplers":
            return ".".join(["input_blocks", str((int(level) + 1) * (layers + 1)), "0", "op", *inner[1:]])
        number = 1 + int(level) * (layers + 1) + int(at)
        return ".".join(["input_blocks", str(number), str(int(kind == "attentions")), *_inside(inner, kind)])
    number = int(level) * (layers + 1) + (layers if kind == "upsamplers" else int(at))
    if kind == "upsamplers":  # the block of the lower resolution has no attention here
        return ".".join(["output_blocks", str(number), "1", "conv", *inner[1:]])
    return ".".join(["output_blocks", str(number), str(int(kind == "attentions")), *_inside(inner, kind)])


def _inside(inner: list[str], kind: str) -> list[str]:
    return inner if kind == "attentions" else [RESNET[inner[0]], *inner[1:]]


def _vae(name: str) -> str:
    name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    for ours, theirs in (("resnets.0", "block_1"), ("resnets.1", "block_2"), ("attentions.0", "attn_1")):
        name = name.replace(f"mid_block.{ours}", f"mid.{theirs}")
    if ".mid.attn_1." in name:
        for ours, theirs in VAE_ATTENTION.items():
            name = name.replace(f"attn_1.{ours}.", f"attn_1.{theirs}.")
    parts = name.split(".")
    if len(parts) > 2 and parts[1] in ("down_blocks", "up_blocks"):
        up = parts[1] == "up_blocks"
        level = str(2 - int(parts[2])) if up else parts[2]
        kinds = {"resnets": "block", "downsamplers": "downsample", "upsamplers": "upsample"}
        rest = parts[4:] if parts[3] == "resnets" else parts[5:]
        return ".".join([parts[0], "up" if up else "down", level, kinds[parts[3]], *rest])
    return name


def _conv(name: str, tensor: Tensor) -> Tensor:
    """The autoencoder's attention was of convolutions."""
    projection = "attentions.0.to_" in name and name.endswith(".weight")
    return tensor[:, :, None, None] if projection else tensor
