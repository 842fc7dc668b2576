"""Printing: names and texts as they are, on every console, and never at the cost of the work.

Names, prompts and answers of servers come from outside. No markup is read in them; control characters, which could move
the cursor or forge a line, and bytes that are no text are shown escaped; a letter that the console's encoding lacks is
shown by its number. A console that is gone (a closed pipe, a full disk) is left: the work goes on.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

# C0 and C1 controls, line and paragraph separators, marks that turn the direction of text round
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ESCAPES: Mapping[str, str] = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_held: list[Callable[[], None]] | None = None
NO_NUMBER: Final = "\u2013"
"""Written in the place of a number that there is none of."""
NEEDS_PROMPTS: Final = "needs more prompts"
"""Written in the place of an interval that there is none of."""
_BYTES: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def escaped(text: object) -> str:
    r"""A text as one line that any terminal may be given: `\n`, `\x1b`; a byte that is no UTF-8 as `\xe9`."""
    return _UNPRINTABLE.sub(_escape, str(text))


def whole(text: str) -> str:
    r"""A text that UTF-8 can say: bytes of a name that are none as `\xe9`, half a character as `\ud83d`."""
    return re.sub("[\ud800-\udfff]", _escape, text)


def _escape(found: re.Match[str]) -> str:
    letter = found.group()
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    number = ord(letter)
    if 0xDC80 <= number <= 0xDCFF:  # how Python holds a byte of a name that is not UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def text_of(value: object) -> Text:
    """A cell or a heading: a value as text, or what is drawn already."""
    from rich.text import Text

    return value if isinstance(value, Text) else Text(escaped(value))


def table_of(heads: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> Table:
    """A table of texts."""
    from rich.table import Table

    table = Table(title=text_of(title) if title else None, show_header=any(heads))
    for head in heads:
        table.add_column(text_of(head))
    for row in rows:
        add_row(table, *row)
    return table


def add_row(table: Table, *cells: object) -> None:
    """Add a row of texts to a table that is drawn in a way of its own."""
    table.add_row(*map(text_of, cells))


class Screen:
    """Standard output or standard error, as a console of lines and tables; silent when `quiet`."""

    def __init__(self, quiet: bool = False, stream: Literal["stdout", "stderr"] = "stdout", live: bool = False) -> None:
        self._quiet, self._stream, self._live = quiet, stream, live
        self._console: Console | None = None
        self._place: Any = None

    @property
    def console(self) -> Console:
        """Return the console of rich, for a bar."""
        from rich.console import Console

        if self._console is None:
            # Pages of rich's own wrapping would cut names in a log
            plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
            soft = self._stream == "stdout"
            self._console = Console(file=_Unfailing(self._stream), quiet=self._quiet, soft_wrap=soft, **plain)  # type: ignore[arg-type]
        return self._console

    def print(self, shown: str | Table) -> None:
        """Print a line, or a table; after the results are written where they are being waited for (`held_back`)."""
        if self._quiet:
            return
        if _held is None or self._live or self._stream == "stderr":
            self._print(shown)
        else:
            _held.append(lambda: self._print(shown))

    @property
    def in_notebook(self) -> bool:
        """Whether what is printed becomes the output of a cell."""
        return self.console.is_jupyter

    def status(self, text: str) -> None:
        """Say how far a work is: a line of its own in a log, in a notebook in the place of what was said before."""
        if self._quiet or not self.in_notebook:
            self.print(text)
            return
        from IPython.display import display

        shown = {"text/plain": escaped(text)}
        if self._place is None:
            self._place = display(shown, raw=True, display_id=True)
        else:
            self._place.update(shown, raw=True)

    def _print(self, shown: str | Table) -> None:
        if isinstance(shown, str):
            self.console.print(text_of(shown), soft_wrap=True)
        else:
            self.console.print(shown)


@contextmanager
def held_back() -> Iterator[None]:
    """Hold what is printed to standard output back until the block ends, however it ends; live screens go on."""
    global _held
    outer, _held = _held, []
    try:
        yield
    finally:
        waiting, _held = _held, outer
        for show in waiting:
            show()


def say(text: str, stream: Literal["stdout", "stderr"] = "stdout") -> None:
    """Print a text of ours, of one or more lines, as it is."""
    written = _Unfailing(stream)
    written.write(text + "\n")
    written.flush()


class _Unfailing:
    """A standard stream, looked up at every use, whose faults are nobody's."""

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name

    def _found(self) -> Any:  # noqa: ANN401 - any object with the methods of a text stream, or None
        stream = getattr(sys, self._name)
        return getattr(stream, "rich_proxied_file", stream)  # while a bar of rich is drawn

    @property
    def encoding(self) -> str:
        return getattr(self._found(), "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        try:
            return bool(self._found().isatty())
        except (AttributeError, OSError, ValueError):
            return False

    def fileno(self) -> int:
        return int(self._found().fileno())

    def write(self, text: str) -> int:
        try:
            try:
                self._found().write(text)
            except UnicodeEncodeError:
                self._found().write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        except (AttributeError, OSError, ValueError):  # no stream, a broken one, a closed one
            pass
        return len(text)

    def flush(self) -> None:
        try:
            self._found().flush()
        except (AttributeError, OSError, ValueError):
            pass


def leave_broken_streams() -> None:
    """Keep the interpreter from failing at its end over a standard stream that nobody reads any more."""
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except (OSError, ValueError):
            assert stream is not None
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def number_text(value: float | None, form: str = ".2f", percent: bool = False) -> str:
    """A number in a format of Python, with a minus sign; a dash for None, NaN and what is not finite."""
    if value is None or not math.isfinite(value):
        return NO_NUMBER
    return f"{100 * value if percent else value:{form}}".replace("-", "\u2212")


def ends_text(low: float | None, high: float | None, form: str = ".2f", percent: bool = False) -> str:
    """Both ends of an interval, such as "0.13 to 0.49", or that it needs more prompts."""
    ends = [number_text(end, form, percent) for end in (low, high)]
    return NEEDS_PROMPTS if NO_NUMBER in ends else " to ".join(ends)


def interval_text(
    value: float | None, low: float | None, high: float | None, form: str = ".2f", percent: bool = False
) -> str:
    """An estimate and its interval, such as "0.31 (0.13 to 0.49)", or a dash where there is no estimate."""
    middle = number_text(value, form, percent)
    return middle if middle == NO_NUMBER else f"{middle} ({ends_text(low, high, form, percent)})"


def bytes_text(count: float) -> str:
    """Bytes for a person, such as "611 MiB": three digits of the largest unit of which there is one."""
    power = 0
    while power + 1 < len(_BYTES) and abs(count) >= 1024 ** (power + 1):
        power += 1
    value = count / 1024**power
    digits = 0 if power == 0 or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {_BYTES[power]}"
