"""The main job: a plan -> both arms, the judge, the comparison, the report. Run again, it goes on where it stopped.

OUT/plan.yaml  study.json            what was asked, and which plans this folder has seen
OUT/candidate/ reference/ *-rerun/   what lm-eval wrote for each arm, with its response cache and `arm.done`
OUT/judge/                           the journal and the verdicts
OUT/compare.json report.txt report.md report.html
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lm_eval_fr.arms.planned import arm_flags, planned_arms
from lm_eval_fr.errors import ArmError, InputError, PlanError, UsageError
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.plan import ArmPlan, Plan, arm_hash
from lm_eval_fr.tasklib.definitions import judged_names, tasks_behind

if TYPE_CHECKING:
    from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary
    from lm_eval_fr.pairing import Pairing
    from lm_eval_fr.report.model import Report

DONE = "arm.done"
RESUME = "LM_EVAL_FR_RESUME"
"""Tells a child the command that resumes the study that it belongs to."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class StudyResult:
    """unfinished: why the judge is not done (budget, failures), None when everything was obtained; and the remedy."""

    report: Report
    out: Path
    unfinished: str | None
    remedy: str = ""


def run_study(
    plan: Plan, plan_file: Path, *, out: Path, say: Say, command: str = "", quiet: bool = False
) -> StudyResult:
    """Runs what is not done yet of `plan` and writes the report into `out`.

    plan_file: where the plan was read; its folder is what the plan's relative paths start from.
    quiet: what the arms and the judge print is shown only where an arm fails.
    Raises ArmError when an arm stops, and what the stages raise; what they obtained is kept in `out`.
    """
    out, folder = out.resolve(), plan_file.resolve().parent
    _check_before(plan, plan_file, command)
    earlier = _open_folder(plan, plan_file.read_text(encoding="utf-8"), out)
    arms = dict(planned_arms(plan))
    for name, arm in arms.items():
        _run_arm_once(plan, name, arm, folder=folder, out=out, say=say, child=Child(command, quiet))
    pairing = _pair(plan, out, "candidate", "reference")
    summary = _judge(plan, pairing, folder=folder, out=out, say=say, command=command, quiet=quiet)
    say("comparing")
    report = _compare(plan, pairing, summary, out=out, earlier=earlier, command=command)
    _write_report(plan, pairing, report, out=out)
    unfinished = None if summary is None or summary.finished else summary.left or "the judge is not finished"
    return StudyResult(report=report, out=out, unfinished=unfinished, remedy=_remedy(summary))


def _remedy(summary: JudgeSummary | None) -> str:
    """In the plan's words: a spent budget is not mended by the same command again."""
    again = "run the same command again to resume"
    if summary is None or not summary.remedy:
        return again
    return f"{summary.remedy.replace('--max-usd', 'max_usd in the plan')}, then {again}"


def _check_before(plan: Plan, plan_file: Path, command: str) -> None:
    """What the later stages would refuse is refused before hours of generation: the judge's name, key and prices,
    the words of `allow`."""
    from lm_eval_fr.pairing import KINDS

    if unknown := sorted(set(plan.allow) - set(KINDS)):
        remedy = f"allow takes {', '.join(KINDS)}"
        raise PlanError(f"no mismatch is called {unknown[0]!r}", where=plan_file, remedy=remedy)
    tasks = tasks_behind(plan.tasks)
    if plan.judge is not None and (tasks is None or not judged_names().isdisjoint(tasks)):
        from lm_eval_fr.judge.options import JudgeOptions
        from lm_eval_fr.judge.session import check_ready

        check_ready(JudgeOptions.from_plan(plan, plan.judge, plan_file.resolve().parent, command))


