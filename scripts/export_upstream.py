"""Writes the tasks that can be contributed into a checkout of lm-evaluation-harness.

    python scripts/export_upstream.py CHECKOUT [--tasks piaf_fr,sib200_fr]

Each task becomes lm_eval/tasks/<task>/ with a YAML, a README after the project's template with its checklist answered,
and a utils.py that imports nothing of ours: what it needs of the metrics and of the document order travels in it. A row
is put into lm_eval/tasks/README.md. Files of an earlier export are replaced. What stays to be done by hand, results of
a public model above all, is printed.
"""

from __future__ import annotations

import argparse
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

from lm_eval_fr.errors import InputError, LmEvalFrError, UsageError
from lm_eval_fr.tasklib.definitions import tasks_dir


@dataclass(frozen=True)
class Page:
    """What a README upstream must say beyond our own page."""

    title: str
    paper: str
    homepage: str
    row: str
    reference: str  # why the paper's own numbers are not the check
    others: str = "No other task of the library uses this data set."


_TUNED = "the paper tunes encoders on the data; this task asks a generative model without examples"
PAGES = {
    "piaf_fr": Page(
        "Project PIAF: Building a Native French Question-Answering Dataset",
        "https://aclanthology.org/2020.lrec-1.673/",
        "https://huggingface.co/datasets/AgentPublic/piaf",
        "Native French extractive question answering on Wikipedia paragraphs, scored with French normalisation.",
        _TUNED,
        "`french_bench` holds another data set (FQuAD) and other metrics.",
    ),
    "massive_scenario_fr": Page(
        "MASSIVE: A 1M-Example Multilingual Natural Language Understanding Dataset "
        "with 51 Typologically-Diverse Languages",
        "https://arxiv.org/abs/2204.08582",
        "https://huggingface.co/datasets/mteb/amazon_massive_scenario",
        "The scenario of a request to a voice assistant, French part of MASSIVE.",
        _TUNED,
    ),
    "sib200_fr": Page(
        "SIB-200: A Simple, Inclusive, and Big Evaluation Dataset "
        "for Topic Classification in 200+ Languages and Dialects",
        "https://arxiv.org/abs/2309.07445",
        "https://huggingface.co/datasets/mteb/sib200",
        "Topic classification of French sentences, one of seven topics.",
        "its prompts are English and its scores are of closed models",
        "`afrobench` holds African languages of SIB-200; this is the French part, with a French prompt.",
    ),
    "wikiner_fr": Page(
        "WikiNER-fr-gold: A Gold-Standard NER Corpus",
        "https://arxiv.org/abs/2411.00030",
        "https://huggingface.co/datasets/danrun/WikiNER-fr-gold",
        "Named entities of French Wikipedia sentences as a JSON array.",
        "the paper describes the corpus and reports no model",
    ),
}
NORMALISATION = """Text is normalised as French before it is compared: NFKC, case folding, apostrophes unified, elisions
split (`l'été` is `été`) while words with an apostrophe of their own stay whole (`aujourd'hui`), articles, punctuation
and guillemets dropped, `100 000` and its no-break-space forms one token with `100000`, `14,2` equal to `14.2`."""


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
            for name in _bound(node):
                self.definitions[name] = node
                self.starts[name] = self._first_line(node)

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


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.arg | ast.AnnAssign) and inner.annotation is not None:
            yield inner.annotation
        elif isinstance(inner, ast.FunctionDef) and inner.returns is not None:
            yield inner.returns


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _runtime_names(node: ast.AST) -> set[str]:
    typing_only = {id(inner) for annotation in _annotations(node) for inner in ast.walk(annotation)}
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and id(inner) not in typing_only}


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
            node = module.definitions[name]
            runtime = _runtime_names(node)
            for used in sorted(_names(node)):
                if used in module.imports:
                    self._import(module.imports[used], runtime=used in runtime)
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
    config = yaml.load(text, Loader=_loader())
    hub = config["metadata"]["dataset"]
    loading = [f"dataset_path: {hub['path']}"]
    loading += [f"dataset_name: {hub['name']}"] if hub["name"] else []
    loading += [f"dataset_kwargs:\n  revision: {hub['revision']}"] if hub["revision"] else []
    loading.append("process_docs: !function utils.process_docs")
    text = text.replace("custom_dataset: !function utils.load", "\n".join(loading))
    text = text[: text.index("metadata:")] + f"metadata:\n  version: {config['metadata']['version']}\n"
    return text, re.findall(r"!function utils\.(\w+)", text)


