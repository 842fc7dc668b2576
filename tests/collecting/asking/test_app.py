"""The server answers its own page alone, keeps every vote once, and names pictures by their content."""

import json
import os
import signal
import sqlite3
import subprocess

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from dina_lrm.collecting.asking.app import make_app
from dina_lrm.collecting.asking.job import open_collection, served
from dina_lrm.collecting.asking.visitor import Visitor
from dina_lrm.data.sources import read_comparisons
from dina_lrm.data.votes import VoteStore
from dina_lrm.runs.lock import BusyError
from dina_lrm.serving.http.signing_in import SignedIn
from dina_lrm.typed import DinaError
from tests.collecting.asking.pages import PROMPT, asked, settings_of
from tests.data.votes.drawn import png

TOKEN = "a-token-of-many-letters"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with asked(tmp_path_factory.mktemp("served")) as found:
        yield found


def test_a_vote_is_in_the_store_when_it_is_answered_and_once(server):
    (ask,) = server.asks("Ada")
    assert ask["prompt"] == PROMPT and ask["text"] == "Which picture is better?" and ask["left"] != ask["right"]
    event = server.event(ask, "right")
    assert server.vote(event)["status"] == "recorded" and server.vote(event)["status"] == "seen"
    with VoteStore.read(server.collection.store.path) as store:
        (vote,) = [one for one in store.votes() if one.client_id == event["client_id"]]
        pair = store.pair(vote.pair)
    right = {"a": pair.image_a, "b": pair.image_b}[vote.answer]
    assert right == ask["right"] and vote.left == ask["side"] and (vote.ms, vote.screen) == (900, "1280x900")
    assert server.vote(event | {"answer": "left"})["status"] == "refused", "one id is one vote"


def test_the_last_vote_is_taken_back_once_and_asked_again(server):
    (ask,) = server.asks("Ben")
    first, second = server.event(ask), server.event(ask)
    server.vote(first, "Ben")
    last = server.post("last", annotator="Ben")["last"]
    assert last["client_id"] == first["client_id"] and last["ask"] == ask
    undo = {"client_id": "undo-1", "kind": "undo", "of": first["client_id"]}
    assert [server.vote(undo, "Ben")["status"] for _ in range(2)] == ["recorded", "seen"]
    assert server.post("last", annotator="Ben")["last"] is None and server.asks("Ben") == [ask]
    assert server.vote(undo | {"client_id": "undo-2"}, "Ben")["status"] == "refused"
    assert server.vote(second, "Ben")["status"] == "recorded"


def test_it_is_a_part_of_another_application_that_says_who_may_ask(tmp_path):
    with open_collection(settings_of(tmp_path)) as collection:
        outer = FastAPI()
        outer.mount("/voting", make_app(collection, inside=True))
        client = TestClient(SignedIn(outer, TOKEN), base_url="http://studio.example")
        assert client.get("/voting/").status_code == client.post("/voting/api/asks", json={}).status_code == 401
        client.headers["authorization"] = f"Bearer {TOKEN}"
        page = client.get("/voting/")
        assert page.headers["x-frame-options"] == "SAMEORIGIN" and 'src="annotate.js"' in page.text
        assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
        assert client.get("/voting/annotate.js").status_code == 200
        asks = []
        while not asks:
            asks = client.post("/voting/api/asks", json={"annotator": "Ada"}).json()["asks"]
        event = {"client_id": "one", "kind": "vote", "pair": asks[0]["pair"], "question": "overall"}
        event |= {
            "answer": "left",
            "side": asks[0]["side"],
            "ms": 900,
            "screen": "390x844",
            "at": "2026-11-30T10:00:00.000Z",
        }
        told = client.post("/voting/api/votes", json={"annotator": "Ada", "events": [event]}).json()
        assert [one["status"] for one in told["results"]] == ["recorded"], told
        assert client.get(f"/voting/api/pictures/{asks[0]['left']}").status_code == 200


