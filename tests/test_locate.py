"""Names to folders, and an error for each way that fails."""

import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from huggingface_hub.utils import filter_repo_objects

from dina_lrm.locate import (
    BUNDLED,
    GENERATOR_FILES,
    GENERATOR_FILES_OF_LATENTS,
    IGNORED_FILES,
    absolute,
    components_without_weights,
    locate_generator,
    locate_reward_model,
)

LOCATORS = [(locate_generator, "model_index.json"), (locate_reward_model, "config.json")]
locator_cases = pytest.mark.parametrize(("locate", "marker"), LOCATORS, ids=["generator", "reward_model"])

PROGRAM = """
import sys
from dina_lrm.locate import absolute, locate_generator
try:
    print(locate_generator("owner/name", *sys.argv[1:]))
except ValueError as error:
    print("ValueError:", error)
"""


def locate_offline(home: Path, *arguments: str) -> str:
    """What `locate_generator("owner/name")` says in a process without a network."""
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@locator_cases
def test_a_local_folder_is_itself(locate, marker: str, tmp_path: Path) -> None:
    (tmp_path / marker).write_text("{}")
    assert locate(str(tmp_path)) == tmp_path
    assert locate(tmp_path) == tmp_path


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert locate_reward_model("~/model") == tmp_path / "model"


@pytest.mark.parametrize(("locate", "kind"), [(locate_generator, "generator"), (locate_reward_model, "reward_model")])
def test_the_bundled_world_is_inside_the_package(locate, kind: str) -> None:
    folder = BUNDLED["synthetic"][kind]
    assert folder.parts[-4:] == ("dina_lrm", "assets", "synthetic", kind)
    if folder.is_dir():
        assert locate("synthetic") == folder
    else:
        with pytest.raises(ValueError, match=r"The bundled .* 'synthetic' is not in this installation"):
            locate("synthetic")


@locator_cases
def test_a_folder_that_holds_something_else_is_refused(locate, marker: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"has no {marker}, as a .* has; accepted: 'synthetic'"):
        locate(tmp_path)


def test_the_folder_of_a_run_stands_for_the_reward_model_that_it_left(tmp_path: Path) -> None:
    for name in ("config.json", "metrics.jsonl"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ValueError, match=r"is the folder of a run; it holds no .*model yet"):
        locate_reward_model(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert locate_reward_model(tmp_path) == locate_reward_model(tmp_path / "model") == tmp_path / "model"


def test_the_folder_of_an_alignment_has_no_reward_model(tmp_path: Path) -> None:
    for name in ("config.json", "metrics.jsonl"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "lora").mkdir()
    with pytest.raises(ValueError, match="its LoRA tunes a generator, and scores nothing"):
        locate_reward_model(tmp_path)


def test_a_place_is_remembered_whole_and_a_name_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic").mkdir()
    (tmp_path / "mine").mkdir()
    assert absolute("mine") == absolute("./mine/") == str(tmp_path / "mine")
    assert absolute("synthetic") == "synthetic" and absolute("owner/name") == "owner/name"


@locator_cases
def test_a_file_is_refused(locate, marker: str, tmp_path: Path) -> None:
    (tmp_path / marker).write_text("{}")
    with pytest.raises(ValueError, match=f"{marker}' is a file; accepted: .* a local folder with {marker}"):
        locate(tmp_path / marker)


@locator_cases
@pytest.mark.parametrize("name", ["synthetc", "./nowhere", "/no/such/folder", "a/b/c", "../up", "sp ace/x", ""])
def test_a_name_that_cannot_be_a_hub_id_never_asks_the_hub(
    locate, marker: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"accepted: 'synthetic'.* .bundled., a local folder with .* hub id owner/name"
    ):
        locate(name)


def test_a_revision_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ValueError, match=r"revision 'v1' was given for the folder .* with a hub id only"):
        locate_generator(tmp_path, "v1")


def test_offline_the_error_says_how_to_go_on(tmp_path: Path) -> None:
    said = locate_offline(tmp_path)
    assert said.startswith("ValueError: The generator 'owner/name' is not available: there is no such folder")
    assert "hf download owner/name" in said
    assert "HF_HUB_OFFLINE=1" in said


def test_offline_the_cache_of_the_hub_is_used(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--owner--name"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    assert locate_offline(tmp_path) == str(snapshot)
    assert "ValueError" in locate_offline(tmp_path, "another-revision")


def test_components_are_bare_where_only_weights_of_a_variant_were_left_out(tmp_path: Path) -> None:
    for component, files in {"unet": ["config.json"], "vae": ["config.json", "a.safetensors"], "scheduler": []}.items():
        (tmp_path / component).mkdir()
        for name in files:
            (tmp_path / component / name).touch()
    assert components_without_weights(tmp_path) == ["unet"]


@pytest.mark.parametrize(
    "name",
    [
        "diffusion_pytorch_model.fp16.safetensors",
        "diffusion_pytorch_model.safetensors.index.fp16.json",
        "model.fp16-00001-of-00002.safetensors",
        "model-00001-of-00002.bf16.safetensors",
    ],
)
def test_half_precision_files_are_left_on_the_hub_at_first(name: str) -> None:
    assert any(fnmatch(name, pattern) for pattern in IGNORED_FILES)


def test_without_text_encoders_everything_else_of_a_generator_is_fetched(tiny_folder: Path) -> None:
    names = [path.relative_to(tiny_folder).as_posix() for path in tiny_folder.rglob("*") if path.is_file()]
    found = {*filter_repo_objects(names, allow_patterns=[*GENERATOR_FILES_OF_LATENTS])}
    left = {*filter_repo_objects(names, allow_patterns=[*GENERATOR_FILES])} - found
    assert (
        left == {name for name in names if name.startswith("text_encoder") and name.endswith(".safetensors")} != set()
    )


def test_names_are_looked_up_without_heavy_imports() -> None:
    program = (
        "import sys, dina_lrm.locate; print(sorted({'torch', 'diffusers', 'huggingface_hub'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"
