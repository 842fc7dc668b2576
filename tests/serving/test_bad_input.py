"""Every kind of bad input has its status and its code, and a sentence that says what was given and what is accepted."""

import base64
import io
import json

import pytest
import torch
from PIL import Image
from safetensors.torch import save

from dina_lrm.backbones.prompt_rows import prompt_blob, prompt_hash, rows_of
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.settings import ServerSettings
from tests.serving.apps import asked


def coded_picture():
    data = io.BytesIO()
    Image.linear_gradient("L").resize((32, 32)).convert("RGB").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


HASH = f"sha256:{'0' * 64}"
LIMITS = Limits(body_bytes=1 << 21, batch=4, levels=3, pixels=32 * 32, prompt_characters=200, header_bytes=2000)


@pytest.fixture(scope="module")
def client():
    settings = ServerSettings(model=("dina=synthetic", "sharp=sharpness"), limits=LIMITS)
    with asked(settings) as client:
        yield client


@pytest.fixture(scope="module")
def strict():
    with asked(ServerSettings(strict=True)) as client:
        yield client


@pytest.fixture(scope="module")
def told(client):
    return client.app.state.desk.engine.models["dina"].model.encode_prompts(["a red ring", "a blue bar"])


def first(told, **changes):
    given = {
        "latents": torch.full((2, 16, 8, 8), 0.5),
        "prompt_embeds": told.prompt_embeds,
        "pooled_prompt_embeds": told.pooled_prompt_embeds,
        "u": torch.tensor([0.2, 0.6]),
        "seeds": torch.tensor([0, 5]),
    }
    return {name: tensor.contiguous() for name, tensor in {**given, **changes}.items() if tensor is not None}


def post(client, tensors, **header):
    if header:
        content = save(tensors, {"drm": json.dumps(header)})
        return client.post("/v1/score", content=content, headers={"x-drm-protocol-version": "2"})
    return client.post("/v1/score", content=save(tensors))


ONE = {
    "missing": ({"u": None}, 400, "missing_tensor", "no tensor u"),
    "extra": ({"mask": torch.ones(2)}, 400, "unknown_tensor", "'mask'"),
    "level": ({"u": torch.tensor([0.2, 1.5])}, 400, "bad_tensor", r"u[1] is 1.5; accepted: [0, 1]"),
    "levels": ({"u": torch.tensor([-0.1, 0.5])}, 400, "bad_tensor", r"u[0] is -0.1"),
    "ensemble": ({"u": torch.full((2, 2), 0.5)}, 400, "bad_tensor", "u has shape (2, 2)"),
    "NaN": ({"latents": torch.full((2, 16, 8, 8), torch.nan)}, 400, "bad_tensor", "items [0, 1]"),
    "channels": (
        {"latents": torch.full((2, 4, 8, 8), 0.5)},
        422,
        "bad_latents",
        "shape (1, 4, 8, 8); accepted: (batch, 16",
    ),
    "size": ({"latents": torch.full((2, 16, 7, 8), 0.5)}, 422, "bad_latents", "multiple"),
    "scale": ({"latents": torch.full((2, 16, 8, 8), 90.0)}, 422, "bad_latents", "latents"),
    "width": ({"prompt_embeds": torch.ones(2, 4, 7)}, 422, "bad_width", "7 wide; accepted by dina: 192"),
    "pooled width": ({"pooled_prompt_embeds": torch.ones(2, 7)}, 422, "bad_width", "7 wide"),
    "rows": ({"prompt_embeds": torch.ones(3, 4, 192)}, 400, "bad_tensor", "accepted: (2, *, *)"),
    "dtype": ({"u": torch.tensor([0.2, 0.6]).double()}, 400, "bad_tensor", "F64; accepted: F32"),
    "batch": ({"latents": torch.ones(5, 16, 2, 2)}, 413, "too_large", "accepted: at most 4"),
}


@pytest.mark.parametrize("name", ONE)
def test_protocol_1_says_what_is_wrong(client, told, name):
    changes, status, code, text = ONE[name]
    answer = post(client, first(told, **changes))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], answer.json()["protocol_version"]) == (status, code, "1")
    assert text in error["message"]


