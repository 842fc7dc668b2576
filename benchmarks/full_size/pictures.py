"""From picture files to latents at full size: what decoding, resizing and the autoencoder of SD3.5 take.

    python -m benchmarks full_size pictures [--sizes 512 1024] [--rounds 3] [--files 8] [--tiled 1536] [--compile]

Three tables. The autoencoder (random weights) in each type and layout, in turn, as processor seconds a picture; its
tiles against the whole picture, with the largest difference in deviations of the latents; and pictures a second from
JPEG files of half as much again on a side, as they are scored (decoded and resized ahead by threads) and one after the
other, with the share of the time in which the autoencoder works.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from benchmarks.full_size.pipeline import empty_models
from benchmarks.measuring import peak_memory, timed_in_turn
from dina_lrm.data.buckets import Bucket
from dina_lrm.images import fit, image_pixels, load_image
from dina_lrm.rewards.scoring.ahead import ahead
from dina_lrm.rewards.scoring.loading import Loaded, Loader
from dina_lrm.rewards.scoring.rows import ScoreRow

Encode = Callable[[Tensor], Tensor]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
THREADS = 8
"""As many as `dina-lrm score` decodes with."""


def main(argv: Sequence[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=[*DTYPES])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--tiled", type=int, nargs="*", default=[1536])
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args(argv)
    print(f"{torch.get_num_threads()} threads of {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}; seed 0")
    with torch.inference_mode():
        for size in given.sizes:
            for dtype in given.dtypes:
                _layouts(size, DTYPES[dtype], given.rounds, given.compile)
        for size in given.tiled:
            _tiled(size, torch.bfloat16)
        for size in given.sizes:
            _files(size, given.files)


def autoencoder(dtype: torch.dtype) -> AutoencoderKL:
    """Stable Diffusion 3.5's, with random weights."""
    configuration: Any = empty_models(t5_layers=1, blocks=1)["vae"].config
    torch.manual_seed(0)
    return AutoencoderKL.from_config(configuration).to(dtype).eval().requires_grad_(False)


def picture(size: int) -> Tensor:
    """(1, 3, size, size) in [-1, 1]: smooth colours with some grain, as photographs are."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 16, 16, generator=draw)
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    return (smooth + 0.03 * torch.randn(smooth.shape, generator=draw)).clamp(0, 1) * 2 - 1


def encoded(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    """The mode of the posterior."""
    return vae.encode(pixels.to(vae.dtype)).latent_dist.mode().float()


def _layouts(size: int, dtype: torch.dtype, rounds: int, compiled: bool) -> None:
    pixels = picture(size)
    plain, last = autoencoder(dtype), autoencoder(dtype).to(memory_format=torch.channels_last)
    jobs: dict[str, Encode] = {
        "plain": lambda given: encoded(plain, given),
        "channels last": lambda given: encoded(last, given.contiguous(memory_format=torch.channels_last)),
    }
    if compiled:
        whole = autoencoder(dtype)
        whole.encoder.compile()
        jobs["compiled"] = lambda given: encoded(whole, given)
    expected = jobs["plain"](pixels)
    times = timed_in_turn({name: (lambda job=job: job(pixels)) for name, job in jobs.items()}, rounds)
    for name, found in times.items():
        seconds, base = statistics.median(found.cpu_seconds), statistics.median(times["plain"].cpu_seconds)
        low, high = min(found.cpu_seconds), max(found.cpu_seconds)
        off = _difference(jobs[name](pixels), expected)
        print(
            f"{size} px | {dtype} | {name} | {seconds:.2f} CPU s a picture ({low:.2f}-{high:.2f}) | "
            f"{base / seconds:.2f}x | differs by {off:.1e} deviations",
            flush=True,
        )


def _tiled(size: int, dtype: torch.dtype) -> None:
    pixels, vae = picture(size), autoencoder(dtype)
    found: dict[str, Tensor] = {}
    for name in ("whole", "tiles"):
        vae.use_tiling = name == "tiles"
        start = time.process_time()
        with peak_memory() as memory:
            found[name] = encoded(vae, pixels)
        print(
            f"{size} px | {dtype} | {name} | {time.process_time() - start:.1f} CPU s | {memory.added:.0f} MiB",
            flush=True,
        )
    gap = (found["tiles"] - found["whole"]) / found["whole"].std()
    print(f"{size} px | tiles of {vae.tile_sample_min_size} | root mean square {gap.square().mean().sqrt():.1e}, "
          f"largest {gap.abs().max():.1e} deviations")  # fmt: skip


def _difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.std())


def _files(size: int, count: int) -> None:
    """Plain and ahead, on the same files, in bfloat16."""
    bucket, vae = Bucket(size, size), autoencoder(torch.bfloat16)
    with tempfile.TemporaryDirectory() as folder:
        paths = list(_written(Path(folder), size * 3 // 2, count))
        stages = _stages(paths, bucket)
        print(f"{size} px | decode {1e3 * stages[0]:.0f} ms, resize {1e3 * stages[1]:.0f} ms of one core a picture")
        for name, read in (("one after the other", _plain), ("ahead", _ahead)):
            start, busy = time.perf_counter(), 0.0
            for pixels in read(paths, bucket):
                begun = time.perf_counter()
                encoded(vae, pixels[None] * 2 - 1)
                busy += time.perf_counter() - begun
            whole = time.perf_counter() - start
            print(f"{size} px | {name} | {count / whole:.3f} pictures a second | busy {busy / whole:.1%}", flush=True)


def _written(folder: Path, side: int, count: int) -> Iterator[Path]:
    pixels = ((picture(side)[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    for number in range(count):
        path = folder / f"{number}.jpg"
        Image.fromarray(np.roll(pixels, 37 * number, axis=1)).save(path, quality=92)
        yield path


def _stages(paths: Sequence[Path], bucket: Bucket) -> tuple[float, float]:
    """Processor seconds of decoding and of resizing a picture."""
    decode, resize = [], []
    for path in paths:
        start = time.thread_time()
        image = load_image(path)
        decoded = time.thread_time()
        fit(image_pixels(image), bucket)
        decode.append(decoded - start)
        resize.append(time.thread_time() - decoded)
    return statistics.median(decode), statistics.median(resize)


def _plain(paths: Sequence[Path], bucket: Bucket) -> Iterator[Tensor]:
    for path in paths:
        yield fit(image_pixels(load_image(path)), bucket)


def _ahead(paths: Sequence[Path], bucket: Bucket) -> Iterator[Tensor]:
    rows = (ScoreRow(path.name, "", path) for path in paths)
    with ThreadPoolExecutor(THREADS) as pool:
        loaded: Iterator[tuple[ScoreRow, Loaded]] = ahead(pool, Loader([bucket], {}), rows, 2)
        for _, found in islice(loaded, len(paths)):
            assert isinstance(found.picture, Tensor)
            yield found.picture
