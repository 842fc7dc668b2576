"""Comparisons of the synthetic world: images, noisy labels, and the truth behind them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dina_lrm.data.comparison import Comparison
from dina_lrm.heads.names import OVERALL
from dina_lrm.synthetic.defects import SEEN_DEFECTS, UNSEEN_DEFECTS
from dina_lrm.synthetic.draws import (
    MISMATCHES,
    Draw,
    Flaw,
    FlawRates,
    draw,
    draw_mismatch,
    held_out_only,
    render_draws,
)
from dina_lrm.synthetic.scene import Prompt, realise, sample_prompt, seen
from dina_lrm.synthetic.utility import (
    AXES,
    PERSONALITIES,
    Annotator,
    axis_parts,
    bayes_ceiling,
    utility_parts,
    vote,
)
from dina_lrm.synthetic.vocabulary import HELD_OUT
from dina_lrm.typed import DinaError


@dataclass(frozen=True, eq=False)
class AxisTruth:
    """What is true and said of one axis: columns as `SyntheticComparisons` has them of the whole."""

    utility: NDArray[np.float64]
    preference: NDArray[np.float64]
    probability: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SyntheticComparisons:
    """Judged pictures: `group` numbers the prompt of each picture, `pairs` are rows of pictures of one prompt.

    `preference` is what the annotators said, `probability` what they say on average; `utility` is true. `kind` and
    `severity` say, for the diagnostic set, what is wrong with the worse picture of each pair. `axes` has what was said
    when people were asked for alignment or quality alone.
    """

    prompts: tuple[str, ...]
    images: NDArray[np.uint8]
    group: NDArray[np.int64]
    utility: NDArray[np.float64]
    pairs: NDArray[np.int64]
    preference: NDArray[np.float64]
    probability: NDArray[np.float64]
    source: str
    kind: tuple[str, ...] | None = None
    severity: NDArray[np.float64] | None = None
    axes: Mapping[str, AxisTruth] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def ceiling(self) -> float:
        """Expected accuracy of a judge who knows the true utility."""
        return bayes_ceiling(self.probability)

    @property
    def fingerprint(self) -> str:
        """A hash of pictures, prompts and labels; unlike that of latents, every processor gives the same."""
        found = hashlib.sha256("\n".join(self.prompts).encode())
        for column in (self.images, self.group, self.pairs, self.preference.astype(np.float32)):
            found.update(np.ascontiguousarray(column).tobytes())
        return found.hexdigest()

    def about(self, name: str) -> "SyntheticComparisons":
        """The same pictures with what is true and said of one axis; "overall" is the whole.

        Raises ValueError for a name that people were not asked about.
        """
        if name == OVERALL:
            return self
        if name not in self.axes:
            raise DinaError(f"{self.source}: {name!r} was not asked; accepted: {', '.join((OVERALL, *self.axes))}")
        truth = self.axes[name]
        return replace(self, utility=truth.utility, preference=truth.preference, probability=truth.probability)

    def said_by_name(self) -> list[dict[str, float]]:
        """What was said of each pair, overall and of each axis."""
        columns = {OVERALL: self.preference, **{name: truth.preference for name, truth in self.axes.items()}}
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def comparisons(self, by_name: bool = False) -> Iterator[Comparison]:
        """The pairs with their pictures in memory; `by_name` with what was said of each axis."""
        for n, (a, b) in enumerate(self.pairs):
            image_a, image_b = (Image.fromarray(self.images[row]) for row in (a, b))
            yield self._comparison(n, image_a, image_b, by_name)

    def write_images(self, folder: Path, by_name: bool = False) -> Iterator[Comparison]:
        """Write every picture as PNG under the folder; the pairs with paths, `by_name` as in `comparisons`."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{self.source}-{row:06d}.png" for row in range(len(self.images))]
        for path, image in zip(paths, self.images, strict=True):
            Image.fromarray(image).save(path)
        for n, (a, b) in enumerate(self.pairs):
            yield self._comparison(n, str(paths[a]), str(paths[b]), by_name)

    def _comparison(
        self, n: int, image_a: str | Image.Image, image_b: str | Image.Image, by_name: bool = False
    ) -> Comparison:
        said = {name: float(truth.preference[n]) for name, truth in self.axes.items()} if by_name else {}
        group = int(self.group[self.pairs[n, 0]])
        return Comparison(
            prompt=self.prompts[group],
            image_a=image_a,
            image_b=image_b,
            preference=float(self.preference[n]),
            source=self.source,
            pair_id=f"{self.source}-{n}",
            prompt_id=f"{self.source}-prompt-{group}",
            preferences=tuple({OVERALL: float(self.preference[n]), **said}.items()) if by_name else (),
        )


