"""The page as one file: what can be shown is in it, the rest is said, and what only a server can do is refused."""

import json

import pytest

from dina_lrm.collecting.asking.alone import write_page
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import write_comparisons
from dina_lrm.typed import DinaError
from tests.collecting.asking.pages import PROMPT, settings_of
from tests.data.votes.drawn import pictures, png


def data_of(page):
    return json.loads(page.read_text().split('id="data">')[1].split("</script>")[0])


def test_pairs_of_a_folder_are_in_the_page_and_what_is_not_is_said(tmp_path):
    settings = settings_of(tmp_path, 5, controls=None, repeats=None, page=tmp_path / "sent" / "page.html")
    (tmp_path / "f" / "4.png").write_bytes(b"no picture")
    (tmp_path / "f" / "3.png").write_bytes((tmp_path / "f" / "2.png").read_bytes())
    written = write_page(settings)
    data = data_of(settings.page)
    assert written.pairs == len(data["pairs"]) == 5, "of four that can be read two are one"
    assert len(data["pictures"]) == 3 and {pair["prompt"] for pair in data["pairs"]} == {PROMPT}
    assert all((tmp_path / "sent" / pair["image_a"]).is_file() for pair in data["pairs"])
    told = " ".join(written.told())
    assert "4 left out: a picture that cannot be read" in told and "1 left out: a picture against itself" in told
    assert written.to_dict()["pairs"] == 5 and data["names"] is None


def test_pictures_that_are_in_no_file_lie_beside_the_page(tmp_path):
    rows = [Comparison("a ring", png(2 * n), png(2 * n + 1), 1.0) for n in range(3)]
    write_comparisons(tmp_path / "pairs.parquet", rows, embed_images=True)
    settings = AnnotateSettings(str(tmp_path / "pairs.parquet"), aim=2, page=tmp_path / "page.html")
    assert write_page(settings).pairs == 2
    found = {
        (tmp_path / pair[f"image_{side}"]).read_bytes() for pair in data_of(settings.page)["pairs"] for side in "ab"
    }
    assert found == {png(number) for number in range(4)}


@pytest.mark.parametrize("more", [{"questions": ("quality",)}, {"controls": 0.2}, {"learn": "synthetic"}])
def test_what_only_a_server_can_do_is_refused(tmp_path, more):
    pictures(tmp_path / "f", 2)
    settings = settings_of(tmp_path, 2, **{"controls": None, "repeats": None, "page": tmp_path / "page.html"} | more)
    with pytest.raises(DinaError, match=r"--\w+: no effect on --page .*; accepted: where the page is served"):
        write_page(settings)
