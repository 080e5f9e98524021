"""The parts of a report that are there only when they were asked for, in the order in which they are shown."""

from __future__ import annotations

from lm_eval_fr.report.claims_panel import claims_panel
from lm_eval_fr.report.fidelity_panel import fidelity_panel
from lm_eval_fr.report.model import Report
from lm_eval_fr.report.sections import Panel
from lm_eval_fr.report.value_panel import value_panel
from lm_eval_fr.report.voting_panel import voting_panel


def panels_of(report: Report) -> list[Panel]:
    found = []
    if report.value is not None:
        found.append(value_panel(report.value))
    if report.voting is not None:
        found.append(voting_panel(report.voting))
    if report.claims is not None:
        found.append(claims_panel(report.claims))
    if report.fidelity is not None:
        found.append(fidelity_panel(report.fidelity))
    return found
