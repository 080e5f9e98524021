"""A ladder of known damage on a real model: does the tool see it, and in order? `make study` runs this.

    python -m scripts.ladder plans/ladder.yaml --out study-out [--data-dir DIR] [--only ARM]...

Every arm of the ladder is made (scripts/damage.py), served (llama.cpp; transformers and vLLM for the same weights in
other engines), asked through `lm-eval-fr run`, and compared with the reference as `lm-eval-fr compare` does it.
Finished work is not repeated: run the same command to resume. OUT/ladder.md and OUT/ladder.html are the tables, with
the expected results and whether they came out; OUT/<arm>/report.html is each comparison.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

import lm_eval_fr
from lm_eval_fr import Comparison, Fidelity
from lm_eval_fr.analyses.fidelity.fidelity_command import read_fidelity
from lm_eval_fr.demo import plan_path
from lm_eval_fr.errors import InputError, UsageError, nearest
from lm_eval_fr.io.files import write_atomic
from lm_eval_fr.io.reading import convert, read_yaml
from lm_eval_fr.io.script import run_script, script_parser
from lm_eval_fr.io.streams import say_on_stderr
from lm_eval_fr.logs import find_run
from lm_eval_fr.report import html_writer, markdown_writer, text_writer
from scripts.damage import VALUES, damage_folder, damage_gguf, described
from scripts.ladder_engines import ROOT, Engine, Processes, python_of, scoring, serving
from scripts.ladder_report import Climbed, Rung, drawings, sections_of
from scripts.real_models import MODELS, fetch_model

ARM_LIMIT = 7200.0  # seconds a call of `lm-eval-fr run` may take
AT_ONCE = 2  # arms: llama.cpp takes one thread each
SEED = 1234  # of the layers that are left untouched
REMEDY = "see plans/ladder.yaml"


class ArmOfLadder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """values: a name of scripts/damage.py. documents: of every task, at most."""

    values: str
    untouched: float = 0.0
    engine: Engine = "llama.cpp"
    documents: int | None = None


class TaskOfLadder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """arms: the arms that run it, all where none is named. max_gen_toks: overrides the task's own. metadata: what
    `lm-eval-fr run --metadata` gets; relative paths in it start at the checkout."""

    documents: int
    arms: list[str] | None = None
    max_gen_toks: int | None = None
    metadata: dict[str, Any] = {}

    @property
    def flags(self) -> tuple[str, ...]:
        """The task's own flags for `lm-eval-fr run`: tasks with the same flags share one call."""
        flags: list[str] = []
        if self.max_gen_toks:
            flags += ["--gen_kwargs", json.dumps({"max_gen_toks": self.max_gen_toks})]
        if self.metadata:
            flags += ["--metadata", json.dumps(self.metadata)]
        return tuple(flags)


class FidelityOfLadder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first `texts` of the demo's articles, the first `characters` of each, on vLLM servers."""

    arms: list[str]
    texts: int
    characters: int


class Ladder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """arms: in the order of their damage. rerun: the arm that repeats the reference. chat: whether prompts go through
    the model's chat template."""

    model: str
    chat: bool = False
    tasks: dict[str, TaskOfLadder]
    margins: dict[str, float]
    reference: str
    rerun: str
    arms: dict[str, ArmOfLadder]
    fidelity: FidelityOfLadder | None = None


def read_ladder(path: Path) -> Ladder:
    """Raises InputError."""
    ladder = convert(read_yaml(path, remedy=REMEDY), Ladder, what="ladder", where=path, remedy=REMEDY)
    _check_names("model", [ladder.model], MODELS, path)
    _check_names("arm", _named_arms(ladder), ladder.arms, path)
    _check_names("set of values", (arm.values for arm in ladder.arms.values()), VALUES, path)
    numbers = [n for task in ladder.tasks.values() for n in (task.documents, task.max_gen_toks) if n is not None]
    numbers += [arm.documents for arm in ladder.arms.values() if arm.documents is not None]
    numbers += [ladder.fidelity.texts, ladder.fidelity.characters] if ladder.fidelity else []
    if any(number < 1 for number in numbers):
        raise InputError("a number below 1", where=path, remedy=REMEDY)
    if wrong := [arm.untouched for arm in ladder.arms.values() if not 0 <= arm.untouched < 1]:
        raise InputError(f"untouched: {wrong[0]:g} is not a share below 1", where=path, remedy=REMEDY)
    return ladder


def _check_names(kind: str, names: Iterable[str], known: Collection[str], path: Path) -> None:
    for name in names:
        if name not in known:
            remedy = nearest(name, known) or f"choose from {', '.join(known)}"
            raise InputError(f"no {kind} is called {name!r}", where=path, remedy=remedy)


