"""A report with every part filled, made of fixed numbers: for golden files and for the report's tests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np

from lm_eval_fr.report.arm_model import Arm, Health, Setting
from lm_eval_fr.report.json_writer import to_json
from lm_eval_fr.report.judge_model import JudgedTask, JudgeProfile, JudgeResult, JudgeRubric
from lm_eval_fr.report.model import (
    CandidateClaim,
    Caution,
    Conclusion,
    Confusion,
    Floor,
    ManyReport,
    Noise,
    Provenance,
    Recovered,
    Report,
    RerunShift,
    SampleRef,
    TaskLosses,
)
from lm_eval_fr.report.task_model import (
    AnswerCosts,
    Cost,
    LanguageTax,
    MeanClaim,
    Secondary,
    Series,
    Stratum,
    TaskResult,
)
from lm_eval_fr.stats import (
    Assay,
    Assessment,
    Components,
    Cumulative,
    Difference,
    Interval,
    Kind,
    NoiseComparison,
    Overall,
    Preference,
    Proportion,
    Verdict,
    binomial_share,
)
from lm_eval_fr.stats.estimates import DocumentsNeeded, Flips
from lm_eval_fr.stats.judge_claim import decide_by_judge
from lm_eval_fr.stats.judging import Length, LengthBin, Position, PositionReport, Repeats, Tokens, Usage
from lm_eval_fr.stats.sensitivity import AssaySensitivity, ControlCounts, OrderDecided
from tests.fakes.cards import doc_hash

LEVEL = 0.95
Ends = tuple[float, float] | None


def an_interval(estimate: float | None, ends: Ends, method: str = "t", n: int = 100, **more: Any) -> Interval:
    low, high = ends or (None, None)
    return Interval(estimate, low, high, LEVEL, method, n, **more)


def a_difference(
    means: tuple[float, float] = (0.7152, 0.7204),
    ci: Ends = (-0.0131, 0.0027),
    *,
    kind: Kind = "bounded",
    n: int = 1000,
    clusters: int | None = None,
    method: str = "CR1 clustered standard error, t with 189 degrees of freedom",
    flips: tuple[int, int] | None = (41, 33),
    p_value: float | None = 0.197,
    **more: Any,
) -> Difference:
    estimate = means[0] - means[1]
    interval = an_interval(estimate, ci, method, n, clusters=clusters, reason=None if ci else "one document")
    names = ("sd", "standard_error", "icc", "design_effect")
    return Difference(
        interval=interval,
        kind=kind,
        n=n,
        clusters=clusters,
        candidate_mean=means[0],
        reference_mean=means[1],
        p_value=p_value,
        p_method=method,
        flips=None if flips is None else Flips(*flips, "by more than 0.5"),
        **(dict.fromkeys(names) | more),
    )


def an_assessment(
    found: Difference, margin: float, verdict: Verdict, *, needed: int | None = None, p: float | None = None
) -> Assessment:
    documents = None if needed is None else DocumentsNeeded(needed)
    return Assessment(verdict, margin, found.interval, documents, 0.032, p_non_inferior=p)


def a_task(
    task: str = "piaf_fr",
    metric: str = "f1",
    verdict: Verdict | None = "non_inferior",
    *,
    paired: Difference | None = None,
    needed: int | None = 444,
    p: float | None = 0.0004,
    recovery: tuple[float | None, Ends] | None = (0.9928, (0.982, 1.004)),
    secondary: bool = True,
    **changes: Any,
) -> TaskResult:
    """Graded and clustered, with a small loss inside the margin. verdict: None for a task without a margin."""
    paired = paired or a_difference(clusters=190, icc=0.04, design_effect=1.17, sd=0.121)
    result = TaskResult(
        task=task,
        metric=metric,
        paired=paired,
        assessment=None if verdict is None else an_assessment(paired, 0.02, verdict, needed=needed, p=p),
        recovery=None if recovery is None else an_interval(*recovery, method="bootstrap"),
        identical=702,
        p_holm=None if p is None else 2 * p,
        candidate_health=Health(answers=1000, empty=2, truncated=5, failed=1),
        reference_health=Health(answers=1000, empty=0, truncated=4, failed=0),
        secondary=(
            Secondary(metric="exact_match", candidate_mean=0.512, reference_mean=0.521, difference=-0.009),
            Secondary(metric="gold_recall", candidate_mean=0.81, reference_mean=0.812, difference=-0.002),
        )
        if secondary
        else (),
    )
    return replace(result, **changes)


def the_tasks() -> tuple[TaskResult, ...]:
    flipped = a_difference(
        (0.842, 0.862), (-0.0423, 0.0011), kind="binary", n=500, method="Tango score", flips=(21, 11), p_value=0.076
    )
    # Lower is better: turned so that a loss is below 0.
    perplexity = a_difference(
        (13.92, 14.31), (-0.8, 0.02), kind="unbounded", n=40, method="paired t", flips=None, p_value=0.06
    )
    return (
        a_task(series=a_series("piaf_fr f1", -0.0052, 0.02)),
        a_task(
            "massive_scenario_fr",
            "exact_match",
            "inconclusive",
            paired=flipped,
            needed=1258,
            p=0.5,
            recovery=(0.9768, (0.951, 1.002)),
            secondary=False,
        ),
        a_task(
            "perplexity_probe",
            "word_perplexity",
            None,
            paired=perplexity,
            p=None,
            recovery=None,
            secondary=False,
            higher_is_better=False,
            reasons={
                "verdict": "its scale has no limits: give --margin perplexity_probe=X",
                "recovery": "defined for scores where more is better",
            },
        ),
    )


def a_share(count: int, of: int) -> Proportion:
    return binomial_share(count, of, LEVEL)


def a_judge(**changes: Any) -> JudgeResult:
    """The seed study's counts."""
    counts = (("win", 50), ("loss", 40), ("tie", 21), ("flip", 29), ("split", 8), ("identical", 2))
    net = a_difference(
        (1 / 15, 0.0), (-0.058, 0.1914), kind="outcome", n=150, clusters=150, method="t or Tango score, the wider"
    )
    bins = ((0.0, 0.8, 8, 14, 16), (0.8, 1.25, 30, 38, 16), (1.25, None, 12, 8, 8))
    live = Tokens(calls=304, input_tokens=912_000, cached_tokens=401_000, output_tokens=27_400, dollars=1.4417)
    position = Position(148, a_share(97, 173), a_share(29, 148), a_share(8, 148), a_share(111, 148), a_share(20, 29))
    length = Length(
        1512.0,
        1604.5,
        an_interval(-92.5, (-140.2, -44.8), n=150),
        a_share(52, 88),
        tuple(LengthBin(a, b, w + t + x, w, t, x, a_share(w, w + x)) for a, b, w, t, x in bins),
    )
    judge = JudgeResult(
        preference=Preference(150, 50, 60, 40, 90, a_share(50, 90), a_share(110, 150), net),
        interval=net.interval,
        assessment=an_assessment(net, 0.10, "non_inferior", p=0.0046),
        outcomes={**dict(counts), "invalid": 3, "refused": 0, "unjudged": 1},
        pairs=154,
        best_case=0.0909,
        worst_case=0.039,
        bias=PositionReport(position, length, Repeats(40, 80, a_share(4, 40), a_share(37, 148), 0.15), ()),
        usage=Usage(live=live, dollars=1.4417),
        tasks=(JudgedTask(task="analysis_fr", n=150, wins=50, ties=60, losses=40, net_win=1 / 15),),
        profile=JudgeProfile(name="gpt-4.1", model="gpt-4.1-2025-04-14", shutdown="2027-01-14"),
        rubric=JudgeRubric(name="analyses_fr", sha256="5f" * 32, text="Compare les deux analyses.\n- fidélité\n"),
        series=a_series("judge: net win", 1 / 15, 0.10),
    )
    return replace(judge, **changes)