def test_skips_have_reasons_and_others_do_not_see_whose_votes_there_are(server):
    asks = server.asks("Cleo", count=2)
    server.vote(server.event(asks[0], "skip", reason="cannot tell"), "Cleo")
    progress = server.post("votes", annotator="Cleo", events=[server.event(asks[1], "both_bad")])["progress"]
    assert progress["mine"] == 2 and progress["all"] >= 2
    answers = {one.answer: one.reason for one in server.collection.store.votes()}
    assert answers["skip"] == "cannot tell" and "both_bad" in answers
    assert "Cleo" not in server.collection.store.path.read_bytes().decode("latin-1")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/", None, {"Host": "evil.example"}, 403),
        ("GET", "/api/collection", None, {"Origin": "http://evil.example"}, 403),
        ("GET", "/api/pictures/0", None, {"Sec_Fetch_Site": "cross-site"}, 403),
        ("GET", "/api/pictures/0", None, {}, 404),
        ("GET", "/api/pictures/%2e%2e%2fsecret.txt", None, {}, 404),
        ("GET", "/f/0.png", None, {}, 404),
        ("GET", "/api/votes", None, {}, 405),
        ("POST", "/api/votes", {"annotator": "Ada", "events": []}, {"Origin": "null"}, 403),
        ("POST", "/api/votes", {"annotator": "Ada", "events": []}, {"Content_Type": "text/plain"}, 415),
        ("POST", "/api/votes", {"annotator": "Ada", "events": [{}] * 65}, {}, 422),
        ("POST", "/api/votes", {"annotator": " ", "events": []}, {}, 422),
        ("POST", "/api/votes", {"events": []}, {}, 422),
        ("POST", "/api/asks", {"annotator": "Ada", "count": True}, {}, 422),
        ("POST", "/api/asks", {"annotator": "Ada", "holding": [1]}, {}, 422),
        ("POST", "/api/votes", b"[]", {}, 400),
        ("POST", "/api/votes", b"{", {}, 400),
        ("POST", "/api/votes", b"x" * 300_000, {}, 413),
    ],
)
def test_nobody_else_and_nothing_else_is_answered(server, method, path, body, headers, status):
    found, _, text = server(method, path, body, **headers)
    assert found == status and json.loads(text)["error"]["message"]
    assert server("GET", "/api/collection")[0] == 200, "it goes on"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"answer": "up"}, "answer 'up'; accepted: left, right, tie, both_bad, skip"),
        ({"side": "c"}, "side 'c'; accepted: a, b"),
        ({"pair": "none"}, "pair 'none'; accepted"),
        ({"question": "none"}, "question 'none'; accepted: overall"),
        ({"ms": True}, "ms True"),
        ({"ms": -1}, "ms"),
        ({"kind": "shout"}, "kind 'shout'; accepted: vote, undo"),
        ({"client_id": ""}, "client_id ''; accepted: text"),
        ({"client_id": "c" * 201}, "client_id"),
    ],
)
def test_a_vote_that_cannot_be_is_refused_and_stops_no_other(server, change, told):
    (ask,) = server.asks("Dora")
    bad, good = server.event(ask) | change, server.event(ask)
    found = server.post("votes", annotator="Dora", events=[bad, "nothing", good])["results"]
    assert [one["status"] for one in found] == ["refused", "refused", "recorded"] and told in found[0]["error"]
    undo = {"client_id": f"back-{good['client_id']}", "kind": "undo", "of": good["client_id"]}
    assert server.vote(undo, "Dora")["status"] == "recorded"


def test_the_page_runs_its_own_scripts_alone_and_pictures_stay_as_they_are(server):
    status, headers, body = server("GET", "/")
    assert status == 200 and "script-src 'self'" in headers["content-security-policy"] and b"annotate.js" in body
    for part, kind in (("annotate.js", "text/javascript"), ("annotate.css", "text/css")):
        status, headers, _ = server("GET", f"/{part}")
        assert status == 200 and headers["content-type"].startswith(kind) and headers["x-frame-options"] == "DENY"
    (ask,) = server.asks("Emil")
    status, headers, body = server("GET", f"/api/pictures/{ask['left']}")
    assert status == 200 and headers["content-type"] == "image/png" and "immutable" in headers["cache-control"]