def _loader() -> type[yaml.SafeLoader]:
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: node.value)
    return Loader


def upstream_readme(task: str, page: Page, ours: str, revision: str | None) -> str:
    """Our page in the form of their template."""
    about = ours.split("\n\n")[1]
    choices = ours.split("Choices made:\n\n")[1].split("\n\n```")[0]
    choices = "\n".join(item for item in re.split(r"\n(?=- )", choices) if "metadata" not in item)
    citation = ours.split("```bibtex\n")[1].split("\n```")[0]
    pinned = "" if revision else "\nThe data set's revision is not pinned.\n"
    return f"""# {task}

## Paper

Title: `{page.title}`

Abstract: {page.paper}

{about}

Homepage: {page.homepage}

{NORMALISATION}

{choices}
{pinned}
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
  * [ ] If yes, does the original paper provide a reference implementation? No numbers to reproduce: {page.reference}.

If other tasks on this dataset are already supported:

{page.others}

* [x] Is the "Main" variant of this task clearly denoted? There is one variant.
* [x] Have you provided a short sentence in a README on what each new variant adds / evaluates?
* [x] Have you noted which, if any, published evaluation setups are matched by this variant? None is.

### Changelog

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
    while place < len(lines) and lines[place].startswith("|") and _family(lines[place]) < task:
        place += 1
    return "\n".join([*lines[:place], row, *lines[place:]])


def _family(row: str) -> str:
    return row.split("|")[1].strip().lstrip("[").split("]")[0].lower()


def export(checkout: Path, tasks: list[str]) -> list[Path]:
    """Writes the folders and rows. Returns the folders. Raises InputError (no checkout), UsageError (no such task)."""
    index = checkout / "lm_eval" / "tasks" / "README.md"
    if not index.is_file():
        raise InputError("no lm_eval/tasks/README.md", where=checkout, remedy="give a checkout of its repository")
    folders = []
    for task in tasks:
        if task not in PAGES:
            raise UsageError(f"{task} is not one to contribute", remedy=f"these are: {', '.join(PAGES)}")
        source = next(tasks_dir().glob(f"*/{task}.yaml"))
        config: dict[str, Any] = yaml.load(source.read_text(encoding="utf-8"), Loader=_loader())
        text, functions = upstream_yaml(source.read_text(encoding="utf-8"))
        ours = (source.parent / "README.md").read_text(encoding="utf-8")
        folder = index.parent / task
        folder.mkdir(exist_ok=True)
        written = {
            f"{task}.yaml": text,
            "utils.py": Bundle(source.parent / "utils.py", functions).render(),
            "README.md": upstream_readme(task, PAGES[task], ours, config["metadata"]["dataset"]["revision"]),
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--tasks", default=",".join(PAGES), help=f"of {', '.join(PAGES)} (default: all)")
    given = parser.parse_args(argv)
    try:
        folders = export(given.checkout, given.tasks.split(","))
    except LmEvalFrError as error:
        print(f"export_upstream: {error}", file=sys.stderr)
        return error.exit_code
    tidied = tidy(given.checkout, folders)
    print("\n".join(str(folder) for folder in folders))
    print("By hand: results of a public model in each README; then in the checkout:")
    print("  pre-commit run --all-files" + ("" if tidied else "   # ruff is not installed here: nothing was formatted"))
    print("  python -m pytest tests/test_tasks.py -k TestNewTasks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
