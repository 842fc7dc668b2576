"""Encoded prompts one by one: the rows of a conditioning, their bytes, and the hash that a server knows them by."""

from __future__ import annotations

import hashlib
from typing import Final

import torch
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning

PREFIX: Final = "sha256:"
_DTYPES: Final = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.bool: "BOOL",
}


def prompt_hash(conditioning: Conditioning) -> str:
    """Hash one prompt, as "sha256:...": name NUL dtype NUL shape NUL little-endian bytes of its tensors, in order.

    The shape is that without the batch axis, such as "333,4096". It is the content's hash, not that of a file, whose
    header may be written in other ways.
    """
    digest = hashlib.sha256()
    for name in ("prompt_embeds", "pooled_prompt_embeds", "prompt_mask"):
        tensor: Tensor | None = getattr(conditioning, name)
        if tensor is None:
            continue
        row = tensor[0].detach().cpu().contiguous()
        shape = ",".join(map(str, row.shape))
        digest.update(f"{name}\0{_DTYPES[row.dtype]}\0{shape}\0".encode())
        digest.update(row.view(torch.uint8).numpy().tobytes())
    return PREFIX + digest.hexdigest()


def conditioning_bytes(conditioning: Conditioning) -> int:
    """Bytes that the tensors of a conditioning take."""
    given = (conditioning.prompt_embeds, conditioning.pooled_prompt_embeds, conditioning.prompt_mask)
    return sum(tensor.nbytes for tensor in given if tensor is not None)


def rows_of(conditioning: Conditioning) -> list[Conditioning]:
    """Each prompt by itself, sharing the memory of all."""
    pooled, mask = conditioning.pooled_prompt_embeds, conditioning.prompt_mask
    return [
        Conditioning(
            conditioning.prompt_embeds[row : row + 1],
            None if pooled is None else pooled[row : row + 1],
            None if mask is None else mask[row : row + 1],
            None if conditioning.truncated is None else (conditioning.truncated[row],),
        )
        for row in range(len(conditioning))
    ]


def prompt_blob(conditioning: Conditioning) -> dict[str, Tensor]:
    """The tensors of one prompt by their names, without the batch axis, as a server is sent them."""
    found = {"prompt_embeds": conditioning.prompt_embeds[0]}
    if conditioning.pooled_prompt_embeds is not None:
        found["pooled_prompt_embeds"] = conditioning.pooled_prompt_embeds[0]
    if conditioning.prompt_mask is not None:
        found["prompt_mask"] = conditioning.prompt_mask[0]
    return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}
