"""Connections send each answer at once."""

import asyncio
import socket

from dina_lrm.serving.door import Door
from dina_lrm.serving.http.listening import listening_socket


def test_no_answer_waits_for_more_to_send():
    async def main():
        found = asyncio.get_running_loop().create_future()

        async def taken(_, writer):
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listening_socket(Door("127.0.0.1", 0)) as listening:
            server = await asyncio.start_server(taken, sock=listening)
            _, writer = await asyncio.open_connection(*listening.getsockname())
            nodelay = await asyncio.wait_for(found, 10)
            writer.close()
            server.close()
        return nodelay

    assert asyncio.run(main())
