"""A plot in pieces holds all that the whole drawing holds, each panel once, with keys for what was drawn."""

import xml.etree.ElementTree as ET

import pytest

from dina_lrm.reports import plots
from dina_lrm.reports.panels import plate
from tests.reports.simulated import simulated_result

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module", name="cut")
def _cut():
    results = [simulated_result(pairs=60), simulated_result("<second> & model", extra=0.5, pairs=60)]
    return plate(plots.accuracy_over_noise(results), "figure7")


def test_each_panel_is_a_piece_of_its_own_with_what_it_shows(cut):
    assert [piece.name for piece in cut.panels] == ["In domain", "Unseen compositions", "Unseen defects", "Generated"]
    for number, piece in enumerate(cut.panels, start=1):
        group = ET.fromstring(piece.content)
        assert group.attrib["id"] == f"figure7-axes_{number}"
        assert len(list(group.iter(f"{SVG}path"))) > 10
    heights = {round(piece.box[3], 3) for piece in cut.panels[:2]}
    assert len(heights) == 1 and len(cut.columns) == 2


def test_what_is_drawn_lies_inside_of_the_piece(cut):
    for piece in cut.panels:
        left, top, width, height = piece.box
        for text in ET.fromstring(piece.content).iter(f"{SVG}text"):
            if "x" not in text.attrib:
                continue
            assert left <= float(text.attrib["x"]) <= left + width
            assert top <= float(text.attrib["y"]) <= top + height


def test_keys_are_named_and_refer_to_the_legend_that_all_share(cut):
    assert [key.name for key in cut.keys][:2] == ["synthetic", "<second> & model"]
    assert all('href="#figure7-legend_1"' in key.content for key in cut.keys)
    assert 'id="figure7-legend_1"' in cut.shared and "<second>" not in cut.shared


def test_a_wide_panel_scrolls_and_a_narrow_one_shrinks(cut):
    assert {piece.least_width for piece in cut.panels} == {0.0}
    many = [simulated_result(f"model {number}", pairs=20) for number in range(6)]
    (wide,) = plate(plots.model_bars(many), "figure1").panels
    assert 390 < wide.least_width < wide.width
