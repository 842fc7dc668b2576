"""Training comparisons of the generator's own samples."""

import json

import numpy as np
import pytest

from dina_lrm.cli.main import main
from dina_lrm.synthetic.comparisons import Labelling
from dina_lrm.synthetic.generated import generated_prompts
from dina_lrm.synthetic.on_policy import on_policy_comparisons
from dina_lrm.synthetic.world import bundled_pipeline


@pytest.fixture(scope="module")
def made():
    return on_policy_comparisons(bundled_pipeline(), 2, 3, seed=1, labels=Labelling(votes=100))


def test_every_pair_of_a_prompts_samples_is_judged_by_what_the_oracle_sees(made):
    assert len(made) == 6 and len(made.images) == 6 and made.group.tolist() == [0, 0, 0, 1, 1, 1]
    better = made.utility[made.pairs[:, 0]] > made.utility[made.pairs[:, 1]]
    decided = np.abs(made.probability - 0.5) > 0.2
    assert ((made.preference > 0.5) == better)[decided].all()
    assert not set(made.prompts) & {prompt.caption() for prompt in generated_prompts(50)}


def test_pictures_are_a_function_of_the_seed(made):
    again = on_policy_comparisons(bundled_pipeline(), 1, 3, seed=1)
    assert np.abs(again.images.astype(int) - made.images[:3].astype(int)).max() <= 1
    other = on_policy_comparisons(bundled_pipeline(), 1, 3, seed=2)
    assert not np.array_equal(other.images, again.images)


def test_the_command_writes_them(tmp_path):
    target = tmp_path / "result.json"
    words = ["synthetic", "generate", "--set", "on_policy", "--prompts", "2", "--images", "2"]
    assert main([*words, "--out", str(tmp_path / "own"), "--json", str(target), "--quiet"]) == 0
    found = json.loads(target.read_text())
    assert found["pairs"] == 2 and found["images"] == 4
    lines = [json.loads(line) for line in (tmp_path / "own" / "comparisons.jsonl").read_text().splitlines()]
    assert {line["source"] for line in lines} == {"on-policy"}