TWO = {
    "model": ({}, {"model": "other", "texts": ["a"]}, 404, "unknown_model", "accepted: dina, sharp"),
    "key": ({}, {"modle": "dina", "texts": ["a"]}, 400, "bad_header", "modle"),
    "kind": ({}, {"score": ["zz"], "texts": ["a"]}, 400, "bad_header", "'raw' or 'z'"),
    "no prompts": ({}, {"model": "dina"}, 400, "bad_prompts", "nothing"),
    "two prompts": ({}, {"texts": ["a"], "prompts": [HASH]}, 400, "bad_prompts", "by prompts and texts"),
    "hash": ({}, {"prompts": [HASH]}, 409, "unknown_prompts", "PUT /v1/prompts/HASH"),
    "row": ({"prompt": torch.tensor([0, 3])}, {"texts": ["a"]}, 400, "bad_tensor", "row 3; accepted: 0 to 0"),
    "levels": ({"u": torch.full((2, 4), 0.5)}, {"texts": ["a"]}, 413, "too_large", "4 levels; accepted: at most 3"),
    "noisy": ({"u": torch.full((2, 2), 0.5)}, {"texts": ["a"], "state": "noisy"}, 422, "bad_levels", "its own one"),
    "group": (
        {"group": torch.tensor([0, 0]), "seeds": torch.tensor([1, 2])},
        {"texts": ["a"], "noise": "group"},
        400,
        "bad_tensor",
        "group 0 has seeds 1 and 2",
    ),
    "order": ({}, {"order": [[0, 0]], "model": "dina"}, 400, "bad_prompts", "nothing"),
    "latents of pictures": ({}, {"model": "sharp", "texts": ["a"]}, 422, "no_latents", "reads pictures"),
}


@pytest.mark.parametrize("name", TWO)
def test_protocol_2_says_what_is_wrong(client, name):
    changes, header, status, code, text = TWO[name]
    answer = post(client, {"latents": torch.full((2, 16, 8, 8), 0.5), **changes}, **header)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert text in error["message"]
    assert error.get("hashes") == ([HASH] if name == "hash" else None)


PICTURE = coded_picture()
OTHER = {
    "z without numbers": ("/v1/score/images", {"model": "sharp", "score": ["z"]}, 422, "no_statistics"),
    "level": ("/v1/score/images", {"levels": [1.5]}, 400, "bad_levels"),
    "level of none": ("/v1/score/images", {"model": "sharp", "levels": [0.5]}, 422, "bad_levels"),
    "model": ("/v1/score/images", {"model": "other"}, 404, "unknown_model"),
    "address": ("/v1/score/images", {"images": [{"url": "http://127.0.0.1/a"}]}, 400, "reference_refused"),
    "path": ("/v1/score/images", {"images": [{"path": "/etc/passwd"}]}, 400, "reference_refused"),
    "data": ("/v1/score/images", {"images": [{"b64": "data:text/plain;base64,AAAA"}]}, 400, "reference_refused"),
    "no picture": ("/v1/score/images", {"images": [{"b64": "AAAA"}]}, 400, "bad_image"),
    "prompt": ("/v1/score/images", {"prompts": [" "]}, 400, "bad_prompt"),
    "long prompt": ("/v1/score/images", {"prompts": ["a" * 201]}, 413, "too_large"),
    "none": ("/v1/score/images", {"images": []}, 400, "bad_request"),
    "one of a pair": ("/v1/compare", {}, 400, "bad_request"),
    "a margin of none": ("/v1/compare", {"model": "sharp", "images_b": [{"b64": PICTURE}]}, 422, "no_probability"),
}


@pytest.mark.parametrize("name", OTHER)
def test_pictures_say_what_is_wrong(client, name):
    path, changes, status, code = OTHER[name]
    answer = client.post(path, json={"prompts": ["a ring"], "images": [{"b64": PICTURE}], **changes})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "accepted" in answer.json()["error"]["message"] or status == 422


