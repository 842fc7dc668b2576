"""Which column of a table holds prompts or pictures: the one that a user names, or one that is called as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from dina_lrm.data.sources.layouts.layout import askable
from dina_lrm.data.sources.layouts.parts import PROMPT_NAMES
from dina_lrm.typed import DinaError

CALLED: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt": PROMPT_NAMES,
    "image": ("image", "file_name", "filename", "file", "path", "img", "picture"),
}
"""How columns are called that hold prompts and pictures, in any case; the first that a table has is read."""


def column_called(where: str, columns: Iterable[str], role: str, mapped: Mapping[str, str] | None = None) -> str:
    """The column of a table that holds what `role` (a key of `CALLED`) says: the one `mapped` to it, or by its name.

    Raises ValueError, which begins with `where` and names the columns, where there is none.
    """
    given = [str(name) for name in columns]
    wanted = (mapped or {}).get(role)
    if wanted is not None:
        if wanted not in given:
            raise DinaError(f"{where}: no column {wanted!r} for {role}; columns: {', '.join(given)}")
        return wanted
    by_name = askable(given)
    found = next((by_name[name] for name in CALLED[role] if name in by_name), None)
    if found is None:
        names = ", ".join(CALLED[role])
        raise DinaError(
            f"{where}: no {role} among the columns {', '.join(given)}; accepted: one of {names} in any case, or say "
            f"which it is: --columns {role}=COLUMN"
        )
    return found
