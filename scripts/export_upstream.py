"""Writes a task into a checkout of lm-evaluation-harness, ready to contribute.

    python scripts/export_upstream.py CHECKOUT [--tasks piaf_fr] [--results RESULTS.json] [--model NAME]

A contribution is one task: piaf_fr first, ifeval_fr after it. The task becomes lm_eval/tasks/<task>/ with a YAML, a
README after the project's template with its checklist answered, and a utils.py that imports nothing of ours: it
contains what it needs of the metrics and the document order. A row is put into lm_eval/tasks/README.md. Files of an
earlier export are replaced. --results puts a public model's scores, as lm-eval wrote them, into the README. Prints
what is left to do by hand.
"""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from lm_eval_fr.errors import InputError, UsageError
from lm_eval_fr.io.script import run_script, script_parser
from lm_eval_fr.tasklib.definitions import tasks_dir
from lm_eval_fr.tasklib.records import read_json


@dataclass(frozen=True)
class Page:
    """What an upstream README must say beyond our own page."""

    title: str
    paper: str
    homepage: str
    row: str
    reference: str  # what of the paper's can be reproduced
    scoring: str
    others: str


PAGES = {
    "piaf_fr": Page(
        "Project PIAF: Building a Native French Question-Answering Dataset",
        "https://aclanthology.org/2020.lrec-1.673/",
        "https://huggingface.co/datasets/AgentPublic/piaf",
        "Native French extractive question answering on Wikipedia paragraphs, scored with French normalisation.",
        "the paper tunes encoders on the data; this task asks a generative model without examples",
        """Text is normalised as French before it is compared: NFKC, case folding, apostrophes unified, elisions split
(`l'été` is `été`) while words with an apostrophe of their own stay whole (`aujourd'hui`), articles, punctuation and
guillemets dropped, `100 000` and its no-break-space forms one token with `100000`, `14,2` equal to `14.2`, a capital
without its accent read as the accented one (`Eveil` is `Éveil`).""",
        "`french_bench` holds another data set (FQuAD) and other metrics.",
    ),
    "ifeval_fr": Page(
        "M-IFEval: Multilingual Instruction-Following Evaluation",
        "https://arxiv.org/abs/2502.04688",
        "https://github.com/lightblue-tech/M-IFEval",
        "Verifiable instructions in French (accents, capitals, sections, JSON, ...), the French part of M-IFEval.",
        "of the publisher's own verdicts on the answers of five models 99.9 % are reproduced",
        "The 30 rules are checked without nltk; langdetect comes with `lm_eval[ifeval]`.",
        "`ifeval` is the English benchmark that M-IFEval follows.",
    ),
}


