"""Bodies of `pickle.dumps`, read without unpickling: plain values alone, by a list of opcodes that make nothing else.

Clients of verl-omni and deepgen_rl send `{"images": [jpeg, ..], "prompts": [str, ..], "metadata": {}}` with pickle's
default protocol, and unpickle whatever comes back. Anything that could name a class or call a function is refused
before it is looked at.
"""

from __future__ import annotations

import pickle
import pickletools
from typing import Any, Final

from dina_lrm.serving.items import ModelScores, PictureItem, Request
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.pictures import Gallery, decoded
from dina_lrm.serving.problems import Problem, bad_request
from dina_lrm.serving.protocols.bodies import check_count, checked_prompt

_CONSTANTS: Final = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES: Final = frozenset(
    "SHORT_BINUNICODE BINUNICODE SHORT_BINBYTES BINBYTES BININT BININT1 BININT2 LONG1 BINFLOAT".split()
)
_EMPTY: Final = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT: Final = frozenset(["BINPUT", "LONG_BINPUT"])
_GET: Final = frozenset(["BINGET", "LONG_BINGET"])
_MOST_OPCODES: Final = 100_000
_MOST_DEPTH: Final = 8
_LONGEST_INTEGER: Final = 16
_MARK: Final = object()


def read_pickle(body: bytes) -> Any:  # noqa: ANN401 - any plain value
    """The plain value of a pickle of protocol 3, 4 or 5. Problem 400 for any other."""
    try:
        found = _Reader().read(body)
    except Problem:
        raise
    except Exception as error:  # pickletools and bad stacks raise whatever comes to hand
        raise bad_request(
            "bad_pickle", f"not a pickle of plain values ({type(error).__name__}: {error!s:.80})"
        ) from error
    _check_plain(found)
    return found


class _Reader:
    """A pickle machine that knows plain values alone."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self, body: bytes) -> Any:  # noqa: ANN401 - any plain value
        for count, (opcode, argument, place) in enumerate(pickletools.genops(body)):
            if count > _MOST_OPCODES:
                raise Problem(413, "too_large", f"more than {_MOST_OPCODES} opcodes")
            if count == 0 and opcode.name != "PROTO":
                raise bad_request("bad_pickle", "no protocol number; accepted: pickle protocols 3 to 5")
            if opcode.name == "STOP":
                if place != len(body) - 1 or len(self._stack) != 1:
                    raise bad_request("bad_pickle", "does not end where its value ends")
                return self._stack[0]
            self._step(opcode.name, argument)
        raise bad_request("bad_pickle", "it has no end")

    def _step(self, name: str, argument: Any) -> None:  # noqa: ANN401 - what an opcode carries
        if name == "PROTO":
            if argument not in (3, 4, 5):
                raise bad_request("bad_pickle", f"protocol {argument}; accepted: 3 to 5")
        elif name == "FRAME":
            pass
        elif name == "MARK":
            self._stack.append(_MARK)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _VALUES:
            if name == "LONG1" and abs(argument) >= 1 << (8 * _LONGEST_INTEGER):
                raise bad_request("bad_pickle", "an integer of more than 16 bytes")
            self._stack.append(argument)
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in _PUT or name == "MEMOIZE":
            self._memo[len(self._memo) if name == "MEMOIZE" else argument] = self._stack[-1]
        elif name in _GET:
            self._stack.append(self._memo[argument])
        else:
            self._gather(name)

    def _gather(self, name: str) -> None:
        if name in _TUPLES:
            count = _TUPLES[name]
            if len(self._stack) < count:
                raise bad_request("bad_pickle", "a tuple of more values than there are")
            self._stack[-count:] = [tuple(self._stack[-count:])]
        elif name == "TUPLE":
            self._stack.append(tuple(self._since_mark()))
        elif name in ("APPEND", "APPENDS"):
            items = [self._stack.pop()] if name == "APPEND" else self._since_mark()
            self._target(list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [self._stack.pop() for _ in "kv"][::-1] if name == "SETITEM" else self._since_mark()
            keys, values = items[::2], items[1::2]
            # Numbers can be chosen so that all have one hash, and a dictionary of them takes for ever to fill
            if not all(isinstance(key, str | bytes) for key in keys):
                raise bad_request("bad_pickle", "a key that is no text")
            self._target(dict).update(zip(keys, values, strict=True))
        else:
            raise bad_request(
                "bad_pickle", f"opcode {name}; accepted: plain values (send lists of str, bytes and float)"
            )

    def _target(self, kind: type) -> Any:  # noqa: ANN401 - the list or dictionary
        if type(self._stack[-1]) is not kind:
            raise bad_request("bad_pickle", f"items for what is no {kind.__name__}")
        return self._stack[-1]

    def _since_mark(self) -> list[Any]:
        start = len(self._stack) - 1 - next(i for i, each in enumerate(reversed(self._stack)) if each is _MARK)
        items = self._stack[start + 1 :]
        del self._stack[start:]
        return items


def _check_plain(found: Any) -> None:  # noqa: ANN401 - any value of the reader
    """Refuse a mark left over, depth, and what holds itself; each value is looked at once, however often it stands."""
    heights: dict[int, int | None] = {}

    def height(value: Any) -> int:  # noqa: ANN401
        if value is _MARK:
            raise bad_request("bad_pickle", "a mark in place of a value")
        if not isinstance(value, dict | list | tuple):
            return 0
        if id(value) not in heights:
            heights[id(value)] = None
            inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value
            heights[id(value)] = 1 + max(map(height, inner), default=0)
        known = heights[id(value)]
        if known is None or known > _MOST_DEPTH:
            raise bad_request("bad_pickle", f"values deeper than {_MOST_DEPTH}, or within themselves")
        return known

    try:
        height(found)
    except RecursionError as error:
        raise bad_request("bad_pickle", f"values deeper than {_MOST_DEPTH}") from error


def read_request(body: bytes, limits: Limits, model: str) -> Request:
    """The pictures of a body. Problem 400 for what is none."""
    asked = read_pickle(body)
    if not isinstance(asked, dict):
        raise bad_request("bad_request", f"a {type(asked).__name__}; accepted: a dictionary with images and prompts")
    images, prompts = asked.get("images"), asked.get("prompts")
    if not (isinstance(images, list) and all(isinstance(each, bytes) for each in images)):
        raise bad_request("bad_request", "images; accepted: a list of bytes of JPEG, PNG or WebP files")
    if not (isinstance(prompts, list) and all(isinstance(each, str) for each in prompts)):
        raise bad_request("bad_request", "prompts; accepted: a list of str, one for each image")
    if len(images) != len(prompts):
        raise bad_request("bad_request", f"{len(prompts)} prompts for {len(images)} images; accepted: one each")
    check_count(len(images), limits)
    told = [checked_prompt(prompt, f"prompts[{row}]", limits) for row, prompt in enumerate(prompts)]
    gallery = Gallery(limits)
    files = [gallery.counted(image, f"images[{row}]") for row, image in enumerate(images)]
    found = [decoded(image, f"images[{row}]") for row, image in enumerate(files)]
    return Request(tuple(map(PictureItem, found, told)), (model,))


def answer(found: ModelScores) -> bytes:
    """The pickled body of a 200: `{"scores": [...]}`. Raises the first item's problem."""
    return pickle.dumps({"scores": found.raw("images[{}]")}, protocol=2)


def error_body(problem: Problem) -> bytes:
    """The pickled body of any other status: `{"error": text}`, of plain text and nothing else."""
    return pickle.dumps({"error": f"{problem.code}: {problem.message}"}, protocol=2)
