"""Stands in for the programs that the documentation names, under their names, first in the PATH.

`lm-eval-fr` is the real one, in a process that tests/e2e/forked.py forks; only what a test cannot reach is replaced in
its arguments: engines and hosted APIs by local servers, hub data by the demo's, large limits by small ones. `python`
runs the page's own programs. Others are written down, not run. Every call goes to the log as one JSON line: program,
arguments as they were typed, exit code (null: not run).
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.e2e import forked

VARIABLE = "LM_EVAL_FR_STAND_IN"
LIMIT = 4
# What is not run, and why. Flags of these are checked all the same.
PROGRAMS = {
    "make": "makes a virtual environment and installs",
    "pip": "installs",
    "pipx": "installs",
    "uv": "installs",
    "git": "clones",
    "vllm": "needs an engine",
    "lm_eval": "indexes 14,000 tasks; tests/e2e/test_main_job.py and test_registration.py run it",
    "curl": "asks a server that is not there",
    "hf": "downloads a model",
    "nvidia-smi": "needs a GPU",
    "ray": "needs a cluster",
    **dict.fromkeys(("llama-server", "ollama", "lms", "trtllm-serve"), "needs an engine"),
}
COMMANDS = {
    "demo": "tests/e2e/test_package.py runs it from the wheel",
    "register": "changes the installed lm-eval; tests/e2e/test_registration.py runs it",
    "unregister": "as register",
}
LOGGERS = {
    "--wandb_args": "needs an account of W&B",
    "--trackio_args": "needs trackio",
    "--hf_hub_log_args": "writes to the Hugging Face hub",
}
SCRIPTS = "scripts/ need a GPU, the hub or Wikipedia; each has tests of its own"


@dataclass(frozen=True)
class World:
    """What is there instead: addresses of servers (`http://.../v1`), a folder of documents, the log."""

    candidate: str
    reference: str
    judge: str
    data: str
    log: str

    def variable(self) -> str:
        return json.dumps(asdict(self))


def install(folder: Path) -> None:
    """Puts the programs into `folder`."""
    folder.mkdir(parents=True)
    (folder / "activate").touch()
    for name in ("lm-eval-fr", "python", "python3", *PROGRAMS):
        forked.install(folder / name, ["-m", __name__, name])


def main(program: str, *typed: str) -> None:
    world = World(**json.loads(os.environ[VARIABLE]))
    run = _runner(program, typed, world)
    if run is None:
        _write_down(world, program, typed, None)
        return
    code: Any = 1
    try:
        run()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
        raise
    finally:
        _write_down(world, program, typed, code)


def _runner(program: str, typed: Sequence[str], world: World) -> Callable[[], Any] | None:
    """What runs the program in this process, if it is one to run."""
    if program.startswith("python") and typed[:1] == ("page.py",):
        return partial(runpy.run_path, "page.py", run_name="__main__")
    if program.startswith("python") and typed[:1] == ("-c",):
        return partial(exec, typed[1], {"__name__": "__main__"})
    if program != "lm-eval-fr" or reason_not_to_run(typed):
        return None
    from lm_eval_fr.cli import main as run

    sys.argv = [program, *replaced(typed, world)]
    return partial(run, prog_name=program)


def reason_not_to_run(typed: Sequence[str]) -> str | None:
    if typed and typed[0] in COMMANDS and "--texts" not in typed:
        return COMMANDS[typed[0]]
    if "batch-chat" in typed or {"write", "read"} & set(typed):
        return "needs `vllm run-batch`; tests/e2e/test_vllm_batch.py runs it"
    return next((reason for flag, reason in LOGGERS.items() if flag in typed), None)


def replaced(typed: Sequence[str], world: World) -> list[str]:
    """The arguments with what is out of reach replaced."""
    if not typed:
        return []
    command, rest = typed[0], list(typed[1:])
    changed = {
        "run": _run,
        "ab": _plan,
        "check": _plan,
        "judge": _judge,
        "fidelity": _fidelity,
        "manifest": _manifest,
    }.get(command)
    return [command, *(changed(rest, world) if changed else rest)]


def arm(model: str, arguments: dict[str, Any], world: World) -> tuple[str, dict[str, Any]]:
    """Engines and hosted APIs become servers of ours, of the same name; the baseline stays."""
    if model in ("vllm", "hf"):
        return "hosted-chat", {"model": arguments["pretrained"], "base_url": f"{world.candidate}/chat/completions"}
    if model in ("hosted-chat", "local-chat-completions"):
        return model, arguments | {"base_url": f"{world.reference}/chat/completions"}
    if model == "local-completions":
        return model, arguments | {"base_url": f"{world.reference}/completions"}
    return model, arguments


def _run(rest: list[str], world: World) -> list[str]:
    values = {flag: rest[i + 1] for i, flag in enumerate(rest[:-1]) if flag.startswith("--")}
    arguments = dict(pair.split("=", 1) for pair in values.get("--model_args", "").split(",") if pair)
    model, changed = arm(values["--model"], arguments, world)
    given = {"--model": model}
    if changed:
        given["--model_args"] = ",".join(f"{name}={value}" for name, value in changed.items())
    if "--limit" in values:
        given["--limit"] = str(min(int(values["--limit"]), LIMIT))
    for flag, value in given.items():
        rest[rest.index(flag) + 1] = value
    if "--manifest" in rest:  # of a server that was not started
        del rest[rest.index("--manifest") : rest.index("--manifest") + 2]
    return rest if {"--data-dir", "--metadata"} & set(rest) else [*rest, "--data-dir", world.data]


def _plan(rest: list[str], world: World) -> list[str]:
    import yaml

    at = next((i for i, word in enumerate(rest) if word.endswith((".yaml", ".yml"))), None)
    if at is None:
        return rest
    file = Path(rest[at])
    plan = yaml.safe_load(file.read_text(encoding="utf-8"))
    arms = [plan["candidate"], plan["reference"]]
    if all(side["model"] == "fr-baseline" for side in arms):
        return rest  # runs anywhere as it is
    for side in arms:
        side["model"], side["model_args"] = arm(side["model"], side.get("model_args", {}), world)
        side.pop("manifest", None)
    plan |= {"limit": LIMIT, "data_dir": world.data}
    plan["metadata"] = {"lengths": [4096]}  # what the demo's texts can hold
    if "judge" in plan:
        plan["judge"] |= {"profile": local_profile(plan["judge"].get("profile", "gpt-4.1"), world)}
    local = file.with_name(f".{file.stem}.local.yaml")
    local.write_text(yaml.safe_dump(plan), encoding="utf-8")
    rest[at] = str(local)
    return rest


def _judge(rest: list[str], world: World) -> list[str]:
    if "--profile" not in rest:
        rest += ["--profile", "gpt-4.1"]
    for i, flag in enumerate(rest[:-1]):
        if flag == "--profile":
            rest[i + 1] = local_profile(rest[i + 1], world)
        if flag == "--base-url":
            rest[i + 1] = world.judge
    return rest


def _fidelity(rest: list[str], world: World) -> list[str]:
    """The servers of the arms, which serve more than one name."""
    local = iter((world.candidate, world.reference))
    return [*(next(local) if word.startswith("http") else word for word in rest), "--model", "MODEL"]


def _manifest(rest: list[str], world: World) -> list[str]:
    named = () if "--model" in rest else ("--model", "MODEL")
    return [*(world.candidate if word.startswith("http") else word for word in rest), *named]


def local_profile(name: str, world: World) -> str:
    """The shipped profile with the local server's address: same name, same prices, same way to ask."""
    import yaml

    from lm_eval_fr.tasklib.definitions import judge_dir

    shipped = judge_dir() / "profiles" / f"{name}.yaml"
    if name == "offline" or not shipped.is_file():
        return name
    content = yaml.safe_load(shipped.read_text(encoding="utf-8")) | {"base_url": world.judge}
    copy = Path(world.log).with_name("profiles") / shipped.name
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(copy)


def _write_down(world: World, program: str, typed: Sequence[str], code: Any) -> None:
    with Path(world.log).open("a", encoding="utf-8") as log:
        log.write(json.dumps({"program": program, "typed": list(typed), "exit": code}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
