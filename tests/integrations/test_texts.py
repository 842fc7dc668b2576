"""Texts of a language model as rewards: drawn, describing, naming; with TRL's and ms-swift's own signatures."""

import math
import sys
from types import ModuleType

import pytest
import torch
from PIL import Image

from dina_lrm.generators.load import loaded_generator
from dina_lrm.generators.settings import usual_settings
from dina_lrm.integrations.swift import register
from dina_lrm.integrations.text_settings import TextSettings
from dina_lrm.integrations.texts import text_of
from dina_lrm.integrations.trl import as_reward, picture_reward, text_reward
from dina_lrm.rewards.function import FunctionReward

TEXTS = ["a small red ring on white", "two large blue bars on black", "a cross"]
WANTED = ["a red ring", "blue bars", "a black cross"]
HERE = {"device": "cpu", "noise_level": 0.4}


@pytest.fixture(scope="module")
def pictures():
    pixels = (torch.rand(3, 32, 32, 3, generator=torch.Generator().manual_seed(0)) * 255).byte()
    return [Image.fromarray(one.numpy()) for one in pixels]


@pytest.fixture(scope="module")
def folder(pictures, tmp_path_factory):
    found = tmp_path_factory.mktemp("pictures")
    (found / "sub").mkdir()
    for name, picture in zip(("a.png", "b.png", "sub/c.png"), pictures, strict=True):
        picture.save(found / name)
    (found / "notes.txt").write_text("no picture")
    pictures[0].save(found.parent / "outside.png")
    (found / "link.png").symlink_to(found.parent / "outside.png")
    return found


def test_what_is_drawn_is_what_the_generator_draws_from_one_noise(model):
    reward = text_reward(draw="synthetic", steps=3, seed=5, batch_size=2, **HERE)
    found = reward(prompts=WANTED, completions=TEXTS, completion_ids=[[1]] * 3, trainer_state=None)
    generator = loaded_generator(usual_settings("synthetic"), "cpu")
    with torch.no_grad(), generator.reference():
        told = generator.encode_prompts(TEXTS)
        latents = generator.denoise(generator.noise([5] * 3), told, generator.levels(3))
    expected = model.score_latents(latents, model.encode_prompts(WANTED), 0.4, seed=5)
    assert found == pytest.approx(expected.tolist(), abs=1e-4)
    alone = reward(prompts=WANTED[2:], completions=TEXTS[2:], completion_ids=[[1]])
    assert alone == pytest.approx(found[2:], abs=1e-4)


def test_a_column_may_say_what_is_wanted_and_an_empty_text_has_no_score():
    by_prompt = text_reward(draw="synthetic", steps=2, **HERE)
    by_column = text_reward(draw="synthetic", steps=2, prompt_column="caption", **HERE)
    asked = [[{"role": "user", "content": f"rewrite: {text}"}] for text in WANTED]
    said = [[{"role": "assistant", "content": text}] for text in (TEXTS[0], "  ", TEXTS[2])]
    found = by_column(prompts=asked, completions=said, completion_ids=[], caption=WANTED)
    assert found[1] is None
    expected = by_prompt(prompts=WANTED, completions=[TEXTS[0], "", TEXTS[2]], completion_ids=[])
    assert [found[0], found[2]] == pytest.approx([expected[0], expected[2]], abs=1e-4)
    assert by_prompt(prompts=WANTED, completions=["", "\n", " "], completion_ids=[]) == [None] * 3
    with pytest.raises(ValueError, match="no column 'caption'; the data set has label"):
        by_column(prompts=asked, completions=said, completion_ids=[], label=WANTED)


def test_a_caption_is_scored_against_its_picture(model, pictures, folder):
    reward = text_reward(caption_of="image", **HERE)
    expected = model.score(pictures, TEXTS, 0.4).tolist()
    for column in (pictures, [[one] for one in pictures], [folder / name for name in ("a.png", "b.png", "sub/c.png")]):
        assert reward(["describe"] * 3, TEXTS, completion_ids=[], image=column) == pytest.approx(expected, abs=1e-4)
    found = reward(["describe"] * 3, [TEXTS[0], "", TEXTS[2]], completion_ids=[], image=pictures)
    assert found[1] is None and found[0] == pytest.approx(expected[0], abs=1e-4)
    with pytest.raises(FileNotFoundError, match=r"missing\.png: no such image file"):
        reward(["describe"], TEXTS[:1], completion_ids=[], image=["missing.png"])


