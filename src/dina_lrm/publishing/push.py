"""The way to the hub: a repository, private unless asked, one commit, and errors that say what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import RepositoryNotFoundError

from dina_lrm.cards.text import PLACE, card_text, read_card
from dina_lrm.publishing.contents import CARD, Upload
from dina_lrm.typed import DinaError

_AT_ONCE: Final = 1_000
"""Files of one commit: what the hub advises."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]{0,95}", re.IGNORECASE | re.ASCII)
_LICENCE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclass(frozen=True)
class Publication:
    """Where an upload goes, and how: `licence` is the hub's id of one, such as "apache-2.0", for the card."""

    repository: str
    public: bool = False
    licence: str | None = None
    message: str = "Upload by dina-lrm"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.repository) or ".." in self.repository or "--" in self.repository:
            raise DinaError(f"repository {self.repository!r}; accepted: OWNER/NAME, of letters, digits, - _ and .")
        if self.licence is not None and not _LICENCE.fullmatch(self.licence):
            raise DinaError(f"licence {self.licence!r}; accepted: an id of the hub, such as apache-2.0, mit, other")

    def card(self, upload: Upload) -> str | None:
        """The card as it will stand there: with the repository's name in its code, and the licence; None without one.

        Raises ValueError for a card that cannot be read.
        """
        if CARD not in upload.files:
            return None
        found = read_card(upload.folder / CARD)
        text = found.text.replace(PLACE, self.repository)
        if self.licence is not None:
            found.data["license"] = self.licence
            text = re.sub(r"(?m)^(\| licence(?: of this \w+)? \| ).* \|$", rf"\g<1>{self.licence} |", text)
        return card_text(found.data, text)


def push(upload: Upload, to: Publication, token: str | None = None, endpoint: str | None = None) -> str:
    """Send an upload to the hub, making the repository where there is none; returns the address of the last commit.

    `token` and `endpoint` are those of the hub's library where they are None. Raises ValueError without a token, for a
    repository that is public where it was not asked for one, and for what the hub or the network answers.
    """
    card = to.card(upload)
    if (token or get_token()) is None:
        raise DinaError(f"push {to.repository}: no token of the hub; accepted: after `hf auth login`, or with HF_TOKEN")
    api = HfApi(endpoint, token)
    with _told(to.repository):
        _open(api, upload, to)
        names = [name for name in upload.files if name != CARD]
        adds = [CommitOperationAdd(name, upload.folder / name) for name in names]
        if card is not None:
            adds.append(CommitOperationAdd(CARD, card.encode()))
        address = ""
        for start in range(0, len(adds), _AT_ONCE):
            part = adds[start : start + _AT_ONCE]
            made = api.create_commit(to.repository, part, commit_message=to.message, repo_type=upload.repo_type)
            address = str(made.commit_url)
    return address


def _open(api: HfApi, upload: Upload, to: Publication) -> None:
    """Make the repository, or see that the one there is as private as was asked for."""
    try:
        info = api.repo_info(to.repository, repo_type=upload.repo_type)
    except RepositoryNotFoundError:
        api.create_repo(to.repository, repo_type=upload.repo_type, private=not to.public, exist_ok=True)
        return
    if not info.private and not to.public:
        raise DinaError(f"push {to.repository}: is there and public; accepted: --public, or another name")


@contextmanager
def _told(repository: str) -> Iterator[None]:
    """What the hub's library raises becomes one line; its HTTP clients differ between versions, and so do errors."""
    try:
        yield
    except DinaError:
        raise
    except Exception as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise DinaError(
            f"push {repository}: the hub cannot be reached, or refuses ({told:.300}); accepted: a network, and a token "
            "that may write there (`hf auth login`)"
        ) from error