def _named_arms(ladder: Ladder) -> Iterator[str]:
    yield from (ladder.reference, ladder.rerun)
    for task in ladder.tasks.values():
        yield from task.arms or ()
    yield from ladder.fidelity.arms if ladder.fidelity else ()


@dataclass(frozen=True)
class Study:
    ladder: Ladder
    out: Path
    data_dir: Path | None
    processes: Processes = field(default_factory=Processes)

    def asked(self, name: str) -> dict[str, int]:
        """What the arm is asked: task -> documents."""
        most = self.ladder.arms[name].documents
        tasks = {task: given for task, given in self.ladder.tasks.items() if given.arms is None or name in given.arms}
        return {task: min(most or given.documents, given.documents) for task, given in tasks.items()}

    def checkpoint(self, arm: ArmOfLadder) -> Path:
        """The arm's weights as its engine reads them, made if missing."""
        return self.gguf(arm) if arm.engine == "llama.cpp" else self.folder(arm)

    def gguf(self, arm: ArmOfLadder) -> Path:
        target = self._weights(arm, ".gguf")
        if not target.exists():
            damage_gguf(fetch_model(self.ladder.model, target.parent), target, arm.values, arm.untouched, SEED)
        return target

    def folder(self, arm: ArmOfLadder) -> Path:
        whole, target = self.out / "models" / f"{self.ladder.model}-bf16", self._weights(arm)
        if not (whole / "config.json").is_file():
            command: list[str | Path] = [
                python_of("hf"),
                ROOT / "scripts/real_models.py",
                whole.parent,
                self.ladder.model,
                "--bf16",
            ]
            self.processes.run(command, self.out / "models" / "convert.log", ARM_LIMIT)
        if not target.exists():
            damage_folder(whole, target, arm.values, arm.untouched, SEED)
        return target

    def _weights(self, arm: ArmOfLadder, ending: str = "") -> Path:
        return self.out / "models" / f"{self.ladder.model}-{arm.values}-{arm.untouched:g}{ending}"

    def answer(self, name: str) -> None:
        """Gets the arm's missing answers; tasks with their own settings in a separate call."""
        arm, wanted = self.ladder.arms[name], self.asked(name)
        missing = {task: n for task, n in wanted.items() if self._answered(name, task) < n}
        if not missing:
            return
        further = ["--data-dir", str(self.data_dir)] if self.data_dir else []
        with serving(
            arm.engine, self.checkpoint(arm), self.out / name, self.processes, chat=self.ladder.chat
        ) as command:
            for own in dict.fromkeys(self.ladder.tasks[task].flags for task in missing):
                samples = {t: list(range(n)) for t, n in missing.items() if self.ladder.tasks[t].flags == own}
                flags = ["--samples", json.dumps(samples), "--tasks", ",".join(samples)]
                flags += ["--output_path", str(self.run_of(name)), *own, *further]
                self.processes.run([*command, *flags], self.out / name / "run.log", ARM_LIMIT)

    def run_of(self, name: str) -> Path:
        return self.out / name / "run"

    def check_run(self, name: str) -> None:
        """Raises InputError if the arm's answers are split over several folders, none of which would be complete."""
        folders = sorted({path.parent.name for path in self.run_of(name).glob("*/results_*.json")})
        if len(folders) > 1:
            what = f"answers of this arm under {len(folders)} names: {', '.join(folders)}"
            raise InputError(what, where=self.run_of(name), remedy="remove one; missing answers are asked again")

    def _answered(self, name: str, task: str) -> int:
        """How many documents of the task are in the arm's run."""
        try:
            log = find_run(self.run_of(name), tasks=[task]).tasks[task]
        except InputError:
            return 0
        return sum(file.documents or 0 for file in log.files)

    def compare(self, name: str, reference: str, tasks: Sequence[str], *, claims: bool = True) -> Comparison:
        """Two arms on the tasks that both answered; with the ladder's margins and the noise floor, if it claims."""
        fewer = any(self.asked(name)[task] != self.asked(reference)[task] for task in tasks)
        rerun = self.run_of(self.ladder.rerun) if claims and name != self.ladder.rerun else None
        return lm_eval_fr.compare(
            self.run_of(name),
            self.run_of(reference),
            tasks=list(tasks),
            margins=self.ladder.margins if claims else None,
            reference_rerun=rerun,
            allow=["documents"] if fewer else [],
            command=f"python -m scripts.ladder ({name} against {reference})",
        )

    def report(self, name: str) -> Comparison:
        """The arm against the reference, also as files beside its run."""
        reference = self.ladder.reference
        found = self.compare(name, reference, [t for t in self.asked(name) if t in self.asked(reference)])
        write_atomic(self.out / name / "compare.json", found.to_json())
        write_atomic(self.out / name / "report.md", found.to_markdown())
        found.to_html(self.out / name / "report.html")
        return found

    def fidelity(self, names: Sequence[str]) -> dict[str, Fidelity]:
        """How far each arm's next-token probabilities are from the reference's, both on vLLM."""
        given = self.ladder.fidelity
        kept = {name: self.out / name / "fidelity" for name in names}
        missing = [name for name, folder in kept.items() if not (folder / "fidelity.json").is_file()]
        if given is not None and missing:
            texts = self._texts(given)
            models = {name: self.folder(self.ladder.arms[name]) for name in (self.ladder.reference, *missing)}
            log = self.out / self.ladder.reference / "vllm.log"
            with scoring(models[self.ladder.reference], self.ladder.reference, log, self.processes) as reference:
                for name in missing:
                    with scoring(models[name], name, self.out / name / "vllm.log", self.processes) as candidate:
                        lm_eval_fr.fidelity(candidate, reference, texts=texts, out=kept[name], rerun=True)
        return {name: read_fidelity(folder / "fidelity.json") for name, folder in kept.items()}

    def _texts(self, given: FidelityOfLadder) -> Path:
        path = self.out / "texts.jsonl"
        articles = (plan_path().parent / "data" / "analysis_fr.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in articles[: given.texts]]
        cut = [{"id": row["id"], "text": row["text"][: given.characters]} for row in rows]
        write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in cut))
        return path


