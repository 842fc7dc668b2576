"""What a server may do to a client: all that is no answer ends, in bounded time and bytes, as an error."""

import base64
import gzip
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from email.utils import formatdate

import pytest
import torch

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.rewards.addresses import Address, printable
from dina_lrm.rewards.names import load_reward
from dina_lrm.rewards.remote import RemoteReward, RemoteRewardError
from dina_lrm.rewards.remote.connections import Answer

pytestmark = pytest.mark.filterwarnings("ignore:.*speaks protocol 1 alone")
LATENTS = torch.zeros(2, 16, 4, 4)
TOLD = Conditioning(torch.zeros(2, 3, 8), torch.zeros(2, 8), None, None)
GOOD = b'{"protocol_version": "1", "raw_scores": [1, 2.5]}'


def response(body, status="200 OK", *headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Wire:
    """Reads whole requests and answers each with the next of `answers`: bytes, or a function of the connection."""

    def __init__(self, *answers):
        self.answers, self.requests = list(answers), []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with connection, suppress(OSError):
            with connection.makefile("rb") as file:
                head = list(iter(file.readline, b"\r\n"))
                length = next((int(line.split(b":")[1]) for line in head if line.lower().startswith(b"content-len")), 0)
                body = file.read(length)
            if b"/info " in head[0]:  # it speaks protocol 1 alone
                connection.sendall(response(b"", "404 Not Found", "Connection: close"))
                return
            self.requests.append((b"".join(head), body))
            given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            given(connection) if callable(given) else connection.sendall(given)


@contextmanager
def serving(*answers):
    wire = Wire(*answers)
    try:
        yield wire
    finally:
        wire.socket.close()


def scored(wire, url=None, **changes):
    given = {"timeout": 5.0, "retries": 2, "backoff": 0.01, **changes}
    return RemoteReward(url or f"http://127.0.0.1:{wire.port}", **given).score(LATENTS, TOLD)


def test_numbers_of_both_kinds_are_scores():
    with serving(response(GOOD)) as wire:
        assert scored(wire).tolist() == [1.0, 2.5]
        assert scored(wire).dtype == torch.float32


@pytest.mark.parametrize(
    "scores",
    [
        *('"12"', '["1", 2]', "[true, false]", "[[1], [2]]", "[null, 1]", '{"3": 0, "4": 0}', "null", "12"),
        *("[1e300, 1]", "[1e39, 1]", "[-1e39, 1]", "[NaN, 1]", "[Infinity, 1]", "[1e400, 1]", "[1]", "[1, 2, 3]", "[]"),
        *(f"[1{'0' * 400}, 1]", f"[1{'0' * 5000}, 1]"),
    ],
)
def test_scores_are_numbers_that_a_float32_holds_one_a_latent(scores):
    body = f'{{"protocol_version": "1", "raw_scores": {scores}}}'.encode()
    with serving(response(body)) as wire, pytest.raises(RemoteRewardError) as caught:
        scored(wire)
    assert len(wire.requests) == 1
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1_000


@pytest.mark.parametrize("version", ["1", "1.0", '"2"', '"1 "', "null", '["1"]', "true"])
def test_the_protocol_version_is_the_text_1(version):
    body = f'{{"protocol_version": {version}, "raw_scores": [1, 2]}}'.encode()
    with serving(response(body)) as wire, pytest.raises(RemoteRewardError, match=r"protocol[_ ]version"):
        scored(wire)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[1, 2]", b"<html>", b"\xff\xfe\x00", b"[" * 60_000, GOOD[:-1], GOOD + b"x"),
        b'{"protocol_version": "1", "raw_scores": [1, 2], "raw_scores": [3, 4]}',
    ],
)
def test_a_body_that_is_no_answer_is_shown_without_what_steers_a_terminal(body):
    with serving(response(body)) as wire, pytest.raises(RemoteRewardError, match="no scores") as caught:
        scored(wire)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent"]
)
def test_prompts_are_never_carried_elsewhere(status):
    with serving(response(GOOD)) as other:
        place = f"Location: http://127.0.0.1:{other.port}/stolen"
        with serving(response(b"", status, place)) as wire:
            with pytest.raises(RemoteRewardError, match=f"{status[:3]} .*redirects are not followed"):
                scored(wire)
            assert len(wire.requests) == 1
        assert other.requests == []