def a_seeing_judge() -> JudgeResult:
    """With controls: 28 gross questions of which one was missed, and 40 graded pairs."""
    counts = (("gross", 14, 13, 0), ("passage", 14, 13, 0), ("sentence", 13, 10, 1), ("word", 13, 6, 2))
    grades = tuple(ControlCounts("a figure", g, n, w, x, n - w - x, 0, 0) for g, n, w, x in counts)
    net = a_judge().interval
    seen = AssaySensitivity(40, 40, 29, 3, 8, 0.65, 0.43, LEVEL, "t or Tango score, the wider", 28, 1, grades, 0.05)
    order = OrderDecided(29, 119, 150, 0.33, 0.27, LEVEL, "Clopper-Pearson")
    return a_judge(seen=seen, order=order, claim=decide_by_judge(net, 0.10, seen, order))


def a_series(name: str, final: float, margin: float | None) -> Series:
    """A running mean that starts on the other side of zero and settles at `final`."""
    at = np.arange(5, 151, 5)
    mean = final - 3 * final * (1 - at / 150) ** 2
    width = np.minimum(1.0, 2.2 * at**-0.5)
    low, high = np.maximum(-1.0, mean - width), np.minimum(1.0, mean + width)
    band = Cumulative(at, mean, low, high, LEVEL, "document", 1, "betting confidence sequence")
    return Series(name=name, margin=margin, band=band)


