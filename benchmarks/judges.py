"""Judges against their published behaviour: how far they are from it, and how far a plausible reading would be.

    published    pictures by Pillow and NumPy, prompts by ftfy, positions 0, 1, 2, ...: written down here once more
    plausible    pictures covered and cut at the centre, prompts as transformers reads them, Qwen2-VL's own positions

All on one set of random weights for each judge, on pictures of awkward sizes; differences in standard deviations of the
published scores.
"""

from __future__ import annotations

import argparse
import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ftfy
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from dina_lrm.data.buckets import Bucket
from dina_lrm.images import fit
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.judges.hpsv3 import REWARD_TOKEN, HpsV3
from dina_lrm.rewards.judges.pictures import Frame, Preparation
from dina_lrm.rewards.names import load_reward
from tests.rewards.published_folders import save_aesthetic, save_hpsv2, save_hpsv3, save_image_reward, save_mps
from tests.rewards.tiny_judges import save_tiny_clip
from tests.tiny import tiny_clip_tokenizer

SIDE, PATCH = 224, 32
SIZES = ((512, 512), (640, 480), (225, 224), (224, 225), (333, 224), (224, 500), (1000, 97), (97, 1000), (37, 41))
SIZES += ((1024, 768), (801, 799), (64, 64), (1920, 1081), (29, 31), (150, 500), (999, 333), (257, 255), (223, 300))
PROMPTS = (
    "a red cube",
    "The ball’s “table”",
    "a blue &amp; green ball",
    "two  small\ncubes",
    "caf&eacute; of the left",
)

Scorer = Callable[[Tensor, str], float]


