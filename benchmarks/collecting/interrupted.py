"""Kill the server of votes at random moments between a vote and its answer, start it again, and count the votes.

A client votes as the page does: it keeps each vote until it is answered, and sends it again until it is. The server is
killed by SIGKILL at a moment drawn evenly over the time that an answer takes; every third time votes wait and are sent
together. In the end each vote that was cast stands in the store once, with its own answer, and no other does.

    python -m benchmarks collecting interrupted
    python -m benchmarks collecting interrupted --rounds 100 --json interrupted.json
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dina_lrm.collecting.asking.job import annotate
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.data.votes import VoteStore

_PICTURES = 40
_TOGETHER = 5
_CALM = 10
"""Votes before the first kill, which say how long an answer takes."""


class Server:
    """A fork of this process that serves the page, in a session of its own."""

    def __init__(self, settings: AnnotateSettings) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.close(reading)
            try:
                annotate(settings, lambda line: os.write(writing, b"ready") if "vote at" in line else None)
            finally:
                os._exit(0)
        os.close(writing)
        started = os.read(reading, 5)
        os.close(reading)
        if started != b"ready":
            sys.exit("the server did not start")

    def end(self, how: signal.Signals) -> None:
        """End it, and wait until it has."""
        os.kill(self.pid, how)
        os.waitpid(self.pid, 0)


class Client:
    """Votes and keeps what was not answered, as the page does."""

    def __init__(self, port: int, seed: int) -> None:
        self.port, self.random = port, random.Random(seed)
        self.cast: dict[str, dict[str, Any]] = {}
        self.waiting: list[dict[str, Any]] = []
        self.again = 0

    def ask(self, count: int) -> None:
        """Vote on the next pairs, without sending it."""
        held = [f"{event['pair']}/{event['question']}" for event in self.waiting]
        for ask in self.post("asks", {"annotator": "Ada", "count": count, "holding": held})["asks"][:count]:
            given = {"pair": ask["pair"], "question": ask["question"], "side": ask["side"], "kind": "vote", "ms": 900}
            answer = self.random.choice(("left", "right", "tie", "both_bad"))
            event = given | {"answer": answer, "client_id": f"client-{len(self.cast)}"}
            self.cast[event["client_id"]] = event
            self.waiting.append(event)

    def send(self) -> float:
        """Send what waits and take the answer; returns the seconds it took."""
        begun = time.perf_counter()
        self.answered(self.post("votes", {"annotator": "Ada", "events": self.waiting}))
        return time.perf_counter() - begun

    def send_and_kill(self, server: Server, seconds: float) -> bool:
        """Send what waits, kill the server after so many seconds; returns whether the answer was here before."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = json.dumps({"annotator": "Ada", "events": self.waiting})
        connection.request("POST", "/api/votes", body, {"Content-Type": "application/json"})
        time.sleep(seconds)
        server.end(signal.SIGKILL)
        try:
            self.answered(json.loads(connection.getresponse().read()))
        except (http.client.HTTPException, OSError, ValueError):
            return False
        finally:
            connection.close()
        return True

    def answered(self, found: dict[str, Any]) -> None:
        """Forget what is confirmed."""
        for result in found["results"]:
            if result["status"] == "refused":
                sys.exit(f"refused: {result}")
            self.again += result["status"] == "seen"
        done = {result["client_id"] for result in found["results"]}
        self.waiting = [event for event in self.waiting if event["client_id"] not in done]

    def post(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """An answer as JSON; it waits until pairs are there to be asked."""
        for _ in range(200):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            connection.request("POST", f"/api/{path}", json.dumps(body), {"Content-Type": "application/json"})
            found = json.loads(connection.getresponse().read())
            connection.close()
            if path != "asks" or found["asks"]:
                return found
            time.sleep(0.05)
        sys.exit("no pairs came")


def main(words: list[str] | None = None) -> None:
    """Kill, start again, count, print; exit code 1 where a vote is lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as place:
        found = interrupted(Path(place), options.rounds, options.seed)
    print(
        f"{found['kills']} kills ({found['answered']} after the answer was here, {found['kept']} with the vote on disk "
        f"and no answer, {found['not_kept']} before): {found['cast']} votes cast, {found['stored']} stored, "
        f"{found['sent_again']} sent again and seen, {found['lost']} lost, {found['doubled']} doubled, "
        f"{found['other']} with another answer; the file is {found['integrity']}"
    )
    if options.json is not None:
        options.json.write_text(json.dumps(found))
    if found["lost"] or found["doubled"] or found["other"] or found["integrity"] != "ok":
        sys.exit(1)


def interrupted(place: Path, rounds: int, seed: int) -> dict[str, Any]:
    """Vote through so many kills, and count."""
    settings = _settings(place, seed)
    client, moments = Client(settings.port, seed), random.Random(seed + 1)
    server = Server(settings)
    times = []
    for _ in range(_CALM):
        client.ask(1)
        times.append(client.send())
    longest, counts = 1.5 * statistics.median(times), {"answered": 0, "kept": 0, "not_kept": 0}
    for number in range(rounds):
        client.ask(_TOGETHER if number % 3 == 2 else 1)
        waited = {event["client_id"] for event in client.waiting}
        answered = client.send_and_kill(server, moments.uniform(0, longest))
        with VoteStore.read(settings.out) as store:
            kept = waited & {vote.client_id for vote in store.log()}
        counts["answered" if answered else "kept" if kept else "not_kept"] += 1
        server = Server(settings)
        if client.waiting:
            client.send()
    server.end(signal.SIGTERM)
    return {"kills": rounds, "longest_ms": 1000 * longest, **counts, **_counted(settings.out, client)}


def _counted(path: Path, client: Client) -> dict[str, Any]:
    with VoteStore.read(path) as store:
        stored = [vote for vote in store.log() if vote.answer != "undo"]
    ids = [vote.client_id for vote in stored]
    said = {vote.client_id: (vote.pair, vote.answer) for vote in stored}
    right = {name: (event["pair"], _said(event)) for name, event in client.cast.items()}
    return {
        "cast": len(client.cast),
        "stored": len(stored),
        "sent_again": client.again,
        "lost": len(set(client.cast) - set(ids)),
        "doubled": len(ids) - len(set(ids)) + len(set(ids) - set(client.cast)),
        "other": sum(said[name] != right[name] for name in said if name in right),
        "integrity": _integrity(path),
    }


def _said(event: dict[str, Any]) -> str:
    other = "b" if event["side"] == "a" else "a"
    return str({"left": event["side"], "right": other}.get(event["answer"], event["answer"]))


def _integrity(path: Path) -> str:
    import sqlite3

    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


def _settings(place: Path, seed: int) -> AnnotateSettings:
    (place / "pictures").mkdir()
    drawn = np.random.default_rng(seed)
    for number in range(_PICTURES):
        pixels = drawn.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "pictures" / f"{number}.png")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    out = place / "votes.sqlite"
    return AnnotateSettings(str(place / "pictures"), out=out, port=port, controls=0.0, repeats=0.0)


if __name__ == "__main__":
    main()
