"""A real server answers every format with the scores that the model gives beside it."""

import asyncio
import base64
import gzip
import io
import json
import pickle

import httpx
import numpy as np
import pytest
import torch
import zstandard
from PIL import Image
from safetensors.torch import save

from dina_lrm import LatentRewardModel
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import prompt_blob, prompt_hash, rows_of
from dina_lrm.rewards.remote import RemoteReward
from tests.serving.servers import running

PROMPTS = ["a large red ring on white", "a small blue bar on black"]
TOKEN = "a-token-of-many-letters"


@pytest.fixture(scope="module")
def model():
    return LatentRewardModel.from_pretrained("synthetic")


@pytest.fixture(scope="module")
def address(warm_programs):
    words = ("--model", "dina=synthetic", "sharp=sharpness", "--pickles")
    with running(warm_programs / "dina-lrm", *words) as (address, _):
        yield address


@pytest.fixture
def client(address):
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def told(model):
    return model.encode_prompts(PROMPTS)


def latents(count=2, side=8):
    return torch.randn(count, 16, side, side, generator=torch.Generator().manual_seed(count)) * 0.8


def blob(told, **changes):
    given = {
        "latents": latents(),
        "prompt_embeds": told.prompt_embeds,
        "pooled_prompt_embeds": told.pooled_prompt_embeds,
        "u": torch.tensor([0.2, 0.6]),
        "seeds": torch.tensor([0, 5]),
    }
    return {name: tensor for name, tensor in {**given, **changes}.items() if tensor is not None}


def second(client, tensors, **header):
    content = save(tensors, {"drm": json.dumps(header)})
    return client.post("/v1/score", content=content, headers={"x-drm-protocol-version": "2"})


def close(found, wanted):
    torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(wanted), rtol=1e-4, atol=1e-4)


def pictures(kind="PNG"):
    found = []
    for image in (
        Image.linear_gradient("L").resize((32, 32)).convert("RGB"),
        Image.new("RGB", (32, 32), (200, 20, 20)),
    ):
        data = io.BytesIO()
        image.save(data, kind)
        found.append(data.getvalue())
    return found


