"""A small French corpus written for this project, and the plan that `lm-eval-fr demo` runs on it."""

from __future__ import annotations

from pathlib import Path


def plan_path() -> Path:
    """The demo's plan: two built-in arms, one of them damaged on purpose, and the offline judge."""
    return Path(__file__).parent / "plan.yaml"
