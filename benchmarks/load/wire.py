"""Bytes that travel: counted on the wire by a relay, and those of full-size requests by their blobs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import torch
from safetensors.torch import save

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import prompt_blob, prompt_hash


class Relay:
    """Hands bytes to and fro, and counts those that clients send."""

    def __init__(self, target: str) -> None:
        self._target, self.address, self.sent = urlsplit(target), "", 0

    async def run(self, ready: threading.Event) -> None:
        """Listen until `end`."""
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await self._ended.wait()
        server.close()

    def end(self) -> None:
        """End it, and connections that clients still keep."""
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._target.hostname, self._target.port)
        # Cancelled at the end, where clients still keep connections: streams would report it as an error
        with contextlib.suppress(ConnectionError, asyncio.CancelledError), contextlib.closing(there[1]):
            await asyncio.gather(
                self._copy(reader, there[1], counted=True), self._copy(there[0], writer, counted=False)
            )
        writer.close()

    async def _copy(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, counted: bool) -> None:
        while data := await source.read(1 << 16):
            self.sent += len(data) if counted else 0
            to.write(data)
            await to.drain()
        to.close()


@contextlib.contextmanager
def relaying(target: str) -> Iterator[Relay]:
    """A relay before a server, in a thread of its own."""
    relay, ready = Relay(target), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(relay.run(ready)), daemon=True)
    thread.start()
    if not ready.wait(30):
        raise RuntimeError("the relay does not listen")
    try:
        yield relay
    finally:
        relay.end()
        thread.join(10)


def full_size(items: int = 252, prompts: int = 14, dtype: torch.dtype = torch.float32) -> dict[str, int]:
    """Bytes of the blobs of a step of SD3.5: latents (16, 64, 64), prompts (333, 4096) and 2048 pooled.

    `protocol_1` sends a blob an item; `protocol_2` each prompt once, by its hash, and one blob an item.
    """
    told = Conditioning(torch.zeros(1, 333, 4096, dtype=dtype), torch.zeros(1, 2048, dtype=dtype))
    latents, u, seeds = torch.zeros(1, 16, 64, 64, dtype=dtype), torch.zeros(1), torch.zeros(1, dtype=torch.long)
    item = {"latents": latents, "u": u, "seeds": seeds}
    whole = {"prompt_embeds": told.prompt_embeds, "pooled_prompt_embeds": told.pooled_prompt_embeds}
    header = {"drm": json.dumps({"model": "dina", "prompts": [prompt_hash(told)]})}
    first, second, prompt = len(save({**item, **whole})), len(save(item, header)), len(save(prompt_blob(told)))
    return {"protocol_1": items * first, "protocol_2": items * second + prompts * prompt, "again": items * second}
