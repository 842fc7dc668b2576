"""Write docs/names.md: every recipe, reward, data set and family of generators, by the name that options take.

python scripts/names_page.py
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from dina_lrm.backbones.registry import FAMILIES
from dina_lrm.data.sources import SOURCES
from dina_lrm.recipes import RECIPES
from dina_lrm.recipes.alignment import DPO_RECIPES, GRPO_RECIPES, LPO_RECIPES, REFL_RECIPES
from dina_lrm.recipes.distillation import BEST_RECIPES, DISTILL_RECIPES
from dina_lrm.recipes.forward_alignment import AWM_RECIPES, CRAFT_RECIPES, CRD_RECIPES, DGPO_RECIPES, NFT_RECIPES
from dina_lrm.rewards.names import REWARDS, RewardFamily

PAGE: Final = Path(__file__).parents[1] / "docs" / "names.md"
ALIGNMENT: Final[Mapping[str, Mapping[str, Callable[[], object]]]] = {
    "best": BEST_RECIPES,
    "refl": REFL_RECIPES,
    "flow-grpo": GRPO_RECIPES,
    "lpo": LPO_RECIPES,
    "dpo": DPO_RECIPES,
    "nft": NFT_RECIPES,
    "awm": AWM_RECIPES,
    "craft": CRAFT_RECIPES,
    "crd": CRD_RECIPES,
    "dgpo": DGPO_RECIPES,
    "distill": DISTILL_RECIPES,
}
OPENING: Final = """# Recipes, rewards and other names

What options take by name. `python scripts/names_page.py` writes this page from the tables that the library reads.
"""


def page() -> str:
    """The whole page, in Markdown."""
    parts = [
        OPENING,
        _section(
            "Training recipes",
            "`dina-lrm train RECIPE`; every setting of one is an option: [training](training.md). Those named "
            "`paper-` and `lrm-` are at full size: [what they cost](paper.md).",
            _table(("recipe", "what"), ((name, row.help) for name, row in RECIPES.items())),
        ),
        _section(
            "Alignment recipes",
            "`dina-lrm align ALGORITHM RECIPE`: [alignment](alignment.md).",
            _table(
                ("recipe", "what"),
                (
                    (f"{algorithm} {name}", _summary(make))
                    for algorithm, recipes in ALIGNMENT.items()
                    for name, make in recipes.items()
                ),
            ),
        ),
        _section(
            "Rewards",
            "What `evaluate`, `--reward`, `--more-rewards`, `--looks.golden` and `--rewards` take; MODEL is a "
            "folder or a hub id: [judges](evaluation.md#other-judges-one-protocol).",
            _table(("reward", "what", "weights"), (_reward(name, row) for name, row in sorted(REWARDS.items()))),
        ),
        _section(
            "Data sets",
            "What `--source` and `--on` take: [data](data.md#published-data-sets).",
            _table(
                ("data set", "what", "splits"),
                ((name, row.about, ", ".join(row.splits)) for name, row in SOURCES.items()),
            ),
        ),
        _section(
            "Families of generators",
            "Found out from the folder: [backbones](backbones.md).",
            _table(
                ("family", "pipelines of diffusers"),
                ((name, ", ".join(f"`{each}`" for each in row.pipelines)) for name, row in FAMILIES.items()),
            ),
        ),
    ]
    return "\n".join(parts)


def _section(title: str, about: str, table: str) -> str:
    return f"## {title}\n\n{about}\n\n{table}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *((f"`{first}`", *rest) for first, *rest in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _summary(make: Callable[[], object]) -> str:
    """The first sentence of a recipe's docstring."""
    return (inspect.getdoc(make) or "").partition("\n\n")[0].replace("\n", " ")


def _reward(name: str, row: RewardFamily) -> tuple[str, str, str]:
    if row.default is None:
        return (f"{name}:MODEL", row.about, "named")
    return (f"{name}[:MODEL]", row.about, row.default) if row.default else (name, row.about, "none")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
