"""The main job: a plan -> both arms, the judge, the comparison, the report. Rerun, it resumes where it stopped.

OUT/plan.yaml  study.json            what was asked, and which plans this folder has seen
OUT/candidate/ reference/ *-rerun/   what lm-eval wrote for each arm, with its response cache and `arm.done`
OUT/judge/                           the journal and the verdicts
OUT/compare.json report.txt report.md report.html
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lm_eval_fr.arms.child import Child
from lm_eval_fr.arms.planned import arm_flags, data_files, planned_arms
from lm_eval_fr.errors import ArmError
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.io.streams import say_on_stderr
from lm_eval_fr.plan import ArmPlan, Plan, PlanFile, StudyFolder, plan_home, read_plan, was_run

if TYPE_CHECKING:
    from lm_eval_fr.compare import Comparison
    from lm_eval_fr.judge.verdicts.judge_summary import JudgeSummary
    from lm_eval_fr.pairing import Pairing

Say = Callable[[str], None]


@dataclass(frozen=True)
class StudyResult:
    """unfinished: why the judge is not done (budget, failures), None if everything was obtained; and the remedy."""

    report: Comparison
    out: Path
    unfinished: str | None
    remedy: str = ""


def run_study(
    plan_file: str | Path,
    *,
    out: str | Path | None = None,
    say: Say = say_on_stderr,
    command: str = "",
    quiet: bool = False,
    full: bool = False,
    forecast: bool = True,
) -> StudyResult:
    """Runs the parts of the plan in `plan_file` that are not done yet and writes the report into `out` (default: the
    plan's name).

    The plan's relative paths start from its own folder, also where `plan_file` is a study's copy of it. quiet: show
    the output of the arms and the judge only if an arm fails. full: also show lm-eval's own tables.
    forecast: first say what the plan can decide.
    Raises PlanError, ArmError when an arm stops, and what the stages raise; what they obtained is kept in `out`.
    """
    plan, file = read_plan(plan_file)
    folder = plan_home(file.path)
    study = _Study(plan, folder, Path(out or plan.name).resolve(), say, command, quiet, full)
    files = data_files(plan, folder)
    study.look_ahead(file, files, forecast)
    with StudyFolder(study.out, plan, file.text, files, folder) as kept:
        for number, (name, arm) in enumerate(study.arms, 1):
            study.run_arm_once(kept, number, name, arm)
        from lm_eval_fr.compare.builder import compare
        from lm_eval_fr.compare.compare_options import pair_study, study_options

        pairing = pair_study(plan, study.out)
        summary = study.judge(pairing)
        study.step(study.steps, "comparing")

        report = compare(pairing, study_options(plan, study.out, pairing, command))
        study.write(report)
        kept.results_seen()
    unfinished = None if summary is None or summary.finished else summary.left or "the judge is not finished"
    return StudyResult(report=report, out=study.out, unfinished=unfinished, remedy=_remedy(summary))


def _remedy(summary: JudgeSummary | None) -> str:
    """In terms of the plan; rerunning does not raise a spent budget."""
    again = "rerun the same command to resume"
    if summary is None or not summary.remedy:
        return again
    return f"{summary.remedy.replace('--max-usd', 'max_usd in the plan')}, then {again}"


@dataclass(frozen=True)
class _Study:
    plan: Plan
    folder: Path
    out: Path
    say: Say
    command: str
    quiet: bool
    full: bool

    @property
    def arms(self) -> Sequence[tuple[str, ArmPlan]]:
        return list(planned_arms(self.plan))

    @property
    def steps(self) -> int:
        return len(self.arms) + (self.plan.judge is not None) + 1

    def step(self, number: int, what: str) -> None:
        self.say(f"step {number} of {self.steps}: {what}")

    def look_ahead(self, file: PlanFile, files: Mapping[str, str], forecast: bool) -> None:
        """Refuses, before hours of generation, what a later stage would refuse; says what cannot be decided."""
        from lm_eval_fr.check.before_study import before_study

        watched = sys.stderr.isatty()  # a log keeps everything
        pending = {name: arm for name, arm in self.arms if not was_run(self.out / name, self.plan, arm, files)}
        if watched and forecast and pending:
            self.say("reading the plan's documents")
        prospects = before_study(self.plan, self.folder, file, pending)
        for line in (prospects.headline, *(prospects.table() if watched else prospects.lines())):
            if line and forecast:
                self.say(line)

    def run_arm_once(self, kept: StudyFolder, number: int, name: str, arm: ArmPlan) -> None:
        target, why = self.out / name, kept.why_again(name, arm)
        if why is None:
            self.step(number, f"{name}: already there")
            return
        if why:
            earlier = f"{name}.{time.strftime('%Y%m%d-%H%M%S')}"
            target.rename(self.out / earlier)
            self.say(f"{name} is rerun: {why}; the earlier run is kept in {earlier}")
        target.mkdir(parents=True, exist_ok=True)
        self.step(number, " ".join([f"{name}: {arm.model}", *(f"{key}={arg}" for key, arg in arm.model_args.items())]))
        child = Child(self.command, name, self.quiet, self.full)
        code = child.run([*arm_flags(self.plan, name, arm), "--output_path", str(target)], self.folder)
        if code in (130, -signal.SIGINT):
            raise KeyboardInterrupt
        if code < 0 or code > 128:
            number = -code if code < 0 else code - 128
            raise ArmError(f"the {name} arm was ended by signal {number}", where=target, remedy="rerun to resume")
        if code:
            # The child has printed what, where and the remedy.
            remedy = "its own message is above; once that is fixed, rerun to resume"
            error = ArmError(f"the {name} arm stopped", where=target, remedy=remedy)
            error.exit_code = code if code in (4, 70) else error.exit_code
            raise error
        kept.arm_is_done(name, arm)

    def judge(self, pairing: Pairing) -> JudgeSummary | None:
        """None if nothing is judged: no judge in the plan, or no open-ended task."""
        plan = self.plan
        if plan.judge is None or not any(task.judged for task in pairing.tasks):
            return None
        from lm_eval_fr.judge.options import JudgeOptions
        from lm_eval_fr.judge.session import judge_runs
        from lm_eval_fr.pairing import pair_runs

        options = JudgeOptions.from_plan(plan, plan.judge, self.folder, self.command)
        rerun = None
        if plan.reference.rerun:
            rerun = pair_runs(
                self.out / "reference-rerun", self.out / "reference", allow=plan.allow, filters=plan.filters
            )
        self.step(self.steps - 1, f"judge: {', '.join(plan.judge.profiles)}")
        return judge_runs(pairing, self.out / "judge", options, rerun=rerun, progress=not self.quiet, say=self.say)

    def write(self, report: Comparison) -> None:
        report.to_html(self.out / "report.html")
        for name, content in (
            ("report.txt", report.to_text()),
            ("report.md", report.to_markdown()),
            ("compare.json", report.to_json()),
        ):
            write_atomic(self.out / name, content)
