import io
import sys

import pytest

from dina_lrm.screen import Screen, bytes_text, escaped, held_back, say, table_of, whole

STRANGE = "b [v2].png x[/y] :smile: caf\udce9 \x1b[2J a\nb"
SHOWN = r"b [v2].png x[/y] :smile: caf\xe9 \x1b[2J a\nb"


class Broken(io.StringIO):
    """A pipe that nobody reads, or a full disk."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")

    def flush(self):
        raise OSError(28, "No space left on device")


def test_a_text_is_one_line_that_no_terminal_obeys():
    assert escaped(STRANGE) == SHOWN
    assert escaped("a\r\t\u2028\u202e\ud83d") == r"a\r\t\u2028\u202e\ud83d"
    assert escaped("\u00e9toile \u2b50") == "\u00e9toile \u2b50"


def test_what_utf8_can_say_stays_as_it_is():
    assert whole("caf\udce9\n\ud83d") == "caf\\xe9\n\\ud83d"
    assert whole("a\x1b").encode("utf-8") == b"a\x1b"


def test_lines_and_tables_show_names_as_they_are(capsys):
    screen = Screen()
    screen.print(STRANGE)
    screen.print(table_of(("image", STRANGE), [(STRANGE, 1.5)], title=STRANGE))
    out = capsys.readouterr().out
    assert out.splitlines()[0] == SHOWN
    assert out.count("b [v2].png") == 4 and out.count("x[/y]") == 4 and "\x1b[2J" not in out


def test_a_screen_that_is_quiet_is_silent(capsys):
    Screen(quiet=True).print("a")
    Screen(quiet=True, stream="stderr").print("a")
    assert capsys.readouterr() == ("", "")


def test_what_is_held_back_comes_at_the_end_and_after_a_failure(capsys):
    with pytest.raises(RuntimeError), held_back():
        Screen().print("the result")
        Screen(live=True).print("the work goes on")
        say("written")
        raise RuntimeError
    assert capsys.readouterr().out == "the work goes on\nwritten\nthe result\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16"])
def test_letters_that_a_console_lacks_are_shown_by_their_numbers(encoding, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    Screen().print("a \u2b50")
    Screen().print(table_of(("a",), [("\u2b50 caf\u00e9",)]))
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    assert ("\u2b50" if encoding == "utf-16" else "\\u2b50") in text.splitlines()[0]
    assert "caf" in text


@pytest.mark.parametrize("stream", [None, Broken(), io.StringIO()], ids=["none", "broken", "closed"])
def test_a_console_that_is_gone_stops_nobody(stream, monkeypatch):
    if isinstance(stream, io.StringIO) and not isinstance(stream, Broken):
        stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    Screen().print("a line")
    Screen().print(table_of(("a",), [("b",)]))
    say("a line")


def test_bytes_have_three_digits_of_the_largest_unit_of_which_there_is_one():
    told = {
        0: "0 B",
        1023: "1,023 B",
        1024: "1.00 KiB",
        640_000_000: "610 MiB",
        12 * 2**30: "12.0 GiB",
        2**51: "2,048 TiB",
    }
    assert {count: bytes_text(count) for count in told} == told
