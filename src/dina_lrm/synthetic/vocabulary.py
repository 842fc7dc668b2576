"""The words of the synthetic world: what a scene can contain, and which combinations annotators never saw."""

from typing import Final

IMAGE_SIZE: Final = 32
"""Side of every image, in pixels."""

SHAPES: Final = ("bar", "square", "triangle", "cross", "ring")
PLURALS: Final = {
    "bar": "bars",
    "square": "squares",
    "triangle": "triangles",
    "cross": "crosses",
    "ring": "rings",
}

COLOURS: Final[dict[str, tuple[float, float, float]]] = {
    "red": (0.90, 0.10, 0.12),
    "green": (0.10, 0.65, 0.18),
    "blue": (0.12, 0.25, 0.90),
    "yellow": (0.98, 0.85, 0.05),
    "pink": (0.98, 0.45, 0.80),
    "cyan": (0.10, 0.80, 0.90),
}
BACKGROUNDS: Final[dict[str, tuple[float, float, float]]] = {
    "white": (0.97, 0.97, 0.97),
    "gray": (0.52, 0.52, 0.52),
    "black": (0.05, 0.05, 0.05),
    "brown": (0.42, 0.27, 0.14),
}
SIZES: Final = {"small": 5.0, "large": 6.8}
"""Radius of a shape in pixels."""

COUNTS: Final = {1: "a", 2: "two", 3: "three"}
RELATIONS: Final = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
"""Direction (x to the right, y down) from the second object to the first."""

HELD_OUT: Final = frozenset(
    {
        ("red", "ring"),
        ("green", "bar"),
        ("blue", "triangle"),
        ("yellow", "cross"),
        ("pink", "square"),
        ("cyan", "ring"),
    }
)
"""(colour, shape) combinations absent from all training comparisons: the test set of unseen compositions."""

WORDS: Final = tuple(
    dict.fromkeys(
        [*COUNTS.values(), *SIZES, *COLOURS, *SHAPES, *PLURALS.values(), *BACKGROUNDS]
        + [word for relation in RELATIONS for word in relation.split()]
        + ["on", "and"]
    )
)
"""Every word that a caption can hold."""