@dataclass
class Module:
    """A source file: its top-level definitions with the comments above them, and what it imports."""

    path: Path
    lines: list[str]
    definitions: dict[str, ast.stmt] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)  # name: (module, name in it; "" for itself)
    summary: str = ""

    @classmethod
    def read(cls, path: Path) -> Module:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        module = cls(path, text.split("\n"), summary=(ast.get_docstring(tree) or "").split("\n")[0])
        for node in tree.body:
            module._index(node)
        return module

    def _index(self, node: ast.stmt) -> None:
        if isinstance(node, ast.If):  # if TYPE_CHECKING
            for inner in node.body:
                self._index(inner)
        elif isinstance(node, ast.Import):
            self.imports |= {alias.asname or alias.name: (alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            self.imports |= {alias.asname or alias.name: (node.module or "", alias.name) for alias in node.names}
        else:
            names = _bound(node)
            self.definitions |= dict.fromkeys(names, node)
            self.starts |= dict.fromkeys(names, self._first_line(node))

    def _first_line(self, node: ast.stmt) -> int:
        decorators = getattr(node, "decorator_list", [])
        line = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
        while line and self.lines[line - 1].startswith("#"):
            line -= 1
        return line

    def paragraphs(self, names: list[str]) -> list[str]:
        """Their text in the file's order, what stands line under line there kept together."""
        found: list[str] = []
        last = -1
        for name in sorted(names, key=self.starts.__getitem__):
            first, end = self.starts[name], self.definitions[name].end_lineno or 0
            text = "\n".join(self.lines[first:end])
            if first == last:
                found[-1] += f"\n{text}"
            elif end != last:  # two names of one statement
                found.append(text)
            last = end
        return found


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _names(node: ast.AST) -> dict[str, bool]:
    """The names in use, and whether each is needed when the code runs, not by annotations alone."""
    annotations = [getattr(inner, kind, None) for inner in ast.walk(node) for kind in ("annotation", "returns")]
    typing_only = {id(inner) for one in annotations if one is not None for inner in ast.walk(one)}
    found: dict[str, bool] = {}
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            found[inner.id] = found.get(inner.id, False) or id(inner) not in typing_only
    return found


class Bundle:
    """Some functions of a task's utils.py with everything of ours that they need, as one module."""

    def __init__(self, utils: Path, entries: list[str]) -> None:
        self.modules = {"": Module.read(utils)}
        self.wanted: dict[tuple[str, str], None] = {}
        self.imports: dict[tuple[str, str], bool] = {}  # (module, name): whether it is needed when the code runs
        for name in entries:
            self._want("", name)

    def _want(self, where: str, name: str) -> None:
        module = self.modules[where]
        if name in module.imports:
            self._import(module.imports[name], runtime=True)
        elif name not in module.definitions:
            raise InputError(f"no function {name}", where=module.path)
        elif (where, name) not in self.wanted:
            self.wanted[where, name] = None
            for used, runtime in sorted(_names(module.definitions[name]).items()):
                if used in module.imports:
                    self._import(module.imports[used], runtime=runtime)
                elif used in module.definitions:
                    self._want(where, used)

    def _import(self, target: tuple[str, str], *, runtime: bool) -> None:
        where, name = target
        if not where.startswith("lm_eval_fr"):
            self.imports[target] = self.imports.get(target, False) or runtime
            return
        if where not in self.modules:
            spec = find_spec(where)
            assert spec is not None and spec.origin is not None
            self.modules[where] = Module.read(Path(spec.origin))
        self._want(where, name)

    def render(self) -> str:
        body: list[str] = []
        bound: dict[str, str] = {}
        for where in sorted(self.modules, key=lambda where: (not where, where)):  # the task's own part last
            module = self.modules[where]
            names = [name for place, name in self.wanted if place == where]
            for name in names:
                if bound.setdefault(name, where) != where or hasattr(builtins, name):
                    raise InputError(f"{name} would have two meanings in one file", where=module.path)
            body += module.paragraphs(names)
        head = [f'"""{self.modules[""].summary}\n\nExported from lm-eval-fr, which has its tests.\n"""']
        return "\n\n".join([*head, "from __future__ import annotations", self._imports(), *body]) + "\n"

    def _imports(self) -> str:
        needed = {target for target, runtime in self.imports.items() if runtime}
        typing_only = set(self.imports) - needed
        if typing_only:
            needed.add(("typing", "TYPE_CHECKING"))
        lines = sorted(_import_lines(needed - {("datasets", "")}), key=lambda line: (line.startswith("from"), line))
        lines += ["", "import datasets"] if ("datasets", "") in needed else []
        typed = [f"    {line}" for line in sorted(_import_lines(typing_only))]
        return "\n".join([*lines, *(["", "if TYPE_CHECKING:", *typed] if typed else [])])


def _import_lines(targets: set[tuple[str, str]]) -> Iterator[str]:
    names: dict[str, list[str]] = {}
    for module, name in sorted(targets):
        if name:
            names.setdefault(module, []).append(name)
        else:
            yield f"import {module}"
    for module, imported in names.items():
        yield f"from {module} import {', '.join(imported)}"


def upstream_yaml(text: str) -> tuple[str, list[str]]:
    """The task's YAML with lm-eval's own loading, and the functions that it names."""
    hub = yaml.load(text, Loader=_Loader)["metadata"]["dataset"]
    loading = [f"dataset_path: {hub['path']}"]
    loading += [f"dataset_name: {hub['name']}"] if hub["name"] else []
    loading += [f"dataset_kwargs:\n  revision: {hub['revision']}"] if hub["revision"] else []
    if files := hub.get("files"):
        loading.append(f"dataset_kwargs:\n  data_files:\n    {hub['split']}: {files}")
    loading.append("process_docs: !function utils.process_docs")
    text = text.replace("custom_dataset: !function utils.load", "\n".join(loading))
    text = f"{text[: text.index('metadata:')]}metadata:\n  version: 1.0\n"
    return text, re.findall(r"!function utils\.(\w+)", text)


class _Loader(yaml.SafeLoader):
    """Of a task's YAML, whose functions are read as their names."""


_Loader.add_constructor("!function", lambda loader, node: node.value)


def upstream_readme(task: str, page: Page, ours: str, results: str) -> str:
    """Our page in the form of their template. results: a table, "" without one."""
    about = ours.split("\n\n")[1]
    choices = ours.split("Choices made:\n\n")[1].split("\n\n```")[0]
    choices = "\n".join(item for item in re.split(r"\n(?=- )", choices) if "metadata" not in item)
    citation = ours.split("```bibtex\n")[1].split("\n```")[0]
    return f"""# {task}

## Paper

Title: `{page.title}`

Abstract: {page.paper}

{about}

Homepage: {page.homepage}

{page.scoring}

{choices}

### Citation

```text
{citation}
```

### Groups, Tags, and Tasks

#### Tasks

* `{task}`: {page.row}

### Checklist

For adding novel benchmarks/datasets to the library:

* [x] Is the task an existing benchmark in the literature?
  * [x] Have you referenced the original paper that introduced the task?
  * [x] If yes, does the original paper provide a reference implementation? As to its numbers: {page.reference}.

If other tasks on this dataset are already supported:

{page.others}

* [x] Is the "Main" variant of this task clearly denoted? There is one variant.
* [x] Have you provided a short sentence in a README on what each new variant adds / evaluates?
* [x] Have you noted which, if any, published evaluation setups are matched by this variant? None is.

{results}### Changelog

* 1.0: first version.
"""


def with_row(index: str, task: str, page: Page) -> str:
    """lm_eval/tasks/README.md with the task's row, in its alphabetical place; the rest untouched."""
    row = f"| [{task}]({task}/README.md) | {page.row} | French |"
    lines = [line for line in index.split("\n") if f"({task}/README.md)" not in line]
    ruler = next((number for number, line in enumerate(lines) if re.match(r"\|-+\|-+\|-+\|$", line)), None)
    if ruler is None:
        raise InputError("no table of tasks in lm_eval/tasks/README.md")
    place = ruler + 1
    while place < len(lines) and (name := re.match(r"\|\s*\[?([^]|]*)", lines[place])) and name[1].lower() < task:
        place += 1
    return "\n".join([*lines[:place], row, *lines[place:]])


def results_table(path: Path, tasks: list[str], model: str | None = None) -> dict[str, str]:
    """Per task the README's section on a public model's scores: of the task, or of its variant with two examples.

    model: what the model is called in public, where the run knows it by another name. Raises InputError if the file
    holds no scores of a task.
    """
    body = read_json(path)
    found = {}
    for task in tasks:
        name = next((name for name in (task, f"{task}_shots") if _block(body, "results", name)), None)
        if name is None:
            raise InputError(f"no results of {task}", where=path, remedy="give a results_*.json that lm-eval wrote")
        numbers = {key.split(",")[0]: value for key, value in _block(body, "results", name).items() if ",none" in key}
        rows = [f"| {key} | {value:.4f} |" for key, value in numbers.items() if isinstance(value, float)]
        table = "\n".join(["| metric | value |", "|---|---|", *(row for row in rows if "_stderr" not in row)])
        shots = "a base model, with two solved examples from other articles in the prompt"
        how = "zero-shot" if name == task else shots
        who = model or f"`{body.get('model_name')}`"
        found[task] = f"### Results\n\n{who}, {how}{_counted(body, name)}:\n\n{table}\n\n"
    return found


def _block(body: Any, *path: str) -> dict[str, Any]:
    """The object below these keys, empty where there is none."""
    for key in path:
        body = body.get(key) if isinstance(body, dict) else None
    return body if isinstance(body, dict) else {}


def _counted(body: Any, task: str) -> str:
    """How many of the task's documents were answered, where it was not all."""
    counts = _block(body, "n-samples", task)
    if counts.get("effective") == counts.get("original"):
        return ""
    return f", {counts['effective']:,} of {counts['original']:,} documents"


def export(checkout: Path, tasks: list[str], results: Path | None = None, model: str | None = None) -> list[Path]:
    """Writes the folders and rows. Returns the folders. Raises InputError (no checkout), UsageError (no such task)."""
    index = checkout / "lm_eval" / "tasks" / "README.md"
    if not index.is_file():
        raise InputError("no lm_eval/tasks/README.md", where=checkout, remedy="give a checkout of its repository")
    if strangers := [task for task in tasks if task not in PAGES]:
        raise UsageError(f"{strangers[0]} is not a task to contribute", remedy=f"these are: {', '.join(PAGES)}")
    tables = results_table(results, tasks, model) if results else {}
    folders = []
    for task in tasks:
        source = next(tasks_dir().glob(f"*/{task}.yaml"))
        text, functions = upstream_yaml(source.read_text(encoding="utf-8"))
        ours = (source.parent / "README.md").read_text(encoding="utf-8")
        folder = index.parent / task
        folder.mkdir(exist_ok=True)
        written = {
            f"{task}.yaml": text,
            "utils.py": Bundle(source.parent / "utils.py", functions).render(),
            "README.md": upstream_readme(task, PAGES[task], ours, tables.get(task, "")),
        }
        for name, content in written.items():
            (folder / name).write_text(content, encoding="utf-8")
        index.write_text(with_row(index.read_text(encoding="utf-8"), task, PAGES[task]), encoding="utf-8")
        folders.append(folder)
    return folders


def tidy(checkout: Path, folders: list[Path]) -> bool:
    """Their linter and formatter, with their rules, over what was written. False where ruff is not installed."""
    if find_spec("ruff") is None:
        return False
    rules = checkout / "pyproject.toml"
    config = ["--config", str(rules)] if rules.is_file() else []
    for command in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, *config, *map(str, folders)], check=False)
    return True


def main(argv: list[str] | None = None) -> int:
    parser = script_parser(__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--tasks", default="piaf_fr", help=f"of {', '.join(PAGES)} (default: piaf_fr)")
    parser.add_argument("--results", type=Path, help="a results_*.json of a public model")
    parser.add_argument("--model", help="the model's name in public (default: as the results say)")

    def work() -> None:
        given = parser.parse_args(argv)
        folders = export(given.checkout, given.tasks.split(","), given.results, given.model)
        tidied = tidy(given.checkout, folders)
        print("\n".join(str(folder) for folder in folders))
        print("By hand:" + ("" if given.results else " results of a public model (--results);") + " in the checkout:")
        unformatted = "" if tidied else "   # ruff is not installed here: nothing was formatted"
        print(f"  pre-commit run --all-files{unformatted}")
        print("  python -m pytest tests/test_tasks.py -k TestNewTasks")

    return run_script("export_upstream", work)


if __name__ == "__main__":
    sys.exit(main())
