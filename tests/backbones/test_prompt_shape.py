"""What a prompt looks like is known without its text encoders, which are loaded when they are first used."""

from tests.backbones.families import PROMPTS


def test_the_shape_that_is_told_is_that_of_encoded_prompts(backbone):
    assert backbone.prompt_shape == backbone.encode_prompts(PROMPTS).shape


def test_nothing_but_the_model_is_held_until_it_is_used(case, folder):
    backbone = case.standalone(folder)
    assert backbone.prompt_shape.tokens > 0
    assert [*backbone.held().values()] == [backbone.transformer]
    backbone.encode_prompts(PROMPTS)
    assert any(name.startswith("text_encoder") for name in backbone.held())
