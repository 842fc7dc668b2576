"""Folders from elsewhere: plain ones pass, and whatever leads to code or to another model is refused by name."""

import json
import shutil

import pytest
import torch

from dina_lrm.backbones.pipeline_folder import load_pipeline
from dina_lrm.data.encoding.encoders import encoding_backbone
from dina_lrm.locate import BUNDLED, locate_generator, locate_judge
from dina_lrm.model_folders import check_pipeline_folder, check_shard_names, expect_safetensors, loading
from dina_lrm.reward_model.model import LatentRewardModel

GENERATOR = BUNDLED["synthetic"]["generator"]
pytestmark = pytest.mark.skipif(not GENERATOR.is_dir(), reason="the bundled generator is not in this checkout")
MARK = "open({!r}, 'w').write('ran')\nfrom diffusers import *\nfrom transformers import CLIPTextModel as Evil\n"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(GENERATOR, tmp_path / "generator")
    return tmp_path / "generator"


def changed(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_the_bundled_generators_pass():
    for kinds in BUNDLED.values():
        if "generator" in kinds:
            check_pipeline_folder(kinds["generator"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text_encoder", ["evil_mod", "Evil"]),
        ("text_encoder", ["os", "system"]),
        ("text_encoder", ["diffusers.pipelines", "StableDiffusionPipeline"]),
        ("text_encoder", ["transformers.models.clip", "CLIPTextModel"]),
        ("text_encoder", ["transformers", "AutoModel"]),
        ("text_encoder", ["transformers", "RagRetriever"]),
        ("text_encoder", ["transformers", "CLIPTextModel", "more"]),
        ("text_encoder", ["transformers"]),
        ("text_encoder", []),
        ("text_encoder", [["transformers"], "CLIPTextModel"]),
        ("text_encoder", {"transformers": "CLIPTextModel"}),
        ("text_encoder", ["transformers", None]),
        ("vae", ["diffusers", "DiffusionPipeline"]),
        ("vae", ["diffusers", "AutoModel"]),
        ("vae", ["diffusers", "AutoencoderKL\n"]),
        ("../vae", ["diffusers", "AutoencoderKL"]),
        ("_class_name", ["evil_mod", "StableDiffusion3Pipeline"]),
        ("_class_name", "evil_mod.StableDiffusion3Pipeline"),
        ("_class_name", None),
        ("custom_pipeline", "somebody/else"),
        ("trust_remote_code", True),
        ("auto_map", {"AutoModel": "evil_mod.Evil"}),
    ],
)
def test_an_index_that_names_anything_but_parts_of_the_two_libraries_is_refused(folder, name, value):
    changed(folder / "model_index.json", **{name: value})
    with pytest.raises(ValueError, match=r"model_index\.json: .*; accepted: ") as caught:
        locate_generator(folder)
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        *("None.py", "pipeline.py", "text_encoder/transformers.py", "vae/diffusers.py", "scheduler/diffusers.py"),
        *("tokenizer/anything.py", "vae/native.so"),
    ],
)
def test_code_where_a_library_would_find_it_is_refused(folder, place):
    (folder / place).write_text("raise SystemExit")
    with pytest.raises(ValueError, match=f"{place}: code, which is never run"):
        locate_generator(folder)


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("text_encoder/config.json", "auto_map", {"AutoModel": "evil_mod.Evil"}),
        ("vae/config.json", "auto_map", {"AutoModel": "somebody/else--evil.Evil"}),
        ("tokenizer/tokenizer_config.json", "auto_map", ["evil_mod.Evil", None]),
        ("text_encoder/config.json", "text_config", {"auto_map": {"AutoModel": "evil_mod.Evil"}}),
        ("text_encoder/config.json", "attn_implementation", "somebody/kernel"),
        ("text_encoder/config.json", "_attn_implementation", {"": "somebody/kernel@main"}),
        ("text_encoder/config.json", "use_pretrained_backbone", True),
        ("scheduler/scheduler_config.json", "_class_name", "utils"),
        ("scheduler/scheduler_config.json", "_class_name", ["evil_mod", "EvilScheduler"]),
    ],
)
def test_a_configuration_that_leads_away_is_refused(folder, file, name, value):
    changed(folder / file, **{name: value})
    with pytest.raises(ValueError, match=rf"{file}: .*; accepted: ") as caught:
        locate_generator(folder)
    assert "\n" not in str(caught.value)


