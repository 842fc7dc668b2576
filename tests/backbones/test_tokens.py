"""What a model does not read of a prompt is said, and two spellings of one text are one."""

import unicodedata
import warnings

import pytest
import torch

from dina_lrm import LatentRewardModel, PromptUnreadWarning
from dina_lrm.backbones.tokens import composed, unread_prompts
from dina_lrm.generators.generator import Generator
from dina_lrm.synthetic.world import bundled_pipeline
from tests.tiny import WORDS, tiny_clip_tokenizer, tiny_t5_tokenizer


@pytest.fixture(scope="module")
def bundled():
    return LatentRewardModel.from_pretrained("synthetic")


READ = ["a small red square", "the large blue circle on white", " ".join(WORDS[:4])]
UNREAD = [
    ("<|endoftext|> a small red square", r"holds '<\|endoftext\|>', which is a control token"),
    ("a small<|startoftext|>", r"holds '<\|startoftext\|>', which is a control token"),
    ("a small red square </s>", "'<', '/', '>' cannot be read"),
    ("<pad>", "'<', '>' cannot be read"),
    ("一只猫", "'一', '只', '猫' cannot be read"),
    ("a 🙂 square", "'🙂' cannot be read"),
    ("a caf\u00e9", "'é' cannot be read"),
]


@pytest.mark.parametrize(("prompt", "told"), UNREAD)
def test_what_is_not_read_is_said_with_its_characters(bundled, prompt, told):
    first, second = bundled.backbone.unread_prompts([READ[0], prompt])
    assert first is None
    with pytest.warns(PromptUnreadWarning, match=rf"encode_prompts: 1 of 2 prompts are not read whole; .*{told}"):
        bundled.encode_prompts([READ[0], prompt])
    assert second.startswith(repr(prompt[:60]))


def test_a_long_list_of_characters_is_cut(bundled):
    (told,) = bundled.backbone.unread_prompts(["一二三四五六七"])
    assert told.endswith("'五', ... cannot be read")


@pytest.mark.parametrize("prompt", READ)
def test_ordinary_prompts_are_read_whole(bundled, prompt):
    assert bundled.backbone.unread_prompts([prompt, "", "  "]) == (None, None, None)


def test_control_tokens_of_every_tokenizer_are_known():
    components = {"tokenizer": tiny_clip_tokenizer(), "tokenizer_2": None, "tokenizer_3": tiny_t5_tokenizer()}
    word = WORDS[0]
    (told,) = unread_prompts(components, [f"{word} </s> <pad> <|endoftext|>"])
    assert all(f"'{mark}'" in told for mark in ("</s>", "<pad>", "<|endoftext|>"))
    assert unread_prompts(components, [word]) == (None,)


def test_a_generator_asks_about_a_prompt_once_unless_there_is_something_to_say(bundled, monkeypatch):
    generator, asked = Generator(bundled_pipeline(), 32), []

    def counted(prompts):
        asked.extend(prompts)
        return bundled.backbone.unread_prompts(prompts)

    monkeypatch.setattr(generator.backbone, "unread_prompts", counted)
    prompts = [READ[0], "a 🙂 square", READ[0]]
    for told in (prompts[:2], prompts[1:2]):
        with pytest.warns(PromptUnreadWarning, match="check_prompts: 1 of 3 prompts are not read whole"):
            generator.check_prompts(prompts)
        assert asked == told
        asked.clear()
    for _ in range(2):
        with pytest.raises(ValueError, match=r"1 of 2 prompts are longer .*prompt 2"):
            generator.check_prompts([READ[0], "a small red ring right of a large blue bar " * 5])


def test_two_spellings_of_one_text_are_one_prompt(bundled):
    one, other = (unicodedata.normalize(form, "a café") for form in ("NFC", "NFD"))
    assert one != other
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PromptUnreadWarning)
        first, second = (bundled.encode_prompts([text]) for text in (one, other))
    assert torch.equal(first.prompt_embeds, second.prompt_embeds)
    assert torch.equal(first.prompt_mask, second.prompt_mask)


def test_text_that_is_composed_stays_as_it_is():
    texts = ["plain", "café", "猫 🙂", "a\u2028b"]
    assert composed(texts) == texts
