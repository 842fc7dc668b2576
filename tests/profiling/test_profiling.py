"""Counts against products of matrices by hand, and laws between the costs of jobs."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dina_lrm.cli.main import main
from dina_lrm.profiling.counting import Cost, count
from dina_lrm.profiling.generators import GENERATORS, head_cost, text_cost, transformer_cost, vae_cost
from dina_lrm.profiling.hardware import EFFICIENCY, GPUS, gpu, seconds
from dina_lrm.profiling.jobs import dataset_cost, jobs
from dina_lrm.profiling.pixel_judges import PIXEL_JUDGES, judge_cost

META = torch.device("meta")


def test_two_layers_by_hand():
    """A product of (n, a) and (a, b) is 2 n a b; the way back to the input takes one of the same size each."""
    with META:
        model = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 4)).requires_grad_(False)
        x = torch.empty(10, 8, requires_grad=True)
    found = count(lambda: model(x), True, (model,))
    products = 2 * 10 * (8 * 16 + 16 * 4)
    assert (found.forward, found.backward, found.parameters) == (products, products, 8 * 16 + 16 + 16 * 4 + 4)
    assert found.saved_bytes == 10 * 16 * 4, "the input of GELU; frozen layers need nothing"
    assert count(lambda: model(x.detach()), False, (model,)) == Cost(float(products), 0.0, 0.0, found.parameters)


def test_weights_that_learn_cost_a_third_product():
    with META:
        model = nn.Linear(8, 16, bias=False)
        x = torch.empty(10, 8, requires_grad=True)
    found = count(lambda: model(x), True, (model,))
    assert (found.forward, found.backward) == (2 * 10 * 8 * 16, 2 * 2 * 10 * 8 * 16)
    assert found.saved_bytes == 10 * 8 * 4


def test_attention_matrices_are_left_out():
    with META:
        q = torch.empty(1, 2, 64, 16, requires_grad=True)
    whole = count(lambda: F.scaled_dot_product_attention(q, q, q), True)
    fused = count(lambda: F.scaled_dot_product_attention(q, q, q), True, (), (64,))
    assert whole.forward == fused.forward == 2 * 2 * 64 * 64 * 16 * 2
    assert fused.saved_bytes < whole.saved_bytes


def test_counts_are_those_of_real_tensors():
    model, x = nn.Linear(5, 7), torch.randn(3, 5)
    real = count(lambda: model(x), True, (model,))
    with META:
        other, y = nn.Linear(5, 7), torch.empty(3, 5)
    assert count(lambda: other(y), True, (other,)) == real


def test_published_sizes():
    """Parameters as published: SD3.5-Medium 2.24 billion, FLUX.1-dev 11.9, T5-XXL's encoder 4.76."""
    sizes = {
        "sd3.5-medium": (lambda: transformer_cost("sd3.5-medium", 24, 1, 256, False), 2.24e9),
        "flux.1-dev": (lambda: transformer_cost("flux.1-dev", 57, 1, 256, False), 11.9e9),
        "t5-xxl": (lambda: text_cost("t5-xxl", 1), 4.76e9),
        "clip-l": (lambda: text_cost("clip-l", 1), 0.1237e9),
        "clip-g": (lambda: text_cost("clip-g", 1), 0.695e9),
        "hpsv3": (lambda: judge_cost("hpsv3", 1, 224, False), 7.07e9 + 0.63e9),
    }
    for name, (cost, published) in sizes.items():
        assert cost().parameters == pytest.approx(published, rel=0.01), name


@pytest.mark.parametrize("name", GENERATORS)
def test_cost_grows_as_it_must(name):
    depth = GENERATORS[name].depth
    one, two = (transformer_cost(name, depth, batch, 256, True) for batch in (1, 2))
    assert two.forward == pytest.approx(2 * one.forward, rel=0.05)
    assert two.parameters == one.parameters
    assert 0.95 * one.forward < one.backward < 2 * one.forward, "frozen weights: nearly as much back as there"
    assert transformer_cost(name, depth, 1, 512, False).forward > 2 * one.forward
    assert transformer_cost(name, depth // 2, 1, 256, False).forward < 0.6 * one.forward
    assert head_cost(name, 1, 256, 3, False).forward < 4 * head_cost(name, 1, 256, 1, False).forward
    assert head_cost(name, 1, 256, 1, False).forward < 0.2 * one.forward


def test_a_decoder_in_the_graph_is_what_latent_rewards_save():
    found = {row.job: row for row in jobs("sd3.5-medium", 512)}
    latent, pixel = found["ReFL step, latent reward"], found["ReFL step, hpsv3"]
    assert latent.cost.flops < 0.6 * pixel.cost.flops and latent.memory_bytes < 0.6 * pixel.memory_bytes
    decoder = vae_cost(1, 512, True, True)
    assert found["reward of a ReFL step, pickscore"].cost.flops == pytest.approx(
        decoder.flops + judge_cost("pickscore", 1, 512, True).flops
    )
    assert found["score latents, 3 levels"].cost.forward < 3.1 * found["score latents, one level"].cost.forward
    assert set(PIXEL_JUDGES) == {"pickscore", "hpsv3"}


def test_a_roofline_is_bound_by_work_or_by_reading_weights():
    work, reading = Cost(forward=1e15, parameters=1), Cost(forward=1.0, parameters=10**9)
    for name, chosen in GPUS.items():
        assert seconds(work, name) == pytest.approx(1e15 / (EFFICIENCY * chosen.flops))
        assert seconds(reading, name) == pytest.approx(2e9 / chosen.bandwidth)
    with pytest.raises(ValueError, match="GPU 'h1000'; accepted: h200, h100"):
        gpu("h1000")


def test_a_data_set_is_pairs_times_a_pair():
    one, many = (dataset_cost("sd3.5-medium", 512, pairs, "h100") for pairs in (1, 1000))
    assert many.storage_bytes == 1000 * one.storage_bytes
    assert one.storage_bytes == 2 * (2 * 16 * 64 * 64 + 205 * 4096 + 2048)
    assert many.training_hours == pytest.approx(1000 * one.training_hours)


def test_the_command_counts_and_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "r.json"
    assert main(["profile", "sd3.5-medium", "--resolution", "256", "--json", str(target)]) == 0
    found = json.loads(target.read_text())
    assert {row["pixels"] for row in found["jobs"]} == {256}
    assert all(row["forward_flops"] > 0 and row["estimated_seconds"] > 0 for row in found["jobs"])
    assert "roofline" in capsys.readouterr().out
    words = ["profile", "synthetic", "--batch-sizes", "1", "2", "--rounds", "1", "--quiet", "--json", str(target)]
    assert main(words) == 0
    rows = json.loads(target.read_text())["rows"]
    assert [(row["levels"], row["batch"]) for row in rows] == [(1, 1), (3, 1), (1, 1), (1, 2), (3, 2), (1, 2)]
    assert rows[1]["flops"] == pytest.approx(3 * rows[0]["flops"], rel=0.2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sd4"], "no such generator or reward model; accepted: sd3.5-medium"),
        (["sd3.5-medium", "--resolution", "500"], "--resolution 500: accepted are multiples of 16"),
        (["sd3.5-medium", "--gpu", "abacus"], "GPU 'abacus'"),
        (["synthetic", "--rounds", "0"], "--rounds 0"),
        (["synthetic", "--batch-sizes", "0"], "--batch-sizes (0,)"),
    ],
)
def test_bad_input_is_refused(words, message, capsys):
    assert main(["profile", *words]) == 2
    assert message in capsys.readouterr().err
