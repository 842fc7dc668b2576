"""The bundled samples are what the bundled generator draws from their seeds, and the oracle's verdicts are its own."""

from pathlib import Path

import numpy as np
import pytest

from dina_lrm.synthetic.comparisons import TEST_IMAGES
from dina_lrm.synthetic.generated import (
    SEED,
    generated,
    generated_prompts,
    load_generated_images,
    save_generated,
    stored_oracle_error,
)
from dina_lrm.synthetic.oracle import oracle_parts
from dina_lrm.synthetic.world import bundled_pipeline, draw_generated


@pytest.mark.slow
def test_the_first_samples_can_be_drawn_again() -> None:
    images, _ = load_generated_images()
    again = draw_generated(bundled_pipeline(), prompts=2)
    # Another processor rounds otherwise: a few levels of 255, at edges
    difference = np.abs(again.astype(int) - images[: len(again)])
    assert difference.mean() < 0.5


def test_the_stored_verdicts_are_the_oracles() -> None:
    images, parts = load_generated_images()
    prompts = [prompt for prompt in generated_prompts(10) for _ in range(TEST_IMAGES)]
    np.testing.assert_allclose(oracle_parts(images[: len(prompts)], prompts), parts[: len(prompts)], atol=2e-3)


def test_the_set_is_a_function_of_its_seed_and_knows_its_limits() -> None:
    made, other = generated(seed=0), generated(seed=1)
    assert len(made) == 2_000
    np.testing.assert_array_equal(made.pairs, other.pairs)
    assert (made.preference != other.preference).any()
    with pytest.raises(ValueError, match="9000 pairs; accepted: 1 to 2001"):
        generated(9_000)
    assert stored_oracle_error().pair_agreement > 0.8


def test_saved_samples_are_read_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(SEED)
    images = rng.integers(0, 256, (2 * TEST_IMAGES, 32, 32, 3), dtype=np.uint8)
    save_generated(images, tmp_path / "set")
    read, parts = load_generated_images(tmp_path / "set")
    np.testing.assert_array_equal(read, images)
    assert parts.shape == (6, 2)
