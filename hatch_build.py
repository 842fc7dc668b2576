"""What a package index shows: README.md, with links that lead into the repository named in `[project.urls]`.

An index has no files beside the page, so that relative links lead nowhere there. Without a `Repository` among the
addresses of pyproject.toml the page is taken as it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_MARKDOWN = re.compile(r"(?<=\]\()(?!https?://|#)([^)\s]+)")
_HTML = re.compile(r"(?<=src=\"|set=\")(?!https?://)([^\"]+)")
_PICTURE = re.compile(r"\.(png|svg|jpe?g|gif|webp)$")


class ReadmeHook(MetadataHookInterface):
    """Fills in the `readme` of pyproject.toml, which names it as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Take README.md, and the address of the repository where there is one."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        repository = metadata.get("urls", {}).get("Repository")
        shown = text if repository is None else with_absolute_links(text, repository)
        metadata["readme"] = {"content-type": "text/markdown", "text": shown}


def with_absolute_links(text: str, repository: str) -> str:
    """`text` with pictures and links as addresses below `repository`, at its default branch."""

    def absolute(found: re.Match[str]) -> str:
        kind = "raw" if _PICTURE.search(found[1]) else "blob"
        return f"{repository.rstrip('/')}/{kind}/HEAD/{found[1]}"

    return _HTML.sub(absolute, _MARKDOWN.sub(absolute, text))
