"""The table of `docs/backbones.md`: full-size configurations without weights."""

import re
from pathlib import Path

import pytest

from dina_lrm.profiling.generators import generator, transformer_cost
from tests.backbones.full_size import FULL_SIZE, FULL_SIZE_UNETS, read, read_unet

PAGE = Path(__file__).parents[2] / "docs" / "backbones.md"


def table():
    """Rows of the page's table of sizes, by generator."""
    rows = [
        line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if re.match(r"\| [\w.-]+ \| \d", line)
    ]
    return {cells[0]: [float(cell.replace(" ", "")) for cell in cells[1:]] for cells in rows}


def test_the_table_has_every_generator():
    assert set(table()) == set(FULL_SIZE)


@pytest.mark.filterwarnings("ignore")  # of libraries, about tensors without storage
@pytest.mark.parametrize("name", FULL_SIZE)
def test_shapes_and_numbers_are_those_of_the_page(name):
    size, found = FULL_SIZE[name], read(name)
    blocks, depth, whole, used, teraflops, tokens, width, time_width = table()[name]
    assert depth == size.depth and blocks >= depth
    patch = found.backbone.latent_multiple
    assert tokens == (size.side // patch) ** 2
    visual, text = found.features.visual, found.features.text
    assert [tuple(t.shape) for t in visual] == [(1, tokens, width)] * len(size.visual_taps)
    assert [tuple(t.shape) for t in text] == [(1, size.text_tokens, width)] * len(size.text_taps)
    assert found.backbone.visual_widths == (width,) * len(visual) and found.backbone.text_widths == (width,) * len(text)
    assert found.features.time_embedding.shape == (1, time_width) == (1, found.backbone.time_embedding_width)
    assert found.backbone.pixels_per_latent * size.side == 1024
    assert (round(found.whole, 2), round(found.used, 2)) == (whole, used)
    assert round(found.teraflops, 1) == teraflops


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FULL_SIZE_UNETS)
def test_unets_are_as_the_page_says(name):
    [cells] = [
        line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith(f"| {name} |")
    ]
    size, found = FULL_SIZE_UNETS[name], read_unet(name)
    taps = ", ".join(
        f"{height} x {tap.shape[2]}"
        for (height, _), tap in zip(found.features.grids, found.features.visual, strict=True)
    )
    time_width = found.features.time_embedding.shape[1]
    numbers = [f"{found.whole:.2f}", f"{found.used:.2f}", f"{found.teraflops:.2f}", str(8 * size.side), str(time_width)]
    assert cells == [name, str(size.depth), *numbers, taps]
    assert [tap.shape[1] for tap in found.features.visual] == [h * w for h, w in found.features.grids]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["SD3.5-Medium", "FLUX.1-dev", "Z-Image-Turbo"])
def test_the_profile_counts_the_same(name):
    profile = transformer_cost(generator(name.lower()), FULL_SIZE[name].depth, 1, 1024, False)
    found = read(name)
    assert profile.forward / 1e12 == pytest.approx(found.teraflops, rel=0.01)
    assert profile.parameters / 1e9 == pytest.approx(found.used, rel=0.01)
