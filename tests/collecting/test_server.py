"""The server answers its own page and nobody else, names pictures by numbers alone, and ends when it is asked to."""

import http.client
import json
import os
import signal
import socket
import subprocess
import threading

import pytest
from PIL import Image

from dina_lrm.collecting.job import collect_votes
from dina_lrm.collecting.server import VoteServer, served
from dina_lrm.collecting.session import VoteSession
from dina_lrm.collecting.settings import VoteSettings
from dina_lrm.data.sources import read_comparisons
from dina_lrm.runs.lock import BusyError
from tests.reports.browser import SCHEMES, WIDTHS, chromium
from tests.reports.test_browser import FAULTS

PROMPT = 'a <b>"red"</b> ring </script>'


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "f").mkdir()
    for number, colour in enumerate(("red", "green", "blue", "black")):
        Image.new("RGB", (300, 200), colour).save(tmp_path / "f" / f"{number}.png")
    (tmp_path / "secret.txt").write_text("secret")
    return VoteSettings(tmp_path / "f", tmp_path / "votes.jsonl", PROMPT)


@pytest.fixture
def server(settings):
    with served(VoteSession(settings)) as found:
        yield found


def place(server):
    return server.url.removeprefix("http://").rstrip("/")


def ask(server, method, path, body=None, **headers):
    """Status, headers and body; a header of None is left out."""
    connection = http.client.HTTPConnection(place(server), timeout=10)
    given = {"Host": place(server), **{name.replace("_", "-"): value for name, value in headers.items()}}
    if method == "POST":
        given = {"X-Vote-Token": server.token, "Content-Type": "application/json"} | given
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    connection.request(method, path, content, {name: value for name, value in given.items() if value is not None})
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


def test_a_vote_is_in_the_file_when_it_is_answered(server, settings):
    status, headers, body = ask(server, "GET", "/state")
    pair = json.loads(body)["pair"]
    assert status == 200 and headers["Cache-Control"] == "no-store" and pair["prompt"] == PROMPT
    status, _, body = ask(server, "POST", "/vote", {"number": 1, "choice": "right"}, Origin=server.url.rstrip("/"))
    assert status == 200 and json.loads(body)["votes"] == 1
    found = list(read_comparisons(settings.out))
    assert [(one.prompt, one.preference) for one in found] == [(PROMPT, 0.0)]
    assert ask(server, "POST", "/vote", {"number": 1, "choice": "right"})[0] == 409, "a second click is no second vote"
    assert json.loads(ask(server, "POST", "/back", {})[2])["votes"] == 0 and settings.out.read_text() == ""


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/", None, {"Host": "evil.example"}, 403),
        ("GET", "/state", None, {"Host": "evil.example:80"}, 403),
        ("GET", "/picture/0", None, {"Origin": "http://evil.example"}, 403),
        ("GET", "/picture/0", None, {"Sec_Fetch_Site": "cross-site"}, 403),
        ("GET", "/picture/../../secret.txt", None, {}, 404),
        ("GET", "/picture/%2e%2e%2fsecret.txt", None, {}, 404),
        ("GET", "/picture/4", None, {}, 404),
        ("GET", "/picture/-1", None, {}, 404),
        ("GET", "/picture/%D9%A1", None, {}, 404),
        ("GET", "/f/0.png", None, {}, 404),
        ("POST", "/vote", {"number": 1, "choice": "left"}, {"Origin": "http://evil.example"}, 403),
        ("POST", "/vote", {"number": 1, "choice": "left"}, {"Origin": "null"}, 403),
        ("POST", "/vote", {"number": 1, "choice": "left"}, {"X_Vote_Token": "another"}, 403),
        ("POST", "/vote", {"number": 1, "choice": "left"}, {"X_Vote_Token": None}, 403),
        ("POST", "/vote", {"number": 1, "choice": "left"}, {"Content_Type": "text/plain"}, 415),
        ("POST", "/vote", {"number": 1, "choice": "up"}, {}, 400),
        ("POST", "/vote", {"number": True, "choice": "left"}, {}, 400),
        ("POST", "/vote", {"choice": "left"}, {}, 400),
        ("POST", "/vote", b"[]", {}, 400),
        ("POST", "/vote", b"{", {}, 400),
        ("POST", "/vote", b"x" * 5000, {}, 413),
        ("POST", "/other", {}, {}, 404),
        ("PUT", "/vote", {}, {}, 501),
    ],
)
def test_nobody_else_is_answered(server, settings, method, path, body, headers, status):
    found, _, text = ask(server, method, path, body, **headers)
    assert found == status and b"secret" not in text
    assert not settings.out.exists()
    assert ask(server, "GET", "/state")[0] == 200, "it goes on"


