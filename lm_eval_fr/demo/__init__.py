"""A small French corpus written for this project, the plan that `lm-eval-fr demo` runs on it, and a real one."""

from __future__ import annotations

from pathlib import Path


def plan_path() -> Path:
    """The demo's plan: two built-in arms, one of them damaged on purpose, and the offline judge."""
    return Path(__file__).parent / "plan.yaml"


def example_plan() -> Path:
    """The plan of the README: four bits on this machine against an API."""
    return Path(__file__).parent / "example_plan.yaml"
