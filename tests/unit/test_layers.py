"""Data flows one way: a module imports only from floors below its own, and nothing heavy before it is needed."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.waiting import LIMIT

PACKAGE = Path(__file__).resolve().parents[2] / "lm_eval_fr"
# From the top floor down: a module imports only from its own floor or from floors below it, and never in a circle.
FLOORS = [
    {"__main__", "cli", "cli_options", "console"},
    {"study"},
    {"check"},
    {"compare"},
    {"analyses"},
    {"judge"},
    {"arms"},
    {"pairing"},
    {"models"},
    {"plan"},
    {"logs"},
    {"demo"},
    {"tasklib"},
    {"report"},
    {"stats"},
    {"io"},
    {"errors"},
]


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor_of(part: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if part in floor)


def imports_of(path: Path) -> set[Path]:
    """The package's files that `path` imports anywhere, inside functions and for type checking too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}:{node.lineno}: a relative import"
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lm_eval_fr":
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "lm_eval_fr"]
        else:
            continue
        for name in names:
            base = PACKAGE.joinpath(*name.split(".")[1:])
            found |= {file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()}
    return found - {PACKAGE / "__init__.py", path}


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_floors_below(path: Path) -> None:
    part = part_of(path)
    for other in imports_of(path):
        used = part_of(other)
        if used == part:
            continue
        where = f"{path.relative_to(PACKAGE)} imports {other.relative_to(PACKAGE)}"
        assert floor_of(used) >= floor_of(part), where


def test_a_file_name_is_unique() -> None:
    names = [path.name for path in MODULES if path.name != "__init__.py"]
    assert sorted(names) == sorted(set(names))


def test_a_class_name_is_unique() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in MODULES]
    names = [node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    assert sorted(name for name, times in Counter(names).items() if times > 1) == []


def test_no_circles() -> None:
    graph = {path: imports_of(path) for path in MODULES}
    state: dict[Path, int] = {}

    def visit(path: Path, trail: tuple[Path, ...]) -> None:
        if state.get(path) == 2:
            return
        assert path not in trail, " -> ".join(str(step.relative_to(PACKAGE)) for step in (*trail, path))
        for other in graph[path]:
            visit(other, (*trail, path))
        state[path] = 2

    for path in MODULES:
        visit(path, ())


def test_the_command_line_loads_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "datasets", "lm_eval", "scipy", "numpy", "openai", "jinja2", "msgspec", "yaml")
    heavy += ("asyncio", "ssl", "subprocess", "tempfile", "difflib")  # a tenth of a second before `--help` is there
    code = f"import sys, lm_eval_fr.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=True)
    assert done.stdout.strip() == "[]"


def test_an_arm_loads_no_statistics_and_no_client_before_it_has_a_server() -> None:
    heavy = ("torch", "transformers", "lm_eval", "scipy", "aiohttp", "jinja2", "lm_eval_fr.stats")
    code = f"import sys, lm_eval_fr.arms.harness; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_pairing_and_comparing_load_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "datasets", "lm_eval", "openai", "pandas", "scipy.stats", "scipy.sparse")
    modules = "lm_eval_fr.logs, lm_eval_fr.pairing, lm_eval_fr.compare, lm_eval_fr.stats, lm_eval_fr.report.text_writer"
    code = f"import sys, {modules}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=True)
    assert done.stdout.strip() == "[]"
