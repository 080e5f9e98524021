"""Progress: one bar on a terminal, a plain line every half minute elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from lm_eval_fr.io.terminal import columns_of, wants_colour

EVERY = 30.0  # seconds between two plain lines
LIVE_EVERY = 0.2
WIDEST, NARROWEST = 20, 5  # width of the bar itself


class ProgressBar:
    """Call it as often as you like; `close` shows the last state and ends the line, and a further call starts another.

    label: what is being done, in a word or two; it may change on the way. live: whether a person watches. To fit the
    terminal, the line drops its last parts first, then the bar.
    """

    def __init__(self, label: str, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.label, self._stream, self._clock = label, stream, clock
        self.live = wants_colour(stream)
        self._every = LIVE_EVERY if self.live else EVERY
        self._shown_at = self._began = clock()
        self._done = self._total = self._kept = 0
        self._state: tuple[int, int, Sequence[str]] | None = None
        self._shown: tuple[int, int, Sequence[str]] | None = None
        self._width = 0

    def __call__(self, done: int, total: int, parts: Sequence[str] = ()) -> None:
        self._state = (done, total, parts)
        now = self._clock()
        if now - self._shown_at >= self._every:
            self._shown_at = now
            self._show()

    def stage(self, label: str) -> None:
        """What is done next; shown with the next call."""
        self.label, self._shown_at = label, -math.inf

    def start(self, total: int, kept: int) -> None:
        """Begins a count that `step` continues. kept: what is already done. Shown at once: a step may take long."""
        self._total, self._done, self._kept = total, kept, kept
        self._state, self._shown_at = (kept, total, ()), self._clock()
        self._began = self._shown_at
        self._show()

    def step(self) -> None:
        self._done += 1
        self(
            self._done,
            self._total,
            speed(self._done - self._kept, self._total - self._done, self._clock() - self._began),
        )

    def close(self) -> None:
        if self._state != self._shown:
            self._show()
        if self.live and self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0

    def _show(self) -> None:
        if self._state is None:
            return
        self._shown = self._state
        if self.live:
            line = bar_line(self.label, *self._state, width=columns_of(self._stream) - 1)
            self._stream.write(f"\r{line.ljust(self._width)}")
            self._width = len(line)
        else:
            done, total, parts = self._state
            self._stream.write(", ".join([f"{self.label}: {done:,} of {total:,}", *parts]) + "\n")
        self._stream.flush()


def bar_line(label: str, done: int, total: int, parts: Sequence[str], *, width: int) -> str:
    """`label [####....] 12/40, part, part` in at most `width` columns."""
    count = f"{done:,}/{total:,}"
    kept = list(parts)
    while True:
        tail = ", ".join([count, *kept])
        room = width - len(label) - len(tail) - 4  # two blanks and two brackets
        if room >= NARROWEST or not kept:
            break
        kept.pop()
    cells = min(WIDEST, room)
    if cells < NARROWEST:
        return f"{label} {tail}"[:width]
    filled = int(cells * done / total) if total else cells
    return f"{label} [{'#' * filled}{'.' * (cells - filled)}] {tail}"


def speed(done: int, left: int, seconds: float) -> list[str]:
    """The rate and the remaining time; nothing until something is done."""
    if not done:
        return []
    rate = done / max(seconds, 1e-9)
    return [pace(rate), *([f"{duration(left / rate)} left"] if left else [])]


def pace(rate: float) -> str:
    """Items per second, or seconds per item."""
    return f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.0f} s each" if rate <= 0.1 else f"{1 / rate:.1f} s each"


def duration(seconds: float) -> str:
    """3725 -> '1 h 02 min'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
