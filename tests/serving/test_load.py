"""Models of one generator share it in memory and score as each does alone; without text encoders none is held."""

import base64
import io
import json
import shutil
import socket
from dataclasses import replace

import pytest
import torch
from PIL import Image

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import rows_of
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.images import image_pixels
from dina_lrm.serving.http.listening import listening_socket
from dina_lrm.serving.items import LatentItem, PictureItem
from dina_lrm.serving.load import load_engine
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.settings import ServerSettings
from tests.models import some_latents, tiny_config, tiny_reward_model
from tests.serving.apps import asked

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")


@pytest.fixture(scope="module")
def places(tiny_folder, tmp_path_factory):
    """Two models of one generator and a third of a copy of it, under another name: LoRAs, depths and heads differ."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(tiny_folder, folder / "copy")
    deep = tiny_config(tiny_folder).backbone
    made = {
        "first": tiny_reward_model(tiny_folder),
        "plain": tiny_reward_model(tiny_folder, lora=None),
        "copied": tiny_reward_model(folder / "copy"),
    }
    assert deep.depth == 3
    for seed, (name, model) in enumerate(made.items()):
        with torch.no_grad():
            for parameter in model.head.parameters():
                parameter.add_(0.05 * seed)
        model.save_pretrained(folder / name)
    return {name: folder / name for name in made}


def loaded(places, **changes):
    models = tuple(f"{name}={place}" for name, place in places.items())
    return load_engine(ServerSettings(model=models, **changes), device="cpu")


@pytest.fixture(scope="module")
def alone(places):
    return {name: loaded({name: place}) for name, place in places.items()}


@pytest.fixture(scope="module")
def together(places):
    return loaded(places)


def items(served, levels=(0.4,)):
    told = rows_of(served.model.encode_prompts(["a red cube", "the large blue ball"]))
    return [LatentItem(x, row, levels, seed) for seed, (x, row) in enumerate(zip(some_latents(2), told, strict=True))]


@pytest.mark.parametrize("levels", [(0.4,), (0.2, 0.6)])
def test_models_that_share_a_generator_score_as_each_does_alone(alone, together, levels):
    for _ in range(2):  # in turns: one leaves no trace in the other
        for name, engine in alone.items():
            own = engine.models[name]
            wanted = [each.raw for each in own.score(items(own, levels))]
            found = [each.raw for each in together.models[name].score(items(own, levels))]
            torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted), rtol=1e-4, atol=1e-5)


def test_a_shared_generator_is_in_memory_once(alone, together):
    def own(model):
        return sum(each.nbytes for each in (*model.head.parameters(), *model.backbone.borrowed_lora.parameters()))

    plain = alone["plain"].models["plain"].model
    generator = alone["plain"].weight_bytes() - own(plain)
    parts = sum(own(each.model) for each in together.models.values())
    assert together.weight_bytes() == pytest.approx(generator + parts, rel=0.001)
    assert len({id(each.model.backbone.transformer) for each in together.models.values()}) == 1


@pytest.mark.parametrize("names", [["first"], ["first", "plain"]])
def test_text_encoders_that_wait_in_their_files_say_the_same(places, names):
    some = {name: places[name] for name in names}
    held, whole = loaded(some, offload_encoders=True), loaded(some)
    for name in names:
        found, wanted = (engine.models[name].encode(["a red cube"]) for engine in (held, whole))
        assert torch.equal(found[0].conditioning.prompt_embeds, wanted[0].conditioning.prompt_embeds)
        pictures = [PictureItem(Image.new("RGB", (32, 32), "red"), "a red cube", (0.4,), 0)]
        assert held.models[name].score(pictures)[0].raw == whole.models[name].score(pictures)[0].raw


def test_encoders_that_are_not_there_cannot_be_held():
    with pytest.raises(ValueError, match=r"--offload-encoders with --no-text-encoders: there are none to hold"):
        ServerSettings(text_encoders=False, offload_encoders=True).check()


def test_another_generator_is_not_shared_whatever_its_name(places, tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "generator")
    changed = tiny_reward_model(tiny_folder).backbone.transformer
    weights = tmp_path / "generator" / "transformer"
    whole = type(changed).from_pretrained(weights)
    with torch.no_grad():
        whole.pos_embed.proj.bias.add_(1.0)
    whole.save_pretrained(weights)
    tiny_reward_model(tmp_path / "generator").save_pretrained(tmp_path / "other")
    engine = loaded({"first": places["first"], "other": tmp_path / "other"})
    first, other = engine.models.values()
    assert first.model.backbone.transformer is not other.model.backbone.transformer


def test_a_deeper_and_a_shallower_model_share_what_the_deeper_reads(places, tiny_folder, tmp_path):
    config = tiny_config(tiny_folder)
    shallow = replace(config.backbone, depth=1, visual_taps=(1,), text_taps=(1,))
    tiny_reward_model(tiny_folder, backbone=shallow).save_pretrained(tmp_path / "shallow")
    both = {"shallow": tmp_path / "shallow", "first": places["first"]}
    engine = loaded(both, text_encoders=False)
    assert len(engine.models["shallow"].model.backbone.transformer.transformer_blocks) == 3
    for name, place in both.items():
        own = loaded({name: place}).models[name]
        wanted = [each.raw for each in own.score(items(own))]
        found = [each.raw for each in engine.models[name].score(items(own))]
        torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("names", [["first"], ["first", "plain"]])
def test_without_text_encoders_none_is_loaded_and_what_needs_one_is_refused(places, alone, names):
    some = {name: places[name] for name in names}
    engine, whole = loaded(some, text_encoders=False), loaded(some)
    encoders = [
        part
        for name, part in whole.models["first"].model.backbone.held().items()
        if name.startswith("text_encoder") or (name == "vae" and len(names) == 1)
    ]
    spared = sum(parameter.nbytes for part in encoders for parameter in (*part.parameters(), *part.buffers()))
    assert whole.weight_bytes() - engine.weight_bytes() == spared > 0
    served, own = engine.models["first"], alone["first"].models["first"]
    found = [each.raw for each in served.score(items(own))]
    torch.testing.assert_close(found, [each.raw for each in own.score(items(own))], rtol=1e-4, atol=1e-5)
    for refused in (lambda: served.encode(["a"]), lambda: served.check(PictureItem(Image.new("RGB", (32, 32)), "a"))):
        with pytest.raises(Problem, match="--no-text-encoders") as told:
            refused()
        assert (told.value.status, told.value.code) == (422, "no_text_encoders")
    assert not any(name.startswith("text_encoder") for name in served.model.backbone.held())


def test_each_model_may_have_limits_of_its_own(places):
    engine = loaded(
        places, model_limits=("plain.max_batch_size=2", "plain.deadline=5", "first.batch=3"), max_batch_size=4
    )
    assert (engine.own["plain"].max_batch_size, engine.own["first"].max_batch_size) == (2, 4)
    assert (engine.own["plain"].deadline, engine.own["first"].deadline) == (5, 100)
    assert (engine.own["first"].batch, engine.own["copied"].batch) == (3, 256)


def bright(images, prompts):
    """A reward of one's own; it has no score for a prompt of no colour."""
    return [None if "grey" in prompt else float(image.mean()) for image, prompt in zip(images, prompts, strict=True)]


