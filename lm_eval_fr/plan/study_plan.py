"""The study's plan: what is fixed before looking at results, and its hash.

    name: nvfp4-against-api
    tasks: [fr_gold, analysis_fr]
    limit: 1000                                  # or {piaf_fr: 1000, analysis_fr: 300}
    margins: {gold: 3%, judge: 15%, piaf_fr: 0.02}
    candidate: {model: vllm, model_args: {pretrained: mistralai/Mistral-Small-4-119B-2603-NVFP4}}
    reference: {model: hosted-chat, model_args: {preset: mistral, model: mistral-small-2603}}
    judge: {profile: gpt-4.1, max_usd: 20}

Paths in a plan are relative to the plan's own folder. `plan_reader` reads a Plan from its file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

SEED = 1234
LEVEL = 0.95

Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Dollars = Annotated[float, msgspec.Meta(ge=0)]
Guarantee = Literal["default", "worst-case"]


class Fields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a plan."""


class ArmPrices(Fields, frozen=True):
    """Dollars per million tokens of an API, or per hour of the machine that serves the arm."""

    input: Dollars | None = None
    output: Dollars | None = None
    cached: Dollars | None = None
    hour: Dollars | None = None


class ArmPlan(Fields, frozen=True):
    """One arm, in the words of `lm_eval run`."""

    model: str
    model_args: dict[str, Any] = {}
    gen_kwargs: dict[str, Any] = {}
    apply_chat_template: bool | str = False
    system_instruction: str | None = None
    batch_size: int | str | None = None
    flags: tuple[str, ...] = ()  # further flags of `lm_eval run`, as they are typed
    manifest: str | None = None  # what scripts/serve.py wrote about the server
    rerun: bool | Count = False  # how many further runs of this arm (true: one), for the noise floor
    prices: ArmPrices | None = None


class JudgePlan(Fields, frozen=True):
    profile: str | tuple[str, ...] = "gpt-4.1"  # several make a panel
    rubric: str = "analyses_fr"
    model: str | None = None
    base_url: str | None = None
    orders: Literal["both", "lazy"] = "both"
    stop: Literal["never", "anytime"] = "never"
    max_usd: Annotated[float, msgspec.Meta(gt=0)] | None = None
    concurrency: Count | None = None
    repeats: Count = 1  # how often a sample of questions is asked in total: the judge's own noise
    labels: str | None = None  # human labels to compare with, a file beside the plan
    controls: Annotated[int, msgspec.Meta(ge=0)] | None = None  # graded controls; None: as many as `judge` asks
    trust_judge: bool = False  # pay for the pairs even if the judge fails its controls

    @property
    def profiles(self) -> tuple[str, ...]:
        return (self.profile,) if isinstance(self.profile, str) else self.profile


class Plan(Fields, frozen=True):
    """What `lm-eval-fr ab` runs. `margins` are the largest losses accepted, in the metric's unit."""

    name: str
    tasks: tuple[str, ...]
    candidate: ArmPlan
    reference: ArmPlan
    limit: Count | dict[str, Count] | None = None
    seed: int = SEED
    level: Share = LEVEL
    margins: dict[str, float] = {}
    metrics: dict[str, str] = {}  # task -> the metric to compare, if not the task's first
    filters: dict[str, str] = {}  # task -> the filter to read, where a task has several
    allow: tuple[str, ...] = ()  # mismatches let through, printed in the report
    data_dir: str | None = None
    metadata: dict[str, Any] = {}
    judge: JudgePlan | None = None
    guarantee: Guarantee = "default"  # worst-case: allow for whole articles lost unseen
    parallel: dict[str, str] = {}  # task -> the same questions in another language, for the language tax
    strata: dict[str, tuple[str, ...]] = {}  # task -> strata, or their field, as separate claims
    repeats: Count = 1  # answers of each arm to each scored document; its score is their mean
    overall_mean: bool = False  # one more claim: about the mean over the scored tasks

    @property
    def hash(self) -> str:
        """sha256 of what decides the result; layout, spelled-out defaults, budgets, pace and prices are left out."""
        return _sha256(self.content)

    @property
    def content(self) -> dict[str, Any]:
        """What the hash is over."""
        content: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        _drop(content, _ADDED)
        for arm in ("candidate", "reference"):
            del content[arm]["prices"]
        if content["judge"] is not None:
            _drop(content["judge"], _ADDED_TO_JUDGE)
            content["judge"] |= {"max_usd": None, "concurrency": None}
        return content

    def answers(self, arm: str) -> int:
        """Answers to each document in the arm's folder of this name; a rerun answers once."""
        return self.repeats if arm in ("candidate", "reference") else 1

    def margin(self, task: str) -> float | None:
        """The margin of one gold task, or of the judge when `task` is "judge"; None if the plan has none."""
        return self.margins.get(task, None if task == "judge" else self.margins.get("gold"))


# Newer keys are part of the hash only if they are set, so that old hashes stay valid.
_ADDED: Mapping[str, Any] = {
    "guarantee": "default",
    "parallel": {},
    "strata": {},
    "repeats": 1,
    "overall_mean": False,
}
_ADDED_TO_JUDGE: Mapping[str, Any] = {"controls": None, "trust_judge": False}
_DECIDING = ("margins", "level", "metrics", "filters", "allow", "guarantee", "parallel", "strata", "overall_mean")


def arm_hash(plan: Plan, arm: ArmPlan) -> str:
    """sha256 of everything in the plan that decides an arm's answers: when it changes, the arm is rerun."""
    work = {
        "tasks": plan.tasks,
        "limit": plan.limit,
        "seed": plan.seed,
        "data": plan.data_dir,
        "metadata": plan.metadata,
    }
    settings = {key: value for key, value in msgspec.to_builtins(arm).items() if key not in ("rerun", "prices")}
    return _sha256([work, settings])


@dataclass(frozen=True)
class Change:
    """One key on which two plans differ; None if a plan does not have it."""

    key: str
    before: Any
    now: Any

    @property
    def decides(self) -> bool:
        """Whether it changes how the same answers are evaluated, rather than which answers there are."""
        return self.key.split(".")[0] in (*_DECIDING, "judge")

    def __str__(self) -> str:
        return f"{self.key}: {_shown(self.before)} -> {_shown(self.now)}"


@dataclass(frozen=True)
class EarlierPlan:
    """A plan whose results were seen before this one's. changes: since then; None where its content is unknown."""

    hash: str
    changes: tuple[Change, ...] | None


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Change, ...]:
    """Where the `content` of two plans differs, key by key, except the name, which decides nothing."""
    one, other = dict(_flat(before)), dict(_flat(now))
    keys = [key for key in dict.fromkeys([*one, *other]) if key != "name" and one.get(key) != other.get(key)]
    return tuple(Change(key, one.get(key), other.get(key)) for key in keys)


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    return "not set" if value is None else msgspec.json.encode(value).decode()


def _drop(content: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    for name, default in defaults.items():
        if content[name] == default:
            del content[name]


def _sha256(content: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
