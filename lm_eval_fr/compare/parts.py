"""What a comparison's report may hold beside the comparison: published claims, and a measured fidelity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lm_eval_fr.analyses.claims import check_claims, find_claims
from lm_eval_fr.compare.compare_command import Part
from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import read_json_as
from lm_eval_fr.pairing import Pairing
from lm_eval_fr.report.fidelity_model import SCHEMA_VERSION, Fidelity
from lm_eval_fr.report.model import Report

FARTHEST = 20  # documents of a fidelity that a comparison's report keeps
REMEDY = "give the fidelity.json that `lm-eval-fr fidelity` wrote"


def claims_part(given: str) -> Part:
    """given: a file, or the name of a table that ships with the package. It is read now."""
    published = find_claims(given)

    def add(report: Report, pairing: Pairing) -> Report:
        return replace(report, claims=check_claims(published, pairing.tasks, report.judge, level=report.level))

    return add


def fidelity_part(path: Path) -> Part:
    """path: what `lm-eval-fr fidelity` wrote. It is read now."""
    found = read_fidelity(path)

    def add(report: Report, pairing: Pairing) -> Report:
        return replace(report, fidelity=found)

    return add


def read_fidelity(path: Path) -> Fidelity:
    """With its longest list cut. Raises InputError."""
    found = read_json_as(path, Fidelity, what="a result of `fidelity`", remedy=REMEDY)
    if found.schema_version != SCHEMA_VERSION:
        raise InputError(f"schema version {found.schema_version}", where=path, remedy="measure again")
    return replace(found, documents=found.documents[:FARTHEST])
