import json

import pytest

from dina_lrm.cli.main import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("score --imagess x --model m --out o", "score: error: unknown option --imagess; did you mean --images?"),
        ("score --images x --out o", "score: error: missing: --model;"),
        ("score --imag x", "score: error: unknown option --imag; did you mean --images?"),
        ("score --images", "score: error: Missing value for argument '--images'"),
        ("score --images a --model b --out c --seed x", "score: error: --seed: invalid literal for int()"),
        (
            "sample curve --out o --candidatez 3",
            "sample curve: error: unknown option --candidatez; did you mean --c",
        ),
        ("sample curv --out o", "dina-lrm: error: unknown command 'sample curv'; did you mean 'sample curve'?"),
        ("align --bogus", "dina-lrm: error: align: which command? '--bogus' is an option; the commands are align "),
        ("scor --images a", "dina-lrm: error: unknown command 'scor'; did you mean 'score'"),
        ("vote photos", "dina-lrm: error: vote is now annotate, which takes other options: dina-lrm annotate --help"),
        ("train synthetic --data x --out y --steos 3", "train: error: unknown option --steos; did you mean --steps"),
        ("train synthetic --data x --out y --lr 3", "train: error: unknown option --lr; did you mean --optimizer.lr?"),
        ("train syntetic --data x --out y", "train: error: 'syntetic' is none of its recipes; did you mean synthetic"),
        (
            "train syntetic --data y --out y",
            "train: error: 'syntetic' is none of its recipes; did you mean synthetic or synthetic-lrm or "
            "synthetic-unet? accepted: own, synthetic, ",
        ),
        ("align refl sintetic --steps 3 --prompts p --out o", "align refl: error: 'sintetic' is none of its recipes"),
        ("compare a b c --prompt x", "compare: error: 'c': is one word too many"),
        ("compare a --prompt x", "compare: error: missing: The second image."),
        ("sample --method none --out o --prompts p", "sample: error: invalid choice 'none'"),
    ],
)
def test_words_at_fault_are_answered_by_their_own_command_in_one_line(words, message, tmp_path, capsys):
    assert main([*words.split(), "--json", str(tmp_path / "r.json")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"dina-lrm {message}".replace("dina-lrm dina-lrm:", "dina-lrm:"))
    assert err.count("\n") == 1
    told = err.split("error: ", 1)[1].removesuffix("\n")
    assert json.loads((tmp_path / "r.json").read_text()) == {"error": told}


def test_the_last_of_two_values_is_taken_aloud(capsys):
    assert main(["compare", "a", "b", "--prompt", "x", "--seed", "1", "--seed=2"]) == 2
    assert "warning: --seed is given twice, as '1' and as '2': the last is taken" in capsys.readouterr().err


def test_no_file_that_is_named_is_touched_when_words_are_wrong(tmp_path):
    (tmp_path / "data.json").write_text("[]")
    data = str(tmp_path / "data.json")
    assert main(["data", "check", data, "--bogus", "--json", data]) == 2
    assert (tmp_path / "data.json").read_text() == "[]"


def test_a_prompt_that_is_no_text_is_refused_and_shown(capsys):
    assert main(["compare", "a", "b", "--prompt", "caf\udce9"]) == 2
    assert "--prompt caf\\xe9: holds bytes that are no UTF-8" in capsys.readouterr().err