def _open_folder(plan: Plan, plan_text: str, out: Path) -> list[str]:
    """Makes the folder and returns the hashes of the other plans whose results were already seen in it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        state_file = out / "study.json"
        state: dict[str, Any] = json.loads(state_file.read_text()) if state_file.exists() else {"plans": []}
        if plan.hash not in [entry["hash"] for entry in state["plans"]]:
            state["plans"].append({"hash": plan.hash, "first_used": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
        write_atomic(state_file, json.dumps(state, indent=1))
        write_atomic(out / "plan.yaml", plan_text)
    except (json.JSONDecodeError, KeyError, TypeError):
        raise InputError("not a study's state", where=out / "study.json", remedy="give another --out") from None
    except OSError as error:
        remedy = "give an --out that can be written"
        raise UsageError(f"cannot write the study: {error.strerror}", where=out, remedy=remedy) from None
    seen = (out / "compare.json").exists()
    return [entry["hash"] for entry in state["plans"] if entry["hash"] != plan.hash] if seen else []


def _run_arm_once(plan: Plan, name: str, arm: ArmPlan, *, folder: Path, out: Path, say: Say, child: Child) -> None:
    target, wanted = out / name, arm_hash(plan, arm)
    marker = target / DONE
    if marker.exists():
        found = marker.read_text().strip()
        if found == wanted:
            say(f"{name}: already there")
            return
        target.rename(out / f"{name}.{found[:8]}.{int(time.time())}")
    target.mkdir(parents=True, exist_ok=True)
    say(f"{name}: {arm.model} {json.dumps(arm.model_args, ensure_ascii=False) if arm.model_args else ''}".rstrip())
    code = child.run([*arm_flags(plan, arm), "--output_path", str(target)], folder)
    if code < 0 or code == 130:
        if code in (130, -signal.SIGINT):
            raise KeyboardInterrupt
        raise ArmError(f"the {name} arm was ended by signal {-code}", where=target, remedy="run again to resume")
    if code:
        # The child has printed what, where and the remedy.
        raise ArmError(
            f"the {name} arm stopped", where=target, remedy="mend what is said above and run again to resume"
        )
    write_atomic(marker, wanted)


@dataclass(frozen=True)
class Child:
    """One arm in a process of its own: an engine's memory is given back, a crash of it leaves the study standing.

    command: what resumes the study, told by a child that is interrupted. quiet: its output is shown if it fails.
    """

    command: str
    quiet: bool

    def run(self, flags: list[str], folder: Path) -> int:
        if not self.quiet:
            return self._wait(flags, folder, None)
        with tempfile.TemporaryFile() as kept:
            code = self._wait(flags, folder, kept)
            if code:
                kept.seek(0)
                sys.stderr.write(kept.read().decode("utf-8", "replace"))
            return code

    def _wait(self, flags: list[str], folder: Path, kept: IO[bytes] | None) -> int:
        line = [sys.executable, "-m", "lm_eval_fr", "run", *flags]
        environment = {**os.environ, RESUME: self.command} if self.command else None
        # lm-eval prints its tables on stdout, which is the report's.
        process = subprocess.Popen(line, cwd=folder, stdout=kept or sys.stderr, stderr=kept, env=environment)
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal sent the signal to the child as well; it is given time to close its cache.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            process.kill()
            raise


def _pair(plan: Plan, out: Path, one: str, other: str) -> Pairing:
    from lm_eval_fr.logs import find_run
    from lm_eval_fr.pairing import pair_runs

    one_run, other_run = find_run(out / one), find_run(out / other)
    return pair_runs(one_run, other_run, allow=plan.allow, metrics=plan.metrics, filters=plan.filters)


def _judge(
    plan: Plan, pairing: Pairing, *, folder: Path, out: Path, say: Say, command: str, quiet: bool
) -> JudgeSummary | None:
    """None where nothing is judged: no judge in the plan, or no open-ended task."""
    if plan.judge is None or not any(task.judged for task in pairing.tasks):
        return None
    from lm_eval_fr.judge.live.progress import Reporter
    from lm_eval_fr.judge.options import JudgeOptions
    from lm_eval_fr.judge.session import judge_runs

    options = JudgeOptions.from_plan(plan, plan.judge, folder, command)
    rerun = _pair(plan, out, "reference-rerun", "reference") if plan.reference.rerun else None
    say(f"judge: {', '.join(plan.judge.profiles)}")
    reporter = None if quiet else Reporter(sys.stderr)
    try:
        return judge_runs(pairing, out / "judge", options, rerun=rerun, progress=reporter, say=say)
    finally:
        if reporter is not None:
            reporter.close()


def _compare(
    plan: Plan, pairing: Pairing, summary: JudgeSummary | None, *, out: Path, earlier: Sequence[str], command: str
) -> Report:
    from lm_eval_fr.compare import compare
    from lm_eval_fr.logs import find_run

    reruns = {name: find_run(out / name) for name, _ in planned_arms(plan) if name.endswith("-rerun")}
    now = datetime.now().astimezone()
    return compare(
        pairing,
        judge_dir=None if summary is None else out / "judge",
        margins=plan.margins,
        level=plan.level,
        seed=plan.seed,
        candidate_rerun=reruns.get("candidate-rerun"),
        reference_rerun=reruns.get("reference-rerun"),
        plan_hash=plan.hash,
        plan_text=(out / "plan.yaml").read_text(encoding="utf-8"),
        command=command,
        created=now.isoformat(timespec="seconds"),
        today=now.date(),
        earlier_plans=earlier,
    )


def _write_report(plan: Plan, pairing: Pairing, report: Report, *, out: Path) -> None:
    from lm_eval_fr.compare.html_samples import write_html
    from lm_eval_fr.report import json_writer as json
    from lm_eval_fr.report import markdown_writer as markdown
    from lm_eval_fr.report import text_writer as text

    judged = out / "judge" if report.judge is not None else None
    write_html(report, pairing, out / "report.html", judge_dir=judged, seed=plan.seed)
    for name, content in (
        ("report.txt", text.render(report)),
        ("report.md", markdown.render(report)),
        ("compare.json", json.to_json(report)),  # last: its presence says that results were seen
    ):
        write_atomic(out / name, content)
