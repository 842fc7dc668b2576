"""A training step at full size against the code released with the paper, in one process on a processor, in bfloat16.

    python -m benchmarks full_size training --generator FOLDER --against CHECKOUT [--rounds 3] [--json FILE]

`FOLDER` is one that `full_size pipeline` wrote. Both train a LoRA of rank 64 and the head on the first 12 blocks, on
the same pairs of latents (a picture of 512 pixels: 16 x 64 x 64) with prompts of 77 + 128 tokens, forward, backward,
clipping and AdamW, no average (the released configuration runs none). The released step encodes its prompts: its T5 has
its 24 layers here, which share the weights of two to fit beside the rest; what that takes is measured by itself, and
taken off in "released, prompts encoded already". The competitors take turns. Ratios are medians over rounds, with their
range; rounds that warm up are not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.full_size.ours import config_on, pairs_of, random_prompts, trained_by_us
from benchmarks.full_size.released import Released, drawn_latents
from benchmarks.measuring import Timing, cpu_saving, resident, speed_up, timed_in_turn
from dina_lrm.training.config import ComputeSettings
from dina_lrm.training.step import Stepper

T5_TOKENS: Final = 128
"""What the released training reads."""


def main(argv: Sequence[str]) -> dict[str, object]:
    """Run, print, and write the JSON."""
    given = arguments(__doc__, argv)
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as place:
        jobs = _jobs(given, Path(place))
        times = timed_in_turn(told_as_they_come(jobs), given.rounds, given.warm_up)
    times["released, prompts encoded already"] = _less(times["released"], times["released, its prompts alone"])
    what = f"training step, {given.pairs} pairs, {given.blocks} blocks, latents 16 x {given.side} x {given.side}"
    return told(what, told_rows(times, "released"), given)


def _jobs(given: argparse.Namespace, place: Path) -> dict[str, Callable[[], object]]:
    released = Released(given.against, given.generator, place, given.blocks)
    engine = released.trainer(encoders=True)
    chosen, rejected = (drawn_latents(given.pairs, given.side, seed) for seed in (0, 1))
    words = ["a large red bar over a small blue ring on white"] * given.pairs
    batch = {"prompt": words, "latent_chosen": chosen.bfloat16(), "latent_reject": rejected.bfloat16()}
    config = config_on(
        given.generator, given.blocks, T5_TOKENS, ComputeSettings(compile=given.compile, linears=given.linears)
    )
    stepper = trained_by_us(config, place)
    inputs = pairs_of(chosen, rejected, random_prompts(T5_TOKENS, given.pairs, 2), 3)

    def theirs() -> None:
        with released.state():
            engine.train_step(dict(batch))

    jobs: dict[str, Callable[[], object]] = {
        "released": theirs,
        "released, its prompts alone": lambda: engine.model.encode_prompt(words),
        "ours": _ours(stepper, inputs, "tiled", False),
        "ours, PyTorch's attention": _ours(stepper, inputs, "native", False),
    }
    if given.compile:
        jobs["ours, blocks compiled"] = _ours(stepper, inputs, "tiled", True)
    return jobs


def _ours(stepper: Stepper, inputs: Any, attention: str, compiled: bool) -> Callable[[], object]:  # noqa: ANN401
    def run() -> None:
        stepper.model.backbone.set_attention_backend(attention)
        with contextlib.nullcontext() if compiled else torch.compiler.set_stance("force_eager"):
            stepper(inputs)

    return run


def _less(whole: Timing, part: Timing) -> Timing:
    def differences(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(x - y for x, y in zip(a, b, strict=True))

    return Timing(differences(whole.seconds, part.seconds), differences(whole.cpu_seconds, part.cpu_seconds))


def told_as_they_come(jobs: Mapping[str, Callable[[], object]]) -> dict[str, Callable[[], object]]:
    """The jobs, each saying on standard error what it took: a round takes minutes."""

    def timed(name: str, job: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            start, cpu = time.perf_counter(), time.process_time()
            job()
            wall, used = time.perf_counter() - start, time.process_time() - cpu
            print(f"  {name}: {wall:.1f} s, CPU {used:.1f} s", file=sys.stderr, flush=True)

        return run

    return {name: timed(name, job) for name, job in jobs.items()}


def arguments(text: str | None, argv: Sequence[str]) -> argparse.Namespace:
    """What both comparisons take."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", type=Path, required=True, help="a folder that `full_size pipeline` wrote")
    parser.add_argument("--against", type=Path, required=True, help="a checkout of the code released with the paper")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=1, help="rounds before, which are not counted")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=12, help="a multiple of three")
    parser.add_argument("--pairs", type=int, default=1, help="pairs of a step, or pictures that are scored")
    parser.add_argument("--side", type=int, default=64, help="of the latents: an eighth of the picture's")
    parser.add_argument("--linears", default="full", help="ours: frozen linear layers in int8 or float8")
    parser.add_argument("--compile", action="store_true", help="compiled blocks too")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(argv)


def told_rows(times: Mapping[str, Timing], base: str) -> dict[str, dict[str, object]]:
    """What each took, and its ratios to `base` of the same rounds."""
    return {
        name: {
            "seconds": timing.seconds,
            "cpu_seconds": timing.cpu_seconds,
            "median": timing.median,
            "speed_up": str(speed_up(times[base], timing)),
            "cpu_saving": str(cpu_saving(times[base], timing)),
        }
        for name, timing in times.items()
    }


def told(what: str, rows: dict[str, dict[str, object]], given: argparse.Namespace) -> dict[str, object]:
    """Print the seconds and ratios of all, and write them."""
    print(f"{what}; {given.threads} threads, {given.rounds} rounds; {resident() / 1024:.1f} GiB held")
    for name, row in rows.items():
        print(
            f"  {name:<44} {row['median']:8.2f} s   {row['speed_up']} as fast as released, CPU {row['cpu_saving']} less"
        )
    found: dict[str, object] = {"what": what, "threads": given.threads, "rounds": given.rounds, "rows": rows}
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return found
