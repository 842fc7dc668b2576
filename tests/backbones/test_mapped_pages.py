"""What a layer read of a mapped file leaves memory behind it, and nothing else does."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dina_lrm.backbones.mapped_pages import drop, let_pages_go, mappings, pages_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of pages")
SIZE = 512


def resident(address: int) -> int:
    """Bytes in memory of the mapping that holds an address."""
    held = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if "-" in first and not first.endswith(":"):
            low, high = (int(part, 16) for part in first.split("-"))
            held = low <= address < high
        elif held and line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("nothing is mapped there")


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(SIZE, SIZE) for _ in range(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


@pytest.fixture
def plain() -> Layers:
    torch.manual_seed(0)
    return Layers().requires_grad_(False)


@pytest.fixture
def mapped(plain: Layers, tmp_path: Path) -> Layers:
    save_file(plain.state_dict(), tmp_path / "weights.safetensors")
    with torch.device("meta"):
        model = Layers()
    model.load_state_dict(load_file(tmp_path / "weights.safetensors"), assign=True)
    return model.requires_grad_(False)


def test_one_layer_is_in_memory_at_a_time_and_the_numbers_stay(plain, mapped):
    x = torch.randn(2, SIZE)
    assert let_pages_go(mapped) == len(mapped.layers)
    with torch.no_grad():
        for _ in range(2):
            assert torch.equal(mapped(x), plain(x))
    layer = SIZE * SIZE * 4
    assert resident(mapped.layers[0].weight.data_ptr()) < 2 * layer < 6 * layer


def test_without_it_all_layers_are(mapped):
    with torch.no_grad():
        mapped(torch.randn(2, SIZE))
    assert resident(mapped.layers[0].weight.data_ptr()) >= 6 * SIZE * SIZE * 4


def test_what_was_written_to_is_kept(mapped):
    weight = mapped.layers[2].weight
    weight[7, 7] = 42.0
    pages = pages_of(weight, mappings())
    assert pages is not None and not drop(pages)
    let_pages_go(mapped)
    with torch.no_grad():
        mapped(torch.randn(2, SIZE))
    assert weight[7, 7] == 42.0


def test_weights_of_the_process_itself_are_left_alone(plain):
    assert let_pages_go(plain) == 0
    assert pages_of(plain.layers[0].weight, mappings()) is None
