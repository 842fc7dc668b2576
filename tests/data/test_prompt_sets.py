"""Prompt sets in their published layouts, and what is refused of them by file and row."""

import pytest

from dina_lrm.data.prompt_sets import PromptSet, read_prompt_set

PARTI = (
    "Prompt\tCategory\tChallenge\tNote\n"
    "bond\tAbstract\tBasic\tBiology-inspired concepts\n"
    'A robot. The words "Fly an airplane" are written, in red.\tOutdoor Scenes\tComplex\t\n'
    '"quoted" from the start \tArts\tBasic\t\n'
)
DRAWBENCH = 'Prompts,Category\nA red colored car.,Colors\n"One car, two dogs.",Counting\n'


def test_parti_prompts_are_read_with_both_groupings_and_their_quotation_marks(tmp_path):
    (tmp_path / "parti-prompts.tsv").write_text(PARTI)
    found = read_prompt_set(tmp_path / "parti-prompts.tsv")
    assert found.name == "parti-prompts" and found.prompts == (
        "bond",
        'A robot. The words "Fly an airplane" are written, in red.',
        '"quoted" from the start',
    )
    assert found.groups == {
        "Category": ("Abstract", "Outdoor Scenes", "Arts"),
        "Challenge": ("Basic", "Complex", "Basic"),
    }
    assert found.take([2, 0]) == PromptSet(
        "parti-prompts",
        (found.prompts[2], "bond"),
        {"Category": ("Arts", "Abstract"), "Challenge": ("Basic", "Basic")},
    )


def test_drawbench_is_read(tmp_path):
    (tmp_path / "drawbench.csv").write_text("\ufeff" + DRAWBENCH, encoding="utf-8")
    found = read_prompt_set(tmp_path / "drawbench.csv")
    assert found.prompts == ("A red colored car.", "One car, two dogs.")
    assert found.groups == {"Category": ("Colors", "Counting")}


def test_a_folder_of_compositional_prompts_has_its_files_as_categories(tmp_path):
    for name, text in {
        "numeracy_val": "two cups\n",
        "color_val": "a red cup\na blue cup",
        "color_val_seen": "no\n",
    }.items():
        (tmp_path / f"{name}.txt").write_text(text)
    found = read_prompt_set(tmp_path)
    assert found.prompts == ("a red cup", "a blue cup", "two cups")
    assert found.groups == {"Category": ("color", "color", "numeracy")}


PUBLISHED = [
    ("test_prompts_zh.csv", "index,prompt_zh,sub_dims_zh\n1,a red cup,{}\n", {}),
    ("test_prompts_en.csv", 'index,prompt_en,sub_dims_en\n1,a red cup,"{""a"": [1, 2]}"\n', {}),
    ("OneIG-Bench.csv", "category,id,prompt_en,type,class\nanime,0,a red cup,T,3\n", ("category", "type", "class")),
    ("OneIG-Bench-ZH.csv", "category,id,prompt_cn,class\nanime,0,a red cup,b\n", ("category", "class")),
    ("drawbench.json", '[{"prompts": "a red cup", "category": "Colors"}]', ("category",)),
    ("anime.json", ' [\n "a red cup"]', {}),
    ("geneval2_data.jsonl", '{"prompt": "a red cup", "atom_count": 3, "vqa_list": [["q", "a"]], "skills": ["x"]}', {}),
    ("mine.csv", "CAPTION\na red cup\n", {}),
]


@pytest.mark.parametrize(("name", "text", "groups"), PUBLISHED)
def test_columns_of_prompts_are_known_by_their_names_in_any_case(name, text, groups, tmp_path):
    (tmp_path / name).write_text(text)
    found = read_prompt_set(tmp_path / name)
    assert (found.prompts, tuple(found.groups)) == (("a red cup",), tuple(groups))


def test_another_column_of_prompts_is_mapped_and_a_mapping_without_a_table_refused(tmp_path):
    (tmp_path / "mine.csv").write_text("title,prompt\na red cup,no\n")
    assert read_prompt_set(tmp_path / "mine.csv", {"prompt": "title"}).prompts == ("a red cup",)
    with pytest.raises(ValueError, match=r"mine\.csv: no column 'x' for prompt; columns: title, prompt"):
        read_prompt_set(tmp_path / "mine.csv", {"prompt": "x"})
    (tmp_path / "lines.txt").write_text("a red cup\n")
    with pytest.raises(ValueError, match=r"columns prompt=title: .*lines\.txt is no table; accepted with a table"):
        read_prompt_set(tmp_path / "lines.txt", {"prompt": "title"})


@pytest.mark.parametrize("letter", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_only_line_feeds_end_a_prompt(letter, tmp_path):
    (tmp_path / "mine.txt").write_bytes(f"\ufeffa red{letter}ring\r\na blue bar".encode())
    assert read_prompt_set(tmp_path / "mine.txt").prompts == (f"a red{letter}ring", "a blue bar")


def test_lines_of_a_text_file_have_no_groups(tmp_path):
    (tmp_path / "mine.txt").write_text("a red ring\r\n a blue bar \n")
    assert read_prompt_set(tmp_path / "mine.txt") == PromptSet("mine", ("a red ring", "a blue bar"))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.txt", "a ring\n\na bar\n", r"a\.txt, line 2 is empty"),
        ("a.txt", "", r"a\.txt: holds no prompts"),
        ("a.txt", "a ring\n\n", r"a\.txt, line 2 is empty"),
        ("a.txt", "a ring\ra bar\r", r"a\.txt, line 1 holds a carriage return"),
        ("a.txt", "a\0 \0r\0", r"a\.txt, line 1 holds a zero byte, as UTF-16 does"),
        ("a.tsv", "Prompt\tCategory\n", r"a\.tsv: holds no prompts"),
        ("a.tsv", "Prompt\tCategory\nbond\tAbstract\n \tArts\n", r"a\.tsv, line 3 is empty"),
        ("a.tsv", "Prompt\tCategory\nbond\n", r"a\.tsv, line 2: 1 cells, but the header names 2 columns"),
        (
            "a.csv",
            "Words,Category\nbond,Arts\n",
            "no prompt among the columns Words, Category; .* --columns prompt=",
        ),
        ("a.jsonl", '{"prompt": "a ring"}\n{"prompt": 7}\n', r"a\.jsonl, line 2: prompt is 7; accepted: text"),
    ],
)
def test_what_cannot_be_read_is_named_by_file_and_row(tmp_path, name, text, told):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=told):
        read_prompt_set(tmp_path / name)


def test_nothing_there_and_a_folder_of_something_else_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file; accepted: a text file, a table"):
        read_prompt_set(tmp_path / "no.txt")
    with pytest.raises(ValueError, match=r"holds no \*_val\.txt"):
        read_prompt_set(tmp_path)
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(ValueError, match="not UTF-8"):
        read_prompt_set(tmp_path / "latin.txt")
