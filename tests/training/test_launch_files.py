"""The launch configurations that are shown are what accelerate reads, and say what their first line says."""

from pathlib import Path

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

from dina_lrm.runs.sharding import Sharding

FOLDER = Path(__file__).parents[2] / "examples" / "launch"
WANTED = {
    "ddp": None,
    "fsdp2": Sharding(gathered_again=True),
    "fsdp2_kept": Sharding(gathered_again=False),
    "zero2": Sharding(gathered_again=False),
    "zero3": Sharding(gathered_again=True),
}


def environment(file: Path) -> dict[str, str]:
    """What `accelerate launch --config_file FILE -m dina_lrm` says to its processes."""
    words = ["--config_file", str(file), "--num_processes", "2", "-m", "dina_lrm", "train"]
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(words))
    if not arguments.use_deepspeed:
        return prepare_multi_gpu_env(arguments)
    arguments.deepspeed_fields_from_accelerate_config = ""  # as its launcher does between the two
    return prepare_deepspeed_cmd_env(arguments)[1]


def test_each_file_is_here():
    assert {file.stem for file in FOLDER.iterdir()} == WANTED.keys()


@pytest.mark.parametrize("name", WANTED)
def test_accelerate_reads_it(name):
    assert Sharding.of_launch(environment(FOLDER / f"{name}.yaml")) == WANTED[name]
