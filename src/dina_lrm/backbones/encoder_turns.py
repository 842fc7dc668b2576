"""Text encoders one at a time: each is loaded once, reads all batches of prompts, and is let go before the next.

A pipeline calls its encoders one after the other, in an order of its own, and joins what they return. So a seat stands
in it for each of them. A batch is encoded until a seat is asked whose encoder is not there; all batches are gone
through with that one, and what the pipeline took of its outputs is kept for the next round, in which it is given again:

    round 1   first encoder    kept for every batch
    round 2   second encoder   the first one's outputs are given again
    ...
    round n   last encoder     every batch is finished, and handed on as it comes

The pipeline's own code runs unchanged, and each batch sees the numbers that it would see with all encoders at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, final

import torch
from torch import nn

Encoded = TypeVar("Encoded")
Encode = Callable[[Sequence[str]], Encoded]


@final
class Seat(nn.Module):
    """Stands in a pipeline for a text encoder: has its configuration, type and device, and hands calls on."""

    def __init__(
        self, config: object, device: torch.device, dtype: torch.dtype, call: Callable[..., Any] | None = None
    ) -> None:
        super().__init__()
        self.config, self.device, self.dtype, self.call = config, device, dtype, call

    def forward(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - the encoder's own
        """Hand the call on."""
        assert self.call is not None
        return self.call(*given, **named)


def encoded_in_turn(
    seats: Mapping[str, Seat],
    load: Callable[[str], nn.Module],
    encode: Encode[Encoded],
    batches: Sequence[Sequence[str]],
) -> Iterator[Encoded]:
    """What `encode` makes of each batch, by a pipeline in which these `seats` stand; `load` gives an encoder by name.

    An encoder is let go when its round is over, the last one with the last batch.
    """
    turns = {name: _Turn(name, seat) for name, seat in seats.items()}
    waiting = _first(encode, batches)
    while waiting is not None:
        turn, waiting = turns[waiting], None
        turn.encoder = load(turn.name)
        try:
            for number, batch in enumerate(batches):
                for each in turns.values():
                    each.begin(number)
                try:
                    found = encode(batch)
                except _NotThere as missing:
                    turn.keep()
                    waiting = missing.name
                    continue
                for each in turns.values():
                    each.forget(number)
                yield found
                del found
        finally:
            turn.encoder = None


def _first(encode: Encode[Encoded], batches: Sequence[Sequence[str]]) -> str | None:
    """The encoder that is asked first; None where there is nothing to encode."""
    if not batches:
        return None
    try:
        encode(batches[0])
    except _NotThere as missing:
        return missing.name
    raise AssertionError("a pipeline encoded prompts without asking a text encoder")


class _NotThere(Exception):
    """An encoder is asked that has not had its turn."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class _Turn:
    """One encoder: at work in its own round, before it absent, behind it its outputs."""

    def __init__(self, name: str, seat: Seat) -> None:
        self.name = name
        self.encoder: nn.Module | None = None
        self._outputs: dict[int, list[_Taken]] = {}
        self._number = self._calls = 0
        seat.call = self._answer

    def begin(self, number: int) -> None:
        """The batch of this number is encoded from its beginning."""
        self._number, self._calls = number, 0

    def keep(self) -> None:
        """Let go of what nobody took of the present batch's outputs."""
        for output in self._outputs.get(self._number, ()):
            output.close()

    def forget(self, number: int) -> None:
        """The batch is finished."""
        self._outputs.pop(number, None)

    def _answer(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - the encoder's own
        known = self._outputs.get(self._number, [])
        self._calls += 1
        if self._calls <= len(known):
            return known[self._calls - 1]
        if self.encoder is None:
            raise _NotThere(self.name)
        output = _Taken(self.encoder(*given, **named))
        self._outputs.setdefault(self._number, []).append(output)
        return output


class _Taken:
    """The output of an encoder, of which only what was asked for stays when it is closed."""

    def __init__(self, whole: Any) -> None:  # noqa: ANN401 - an output of transformers, or a tuple in it
        self._whole = whole
        self._parts: dict[int | str, Any] = {}

    def __getitem__(self, key: int | str) -> Any:  # noqa: ANN401
        return self._part(key, lambda whole: whole[key])

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("_"):
            raise AttributeError(name)
        return self._part(f".{name}", lambda whole: getattr(whole, name))

    def close(self) -> None:
        self._whole = None
        for part in self._parts.values():
            if isinstance(part, _Taken):
                part.close()

    def _part(self, key: int | str, look: Callable[[Any], Any]) -> Any:  # noqa: ANN401
        if key not in self._parts:
            assert self._whole is not None, f"{key} of an encoder's output is asked for in a later round only"
            part = look(self._whole)
            self._parts[key] = _Taken(part) if isinstance(part, tuple | list) else part
        return self._parts[key]