def picture(number: int, size: tuple[int, int]) -> Tensor:
    """Waves and rectangles in whole grey levels, (1, 3, height, width)."""
    random = np.random.default_rng(number)
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    waves = [np.sin(2 * np.pi * (a * x + b * y)) for a, b in random.uniform(0, 9, (6, 2))]
    image = np.stack([sum(random.uniform(-1, 1) * wave for wave in waves) for _ in range(3)], axis=-1)
    image = (image - image.min()) / (image.max() - image.min())
    for _ in range(8):
        left, top = random.integers(0, size[0]), random.integers(0, size[1])
        image[top : top + size[1] // 3 + 1, left : left + size[0] // 3 + 1] = random.uniform(0, 1, 3)
    return _pixels((image * 255).round().astype(np.uint8))


@dataclass(frozen=True)
class Apart(Frame):
    """A way to a square that is written down here."""

    way: Callable[[Tensor], Tensor]

    def __call__(self, picture: Tensor) -> Tensor:
        """Of one picture."""
        return self.way(picture[None])[0]


def cut(half: Callable[[int], int]) -> Preparation:
    """Pillow's short side at `SIDE`, the long one truncated, the middle cut out; `half` places it."""

    def prepared(images: Tensor) -> Tensor:
        image = _image(images)
        width, height = image.size
        size = [int(SIDE * length / min(width, height)) for length in (width, height)]
        left, top = (half(length - SIDE) for length in size)
        scaled = image.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        return _pixels(np.array(scaled)[top : top + SIDE, left : left + SIDE])

    return Preparation(Apart(prepared))


def barred(images: Tensor) -> Tensor:
    """The long side at `SIDE` in floating point, on black."""
    height, width = images.shape[2:]
    size = [round(length * (SIDE / max(height, width))) for length in (height, width)]
    top, left = ((SIDE - length) // 2 for length in size)
    square = torch.zeros(1, 3, SIDE, SIDE)
    scaled = F.interpolate(images, size, mode="bicubic", antialias=True)
    square[:, :, top : top + size[0], left : left + size[1]] = scaled
    return square


def covered(images: Tensor) -> Tensor:
    """Scaled in floating point to cover the square, with rounded sizes, and cut at the centre."""
    return torch.stack([fit(image, Bucket(SIDE, SIDE)) for image in images])


def qwen_score(judge: HpsV3, image: Tensor, prompt: str, published: bool) -> float:
    """HPSv3 by hand, or with the positions and the picture's size that Qwen2-VL's own files give."""
    given, source = {}, _image(image)
    if published:
        width, height = source.size
        size = [max(1, round(length / 28)) for length in (width, height)]
        if size[0] * size[1] != 256:
            whole = np.floor if size[0] * size[1] > 256 else np.ceil
            size = [int(whole(16 * length / (width * height) ** 0.5)) for length in (width, height)]
        size = [28 * length for length in size]
        seen = judge.images(images=[source.resize((size[0], size[1]), Image.Resampling.BICUBIC)], return_tensors="pt")
    else:
        seen = judge.images(images=[source], return_tensors="pt")
    tokens = judge._tokens(prompt, int(seen["image_grid_thw"].prod()) // 4)[None]
    if published:
        given = {"position_ids": torch.arange(tokens.shape[1]).repeat(3, 1, 1)}
    else:
        given = {"mm_token_type_ids": (tokens == judge.model.config.image_token_id).long()}
    states = judge.model(input_ids=tokens, attention_mask=torch.ones_like(tokens), **given, **seen).last_hidden_state
    at = (tokens[0] == judge.tokenizer.convert_tokens_to_ids(REWARD_TOKEN)).nonzero()[0, 0]
    return float(judge.head(states[0, at])[0])


def variants(name: str, folder: Path) -> tuple[Reward, Scorer, Scorer]:
    """A judge of random weights, its published behaviour, and the plausible reading of it."""
    save: dict[str, Callable[..., Any]] = {"hpsv3": save_hpsv3, "mps": save_mps, "aesthetic": save_aesthetic}
    save |= {"hpsv2": save_hpsv2, "imagereward": save_image_reward, "clip": save_tiny_clip, "pickscore": save_tiny_clip}
    save[name](folder, **({} if name == "hpsv3" else {"side": SIDE, "patch": PATCH}))
    judge: Any = load_reward(f"{name}:{folder}")
    if isinstance(judge, HpsV3):
        return judge, lambda x, p: qwen_score(judge, x, p, True), lambda x, p: qwen_score(judge, x, p, False)
    to_even = name in ("imagereward", "aesthetic")
    apart = cut((lambda spare: round(spare / 2)) if to_even else (lambda spare: spare // 2))
    cover = Preparation(Apart(covered))
    if not hasattr(judge, "towers"):
        published, plausible = replace(judge, pixels=apart), replace(judge, pixels=cover)
    elif name == "hpsv2":
        published = replace(judge, towers=replace(judge.towers, pixels=Preparation(Apart(barred)), clean=_cleaned))
        plain = replace(judge.towers, pixels=cover, clean=str, tokenizer=tiny_clip_tokenizer())
        plausible = replace(judge, towers=plain)
    else:
        published, plausible = (replace(judge, towers=replace(judge.towers, pixels=each)) for each in (apart, cover))
    return judge, lambda x, p: float(published(x, [p])), lambda x, p: float(plausible(x, [p]))


@torch.no_grad()
def measure(name: str, sizes: Sequence[tuple[int, int]] = SIZES) -> dict[str, float]:
    """The largest difference from the published scores, of ours and of the plausible reading, in their deviations."""
    with TemporaryDirectory() as folder:
        judge, published, plausible = variants(name, Path(folder))
        rows = []
        for number, size in enumerate(sizes):
            image, prompt = picture(number, size), PROMPTS[number % len(PROMPTS)]
            rows.append((published(image, prompt), float(judge(image, [prompt])), plausible(image, prompt)))
    right, ours, other = np.array(rows).T
    return {
        "ours": float(np.abs(ours - right).max() / right.std()),
        "plausible": float(np.abs(other - right).max() / right.std()),
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Run, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    found = {}
    for name in ("clip", "pickscore", "mps", "imagereward", "aesthetic", "hpsv2", "hpsv3"):
        found[name] = measure(name)
        print(
            f"{name}: ours {found[name]['ours']:.1e}, the plausible reading {found[name]['plausible']:.2g}", flush=True
        )
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return found


def _cleaned(prompt: str) -> str:
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(prompt))).split()).lower()


def _image(images: Tensor) -> Image.Image:
    return Image.fromarray((images[0] * 255).round().byte().permute(1, 2, 0).numpy())


def _pixels(levels: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(levels)).permute(2, 0, 1)[None].float() / 255


if __name__ == "__main__":
    main()
