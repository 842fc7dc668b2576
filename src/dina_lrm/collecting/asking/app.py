"""The application of a collection: the page and its parts, what is asked, pictures, and votes that come in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, final

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dina_lrm.collecting.asking.answers import MOST_EVENTS, asked_of, event_of
from dina_lrm.collecting.asking.asks import Ask
from dina_lrm.collecting.asking.collection import Collection
from dina_lrm.collecting.asking.opinions import Opinion
from dina_lrm.collecting.asking.shown import media_type
from dina_lrm.reports.voting.documents import Document, documents
from dina_lrm.runs.json_files import parse_json
from dina_lrm.serving.http.answering import answer_problems
from dina_lrm.serving.http.bodies import read_bytes
from dina_lrm.serving.http.guard import Guard
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem, bad_request, unprocessable
from dina_lrm.typed import DinaError

LIMITS: Final = Limits(body_bytes=1 << 18)
"""What the page sends is small."""
_MOST_ASKS: Final = 16
_PLACES: Final = 6
"""Places of a ranking that are shown from its either end."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors "
)
_ALONE: Final = {"content-security-policy": f"{_POLICY}'none'", "x-frame-options": "DENY"}
_INSIDE: Final = {"content-security-policy": f"{_POLICY}'self'", "x-frame-options": "SAMEORIGIN"}
_HEADERS: Final = {
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_FOR_A_DAY: Final = "private, max-age=86400, immutable"
"""A picture is known by its content, and never another."""


def make_app(collection: Collection, token: str | None = None, *, inside: bool = False) -> ASGIApp:
    """The application over a collection; `token` is asked for on every route but the empty page.

    With `inside` it is a part of another application, whose pages may show it, and which says who may ask.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    desk, parts = _Desk(collection), documents()
    for path, document in parts.items():
        app.add_api_route(path, _sent(document), methods=["GET"])
    app.add_api_route("/api/collection", desk.collection, methods=["GET"])
    app.add_api_route("/api/pictures/{content}", desk.picture, methods=["GET"])
    for path, answer in (("asks", desk.asks), ("votes", desk.votes), ("last", desk.last)):
        app.add_api_route(f"/api/{path}", _posted(answer), methods=["POST"])
    answer_problems(app)
    if not inside:
        app.add_middleware(Guard, token=token, free=frozenset(parts))
    return _Headers(app, _INSIDE if inside else _ALONE)


@final
class _Desk:
    """Answers what the page asks; blocking work is done outside the event loop."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def collection(self) -> Response:
        """What is voted on, told to whoever opens the page."""
        own = self._collection
        questions = [{"name": one.id, "text": one.text} for one in own.questions]
        told = {"id": own.id, "title": own.candidates.title, "questions": questions, "aim": own.settings.aim}
        return JSONResponse(told, headers={"cache-control": "no-store"})

    async def picture(self, content: str) -> Response:
        """A picture, by its content."""
        try:
            found = await run_in_threadpool(self._collection.picture, content)
        except (ValueError, OSError) as error:
            raise Problem(404, "no_picture", f"The picture cannot be shown: {error!s:.300}") from error
        return Response(found, media_type=media_type(found), headers={"cache-control": _FOR_A_DAY})

    def asks(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a person is asked next, beside what their page holds."""
        annotator, count = self._annotator(given), given.get("count", 1)
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST_ASKS:
            raise DinaError(f"count {count!r:.40}; accepted: 1 to {_MOST_ASKS}")
        found = self._collection.next(annotator, count, asked_of(given.get("holding", [])))
        progress = self._progress(annotator)
        return {"asks": [self._told(ask) for ask in found], "more": progress.pop("more"), "progress": progress}

    def votes(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Record what comes; each event has an answer of its own, and one that is refused stops no other."""
        annotator, events = self._annotator(given), given.get("events")
        if not isinstance(events, list) or len(events) > MOST_EVENTS:
            raise DinaError(f"events: no list; accepted: a list of at most {MOST_EVENTS}")
        results = [self._recorded(annotator, event) for event in events]
        return {"results": results, "progress": self._progress(annotator)}

    def last(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The last vote of a person, to be taken back."""
        found = self._collection.last(self._annotator(given))
        return {"last": None if found is None else {"client_id": found[0].client_id, "ask": self._told(found[1])}}

    def _recorded(self, annotator: int, given: object) -> dict[str, Any]:
        known = given.get("client_id") if isinstance(given, Mapping) else None
        try:
            return {"client_id": known, "status": self._collection.take(annotator, event_of(given))}
        except DinaError as error:
            return {"client_id": known, "status": "refused", "error": f"{error!s:.500}"}

    def _annotator(self, given: Mapping[str, Any]) -> int:
        name = given.get("annotator")
        if not isinstance(name, str):
            raise DinaError(f"annotator {name!r:.40}; accepted: a name")
        return self._collection.join(name)

    def _told(self, ask: Ask) -> dict[str, Any]:
        a_left = ask.left == "a"
        left, right = (ask.pair.image_a, ask.pair.image_b)[:: 1 if a_left else -1]
        text = next(one.text for one in self._collection.questions if one.id == ask.question)
        told = {"pair": ask.pair.id, "question": ask.question, "text": text, "prompt": ask.pair.prompt}
        return {**told, "side": ask.left, "left": left, "right": right, "chance": self._collection.chance(ask)}

    def _progress(self, annotator: int) -> dict[str, Any]:
        told = vars(self._collection.progress(annotator)).copy()
        return {**told, "ranking": _ranking(self._collection.opinion())}


def _ranking(opinion: Opinion) -> dict[str, Any] | None:
    """The best and the last of the pictures that nobody votes on."""
    places = opinion.places
    if not places:
        return None
    shown = places if len(places) <= 2 * _PLACES else [*places[:_PLACES], *places[-_PLACES:]]
    pictures = [{"key": one.content, "place": one.place, "moved": one.moved} for one in shown]
    told = f"What {opinion.votes} votes make of {len(places)} other pictures: the best, and the last"
    told += f"; {opinion.unread} pairs are yet to be read" if opinion.unread else ""
    return {"version": opinion.votes, "told": told, "pictures": pictures, "unread": opinion.unread}


def _sent(document: Document) -> Callable[[], Awaitable[Response]]:
    async def sent() -> Response:
        return Response(document.content, media_type=document.media_type, headers={"cache-control": "no-cache"})

    return sent


def _posted(answer: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def posted(request: Request) -> Response:
        given = await _object(request)
        try:
            found = await run_in_threadpool(answer, given)
        except DinaError as error:
            raise unprocessable("not_accepted", f"{error!s:.500}") from error
        except OSError as error:
            raise Problem(507, "not_saved", f"It could not be saved: {error.strerror or error!s:.300}.") from error
        return JSONResponse(found, headers={"cache-control": "no-store"})

    return posted


async def _object(request: Request) -> Mapping[str, Any]:
    """The JSON object of a request."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "unknown_type", "accepted: application/json")
    length = request.headers.get("content-length", "")
    declared = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None
    encoding = request.headers.get("content-encoding", "")
    try:
        found = parse_json(await read_bytes(request.stream(), encoding, declared, LIMITS), "request")
    except ValueError as error:
        raise bad_request("bad_json", f"{error!s:.300}") from error
    if not isinstance(found, dict):
        raise bad_request("bad_json", "request: no object; accepted: a JSON object")
    return found


@final
class _Headers:
    """Says with every answer what a browser may do with it: run our script, and show it in no page of others."""

    def __init__(self, app: ASGIApp, more: Mapping[str, str]) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in {**_HEADERS, **more}.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self._headers]}
            await send(message)

        await self._app(scope, receive, sent)