def test_another_prompt_length_is_warned_of_item_by_item_and_refused_where_strict(client, strict, told):
    short = first(told, prompt_embeds=told.prompt_embeds[:, :5])
    answer = post(client, short)
    assert answer.status_code == 200
    warned = [each for each in answer.json()["warnings"] if each["code"] == "prompt_length"]
    assert [each["item"] for each in warned] == [0, 1]
    assert warned[0]["message"] == "5 text tokens; dina was trained with 16"
    refused = post(strict, short)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "prompt_length")
    assert post(strict, first(told)).status_code == 200


def test_a_prompt_that_was_cut_is_warned_of_at_each_of_its_items(client):
    long = " ".join(["red"] * 40)
    latents = {"latents": torch.full((3, 16, 8, 8), 0.5), "prompt": torch.tensor([1, 0, 1])}
    answer = post(client, latents, model=["dina", "sharp"], texts=["a red ring", long]).json()
    cut = [(each["item"], each["model"]) for each in answer["warnings"] if each["code"] == "prompt_truncated"]
    assert cut == [(0, "dina"), (2, "dina")]
    assert answer["results"]["sharp"]["error"]["code"] == "no_latents"
    again = post(client, latents, prompts=answer["prompts"]).json()
    assert [each["item"] for each in again["warnings"] if each["code"] == "prompt_truncated"] == [0, 2]
    pictures = client.post("/v1/score/images", json={"prompts": ["a ring", long], "images": [{"b64": PICTURE}] * 2})
    assert [each["item"] for each in pictures.json()["warnings"]] == [1]


def test_hashes_are_of_what_was_sent(client, told):
    row = rows_of(told)[0]
    wrong = client.put(f"/v1/prompts/{HASH}", content=save(prompt_blob(row)))
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "hash_mismatch")
    assert prompt_hash(row) in wrong.json()["error"]["message"]
    assert client.put("/v1/prompts/no", content=b"").json()["error"]["code"] == "bad_hash"
    assert client.head(f"/v1/prompts/{HASH}").status_code == 404


def test_one_bad_item_costs_its_mates_nothing_and_says_which_it_is(client, told):
    x = torch.full((2, 16, 8, 8), 0.5)
    x[1] *= 200
    refused = post(client, first(told, latents=x))
    assert refused.json()["error"]["message"].startswith("item 1: ")
    found = post(client, {"latents": x, "u": torch.tensor([0.2, 0.6])}, texts=["a red ring"]).json()["results"]["dina"]
    assert found["scores"]["raw"][1] is None and isinstance(found["scores"]["raw"][0], float)
    assert [*found["errors"]] == ["1"]


def test_without_text_encoders_what_needs_one_says_so(told):
    with asked(ServerSettings(text_encoders=False)) as client:
        assert client.get("/info").json()["models"]["dina"]["text_encoders"] is False
        assert post(client, first(told)).status_code == 200
        picture = {"prompts": ["a"], "images": [{"b64": PICTURE}]}
        answers = [
            post(client, {"latents": torch.full((1, 16, 8, 8), 0.5)}, texts=["a"]),
            client.post("/v1/score/images", json=picture),
            client.post("/v1/compare", json={**picture, "images_b": picture["images"]}),
        ]
        rewards = client.post("/compute", json={"prompt": ["a"], "image": [PICTURE]})
        assert rewards.status_code == 200 and rewards.json()["error"].startswith("no_text_encoders: ")
        for answer in answers:
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "no_text_encoders")
            assert "--no-text-encoders" in answer.json()["error"]["message"]
        compute = client.post("/compute", json={"prompt": ["a"], "image": [PICTURE]}).json()
        assert "--no-text-encoders" in compute["error"] and "rewards" not in compute
        entry = {"history": [{"text": "a", "image_b64": PICTURE}], "required_rewards": ["dina"]}
        unirl = client.post("/score", json={"requests": [entry]})
        assert unirl.status_code == 200 and "--no-text-encoders" in unirl.json()["errors"][0]["dina"]
