"""The one progress bar: it fits the terminal, is plain where nobody watches, and slow rates are seconds each."""

from __future__ import annotations

import io

import pytest

from lm_eval_fr.io.progress_bar import ProgressBar, bar_line, duration, pace

PARTS = ["12 s each", "2 h 10 min left", "$0.50", "40 calls", "3 retries", "4/8 in flight"]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [10, 30, 60, 79, 200])
def test_the_line_fits(width: int) -> None:
    line = bar_line("reference-rerun", 20, 100, PARTS, width=width)
    assert len(line) <= width
    assert line.startswith("reference-rerun"[:width])


def test_what_is_less_important_goes_first() -> None:
    line = bar_line("judge", 50, 100, PARTS, width=60)
    assert line == "judge [#####.....] 50/100, 12 s each, 2 h 10 min left, $0.50"
    narrow = bar_line("judge", 50, 100, PARTS, width=40)
    assert "12 s each" in narrow and "in flight" not in narrow
    assert bar_line("judge", 0, 0, [], width=60) == "judge [####################] 0/0"


def test_a_pipe_gets_a_plain_line_every_half_minute() -> None:
    clock, stream = [0.0], io.StringIO()
    bar = ProgressBar("judge", stream, clock=lambda: clock[0])
    for second in range(65):
        clock[0] = float(second)
        bar(second, 100)
    assert stream.getvalue().splitlines() == ["judge: 30 of 100", "judge: 60 of 100"]
    bar.close()
    assert stream.getvalue().splitlines()[-1] == "judge: 64 of 100"


def test_a_terminal_gets_a_bar_unless_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    clock, screen = [0.0], Screen()
    bar = ProgressBar("judge", screen, clock=lambda: clock[0])
    clock[0] = 1.0
    bar(50, 100)
    bar.close()
    assert screen.getvalue() == "\rjudge [##########..........] 50/100\n"
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Screen()
    ProgressBar("judge", plain, clock=iter((0.0, 60.0)).__next__)(50, 100)
    assert plain.getvalue() == "judge: 50 of 100\n"


@pytest.mark.parametrize(
    ("rate", "said"), [(12.34, "12.3/s"), (1.0, "1.0/s"), (0.5, "2.0 s each"), (0.1, "10 s each"), (0.01, "100 s each")]
)
def test_slow_rates_are_seconds_each(rate: float, said: str) -> None:
    assert pace(rate) == said


@pytest.mark.parametrize(("seconds", "said"), [(4.4, "4 s"), (65, "1 min 05 s"), (3725, "1 h 02 min")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
