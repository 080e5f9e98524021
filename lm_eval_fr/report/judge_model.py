"""What the judge found. See `model` for the units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lm_eval_fr.report.task_model import AnswerCosts, Bounds, Claimed, Series, ends
from lm_eval_fr.stats import Assessment, Interval, Preference
from lm_eval_fr.stats.judge_claim import JudgeClaim
from lm_eval_fr.stats.judging import JudgeControls, PanelReport, PositionReport, Usage
from lm_eval_fr.stats.sensitivity import AssaySensitivity, OrderDecided


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTask:
    task: str
    n: int
    wins: int
    ties: int
    losses: int
    net_win: float | None
    answers: AnswerCosts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeProfile:
    """Who judged, and how it was asked. shutdown: ISO date after which it cannot be asked again."""

    name: str
    model: str
    shutdown: str | None = None
    orders: str = "both"
    stop: str = "never"
    command: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRubric:
    name: str
    sha256: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeResult(Claimed):
    """The judge's verdicts. preference: over the judged pairs. interval: of the net win rate; after `--stop anytime`
    the band, and then the win share in `preference` no longer holds. worst_case, best_case: bounds on the net
    win for any verdicts on the missing pairs. seen, order: the evidence that the judge can see a difference; claim:
    what may then be said; None where no controls were asked. longer: in how many judged pairs the candidate's answer
    is the longer one, and the shorter one. held_back: why a claim that the judged pairs alone would support is not
    made.
    """

    preference: Preference
    interval: Interval
    assessment: Assessment | None
    outcomes: Mapping[str, int]
    pairs: int
    worst_case: float | None
    best_case: float | None
    bias: PositionReport
    usage: Usage
    profile: JudgeProfile
    rubric: JudgeRubric
    seen: AssaySensitivity | None = None
    order: OrderDecided | None = None
    claim: JudgeClaim | None = None
    tasks: tuple[JudgedTask, ...] = ()
    controls: JudgeControls = field(default_factory=JudgeControls)
    panel: PanelReport = field(default_factory=PanelReport)
    longer: tuple[int, int] = (0, 0)
    stopped: str | None = None
    offline: bool = False
    held_back: str | None = None
    series: Series | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return self.preference.n

    @property
    def net_win(self) -> float | None:
        return (self.preference.wins - self.preference.losses) / self.n if self.n else None

    @property
    def other_ci(self) -> Bounds | None:
        """Under the other guarantee; None if both agree by construction, or the judge stopped early."""
        other = None if self.stopped else self.preference.net_win.other_guarantee
        return None if other is None else ends(other)

    @property
    def net_win_ci(self) -> Bounds | None:
        return ends(self.interval)

    @property
    def win_share_ci(self) -> Bounds | None:
        share = self.preference.win_share
        return None if self.stopped or share.low is None or share.high is None else (share.low, share.high)

    @property
    def p_value(self) -> float | None:
        return None if self.stopped else self.preference.win_share.p_value

    @property
    def model(self) -> str:
        return self.profile.model

    @property
    def method(self) -> str:
        because = f" ({self.interval.reason})" if self.interval.defined and self.interval.reason else ""
        return f"{self.interval.method}{because}{f', {self.stopped}' if self.stopped else ''}"
