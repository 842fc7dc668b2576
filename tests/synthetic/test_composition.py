"""Compositional groups: a clean picture has all right, and each change of a scene shows in its own attribute."""

from dataclasses import replace

import numpy as np
import pytest

from dina_lrm.synthetic.composition import ATTRIBUTES, composition, right
from dina_lrm.synthetic.render import render
from dina_lrm.synthetic.scene import Kind, Placed, Prompt, Scene, realise, sample_prompt

RED, BLUE = Kind("small", "red", "ring"), Kind("large", "blue", "bar")
RELATION = Prompt((RED, BLUE), "white", relation="left of")
SCENE = Scene((Placed(RED, 8.0, 16.0, 5.0), Placed(BLUE, 22.0, 16.0, 6.8)), "white")


def named(scene, prompt=RELATION):
    return dict(zip(ATTRIBUTES, right(scene, prompt), strict=True))


def changed(**parts):
    first, second = SCENE.objects
    return replace(SCENE, objects=(replace(first, kind=replace(RED, **parts)), second))


@pytest.mark.parametrize(
    ("scene", "wrong"),
    [
        (SCENE, {}),
        (changed(colour="green"), {"colour": 0.5}),
        (changed(shape="cross"), {"shape": 0.5}),
        (changed(size="large"), {"size": 0.5}),
        (replace(SCENE, background="black"), {"background": 0}),
        (replace(SCENE, objects=SCENE.objects[:1]), {"count": 0, "spatial": 0}),
        (replace(SCENE, objects=(*SCENE.objects, Placed(RED, 16.0, 4.0, 3.0))), {"count": 0}),
        (Scene((Placed(RED, 22.0, 16.0, 5.0), Placed(BLUE, 8.0, 16.0, 6.8)), "white"), {"spatial": 0}),
        (Scene((), "white"), {name: 0 for name in ATTRIBUTES if name != "background"}),
    ],
)
def test_each_change_shows_in_its_own_attribute(scene, wrong):
    assert named(scene) == {name: wrong.get(name, 1.0) for name in ATTRIBUTES}


def test_what_a_caption_does_not_ask_for_is_missing():
    group = named(
        Scene((Placed(RED, 8.0, 8.0, 5.0), Placed(RED, 22.0, 22.0, 5.0)), "white"), Prompt((RED,), "white", count=2)
    )
    assert np.isnan(group.pop("spatial")) and set(group.values()) == {1.0}


def test_clean_pictures_are_right_and_shuffled_captions_are_not():
    rng = np.random.default_rng(0)
    prompts = [sample_prompt(rng) for _ in range(24)]
    images = np.round(render([realise(prompt, rng) for prompt in prompts]) * 255).astype(np.uint8)
    captions = [prompt.caption() for prompt in prompts]
    own = {name: np.nanmean(values) for name, values in composition(images, captions).items()}
    other = {name: np.nanmean(values) for name, values in composition(images, captions[1:] + captions[:1]).items()}
    assert min(own.values()) > 0.9
    assert all(other[name] < own[name] - 0.2 for name in ATTRIBUTES)


def test_texts_and_pictures_of_another_world_have_no_value():
    images = np.zeros((1, 32, 32, 3), np.uint8)
    assert all(np.isnan(values).all() for values in composition(images, ["a photo of a cat"]).values())
    large = np.zeros((1, 64, 64, 3), np.uint8)
    assert all(np.isnan(values).all() for values in composition(large, [RELATION.caption()]).values())