def test_a_compressed_body_is_refused_as_it_comes():
    bomb = gzip.compress(b" " * (1 << 24))
    for coding in ("gzip", "deflate", "br", "GZIP, gzip"):
        with serving(response(bomb, "200 OK", f"Content-Encoding: {coding}")) as wire:
            with pytest.raises(RemoteRewardError, match="accepted: no compression"):
                scored(wire)
            assert b"accept-encoding: identity" in wire.requests[0][0].lower()


def test_a_body_without_end_is_read_to_a_limit():
    sent = []

    def endless(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3221225472\r\n\r\n")
        for _ in range(3 << 10):
            connection.sendall(b" " * (1 << 20))
            sent.append(1)

    with serving(endless) as wire, pytest.raises(RemoteRewardError, match="more than the 65,664 bytes"):
        scored(wire)
    assert len(sent) < 100


def dripping(start):
    def drip(connection):
        connection.sendall(start)
        for _ in range(600):
            time.sleep(0.05)
            connection.sendall(b" ")

    return drip


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"], ids=repr
)
def test_a_server_that_drips_is_given_its_time_and_no_more(start):
    with serving(dripping(start)) as wire:
        began = time.monotonic()
        with pytest.raises(RemoteRewardError, match=r"no answer in 2 attempts of 0\.4 s"):
            scored(wire, timeout=0.4, retries=1)
        assert time.monotonic() - began < 10  # it would drip for 30 seconds
        assert len(wire.requests) == 2


def test_an_answer_that_breaks_off_is_asked_for_again():
    cut = response(GOOD)[:-5]
    with serving(cut, b"", response(GOOD)) as wire:
        assert scored(wire).tolist() == [1.0, 2.5]
        assert len(wire.requests) == 3
    with serving(cut) as wire, pytest.raises(RemoteRewardError, match=r"no answer in 3 attempts: .*IncompleteRead"):
        scored(wire)


@pytest.mark.parametrize("told", ["86400", "tomorrow", "soon", "-5", "1e9", "9" * 40])
def test_retry_after_is_heard_within_limits(told):
    told = formatdate(time.time() + 86_400, usegmt=True) if told == "tomorrow" else told
    with serving(response(b"busy", "503 Busy", f"Retry-After: {told}"), response(GOOD)) as wire:
        began = time.monotonic()
        assert scored(wire, timeout=0.3).tolist() == [1.0, 2.5]
        assert time.monotonic() - began < 10
    assert len(wire.requests) == 2


def test_retry_after_is_read_in_both_forms():
    def wait(text):
        return Answer(503, "", {"retry-after": text}, b"", False).wait()

    assert wait("3") == 3.0
    assert 90 < wait(formatdate(time.time() + 100, usegmt=True)) <= 100
    assert wait("Sun, 06 Nov 1994 08:49:37 GMT") == 0.0
    assert [wait(text) for text in ("", "soon", "-1", "nan", "99999999999999")] == [None] * 5


def test_what_a_server_says_is_escaped_and_shortened():
    said = b"\x1b[31mboom\x07\r\n" + "\u202e".encode() + b"x" * 5_000_000
    with serving(response(said, "500 Bad\x1b[2J")) as wire, pytest.raises(RemoteRewardError) as caught:
        scored(wire)
    told = str(caught.value)
    assert told.isprintable() and len(told) < 600
    assert r"\x1b[31mboom\x07\r\n\u202e" in told and "500 Bad" in told
    assert printable("plain, é") == "plain, é"


def test_nobody_there_is_said_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(
        RemoteRewardError, match=rf"no answer in 3 attempts: 127\.0\.0\.1:{port} refused the connection"
    ):
        RemoteReward(f"http://127.0.0.1:{port}", retries=50, backoff=0.01).check_ready()
    assert time.monotonic() - began < 10
    with pytest.raises(RemoteRewardError, match="no answer in 1 attempt: "):
        RemoteReward("http://nowhere.invalid", retries=0).check_ready()


