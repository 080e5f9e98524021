"""The options of judging, from the command line or a plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lm_eval_fr.errors import UsageError
from lm_eval_fr.io.retry import RetryPolicy
from lm_eval_fr.plan import JudgePlan, Plan

GRADED_CONTROLS = 40
BatchAction = Literal["submit", "status", "collect", "abandon", "write", "read"]
WITH_FILE = ("write", "read")


@dataclass(frozen=True)
class JudgeOptions:
    """Everything but the runs and the folder. Names as the flags of `lm-eval-fr judge`."""

    profile: tuple[str, ...] = ("gpt-4.1",)  # several make a panel
    rubric: str = "analyses_fr"
    model: str | None = None
    base_url: str | None = None
    orders: Literal["both", "lazy"] = "both"
    max_usd: float | None = None  # of the whole folder, including earlier runs
    concurrency: int | None = None  # None: the profile's
    stop: Literal["never", "anytime"] = "never"
    margin: float | None = None  # for `stop`: the largest acceptable loss of net win rate; fixed before looking
    alpha: float = 0.025  # for `stop`: one-sided
    repeats: int = 1  # how often a question of the sample is asked in total
    repeat_sample: int = 50  # pairs
    controls: int = GRADED_CONTROLS  # graded ones, besides the gross ones; 0: no controls at all, and no claim
    trust_judge: bool = False  # ask the pairs even after lost controls
    labels: Path | None = None  # human labels to compare with
    reparse: bool = False  # read the stored replies again, make no API call
    retry_invalid: bool = False  # ask again where two replies had no verdict
    command: str = ""  # what the user typed, for judge.json
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def __post_init__(self) -> None:
        for flag, value, least in (
            ("--concurrency", self.concurrency, 1),
            ("--repeats", self.repeats, 1),
            ("--repeat-sample", self.repeat_sample, 1),
        ):
            if value is not None and value < least:
                raise UsageError(f"{value} is below {least}", where=flag)
        if self.controls < 0:
            raise UsageError(f"{self.controls} is below 0", where="--controls", remedy="0 asks none")
        if self.reparse and self.retry_invalid:
            raise UsageError("--reparse makes no calls, but --retry-invalid does", remedy="give one of them")
        if self.max_usd is not None and not self.max_usd > 0:
            raise UsageError(f"{self.max_usd:g} is not above 0", where="--max-usd")
        if not 0 < self.alpha < 0.5:
            level = 1 - 2 * self.alpha
            raise UsageError(
                f"a level of {level:g} is not between 0 and 1", where="--level", remedy="use 0.95, for example"
            )
        if not self.profile:
            raise UsageError("no judge is named", where="--profile", remedy="for example --profile gpt-4.1")
        if len(set(self.profile)) < len(self.profile):
            raise UsageError("names a judge twice", where="--profile")
        if len(self.profile) > 1 and (self.model or self.base_url):
            raise UsageError("--model and --base-url are for one judge", where="--profile")
        if self.margin is not None and not 0 < self.margin <= 1:
            what = f"a net win rate of {self.margin:g} is not between 0 and 1"
            raise UsageError(what, where="--margin", remedy="10% is a loss of ten points")
        if self.stop == "anytime" and self.margin is None:
            remedy = "fix the largest acceptable loss: --margin 10%, or margins: {judge: 10%} in the plan"
            raise UsageError("an anytime stop needs a margin", where="--stop", remedy=remedy)
        if len(self.profile) > 1 and self.stop == "anytime":
            raise UsageError("a panel has no anytime stop", where="--stop", remedy="name one --profile")

    @property
    def level(self) -> float:
        """The level of all intervals that judging prints."""
        return round(1 - 2 * self.alpha, 9)

    @classmethod
    def from_plan(cls, plan: Plan, judge: JudgePlan, folder: Path, command: str = "") -> JudgeOptions:
        """The options in a plan. `folder`: the plan's own, where its relative paths start."""
        return cls(
            profile=tuple(_near_plan(name, folder) for name in judge.profiles),
            rubric=_near_plan(judge.rubric, folder),
            model=judge.model,
            base_url=judge.base_url,
            orders=judge.orders,
            stop=judge.stop,
            max_usd=judge.max_usd,
            concurrency=judge.concurrency,
            repeats=judge.repeats,
            controls=GRADED_CONTROLS if judge.controls is None else judge.controls,
            trust_judge=judge.trust_judge,
            labels=None if judge.labels is None else folder / judge.labels,
            margin=plan.margin("judge"),
            alpha=(1 - plan.level) / 2,
            command=command,
        )


def _near_plan(name: str, folder: Path) -> str:
    """A profile or rubric is a name, or a file beside the plan."""
    return str(folder / name) if (folder / name).is_file() else name