def a_noise() -> Noise:
    moved = an_interval(0.0011, (-0.004, 0.0062), "CR1", 1000)
    sentence = "piaf_fr: the difference of -0.5 points is not larger than an arm's own move on a rerun (0.6 points)."
    return Noise(
        reruns=(
            RerunShift(arm="reference", task="piaf_fr", metric="f1", n=1000, churn=0.123, moved=moved),
            RerunShift(arm="reference", task="analysis_fr", metric=None, n=154, churn=0.9, moved=None),
        ),
        floors=(Floor(task="piaf_fr", compared=NoiseComparison(0.0062, False), sentence=sentence),),
        sentence="Only the reference was run twice.",
    )


def a_conclusion(verdict: Verdict = "inconclusive") -> Conclusion:
    return Conclusion(
        found=Overall(verdict, LEVEL, (), (), ""),
        sentence="Inconclusive: the data neither rule out a loss as large as the margin nor prove one on "
        "massive_scenario_fr. This is not evidence that nothing was lost.",
        ruled_out=(
            "piaf_fr: a loss of 2.0 points of f1 or more (at most 1.3 is left)",
            "judge: a net loss of 10.0 points or more (at most 5.8 is left)",
        ),
        not_claimed="Not claimed: that the arms are equal, or anything about other tasks, languages or settings.",
    )


def a_report(**changes: Any) -> Report:
    health = Health(answers=1540, empty=2, truncated=9, failed=1)
    report = Report(
        candidate=Arm(
            name="small-4-NVFP4",
            model="mistralai/Mistral-Small-4-119B-2603-NVFP4",
            source="vllm",
            path="runs/candidate/mistralai__Mistral-Small-4-119B-2603-NVFP4",
            date="2026-07-01",
            seconds=1834.2,
            health=health,
        ),
        reference=Arm(
            name="mistral-small-2603",
            model="mistral-small-2603",
            source="hosted-chat",
            path="runs/reference/mistral-small-2603",
            date="2026-07-02",
            health=replace(health, empty=0, failed=0),
        ),
        plan_hash="ab" * 32,
        settings=(
            Setting(name="lm_eval_version", candidate="0.4.13", reference="0.4.13"),
            Setting(name="apply_chat_template", candidate=True, reference=False),
            Setting(name="model", candidate="vllm", reference="hosted-chat"),
        ),
        tasks=the_tasks(),
        judge=a_judge(),
        noise=a_noise(),
        overall=a_conclusion(),
        level=LEVEL,
        warnings=(
            Caution(kind="mismatch", text="Allowed by --allow: versions: piaf_fr is version 1.0 and 1.1."),
            Caution(kind="precision", text="The precision of the hosted reference mistral-small-2603 is undisclosed."),
            Caution(kind="noise_floor", text="Only one arm was run twice: the candidate's own noise is unknown."),
        ),
        notes=("piaf_fr: the newest of 2 runs was read.",),
        samples=(
            SampleRef(task="piaf_fr", doc_id=17, doc_hash="c0" * 32, difference=-1.0),
            SampleRef(task="analysis_fr", doc_id=3, doc_hash="d1" * 32, difference=-1.0, outcome="loss"),
        ),
        provenance=Provenance(
            created="2026-07-03T10:00:00+00:00",
            command="lm-eval-fr compare runs/candidate runs/reference --judge runs/judge",
            versions={"lm-eval-fr": "0.1.0", "lm-eval": "0.4.13"},
            data=(
                {
                    "task": "piaf_fr",
                    "licence": "MIT",
                    "citation": "Keraron et al., LREC 2020",
                    "revision": "bda8c063bc7297180796cd835d1974c0bc71c521",
                },
            ),
            plan="name: nvfp4-against-api\n",
            seed=1234,
        ),
    )
    return replace(report, **changes)


