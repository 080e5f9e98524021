"""The documentation does what it says: each command in it exists, runs where it can run here, prints what is shown.

A page's blocks are run in order by bash, in a folder where the pages before it left their runs. tests/e2e/stand_in.py
says which programs are not run and what is replaced by local servers.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lm_eval_fr import cli
from lm_eval_fr.arms import flags as arms_flags
from lm_eval_fr.demo import plan_path
from lm_eval_fr.judge.asking.offline import verdict_offline
from tests.e2e import documented, stand_in
from tests.fakes.batch import FakeBatches
from tests.fakes.logprobs import PseudoModel
from tests.fakes.server import Call, FakeOpenAI, Reply

ROOT = documented.ROOT
README = ROOT / "README.md"
# Pages that bring their documents stand alone; the others go on with the README's runs.
ALONE = tuple(page for page in documented.PAGES if "lm-eval-fr demo --texts" in page.read_text("utf-8"))
AFTER_README = tuple(page for page in documented.PAGES if page not in (README, *ALONE))
WAIT = 900.0
# Commands whose exit code is a verdict or a promise to go on.
GATE, CUT, COLLECT = (0, 1, 3), (0, 130), (0, 4)
OTHERS_FLAGS = ("vllm", "pip", "hf ", "docker", "bash")  # inline code of other programs


@dataclass(frozen=True)
class Workspace:
    folder: Path
    world: stand_in.World

    def run(self, page: Path) -> tuple[dict[int, str], list[dict[str, Any]]]:
        """What each block of the page printed, and the calls that it made."""
        bin_folder, log = self.folder / ".venv" / "bin", Path(self.world.log)
        if not bin_folder.exists():
            stand_in.install(bin_folder)
        log.write_text("", encoding="utf-8")
        env = {
            **{name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")},
            stand_in.VARIABLE: self.world.variable(),
            "PATH": f"{bin_folder}:/usr/bin:/bin",
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "OPENAI_API_KEY": "sk-test",
            "MISTRAL_API_KEY": "test",
            "NO_COLOR": "1",
        }
        script = documented.script_of(documented.blocks(page))
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=env, text=True, capture_output=True, timeout=WAIT
        )
        calls = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        assert "command not found" not in done.stdout and "syntax error" not in done.stdout, done.stdout[-3000:]
        failed = [call for call in calls if call["exit"] not in allowed_codes(call["typed"])]
        assert not failed, f"{page.name}: {failed}\n{done.stdout}"
        return documented.outputs(done.stdout), calls


def allowed_codes(typed: list[str]) -> tuple[int | None, ...]:
    if "--gate" in typed:
        return GATE
    if "collect" in typed:
        return COLLECT
    return (None, *CUT) if typed[:1] == ["ab"] else (None, 0)


def answer(call: Call) -> str:
    return f"geography {len(call.user) % 7}. La réponse compte {len(call.user)} signes."


def other_answer(call: Call) -> str:
    return f"geography {len(call.user) % 5}."


def or_scored(write: Callable[[Call], str], model: PseudoModel) -> Callable[[Call], Reply | str]:
    """A server that writes answers, and scores texts when it is asked for their log-probabilities."""
    return lambda call: model(call) if "prompt_logprobs" in call.body else write(call)


def verdict(call: Call) -> str:
    return verdict_offline(call.messages)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    names = ("mistralai/Mistral-Small-4-119B-2603-NVFP4", "mistral-small-2603", "MODEL")
    arms = or_scored(answer, PseudoModel(damage=0.3)), or_scored(other_answer, PseudoModel())
    servers = [FakeOpenAI(how, models=names) for how in (*arms, verdict)]
    FakeBatches(servers[2])
    with ExitStack() as stack:
        urls = [stack.enter_context(server).url for server in servers]
        data = str(plan_path().parent / "data")
        (tmp_path / "work").mkdir()
        yield Workspace(tmp_path / "work", stand_in.World(*urls, data=data, log=str(tmp_path / "log.jsonl")))


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_the_readme_runs_and_so_do_the_pages_on_its_runs(workspace: Workspace) -> None:
    """One test, because the pages go on with what the README's commands left."""
    printed, calls = workspace.run(README)
    ran = [call["typed"][0] for call in calls if call["program"] == "lm-eval-fr" and call["exit"] is not None]
    assert {"check", "ab", "run", "judge", "compare", "tasks"} <= set(ran)
    assert (workspace.folder / "report.html").is_file()
    assert (workspace.folder / "runs" / "judge" / "verdicts.jsonl").is_file()
    check_typed(calls)
    check_printed(README, printed)
    for page in AFTER_README:
        printed, calls = workspace.run(page)
        check_typed(calls)
        check_printed(page, printed)


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("page", ALONE, ids=lambda page: page.name)
def test_a_page_that_stands_alone_runs(workspace: Workspace, page: Path) -> None:
    printed, calls = workspace.run(page)
    assert [call for call in calls if call["program"] == "lm-eval-fr" and call["exit"] is not None]
    check_typed(calls)
    check_printed(page, printed)


