"""Settings in a file: what is printed is read back to equal settings, options win, and every wrong key is named."""

import dataclasses
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from dina_lrm.cli.arguments import train
from dina_lrm.cli.commands import COMMANDS
from dina_lrm.cli.main import main
from dina_lrm.console.config_file import beginning, config_text
from dina_lrm.console.words import parsed
from dina_lrm.preference.distributions import Constant, LogitNormal, Uniform
from dina_lrm.training.config import TrainConfig
from tests.documents import ROOT

ALIGN = {
    name: COMMANDS[f"align {name}"].options()
    for name in ("refl", "flow-grpo", "lpo", "dpo", "nft", "awm", "craft", "crd", "dgpo", "distill")
}
EXAMPLES = sorted((ROOT / "examples" / "configs").glob("*.yaml"))


def trained(*words):
    return parsed("train", train.Arguments, [str(word) for word in words])


def read(text, folder, *words):
    file = folder / "given.yaml"
    file.write_text(text)
    return trained(*words, "--config", file)


def refused(text, folder, capsys, *words):
    (folder / "given.yaml").write_text(text)
    assert main(["train", *words, "--config", str(folder / "given.yaml"), "--print-config"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err.split("given.yaml: ", 1)[1]


settings = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=8),
        "seed": st.integers(0, 2**63 - 1),
        "steps": st.none() | st.integers(1, 10**6),
        "epochs": st.floats(1e-300, 1e300),
        "initial": st.none() | st.sampled_from(["no", "1e-3", "null", "2026-01-01", "a: b", "#", "\u00e9\u2028"]),
    },
)
levels = st.sampled_from([Uniform(), Uniform(0.1, 0.3), LogitNormal(0.8, 1.0), Constant(0.2)])


@settings_of(max_examples=15)
@given(settings, levels)
def test_what_is_printed_is_read_back_to_equal_settings(tmp_path_factory, changes, sampler):
    config = dataclasses.replace(train.RECIPES["paper-sd35m"].make(), **changes)
    noise = dataclasses.replace(config.objective.noise_levels, sampler=sampler)
    config = dataclasses.replace(config, objective=dataclasses.replace(config.objective, noise_levels=noise))
    file = tmp_path_factory.mktemp("config") / "printed.yaml"
    file.write_bytes(config_text(train.Arguments(recipe=config, data="a b", out=Path("o"))).encode())
    _, begun = beginning(train.Arguments, ["--config", str(file)])
    assert (begun.recipe, begun.data, begun.out) == (config, "a b", Path("o"))


@pytest.mark.parametrize("name", ALIGN)
def test_settings_of_every_algorithm_are_read_back_by_it_alone(name, tmp_path, capsys):
    words = "synthetic --prompts synthetic --out o --reward clip=0.5 sharpness --looks.judges clip".split()
    made = parsed(f"align {name}", ALIGN[name], words)
    (tmp_path / "p.yaml").write_text(config_text(made))
    again = parsed(f"align {name}", ALIGN[name], ["--config", str(tmp_path / "p.yaml")])
    assert dataclasses.replace(again, config_file=None) == made
    other = next(one for one in ALIGN if one != name)
    assert main(["align", other, "--config", str(tmp_path / "p.yaml"), "--print-config"]) == 2
    assert f"p.yaml: algorithm: got '{name}'; accepted: {other}" in capsys.readouterr().err


def test_options_win_over_the_file_and_the_file_over_the_recipe(tmp_path):
    text = "recipe: synthetic\ndata: here\nout: there\nsteps: 5\nbatch_size: 4\noptimizer: {lr: 1e-3}\n"
    got = read(text, tmp_path, "--steps", 7, "--data", "elsewhere")
    recipe = train.RECIPES["synthetic"].make()
    assert (got.recipe.steps, got.recipe.batch_size, got.recipe.optimizer.lr) == (7, 4, 1e-3)
    assert (got.data, got.out, got.recipe.optimizer.eps) == ("elsewhere", Path("there"), recipe.optimizer.eps)
    frozen = read(text, tmp_path, "synthetic-frozen")
    assert frozen.recipe.adaptation.kind == "frozen" and frozen.recipe.steps == 5


def test_parts_without_a_name_are_written_as_options_or_as_they_are_stored(tmp_path):
    taps = "depth: 3, visual_taps: [1, 2, 3], text_taps: [1, 2]"
    flat = read(f"model: {{{taps}}}\n", tmp_path, "synthetic", "--data", "d", "--out", "o")
    full = read(f"model: {{backbone: {{{taps}}}}}\n", tmp_path, "synthetic", "--data=d", "--out=o")
    assert flat == full and flat.recipe.model.backbone.depth == 3
    assert flat.recipe.model.backbone.pretrained == "synthetic"


