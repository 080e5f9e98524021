"""`compare` on folders: two runs, a study, or several candidates; the same for every caller."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lm_eval_fr.analyses.claims import find_claims
from lm_eval_fr.analyses.fidelity.fidelity_command import read_fidelity
from lm_eval_fr.analyses.value.prices import NO_PRICES, PriceFlags
from lm_eval_fr.compare import builder, several
from lm_eval_fr.compare.compare_options import CompareOptions, clock, pair_study, study_options
from lm_eval_fr.compare.comparison import Comparison
from lm_eval_fr.compare.margins import GOLD
from lm_eval_fr.errors import UsageError
from lm_eval_fr.pairing import pair_runs
from lm_eval_fr.plan import LEVEL, PLAN, SEED, Guarantee, as_guarantee, as_share, is_study, load_plan
from lm_eval_fr.report.model import ManyReport

PathLike = str | Path
Margins = Mapping[str, float | str] | float | str


def compare(
    candidate: PathLike,
    reference: PathLike | None = None,
    *,
    judge: PathLike | None = None,
    margins: Margins | None = None,
    candidate_rerun: PathLike | Sequence[PathLike] | None = None,
    reference_rerun: PathLike | Sequence[PathLike] | None = None,
    level: float | str | None = None,
    seed: int | None = None,
    tasks: Collection[str] | None = None,
    allow: Collection[str] = (),
    metrics: Mapping[str, str] | None = None,
    filters: Mapping[str, str] | None = None,
    parallel: Mapping[str, str] | None = None,
    guarantee: Guarantee | None = None,
    prices: PriceFlags = NO_PRICES,
    cost_ratio: float | None = None,
    claims: str | None = None,
    fidelity: PathLike | None = None,
    command: str | None = None,
) -> Comparison:
    """The verdict on two runs, or on a study, `compare("runs/study")`, whose folder has its arms, judge and margins.

    candidate, reference: what was given to lm-eval as --output_path. judge: the folder that `judge` wrote. margins:
    the largest loss accepted, by task, "gold" (every scored task) or "judge" (net win rate), as 0.02 or "2%"; a
    single value is for gold; without margins the report claims nothing. parallel: a task and its counterpart with
    the same questions in another language. guarantee: "worst-case" allows for whole articles lost unseen. *_rerun: one
    or more further runs of an arm: they are averaged into its scores and give the noise floor. The others are the
    flags of `lm-eval-fr compare`.
    Raises UsageError, InputError, MismatchError.
    """
    guarantee = None if guarantee is None else as_guarantee(guarantee)
    chosen = {"tasks": tasks, "allow": allow, "metrics": metrics, "filters": filters}
    if reference is None:
        given: dict[str, Any] = chosen | {"margin": margins, "judge": judge, "level": level, "seed": seed}
        given |= {"candidate-rerun": _paths(candidate_rerun), "reference-rerun": _paths(reference_rerun)}
        given |= {"parallel": parallel, "guarantee": guarantee}
        study = _study(candidate, given)
        plan = load_plan(study / PLAN)
        pairing = pair_study(plan, study)
        options = study_options(plan, study, pairing, command or "")
    else:
        options = CompareOptions(
            judge_dir=None if judge is None else Path(judge),
            margins=read_margins(margins),
            allow=allow,
            parallel=parallel or {},
            guarantee=guarantee or "default",
            **_settings(level, seed, command),
        )
        reruns = {"candidate_reruns": _paths(candidate_rerun), "reference_reruns": _paths(reference_rerun)}
        pairing = pair_runs(candidate, reference, **chosen, **reruns)  # type: ignore[arg-type]
    beside = replace(
        options,
        prices=prices if prices.prices else options.prices,
        cost_ratio=cost_ratio,
        claims=None if claims is None else find_claims(claims),
        fidelity=None if fidelity is None else read_fidelity(Path(fidelity)),
    )
    return builder.compare(pairing, beside)


def _paths(given: PathLike | Sequence[PathLike] | None) -> list[PathLike]:
    return [given] if isinstance(given, str | Path) else list(given or ())


def _study(folder: PathLike, given: Mapping[str, Any]) -> Path:
    """A study's folder; options that its plan fixes must not be given."""
    if not is_study(Path(folder)):
        what = "not a study's folder: it has no plan.yaml and both arms"
        raise UsageError(what, where=folder, remedy="give CANDIDATE and REFERENCE")
    for name, value in given.items():
        if value:
            remedy = "leave it out, or compare STUDY/candidate and STUDY/reference"
            flag = name.removesuffix("s")
            raise UsageError("the study's plan fixes it", where=f"--{flag}", remedy=remedy)
    return Path(folder)


def _settings(level: float | str | None, seed: int | None, command: str | None) -> dict[str, Any]:
    return {
        "level": LEVEL if level is None else as_share("level", level),
        "seed": SEED if seed is None else seed,
        "command": command,
        **clock(),
    }


def compare_many(
    candidates: Sequence[PathLike],
    reference: PathLike,
    *,
    judges: Sequence[PathLike] = (),
    margins: Margins | None = None,
    recovered_from: str | None = None,
    level: float | str | None = None,
    seed: int | None = None,
    tasks: Collection[str] | None = None,
    allow: Collection[str] = (),
    metrics: Mapping[str, str] | None = None,
    filters: Mapping[str, str] | None = None,
    command: str | None = None,
) -> ManyReport:
    """Several candidates against one reference, with claims after Holm's correction.

    judges: a judge's folder for each candidate, or none. recovered_from: the candidate whose loss the others recover.
    The others as in `compare`.
    """
    chosen = {"tasks": tasks, "allow": allow, "metrics": metrics, "filters": filters}
    pairings = [pair_runs(candidate, reference, **chosen) for candidate in candidates]  # type: ignore[arg-type]
    options = CompareOptions(margins=read_margins(margins), allow=allow, **_settings(level, seed, command))
    folders = [Path(judge) for judge in judges]
    return several.compare_many(pairings, options, judge_dirs=folders, recovered_from=recovered_from)


def read_margins(given: Margins | None) -> dict[str, float]:
    """Every margin as a fraction; a single value is for all scored tasks. Raises UsageError if not a number."""
    if given is None:
        return {}
    by_name = given if isinstance(given, Mapping) else {GOLD: given}
    return {name: as_share(f"the margin of {name}", margin) for name, margin in by_name.items()}
