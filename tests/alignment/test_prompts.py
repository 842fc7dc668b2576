"""Prompts that are trained on and those that are looked at: by text, never the same."""

import pytest

from dina_lrm.alignment.prompts import held_prompts


def split(prompts, looks=None):
    found = held_prompts(str(prompts), None if looks is None else str(looks), 16)
    return list(found.trained.prompts), list(found.shown.prompts), found.left_out


def test_prompts_that_are_looked_at_are_not_trained_on(tmp_path):
    file, few = tmp_path / "prompts.txt", tmp_path / "few.txt"
    file.write_text("".join(f"prompt {number}\n" for number in range(40)))
    trained, shown, left_out = split(file)
    assert trained == [f"prompt {n}" for n in range(24)] and shown == [f"prompt {n}" for n in range(24, 40)]
    assert left_out == 0
    trained, shown, _ = split("synthetic")
    assert len(set(trained)) == 2_000 and len(shown) == 16 and not set(trained) & set(shown)
    few.write_text("one\ntwo\n")
    assert split(few, file) == (["one", "two"], [f"prompt {n}" for n in range(16)], 0)
    with pytest.raises(ValueError, match=r"2 different prompts, of which 16 are held back; accepted: 32 different"):
        split(few)


def test_copies_of_what_is_looked_at_are_not_trained_on_and_counted(tmp_path):
    file = tmp_path / "prompts.txt"
    lines = [f"prompt {number}" for number in range(40)]
    file.write_text("\n".join(["PROMPT  39", *lines, "prompt 38", "prompt 0"]) + "\n")
    trained, shown, left_out = split(file)
    assert shown == [*(f"prompt {n}" for n in range(25, 38)), "prompt 39", "prompt 38", "prompt 0"]
    assert not {text.casefold() for text in trained} & {text.casefold() for text in shown}
    assert len(trained) + len(shown) + left_out == 43 and "PROMPT  39" not in trained and left_out == 3
    trained, _, left_out = split(file, file)
    assert not set(trained) & {f"prompt {n}" for n in range(15)} and left_out == 18
    same = tmp_path / "same.txt"
    same.write_text("a ring\na ring\n")
    with pytest.raises(ValueError, match="holds every prompt of --prompts, so that none is left to train on"):
        split(same, same)


def test_prompts_of_a_table_are_mapped_and_lines_beside_it_are_not(tmp_path):
    table, lines = tmp_path / "mine.csv", tmp_path / "looks.txt"
    table.write_text("title\n" + "".join(f"prompt {number}\n" for number in range(8)))
    lines.write_text("prompt 7\nprompt 6\n")
    found = held_prompts(str(table), str(lines), 2, columns={"prompt": "title"})
    assert found.shown.prompts == ("prompt 7", "prompt 6") and len(found.trained.prompts) == 6
    assert held_prompts(str(table), str(table), 2, columns={"prompt": "title"}).shown.prompts == (
        "prompt 0",
        "prompt 1",
    )
