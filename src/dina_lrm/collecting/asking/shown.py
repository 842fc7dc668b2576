"""Pictures as they are shown: written anew, so that nothing else of their files is, and bounded; the last ones kept."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, final

from PIL import Image

from dina_lrm.pictures.files import decoded_bytes

LARGEST: Final = 2048
"""Pixels of a shown picture's longer side: enough to look into, and sent to a phone in a second."""
_KEPT_BYTES: Final = 256 * 2**20
_SMALL: Final = 128
"""Up to this side a picture is shown pixel by pixel, and lost nothing of."""


@final
class ShownPictures:
    """Pictures as PNG (small ones) or JPEG, by a key of whoever asks; the last 256 MiB of them stay in memory.

    Used by the threads of a server: two that ask for one picture at once may both make it.
    """

    def __init__(self, most_bytes: int = _KEPT_BYTES) -> None:
        self._most, self._bytes = most_bytes, 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def picture(self, key: str, read: Callable[[], bytes]) -> bytes:
        """The picture of a key; `read` gives the bytes of its file where they are needed.

        Raises ValueError or OSError for what cannot be read.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        content = shown_bytes(read())
        with self._lock:
            if key not in self._kept:
                self._kept[key] = content
                self._bytes += len(content)
            while self._bytes > self._most and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return content


def shown_bytes(data: bytes) -> bytes:
    """A picture as it is shown: its first frame, turned, in sRGB, at most 2,048 pixels on a side."""
    image = decoded_bytes(data, "picture").image
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if max(image.size) <= _SMALL:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def media_type(content: bytes) -> str:
    """What such bytes are called in HTTP."""
    return "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
