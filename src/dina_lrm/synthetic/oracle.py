"""The analytic oracle: reads a picture back into a scene, compares it with the prompt, and needs no training.

Pixels are explained as `background + coverage * (colour - background)`; connected regions of one colour are matched
against templates of every shape, radius and sub-pixel position by soft intersection over union. What the picture
shows is then compared with what the prompt asks for (alignment), and the picture with a clean rendering of what it
shows (quality). Its own error is measured on rendered scenes, where the truth is known: `oracle_error`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dina_lrm.synthetic.draws import EXTRA_OBJECT
from dina_lrm.synthetic.render import render, signed_distance
from dina_lrm.synthetic.scene import Kind, Placed, Prompt, Scene
from dina_lrm.synthetic.utility import ALIGNMENT_WEIGHTS
from dina_lrm.synthetic.vocabulary import BACKGROUNDS, COLOURS, RELATIONS, SHAPES, SIZES

_WINDOW: Final = 19
_RADII: Final = np.arange(2.8, 7.61, 0.3, dtype=np.float32)
_SHIFTS: Final = np.arange(-1.5, 1.51, 0.5, dtype=np.float32)
_MIN_AREA: Final = 7
_TILE: Final = 3
"""Side of the tiles by whose sums templates are looked through, in pixels."""
_PROMISING: Final = 32
"""Templates that are tried before it is known which others need not be."""
_SIZE_BORDER: Final = float(np.mean(list(SIZES.values())))
# Least squares on 1,500 rendered pictures against the true quality; a clean picture scores about 0.16 before the floor.
RESIDUAL_SLOPE: Final = 4.8
OVERLAP_SLOPE: Final = 1.37
QUALITY_FLOOR: Final = 0.16
WRONG_SIZE: Final = 0.3
WRONG_BACKGROUND: Final = 0.5
WORST_ALIGNMENT: Final = 2.5


@dataclass(frozen=True)
class Reading:
    """What the oracle sees: the scene, how well its shapes fit (mean IoU), and the unexplained rest (RMS, pixels in
    [0, 1]).
    """

    scene: Scene
    overlap: float
    residual: float


@dataclass(frozen=True, eq=False)
class _Templates:
    """Every shape, radius and position in the window: how far each covers each pixel (a row each), and what it is."""

    covers: NDArray[np.float32]
    names: list[tuple[str, float, float, float]]
    sums: NDArray[np.float32]
    tiles: NDArray[np.float32]
    """Sums of the rows, whole and by tile."""

    def best(self, window: NDArray[np.float32]) -> tuple[int, float]:
        """The first row of the largest intersection over union with the window, and that.

        What tiles have in common bounds what their pixels have: the most promising rows are tried, and then only those
        that could still be better.
        """
        bound = self._overlap(np.minimum(self.tiles, _tiled(window[None])).sum(axis=1), window, slice(None))
        promising = np.argpartition(bound, -_PROMISING)[-_PROMISING:]
        least = self._overlaps(window, promising).max() - 1e-4
        rows = np.flatnonzero(bound >= least)
        found = self._overlaps(window, rows)
        place = int(found.argmax())
        return int(rows[place]), float(found[place])

    def _overlaps(self, window: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
        return self._overlap(np.minimum(self.covers[rows], window).sum(axis=1), window, rows)

    def _overlap(
        self, shared: NDArray[np.float32], window: NDArray[np.float32], rows: NDArray[np.intp] | slice
    ) -> NDArray[np.float32]:
        found: NDArray[np.float32] = shared / (self.sums[rows] + window.sum() - shared)
        return found


def _tiled(covers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums over tiles of the window."""
    edges = np.arange(0, _WINDOW, _TILE)
    square = covers.reshape(-1, _WINDOW, _WINDOW)
    tiles = np.add.reduceat(np.add.reduceat(square, edges, axis=1), edges, axis=2)
    return np.ascontiguousarray(tiles.reshape(len(covers), -1))


@lru_cache(maxsize=1)
def _templates() -> _Templates:
    grid = np.arange(_WINDOW, dtype=np.float32) - _WINDOW // 2
    names, rows = [], []
    for shape in SHAPES:
        for r in _RADII:
            for dy in _SHIFTS:
                for dx in _SHIFTS:
                    distance = signed_distance(shape, (grid - dx)[None, :], (grid - dy)[:, None], r)
                    rows.append(np.clip(0.5 - distance, 0, 1).ravel())
                    names.append((shape, float(r), float(dx), float(dy)))
    covers = np.stack(rows).astype(np.float32)
    return _Templates(covers, names, covers.sum(axis=1), _tiled(covers))