def check_printed(page: Path, printed: dict[int, str]) -> None:
    """A `text` block right after commands shows lines of what they print; `...` leaves some out.

    With LM_EVAL_FR_UPDATE_GOLDEN=1 each line becomes the nearest one that is printed.
    """
    shown = documented.blocks(page)
    for number, block in enumerate(shown):
        if block.language != "text" or not shown[number - 1].runs:
            continue
        output = printed[number - 1]
        missing = [line for line in block.text.splitlines() if line.strip() != "..." and not is_in(line, output)]
        if missing and os.environ.get("LM_EVAL_FR_UPDATE_GOLDEN"):
            replace_lines(page, block, missing, output)
        else:
            assert not missing, f"{page.name}:{block.line} shows {missing}, printed was\n{output[-3000:]}"


def is_in(line: str, output: str) -> bool:
    return " ".join(line.split()) in " ".join(output.split())


def replace_lines(page: Path, block: documented.Block, missing: list[str], output: str) -> None:
    text = block.text
    for line in missing:
        near = difflib.get_close_matches(line, output.splitlines(), n=1, cutoff=0.3)
        assert near, f"{page.name}:{block.line} shows {line!r}, and nothing like it is printed\n{output[-3000:]}"
        text = text.replace(line, near[0].strip() if line == line.strip() else near[0])
    page.write_text(page.read_text(encoding="utf-8").replace(block.text, text), encoding="utf-8")


def check_typed(calls: list[dict[str, Any]]) -> None:
    """What was typed for programs that were not run: their flags, targets, extras and files exist."""
    for call in calls:
        typed = call["typed"]
        if call["program"] == "make":
            targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            assert set(typed) <= set(targets), typed
        elif call["program"] == "pip":
            project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
            for extra in re.findall(r"lm-eval-fr\[([\w,]+)\]", " ".join(typed)):
                assert all(f"\n{name} = [" in project for name in extra.split(",")), typed
        elif call["program"] == "lm_eval" or (call["program"] == "lm-eval-fr" and typed[:1] == ["run"]):
            known, unknown = run_parser().parse_known_args(typed[1:])
            assert not unknown, typed
            if call["program"] == "lm_eval":
                assert known.data_dir is None and known.manifest is None, typed
        elif call["program"].startswith("python") and typed[:1] not in (["-c"], ["-m"], ["page.py"]):
            check_script(typed)


def run_parser() -> Any:
    return arms_flags.build_parser()


def check_script(typed: list[str]) -> None:
    """`python scripts/x.py ...`: the file is there, and knows the flags (those after `--` are another program's)."""
    path = ROOT / typed[0]
    assert path.is_file(), typed
    ours = typed[: typed.index("--")] if "--" in typed else typed
    assert flags_in(" ".join(ours)) <= script_flags(path), typed


def script_flags(path: Path) -> set[str]:
    return set(re.findall(r'"(--[\w-]+)"', path.read_text(encoding="utf-8"))) | {"--help"}


def flags_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])(--[a-zA-Z][\w-]*)", text))


def options_of(command: str) -> set[str]:
    if command == "run":
        return {flag for flag in run_parser()._option_string_actions if flag.startswith("--")}
    return {flag for option in cli.main.commands[command].params for flag in option.opts} | {"--help"}


@pytest.fixture(scope="module")
def known_flags() -> set[str]:
    flags = {"--version", "--help"}
    for command in cli.main.commands:
        flags |= options_of(command)
    for script in (*(ROOT / "scripts").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")):
        flags |= script_flags(script)
    return flags


@pytest.mark.parametrize("page", documented.PAGES, ids=lambda page: page.name)
def test_inline_code_names_what_exists(page: Path, known_flags: set[str]) -> None:
    for code in documented.inline_code(page):
        if code.startswith(OTHERS_FLAGS):
            continue
        if named := re.match(r"lm-eval-fr (\w+)", code):
            assert named[1] in cli.main.commands, code
            assert flags_in(code) <= options_of(named[1]), code
        elif not code.startswith(("lm_eval", "http")):
            assert flags_in(code) <= known_flags, f"{page.name}: {code}"


@pytest.mark.parametrize("page", (*documented.PAGES, ROOT / "CONTRIBUTING.md"), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in documented.links(page):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        target = target if target.exists() else ROOT / path  # by the repository's address
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in documented.anchors(target), f"{page.name} links to {link}"


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in documented.links(README)}
    assert [page.name for page in documented.PAGES[1:] if page not in linked] == []


def test_the_readme_names_every_command() -> None:
    text = README.read_text(encoding="utf-8")
    assert [command for command in cli.main.commands if f"`lm-eval-fr {command}" not in text] == []
