"""`lm-eval-fr value`: runs, prices and what a success is, in; successes per dollar, out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from lm_eval_fr.analyses.part_output import emit
from lm_eval_fr.analyses.value.prices import PriceFlags
from lm_eval_fr.analyses.value.value_builder import value_of_pairings, value_runs
from lm_eval_fr.analyses.value.value_model import ValueReport
from lm_eval_fr.analyses.value.value_section import value_section
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import Pairing
from lm_eval_fr.plan import LEVEL
from lm_eval_fr.report.destinations import NOWHERE, Destinations, Show
from lm_eval_fr.report.model import Extra


def value_command(
    runs: Sequence[Path],
    flags: PriceFlags,
    *,
    show: Show,
    say: Show,
    stdout: TextIO,
    to: Destinations = NOWHERE,
    level: float = LEVEL,
    tasks: Sequence[str] = (),
    allow: Sequence[str] = (),
) -> None:
    """runs: one alone, or candidates and, last, the reference. Raises UsageError, InputError or MismatchError."""
    to.check()
    value = value_runs([find_run(run) for run in runs], flags, level=level, tasks=tasks, allow=allow)
    title = " against ".join(arm.name for arm in value.arms)
    emit(_part(value), to, title=title, show=show, say=say, stdout=stdout)


def value_part(pairing: Pairing, flags: PriceFlags, *, level: float, names: Sequence[str]) -> Extra:
    """What a dollar buys, for a comparison's report."""
    runs = (pairing.candidate, pairing.reference)
    return _part(value_of_pairings(runs, [pairing], flags, level=level, names=names))


def _part(value: ValueReport) -> Extra:
    return Extra(key="value", data=value, section=value_section(value))