def run_ladder(study: Study, only: Sequence[str]) -> str:
    """Does everything that is not done yet, then the tables. Returns them as text."""
    ladder = study.ladder
    if unknown := [name for name in only if name not in ladder.arms]:
        remedy = nearest(unknown[0], ladder.arms) or REMEDY
        raise UsageError(f"no arm is called {unknown[0]!r}", where="--only", remedy=remedy)
    chosen = [name for name in ladder.arms if name in {ladder.reference, ladder.rerun, *(only or ladder.arms)}]
    scored = [name for name in (ladder.fidelity.arms if ladder.fidelity else ()) if name in chosen]
    for name in chosen:  # before hours are spent
        study.check_run(name)
    for engine in (*(ladder.arms[name].engine for name in chosen), *(("vllm",) if scored else ())):
        python_of(engine)
    try:
        for arm in (ladder.arms[name] for name in chosen):  # one after another: arms may share a checkpoint
            study.checkpoint(arm)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for name, _ in zip(chosen, pool.map(study.answer, chosen), strict=True):
                    say_on_stderr(f"{name}: answered")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                study.processes.end()
                raise
        fidelity = study.fidelity(scored)
    finally:
        study.processes.end()
    return write_report(study, chosen, fidelity)


def write_report(study: Study, chosen: Sequence[str], fidelity: dict[str, Fidelity]) -> str:
    ladder = study.ladder
    whole = ladder.arms[ladder.reference].values
    rungs = [
        Rung(
            name=name,
            damage=described(study.checkpoint(arm)),
            same_weights=arm.values == whole,
            report=study.report(name),
            fidelity=fidelity.get(name),
        )
        for name, arm in ladder.arms.items()
        if name in chosen and name != ladder.reference
    ]

    def step(lower: str, upper: str, task: str) -> Comparison:
        return study.compare(lower, upper, [task], claims=False)

    answered = tuple(task for task in ladder.tasks if any(task in rung.tasks for rung in rungs))
    climbed = Climbed(answered, tuple(rungs), step)
    sections = sections_of(climbed)
    title = f"A ladder of known damage: {ladder.model}"
    drawn = "".join(f"\n```text\n{drawing}\n```\n" for drawing in drawings(climbed))
    write_atomic(study.out / "ladder.md", markdown_writer.render(sections) + drawn)
    write_atomic(study.out / "ladder.html", html_writer.render_sections(title, sections))
    return text_writer.render(sections)


def main(argv: Sequence[str] | None = None) -> int:
    parser = script_parser(__doc__)
    parser.add_argument("ladder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("study-out"))
    parser.add_argument("--data-dir", type=Path, help="instead of the hub")
    parser.add_argument("--only", action="append", metavar="ARM", help="this arm and the reference (several: repeat)")

    def work() -> None:
        given = parser.parse_args(argv)
        data_dir = given.data_dir.resolve() if given.data_dir else None
        study = Study(read_ladder(given.ladder), given.out.resolve(), data_dir)
        print(run_ladder(study, given.only or []))

    return run_script("ladder", work, interrupted="interrupted; the same command resumes")


if __name__ == "__main__":
    sys.exit(main())
