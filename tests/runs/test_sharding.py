"""What a launch may ask for, and what is refused."""

import json

import pytest
import torch

from dina_lrm.runs.sharding import Sharding, is_shared_out, own_rows, shared_out_like, whole

FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
ZERO = {"ACCELERATE_USE_DEEPSPEED": "true"}


def test_a_plain_launch_shares_nothing_out():
    assert Sharding.of_launch({}) is None
    assert Sharding.of_launch({"ACCELERATE_USE_FSDP": "false"}) is None


@pytest.mark.parametrize(
    ("words", "gathered_again"),
    [
        (FSDP, True),
        (FSDP | {"FSDP_RESHARD_AFTER_FORWARD": "false"}, False),
        (FSDP | {"FSDP_OFFLOAD_PARAMS": "false", "FSDP_CPU_RAM_EFFICIENT_LOADING": "false"}, True),
        (ZERO | {"ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"}, False),
        (ZERO | {"ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}, True),
    ],
)
def test_it_is_shared_out_as_the_launch_says(words, gathered_again):
    assert Sharding.of_launch(words) == Sharding(gathered_again)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"ACCELERATE_USE_FSDP": "true"}, "fsdp_version 1; accepted: fsdp_version: 2"),
        (FSDP | {"FSDP_RESHARD_AFTER_FORWARD": "FULL_SHARD"}, "full_shard; accepted: true, false"),
        (FSDP | {"FSDP_OFFLOAD_PARAMS": "true"}, "FSDP_OFFLOAD_PARAMS=true; accepted: none"),
        (FSDP | {"FSDP_ACTIVATION_CHECKPOINTING": "true"}, "--compute.gradient-checkpointing does that"),
        (ZERO | {"ACCELERATE_DEEPSPEED_ZERO_STAGE": "1"}, "zero_stage 1; accepted: 2, 3"),
        (ZERO | {"ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "cpu"}, "OPTIMIZER_DEVICE=cpu; accepted: none"),
    ],
)
def test_what_there_is_not_is_refused(words, said):
    with pytest.raises(ValueError, match=said):
        Sharding.of_launch(words)


def test_a_configuration_of_deepspeed_is_read(tmp_path):
    file = tmp_path / "zero.json"
    words = ZERO | {"ACCELERATE_DEEPSPEED_CONFIG_FILE": str(file)}
    file.write_text(json.dumps({"zero_optimization": {"stage": 3}}))
    assert Sharding.of_launch(words) == Sharding(gathered_again=True)
    for text in ("{}", "[", json.dumps({"zero_optimization": {"stage": 0}})):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"zero\.json|zero_stage 0"):
            Sharding.of_launch(words)


def test_a_tensor_of_one_process_is_all_its_own():
    tensor = torch.nn.Parameter(torch.arange(3.0))
    assert not is_shared_out(tensor)
    assert own_rows(tensor).data_ptr() == whole(tensor).data_ptr() == tensor.data_ptr()
    assert not own_rows(tensor).requires_grad
    assert shared_out_like(torch.ones(3), tensor).tolist() == [1.0] * 3
