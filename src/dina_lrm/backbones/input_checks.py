"""What a backbone refuses to read, before its model fails on it with a message of its own."""

from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.typed import DinaError


def check_batch(noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning) -> None:
    """ValueError for batches that disagree."""
    batch = len(noisy_latents)
    if noise_level.shape != (batch,):
        raise DinaError(f"noise_level: got shape {tuple(noise_level.shape)}, expected ({batch},) as the latents")
    if len(conditioning) != batch:
        raise DinaError(f"conditioning: got {len(conditioning)} prompts for {batch} latents")


def check_size(what: str, image: Tensor, multiple: int) -> None:
    """ValueError for latents or pixels whose height or width is none that the model takes."""
    height, width = image.shape[-2:]
    if height % multiple or width % multiple or not height or not width:
        raise DinaError(f"{what}: got size {height} x {width}, expected multiples of {multiple}")
