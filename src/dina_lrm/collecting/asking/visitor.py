"""A program that votes at the door the page uses: a taste that is simulated, a judge that stands beside people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, final
from urllib.error import HTTPError
from urllib.parse import unquote, urldefrag
from urllib.request import Request, urlopen
from uuid import uuid4

from dina_lrm.typed import DinaError

_TOGETHER: Final = 8
_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Asked:
    """A pair as the page shows it: `left` and `right` are the SHA-256 of the two files, in hex."""

    pair: str
    question: str
    prompt: str
    side: str
    left: str
    right: str

    @property
    def key(self) -> str:
        """What the server calls it."""
        return f"{self.pair}/{self.question}"


@final
class Visitor:
    """Asks for pairs and votes on them, under a name of its own; `address` is what `annotate` prints, its token too.

    Raises DinaError for what the server refuses; OSError where nobody answers.
    """

    def __init__(self, address: str, name: str) -> None:
        self._place, token = urldefrag(address)
        self._name, self._token = name, unquote(token)
        self._answered: set[str] = set()

    def asks(self, count: int) -> Iterator[Asked]:
        """At most `count` pairs, one after another, fewer where there are no more; vote on each as it comes.

        A pair that is not voted on is not given again by the same call.
        """
        given, passed = 0, list[str]()
        while given < count:
            wanted = min(_TOGETHER, count - given)
            found = self._post("asks", {"count": wanted, "holding": passed})
            if not found["asks"] and found["more"] == "none":
                return
            for ask in map(_asked, found["asks"][:wanted]):
                given += 1
                yield ask
                if ask.key not in self._answered:
                    passed.append(ask.key)

    def vote(self, ask: Asked, answer: str, ms: int | None = None, reason: str | None = None) -> None:
        """Answer left, right, tie, both_bad or skip; it is stored when this returns. `ms` is how long it took.

        A vote in less than 800 ms weighs nothing; without `ms` nothing is said of the time.
        """
        said = {"pair": ask.pair, "question": ask.question, "side": ask.side, "answer": answer, "reason": reason}
        event = {"client_id": uuid4().hex, "kind": "vote", "ms": ms, **said}
        (result,) = self._post("votes", {"events": [event]})["results"]
        if result["status"] == "refused":
            raise DinaError(f"vote: {result['error']}")
        self._answered.add(ask.key)

    def _post(self, path: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        body = json.dumps({"annotator": self._name, **values}).encode()
        try:
            with urlopen(Request(f"{self._place}api/{path}", body, headers), timeout=_SECONDS) as answer:
                return json.load(answer)
        except HTTPError as error:
            with error:
                raise DinaError(f"{self._place}: {_told(error)}") from error


def _asked(given: Mapping[str, Any]) -> Asked:
    return Asked(*(given[name] for name in ("pair", "question", "prompt", "side", "left", "right")))


def _told(error: HTTPError) -> str:
    """The sentence of a refusal."""
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"answered {error.code}"