class Restarting:
    """Answers every request with 200, at one port, once it is there, and once it is there again."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def answer(self, requests, after=0.0):
        """Listen from `after` seconds on, for so many requests."""
        time.sleep(after)
        with socket.create_server(("127.0.0.1", self.port)) as server:
            for _ in range(requests):
                with server.accept()[0] as connection:
                    connection.recv(1 << 16)
                    connection.sendall(response(b"", "200 OK", "Connection: close"))

    def later(self, requests, after=0.0):
        thread = threading.Thread(target=self.answer, args=(requests, after), daemon=True)
        thread.start()
        return thread


def test_a_server_that_answered_before_is_waited_for_while_it_starts_again():
    server = Restarting()
    first = server.later(2)  # its /info, which is none, and its health
    reward = RemoteReward(f"http://127.0.0.1:{server.port}", retries=2, backoff=0.01)
    reward.check_ready()
    first.join()
    server.later(1, after=0.7)
    with pytest.warns(UserWarning, match=r"no longer listens; it is waited for, up to 600 s"):
        reward.check_ready()
    assert reward.traffic.retries > 2


def test_a_server_that_does_not_come_back_is_waited_for_until_the_deadline():
    server = Restarting()
    first = server.later(2)
    reward = RemoteReward(f"http://127.0.0.1:{server.port}", retries=1, backoff=0.01, deadline=0.5)
    reward.check_ready()
    first.join()
    began = time.monotonic()
    with (
        pytest.warns(UserWarning, match=r"no longer listens"),
        pytest.raises(RemoteRewardError, match=r"refused the connection"),
    ):
        reward.check_ready()
    assert 0.4 < time.monotonic() - began < 5


def test_a_server_without_encryption_is_not_asked_twice_over_https():
    def plain(server):
        with server.accept()[0] as connection:
            connection.sendall(response(b"", "400 Bad Request"))
            connection.recv(1 << 16)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=plain, args=(server,), daemon=True).start()
        reward = RemoteReward(f"https://127.0.0.1:{server.getsockname()[1]}", backoff=0.01)
        with pytest.raises(RemoteRewardError, match=r"no answer in 1 attempt: .*SSL"):
            reward.check_ready()


def test_a_password_is_sent_and_never_shown(capsys):
    with serving(response(b"no", "403 Forbidden")) as wire:
        url = f"http://me:s%20cret@127.0.0.1:{wire.port}/models"
        reward = RemoteReward(url, retries=0)
        with pytest.raises(RemoteRewardError) as caught:
            reward.score(LATENTS, TOLD)
        head = wire.requests[0][0].decode()
    assert f"Basic {base64.b64encode(b'me:s cret').decode()}" in head
    assert head.startswith("POST /models/v1/score ")
    assert reward.name == f"remote:http://***@127.0.0.1:{wire.port}/models"
    assert not any("cret" in text or "me:" in text for text in (str(caught.value), repr(reward), repr(Address.of(url))))


def test_the_surroundings_take_no_part(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(response(GOOD)) as wire:
        assert scored(wire).tolist() == [1.0, 2.5]
        assert b"authorization" not in wire.requests[0][0].lower()


@pytest.mark.parametrize(
    "url",
    [
        *("", "somewhere", "localhost:8000", "ftp://a", "file:///etc/passwd", "http://", "http://:80", "http:///path"),
        *("http://a:0", "http://a:65536", "http://a:-1", "http://a:x", "http://a:80:80", "http://[::1", "HTTP//a"),
        *("http://a b", "http://a\n", "http://a/\x1b[31m", "http://a?x=1", "http://a#x", "http://me:se/cret@a:b"),
    ],
)
def test_what_is_no_address_is_refused_before_anything_is_sent(url):
    with pytest.raises(ValueError, match="no address; accepted: remote:http://HOST:PORT") as caught:
        load_reward(f"remote:{url}") if url else RemoteReward(url)
    assert str(caught.value).isprintable() and "cret" not in str(caught.value)


def test_addresses_of_both_kinds_are_read():
    assert str(Address.of("http://[::1]:8000/a/")) == "[::1]:8000"
    assert Address.of("https://example.org/a/") == Address("https", "example.org", 443, "/a")
    assert Address.of("HTTP://example.org").port == 80


def test_an_answer_may_say_more():
    more = json.dumps({**json.loads(GOOD), "model": "a"}).encode()
    with serving(response(more)) as wire:
        assert scored(wire).tolist() == [1.0, 2.5]