def a_full_report() -> Report:
    """With what only some studies have: a group, strata, costs of answers, a language tax."""
    cost = Cost(candidate=120.0, reference=92.0, ratio=an_interval(1.31, (1.22, 1.41)))
    by_default = a_difference(
        clusters=190,
        icc=0.04,
        design_effect=1.17,
        sd=0.121,
        guard_documents=7.5,
        other_guarantee=an_interval(-0.0052, (-0.0214, 0.0071)),
    )
    seen = Assay(chance=0.0, reference_above_chance=0.70, holds=True)
    whole = a_task(
        paired=by_default,
        assessment=replace(an_assessment(by_default, 0.02, "non_inferior", needed=444, p=0.0004), assay=seen),
        series=a_series("piaf_fr f1", -0.0052, 0.02),
        repeats=Components(3, 2, 1000, 0.011, 0.004, 0.002, 0.35, 0.08),
        strata=tuple(Stratum(name=f"length: {k}", paired=a_difference(n=500)) for k in ("4k", "128k")),
        answers=AnswerCosts(tokens=cost, seconds=cost, truncated=Cost(candidate=0.01, reference=0.0)),
    )
    parts = [a_task(f"mmlu_{name}", "acc", None, secondary=False, group="mmlu", p=None) for name in ("law", "physics")]
    group = a_task("mmlu", "acc", secondary=False, subtasks=tuple(part.task for part in parts))
    tax = LanguageTax(task="mgsm_cot_fr", parallel="mgsm_cot_en", paired=a_difference(n=250))
    losses = TaskLosses(
        task="piaf_fr",
        lost=41,
        read=41,
        kinds=(("another answer", 38), ("empty", 3)),
        confusions=(Confusion(gold="Lyon", answer="Paris", count=2),),
        examples=(SampleRef(task="piaf_fr", doc_id=0, doc_hash=doc_hash(0), difference=-1.0),),
    )
    judge = a_seeing_judge()
    mean = MeanClaim(
        tasks=("piaf_fr", "mmlu"),
        paired=by_default,
        assessment=an_assessment(by_default, 0.02, "non_inferior", p=0.001),
        sentence="Mean over 2 tasks, as the plan fixed beforehand: non-inferior, -0.5 points [-1.3, +0.3].",
    )
    return a_report(tasks=(whole, group, *parts), judge=judge, language_tax=(tax,), losses=(losses,), overall_mean=mean)


def as_json(report: Report) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(to_json(report))
    return content


def many_reports() -> ManyReport:
    first = a_report()
    second = a_report(candidate=replace(first.candidate, name="small-4-NVFP4-QAD", model="QAD"))
    fallen = "not non-inferior on massive_scenario_fr"
    return ManyReport(
        reports=(first, second),
        claims=(
            CandidateClaim(
                candidate="small-4-NVFP4", verdict="inconclusive", p_value=0.5, p_holm=0.5, stands=False, reason=fallen
            ),
            CandidateClaim(
                candidate="small-4-NVFP4-QAD", verdict="non_inferior", p_value=0.004, p_holm=0.008, stands=True
            ),
        ),
        recovered=(
            Recovered(
                candidate="small-4-NVFP4-QAD",
                raw="small-4-NVFP4",
                task="piaf_fr",
                metric="f1",
                share=an_interval(0.61, (0.22, 1.04), "percentile cluster bootstrap"),
            ),
        ),
        level=LEVEL,
    )