def coded(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_protocol_1_reads_each_item_at_its_own_level_and_seed(client, model, told, dtype):
    x = latents().to(dtype)
    answer = client.post("/v1/score", content=save(blob(told, latents=x)), headers={"x-drm-protocol-version": "1"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    body = answer.json()
    assert (body["protocol_version"], body["seeds"]) == ("1", [0, 5])
    plain = Conditioning(told.prompt_embeds, told.pooled_prompt_embeds)
    own = [
        model.score_latents(x[i : i + 1].float(), plain[i], u, seed=s) for i, (u, s) in enumerate([(0.2, 0), (0.6, 5)])
    ]
    close(body["raw_scores"], torch.cat(own))


def test_without_seeds_each_item_has_noise_of_its_own_and_the_answer_says_which(client, told):
    x = latents(1).repeat(2, 1, 1, 1)
    same = blob(told[[0, 0]], latents=x, u=torch.tensor([0.4, 0.4]), seeds=None)
    first = client.post("/v1/score", content=save(same)).json()
    assert len(set(first["seeds"])) == 2
    assert first["raw_scores"][0] != first["raw_scores"][1]
    again = {**same, "seeds": torch.tensor(first["seeds"])}
    close(client.post("/v1/score", content=save(again)).json()["raw_scores"], first["raw_scores"])


def test_an_answer_does_not_depend_on_what_else_is_asked(address, model, told):
    plain = Conditioning(told.prompt_embeds, told.pooled_prompt_embeds)
    own = [model.score_latents(latents()[i : i + 1], plain[i], u, seed=0).item() for i, u in enumerate((0.2, 0.6))]

    async def ask():
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:

            async def one(number):
                row = number % 2
                given = blob(told, seeds=torch.tensor([0, 0]))
                part = {name: tensor[row : row + 1].contiguous() for name, tensor in given.items()}
                return (await client.post("/v1/score", content=save(part))).json()["raw_scores"]

            return await asyncio.gather(*map(one, range(40)))

    close([scores[0] for scores in asyncio.run(ask())], own * 20)


def test_protocol_2_sends_prompts_once(client, model, told):
    names = [prompt_hash(row) for row in rows_of(told)]
    x, levels = latents(3), torch.tensor([[0.2, 0.5]] * 3)
    asked = {"latents": x, "prompt": torch.tensor([1, 0, 1]), "u": levels, "seeds": torch.tensor([7, 7, 7])}
    header = {"model": "dina", "score": ["raw", "z"], "prompts": names}
    refused = second(client, asked, **header)
    assert (refused.status_code, refused.json()["error"]["hashes"]) == (409, names)
    for name, row in zip(names, rows_of(told), strict=True):
        assert client.head(f"/v1/prompts/{name}").status_code == 404
        assert client.put(f"/v1/prompts/{name}", content=save(prompt_blob(row))).status_code == 201
        assert client.put(f"/v1/prompts/{name}", content=save(prompt_blob(row))).status_code == 200
        assert client.head(f"/v1/prompts/{name}").status_code == 200
    other = client.put(f"/v1/prompts/{names[0]}", content=save(prompt_blob(told[1])))
    assert (other.status_code, other.json()["error"]["code"]) == (422, "hash_mismatch")
    found = second(client, asked, **header).json()["results"]["dina"]["scores"]
    own = model.score_latents(x, told[[1, 0, 1]], (0.2, 0.5), seed=7)
    close(found["raw"], own)
    close(found["z"], model.normalize(own))


def test_protocol_2_reads_noisy_states_texts_groups_and_several_sizes(client, model, told):
    noisy = second(client, {"latents": latents(), "u": torch.tensor([0.3, 0.4])}, state="noisy", texts=PROMPTS)
    close(
        noisy.json()["results"]["dina"]["scores"]["raw"], model.score_noisy(latents(), torch.tensor([0.3, 0.4]), told)
    )
    grouped = {"latents": latents(1).repeat(4, 1, 1, 1), "group": torch.tensor([0, 1, 0, 1])}
    answer = second(client, grouped, noise="group", texts=PROMPTS[:1]).json()
    a, b, c, d = answer["results"]["dina"]["scores"]["raw"]
    assert (a, b) == (c, d)
    assert a != b
    mixed = {"latents.0": latents(2), "latents.1": latents(1, 16), "seeds": torch.tensor([3, 3, 3])}
    answer = second(client, mixed, order=[[0, 1], [1, 0], [0, 0]], texts=PROMPTS[:1]).json()
    found = answer["results"]["dina"]["scores"]["raw"]
    small = model.score_latents(latents(2), told[0], seed=3)
    close(found, torch.stack([small[1], model.score_latents(latents(1, 16), told[0], seed=3)[0], small[0]]))


def test_a_packed_body_is_unpacked_and_bounded(client, told):
    content = save(blob(told))
    plain = client.post("/v1/score", content=content).json()["raw_scores"]
    for encoding, pack in (("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)):
        packed = client.post("/v1/score", content=pack(content), headers={"content-encoding": encoding})
        assert packed.json()["raw_scores"] == plain
    bomb = client.post("/v1/score", content=gzip.compress(bytes(80 << 20)), headers={"content-encoding": "gzip"})
    assert (bomb.status_code, bomb.json()["error"]["code"]) == (413, "too_large")
    broken = client.post("/v1/score", content=b"no gzip", headers={"content-encoding": "gzip"})
    assert broken.status_code == 400
    assert client.post("/v1/score", content=content, headers={"content-encoding": "br"}).status_code == 415
    for accepted, encoding in (("gzip", "gzip"), ("identity", None)):
        answer = client.get("/openapi.json", headers={"accept-encoding": accepted})
        assert answer.headers.get("content-encoding") == encoding
        assert answer.json()["info"]["title"] == "DiNa-LRM"
    assert "content-encoding" not in client.get("/rewards").headers


def test_pictures_in_json_and_multipart_and_compared(client, model):
    data = pictures()
    own = model.score(data, PROMPTS)
    asked = {"prompts": PROMPTS, "images": [{"b64": coded(each)} for each in data], "score": ["raw", "z"]}
    found = client.post("/v1/score/images", json=asked).json()["results"]["dina"]["scores"]
    close(found["raw"], own)
    close(found["z"], model.normalize(own))
    files = [("image", ("a.png", each)) for each in data]
    parts = client.post("/v1/score/images", data={"request": json.dumps({"prompts": PROMPTS})}, files=files)
    close(parts.json()["results"]["dina"]["scores"]["raw"], own)
    several = client.post("/v1/score/images", json={**asked, "model": ["dina", "sharp"]}).json()["results"]
    close(several["dina"]["scores"]["raw"], own)
    assert several["sharp"]["error"]["code"] == "no_statistics"
    pair = {"prompts": PROMPTS[:1], "images": [{"b64": coded(data[0])}], "images_b": [{"b64": coded(data[1])}]}
    close(client.post("/v1/compare", json=pair).json()["p"], model.win_probability(data[0], data[1], PROMPTS[0]))


def test_what_verl_omni_sends(client, model, told):
    plain = Conditioning(told.prompt_embeds, told.pooled_prompt_embeds)
    one = {name: tensor[:1].contiguous() for name, tensor in blob(told, u=torch.tensor([0.4, 0.4])).items()}
    headers = {"content-type": "application/octet-stream", "x-drm-protocol-version": "1", "accept": "*/*"}
    answer = client.post("/v1/score", content=save(one), headers=headers)
    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert (body["protocol_version"], len(body["raw_scores"])) == ("1", 1)
    close(body["raw_scores"], model.score_latents(latents()[:1], plain[0], 0.4, seed=0))
    one.pop("pooled_prompt_embeds")
    refused = client.post("/v1/score", content=save(one), headers=headers)
    assert "pooled_prompt_embeds" in refused.text  # its client prints the text


def test_what_flow_factory_sends(client, model):
    data = pictures()
    asked = {"prompt": PROMPTS, "image": [*map(coded, data)], "video": None, "condition_images": None}
    assert client.get("/health").status_code == 200
    close(
        client.post("/compute", json={**asked, "condition_videos": None}).json()["rewards"], model.score(data, PROMPTS)
    )
    refused = client.post("/compute", json={**asked, "image": asked["image"][:1]})
    said = "bad_request: 1 images for 2 prompts; accepted: one each"
    assert (refused.status_code, refused.json()) == (200, {"error": said})  # its client reads no other status


def test_what_unirl_sends(client, model):
    data = pictures("JPEG")
    assert client.get("/health").json()["rewards"] == {"dina": ["ready"], "sharp": ["ready"]}
    assert client.get("/rewards").json() == {"rewards": ["dina", "sharp"]}

    def entry(text, image, names):
        return {"history": [{"text": text, "image_b64": image}], "required_rewards": names, "metadata": None}

    asked = [entry(PROMPTS[0], coded(data[0]), ["dina", "sharp"]), entry(PROMPTS[1], "no base64", ["dina"])]
    answer = client.post("/score", json={"requests": asked}).json()
    first = answer["results"][0]["dina"]
    assert [*first] == ["raw", "z"]
    close(first["raw"], model.score(data[:1], PROMPTS[0])[0])
    assert (answer["results"][1], [*answer["errors"][1]]) == ({}, ["dina"])
    asked[0]["history"][0]["video_path"] = "/etc/passwd"
    assert "video_path" in client.post("/score", json={"requests": asked}).json()["errors"][0]["dina"]
    asked[0]["history"] = [
        entry("source", coded(data[1]), [])["history"][0],
        {"text": PROMPTS[0], "image_b64": coded(data[0])},
    ]
    edited = client.post("/score", json={"requests": asked[:1]}).json()["results"][0]["dina"]["raw"]
    close(edited, first["raw"])  # of an edit the last turn is judged
    unknown = client.post("/score", json={"requests": [entry("a", coded(data[0]), ["other"])]})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "unknown_reward")


def test_pickles_are_answered_in_pickles(client, model):
    data = pictures("JPEG")
    for path in ("/v1/pickle/dina", "/v1/pickle/dina/"):
        answer = client.post(path, content=pickle.dumps({"images": data, "prompts": PROMPTS, "metadata": {}}))
        close(pickle.loads(answer.content)["scores"], model.score(data, PROMPTS))
    array = pickle.dumps({"images": data, "prompts": np.array(PROMPTS)}, 4)  # as flow_grpo's unifiedreward sends them
    answer = client.post("/v1/pickle/dina", content=array)
    assert (answer.status_code, "send lists of str" in pickle.loads(answer.content)["error"]) == (400, True)
    for path, content in (("/v1/pickle/dina", b"no pickle"), ("/v1/pickle/other", b"")):
        answer = client.post(path, content=content)
        assert answer.status_code in (400, 404)
        assert [*pickle.loads(answer.content)] == ["error"]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"u": torch.tensor([0.2, 1.5])}, 400, "bad_tensor"),
        ({"u": torch.tensor([0.2, float("nan")])}, 400, "bad_tensor"),
        ({"u": None}, 400, "missing_tensor"),
        ({"pooled_prompt_embeds": None}, 400, "missing_tensor"),
        ({"mask": torch.ones(2)}, 400, "unknown_tensor"),
        ({"latents": torch.randn(2, 4, 8, 8)}, 422, "bad_latents"),
        ({"latents": torch.randn(2, 16, 7, 8)}, 422, "bad_latents"),
        ({"latents": 100 * torch.randn(2, 16, 8, 8)}, 422, "bad_latents"),
        ({"latents": torch.full((2, 16, 8, 8), float("inf"))}, 400, "bad_tensor"),
        ({"latents": torch.randn(2, 16, 8, 8).double()}, 400, "bad_tensor"),
        ({"prompt_embeds": torch.randn(2, 16, 5)}, 422, "bad_width"),
        ({"pooled_prompt_embeds": torch.randn(2, 5)}, 422, "bad_width"),
        ({"latents": torch.zeros(300, 16, 2, 2)}, 413, "too_large"),
    ],
)
def test_bad_tensors_are_refused_by_name(client, told, changes, status, code):
    answer = client.post("/v1/score", content=save(blob(told, **changes)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["protocol_version"] == "1"


def test_one_bad_item_costs_its_batch_mates_nothing(client, model, told):
    x = latents()
    x[1] *= 100
    answer = second(client, {"latents": x, "seeds": torch.tensor([0, 0])}, texts=PROMPTS).json()["results"]["dina"]
    close(answer["scores"]["raw"][0], model.score_latents(x[:1], told[0])[0])
    assert (answer["scores"]["raw"][1], answer["errors"]["1"]["code"]) == (None, "bad_latents")


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("POST", "/v1/score", b"", 400, "bad_blob"),
        ("POST", "/v1/score/images", b"{}", 400, "bad_request"),
        ("POST", "/v1/score/images", b'{"prompts": ["a"], "images": [{"url": "http://a"}]}', 400, "reference_refused"),
        (
            "POST",
            "/v1/score/images",
            b'{"prompts": ["a"], "images": [{"path": "/etc/passwd"}]}',
            400,
            "reference_refused",
        ),
        ("POST", "/v1/score/images", b'{"prompts": ["a"], "images": [{"b64": "AAAA"}]}', 400, "bad_image"),
        ("POST", "/v1/score/images", b'{"model": "no", "prompts": ["a"], "images": []}', 400, "bad_request"),
        ("POST", "/score", b'{"requests": []}', 400, "bad_request"),
        ("PUT", "/v1/prompts/abc", b"", 400, "bad_hash"),
        ("GET", "/v1/score", b"", 405, "unknown_method"),
        ("GET", "/no", b"", 404, "unknown_route"),
    ],
)
def test_other_bad_requests_say_what_is_accepted(client, method, path, content, status, code):
    answer = client.request(method, path, content=content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_unknown_protocols_are_told_the_known_ones(client):
    answer = client.post("/v1/score", content=b"", headers={"x-drm-protocol-version": "3"})
    assert (answer.status_code, answer.headers["x-drm-protocol-versions"]) == (400, "1, 2")


def test_pages_of_a_browser_may_not_ask(client):
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        assert client.get("/healthz", headers=headers).status_code == 403


def test_our_own_client_scores_as_the_model_beside_it(address, model, told):
    reward = RemoteReward.load(address)
    found = RemoteReward(address, 0.2).score(latents(), told, seed=5)
    plain = Conditioning(told.prompt_embeds, told.pooled_prompt_embeds)
    close(found, model.score_latents(latents(), plain, 0.2, seed=5))
    assert reward.name.startswith("remote:http://127.0.0.1:")


def test_it_says_what_it_is_and_what_it_did(client):
    info = client.get("/info").json()
    assert info["models"]["dina"]["latent_channels"] == 16
    assert info["models"]["dina"]["revision"].startswith("sha256:")
    text = client.get("/metrics").text
    assert 'dina_lrm_requests_total{route="/v1/score",status="200"}' in text
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/score", "/v1/score/images", "/compute", "/score", "/v1/pickle/{name}"} <= paths.keys()