def test_the_page_runs_nothing_but_its_own_script(server):
    _, headers, body = ask(server, "GET", "/")
    policy = headers["Content-Security-Policy"]
    nonce = policy.split("'nonce-")[1].split("'")[0]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert body.decode().count(f'nonce="{nonce}"') == 2 and headers["X-Frame-Options"] == "DENY"
    assert ask(server, "GET", "/")[1]["Content-Security-Policy"] != policy


def test_only_this_machine_reaches_it_and_a_port_is_taken_once(server, settings):
    assert server.url.startswith("http://127.0.0.1:")
    port = int(place(server).rpartition(":")[2])
    with (
        pytest.raises(ValueError, match=f"--port {port}: .*accepted: another port"),
        served(VoteSession(settings), port),
    ):
        pass
    with socket.create_connection(("127.0.0.1", port)) as broken:
        broken.sendall(b"\x00\xff garbage\r\n\r\n")
    assert ask(server, "GET", "/state")[0] == 200


def test_it_ends_when_the_page_says_so_and_one_collects_at_a_time(settings):
    ends = []

    def said(line):
        with pytest.raises(BusyError):
            collect_votes(settings, said)
        found = VoteServer(line.split()[2], "")
        page = ask(found, "GET", "/")[2].decode()
        found = VoteServer(found.url, json.loads(page.split('id="data">')[1].split("</script>")[0]))
        ask(found, "POST", "/vote", {"number": 1, "choice": "tie"})
        ends.append(threading.Thread(target=ask, args=(found, "POST", "/end", {})))
        ends[0].start()

    session = collect_votes(settings, said)
    ends[0].join()
    assert session.to_dict() | {"out": None, "train": None} == {
        "out": None, "pictures": 4, "votes": 1, "new": 1, "unreadable": 0, "train": None,
    }  # fmt: skip


def test_the_command_says_where_and_how_to_go_on(settings, tmp_path, warm_programs):
    words = [str(warm_programs / "dina-lrm"), "vote", "f", "--out", "votes.jsonl", "--json", "r.json"]
    running = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [running.stdout.readline() for _ in range(2)]
    assert "compared as “a picture”" in lines[0] and "vote at http://127.0.0.1:" in lines[1]
    os.kill(running.pid, signal.SIGINT)
    out, error = running.communicate(timeout=60)
    assert (running.returncode, out, error) == (0, "no votes yet; the same command begins again\n", "")
    assert json.loads((tmp_path / "r.json").read_text())["votes"] == 0


def until(page, holds):
    """Wait for an expression; the page's own rules forbid the waiting of Playwright, which is a script of another."""
    for _ in range(300):
        if page.evaluate(f"() => {holds}"):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{holds} never held")


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_keys_and_clicks_vote_and_nothing_is_broken_or_too_wide(browser, server, settings, width, scheme):
    context = browser.new_context(viewport={"width": WIDTHS[width], "height": 900}, color_scheme=scheme)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(server.url)
    until(page, "document.images[1].naturalWidth > 0 && !busy")
    assert page.evaluate(FAULTS) == [] and page.locator("#prompt").text_content() == PROMPT
    boxes = [page.locator(f"#{side}-image").bounding_box() for side in ("left", "right")]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["y"] + boxes[0]["height"] < 900
    for number, act in enumerate((lambda: page.keyboard.press("ArrowLeft"), lambda: page.locator("#right").click())):
        act()
        page.locator(f"text={number + 1} vote").first.wait_for()
        until(page, "!busy")
    page.keyboard.press("ArrowUp")
    page.locator("text=1 vote of").wait_for()
    until(page, "!busy")
    page.keyboard.press("ArrowDown")
    page.locator("text=2 votes of").wait_for()
    until(page, "!busy")
    page.locator("#end").click()
    page.locator("#done").wait_for()
    context.close()
    assert not said and server.ended.is_set()
    assert [one.preference for one in read_comparisons(settings.out)] == [1.0, 0.5]


def test_a_page_of_a_session_that_ended_says_so(browser, settings):
    with served(VoteSession(settings)) as found:
        page = browser.new_page()
        page.goto(found.url)
        page.locator("#left").wait_for()
    page.keyboard.press("ArrowLeft")
    page.locator("text=has ended").wait_for()
    page.close()
    assert not settings.out.exists()
