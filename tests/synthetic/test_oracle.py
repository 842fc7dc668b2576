"""The oracle reads clean pictures exactly and orders flawed ones as the truth does, within its stated error."""

import numpy as np
import pytest

from dina_lrm.synthetic.draws import Draw, Flaw, draw_mismatch, render_draws
from dina_lrm.synthetic.oracle import _templates, oracle_error, oracle_parts, read
from dina_lrm.synthetic.scene import CHANGES, realise, sample_prompt
from dina_lrm.synthetic.utility import ALIGNMENT_WEIGHTS


def test_clean_pictures_are_read_back() -> None:
    rng = np.random.default_rng(0)
    prompts = [sample_prompt(rng) for _ in range(60)]
    scenes = [realise(prompt, rng) for prompt in prompts]
    images = render_draws([Draw(p, s) for p, s in zip(prompts, scenes, strict=True)], rng)
    exact = 0
    for image, scene in zip(images, scenes, strict=True):
        seen = read(image)
        kinds = sorted((o.kind.size, o.kind.colour, o.kind.shape) for o in seen.scene.objects)
        exact += kinds == sorted((o.kind.size, o.kind.colour, o.kind.shape) for o in scene.objects)
    assert exact >= 57


@pytest.mark.parametrize("kind", CHANGES)
def test_one_mismatch_costs_its_weight(kind: str) -> None:
    rng = np.random.default_rng(4)
    draws = []
    while len(draws) < 30:
        prompt = sample_prompt(rng)
        scene = draw_mismatch(prompt, kind, rng)
        if scene is not None:
            draws.append(Draw(prompt, scene, (Flaw(kind),)))
    parts = oracle_parts(render_draws(draws, rng), [d.prompt for d in draws])
    assert np.median(parts[:, 0]) == pytest.approx(-ALIGNMENT_WEIGHTS[kind])


def test_the_stated_error_is_small_and_has_a_sentence() -> None:
    error = oracle_error(200)
    assert error.clean_exact > 0.95
    assert error.pair_agreement > 0.75
    assert "analytic oracle" in error.sentence()
    assert f"{error.pair_agreement:.1%}" in error.sentence()


def test_the_template_found_is_that_of_a_search_through_all() -> None:
    templates = _templates()
    rng = np.random.default_rng(0)
    for damage in np.linspace(0, 1, 40):
        window = templates.covers[rng.integers(len(templates.covers))]
        window = np.clip(window + damage * rng.normal(0, 0.5, window.shape) * (window > 0), 0, 1).astype(np.float32)
        shared = np.minimum(templates.covers, window).sum(axis=1)
        overlap = shared / (templates.covers.sum(axis=1) + window.sum() - shared)
        assert templates.best(window) == (overlap.argmax(), overlap.max())
