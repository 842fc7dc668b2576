"""Stored models: bit-equal round trips, complete or absent folders, and faults that name file, key and tensor."""

import json
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from safetensors.torch import load_file, save_file

from dina_lrm import __version__
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.locate import BUNDLED
from dina_lrm.reward_model.card import model_card
from dina_lrm.reward_model.formats import ours as checkpoint
from dina_lrm.reward_model.model import LatentRewardModel
from tests.models import some_conditioning, some_images, some_latents, tiny_config, tiny_reward_model


@pytest.fixture(scope="module")
def stored(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored model with random weights; do not write into it."""
    folder = tmp_path_factory.mktemp("stored") / "rm"
    results = [{"set": "in_domain", "accuracy": 0.91234, "low": 0.9, "high": 0.93, "pairs": 2000}]
    tiny_reward_model(tiny_folder, score_mean=1.5, notes={"results": results}).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(stored: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    folder = tmp_path / "copy"
    checkpoint.write(folder, checkpoint.read(stored))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class TestRoundTrip:
    def test_the_folder_is_what_the_contract_says(self, stored: Path) -> None:
        assert sorted(contents(stored)) == [
            ".dina-lrm.json",
            "README.md",
            "config.json",
            "head.safetensors",
            "reward_lora/adapter_config.json",
            "reward_lora/adapter_model.safetensors",
        ]

    @pytest.mark.parametrize("trainable", [False, True])
    def test_is_bit_equal_merged_or_not(self, stored: Path, trainable: bool, tmp_path: Path) -> None:
        model = LatentRewardModel.from_pretrained(stored, trainable=trainable)
        model.save_pretrained(tmp_path / "again")
        assert contents(tmp_path / "again") == contents(stored)

    def test_keeps_the_scores_bit_by_bit(self, stored: Path, tmp_path: Path) -> None:
        model = LatentRewardModel.from_pretrained(stored)
        model.save_pretrained(tmp_path / "again")
        again = LatentRewardModel.from_pretrained(tmp_path / "again")
        for levels in (None, (0.2, 0.7)):
            scores = [m.score(some_images(2), "a red cube", levels) for m in (model, again)]
            assert torch.equal(*scores)

    def test_merging_the_lora_changes_nothing_but_rounding(self, stored: Path) -> None:
        latents, conditioning = some_latents(2), some_conditioning(2)
        merged = LatentRewardModel.from_pretrained(stored).score_latents(latents, conditioning)
        apart = LatentRewardModel.from_pretrained(stored, trainable=True).score_latents(latents, conditioning)
        torch.testing.assert_close(merged, apart, rtol=1e-4, atol=1e-5)

    def test_the_lora_takes_part(self, stored: Path, tiny_folder: Path) -> None:
        model = LatentRewardModel.from_pretrained(stored, trainable=True)
        latents, conditioning = some_latents(2), some_conditioning(2)
        with_lora = model.score_latents(latents, conditioning)
        zeros = {name: torch.zeros_like(tensor) for name, tensor in model.backbone.lora_state_dict().items()}
        model.backbone.load_lora_state_dict(zeros)
        assert not torch.allclose(model.score_latents(latents, conditioning), with_lora, rtol=1e-3)

    def test_without_a_lora(self, tiny_folder: Path, tmp_path: Path) -> None:
        model = tiny_reward_model(tiny_folder, lora=None, head=QFormerConfig(attention_heads=2, use_text=False))
        model.save_pretrained(tmp_path / "rm")
        assert sorted(contents(tmp_path / "rm")) == [".dina-lrm.json", "README.md", "config.json", "head.safetensors"]
        again = LatentRewardModel.from_pretrained(tmp_path / "rm")
        assert torch.equal(again.score(some_images(2), "a ball"), model.score(some_images(2), "a ball"))

    def test_of_a_backbone_trained_as_a_whole(self, tiny_folder: Path, tmp_path: Path) -> None:
        model = tiny_reward_model(tiny_folder, lora=None, own_backbone=True)
        with torch.no_grad():
            for parameter in model.backbone.trainable_parameters():
                parameter.add_(0.01)
        model.save_pretrained(tmp_path / "rm")
        again = LatentRewardModel.from_pretrained(tmp_path / "rm")
        assert torch.equal(again.score(some_images(2), "a ball"), model.score(some_images(2), "a ball"))
        again.save_pretrained(tmp_path / "rm2")
        assert contents(tmp_path / "rm2") == contents(tmp_path / "rm")

    def test_a_loaded_model_is_frozen_unless_it_is_to_train(self, stored: Path) -> None:
        model = LatentRewardModel.from_pretrained(stored)
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())
        trainable = LatentRewardModel.from_pretrained(stored, trainable=True)
        assert trainable.training
        assert all(parameter.requires_grad for parameter in trainable.head.parameters())
        assert len(trainable.backbone.trainable_parameters()) == len(trainable.backbone.lora_state_dict())

    def test_the_backbone_can_be_elsewhere(self, stored: Path, tiny_folder: Path, tmp_path: Path) -> None:
        moved = tmp_path / "moved"
        moved.symlink_to(tiny_folder)
        model = LatentRewardModel.from_pretrained(stored, backbone=str(moved))
        assert model.config.backbone.pretrained == str(moved)
        original = LatentRewardModel.from_pretrained(stored)
        assert torch.equal(model.score(some_images(1), "a"), original.score(some_images(1), "a"))


class TestWriting:
    def test_replaces_an_earlier_model(self, copy: Path, stored: Path, tiny_folder: Path) -> None:
        tiny_reward_model(tiny_folder, score_mean=9.0).save_pretrained(copy)
        assert contents(copy) != contents(stored)
        checkpoint.write(copy, checkpoint.read(stored))
        assert contents(copy) == contents(stored)

    def test_replaces_what_a_link_points_to(self, copy: Path, stored: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(copy)
        checkpoint.write(tmp_path / "sub" / ".." / "link", checkpoint.read(stored))
        assert (tmp_path / "link").readlink() == copy
        assert contents(copy) == contents(stored)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "link"]

    @pytest.mark.parametrize("name", ["notes.txt", "checkpoints/step-10/state.json", ".git/HEAD", "reward_lora/mine"])
    def test_refuses_a_model_that_somebody_put_something_into(self, copy: Path, stored: Path, name: str) -> None:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("mine")
        before = contents(copy)
        with pytest.raises(FileExistsError, match=f"holds '{name}', which this program did not make; nothing was"):
            checkpoint.write(copy, checkpoint.read(stored))
        assert contents(copy) == before

    def test_refuses_what_has_a_configuration_and_no_marker(self, stored: Path, tmp_path: Path) -> None:
        run = tmp_path / "run"
        (run / "checkpoints" / "step-10").mkdir(parents=True)
        (run / "config.json").write_text('{"train": {}}')
        (run / "checkpoints" / "step-10" / "model.safetensors").write_text("days of work")
        before = contents(run)
        with pytest.raises(ValueError, match=r"no \.dina-lrm\.json says that this program made the folder"):
            checkpoint.write(run, checkpoint.read(stored))
        assert contents(run) == before

    def test_refuses_a_folder_of_other_things(self, stored: Path, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("three years of work")
        with pytest.raises(ValueError, match=r"holds 'thesis\.txt', .* Accepted: a new name, an empty folder"):
            checkpoint.write(tmp_path, checkpoint.read(stored))
        with pytest.raises(ValueError, match="is a file; nothing was removed"):
            checkpoint.write(tmp_path / "thesis.txt", checkpoint.read(stored))
        assert (tmp_path / "thesis.txt").read_text() == "three years of work"

    def test_refuses_the_working_directory(self, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ValueError, match="is the working directory"):
            checkpoint.write(".", checkpoint.read(stored))
        assert tmp_path.is_dir() and contents(tmp_path) == {}

    def test_that_fails_leaves_nothing_new_and_nothing_lost(
        self, copy: Path, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full_disk(*_: object) -> None:
            raise OSError("no space left")

        before = contents(tmp_path)
        monkeypatch.setattr(checkpoint, "model_card", full_disk)
        for target in (copy, tmp_path / "new"):
            with pytest.raises(OSError, match="no space left"):
                checkpoint.write(target, checkpoint.read(stored))
        assert contents(tmp_path) == before
        assert not (tmp_path / "new").exists()

    def test_makes_the_parents(self, stored: Path, tmp_path: Path) -> None:
        checkpoint.write(tmp_path / "a" / "b" / "rm", checkpoint.read(stored))
        assert contents(tmp_path / "a" / "b" / "rm") == contents(stored)

    def test_the_card_has_the_measured_table(self, stored: Path) -> None:
        card = ModelCard.load(stored / "README.md")
        assert card.data.library_name == "dina-lrm"
        assert "| set | accuracy, % (95 % interval) | pairs |" in card.text
        assert "| in_domain | 91.2 (90.0 to 93.0) | 2,000 |" in card.text
        assert [result.metric_value for result in card.data.eval_results] == [0.91234]
        assert "| licence of the base model | unknown |" in card.text

    def test_the_card_says_how_it_was_trained(self, tiny_folder: Path) -> None:
        told = {"sources": ["hpdv3"], "pairs": 1200, "steps": 30, "batch_size": 8, "recipe": "own", "seed": 7}
        told |= {"measured_on": "validation", "measured": {"accuracy": 0.75, "pairs": 40}}
        text = model_card(tiny_config(tiny_folder, notes={"training": told, "license": "mit"})).text
        for line in ("data | hpdv3", "pairs | 1,200", "steps | 30 of 8 pairs", "seed | 7", "recipe | own"):
            assert f"| {line} |" in text
        assert "| accuracy at the end | 75.0 % on 40 held-out pairs |" in text
        assert "| licence of this model | mit |" in text
        assert str(tiny_folder.parent) not in text  # where it lies is nobody's business

    def test_push_uploads_the_same_folder(self, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        uploaded: dict[str, bytes] = {}
        asked: list[object] = []

        def create_repo(self: HfApi, repo_id: str, *, private: bool | None, exist_ok: bool) -> None:
            asked.extend([repo_id, private, exist_ok, self.token])

        def upload_folder(self: HfApi, *, repo_id: str, folder_path: Path, commit_message: str) -> str:
            uploaded.update(contents(folder_path))
            return f"https://hub/{repo_id}"

        monkeypatch.setattr(HfApi, "create_repo", create_repo)
        monkeypatch.setattr(HfApi, "upload_folder", upload_folder)
        model = LatentRewardModel.from_pretrained(stored)
        assert model.push_to_hub("me/rm", private=True, token="t") == "https://hub/me/rm"
        assert asked == ["me/rm", True, True, "t"]
        assert uploaded == contents(stored)


class TestRecording:
    ROW: ClassVar = {"set": "mine", "read at": "t = 0.4", "accuracy": 0.7, "low": 0.6, "high": 0.8, "pairs": 90}

    def test_a_measurement_is_in_card_and_configuration_and_scores_stay(self, copy: Path, stored: Path) -> None:
        before = LatentRewardModel.from_pretrained(copy).score(some_images(2), "a ball")
        checkpoint.check_recordable(copy)
        checkpoint.record(copy, [self.ROW])
        assert "| mine | t = 0.4 | 70.0 (60.0 to 80.0) | 90 |" in (copy / "README.md").read_text()
        again = LatentRewardModel.from_pretrained(copy)
        assert again.config.notes["results"][-1] == self.ROW and len(again.config.notes["results"]) == 2
        assert torch.equal(again.score(some_images(2), "a ball"), before)
        assert contents(copy)["head.safetensors"] == contents(stored)["head.safetensors"]
        checkpoint.record(copy, [self.ROW | {"accuracy": 0.75}])
        assert [row["accuracy"] for row in checkpoint.read(copy).config.notes["results"]] == [0.91234, 0.75]
        checkpoint.check_free(copy)  # still ours to replace

    def test_what_somebody_wrote_on_the_card_stays_theirs(self, copy: Path) -> None:
        card = copy / "README.md"
        card.write_text(card.read_text().replace("# Latent reward model", "# Mine").replace("tags:", "x: 1\ntags:"))
        checkpoint.check_recordable(copy)
        checkpoint.record(copy, [self.ROW])
        found = ModelCard.load(card)
        assert "# Mine" in found.text and "70.0 (60.0 to 80.0)" in found.text and found.data.to_dict()["x"] == 1
        assert [result.metric_value for result in found.data.eval_results] == [0.91234, 0.7]
        with pytest.raises(FileExistsError, match=r"'README.md' was changed since it was made"):
            checkpoint.check_free(copy)

    def test_a_card_without_a_place_for_it_is_refused_before_anything_is_written(self, copy: Path) -> None:
        (copy / "README.md").write_text("mine")
        before = contents(copy)
        for attempt in (checkpoint.check_recordable, lambda folder: checkpoint.record(folder, [self.ROW])):
            with pytest.raises(ValueError, match="no comments '<!-- dina-lrm: measured -->'"):
                attempt(copy)
        assert contents(copy) == before
        (copy / "README.md").unlink()
        checkpoint.record(copy, [self.ROW])
        assert "70.0 (60.0 to 80.0)" in (copy / "README.md").read_text()

    @pytest.mark.parametrize("name", ["config.json", "mine.txt", ".dina-lrm.json"])
    def test_what_is_not_as_it_was_made_is_refused(self, copy: Path, name: str) -> None:
        if name == ".dina-lrm.json":
            (copy / name).unlink()
        else:
            (copy / name).write_text('{"a": 1}')
        with pytest.raises(FileExistsError, match=r"this program|was changed since"):
            checkpoint.check_recordable(copy)


class TestInWords:
    def test_two_lines_say_what_it_is(self, stored: Path) -> None:
        model = LatentRewardModel.from_pretrained(stored)
        first, second = repr(model).split("\n")
        assert first.startswith("LatentRewardModel: the first ") and "QFormerHead" in first and "on cpu" in first
        assert "noise level 0.4 (ensemble 0.2, 0.5, 0.7), likelihood thurstone" in second

    def test_a_notebook_sees_it_escaped(self, tiny_folder: Path) -> None:
        notes = {"results": [{"set": "<b>", "read at": "t = 0.4", "accuracy": 0.5}]}
        shown = tiny_reward_model(tiny_folder, notes=notes)._repr_html_()
        assert "<b>" not in shown and "&lt;b&gt;, t = 0.4: accuracy 50.0 (needs more prompts) %" in shown

    def test_the_bundled_card_says_what_its_configuration_does(self) -> None:
        config = checkpoint.read("synthetic").config
        card = BUNDLED["synthetic"]["reward_model"] / "README.md"
        assert card.read_text() == str(model_card(config))


class TestFaults:
    @pytest.mark.parametrize("name", ["head.safetensors", "reward_lora", "reward_lora/adapter_model.safetensors"])
    def test_a_missing_file_is_named(self, copy: Path, name: str) -> None:
        target = copy / name
        target.rename(copy / "elsewhere")
        with pytest.raises(FileNotFoundError, match=name.rsplit("/", 1)[-1]):
            LatentRewardModel.from_pretrained(copy)

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            ({"agg_text.weight": None}, "missing tensors: agg_text.weight; unexpected tensors: none"),
            ({"agg_txt.weight": torch.zeros(1)}, "missing tensors: none; unexpected tensors: agg_txt.weight"),
            ({"query_tokens": torch.zeros(1, 5, 32)}, r"query_tokens has shape \(1, 5, 32\); accepted: \(1, 4, 32\)"),
        ],
    )
    def test_a_wrong_head_tensor_is_named(
        self, copy: Path, damage: dict[str, torch.Tensor | None], message: str
    ) -> None:
        tensors = load_file(copy / "head.safetensors") | damage
        save_file({name: t for name, t in tensors.items() if t is not None}, copy / "head.safetensors")
        with pytest.raises(ValueError, match=message):
            LatentRewardModel.from_pretrained(copy)

    def test_a_missing_lora_tensor_is_named(self, copy: Path) -> None:
        path = copy / "reward_lora" / "adapter_model.safetensors"
        tensors = load_file(path)
        gone = sorted(tensors)[0]
        save_file({name: tensor for name, tensor in tensors.items() if name != gone}, path)
        with pytest.raises(ValueError, match=gone.replace(".", r"\.")):
            LatentRewardModel.from_pretrained(copy)

    def test_a_broken_tensor_file_is_named(self, copy: Path) -> None:
        (copy / "head.safetensors").write_bytes(b"not tensors")
        with pytest.raises(ValueError, match=r"head\.safetensors: no readable safetensors file"):
            LatentRewardModel.from_pretrained(copy)

    @pytest.mark.parametrize(("text", "message"), [("{", "not a JSON value"), ("[1]", "holds a list; accepted")])
    def test_a_broken_config_is_named(self, copy: Path, text: str, message: str) -> None:
        (copy / "config.json").write_text(text)
        with pytest.raises(ValueError, match=rf"config\.json: {message}"):
            LatentRewardModel.from_pretrained(copy)

    def test_an_unknown_key_names_itself_and_both_versions(self, copy: Path) -> None:
        values = json.loads((copy / "config.json").read_text())
        values["head"]["rotary"] = True
        values["library_version"] = "9.1.0"
        (copy / "config.json").write_text(json.dumps(values))
        message = rf"head\.rotary: unknown key 'rotary'.*written by dina_lrm 9\.1\.0, read by {__version__}"
        with pytest.raises(ValueError, match=message):
            LatentRewardModel.from_pretrained(copy)


def test_conversion_of_our_own_folder_is_a_copy(stored: Path, tmp_path: Path) -> None:
    config = checkpoint.convert(stored, tmp_path / "out", backbone="some/generator")
    assert config.backbone.pretrained == "some/generator"
    expected = contents(stored)
    got = contents(tmp_path / "out")
    for name in ("head.safetensors", "reward_lora/adapter_model.safetensors", "reward_lora/adapter_config.json"):
        assert got[name] == expected[name]
