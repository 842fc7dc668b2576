"""Connections that are kept, requests that are tried again, and what neither may do."""

import multiprocessing
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.rewards.remote import RemoteReward, RemoteRewardError
from dina_lrm.rewards.remote.client import Patience
from tests.rewards.remote.wires import desk, problem, scores

TOLD = Conditioning(torch.zeros(2, 3, 8), torch.zeros(2, 8))
LATENTS = torch.zeros(2, 16, 4, 4)


def good(method, path, body, headers):
    return (200, scores(2)) if method == "POST" else (200, {})


def client(server, **changes):
    return RemoteReward(server.url, **{"timeout": 20.0, "retries": 3, "backoff": 0.01, **changes})


def test_a_connection_serves_many_requests():
    with desk(good) as server:
        reward = client(server)
        for _ in range(5):
            reward.score(LATENTS, TOLD)
        assert (server.connections, reward.traffic.connections, reward.traffic.retries) == (1, 1, 0)


def test_threads_share_a_bounded_number_of_connections():
    gate = threading.Barrier(3, timeout=10)

    def together(method, path, body, headers):
        if method == "POST":
            gate.wait()
        return good(method, path, body, headers)

    with desk(together) as server:
        reward = client(server, connections=3)
        with ThreadPoolExecutor(12) as pool:
            found = [*pool.map(lambda _: reward.score(LATENTS, TOLD).tolist(), range(12))]
        assert found == [[0.5, 0.5]] * 12
        assert server.connections == 3


def test_waiting_for_a_connection_is_no_part_of_the_time_out():
    def slow(method, path, body, headers):
        time.sleep(0.3 if method == "POST" else 0)
        return good(method, path, body, headers)

    with desk(slow) as server:
        reward = client(server, connections=1, timeout=1.0, retries=0)
        with ThreadPoolExecutor(6) as pool:
            assert len([*pool.map(lambda _: reward.score(LATENTS, TOLD), range(6))]) == 6


def test_a_connection_closed_while_idle_is_no_failed_attempt():
    """The server closes after an answer without a word, at once or only when the next request has come."""
    answer = b'{"protocol_version": "2", "results": {"dina": {"scores": {"raw": [0.5, 0.5]}}}}'
    heads = []

    def serve(listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                for number in range(2):
                    head = [*iter(file.readline, b"\r\n")]
                    if not head or head == [b""] or number:
                        break  # the second request on a connection is read and not answered
                    length = next((int(row.split(b":")[1]) for row in head if row.lower().startswith(b"content-l")), 0)
                    file.read(length)
                    heads.append(head[0])
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        reward = RemoteReward(f"http://127.0.0.1:{listener.getsockname()[1]}", retries=0, timeout=10.0)
        for _ in range(4):
            reward._asker.client.ask("GET", "/healthz")
        assert len(heads) == 4
        assert (reward.traffic.attempts, reward.traffic.retries, reward.traffic.connections) == (4, 0, 4)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of later Pythons, where threads are running
def test_a_forked_child_has_connections_of_its_own():
    with desk(good) as server:
        reward = client(server)
        reward.score(LATENTS, TOLD)
        with reward._asker.client.known.sending:  # a lock that a thread of the parent holds while it forks
            context = multiprocessing.get_context("fork")
            queue = context.Queue()
            child = context.Process(target=lambda: queue.put((os.getpid(), reward.score(LATENTS, TOLD).tolist())))
            child.start()
            process, found = queue.get(timeout=30)
            child.join(30)
        assert process != os.getpid() and found == [0.5, 0.5]
        assert reward.score(LATENTS, TOLD).tolist() == [0.5, 0.5]
        assert server.connections == 2


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status):
    left = [status, status]

    def answer(method, path, body, headers):
        if method == "POST" and left:
            return left.pop(), problem("busy", "later")
        return good(method, path, body, headers)

    with desk(answer) as server:
        reward = client(server)
        assert reward.score(LATENTS, TOLD).tolist() == [0.5, 0.5]
        assert (reward.traffic.retries, len(server.paths("POST"))) == (2, 3)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422, 501, 505])
def test_what_stays_wrong_is_not_tried_again(status):
    with desk(lambda method, *_: (status, problem("bad", "so it is")) if method == "POST" else (200, {})) as server:
        with pytest.raises(RemoteRewardError, match=rf"{status} .*: bad: so it is") as caught:
            client(server).score(LATENTS, TOLD)
        assert (len(server.paths("POST")), caught.value.status, caught.value.code) == (1, status, "bad")


def test_after_the_last_attempt_the_servers_reason_is_told():
    with desk(lambda *_: (503, problem("draining", "the server is ending"))) as server:
        with pytest.raises(RemoteRewardError, match=r"503 .*: draining: the server is ending \(3 attempts\)"):
            client(server, retries=2).check_ready()
        assert len(server.requests) == 3


def test_a_deadline_ends_all_attempts():
    with desk(lambda *_: (503, problem("busy", "later"))) as server:
        began = time.monotonic()
        with pytest.raises(RemoteRewardError, match="busy: later"):
            client(server, retries=1_000, backoff=0.2, deadline=1.0).check_ready()
        assert time.monotonic() - began < 5


def test_pauses_are_drawn_below_a_bound_that_doubles():
    patience = Patience(backoff=0.5, timeout=30.0)
    for attempt, longest in ((1, 0.5), (2, 1.0), (4, 4.0), (60, 30.0)):
        drawn = [patience.pause(attempt, None) for _ in range(200)]
        assert 0 <= min(drawn) < longest / 4 and 3 * longest / 4 < max(drawn) <= longest
    assert 3.0 <= patience.pause(1, 3.0) <= 3.5
    assert patience.pause(1, 86_400.0) == 30.0


@pytest.mark.parametrize(
    "changes", [{"timeout": 0.0}, {"retries": -1}, {"backoff": -1.0}, {"deadline": 0.0}, {"timeout": float("inf")}]
)
def test_times_that_are_none_are_refused(changes):
    with pytest.raises(ValueError, match="accepted: above 0, 0 up, 0 up, above 0"):
        RemoteReward("http://127.0.0.1:9", **changes)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_a_certificate_of_ones_own_is_trusted_where_it_is_named(tmp_path, monkeypatch):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=here"]
    words = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*made, *words], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with desk(good, secure=context) as server:
        reward = client(server, ca_file=str(cert))
        for _ in range(3):
            assert reward.score(LATENTS, TOLD).tolist() == [0.5, 0.5]
        assert reward.traffic.connections == 1
        with pytest.raises(RemoteRewardError, match=r"no answer in 1 attempt: .*certificate verify failed"):
            client(server).check_ready()
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        client(server).check_ready()
