"""A report with every part filled, made of fixed numbers: for golden files and for the report's tests."""

from __future__ import annotations

from dataclasses import replace

from lm_eval_fr.report.model import (
    Arm,
    Caution,
    Claim,
    Flips,
    Floor,
    Health,
    JudgedTask,
    JudgeResult,
    Length,
    LengthBin,
    ManyReport,
    Noise,
    Overall,
    Position,
    Provenance,
    Recovered,
    Repeats,
    Report,
    Rerun,
    SampleRef,
    Secondary,
    Series,
    Setting,
    Share,
    TaskResult,
)


def a_task(**changes: object) -> TaskResult:
    """piaf_fr: graded, clustered, a small loss inside the margin."""
    task = TaskResult(
        task="piaf_fr",
        metric="f1",
        kind="bounded",
        n=1000,
        clusters=190,
        candidate_mean=0.7152,
        reference_mean=0.7204,
        difference=-0.0052,
        ci_low=-0.0131,
        ci_high=0.0027,
        margin=0.02,
        verdict="non_inferior",
        degradation_detected=False,
        p_value=0.197,
        recovery=0.9928,
        recovery_ci=(0.982, 1.004),
        flips=Flips(lost=41, gained=33, threshold=0.5),
        mde=0.0113,
        documents_needed=444,
        method="CR1 clustered standard error, t with 189 degrees of freedom",
        p_non_inferior=0.0004,
        p_holm=0.0008,
        identical=702,
        icc=0.04,
        design_effect=1.17,
        sd=0.121,
        candidate_health=Health(answers=1000, empty=2, truncated=5, failed=1),
        reference_health=Health(answers=1000, empty=0, truncated=4, failed=0),
        secondary=(
            Secondary(metric="exact_match", candidate_mean=0.512, reference_mean=0.521, difference=-0.009),
            Secondary(metric="gold_recall", candidate_mean=0.81, reference_mean=0.812, difference=-0.002),
        ),
    )
    return replace(task, **changes)  # type: ignore[arg-type]


def the_tasks() -> tuple[TaskResult, ...]:
    plain = {"clusters": None, "icc": None, "design_effect": None, "secondary": ()}
    return (
        a_task(),
        a_task(
            task="massive_scenario_fr",
            metric="exact_match",
            kind="binary",
            n=500,
            candidate_mean=0.842,
            reference_mean=0.862,
            difference=-0.02,
            ci_low=-0.0423,
            ci_high=0.0011,
            verdict="inconclusive",
            p_value=0.076,
            recovery=0.9768,
            recovery_ci=(0.951, 1.002),
            flips=Flips(lost=21, gained=11, threshold=0.5),
            mde=0.032,
            documents_needed=1258,
            method="Tango's score interval for paired proportions, exact McNemar",
            p_non_inferior=0.5,
            p_holm=0.5,
            **plain,
        ),
        a_task(
            task="perplexity_probe",
            metric="word_perplexity",
            kind="unbounded",
            n=40,
            candidate_mean=14.31,
            reference_mean=13.92,
            difference=0.39,
            ci_low=-0.02,
            ci_high=0.8,
            margin=None,
            verdict=None,
            degradation_detected=None,
            p_value=0.06,
            recovery=None,
            recovery_ci=None,
            flips=None,
            mde=0.57,
            documents_needed=None,
            method="paired t",
            higher_is_better=False,
            p_non_inferior=None,
            p_holm=None,
            reasons={
                "verdict": "not on a 0-1 scale, so no margin is assumed: give --margin perplexity_probe=X",
                "recovery": "defined for scores where more is better",
            },
            **plain,
        ),
    )


def a_share(count: int, of: int) -> Share:
    share = count / of
    return Share(count=count, of=of, share=share, low=share / 2, high=(1 + share) / 2, method="Clopper-Pearson")


def a_judge(**changes: object) -> JudgeResult:
    """The seed study's counts."""
    judge = JudgeResult(
        n=150,
        wins=50,
        ties=60,
        losses=40,
        outcomes={
            "win": 50,
            "loss": 40,
            "tie": 21,
            "flip": 29,
            "split": 8,
            "identical": 2,
            "invalid": 3,
            "unjudged": 1,
        },
        decided=90,
        win_share=50 / 90,
        win_share_ci=(0.44698, 0.66037),
        p_value=0.3428,
        net_win=1 / 15,
        net_win_ci=(-0.058, 0.1914),
        at_least_as_good=110 / 150,
        position=Position(
            both_orders=148,
            first_answer=Share(count=97, of=173, share=97 / 173, low=0.4834, high=0.6359, method="Clopper-Pearson"),
            flip=Share(count=29, of=148, share=29 / 148, low=0.1353, high=0.2692, method="Clopper-Pearson"),
            split=Share(count=8, of=148, share=8 / 148, low=0.0236, high=0.1037, method="Clopper-Pearson"),
            flips_to_first=Share(count=20, of=29, share=20 / 29, low=0.4917, high=0.8472, method="Clopper-Pearson"),
            consistent=Share(count=111, of=148, share=0.75, low=0.6724, high=0.8176, method="Clopper-Pearson"),
        ),
        usage={
            "calls": 304,
            "input_tokens": 912_000,
            "cached_tokens": 401_000,
            "output_tokens": 27_400,
            "dollars": 1.4417,
        },
        verdict="non_inferior",
        margin=0.10,
        pairs=154,
        clusters=150,
        method="worst-case-augmented t",
        best_case=0.0909,
        worst_case=0.039,
        degradation_detected=False,
        p_non_inferior=0.0046,
        documents_needed=472,
        mde=0.177,
        length=Length(
            candidate_mean=1512.0,
            reference_mean=1604.5,
            difference_ci=(-140.2, -44.8),
            longer_wins=Share(count=52, of=88, share=52 / 88, low=0.481, high=0.6946, method="Clopper-Pearson"),
            bins=(
                LengthBin(low=0.0, high=0.8, n=38, wins=8, ties=14, losses=16, win_share=a_share(8, 24)),
                LengthBin(low=0.8, high=1.25, n=84, wins=30, ties=38, losses=16, win_share=a_share(30, 46)),
                LengthBin(low=1.25, high=None, n=28, wins=12, ties=8, losses=8, win_share=a_share(12, 20)),
            ),
        ),
        repeats=Repeats(questions=40, changed=a_share(4, 40), order_changed=a_share(37, 148)),
        tasks=(JudgedTask(task="analysis_fr", n=150, wins=50, ties=60, losses=40, net_win=1 / 15),),
        profile={"name": "gpt-4.1", "model": "gpt-4.1-2025-04-14", "shutdown": "2027-01-14"},
        rubric={"name": "analyses_fr", "sha256": "5f" * 32, "text": "Compare les deux analyses.\n- fidélité\n"},
    )
    return replace(judge, **changes)  # type: ignore[arg-type]