def test_the_folder_of_a_run_is_a_config(tmp_path):
    config = dataclasses.replace(train.RECIPES["synthetic"].make(), steps=11)
    stored = {"train": config.to_dict(), "data": {"pairs": 3, "hash": "h"}, "versions": {"dina_lrm": "0"}}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert trained("--config", tmp_path, "--data", "d", "--out", "o").recipe == config
    del stored["train"]["ema"]  # as an earlier version would have written it
    (tmp_path / "config.json").write_text(json.dumps(stored))
    got = trained(f"--config={tmp_path / 'config.json'}", "--data", "d", "--out", "o").recipe
    assert got == dataclasses.replace(config, ema=TrainConfig().ema)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lr: 1e-3\n", "lr: unknown key 'lr'; did you mean optimizer.lr? accepted: name, seed"),
        ("optimizer: {lrr: 1}\n", "optimizer.lrr: unknown key 'lrr'; did you mean 'lr'? accepted: kind, lr, head_lr"),
        ("model: {deptt: 1}\n", "model.deptt: unknown key 'deptt'; did you mean 'depth'? accepted: "),
        ("outt: x\n", "outt: unknown key 'outt'; did you mean 'out'? accepted: "),
        ("quiet: true\n", "quiet: unknown key 'quiet'; "),
        ("config_file: x\n", "config_file: unknown key 'config_file'; "),
        ("out: 3\n", "out: expected Path, got 3"),
        ("steps: 1.5\n", "steps: expected int, got 1.5"),
        ("optimizer: {lr: -1}\n", "optimizer.lr: got -1.0; accepted: a finite number above 0"),
        ("optimizer: 3\n", "optimizer: expected a table of settings, got 3"),
        ("objective: {noise_levels: {sampler: {name: wide}}}\n", "objective.noise_levels.sampler.name: got 'wide'"),
        ("steps: 1\nsteps: 2\n", "not YAML: 'steps' stands twice (line 2, column 1)"),
        ("steps: [1\n", "not YAML: expected ',' or ']', but got '<stream end>' (line 2, column 1)"),
        ("- 3\n", "holds no table of settings"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line_that_names_the_file_and_the_key(text, told, tmp_path, capsys):
    assert refused(text, tmp_path, capsys, "synthetic").startswith(told)


def test_settings_without_a_recipe_to_stand_on_are_refused(tmp_path, capsys):
    assert refused("steps: 3\n", tmp_path, capsys).startswith("names no recipe and leaves settings out (name, seed, ")
    assert refused("recipe: synthetik\n", tmp_path, capsys).startswith("recipe: got 'synthetik'; accepted: ")


@pytest.mark.parametrize(("file", "told"), [("no.yaml", "there is no such file"), ("a.toml", "ends in '.toml'")])
def test_a_file_that_is_none_is_refused(file, told, tmp_path, capsys):
    (tmp_path / "a.toml").write_text("steps = 3")
    assert main(["train", "synthetic", "--config", str(tmp_path / file), "--print-config"]) == 2
    assert f"{file}: {told}" in capsys.readouterr().err


def test_printing_needs_no_data_and_does_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main("train synthetic --steps 3 --print-config --json told.json".split()) == 0
    text = capsys.readouterr().out
    assert text.startswith("# data: needed\n# out: needed\nname: synthetic\n")
    assert yaml.safe_load(text)["steps"] == 3
    assert json.loads(Path("told.json").read_text())["config"]["steps"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["told.json"]


def test_options_at_fault_are_named_beside_a_file_too(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("recipe: synthetic\n")
    words = ["train", "--config", str(tmp_path / "a.yaml")]
    assert main([*words, "--stepps", "3"]) == 2
    assert "unknown option --stepps; did you mean --steps?" in capsys.readouterr().err
    assert main(words) == 2
    assert "missing: --data, --out;" in capsys.readouterr().err


def test_passwords_are_not_printed(capsys):
    assert main("align dpo synthetic --reward remote:http://me:secret@host/score --print-config".split()) == 0
    text = capsys.readouterr().out
    assert "secret" not in text and "remote:http://host/score" in text


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_is_accepted_by_the_command_that_it_names(file, capsys):
    command = file.read_text().split("dina-lrm ", 1)[1].split(" --config")[0]
    assert f"--config examples/configs/{file.name}" in file.read_text()
    assert main([*command.split(), "--config", str(file), "--print-config"]) == 0
    assert "needed" not in capsys.readouterr().out
