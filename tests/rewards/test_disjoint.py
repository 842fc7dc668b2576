"""A golden reward shares nothing with what is optimised, under whatever name or wrapper it comes."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dina_lrm.rewards.disjoint import check_disjoint, shares_with_named
from dina_lrm.rewards.function import FunctionReward
from dina_lrm.rewards.heuristics import Colourfulness, Sharpness
from dina_lrm.rewards.judges.clip import ClipScore, load_clip, load_pickscore
from dina_lrm.rewards.latent import ImageReward, LatentReward
from dina_lrm.rewards.mixture import Mixture, MixtureItem
from dina_lrm.rewards.names import load_reward
from tests.models import randomised, tiny_reward_model
from tests.rewards.functions import brightness, sometimes
from tests.rewards.tiny_judges import save_tiny_clip


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> tuple[Path, Path, Path]:
    """A judge, another, and a copy of the first."""
    folder = tmp_path_factory.mktemp("clips")
    first, other = (save_tiny_clip(folder / name, seed) for seed, name in enumerate(("first", "other")))
    shutil.copytree(first, folder / "copy")
    return first, other, folder / "copy"


def refused(golden, *objective) -> str:
    with pytest.raises(ValueError, match="takes part in the objective; accepted: a reward that nothing") as error:
        check_disjoint(golden, objective)
    return str(error.value)


def test_other_judges_are_accepted(clips):
    first, other, _ = clips
    rewards = [Sharpness(), FunctionReward(sometimes, "sometimes"), load_clip(str(other))]
    check_disjoint(load_clip(str(first)), rewards)
    check_disjoint(Colourfulness(), rewards)
    check_disjoint(FunctionReward(brightness, "brightness"), rewards)


def test_a_judge_is_known_by_itself_its_name_and_its_function():
    sharp = Sharpness()
    assert refused(sharp, Colourfulness(), sharp).startswith(
        "golden reward 'sharpness': shares itself with 'sharpness'"
    )
    assert "the name 'sharpness'" in refused(Sharpness(), Sharpness())
    golden, other = FunctionReward(brightness, "gold"), FunctionReward(brightness, "silver", differentiable=True)
    assert "the function brightness with 'silver'" in refused(golden, other)


def test_a_judge_is_known_by_the_folder_of_its_weights_in_any_family(clips, tmp_path):
    first, other, _ = clips
    link = tmp_path / "link"
    link.symlink_to(first)
    golden = load_clip(str(first))
    # The tensors are another judge's: the names alone say it
    assert "the weights" in refused(golden, replace(load_clip(str(other)), name=f"pickscore:{link}"))
    assert refused(golden, load_pickscore(str(first)))


def test_a_judge_is_known_by_its_tensors_wherever_they_were_loaded_from(clips):
    first, _, copy = clips
    golden, again = load_clip(str(first)), load_clip(str(copy))
    assert "the weights of a CLIPModel" in refused(golden, again)
    again.towers.model.bfloat16()
    assert "the weights of a CLIPModel" in refused(golden, again)
    with torch.no_grad():
        for parameter in again.towers.model.parameters():
            parameter.mul_(1.5)
    check_disjoint(golden, [again])


def test_members_of_a_mixture_take_part(clips):
    first, other, copy = clips
    parts = (load_clip(str(other)), load_clip(str(copy)))
    mixture = Mixture(tuple(MixtureItem(part.name) for part in parts), parts)
    assert "with 'mixture'" in refused(load_clip(str(first)), Sharpness(), mixture)
    assert "shares" in refused(mixture, parts[0])
    check_disjoint(Sharpness(), [mixture])


def test_a_reward_of_ones_own_class_is_looked_into(clips):
    class Own:
        kind, differentiable, name = "pixel", False, "own"

        def __init__(self, judge: ClipScore) -> None:
            self.judge = judge

        def __call__(self, inputs, prompts):
            return 2 * self.judge(inputs, prompts)

    golden = load_clip(str(clips[0]))
    assert "with 'own'" in refused(golden, Own(golden))
    check_disjoint(golden, [Own(load_clip(str(clips[1])))])


def test_a_latent_reward_model_is_known_by_its_head_and_not_by_the_generator(tiny_folder, tiny_pipeline):
    model = tiny_reward_model(tiny_folder)
    assert "QFormer" in refused(ImageReward(model, name="gold"), LatentReward(model, noise_level=0.1, name="mine"))
    assert refused(ImageReward(tiny_reward_model(tiny_folder), name="gold"), LatentReward(model, name="mine"))
    other = randomised(tiny_reward_model(tiny_folder), seed=1)
    check_disjoint(ImageReward(other, name="gold"), [LatentReward(model, name="mine")])


def test_the_bundled_model_is_one_judge_on_images_and_on_latents():
    assert refused(load_reward("image:synthetic"), load_reward("latent:synthetic"))


def test_rewards_known_by_name_alone_are_found_by_name_weights_and_parts(clips):
    first, other, _ = clips
    judge = load_clip(str(first))
    assert shares_with_named(judge, [f"pickscore:{first}"]) and not shares_with_named(
        judge, [f"clip:{other}", "sharpness"]
    )
    assert shares_with_named(Sharpness(), ["clip:somewhere", "sharpness"]) and not shares_with_named(Sharpness(), [])
    mixed = Mixture((MixtureItem("sharpness"), MixtureItem("colourfulness")), (Sharpness(), Colourfulness()))
    assert shares_with_named(mixed, ["sharpness"]) and not shares_with_named(mixed, ["jpeg-size"])
