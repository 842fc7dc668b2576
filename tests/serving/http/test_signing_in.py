"""A page is shown to this machine, or to whoever types the token; a strange page gets nothing either way."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from dina_lrm.serving.http.signing_in import SIGN_IN, SignedIn
from dina_lrm.studio.settings import StudioSettings
from dina_lrm.typed import DinaError

TOKEN = "a-token-of-many-letters"


def client(token=None, base="http://127.0.0.1"):
    async def page(scope, receive, send):
        await PlainTextResponse("the page")(scope, receive, send)

    return TestClient(SignedIn(page, token), base_url=base, follow_redirects=False)


def test_without_a_token_this_machine_is_answered_and_nothing_is_fetched_elsewhere():
    found = client().get("/")
    assert (found.status_code, found.text) == (200, "the page")
    policy = found.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'self'" in policy and "http" not in policy


@pytest.mark.parametrize(
    "headers", [{"host": "evil.example"}, {"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}]
)
def test_a_strange_page_is_refused(headers):
    found = client().get("/", headers=headers)
    assert found.status_code == 403 and "the page" not in found.text


def test_the_token_is_typed_once():
    asked = client(TOKEN, "http://studio.example")
    first = asked.get("/")
    assert first.status_code == 401 and 'name="token"' in first.text and "the page" not in first.text
    wrong = asked.post(SIGN_IN, data={"token": TOKEN[:-1]})
    assert wrong.status_code == 401 and "not the token" in wrong.text and not wrong.cookies
    right = asked.post(SIGN_IN, data={"token": TOKEN})
    cookie = right.headers["set-cookie"].lower()
    assert right.status_code == 303 and "httponly" in cookie and "samesite=strict" in cookie and TOKEN not in cookie
    assert asked.get("/").text == "the page", "the cookie stands for it"
    assert asked.post("/", headers={"origin": "http://evil.example"}).status_code == 403
    assert client(TOKEN).get("/", headers={"cookie": cookie.split(";")[0]}).status_code == 401, "another server's"
    assert client(TOKEN).get("/", headers={"authorization": f"Bearer {TOKEN}"}).text == "the page"
    assert client(TOKEN).get("/", headers={"cookie": "=;;=,[x"}).status_code == 401
    assert client(TOKEN).post(SIGN_IN, content=b"token=" + b"x" * 5000).status_code == 413


def test_settings_that_could_not_run_are_refused(tmp_path):
    short = tmp_path / "token"
    short.write_text("short")
    for given, told in (
        ({"port": 70000}, "--port 70000"),
        ({"host": "0.0.0.0"}, "without a token"),
        ({"token_file": short}, "at least 16"),
        ({"judges": ("cnn", "cnn")}, "names one twice"),
    ):
        with pytest.raises(DinaError, match=told):
            StudioSettings(**given).check()
    short.write_text(TOKEN)
    StudioSettings(host="0.0.0.0", token_file=short).check()
