"""One real server for all tests of this folder."""

import pytest

from dina_lrm import LatentRewardModel
from tests.serving.servers import running

TOKEN = "a-token-of-many-letters"


@pytest.fixture(scope="package")
def token_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture(scope="package")
def guarded(token_file, warm_programs):
    """The address of a server that asks for a token."""
    words = ("--model", "dina=synthetic", "sharp=sharpness", "--token-file", str(token_file))
    with running(warm_programs / "dina-lrm", *words) as (address, _):
        yield address


@pytest.fixture
def address(guarded, token_file, monkeypatch):
    """The same, with the token in the environment."""
    monkeypatch.setenv("DINA_LRM_TOKEN_FILE", str(token_file))
    return guarded


@pytest.fixture(scope="package")
def model():
    return LatentRewardModel.from_pretrained("synthetic")