@dataclass(frozen=True)
class Labelling:
    """Who judges: annotators drawn from named personalities, how many votes a pair gets, how often they call a tie."""

    personalities: tuple[str, ...] = ("balanced",)
    votes: int = 1
    ties: float = 0.0

    def annotators(self) -> list[Annotator]:
        """The annotators by name; raises ValueError for an unknown one."""
        unknown = [name for name in self.personalities if name not in PERSONALITIES]
        if unknown:
            raise DinaError(f"Labelling: personality {unknown[0]!r}; accepted: {', '.join(PERSONALITIES)}")
        return [PERSONALITIES[name] for name in self.personalities]

    def heard(
        self, parts: NDArray[np.float64], pairs: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What annotators say of each pair of pictures with these parts of utility, and what they say on average."""
        people = self.annotators()
        judges = rng.integers(len(people), size=len(pairs))
        each = np.stack([person.probability(parts[pairs[:, 0]], parts[pairs[:, 1]]) for person in people])
        return vote(each[judges, np.arange(len(pairs))], self.votes, self.ties, rng), each.mean(axis=0)

    def heard_by_axis(
        self, parts: NDArray[np.float64], pairs: NDArray[np.int64], rng: np.random.Generator
    ) -> dict[str, AxisTruth]:
        """What annotators say when they are asked for one axis alone, as noisily as ever."""
        found = {}
        for axis in AXES:
            alone = axis_parts(parts, axis)
            preference, probability = self.heard(alone, pairs, rng)
            found[axis] = AxisTruth(alone.sum(axis=1), preference, probability)
        return found


def judge(
    draws: list[Draw], group: NDArray[np.int64], pairs: NDArray[np.int64], labels: Labelling, source: str, seed: int
) -> SyntheticComparisons:
    """Render the draws and let people judge the pairs."""
    rng = np.random.default_rng((seed, 77))
    parts = utility_parts(draws)
    preference, probability = labels.heard(parts, pairs, rng)
    prompts: dict[int, str] = {}
    for number, drawn in zip(group.tolist(), draws, strict=True):
        prompts.setdefault(number, drawn.prompt.caption())
    return SyntheticComparisons(
        prompts=tuple(prompts[number] for number in range(len(prompts))),
        images=render_draws(draws, rng),
        group=group,
        utility=PERSONALITIES["balanced"].utility(parts),
        pairs=pairs,
        preference=preference,
        probability=probability,
        source=source,
        axes=labels.heard_by_axis(parts, pairs, np.random.default_rng((seed, 78))),
    )


def ranking_pairs(prompts: int, images: int) -> NDArray[np.int64]:
    """(prompts * images * (images - 1) / 2, 2) all pairs of the pictures of each prompt, sides alternating."""
    first, second = np.triu_indices(images, 1)
    flip = (first + second) % 2 == 0
    within = np.stack([np.where(flip, first, second), np.where(flip, second, first)], axis=1)
    return (np.arange(prompts)[:, None, None] * images + within[None]).reshape(-1, 2)


def sample_comparisons(
    prompts: int,
    images: int,
    seed: int,
    source: str,
    allowed: Callable[[tuple[str, str]], bool] = seen,
    rates: FlawRates | None = None,
    labels: Labelling | None = None,
    wanted: Callable[[Prompt], bool] = lambda prompt: True,
) -> SyntheticComparisons:
    """All pairs of `images` pictures for each of `prompts` prompts."""
    rng = np.random.default_rng(seed)
    draws: list[Draw] = []
    while len(draws) < prompts * images:
        prompt = sample_prompt(rng, allowed)
        if wanted(prompt):
            draws.extend(draw(prompt, rates or FlawRates(), rng) for _ in range(images))
    group = np.repeat(np.arange(prompts), images)
    return judge(draws, group, ranking_pairs(prompts, images), labels or Labelling(), source, seed)


def training_comparisons(
    prompts: int, images: int = 8, seed: int = 0, labels: Labelling | None = None
) -> SyntheticComparisons:
    """Training data: seen combinations and seen defects only."""
    return sample_comparisons(prompts, images, seed=1_000_000 + seed, source="synthetic-train", labels=labels)


TEST_IMAGES: Final = 3
"""Pictures for each prompt of a test set; all three pairs of them are judged."""


def in_domain(pairs: int = 2_000, seed: int = 0) -> SyntheticComparisons:
    """Test pairs of the training distribution, from other seeds."""
    return _test_pairs(pairs, sample_comparisons(_prompts(pairs), TEST_IMAGES, 2_000_000 + seed, "in_domain"))


def validation(pairs: int = 2_000, seed: int = 0) -> SyntheticComparisons:
    """Pairs of the training distribution for choices that test sets must not make, such as a temperature."""
    return _test_pairs(pairs, sample_comparisons(_prompts(pairs), TEST_IMAGES, 6_000_000 + seed, "validation"))


def unseen_compositions(pairs: int = 2_000, seed: int = 0) -> SyntheticComparisons:
    """Test pairs whose prompts name only (colour, shape) combinations that training comparisons never show."""
    made = sample_comparisons(
        _prompts(pairs),
        TEST_IMAGES,
        seed=3_000_000 + seed,
        source="unseen_compositions",
        allowed=lambda combination: combination in HELD_OUT,
        wanted=held_out_only,
    )
    return _test_pairs(pairs, made)


def unseen_defects(pairs: int = 2_000, seed: int = 0) -> SyntheticComparisons:
    """Test pairs damaged by defects that training comparisons never show; mismatches as in training."""
    rates = FlawRates(defects=UNSEEN_DEFECTS)
    made = sample_comparisons(_prompts(pairs), TEST_IMAGES, 4_000_000 + seed, "unseen_defects", rates=rates)
    return _test_pairs(pairs, made)


def _prompts(pairs: int) -> int:
    return -(-pairs // len(ranking_pairs(1, TEST_IMAGES)))


def _test_pairs(pairs: int, made: SyntheticComparisons) -> SyntheticComparisons:
    kept = {name: getattr(made, name)[:pairs] for name in ("pairs", "preference", "probability")}
    axes = {
        name: replace(truth, preference=truth.preference[:pairs], probability=truth.probability[:pairs])
        for name, truth in made.axes.items()
    }
    return replace(made, **kept, axes=axes)


RENDERED_SETS: Final[dict[str, Callable[[int, int], SyntheticComparisons]]] = {
    "in_domain": in_domain,
    "unseen_compositions": unseen_compositions,
    "unseen_defects": unseen_defects,
}
"""The test sets that the renderer makes, by name: (pairs, seed) to comparisons."""

SEVERITIES: Final = (0.2, 0.5, 0.9)


def diagnostic(each: int = 50, seed: int = 0) -> SyntheticComparisons:
    """Perfect pictures against ones with a single flaw: `each` pairs for every mismatch, and for every defect at three
    severities. The perfect one is preferred in all of them; its side alternates.
    """
    rng = np.random.default_rng(5_000_000 + seed)
    wanted = [(kind, 1.0) for kind in MISMATCHES]
    wanted += [(kind, severity) for kind in (*SEEN_DEFECTS, *UNSEEN_DEFECTS) for severity in SEVERITIES]
    draws: list[Draw] = []
    for kind, severity in wanted:
        made = 0
        while made < each:
            prompt = sample_prompt(rng, seen)
            scene = draw_mismatch(prompt, kind, rng) if kind in MISMATCHES else realise(prompt, rng)
            if scene is not None:
                draws += [Draw(prompt, realise(prompt, rng)), Draw(prompt, scene, (Flaw(kind, severity),))]
                made += 1
    count = len(draws) // 2
    pairs = np.arange(2 * count).reshape(-1, 2)
    pairs[1::2] = pairs[1::2, ::-1]
    judged = judge(draws, np.repeat(np.arange(count), 2), pairs, Labelling(), "diagnostic", seed)
    perfect_first = (np.arange(count) % 2 == 0).astype(float)
    fields = {name: getattr(judged, name) for name in ("prompts", "images", "group", "utility", "pairs", "source")}
    return SyntheticComparisons(
        **fields,
        preference=perfect_first,
        probability=perfect_first,
        axes={name: _certain(truth, pairs) for name, truth in judged.axes.items()},
        kind=tuple(kind for kind, _ in wanted for _ in range(each)),
        severity=np.repeat([severity for _, severity in wanted], each),
    )


def _certain(truth: AxisTruth, pairs: NDArray[np.int64]) -> AxisTruth:
    """What somebody says who is never wrong: a tie where a fault is of another kind than what was asked."""
    said = 0.5 + 0.5 * np.sign(truth.utility[pairs[:, 0]] - truth.utility[pairs[:, 1]])
    return AxisTruth(truth.utility, said, said)
