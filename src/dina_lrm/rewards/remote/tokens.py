"""The token that a server asks for: from the environment, so that it stands in no command, name or stored setting.

DINA_LRM_TOKEN=TOKEN            sent to every server of a `remote:` reward
DINA_LRM_TOKEN_FILE=FILE        lines "HOST:PORT TOKEN", each sent to that server alone; or one line "TOKEN"
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from dina_lrm.rewards.addresses import Address
from dina_lrm.typed import DinaError

TOKEN: Final = "DINA_LRM_TOKEN"
TOKEN_FILE: Final = "DINA_LRM_TOKEN_FILE"


def token_for(address: Address) -> str | None:
    """The token of the environment for a server, its own line in the file before any other; None without one.

    Raises:
        ValueError: a file that cannot be read or has other lines, without showing what stands in it.
    """
    general = os.environ.get(TOKEN)
    file = os.environ.get(TOKEN_FILE)
    if file:
        lines = _lines(Path(file))
        own = next((token for place, token in lines if place == str(address)), None)
        alone = next((token for place, token in lines if place is None), None)
        general = own or general or alone
    return None if not general else checked_token(general, TOKEN)


def checked_token(token: str, where: str) -> str:
    """The token as it is; ValueError, which does not show it, for what no header may hold."""
    if not (token.isascii() and token.isprintable() and " " not in token and token):
        raise DinaError(f"{where}: not a token; accepted: ASCII letters, digits and signs without spaces")
    return token


def _lines(path: Path) -> list[tuple[str | None, str]]:
    try:
        rows = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeError) as error:
        raise DinaError(f"{TOKEN_FILE}: {path} cannot be read ({type(error).__name__})") from error
    if any(len(row) > 2 for row in rows) or (len(rows) > 1 and any(len(row) == 1 for row in rows)):
        raise DinaError(f"{TOKEN_FILE}: {path}; accepted: one line TOKEN, or lines HOST:PORT TOKEN")
    return [(None, row[0]) if len(row) == 1 else (row[0], row[1]) for row in rows]
