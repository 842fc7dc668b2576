"""What a card says of the generator that something is made for: how it is called, and what is known of its licence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from huggingface_hub import ModelCardData, try_to_load_from_cache

from dina_lrm.cards.text import read_card
from dina_lrm.locate import BUNDLED, BUNDLED_LORAS
from dina_lrm.screen import escaped

UNKNOWN: Final = "unknown"
_HUB_ID: Final = re.compile(r"[\w-][\w.-]*/[\w.-]+", re.ASCII)


def hub_id(name: str) -> str | None:
    """The name where it is that of a hub repository, which a folder of this machine is not; else None."""
    return name if _HUB_ID.fullmatch(name) and not Path(name).exists() else None


def base_name(name: str) -> str:
    """A generator as a card names it: bundled ones as such, hub ids with a link, folders without where they lie."""
    if name in BUNDLED or name in BUNDLED_LORAS:
        return f"`{name}`, bundled with dina-lrm"
    if hub_id(name):
        return f"[{name}](https://huggingface.co/{name})"
    return f"a folder called `{escaped(Path(name).expanduser().resolve().name)}`"


def licence_of(name: str, revision: str | None = None) -> str:
    """The licence that a generator's own card states, "unknown" where this machine has none.

    Looked for beside the weights: nothing is asked of a network.
    """
    name = BUNDLED_LORAS[name][0] if name in BUNDLED_LORAS else name
    card = _card_of(name, revision)
    if card is None:
        return UNKNOWN
    try:
        data = read_card(card).data.to_dict()
    except (ValueError, OSError):
        return UNKNOWN
    return stated_licence(data.get("license"), data.get("license_name"))


def stated_licence(licence: object, name: object = None) -> str:
    """The licence of a card's metadata in words: "other" is explained by its name."""
    if not isinstance(licence, str) or not licence:
        return UNKNOWN
    return f"{licence} ({name})" if licence == "other" and isinstance(name, str) else licence


def base_metadata(name: str, relation: str) -> dict[str, str]:
    """The metadata `base_model` and what is made of it ("adapter", "finetune"), where the base is on the hub."""
    known = hub_id(name)
    return {} if known is None else {"base_model": known, "base_model_relation": relation}


def metadata(**values: object) -> ModelCardData:
    """Metadata of a model's card in the hub's words; a value of None is left out."""
    return ModelCardData(**{key: value for key, value in values.items() if value is not None})  # type: ignore[arg-type]


def _card_of(name: str, revision: str | None) -> Path | None:
    bundled = BUNDLED.get(name, {}).get("generator")
    folder = bundled or Path(name).expanduser()
    if folder.is_dir():
        return folder / "README.md" if (folder / "README.md").is_file() else None
    found = try_to_load_from_cache(name, "README.md", revision=revision) if hub_id(name) else None
    return Path(found) if isinstance(found, str) else None
