"""How far the judging is: a bar where a person watches, a plain line every half minute where nobody does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

EVERY = 30.0  # seconds between two plain lines


@dataclass(frozen=True, slots=True)
class Progress:
    """`dollars` of this run so far; None is unknown. `pause`: seconds for which the server asked for quiet."""

    done: int
    total: int
    calls: int
    retries: int
    dollars: float | None
    in_flight: int
    limit: int  # calls at once, as the server's 429s allow
    pause: float
    seconds: float
    fresh: int  # pairs done by calls of this run; the others were stored or free

    @property
    def rate(self) -> float | None:
        """Pairs a second that needed a call; None until there is one to measure."""
        return self.fresh / self.seconds if self.fresh and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        return (self.total - self.done) / self.rate if self.rate else None

    def line(self) -> str:
        parts = [f"judged {self.done:,}/{self.total:,} pairs"]
        if self.rate is not None:
            parts.append(f"{self.rate:.1f}/s")
        if self.seconds_left is not None and self.done < self.total:
            parts.append(f"{duration(self.seconds_left)} left")
        parts.append(f"{self.calls:,} calls")
        parts.append("cost unknown" if self.dollars is None else f"${self.dollars:.2f}")
        if self.retries:
            parts.append(f"{self.retries:,} retries")
        if self.pause:
            parts.append(f"waiting {self.pause:.0f} s for the server")
        parts.append(f"{self.in_flight}/{self.limit} in flight")
        return ", ".join(parts)


Report = Callable[[Progress], None]


class Reporter:
    """Shows progress on a stream. Call it as often as you like; `close` prints the last state."""

    def __init__(self, stream: TextIO, *, every: float = EVERY, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._live = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._every = 0.2 if self._live else every
        self._clock = clock
        self._shown_at = clock()
        self._last: Progress | None = None
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        self._last = progress
        now = self._clock()
        if now - self._shown_at >= self._every:
            self._shown_at = now
            self._show(progress)

    def close(self) -> None:
        if self._last is not None:
            self._show(self._last)
        if self._live and self._width:
            self._stream.write("\n")
            self._stream.flush()

    def _show(self, progress: Progress) -> None:
        line = progress.line()
        if self._live:
            filled = int(20 * progress.done / progress.total) if progress.total else 20
            line = f"[{'#' * filled}{'.' * (20 - filled)}] {line}"
            self._stream.write(f"\r{line.ljust(self._width)}")
            self._width = len(line)
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()


def duration(seconds: float) -> str:
    """3725 -> '1 h 02 min'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
