"""How far the judging is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from lm_eval_fr.io.progress_bar import ProgressBar, duration, pace


@dataclass(frozen=True, slots=True)
class Progress:
    """`dollars` of this run so far; None is unknown. `pause`: seconds for which the server asked for quiet.

    done: pairs that are judged; without: those that were asked in vain.
    """

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
    without: int = 0

    @property
    def rate(self) -> float | None:
        """Pairs a second that needed a call; None until there is one to measure."""
        return self.fresh / self.seconds if self.fresh and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        return (self.total - self.done - self.without) / self.rate if self.rate else None

    @property
    def parts(self) -> list[str]:
        found = [f"{self.without:,} without a verdict"] if self.without else []
        if self.rate is not None:
            found.append(pace(self.rate))
        if self.seconds_left:
            found.append(f"{duration(self.seconds_left)} left")
        found.append("cost unknown" if self.dollars is None else f"${self.dollars:.2f}")
        if self.pause:
            found.append(f"waiting {self.pause:.0f} s for the server")
        found.append(f"{self.calls:,} calls")
        if self.retries:
            found.append(f"{self.retries:,} retries")
        return [*found, f"{self.in_flight}/{self.limit} in flight"]


Report = Callable[[Progress], None]


class Reporter:
    """The judge's progress on a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._bar = ProgressBar("judge", stream)

    def __call__(self, progress: Progress) -> None:
        self._bar(progress.done, progress.total, progress.parts)

    def close(self) -> None:
        self._bar.close()
