"""Nobody gets in without the token, on any route of any port; nothing that is secret is ever said."""

import asyncio
import pickle
import shutil
import signal
import ssl
import subprocess

import httpx
import pytest
import torch
from fastapi.routing import APIRoute
from safetensors.torch import save
from starlette.testclient import TestClient

from dina_lrm.serving.app import make_pickle_app
from dina_lrm.serving.settings import ServerSettings
from tests.serving.apps import asked
from tests.serving.servers import listening

TOKEN = "a-token-of-many-letters"
RIGHT = {"authorization": f"Bearer {TOKEN}"}
WRONG = (
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "Bearer a-token-of-many-letterz"},
    {"authorization": f"Bearer {TOKEN}x"},
    {"authorization": f"Basic {TOKEN}"},
    {"authorization": TOKEN},
    {"x-token": TOKEN},
    {"authorization": "Bearer \u00e9".encode("latin-1")},
)


@pytest.fixture(scope="module")
def client():
    with asked(ServerSettings(model=("sharp=sharpness",)), token=TOKEN, pickles=True) as client:
        yield client


def routes(app):
    """Every method and path of the table of routes, the documents' too, and some of none."""
    for route in app.routes:
        path = route.path.replace("{name}", "sharp")
        yield from ((method, path) for method in route.methods)
    yield from (("GET", "/no"), ("POST", "/"), ("DELETE", "/v1/score"), ("OPTIONS", "/v1/score"))


def test_every_route_asks_for_the_token(client):
    walked = [*routes(client.app)]
    own = [route.path for route in client.app.routes if isinstance(route, APIRoute)]
    assert len(own) >= 15 and {"/docs", "/openapi.json"} <= {path for _, path in walked}
    for method, path in walked:
        for wrong in WRONG:
            answer = client.request(method, path, headers=wrong)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), (method, path, wrong)
        assert client.request(method, path, headers=RIGHT).status_code != 401, (method, path)


def test_the_port_of_pickles_asks_for_it_too_and_answers_in_pickles_whatever_comes(client):
    app = make_pickle_app(client.app.state.desk, TOKEN)
    door = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    for method in ("GET", "POST", "PUT", "HEAD", "DELETE", "FOO"):
        for path in ("/", "/sharp", "/sharp/", "/no", "/a/b/", "/docs", "/v1/pickle/sharp", "/healthz", "/%00"):
            for headers, status in (({}, {401}), (RIGHT, {400, 404, 405})):
                answer = door.request(method, path, headers=headers)
                assert answer.status_code in status, (method, path)
                if method != "HEAD":
                    assert [*pickle.loads(answer.content)] == ["error"]


@pytest.fixture
def certificate(tmp_path):
    """Words for a certificate of this machine, and what a client trusts; nothing and plain HTTP without openssl."""
    if shutil.which("openssl") is None:
        return (), True
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run(made, check=True, capture_output=True)
    return ("--tls-cert", cert, "--tls-key", key), ssl.create_default_context(cafile=cert)


@pytest.mark.slow
def test_nothing_secret_is_said_and_a_signal_answers_what_waits(tmp_path, certificate, warm_programs):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    tls, trusted = certificate
    words = (*tls, "-v", "--token-file", str(tmp_path / "token"), "--max-wait-ms", "1500", "--pickle-port", "0")
    with listening(warm_programs / "dina-lrm", *words) as server:
        assert server.address.startswith("https://" if tls else "http://")
        with httpx.Client(base_url=server.address, timeout=60, verify=trusted) as client:
            for headers in (*WRONG, RIGHT):
                client.get("/info", headers=headers)
                client.post("/v1/score", content=b"secret-body", headers=headers)
                client.get(f"/no?token={TOKEN}", headers=headers)
            info = client.get("/info", headers=RIGHT).json()
            refused = client.post(server.pickles, content=b"")
            assert (refused.status_code, [*pickle.loads(refused.content)]) == (401, ["error"])
        blob = {
            "latents": torch.full((1, 16, 8, 8), 0.5),
            "prompt_embeds": torch.ones(1, 2, info["models"]["dina"]["prompt_width"]),
            "pooled_prompt_embeds": torch.ones(1, info["models"]["dina"]["pooled_width"]),
            "u": torch.tensor([0.4]),
        }

        async def ask():
            async with httpx.AsyncClient(base_url=server.address, timeout=60, headers=RIGHT, verify=trusted) as client:
                waiting = asyncio.ensure_future(client.post("/v1/score", content=save(blob)))
                await asyncio.sleep(0.5)
                server.process.send_signal(signal.SIGTERM)
                return await waiting

        assert asyncio.run(ask()).status_code == 200
        assert server.end() == 0
    said = "".join(server.said)
    assert "all that waited was answered" in said and "MiB of weights" in said
    assert TOKEN not in said and "secret-body" not in said and "letterz" not in said
