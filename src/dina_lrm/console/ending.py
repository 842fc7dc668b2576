"""How a command ends: what went wrong as one line, and its exit code."""

from __future__ import annotations

import errno
import re

from dina_lrm.runs.stopping import Stopped
from dina_lrm.screen import escaped

# Of the system's errors, those that another name or another permission would mend
_BAD_PLACES = {
    errno.ENOENT, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG,
    errno.EROFS, errno.ELOOP, errno.ENOTEMPTY, errno.EINVAL, errno.ENXIO,
}  # fmt: skip
_BAD_FILES = ("SafetensorError", "BadZipFile", "UnpicklingError", "EOFError", "DecompressionBombError")
_BUGS = (LookupError, TypeError, AttributeError, AssertionError, ArithmeticError, NameError, NotImplementedError)
_FRAMES = re.compile(
    r"\s*(\n(Exception raised from |C\+\+ CapturedTraceback|frame #\d+)|CUDA kernel errors might).*", re.DOTALL
)
_ENFORCED = re.compile(r"\[enforce fail at [^\]]*\] \S*\s?\S*?\. ")


def code_of(error: BaseException) -> int:
    """2 where another input would do, 1 where good input met a failure."""
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
        if error.errno is not None:
            return 2 if error.errno in _BAD_PLACES else 1
        return 1 if type(error).__module__.startswith("requests") else 2  # libraries' words for files that they refuse
    if isinstance(error, ValueError):
        return 2
    return 2 if type(error).__name__ in _BAD_FILES else 1


def line_of(error: BaseException) -> str:
    """What went wrong, in one line without C++ frames."""
    if isinstance(error, Stopped):
        return "stopped by a signal"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, UnicodeEncodeError):
        return escaped(f"{error.object[:60]!r} holds what {error.encoding} cannot say; accepted: whole characters")
    text = _FRAMES.sub("", str(error)).strip()
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in text:
        told = f" ({' '.join(_ENFORCED.sub('', text).split())})" if text else ""
        return f"out of memory{told}; smaller batches or images need less"
    if isinstance(error, RecursionError):
        return f"an input is nested too deeply ({text})"
    if isinstance(error, _BUGS) or not text:
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    # Our own messages are one line, and a line end in them belongs to a name; libraries break theirs for the eye
    return escaped(text if _is_ours(error) else " ".join(text.split()))


def _is_ours(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith("dina_lrm")
