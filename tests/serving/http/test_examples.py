"""Every example in the documents of the routes is answered 200 as it stands."""

import base64

import pytest

from dina_lrm.serving.http.examples import VERSION_HEADER
from dina_lrm.serving.settings import ServerSettings
from tests.serving.apps import asked


def examples(paths):
    """Method, path, headers, body of each example."""
    for path, methods in paths.items():
        for method, told in methods.items():
            named = {each["name"]: each["example"] for each in told.get("parameters", []) if "example" in each}
            contents = told.get("requestBody", {}).get("content", {})
            for kind, content in contents.items():
                for name, example in content.get("examples", {}).items():
                    protocol = {VERSION_HEADER: name[-1]} if name.startswith("protocol") else {}
                    yield method, path.format(**named), {"content-type": kind, **protocol}, example["value"]
            if not contents and all(each["name"] in named for each in told.get("parameters", [])):
                yield method, path.format(**named), {}, None


@pytest.mark.parametrize(
    ("settings", "bodies"),
    [
        (ServerSettings(pickles=True), 8),
        (ServerSettings(text_encoders=False), 3),
        (ServerSettings(model=("sharp=sharpness",)), 3),
    ],
    ids=["all", "no-text-encoders", "pictures"],
)
def test_examples_run(settings, bodies):
    with asked(settings, pickles=settings.pickles) as client:
        document = client.get("/openapi.json").json()
        found = [*examples(document["paths"])]
        assert len([1 for *_, body in found if body is not None]) == bodies
        for method, path, headers, body in found:
            if headers.get("content-type") == "application/json":
                answer = client.request(method, path, json=body)
            else:
                answer = client.request(method, path, content=base64.b64decode(body or ""), headers=headers)
            assert answer.status_code in (200, 201), (method, path, answer.text)
        assert client.get("/openapi.json").json() == document


def test_the_document_holds_together_and_the_page_asks_nobody_else():
    def refs(value):
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            for part in value.values():
                yield from refs(part)
        elif isinstance(value, list):
            for part in value:
                yield from refs(part)

    with asked(ServerSettings(model=("sharp=sharpness",)), pickles=True) as client:
        document = client.get("/openapi.json").json()
        schemas = document["components"]["schemas"]
        assert {"Error", "Picture", "Turn", "Entry"} <= schemas.keys()
        assert {ref.removeprefix("#/components/schemas/") for ref in refs(document)} <= schemas.keys()
        assert all("default" in told["responses"] for paths in document["paths"].values() for told in paths.values())
        answer = client.get("/docs")
    assert "script" not in answer.text and "src=" not in answer.text and "//cdn" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert all(path in answer.text for path in document["paths"])
    assert answer.text.count("curl -s") >= 10
