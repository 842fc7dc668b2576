"""Mixtures from files: they sum what they name, and name neither code nor files that nobody asked for."""

import json

import pytest
import torch

from dina_lrm.rewards.names import load_reward
from dina_lrm.rewards.remote import RemoteRewardError
from tests.models import some_images
from tests.rewards.functions import brightness

PROMPTS = ["a red cube", "a ball"]
FUNCTION = "python:tests.rewards.functions.brightness"


@pytest.fixture
def write(tmp_path):
    def written(name, *rewards):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([{"reward": reward} for reward in rewards]))
        return path

    return written


def test_a_file_may_not_choose_code(write):
    path = write("a.json", "sharpness", "python:os.system")
    with pytest.raises(ValueError, match=r"a\.json, entry 1: 'python:os\.system' is code, .*\+python:os\.system"):
        load_reward(f"mixture:{path}")
    with pytest.raises(ValueError, match=r"'python:os\.system' is code"):
        load_reward(f"mixture:{path}+{FUNCTION}")


@pytest.mark.parametrize("server", ["http://10.255.255.1:8000/dina", "https://you:secret@rewards.invalid"])
def test_a_file_may_not_send_anything_to_another_machine(write, server):
    path = write("a.json", "sharpness", f"remote:{server}")
    with pytest.raises(ValueError, match=r"a\.json, entry 1: .* is another machine, .*\+remote:http") as refused:
        load_reward(f"mixture:{path}")
    assert "secret" not in str(refused.value)


def test_a_server_of_this_machine_or_named_by_oneself_is_asked(write):
    here = write("a.json", "sharpness", "remote:http://127.0.0.1:9/dina")
    with pytest.raises(RemoteRewardError, match="refused the connection"):
        load_reward(f"mixture:{here}")
    there = write("b.json", "sharpness", "remote:http://rewards.invalid:9")
    with pytest.raises(RemoteRewardError, match="no answer"):
        load_reward(f"mixture:{there}+remote:http://rewards.invalid:9")


def test_functions_that_were_named_are_summed(write):
    path = write("a.json", FUNCTION, "sharpness")
    images = some_images(2)
    found = load_reward(f"mixture:{path}+{FUNCTION}")(images, PROMPTS)
    expected = brightness(images, PROMPTS) + load_reward("sharpness")(images, PROMPTS)
    torch.testing.assert_close(found, expected)


def test_a_mixture_within_a_mixture_lies_beside_it(write):
    write("in/ner.json", "sharpness", FUNCTION)
    outer = write("outer.json", "mixture:in/ner.json", "colourfulness")
    images = some_images(2)
    with pytest.raises(ValueError, match=r"ner\.json, entry 1: .* is code"):
        load_reward(f"mixture:{outer}")
    found = load_reward(f"mixture:{outer}+{FUNCTION}")(images, PROMPTS)
    parts = [load_reward(name)(images, PROMPTS) for name in ("sharpness", "colourfulness")]
    torch.testing.assert_close(found, sum(parts) + brightness(images, PROMPTS))


@pytest.mark.parametrize("inner", ["mixture:../a.json", "mixture:/etc/passwd", "mixture:in/../../a.json"])
def test_a_mixture_in_another_folder_is_refused(write, inner):
    write("a.json", "sharpness")
    outer = write("sub/outer.json", inner)
    with pytest.raises(ValueError, match=r"outer\.json, entry 0: .* lies elsewhere"):
        load_reward(f"mixture:{outer}")


def test_a_link_out_of_the_folder_is_refused(write, tmp_path):
    write("a.json", "sharpness")
    outer = write("sub/outer.json", "mixture:link.json")
    (tmp_path / "sub" / "link.json").symlink_to(tmp_path / "a.json")
    with pytest.raises(ValueError, match="lies elsewhere"):
        load_reward(f"mixture:{outer}")


def test_circles_and_towers_are_refused(write):
    write("a.json", "mixture:b.json")
    circle = write("b.json", "mixture:./a.json")
    with pytest.raises(ValueError, match="is within itself"):
        load_reward(f"mixture:{circle}")
    for level in range(20):
        write(f"{level}.json", f"mixture:{level + 1}.json")
    tower = write("20.json", "sharpness").with_name("0.json")
    with pytest.raises(ValueError, match="is more than 8 mixtures deep"):
        load_reward(f"mixture:{tower}")
    assert load_reward(f"mixture:{tower.with_name('13.json')}").kind == "pixel"


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "null", '["sharpness"]', "[[]]", "[{}]", '[{"reward": 3}]', "[" * 100_000),
        *('[{"reward": "sharpness", "wieght": 2}]', '[{"reward": "sharpness", "weight": "2"}]'),
        *('[{"reward": "sharpness", "weight": NaN}]', '[{"reward": "sharpness", "std": 0}]'),
        '[{"reward": "sharpness", "weight": 1e999}]',
        json.dumps([{"reward": "sharpness"}] * 65),
    ],
)
def test_what_is_no_list_of_rewards_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        load_reward(f"mixture:{path}")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"a\.json: no such file"):
        load_reward(f"mixture:{tmp_path / 'a.json'}")
