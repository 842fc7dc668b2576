"""What so many pictures take, from a million to a billion: bytes, files, GPU hours, and what is read a second.

    bytes of a picture   = 2 channels (side / 8)^2                                  latents in bfloat16
    bytes of a prompt    = 2 (77 * 2048 + tokens * 4096 + 2048)                     CLIP and T5 apart, and pooled
    hours                = FLOPs / (share * peak of the GPU) / 3600

It is Stable Diffusion 3.5 Medium that is counted, as in `jobs.py`. The share of the peak is said by whoever asks:
nothing here measures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from dina_lrm.profiling.counting import by_batch
from dina_lrm.profiling.encoders import text_cost, vae_cost
from dina_lrm.profiling.generators import generator, head_cost, transformer_cost
from dina_lrm.profiling.hardware import EFFICIENCY, gpu
from dina_lrm.typed import require

GENERATOR: Final = "sd3.5-medium"
SHARD_BYTES: Final = 128 << 20
_BYTES: Final = 2
_CHANNELS, _CLIP_TOKENS, _CLIP_WIDTH, _T5_WIDTH = 16, 77, 2048, 4096


@dataclass(frozen=True)
class ScaleSettings:
    """What pictures and machines are like; the defaults are the paper's data on H100s.

    `tokens` are those of the long text encoder, padding included; `picture_bytes` is the file of a picture, as it is
    read; `share` is what a GPU reaches of its peak, in (0, 1].
    """

    pixels: int = 1024
    tokens: int = 128
    pictures_per_prompt: float = 16 / 3
    picture_bytes: int = 300_000
    gpu: str = "h100"
    share: float = EFFICIENCY

    def __post_init__(self) -> None:
        require(self.pixels > 0 and self.pixels % 16 == 0, "pixels", self.pixels, "multiples of 16")
        require(0 < self.share <= 1, "share", self.share, "above 0, at most 1")
        require(self.pictures_per_prompt > 0, "pictures_per_prompt", self.pictures_per_prompt, "above 0")
        gpu(self.gpu)

    @property
    def latent_bytes(self) -> int:
        """Of one picture."""
        return _BYTES * _CHANNELS * (self.pixels // 8) ** 2

    @property
    def prompt_bytes(self) -> int:
        """Of one prompt."""
        return _BYTES * (_CLIP_TOKENS * _CLIP_WIDTH + self.tokens * _T5_WIDTH + _CLIP_WIDTH)


@dataclass(frozen=True)
class Scale:
    """What `pictures` take: tensors of the cache and its shards; GPU hours to encode them, to score them from files,
    and for an epoch of half as many pairs; pictures a second that a GPU encodes, and the bytes a
    second that it reads and writes for it.
    """

    pictures: int
    prompts: int
    latent_bytes: float
    prompt_bytes: float
    shards: int
    picture_file_bytes: float
    encode_hours: float
    score_hours: float
    train_hours: float
    pictures_a_second: float
    read_a_second: float
    written_a_second: float

    @property
    def cache_bytes(self) -> float:
        """Latents and prompts."""
        return self.latent_bytes + self.prompt_bytes


def scale(pictures: int, given: ScaleSettings | None = None) -> Scale:
    """What so many pictures take. Raises ValueError for none."""
    require(pictures >= 1, "pictures", pictures, "at least 1")
    given = given or ScaleSettings()
    prompts = max(1, round(pictures / given.pictures_per_prompt))
    latents, texts = float(pictures * given.latent_bytes), float(prompts * given.prompt_bytes)
    encode, body, training = _flops(given.pixels)
    text = _prompt_flops()
    rate = given.share * gpu(given.gpu).flops
    encoding = (pictures * encode + prompts * text) / rate
    a_second = pictures / encoding
    return Scale(
        pictures,
        prompts,
        latents,
        texts,
        shards=sum(-(-int(part) // SHARD_BYTES) for part in (latents, texts)),
        picture_file_bytes=float(pictures * given.picture_bytes),
        encode_hours=encoding / 3600,
        score_hours=encoding / 3600 + pictures * body / rate / 3600,
        train_hours=pictures / 2 * training / rate / 3600,
        pictures_a_second=a_second,
        read_a_second=a_second * given.picture_bytes,
        written_a_second=a_second * (latents + texts) / pictures,
    )


@cache
def _flops(pixels: int) -> tuple[float, float, float]:
    """Of encoding a picture, of scoring its latents once, and of a training step on a pair."""
    chosen = generator(GENERATOR)
    encode = by_batch(lambda n: vae_cost(n, pixels, False, False), 2).flops / 2
    blocks = by_batch(lambda n: transformer_cost(chosen, chosen.depth, n, pixels, True), 2)
    step = blocks + by_batch(lambda n: head_cost(chosen, n, pixels, 1, True), 2)
    return encode, step.forward / 2, step.flops


@cache
def _prompt_flops() -> float:
    return sum(text_cost(name, 1).flops for name in generator(GENERATOR).text_encoders)
