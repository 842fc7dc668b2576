"""What the tests in a browser share: the browser, the bundled model's room, and the address of its pages."""

import pytest

from dina_lrm import LatentRewardModel
from dina_lrm.studio.room import Room
from tests.reports.browser import chromium
from tests.studio.pages import studio


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def room():
    return Room(LatentRewardModel.from_pretrained("synthetic"), "synthetic", ("sharpness",))


@pytest.fixture(scope="module")
def url(room):
    with studio(room) as address:
        yield address
