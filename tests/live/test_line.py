"""The line of a long work: how much, its numbers, a rate with a unit a person would use, the time left."""

import io
import logging
import sys

import pytest

from dina_lrm.live.line import LiveLine
from dina_lrm.live.words import rate_text, time_text


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (1234.0, "1,234 pairs/s"),
        (83.4, "83 pairs/s"),
        (2.44, "2.4 pairs/s"),
        (1.0, "1.0 pairs/s"),
        (0.5, "2.0 s a pair"),
        (1 / 7, "7.0 s a pair"),
        (1 / 42, "42 s a pair"),
        (1 / 120, "2.0 min a pair"),
        (1 / 7200, "2.0 h a pair"),
        (0.0, ""),
        (float("inf"), ""),
        (float("nan"), ""),
    ],
)
def test_a_rate_below_one_a_second_is_a_time(rate, said):
    assert rate_text(rate, "pair") == said


def test_a_unit_has_its_article():
    assert rate_text(0.1, "update") == "10 s an update" and rate_text(0.1, "image") == "10 s an image"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0:00"), (7, "0:07"), (725, "12:05"), (3723, "1:02:03"), (200_000, "2 d 7 h"), (float("inf"), "")],
)
def test_a_time_is_as_long_as_it_has_to_be(seconds, said):
    assert time_text(float(seconds)) == said


def told(capsys, steps, total=100, seconds=1.0, done=0, **words):
    clock = Clock()
    with LiveLine("training", "pair", clock=clock) as line:
        for step in range(done, steps + 1):
            line(step, total, **words)
            clock.now += seconds
    return capsys.readouterr().err.splitlines()


def test_a_log_gets_a_line_every_tenth(capsys):
    lines = told(capsys, 100, said="loss 0.25", seconds=0.5)
    assert len(lines) == 11
    assert lines[0] == "training: 0/100  0%  loss 0.25"
    assert lines[4] == "training: 40/100  40%  loss 0.25  2.0 pairs/s  0:30 left"
    assert lines[-1] == "training: 100/100  100%  loss 0.25  2.0 pairs/s"


def test_a_log_of_a_slow_work_gets_a_line_a_minute(capsys):
    lines = told(capsys, 9, total=10_000, seconds=30.0)
    assert len(lines) == 5
    assert lines[-1] == "training: 8/10,000  0%  30 s a pair  3 d 11 h left"


def test_what_was_done_before_counts_for_no_rate(capsys):
    assert told(capsys, 51, done=50)[0] == "training: 50/100  50%"
    assert told(capsys, 60, done=50)[-1] == "training: 60/100  60%  1.0 pairs/s  0:40 left"


def test_the_rate_may_be_of_something_else_than_what_is_counted(capsys):
    assert told(capsys, 10, rate=640.0)[-1] == "training: 10/100  10%  640 pairs/s  1:30 left"


def test_the_rate_forgets_how_slow_the_start_was(capsys):
    clock = Clock()
    with LiveLine("training", "pair", clock=clock) as line:
        line(0, 1000)
        clock.now += 500  # what is compiled once
        for step in range(1, 101):
            line(step, 1000)
            clock.now += 1
    assert "1.0 pairs/s  15:00 left" in capsys.readouterr().err.splitlines()[-1]


def test_verbose_logs_have_ten_times_the_lines(capsys):
    log = logging.getLogger("dina_lrm")
    before = log.level
    log.setLevel(logging.DEBUG)
    try:
        assert len(told(capsys, 100)) == 101
    finally:
        log.setLevel(before)


def test_quiet_says_nothing(capsys):
    with LiveLine("training", quiet=True) as line:
        line(3, 4)
        line.say("a word")
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_terminal_has_one_line_that_is_drawn_anew(monkeypatch):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    clock = Clock()
    with LiveLine("[red]", "pair", clock=clock) as line:
        for step in range(11):
            line(step, 10, f"loss {step}")
            clock.now += 2
        line.say("a word")
    text = shown.getvalue()
    assert "[red]" in text and "10/10  100%  loss 10  2.0 s a pair" in text and "a word" in text
