"""Options that several commands share: the same words mean the same everywhere."""

import dataclasses
import json

import pytest
import torch
from PIL import Image

from dina_lrm.cli.commands import COMMANDS
from dina_lrm.cli.main import main
from dina_lrm.console.common import UserError
from dina_lrm.console.options import DeviceOptions, PlaceOptions, ReadingOptions, chosen_device
from dina_lrm.console.words import parsed

LOADING = ("train", "evaluate", "calibrate", "sample", "evaluate-generator", "profile", "score", "compare", "prepare")


@pytest.mark.parametrize("name", [*LOADING, *(name for name in COMMANDS if name.startswith("align "))])
def test_every_command_that_loads_a_model_of_ones_own_says_where_and_in_what_type(name):
    if name != "align study":  # the bundled world alone, many processes of one thread
        options = {field.name for field in dataclasses.fields(COMMANDS[name].options())}
        assert {"device", "dtype"} <= options
        assert issubclass(COMMANDS[name].options(), PlaceOptions)


@pytest.mark.parametrize(
    ("there", "first"),
    [("cuda xpu mps", "cuda"), ("xpu mps", "xpu"), ("mps", "mps"), ("", "cpu")],
)
def test_the_first_device_that_there_is_is_taken(there, first, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: "xpu" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    assert chosen_device(None) == chosen_device("auto") == PlaceOptions().place() == first


@pytest.mark.parametrize("name", ["nowhere", "cuda:99", "cpu0"])
def test_a_device_that_there_is_not_is_refused_by_name(name):
    with pytest.raises(UserError, match=rf"--device {name}: .*; accepted: auto, cpu, cuda"):
        chosen_device(name)


def test_a_type_is_what_the_library_and_the_settings_call_it():
    assert DeviceOptions().torch_dtype() is None
    assert DeviceOptions(dtype="bfloat16").torch_dtype() is torch.bfloat16
    assert [DeviceOptions(dtype=one).precision("auto") for one in ("auto", "float32", "bfloat16")] == [
        "auto",
        "fp32",
        "bf16",
    ]
    assert DeviceOptions().precision(None) is None


def test_levels_are_one_or_several():
    assert ReadingOptions().levels() is None
    assert ReadingOptions(noise_level=0.3).levels() == 0.3
    assert ReadingOptions(ensemble="0.2,0.5").levels() == (0.2, 0.5)


def test_the_type_is_a_setting_of_training_and_of_aligning(capsys):
    for words in ("train synthetic", "align refl synthetic"):
        assert main([*words.split(), "--dtype", "bfloat16", "--print-config"]) == 0
        assert "dtype: bfloat16\n" in capsys.readouterr().out
    for words in ("train synthetic --data x --out y", "align refl synthetic --prompts x --out y"):
        name = "train" if words.startswith("train") else "align refl"
        read = parsed(name, COMMANDS[name].options(), [*words.removeprefix(f"{name} ").split(), "--dtype", "bfloat16"])
        settings = read.config()
        assert (settings.compute if name == "train" else settings.generator).precision == "bf16"


def test_scores_in_another_type_are_another_table(tmp_path, capsys):
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    words = ["score", "--images", str(tmp_path / "a.png"), "--prompts", "a red cube", "--model", "synthetic"]
    words += ["--out", str(tmp_path / "s.jsonl"), "--device", "cpu"]
    assert main([*words, "--dtype", "float32", "--quiet"]) == 0
    assert json.loads((tmp_path / "s.jsonl.settings.json").read_text())["dtype"] == "float32"
    assert main(words) == 2
    assert "dtype" in capsys.readouterr().err


def test_verbose_says_versions_and_what_is_loaded_where(tmp_path, monkeypatch, capsys):
    for variable in ("TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        monkeypatch.setenv(variable, "error")  # which the command sets for its process, where nobody has
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    words = ["compare", *[str(tmp_path / "a.png")] * 2, "--prompt", "a red cube", "--device", "cpu"]
    assert main([*words, "-v"]) == 0
    told = capsys.readouterr().err
    assert f"torch {torch.__version__.partition('+')[0]}" in told and "sd3, in torch.float32 on cpu" in told
    assert main([*words, "--verbose", "--quiet"]) == 2
    assert "--quiet and --verbose were both given; accepted: one of them" in capsys.readouterr().err
