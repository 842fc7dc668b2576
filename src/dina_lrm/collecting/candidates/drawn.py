"""Pairs that a generator draws while people vote: two pictures of a prompt, of different noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from PIL import Image

from dina_lrm.collecting.candidates.candidate import Candidate, Candidates
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.load import loaded_generator
from dina_lrm.generators.samples import PicturePlan, draw_samples
from dina_lrm.generators.settings import BUNDLED_GENERATOR, GeneratorSettings
from dina_lrm.images import png_bytes
from dina_lrm.locate import BUNDLED, BUNDLED_LORAS
from dina_lrm.precision import default_device
from dina_lrm.synthetic.prompts import SYNTHETIC, prompts_or_texts
from dina_lrm.typed import DinaError

_AT_ONCE = 8
"""Pictures that are drawn together."""
_CAPTIONS = 10_000
"""Captions of the bundled world, where no prompts are given."""


def candidates(settings: AnnotateSettings) -> Candidates:
    """Two pictures a prompt, round after round of other noise, for as long as they are asked for."""
    bundled = settings.where in BUNDLED or settings.where in BUNDLED_LORAS
    if not settings.prompts and not bundled:
        told = f"{settings.where}: a generator, and no prompts"
        raise DinaError(f"{told}; accepted: --prompts FILE, or one or more texts")
    prompts = prompts_or_texts(settings.prompts or (SYNTHETIC,), [settings.seed, 21], _CAPTIONS)
    found = Candidates(
        settings.where, iter(()), notes=[f"pictures are drawn as they are needed, for {len(prompts)} prompts"]
    )
    found.pairs = _pairs(settings, bundled, prompts, found)
    return found


def _pairs(settings: AnnotateSettings, bundled: bool, prompts: list[str], found: Candidates) -> Iterator[Candidate]:
    generator, steps = _generator(settings, bundled)
    turn = 0
    while True:
        plan = PicturePlan(tuple(prompts), 2, steps, settings.seed + turn, _AT_ONCE)
        for block in plan.blocks():
            yield from _drawn(generator, plan, block, settings.where, found)
        turn += 1


def _generator(settings: AnnotateSettings, bundled: bool) -> tuple[Generator, int]:
    told = BUNDLED_GENERATOR if bundled else GeneratorSettings(precision=settings.precision)
    told = replace(told, pretrained=settings.where)
    device = settings.device or default_device()
    return loaded_generator(told, device, settings.seed), told.sampling_steps


def _drawn(
    generator: Generator, plan: PicturePlan, block: range, source: str, found: Candidates
) -> Iterator[Candidate]:
    """The pairs of a block; one with a picture that is none (not finite numbers) is left out."""
    samples = draw_samples(generator, plan, block)
    for place, number in enumerate(block):
        pictures, prompt = range(2 * place, 2 * place + 2), plan.prompts[number]
        if all(samples.finite[picture] for picture in pictures):
            first, second = (png_bytes(Image.fromarray(samples.images[picture])) for picture in pictures)
            yield Candidate(prompt, first, second, source)
        else:
            found.leave_out("the generator gave numbers that are not finite", prompt)