def test_with_a_token_the_empty_page_is_free_and_nothing_else(tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    with asked(tmp_path, token_file=tmp_path / "token") as server:
        assert server.address.endswith(f"/#{TOKEN}") and server("GET", "/api/collection")[0] == 200
        for path, status in (("/", 200), ("/annotate.js", 200), ("/api/collection", 401), ("/api/pictures/0", 401)):
            assert server("GET", path, Authorization=None)[0] == status
        assert server("POST", "/api/votes", {}, Authorization="Bearer another-token-of-letters")[0] == 401
    with pytest.raises(ValueError, match=r"--host 0\.0\.0\.0 without a token"):
        settings_of(tmp_path, host="0.0.0.0").check()


def test_it_goes_on_where_it_stopped_and_one_collects_at_a_time(tmp_path):
    with asked(tmp_path, count=3) as server:
        for _ in range(2):
            server.vote(server.event(server.asks()[0]))
        with pytest.raises(BusyError), served(settings_of(tmp_path)):
            pass
    with asked(tmp_path) as server:
        assert server.collection.resumed == 2
        (ask,) = server.asks()
        server.vote(server.event(ask))
        assert server.asks() == [] and len(server.collection.store.votes()) == 3


def test_questions_can_be_added_and_those_with_votes_stay(tmp_path):
    with asked(tmp_path, count=2, questions=("overall", "light=Which has the warmer light?")) as server:
        found = server.asks(count=2)
        assert [ask["text"] for ask in found] == ["Which picture is better?", "Which has the warmer light?"]
        server.vote(server.event(found[1]))
    with pytest.raises(ValueError, match="light have votes"), served(settings_of(tmp_path, questions=("quality",))):
        pass
    with asked(tmp_path) as server:
        assert [one.id for one in server.collection.questions] == ["overall", "light"]


def test_what_cannot_be_shown_is_not_asked_and_said(tmp_path):
    settings = settings_of(tmp_path, 4)
    whole = (tmp_path / "f" / "1.png").read_bytes()
    (tmp_path / "f" / "1.png").write_bytes(whole[: len(whole) // 2])  # its head is a picture's
    (tmp_path / "f" / "2.png").write_bytes(b"no picture")
    (tmp_path / "f" / "3 again.png").write_bytes(png(3))
    with served(settings) as (_, collection):
        annotator = collection.join("Ada")
        while collection.progress(annotator).more == "waiting":
            pass
        shown = {ask.pair.id: ask for ask in collection.next(annotator, 16, ())}
        told = " ".join(collection.notes())
    assert len(shown) == 1, "3.png, and again by another name, with 0.png"
    assert ("1 pictures cannot be shown" in told and "hold the same picture" in told) or "cannot be asked about" in told


def test_a_store_of_something_else_is_refused_and_stays(tmp_path):
    settings = settings_of(tmp_path)
    with sqlite3.connect(settings.out) as other:
        other.execute("CREATE TABLE mine (number)")
    other.close()
    before = settings.out.read_bytes()
    with pytest.raises(ValueError, match="a database of something else"), served(settings):
        pass
    assert settings.out.read_bytes() == before


def test_controls_are_made_with_known_answers_and_repeats_of_old_votes(tmp_path):
    with asked(tmp_path, count=10, controls=0.3, repeats=0.3) as server:
        kinds = []
        for _ in range(40):
            (ask,) = server.asks()
            kinds.append(server.collection.store.pair(ask["pair"]).kind)
            server.vote(server.event(ask))
        pairs = server.collection.store.pairs()
    assert kinds.count("control") >= 5 and kinds.count("repeat") >= 1
    controls = [pair for pair in pairs if pair.kind == "control"]
    assert all(pair.truth in ("a", "b") and pair.source.startswith("control: ") for pair in controls)


def test_the_command_says_where_and_how_to_go_on(tmp_path, warm_programs):
    settings_of(tmp_path)
    words = [str(warm_programs / "dina-lrm"), "annotate", "f", "--port", "0", "--json", "r.json"]
    running = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [running.stdout.readline() for _ in range(2)]
    assert lines[0], running.communicate(timeout=60)
    assert "compared as “a picture”" in lines[0] and "vote at http://127.0.0.1:" in lines[1]
    os.kill(running.pid, signal.SIGTERM)
    out, error = running.communicate(timeout=120)
    assert (running.returncode, error) == (0, "") and out.endswith("no votes yet; the same command begins again\n")
    assert json.loads((tmp_path / "r.json").read_text())["votes"] == 0


def test_what_was_voted_is_trained_on(tmp_path):
    with asked(tmp_path, count=4) as server:
        for ask in server.asks(count=3):
            server.vote(server.event(ask))
    found = list(read_comparisons(tmp_path / "votes.sqlite"))
    assert len(found) >= 3 and {one.prompt for one in found} == {PROMPT}


def test_a_program_votes_as_the_page_does(tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    with asked(tmp_path, count=4, token_file=tmp_path / "token") as server:
        visitor = Visitor(server.address, "a judge")
        first, *others = visitor.asks(3)
        assert len({first.pair, *(ask.pair for ask in others)}) == 3 and first.prompt == PROMPT
        assert first in list(visitor.asks(9)), "one that was passed over is asked another time"
        for ask in (first, *others):
            visitor.vote(ask, "both_bad" if ask is first else "left", ms=900)
        (bad, *votes) = server.collection.store.votes()
        assert bad.answer == "both_bad" and [vote.answer for vote in votes] == [ask.side for ask in others]
        assert server.collection.store.pair(first.pair).image_a in (first.left, first.right)
        with pytest.raises(DinaError, match="answer 'up'; accepted: left, right"):
            visitor.vote(first, "up")
        assert len(list(visitor.asks(9))) == 3, "of six pairs three are left"
        with pytest.raises(DinaError, match="token"):
            next(Visitor(server.address.partition("#")[0], "a judge").asks(1))
