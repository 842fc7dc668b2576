"""What goes to the hub is what this program made, privately; what stays is named; and errors say what to do."""

import json
import shutil

import pytest
import torch
from huggingface_hub import DatasetCard, ModelCard, constants

from dina_lrm.alignment.card import keep_card
from dina_lrm.cli.main import main
from dina_lrm.data.encoding.prepared import prepare
from dina_lrm.data.named_source import NamedSource
from dina_lrm.publishing.contents import upload_of
from dina_lrm.publishing.push import Publication, push
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.files import save_tensors
from dina_lrm.synthetic.writing import SyntheticSet
from tests.alignment.runs import REFL
from tests.models import some_images, tiny_reward_model
from tests.publishing.hub import TOKEN, a_hub


@pytest.fixture(autouse=True)
def _online(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def stored(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("push") / "rm"
    tiny_reward_model(tiny_folder).save_pretrained(folder)
    return folder


@pytest.fixture
def model(stored, tmp_path):
    return shutil.copytree(stored, tmp_path / "rm")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A synthetic set, and a cache of it."""
    folder = tmp_path_factory.mktemp("data")
    SyntheticSet("train", 2, 2).write(folder / "set")
    prepare(NamedSource("ours", folder / "set" / "comparisons.jsonl"), "synthetic", folder / "cache")
    return folder


def test_a_reward_model_arrives_and_scores_the_same(model, tmp_path, tiny_folder):
    with a_hub() as (hub, address):
        upload = upload_of(model)
        told = push(upload, Publication("me/rm", licence="apache-2.0"), TOKEN, address)
    assert told.startswith("http") and hub.private == {("models", "me/rm"): True}
    arrived = hub.files["models", "me/rm"]
    assert set(arrived) == set(upload.files) and ".dina-lrm.json" in upload.left_out
    for name, content in arrived.items():
        place = tmp_path / "again" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    again = LatentRewardModel.from_pretrained(tmp_path / "again")
    pictures = some_images(2)
    assert again.score(pictures, "a").equal(LatentRewardModel.from_pretrained(model).score(pictures, "a"))
    card = ModelCard(arrived["README.md"].decode())
    assert 'from_pretrained("me/rm"' in card.text and "PATH OR HUB ID" not in card.text
    assert card.data.license == "apache-2.0" and "| licence of this model | apache-2.0 |" in card.text
    assert hub.validated == [arrived["README.md"].decode()]
    assert "license:" not in (model / "README.md").read_text()  # what lies here stays as it is


def test_what_somebody_put_there_stays_here_and_is_named(model):
    (model / "notes.txt").write_text("mine")
    (model / "README.md").write_text((model / "README.md").read_text() + "mine too")
    with a_hub() as (hub, address):
        upload = upload_of(model)
        push(upload, Publication("me/rm"), TOKEN, address)
    assert upload.left_out["notes.txt"] == "was not made by this program"
    assert "notes.txt" not in hub.files["models", "me/rm"]
    assert any("README.md is sent as it was changed" in note for note in upload.notes)
    everything = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert {*upload.files, *upload.left_out} == everything


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{}", "was changed since it was made"),
        ("head.safetensors", None, "is gone"),
        (".dina-lrm.json", None, r"no \.dina-lrm\.json says that this program made it"),
    ],
)
def test_what_is_not_as_it_was_made_is_refused(model, name, content, message):
    (model / name).unlink()
    if content is not None:
        (model / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        upload_of(model)


def test_the_folder_of_a_run_stands_for_what_it_left(tmp_path, model):
    run = tmp_path / "run"
    shutil.copytree(model, run / "model")
    assert upload_of(run).folder == run / "model"
    lora = tmp_path / "aligned" / "lora"
    lora.mkdir(parents=True)
    save_tensors(lora / "pytorch_lora_weights.safetensors", {"a": torch.zeros(1)})
    keep_card(lora, REFL, [], 4, "sd3")
    found = upload_of(lora.parent)
    assert (found.kind, found.repo_type) == ("LoRA", "model")
    assert set(found.files) == {"README.md", "pytorch_lora_weights.safetensors"}


def test_data_sets_go_to_repositories_of_data(data):
    (data / "cache" / "mine.txt").write_text("mine")
    with a_hub() as (hub, address):
        for name in ("set", "cache"):
            push(upload_of(data / name), Publication(f"me/{name}", public=True), TOKEN, address)
    assert hub.private == {("datasets", "me/set"): False, ("datasets", "me/cache"): False}
    pictures = [name for name in hub.files["datasets", "me/set"] if name.startswith("images/")]
    assert len(pictures) == 4 and "mine.txt" not in hub.files["datasets", "me/cache"]
    for name in ("set", "cache"):
        assert DatasetCard(hub.files["datasets", f"me/{name}"]["README.md"].decode()).data.license == "apache-2.0"
    for name, content in hub.files["datasets", "me/cache"].items():
        assert name == "README.md" or content == (data / "cache" / name).read_bytes()
    (data / "cache" / "prompts.parquet").rename(data / "cache" / "away")
    with pytest.raises(ValueError, match=r"prompts\.parquet: a part of the cache is gone"):
        upload_of(data / "cache")
    (data / "cache" / "away").rename(data / "cache" / "prompts.parquet")


def test_a_public_repository_gets_nothing_that_was_not_meant_to_be_public(stored):
    with a_hub() as (hub, address):
        hub.private["models", "me/rm"] = False
        with pytest.raises(ValueError, match="is there and public; accepted: --public, or another name"):
            push(upload_of(stored), Publication("me/rm"), TOKEN, address)
        assert hub.files == {}
        push(upload_of(stored), Publication("me/rm", public=True), TOKEN, address)
        assert hub.files


def test_without_a_token_or_a_hub_an_error_says_what_to_do(stored):
    upload, to = upload_of(stored), Publication("me/rm")
    with pytest.raises(ValueError, match=r"no token of the hub; accepted: after `hf auth login`, or with HF_TOKEN"):
        push(upload, to)
    with (
        a_hub() as (hub, address),
        pytest.raises(ValueError, match="push me/rm: the hub cannot be reached, or refuses"),
    ):
        push(upload, to, "hf_wrong", address)
    assert hub.files == {}
    with pytest.raises(ValueError, match="push me/rm: the hub cannot be reached, or refuses"):
        push(upload, to, TOKEN, address)  # it is gone


@pytest.mark.parametrize("name", ["rm", "a/b/c", "me/..", "me/a b", "/rm", "me/", "me/a--b"])
def test_a_name_that_no_repository_can_have_is_refused(name):
    with pytest.raises(ValueError, match="accepted: OWNER/NAME"):
        Publication(name)


def test_a_rehearsal_lists_everything_and_sends_nothing(model, tmp_path, capsys):
    (model / "notes.txt").write_text("mine")
    assert main(["push", str(model), "me/rm", "--dry-run", "--json", str(tmp_path / "found.json")]) == 0
    out = capsys.readouterr().out
    assert "  left out: notes.txt (was not made by this program)" in out and "  config.json  " in out
    assert "would go to private me/rm" in out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["address"] is None and found["public"] is False and found["kind"] == "reward model"
    assert found["bytes"] == sum((model / name).stat().st_size for name in found["files"])
    assert main(["push", str(model), "me/rm"]) == 2 and "no token" in capsys.readouterr().err
    assert main(["push", str(tmp_path), "me/rm", "--dry-run"]) == 2
    assert main(["push", str(model), "rm", "--dry-run"]) == 2 and "OWNER/NAME" in capsys.readouterr().err
    assert main(["push", str(model), "me/rm", "--dry-run", "--licence", "My own"]) == 2
