"""What is measured of collecting is what happens: keys that were pressed are votes, and a killed run goes on."""

import shutil

import pytest

from benchmarks.collecting.browser import Somebody, begun, measured, stored
from benchmarks.collecting.contested import world
from benchmarks.collecting.kept import Kept
from benchmarks.collecting.page import voting_page
from dina_lrm.collecting.asking.job import served
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.data.votes import VoteStore
from dina_lrm.synthetic.utility import PERSONALITIES
from tests.reports.browser import NAMES


@pytest.mark.slow
def test_somebody_presses_keys_in_a_browser_and_teaches_a_model(tmp_path):
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        pytest.skip("no browser on the PATH")
    own, voted, others = world("contested", 8, PERSONALITIES["aesthete"], 0), range(24), range(24, 32)
    own.write(tmp_path / "voted", voted)
    own.write(tmp_path / "others", others)
    begun(tmp_path / "votes.sqlite", "eig")
    given = {"out": tmp_path / "votes.sqlite", "controls": 0.0, "repeats": 0.0, "port": 0, "device": "cpu"}
    settings = AnnotateSettings(str(tmp_path / "voted"), learn="synthetic", held_out=tmp_path / "others", **given)
    somebody = Somebody(own, 1e-9, 0)
    with served(settings) as (address, _), voting_page(browser, address) as page:
        pressed = somebody.votes(page, address, 12)
    assert set(pressed) == {"1", "2"}
    found = stored(tmp_path / "votes.sqlite", pressed)
    assert (found["pressed"], found["stored"]) == (12, 12) and found["at_random"] < 12
    _check_better(tmp_path / "votes.sqlite", own)
    assert measured(str(tmp_path / "votes-model"), own, others) != measured("synthetic", own, others)


def _check_better(path, own):
    """Whoever is never unsure says each time which picture is worth more to them."""
    with VoteStore.read(path) as store:
        for vote in store.votes():
            pair = store.pair(vote.pair)
            rows = [int(store.stored(content).path.stem) for content in (pair.image_a, pair.image_b)]
            gap = own.utility[rows[0]] - own.utility[rows[1]]
            assert gap == 0 or (vote.answer == "a") == (gap > 0)


def test_a_run_goes_on_behind_the_rows_that_were_measured_in_the_same_way(tmp_path):
    Kept(tmp_path / "rows.jsonl", {"votes": 300}).add(1, "eig", {"after": 0.5})
    other = Kept(tmp_path / "rows.jsonl", {"votes": 10})
    other.add(0, "eig", {"after": 0.1})
    again = Kept(tmp_path / "rows.jsonl", {"votes": 300})
    assert again.has(1, "eig") and not again.has(0, "eig") and not again.has(1, "random")
    again.add(0, "eig", {"after": 0.25})
    assert Kept(tmp_path / "rows.jsonl", {"votes": 300}).of((0, 1), "eig", "after") == [0.25, 0.5]
    assert again.seeds(("eig",)) == [0, 1] and again.seeds(("eig", "random")) == []
    assert other.of((0,), "eig", "after") == [0.1]
