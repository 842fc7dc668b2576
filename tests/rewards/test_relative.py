"""A reward's difference under two texts: what cancels, what the name may say, and what it may not hide."""

import json

import pytest
import torch

from dina_lrm.rewards.addresses import without_password
from dina_lrm.rewards.disjoint import check_disjoint
from dina_lrm.rewards.function import FunctionReward
from dina_lrm.rewards.gradients import check_gradient
from dina_lrm.rewards.names import load_reward
from dina_lrm.rewards.relative import RelativeReward
from dina_lrm.rewards.relative_name import RelativeName
from dina_lrm.sampling.reward_term import named_term
from tests.alignment.runs import PROMPTS, a_generator

TWO = PROMPTS[:2]


@pytest.fixture(scope="module")
def generator():
    return a_generator()


def relative(generator, asked="?good=a large&bad=a small", reward="latent:synthetic"):
    return load_reward(f"relative:{reward}{asked}", generator)


def test_it_is_the_difference_of_two_scores_with_one_draw_of_noise(generator):
    latents, reward = generator.noise([1, 2]), relative(generator, "?good=a large&bad={prompt} in a small&k=0.25")
    inner, bound = reward.reward.bound_to(generator), reward.bound_to(generator)
    good, bad = [f"a large {prompt}" for prompt in TWO], [f"{prompt} in a small" for prompt in TWO]
    expected = 1.25 * inner(latents, good, 7) - inner(latents, bad, 7)
    assert torch.equal(bound(latents, TWO, 7, generator.encode_prompts(TWO)), expected)
    torch.testing.assert_close(
        bound.raw(latents, TWO, 7, None), 1.25 * inner.raw(latents, good, 7, None) - inner.raw(latents, bad, 7, None)
    )


def test_what_does_not_depend_on_the_words_cancels_and_equal_texts_are_0(generator):
    latents = generator.noise([1, 2])
    alike = relative(generator, "?good=a&bad=a").bound_to(generator)
    assert alike(latents, TWO, 3).tolist() == [0.0, 0.0]
    blind = load_reward("relative:sharpness?good=a&bad=b").bound_to(generator)
    assert blind(latents, TWO).tolist() == [0.0, 0.0] and blind.decodings == 1
    more = load_reward("relative:sharpness?good=a&bad=b&k=0.5").bound_to(generator)
    sharp = load_reward("sharpness").bound_to(generator)
    torch.testing.assert_close(more(latents, TWO), 0.5 * sharp(latents, TWO))


def test_swapped_texts_turn_scores_and_their_gradient_round(generator):
    gradients = []
    for asked in ("?good=a large&bad=a small", "?good=a small&bad=a large"):
        reward, latents = relative(generator, asked), generator.noise([1, 2]).requires_grad_()
        assert reward.differentiable and reward.kind == "latent"
        (gradient,) = torch.autograd.grad(reward.bound_to(generator)(latents, TWO, 3).sum(), latents)
        gradients.append(gradient)
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(gradients[0], -gradients[1])


def test_a_missing_score_is_missing_and_what_has_no_gradient_says_so():
    def found(images, prompts):
        return [None if "bad" in prompt else 1.0 for prompt in prompts]

    reward = RelativeReward(FunctionReward(found), RelativeName("function", "good", "bad"))
    assert reward(torch.zeros(1, 3, 4, 4), ["x"]).isnan().all() and not reward.differentiable
    with pytest.raises(ValueError, match=r"reward 'relative:jpeg-size\?good=a&bad=b' has no gradient"):
        check_gradient(["relative:jpeg-size?good=a&bad=b"])


def test_it_reads_at_another_level_where_its_reward_does(generator):
    name, latents = "relative:latent:synthetic?good=a large&bad=a small", generator.noise([1])
    at = [load_reward(name, generator, level).bound_to(generator)(latents, TWO[:1], 3) for level in (None, 0.2, 0.6)]
    assert at[1] != at[2]
    with pytest.raises(ValueError, match=r"noise_level 0\.2; accepted where its reward adds noise"):
        load_reward("relative:sharpness?good=a&bad=b", noise_level=0.2)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("clip", "no texts; accepted: relative:REWARD"),
        ("clip?good=a", "a text is missing or empty"),
        ("clip?good=a&bad=%20", "a text is missing or empty"),
        ("clip?good=a&bad=b&c=d", "'c=d'; accepted: relative:REWARD"),
        ("clip?good=a&good=b", "'good=b'; .*each once"),
        ("clip?good=a&bad=b&k=much", "k is 'much'; accepted: a finite number of at least 0"),
        ("clip?good=a&bad=b&k=nan", "k is 'nan'"),
        ("relative:clip?good=a&bad=b?good=a&bad=b", "accepted: one reward"),
        ("mixture:x.json?good=a&bad=b", "accepted: one reward"),
    ],
)
def test_a_name_that_says_something_else_is_refused(model, said):
    with pytest.raises(ValueError, match=said):
        load_reward(f"relative:{model}")


def test_names_keep_their_texts_beside_a_weight_and_a_score():
    name = "relative:latent:x?score=taste?good=50%25 more&bad=less"
    assert RelativeName.of(name.partition(":")[2]) == RelativeName("latent:x?score=taste", "50% more", "less")
    assert [named_term("--reward", text).weight for text in (name, f"{name}&k=0.1", f"{name}=0.1")] == [1, 1, 0.1]
    assert named_term("--reward", f"{name}=0.1").name == name


def test_it_hides_neither_a_password_nor_code_nor_what_is_golden(tmp_path):
    assert without_password("relative:remote:http://me:pw@host/x?good=a&bad=b") == (
        "relative:remote:http://host/x?good=a&bad=b"
    )
    (tmp_path / "a.json").write_text(json.dumps([{"reward": "relative:python:os.system?good=a&bad=b"}]))
    with pytest.raises(ValueError, match=r"'relative:python:os.system\?good=a&bad=b' is code, .*\+python:os\.system$"):
        load_reward(f"mixture:{tmp_path / 'a.json'}")
    with pytest.raises(ValueError, match="golden reward 'cnn': shares"):
        check_disjoint(load_reward("cnn"), [load_reward("relative:cnn?good=a&bad=b")])
