"""Counts against products of matrices by hand, and laws between the costs of jobs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dina_lrm.cli.main import main
from dina_lrm.profiling.counting import Cost, by_batch, count, without_storage
from dina_lrm.profiling.encoders import TEXT_ENCODERS, vae_cost
from dina_lrm.profiling.generators import GENERATORS, FullSizeGenerator, head_cost, transformer_cost
from dina_lrm.profiling.hardware import EFFICIENCY, GPUS, gpu, seconds
from dina_lrm.profiling.jobs import dataset_cost, jobs
from dina_lrm.profiling.live_bytes import LiveBytes
from dina_lrm.profiling.pixel_judges import judge_cost, qwen2_language, qwen2_vision

META = torch.device("meta")


def shallow(name: str) -> FullSizeGenerator:
    """A generator of full width and few blocks: what is counted takes as long as there are blocks."""
    return replace(GENERATORS[name], depth=2, blocks=3, text_encoders=("clip-l",))


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
    """Parameters as published, in billions: the generators whole, their text encoders, and the two parts of HPSv3."""
    built = {
        "sd3.5-medium": (GENERATORS["sd3.5-medium"].transformer(24), 2.24),
        "flux.1-dev": (GENERATORS["flux.1-dev"].transformer(57), 11.9),
        "z-image-turbo": (GENERATORS["z-image-turbo"].transformer(30), 6.15),
        "t5-xxl": (without_storage(TEXT_ENCODERS["t5-xxl"].build), 4.76),
        "clip-l": (without_storage(TEXT_ENCODERS["clip-l"].build), 0.1237),
        "clip-g": (without_storage(TEXT_ENCODERS["clip-g"].build), 0.695),
        "qwen3-4b": (without_storage(TEXT_ENCODERS["qwen3-4b"].build), 4.02),
        "vision of Qwen2-VL": (qwen2_vision(), 0.675),
        "language of Qwen2-VL-7B, without its output": (qwen2_language(), 7.07),
    }
    for name, (model, published) in built.items():
        assert sum(weight.numel() for weight in model.parameters()) / 1e9 == pytest.approx(published, rel=0.01), name


@pytest.mark.parametrize("name", GENERATORS)
def test_cost_grows_as_it_must(name):
    chosen = shallow(name)
    one, two = (transformer_cost(chosen, 2, batch, 256, True) for batch in (1, 2))
    assert two.forward == pytest.approx(2 * one.forward, rel=0.05)
    assert two.parameters == one.parameters
    assert 0.5 * one.forward < one.backward < 2 * one.forward, "frozen weights: as much back as there, text aside"
    assert transformer_cost(chosen, 2, 1, 512, True).forward > 2 * one.forward
    assert transformer_cost(chosen, 1, 1, 256, True).forward < one.forward
    ensemble, single = (head_cost(chosen, 1, 256, levels, True) for levels in (3, 1))
    assert single.forward < ensemble.forward < 4 * single.forward


def test_three_items_are_counted_from_one_and_two():
    with META:
        model = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 4)).requires_grad_(False)

    def cost(batch: int) -> Cost:
        return count(lambda: model(torch.empty(batch, 8, device=META, requires_grad=True)), True, (model,))

    assert by_batch(cost, 3) == cost(3)


def test_a_pixel_reward_adds_the_decoder_and_a_latent_one_its_head():
    chosen = shallow("sd3.5-medium")
    found = {row.job: row for row in jobs(chosen, 512, judges=["clip-b32"])}
    decoder, judge = vae_cost(1, 512, True, True), judge_cost("clip-b32", 1, True)
    pixel, latent = found["ReFL reward, clip-b32"], found["ReFL reward, latent"]
    assert pixel.cost == decoder + judge
    assert latent.cost.parameters == head_cost(chosen, 1, 512, 1, True).parameters
    assert latent.memory_bytes < 0.5 * pixel.memory_bytes
    one, three = (found[f"score latents, {levels}"].cost for levels in ("one level", "3 levels"))
    assert one.forward < three.forward < 3.1 * one.forward
    whole = found["score images and prompts"].cost
    assert whole == found["encode images"].cost + found["encode prompts"].cost + one


def test_a_roofline_is_bound_by_work_or_by_reading_weights():
    work, reading = Cost(forward=1e15, parameters=1), Cost(forward=1.0, parameters=10**9)
    for name, chosen in GPUS.items():
        assert seconds(work, name) == pytest.approx(1e15 / (EFFICIENCY * chosen.flops))
        assert seconds(reading, name) == pytest.approx(2e9 / chosen.bandwidth)
    with pytest.raises(ValueError, match="GPU 'h1000'; accepted: h200, h100"):
        gpu("h1000")


def test_a_data_set_is_pairs_times_a_pair():
    one, many = (dataset_cost(shallow("sd3.5-medium"), 512, pairs, "h100") for pairs in (1, 1000))
    assert many.storage_bytes == 1000 * one.storage_bytes
    assert one.storage_bytes == 2 * (2 * 16 * 64 * 64 + 205 * 4096 + 2048)
    assert many.training_hours == pytest.approx(1000 * one.training_hours)


def test_tensors_are_followed_while_they_live():
    layer = nn.Linear(8, 16, bias=False)
    with LiveBytes([layer]) as live:
        hidden = layer(torch.ones(10, 8))
        view = hidden[:5]
        del hidden
        first = live.peak
        del view
        torch.ones(10, 8)
    assert first == 4 * (8 * 16 + 10 * 8 + 10 * 16)
    assert live.peak == first, "what was freed made room"


def test_the_command_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    target = tmp_path / "r.json"
    monkeypatch.setitem(GENERATORS, "shallow", shallow("sd3.5-medium"))
    words = ["--resolution", "256", "--batch-sizes", "1", "3", "--pixel-rewards", "clip-b32", "--json", str(target)]
    assert main(["profile", "shallow", *words, "--plot", str(tmp_path / "cost.png")]) == 0
    assert (tmp_path / "cost.png").stat().st_size > 10_000
    found = json.loads(target.read_text())
    assert [row["batch"] for row in found["jobs"]] == [1] * 10 + [3] * 10
    assert all(row["forward_flops"] > 0 and row["estimated_per_second"] > 0 for row in found["jobs"])
    assert [row["pixels"] for row in found["datasets"]] == [256]
    assert "roofline" in capsys.readouterr().out


def test_the_command_measures_what_the_library_does(tmp_path: Path) -> None:
    target = tmp_path / "r.json"
    words = ["--batch-sizes", "1", "--rounds", "1", "--quiet", "--json", str(target)]
    assert main(["profile", "synthetic", *words]) == 0
    found = json.loads(target.read_text())
    rows = {row["job"]: row for row in found["rows"]}
    assert len(rows) == 10
    one, three = (rows[f"score latents, {levels}"] for levels in ("one level", "3 levels"))
    assert three["flops"] == pytest.approx(3 * one["flops"], rel=0.2)
    # A pair is two images, and its way back costs at least as much as the way there
    assert rows["train, one step"]["flops"] > 3 * one["flops"]
    latent, pixel = rows["ReFL step, latent"], rows["ReFL step, clip-b32"]
    assert latent["flops"] < pixel["flops"] and 2 * latent["peak_bytes"] < pixel["peak_bytes"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sd4"], "no such generator or reward model; accepted: sd3.5-medium"),
        (["sd3.5-medium", "--resolution", "500"], "--resolution 500; accepted: multiples of 16"),
        (["sd3.5-medium", "--gpu", "abacus"], "GPU 'abacus'"),
        (["sd3.5-medium", "--pixel-rewards", "eye"], "pixel reward 'eye'; accepted: clip-b32"),
        (["synthetic", "--rounds", "0"], "--rounds 0"),
        (["synthetic", "--batch-sizes", "0"], "--batch-sizes (0,)"),
    ],
)
def test_bad_input_is_refused(words, message, capsys):
    assert main(["profile", *words]) == 2
    assert message in capsys.readouterr().err
