"""A real server over bare sockets: what is no HTTP, comes slowly, or is two requests in one has a typed answer."""

import json
import pickle
import socket

import pytest

from tests.serving.servers import running

START = b"POST /v1/score HTTP/1.1\r\nhost: 127.0.0.1\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory, warm_programs):
    config = tmp_path_factory.mktemp("serve") / "serve.yaml"
    config.write_text(json.dumps({"model": ["sharp=sharpness"], "pickles": True, "limits": {"head_seconds": 0.6}}))
    with running(warm_programs / "dina-lrm", "--config", str(config)) as (address, _):
        yield int(address.rpartition(":")[2])


def said(port, *pieces):
    """All that comes back until the server hangs up, which it must do within seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        for piece in pieces:
            wire.sendall(piece)
        found = b""
        while piece := wire.recv(1 << 16):
            found += piece
    return found


def error(found):
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 Bad Request\r\n", b"HTTP/1.1 408 Request Timeout\r\n"))
    return int(head.split()[1]), json.loads(body)["error"]["code"]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        START + b"a header without a colon\r\n\r\n",
        START + b"a: " + b"b" * 100_000,
        START + b"content-length: 5\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_has_a_typed_answer(port, sent):
    assert error(said(port, sent)) == (400, "bad_http")


def test_a_head_that_stops_is_told_so_and_silence_is_hung_up_on(port):
    assert error(said(port, START)) == (408, "too_slow")
    assert said(port) == b""


def test_the_rest_of_a_refused_body_is_not_waited_for(port):
    refused = said(port, START + b"content-length: 99999999\r\n\r\n", b"a" * 1000)
    assert refused.split()[1] == b"413"


def test_clients_of_pickles_get_pickles_from_every_layer(port):
    plain = b"HTTP/1.1\r\nconnection: close\r\nhost: "
    for sent, status in (
        (b"GET /v1/pickle/sharp " + plain + b"127.0.0.1\r\n\r\n", 405),
        (b"POST /v1/pickle/a/b " + plain + b"127.0.0.1\r\n\r\n", 404),
        (b"POST /v1/pickle/sharp " + plain + b"evil.example\r\n\r\n", 403),
        (b"POST /v1/pickle/sharp " + plain + b"127.0.0.1\r\ncontent-length: 99999999\r\n\r\n", 413),
    ):
        head, _, body = said(port, sent).partition(b"\r\n\r\n")
        assert int(head.split()[1]) == status
        assert [*pickle.loads(body)] == ["error"]


def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_fault(port):
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(START + b"content-length: 1000\r\n\r\nabc")
    asked = b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
    text = said(port, asked)
    assert b'status="5' not in text
