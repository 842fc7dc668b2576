"""Prompts by name are chosen by the seed alone."""

import pytest

from dina_lrm.synthetic.prompts import judged_prompts


def test_prompts_of_a_file_are_chosen_by_the_seed_in_their_order(tmp_path):
    names = [f"prompt {number}" for number in range(9)]
    (tmp_path / "prompts.txt").write_text("\n".join(names))
    source = str(tmp_path / "prompts.txt")
    assert list(judged_prompts(source).prompts) == names
    chosen = judged_prompts(source, 3, 4).prompts
    assert chosen == judged_prompts(source, 3, 4).prompts != judged_prompts(source, 4, 4).prompts
    assert len(chosen) == 4 and list(chosen) == sorted(chosen)
    with pytest.raises(ValueError, match=r"how many 10: .*holds 9 prompts"):
        judged_prompts(source, count=10, option="how many")
    assert len(judged_prompts("synthetic").prompts) == 64