def read(image: NDArray[np.uint8]) -> Reading:
    """The scene that best explains one (32, 32, 3) picture."""
    pixels = (image / np.float32(255)).astype(np.float32)
    background, cover, error = _explain(pixels)
    best = np.where(cover.max(axis=-1) > 0.35, error.argmin(axis=-1), -1)
    found: list[Placed] = []
    overlaps: list[float] = []
    for index, colour in enumerate(COLOURS):
        mask = (best == index) & (cover[..., index] > 0.45)
        if mask.sum() < _MIN_AREA:
            continue
        regions, count = ndimage.label(mask, np.ones((3, 3)))
        for number in range(1, count + 1):
            region = regions == number
            if region.sum() >= _MIN_AREA:
                placed, overlap = _fit(region, cover[..., index], colour)
                found.append(placed)
                overlaps.append(overlap)
    scene = Scene(tuple(found), background)
    residual = float(np.sqrt(((render([scene])[0] - pixels) ** 2).mean()))
    return Reading(scene, float(np.mean(overlaps)) if overlaps else 0.0, residual)


def _explain(pixels: NDArray[np.float32]) -> tuple[str, NDArray[np.float32], NDArray[np.float32]]:
    """The background, and for every colour how far each pixel is covered by it and how badly that explains the pixel.

    Differences from the measured ground are compared with differences of the palette: a colour cast cancels, and a loss
    of contrast only shortens them, which the division by the strongest coverage undoes.
    """
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = np.median(border, axis=0)
    change = pixels - ground
    size = np.linalg.norm(change, axis=-1)
    strong = size > max(0.08, 0.5 * float(np.quantile(size, 0.98)))
    colours = np.array(list(COLOURS.values()), np.float32)
    found: list[tuple[float, str, NDArray[np.float32], NDArray[np.float32]]] = []
    for name, value in BACKGROUNDS.items():
        direction = colours - np.array(value, np.float32)
        cover = np.clip((change @ direction.T) / (direction**2).sum(axis=1), 0, 1.2)
        error = np.linalg.norm(change[:, :, None] - cover[..., None] * direction, axis=-1)
        best = error.min(axis=-1)
        cost = float((best[strong] / size[strong]).mean()) if strong.any() else 0.0
        found.append((cost + 1.5 * float(np.linalg.norm(ground - np.array(value))), name, cover, error))
    _, background, cover, error = min(found, key=lambda f: f[0])
    nearest = np.take_along_axis(cover, error.argmin(axis=-1)[..., None], axis=-1)[..., 0]
    scale = float(np.clip(np.median(nearest[strong]), 0.15, 1.0)) if strong.any() else 1.0
    return background, np.clip(cover / scale, 0, 1), error


def _fit(region: NDArray[np.bool_], cover: NDArray[np.float32], colour: str) -> tuple[Placed, float]:
    ys, xs = np.nonzero(region)
    cx, cy = round((xs.min() + xs.max()) / 2), round((ys.min() + ys.max()) / 2)
    near = ndimage.binary_dilation(region, np.ones((3, 3)))
    half = _WINDOW // 2
    padded = np.pad(np.where(near, cover, 0), half)
    window = padded[cy : cy + _WINDOW, cx : cx + _WINDOW].ravel()
    templates = _templates()
    row, overlap = templates.best(window)
    shape, radius, dx, dy = templates.names[row]
    size = "large" if radius > _SIZE_BORDER else "small"
    return Placed(Kind(size, colour, shape), cx + dx + 0.5, cy + dy + 0.5, radius), overlap


def alignment(scene: Scene, prompt: Prompt) -> float:
    """Minus the weight of every disagreement between scene and prompt, the best assignment of objects assumed."""
    penalty = 0.0 if scene.background == prompt.background else WRONG_BACKGROUND
    wanted = list(prompt.kinds) * (prompt.count if prompt.relation is None else 1)
    shown = list(scene.objects)
    if prompt.relation is None and len(set(o.kind.combination for o in shown)) <= 1 and len(shown) != len(wanted):
        penalty += ALIGNMENT_WEIGHTS["wrong count"]
    else:
        penalty += ALIGNMENT_WEIGHTS["wrong count"] * max(0, len(wanted) - len(shown))
        penalty += ALIGNMENT_WEIGHTS[EXTRA_OBJECT] * max(0, len(shown) - len(wanted))
    if not shown:
        return -min(penalty, WORST_ALIGNMENT)
    chosen = matched(scene, prompt)
    # A group of equal objects is one statement: what is wrong with all of them is wrong once.
    costs = [_kind_cost(w, o) for w, o in chosen]
    penalty += sum(costs) if prompt.relation is not None else float(np.mean(costs))
    if prompt.relation is not None and len(chosen) == 2:
        (_, first), (_, second) = chosen
        penalty += 0.0 if related(first, second, prompt.relation) else ALIGNMENT_WEIGHTS["wrong relation"]
    return -min(penalty, WORST_ALIGNMENT)