def test_a_name_is_looked_for_in_the_folder_and_nowhere_else(model, pictures, folder):
    reward = text_reward(folder=folder, **HERE)
    names = ["a.png", " b.png\n", "sub/c.png"]
    expected = model.score(pictures, WANTED, 0.4).tolist()
    assert reward(WANTED, names, completion_ids=[]) == pytest.approx(expected, abs=1e-4)
    outside = [
        "../outside.png",
        str(folder.parent / "outside.png"),
        "link.png",
        "/etc/passwd",
        "",
        "notes.txt",
        "none.png",
    ]
    outside += ["a\0.png", "x" * 5000, "sub", "http://localhost/a.png", "~/a.png"]
    assert reward(["a cross"] * len(outside), outside, completion_ids=[]) == [None] * len(outside)


def test_texts_of_conversations():
    parts = [{"type": "image"}, {"type": "text", "text": "a red "}, {"type": "text", "text": "ring"}]
    assert (
        text_of("x")
        == text_of({"role": "user", "content": "x"})
        == text_of([{"content": "y"}, {"content": "x"}])
        == "x"
    )
    assert text_of([{"role": "user", "content": parts}]) == text_of(parts) == "a red ring"
    for wrong in ([], 3, None):
        with pytest.raises(ValueError, match="as a text; accepted"):
            text_of(wrong)


def test_settings_say_one_source(tmp_path):
    with pytest.raises(ValueError, match="text reward: nothing is given; accepted: one of draw, caption_of, folder"):
        TextSettings()
    with pytest.raises(ValueError, match="draw and folder is given"):
        text_reward(draw="synthetic", folder=tmp_path)
    with pytest.raises(ValueError, match="prompt_column beside caption_of"):
        text_reward(caption_of="image", prompt_column="caption")
    with pytest.raises(ValueError, match="accepted: a folder of pictures"):
        text_reward(folder=tmp_path / "none")
    with pytest.raises(TypeError, match="colour"):
        text_reward(draw="synthetic", colour="red")
    assert text_reward(draw="synthetic").__name__ == "dina"


@pytest.fixture
def swift(monkeypatch):
    """What a plug-in sees of ms-swift: a base class and a table."""
    module = ModuleType("swift.rewards")

    class ORM:
        def __init__(self, args=None, **named):
            self.args = args

    module.ORM, module.orms = ORM, {}
    monkeypatch.setitem(sys.modules, "swift", ModuleType("swift"))
    monkeypatch.setitem(sys.modules, "swift.rewards", module)
    return module


def test_an_orm_is_registered_by_name_and_gives_what_trls_function_does(swift, pictures):
    found = register(caption_of="image", **HERE)
    orm = swift.orms["dina"](args="of the trainer")
    assert swift.orms["dina"] is found and issubclass(found, swift.ORM) and type(orm).__name__ == "dina"
    scores = orm([*TEXTS[:2], ""], image=pictures, trainer_state=None, messages=[[]] * 3)
    expected = text_reward(caption_of="image", **HERE)(["d"] * 3, [*TEXTS[:2], ""], completion_ids=[], image=pictures)
    assert scores[2] is None and scores == expected
    with pytest.raises(ValueError, match="'dina' is registered already"):
        register(caption_of="image")
    with pytest.raises(ValueError, match="prompt_column is not given"):
        register(draw="synthetic", name="other")
    drawn = register(draw="synthetic", prompt_column="caption", name="drawn", steps=2, **HERE)()
    assert all(math.isfinite(score) for score in drawn(TEXTS, caption=WANTED))


def test_the_old_signature_of_pictures_both_ways(model):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = model.score(images, TEXTS, 0.4)
    reward = picture_reward(noise_level=0.4)
    rewards, more = reward(images, tuple(TEXTS), ({},) * 3)
    torch.testing.assert_close(rewards, expected)
    alone = picture_reward(noise_level=0.4, metadata=False)(images, tuple(TEXTS), ({},) * 3)
    assert more == {} and torch.equal(alone, rewards)
    for theirs in (reward, picture_reward(noise_level=0.4, metadata=False)):
        back = FunctionReward(as_reward(theirs), "theirs")
        torch.testing.assert_close(back(images, TEXTS), expected)
    with pytest.raises(ValueError, match="it has no gradient, which AlignProp needs"):
        reward(images.requires_grad_(), tuple(TEXTS), ({},) * 3)
    sharp, _ = picture_reward("sharpness")(images, tuple(TEXTS), ({},) * 3)
    assert torch.autograd.grad(sharp.sum(), images)[0].abs().sum() > 0