def test_any_reward_of_pictures_stands_beside_latent_ones(tmp_path):
    mixed = [
        {"reward": "sharpness", "weight": 2.0},
        {"reward": "python:tests.serving.test_load.bright", "weight": -1.0},
    ]
    (tmp_path / "mixture.json").write_text(json.dumps(mixed))
    function = "python:tests.serving.test_load.bright"
    where = {"own": function, "sharp": "sharpness", "mixed": f"mixture:{tmp_path / 'mixture.json'}+{function}"}
    models = tuple(f"{name}={place}" for name, place in where.items())
    settings = ServerSettings(model=("dina=image:synthetic", *models), text_encoders=False)
    picture = Image.linear_gradient("L").resize((32, 32)).convert("RGB")
    data = io.BytesIO()
    picture.save(data, "PNG")
    coded = {"b64": base64.b64encode(data.getvalue()).decode()}
    with asked(settings) as client:

        def scores(name, prompt):
            body = {"model": name, "prompts": [prompt], "images": [coded]}
            return client.post("/v1/score/images", json=body)

        found = {name: scores(name, "a ring").json()["results"][name]["scores"]["raw"][0] for name in where}
        assert found["own"] == pytest.approx(float(image_pixels(picture).mean()), abs=1e-6)
        assert found["mixed"] == pytest.approx(2 * found["sharp"] - found["own"], abs=1e-5)
        for name in ("own", "mixed"):  # never NaN, never a zero
            refused = scores(name, "a grey ring")
            assert (refused.status_code, refused.json()["error"]["code"]) == (422, "not_finite")
        assert scores("dina", "a ring").json()["error"]["code"] == "no_text_encoders"
        kinds = {name: told["kind"] for name, told in client.get("/info").json()["models"].items()}
        assert kinds == {"dina": "latent", "own": "pictures", "sharp": "pictures", "mixed": "pictures"}


def test_in_bfloat16_scores_stay_near_those_in_float32():
    settings = ServerSettings(text_encoders=False)
    plain, rough = (
        load_engine(settings, device="cpu", dtype=dtype).models["dina"] for dtype in (torch.float32, torch.bfloat16)
    )
    assert rough.info()["dtype"] == "bfloat16"
    shape = plain.model.backbone.prompt_shape
    told = Conditioning(
        seeded_noise((shape.tokens, shape.width, 1), 0)[None, ..., 0],
        seeded_noise((shape.pooled, 1, 1), 0)[None, :, 0, 0],
    )
    given = [LatentItem(0.8 * seeded_noise((16, 4, 4), n), told, (0.4,), n) for n in range(16)]
    found, wanted = ([each.raw for each in served.score(given)] for served in (rough, plain))
    spread = plain.model.config.score_std
    torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted), rtol=0, atol=0.2 * spread)
    assert torch.corrcoef(torch.tensor([found, wanted]))[0, 1] > 0.99


def test_connections_are_refused_until_a_server_listens():
    with listening_socket(ServerSettings(port=0).door) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            pass
        taken.listen()
        with pytest.raises(OSError, match=rf"127.0.0.1:{port} cannot be listened at"):
            listening_socket(ServerSettings(port=port).door)
