"""Tokens of the environment: sent to whom they are for, and shown nowhere."""

import pytest

from dina_lrm.rewards.addresses import Address, without_passwords_in
from dina_lrm.rewards.remote import RemoteReward
from dina_lrm.rewards.remote.tokens import token_for

HERE, THERE = Address.of("http://127.0.0.1:8311/dina"), Address.of("https://example.org")


@pytest.fixture(autouse=True)
def none(monkeypatch):
    for name in ("DINA_LRM_TOKEN", "DINA_LRM_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_a_line_for_a_server_comes_before_a_token_for_all(monkeypatch, tmp_path):
    assert token_for(HERE) is None
    monkeypatch.setenv("DINA_LRM_TOKEN", "for-all")
    assert token_for(HERE) == "for-all"
    file = tmp_path / "tokens"
    file.write_text("example.org:443  of-example\n\nother:1 of-other\n")
    monkeypatch.setenv("DINA_LRM_TOKEN_FILE", str(file))
    assert (token_for(HERE), token_for(THERE)) == ("for-all", "of-example")
    monkeypatch.delenv("DINA_LRM_TOKEN")
    assert (token_for(HERE), token_for(THERE)) == (None, "of-example")
    file.write_text("alone\n")
    assert token_for(HERE) == "alone"


@pytest.mark.parametrize("text", ["a secret word", "secret\nother", "sécret", "h:1 secret\nsecret"])
def test_other_files_are_refused_without_being_shown(monkeypatch, tmp_path, text):
    file = tmp_path / "tokens"
    file.write_text(text)
    monkeypatch.setenv("DINA_LRM_TOKEN_FILE", str(file))
    with pytest.raises(ValueError, match=r"DINA_LRM_TOKEN") as caught:
        token_for(HERE)
    assert "cret" not in str(caught.value)


def test_a_token_is_shown_nowhere():
    reward = RemoteReward("http://127.0.0.1:9/dina", token="secret", retries=0)
    shown = (repr(reward), reward.name, repr(reward.traffic))
    assert not any("secret" in text for text in shown)
    with pytest.raises(ValueError, match="not a token") as caught:
        RemoteReward("http://127.0.0.1:9", token="sec ret\r\nx: y")
    assert "ret" not in str(caught.value).removeprefix("remote")


def test_a_command_line_is_kept_without_passwords():
    told = without_passwords_in("dina-lrm sample --reward remote:http://me:se@cret@host:1/a,clip --prompts 'me@home'")
    assert told == "dina-lrm sample --reward remote:http://host:1/a,clip --prompts 'me@home'"
