"""Prompts and the scenes that realise them, rightly or with one thing wrong.

A `Prompt` is what the caption says; a `Scene` is what stands in the picture. A prompt is either a group of equal
objects ("two small red bars on gray") or a relation ("a large red ring above a small blue cross on white").
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dina_lrm.synthetic.vocabulary import (
    BACKGROUNDS,
    COLOURS,
    COUNTS,
    HELD_OUT,
    IMAGE_SIZE,
    PLURALS,
    RELATIONS,
    SHAPES,
    SIZES,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of object: size, colour and shape, as words."""

    size: str
    colour: str
    shape: str

    @property
    def combination(self) -> tuple[str, str]:
        """(colour, shape), the unit that is held out."""
        return self.colour, self.shape


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a caption says: `count` objects of the first kind, or one of each kind in a relation."""

    kinds: tuple[Kind, ...]
    background: str
    count: int = 1
    relation: str | None = None

    def caption(self) -> str:
        """The prompt in words, at most 14 of them."""
        first = self.kinds[0]
        if self.relation is not None:
            second = self.kinds[1]
            return (
                f"a {first.size} {first.colour} {first.shape} {self.relation} "
                f"a {second.size} {second.colour} {second.shape} on {self.background}"
            )
        noun = first.shape if self.count == 1 else PLURALS[first.shape]
        return f"{COUNTS[self.count]} {first.size} {first.colour} {noun} on {self.background}"

    def combinations(self) -> set[tuple[str, str]]:
        """The (colour, shape) combinations that the prompt names."""
        return {kind.combination for kind in self.kinds}


@dataclass(frozen=True, slots=True)
class Placed:
    """An object in a picture: a kind at a centre (pixels, x to the right, y down) with a radius (pixels)."""

    kind: Kind
    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture before rendering."""

    objects: tuple[Placed, ...]
    background: str


def sample_kind(rng: np.random.Generator, allowed: Callable[[tuple[str, str]], bool]) -> Kind:
    """A kind whose combination is allowed, uniformly."""
    sizes, colours = tuple(SIZES), tuple(COLOURS)
    while True:
        kind = Kind(sizes[rng.integers(2)], colours[rng.integers(len(colours))], SHAPES[rng.integers(len(SHAPES))])
        if allowed(kind.combination):
            return kind


def seen(combination: tuple[str, str]) -> bool:
    """Whether training comparisons may show this (colour, shape) combination."""
    return combination not in HELD_OUT


def anything(combination: tuple[str, str]) -> bool:
    """Allow every combination."""
    return True


