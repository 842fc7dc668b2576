"""Prompts by name are chosen by the seed alone."""

import pytest

from dina_lrm.synthetic.prompts import judged_prompts, prompts_or_texts


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


def test_a_column_of_prompts_is_mapped_in_a_table_and_nowhere_else(tmp_path):
    (tmp_path / "mine.csv").write_text("title\na red ring\na blue bar\n")
    source, columns = str(tmp_path / "mine.csv"), {"prompt": "title"}
    assert judged_prompts(source, columns=columns).prompts == ("a red ring", "a blue bar")
    assert prompts_or_texts([source], [0], 1, columns) == ["a red ring", "a blue bar"]
    for given in (["synthetic"], ["a red ring"]):
        with pytest.raises(ValueError, match=f"columns prompt=title: {given[0]} is no table; accepted with a table"):
            prompts_or_texts(given, [0], 1, columns)
