"""The table, the files that are shown, and the page of the trainers say one thing."""

import shutil
from dataclasses import fields
from importlib import import_module

import pytest

from dina_lrm.integrations import shown
from dina_lrm.integrations.shown import IntegrateSettings, files_of, integrate
from dina_lrm.integrations.table import INTEGRATIONS, Integration, name_of
from dina_lrm.locate import ASSETS
from tests.documents import ROOT

PAGE = (ROOT / "docs" / "trainers.md").read_text()
each_trainer = pytest.mark.parametrize("name", INTEGRATIONS)


@each_trainer
def test_what_the_configuration_names_is_there(name, trainers):
    module, _, attribute = INTEGRATIONS[name].plugin.partition(":")
    found = import_module(module)
    assert found.__doc__
    assert not attribute or getattr(found, attribute).__doc__


@each_trainer
def test_the_page_says_what_the_table_says_and_shows_every_file(name):
    row = INTEGRATIONS[name]
    cells = (name, row.latents, row.embeddings, row.threads, row.failure)
    assert f"| {' | '.join(cells)} |" in PAGE
    assert files_of(name)
    for file, text in files_of(name).items():
        assert text in PAGE, f"{file} is not shown as it is"
        assert text.endswith("\n") and row.module in text


def test_every_folder_of_files_belongs_to_a_trainer():
    assert {folder.name for folder in (ASSETS / "integrations").iterdir()} == set(INTEGRATIONS)


def test_another_name_is_refused_and_underscores_are_meant_well(tmp_path):
    assert name_of("Verl_Omni") == "verl-omni"
    with pytest.raises(ValueError, match=r"trainer 'verl'; accepted: verl-omni"):
        integrate(IntegrateSettings("verl"))
    with pytest.raises(ValueError, match=r"--out .*: no trainer; accepted: one of verl-omni"):
        integrate(IntegrateSettings(out=tmp_path))


def test_alone_it_lists_every_trainer():
    shown = integrate(IntegrateSettings())
    assert [line.split()[0] for line in shown.lines()[: len(INTEGRATIONS)]] == list(INTEGRATIONS)
    rows = shown.to_dict()["trainers"]
    assert all({field.name for field in fields(Integration)} < set(row) for row in rows.values())


def test_files_are_written_and_replaced_but_nobody_elses(tmp_path):
    out = tmp_path / "reward"
    for _ in range(2):
        shown = integrate(IntegrateSettings("verl-omni", out))
        assert {name: (out / name).read_text() for name in shown.files} == files_of("verl-omni")
    (out / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds 'mine.txt', which this program did not make"):
        integrate(IntegrateSettings("verl-omni", out))
    assert (out / "mine.txt").exists()


def test_what_an_installer_puts_beside_the_files_is_not_shown(tmp_path, monkeypatch):
    shutil.copytree(ASSETS / "integrations" / "verl-omni", tmp_path / "verl-omni")
    (tmp_path / "verl-omni" / "__pycache__").mkdir()
    known = files_of("verl-omni")
    monkeypatch.setattr(shown, "_FILES", tmp_path)
    assert files_of("verl-omni") == known