def matched(scene: Scene, prompt: Prompt) -> list[tuple[Kind, Placed]]:
    """Pair what is asked for with what is shown, assigned so that they agree best; as many as the fewer of them."""
    wanted = list(prompt.kinds) * (prompt.count if prompt.relation is None else 1)
    return min(_assignments(wanted, list(scene.objects)), key=lambda pairs: sum(_kind_cost(w, o) for w, o in pairs))


def _assignments(wanted: list[Kind], shown: list[Placed]) -> list[list[tuple[Kind, Placed]]]:
    shown = sorted(shown, key=lambda o: -o.radius)[:5]
    if len(shown) >= len(wanted):
        return [list(zip(wanted, order, strict=True)) for order in permutations(shown, len(wanted))]
    return [list(zip(order, shown, strict=True)) for order in permutations(wanted, len(shown))]


def _kind_cost(wanted: Kind, shown: Placed) -> float:
    cost = 0.0 if shown.kind.colour == wanted.colour else ALIGNMENT_WEIGHTS["wrong colour"]
    cost += 0.0 if shown.kind.shape == wanted.shape else ALIGNMENT_WEIGHTS["wrong shape"]
    return cost + (0.0 if shown.kind.size == wanted.size else WRONG_SIZE)


def related(first: Placed, second: Placed, relation: str) -> bool:
    """Whether the first object stands where a relation wants it, seen from the second."""
    dx, dy = RELATIONS[relation]
    x, y = first.x - second.x, first.y - second.y
    along, across = (x * dx, abs(y)) if dx else (y * dy, abs(x))
    return along > across


def oracle_parts(images: NDArray[np.uint8], prompts: Sequence[Prompt]) -> NDArray[np.float64]:
    """(n, 2) alignment and quality as the oracle sees them, each at most 0."""
    parts = np.empty((len(images), 2))
    for row, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
        reading = read(image)
        damage = RESIDUAL_SLOPE * reading.residual + OVERLAP_SLOPE * (1 - reading.overlap)
        quality = -max(0.0, damage - QUALITY_FLOOR)
        parts[row] = alignment(reading.scene, prompt), quality
    return parts


@dataclass(frozen=True)
class OracleError:
    """How far the oracle is from the truth on rendered pictures."""

    clean_exact: float
    correlation_alignment: float
    correlation_utility: float
    pair_agreement: float
    pictures: int

    def sentence(self) -> str:
        """The error in one sentence, to be printed beside every use."""
        return (
            f"Judged by the analytic oracle. On {self.pictures} rendered pictures it reads {self.clean_exact:.1%} of "
            f"clean ones exactly, correlates {self.correlation_utility:.2f} with the true utility, and orders "
            f"{self.pair_agreement:.1%} of pairs as the truth does."
        )


def oracle_error(pictures: int = 1_000, seed: int = 0) -> OracleError:
    """Measure the oracle on rendered pictures: clean ones, and ones flawed at the training rates."""
    from dina_lrm.synthetic.draws import Draw, FlawRates, draw, render_draws
    from dina_lrm.synthetic.scene import realise, sample_prompt
    from dina_lrm.synthetic.utility import utility_parts

    rng = np.random.default_rng((seed, 99))
    prompts = [sample_prompt(rng) for _ in range(pictures // 2)]
    clean = [Draw(prompt, realise(prompt, rng)) for prompt in prompts]
    exact = oracle_parts(render_draws(clean, rng), prompts)[:, 0] == 0
    flawed = [draw(prompt, FlawRates(), rng) for prompt in prompts for _ in range(2)]
    truth = utility_parts(flawed)
    seen = oracle_parts(render_draws(flawed, rng), [d.prompt for d in flawed])
    gap_true = truth.sum(axis=1)[::2] - truth.sum(axis=1)[1::2]
    gap_seen = seen.sum(axis=1)[::2] - seen.sum(axis=1)[1::2]
    clear = np.abs(gap_true) > 1e-9
    return OracleError(
        clean_exact=float(exact.mean()),
        correlation_alignment=float(np.corrcoef(truth[:, 0], seen[:, 0])[0, 1]),
        correlation_utility=float(np.corrcoef(truth.sum(axis=1), seen.sum(axis=1))[0, 1]),
        pair_agreement=float((np.sign(gap_true[clear]) == np.sign(gap_seen[clear])).mean()),
        pictures=pictures,
    )