def test_a_pipeline_within_a_pipeline_is_refused(folder):
    shutil.copy(folder / "model_index.json", folder / "vae")
    with pytest.raises(ValueError, match="a pipeline within a pipeline"):
        check_pipeline_folder(folder)


@pytest.mark.parametrize("shard", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "a.pkl", 3])
def test_shards_lie_beside_their_index(tmp_path, shard):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": shard}}))
    with pytest.raises(ValueError, match=r"index\.json: "):
        check_shard_names(index)
    index.write_text(json.dumps({"weight_map": {"w": "model-1-of-1.safetensors"}}))
    assert check_shard_names(index) == {"w": "model-1-of-1.safetensors"}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "[" * 100_000, '{"a": 1e999}', '{"_class_name": "A", "_class_name": "B"}']
)
@pytest.mark.parametrize("file", ["model_index.json", "vae/config.json", "scheduler/scheduler_config.json"])
def test_what_is_no_configuration_is_refused_in_one_line_that_names_it(folder, file, text):
    (folder / file).write_text(text)
    with pytest.raises(ValueError, match=file) as caught:
        encoding_backbone(str(folder))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1_000


def test_a_configuration_is_not_as_large_as_weights(folder):
    with (folder / "vae" / "config.json").open("ab") as file:
        file.truncate(33 << 20)
    with pytest.raises(ValueError, match="bytes; accepted: a configuration of at most"):
        locate_generator(folder)


def test_no_code_runs_whichever_way_a_generator_is_loaded(folder, tmp_path):
    changed(folder / "model_index.json", text_encoder=["evil_mod", "Evil"])
    ran = tmp_path / "ran"
    for place in ("evil_mod.py", "None.py", "text_encoder/evil_mod.py", "vae/diffusers.py"):
        (folder / place).write_text(MARK.format(str(ran)))
    model = tmp_path / "model"
    shutil.copytree(BUNDLED["synthetic"]["reward_model"], model)
    values = json.loads((model / "config.json").read_text())
    changed(model / "config.json", backbone={**values["backbone"], "pretrained": str(folder)})
    ways = (
        lambda: encoding_backbone(str(folder)).encode_prompts(["a"]),
        lambda: LatentRewardModel.from_pretrained(model),
        lambda: load_pipeline(folder, torch.float32),
    )
    for way in ways:
        with pytest.raises(ValueError, match="'evil_mod'"):
            way()
    assert not ran.exists()


def test_a_judge_that_leads_away_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "clip", "auto_map": {"AutoConfig": "evil.Evil"}}')
    with pytest.raises(ValueError, match=r"'auto_map' is .*code that is not run"):
        locate_judge(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    assert locate_judge(tmp_path) == tmp_path
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/else"}')
    with pytest.raises(ValueError, match="would have another model loaded"):
        locate_judge(tmp_path)


def test_weights_that_would_be_unpickled_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no weights"):
        expect_safetensors(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"holds pytorch_model\.bin, which may run code"):
        expect_safetensors(tmp_path)


def test_what_a_library_raises_is_one_line_that_names_the_folder(tmp_path):
    for error in (KeyError("hidden_size"), TypeError("\n\nfirst\nsecond"), OSError("x" * 10_000), ImportError()):
        with pytest.raises(ValueError, match="cannot be loaded") as caught, loading(tmp_path):
            raise error
        assert str(tmp_path) in str(caught.value) and len(str(caught.value)) < 1_000 and "\n" not in str(caught.value)