def sample_prompt(rng: np.random.Generator, allowed: Callable[[tuple[str, str]], bool] = anything) -> Prompt:
    """Half groups of one to three equal objects, half relations of two different kinds."""
    background = tuple(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
    first = sample_kind(rng, allowed)
    if rng.random() < 0.5:
        return Prompt((first,), background, count=int(rng.integers(1, 4)))
    second = sample_kind(rng, allowed)
    while second.combination == first.combination:
        second = sample_kind(rng, allowed)
    return Prompt((first, second), background, relation=tuple(RELATIONS)[rng.integers(len(RELATIONS))])


def realise(prompt: Prompt, rng: np.random.Generator) -> Scene:
    """A scene that shows exactly what the prompt says, with random positions and a radius within 6 % of the word's."""
    if prompt.relation is not None:
        return _realise_relation(prompt, rng)
    kind = prompt.kinds[0]
    objects: list[Placed] = []
    while len(objects) < prompt.count:
        placed = place(kind, objects, rng)
        objects = [*objects, placed] if placed is not None else []
    return Scene(tuple(objects), prompt.background)


def place(kind: Kind, others: list[Placed], rng: np.random.Generator, shrink: float = 1.0) -> Placed | None:
    """The kind at a free random position, or None after 40 tries."""
    radius = SIZES[kind.size] * shrink * rng.uniform(0.94, 1.06)
    for x, y in rng.uniform(radius + 0.5, IMAGE_SIZE - radius - 0.5, size=(40, 2)):
        if all(max(abs(x - o.x), abs(y - o.y)) > radius + o.radius + 0.7 for o in others):
            return Placed(kind, float(x), float(y), float(radius))
    return None


def _realise_relation(prompt: Prompt, rng: np.random.Generator) -> Scene:
    first, second = (SIZES[kind.size] * rng.uniform(0.94, 1.06) for kind in prompt.kinds)
    low, high = 0.5, IMAGE_SIZE - 0.5
    slack = (high - low) - 2 * (first + second)
    gap = rng.uniform(0.3, max(0.4, slack))
    start = low + rng.uniform(0, max(0.0, slack - gap))
    near, far = start + first, start + 2 * first + gap + second
    dx, dy = RELATIONS[prompt.relation or ""]
    if dx + dy > 0:  # the first object stands on the far side
        near, far = IMAGE_SIZE - near, IMAGE_SIZE - far
    centre = IMAGE_SIZE / 2 + rng.uniform(-4, 4)
    across = [float(np.clip(centre + rng.uniform(-3, 3), low + r, high - r)) for r in (first, second)]
    along = (near, far)
    points = [(along[i], across[i]) if dx else (across[i], along[i]) for i in (0, 1)]
    kinds = zip(prompt.kinds, points, (first, second), strict=True)
    return Scene(tuple(Placed(kind, float(x), float(y), float(r)) for kind, (x, y), r in kinds), prompt.background)


def _recoloured(prompt: Prompt, rng: np.random.Generator, allowed: Callable[[tuple[str, str]], bool]) -> Prompt | None:
    return _with_kind(prompt, rng, "colour", tuple(COLOURS), allowed)


def _reshaped(prompt: Prompt, rng: np.random.Generator, allowed: Callable[[tuple[str, str]], bool]) -> Prompt | None:
    return _with_kind(prompt, rng, "shape", SHAPES, allowed)


def _with_kind(
    prompt: Prompt,
    rng: np.random.Generator,
    field: str,
    values: tuple[str, ...],
    allowed: Callable[[tuple[str, str]], bool],
) -> Prompt | None:
    index = int(rng.integers(len(prompt.kinds)))
    old = prompt.kinds[index]
    options = [replace(old, **{field: value}) for value in values if value != getattr(old, field)]
    options = [kind for kind in options if allowed(kind.combination) and kind.combination not in prompt.combinations()]
    if not options:
        return None
    kinds = list(prompt.kinds)
    kinds[index] = options[rng.integers(len(options))]
    return replace(prompt, kinds=tuple(kinds))


def _moved(prompt: Prompt, rng: np.random.Generator, allowed: Callable[[tuple[str, str]], bool]) -> Prompt | None:
    if prompt.relation is None:
        return None
    options = [relation for relation in RELATIONS if relation != prompt.relation]
    return replace(prompt, relation=options[rng.integers(len(options))])


def _recounted(prompt: Prompt, rng: np.random.Generator, allowed: Callable[[tuple[str, str]], bool]) -> Prompt | None:
    if prompt.relation is not None:
        return None
    options = [count for count in COUNTS if count != prompt.count]
    return replace(prompt, count=options[rng.integers(len(options))])


Change = Callable[[Prompt, np.random.Generator, Callable[[tuple[str, str]], bool]], Prompt | None]
CHANGES: Final[dict[str, Change]] = {
    "wrong colour": _recoloured,
    "wrong shape": _reshaped,
    "wrong relation": _moved,
    "wrong count": _recounted,
}
"""Ways in which a picture can show something else than its prompt says; None where one does not apply."""


def add_extra(
    scene: Scene, rng: np.random.Generator, allowed: Callable[[tuple[str, str]], bool] = seen
) -> Scene | None:
    """The scene with one more small object of a combination that it does not hold; None where there is no room."""
    present = {placed.kind.combination for placed in scene.objects}
    kind = sample_kind(rng, lambda c: allowed(c) and c not in present)
    placed = place(replace(kind, size="small"), list(scene.objects), rng, shrink=0.75)
    return None if placed is None else Scene((*scene.objects, placed), scene.background)