def a_series(name: str, final: float, margin: float | None) -> Series:
    """A running mean that starts on the other side of zero and settles at `final`."""
    at = tuple(range(5, 151, 5))
    estimate = tuple(final - 3 * final * (1 - k / 150) ** 2 for k in at)
    width = tuple(min(1.0, 2.2 * k**-0.5) for k in at)
    return Series(
        name=name,
        unit="documents",
        at=at,
        estimate=estimate,
        low=tuple(max(-1.0, e - h) for e, h in zip(estimate, width, strict=True)),
        high=tuple(min(1.0, e + h) for e, h in zip(estimate, width, strict=True)),
        margin=margin,
        sign_changes=1,
        method="betting confidence sequence",
    )


def a_report(**changes: object) -> Report:
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
            Setting(name="lm_eval_version", candidate="0.4.13", reference="0.4.13", differs=False),
            Setting(name="apply_chat_template", candidate=True, reference=False, differs=True),
            Setting(name="model", candidate="vllm", reference="hosted-chat", differs=True, expected=True),
        ),
        tasks=the_tasks(),
        judge=a_judge(),
        noise=Noise(
            reruns=(
                Rerun(
                    arm="reference",
                    task="piaf_fr",
                    metric="f1",
                    n=1000,
                    shift=0.0011,
                    ci_low=-0.004,
                    ci_high=0.0062,
                    churn=0.123,
                    method="CR1",
                ),
                Rerun(
                    arm="reference",
                    task="analysis_fr",
                    metric=None,
                    n=154,
                    shift=None,
                    ci_low=None,
                    ci_high=None,
                    churn=0.9,
                ),
            ),
            floors=(
                Floor(
                    task="piaf_fr",
                    floor=0.0062,
                    exceeded=False,
                    sentence="piaf_fr: the difference of -0.5 points is no larger than an arm's own move on a rerun "
                    "(up to 0.6 points).",
                ),
            ),
            sentence="Only the reference was run twice.",
        ),
        overall=Overall(
            verdict="inconclusive",
            sentence="Inconclusive: the data neither rule out a loss as large as the margin nor prove one on "
            "massive_scenario_fr. This is not evidence that nothing was lost.",
            ruled_out=(
                "piaf_fr: a loss of 2.0 points of f1 or more (the interval says at most 1.3)",
                "judge: a net loss of 10.0 points or more (the interval says at most 5.8)",
            ),
            not_claimed="Not claimed: that the arms are equal, or anything about other tasks, languages or settings.",
        ),
        level=0.95,
        warnings=(
            Caution(kind="precision", text="The precision of the hosted reference mistral-small-2603 is undisclosed."),
            Caution(kind="noise", text="Only one arm was run twice: the candidate's own noise is unknown."),
        ),
        cumulative=(a_series("piaf_fr f1", -0.0052, 0.02), a_series("judge: net win", 1 / 15, 0.10)),
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
    return replace(report, **changes)  # type: ignore[arg-type]


def many_reports() -> ManyReport:
    first = a_report()
    second = a_report(candidate=replace(first.candidate, name="small-4-NVFP4-QAD", model="QAD"))
    return ManyReport(
        reports=(first, second),
        claims=(
            Claim(
                candidate="small-4-NVFP4",
                verdict="inconclusive",
                p_value=0.5,
                p_holm=0.5,
                stands=False,
                reason="not non-inferior on massive_scenario_fr",
            ),
            Claim(candidate="small-4-NVFP4-QAD", verdict="non_inferior", p_value=0.004, p_holm=0.008, stands=True),
        ),
        recovered=(
            Recovered(
                candidate="small-4-NVFP4-QAD",
                raw="small-4-NVFP4",
                task="piaf_fr",
                metric="f1",
                share=0.61,
                ci=(0.22, 1.04),
                method="percentile cluster bootstrap",
            ),
        ),
        level=0.95,
    )
