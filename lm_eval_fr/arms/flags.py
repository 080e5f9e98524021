"""The flags of `lm-eval-fr run`: lm-eval's own parser with ours added, checked before anything slow is imported."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from lm_eval_fr.arms.arm_key import NAMING_ARGUMENTS, arm_key
from lm_eval_fr.arms.manifest import read_manifest
from lm_eval_fr.arms.shard import Shard, parse_shard
from lm_eval_fr.errors import HERE, UsageError, nearest
from lm_eval_fr.io.http import complete_address
from lm_eval_fr.io.reading import read_json, read_yaml
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.io.script import Parser

OUR_MODELS = {
    "fr-baseline": "lm_eval_fr.models.baseline:FrBaseline",
    "hosted-chat": "lm_eval_fr.models.hosted:HostedChat",
    "batch-chat": "lm_eval_fr.models.batch_chat:BatchChat",
}
CHAT_MODELS = ("local-chat-completions", "openai-chat-completions", "hosted-chat", "batch-chat")
# Models that ask a server: what they post to.
PATHS = {
    "local-completions": "/completions",
    "openai-completions": "/completions",
    "local-chat-completions": "/chat/completions",
    "openai-chat-completions": "/chat/completions",
    "hosted-chat": "/chat/completions",
}
LOGGERS = {"wandb_args": "wandb", "trackio_args": "trackio", "hf_hub_log_args": "huggingface_hub"}
DICTIONARIES = (
    "model_args",
    "gen_kwargs",
    "metadata",
    "wandb_args",
    "wandb_config_args",
    "trackio_args",
    "hf_hub_log_args",
)
OUR_FLAGS: Mapping[str, Mapping[str, Any]] = {
    "--data-dir": {
        "type": Path,
        "metavar": "<dir>",
        "help": "Read the documents from DIR/<task>.jsonl or .parquet (PIAF also .json) instead of the hub",
    },
    "--manifest": {
        "type": Path,
        "metavar": "<file>",
        "help": "What is known about the server (scripts/serve.py writes it); stored with the results",
    },
    "--shard": {
        "metavar": "<K/N>",
        "help": "Run every Nth document from the Kth, on one of N machines; `compare` puts the runs together",
    },
    "--repeats": {
        "type": int,
        "default": 1,
        "metavar": "<k>",
        "help": "Answer each scored document k times with different seeds; its score is the mean (default 1)",
    },
}
EPILOG = """\
examples:
  # a checkpoint on this machine's GPU, French questions, the first 50
  lm-eval-fr run --tasks piaf_fr --limit 50 --output_path runs/nvfp4 \\
      --model vllm --apply_chat_template \\
      --model_args pretrained=mistralai/Mistral-Small-4-119B-2603-NVFP4

  # the same documents through a hosted API; the key is in MISTRAL_API_KEY
  lm-eval-fr run --tasks piaf_fr --limit 50 --output_path runs/api \\
      --model hosted-chat \\
      --model_args preset=mistral,model=mistral-small-2603,num_concurrent=8

Answers are kept as they arrive, in OUTPUT_PATH/cache: rerun the same command to
resume. Samples are always logged. Models besides lm-eval's: hosted-chat
(OpenAI's and Mistral's dialects), batch-chat (files for `vllm run-batch`),
fr-baseline (no model; damage=0.3,seed=7).
"""


@dataclass(frozen=True)
class ArmCall:
    """One requested arm. `flags` is what lm-eval's own `run` receives; `notes` says what was filled in.

    repeats: answers to each document.
    """

    flags: argparse.Namespace
    model: str
    model_args: Mapping[str, Any]
    tasks: tuple[str, ...]
    output: Path
    data_dir: Path | None
    manifest: Path | None
    notes: tuple[str, ...]
    shard: Shard | None = None
    repeats: int = 1

    @property
    def key(self) -> str:
        """The key of this arm's answers: whatever can change an answer changes the key."""
        return arm_key(self.model, self.model_args, self.flags, self.manifest)


class _Parser(Parser):
    def __init__(self, **given: Any) -> None:
        super().__init__(remedy="`lm-eval-fr run --help` lists the flags", **given)


def build_parser() -> argparse.ArgumentParser:
    """lm-eval's parser for `run`, with --data-dir, --manifest and --repeats."""
    from lm_eval._cli.run import Run

    commands = _Parser(prog="lm-eval-fr").add_subparsers(parser_class=_Parser)
    Run.create(commands)
    parser: argparse.ArgumentParser = commands.choices["run"]
    parser.usage = "lm-eval-fr run --model MODEL --tasks TASK ... [--model_args KEY=VALUE]"
    parser.description = "Run one arm with the flags of `lm_eval run`. Answers are kept: rerun to resume."
    parser.epilog = EPILOG
    ours = parser.add_argument_group("added by lm-eval-fr")
    for flag, settings in OUR_FLAGS.items():
        ours.add_argument(flag, **settings)
    return parser


def parse_call(argv: Sequence[str], redactor: Redactor) -> ArmCall:
    """The arm that `argv` asks for. Raises UsageError; imports nothing heavy."""
    parser = build_parser()
    try:
        flags, unknown = parser.parse_known_args(list(argv))
    except AssertionError as error:  # lm-eval's own check for an empty --tasks
        raise UsageError(str(error)) from None
    except ValueError:  # lm-eval's own reading of a list with a brace in it; its message repeats the values
        remedy = """use one JSON object: --model_args '{"model": "...", "header": {...}}'"""
        raise UsageError("a list of key=value pairs with a {...} in it cannot be parsed", remedy=remedy) from None
    if unknown:
        _refuse_unknown(unknown, parser)
    if flags.config:
        _merge_config(flags, parser)
    for name in DICTIONARIES:
        setattr(flags, name, _as_dictionary(name, getattr(flags, name, None)))
    _refuse_keys(flags, redactor)
    _check_loggers(flags)
    model, notes = _model(flags)
    tasks = _tasks(flags)
    _check_numbers(flags)
    repeats = _repeats(flags.repeats, model, flags.shard)
    shard = None if flags.shard is None else parse_shard(str(flags.shard), flags.limit)
    flags.limit = None if shard else flags.limit
    data_dir, manifest = _existing(flags.data_dir, "--data-dir", folder=True), _existing(flags.manifest, "--manifest")
    if manifest is not None:
        read_manifest(
            manifest, next((str(flags.model_args[n]) for n in ("model", "pretrained") if n in flags.model_args), None)
        )
    if data_dir is not None:
        flags.metadata = {**flags.metadata, "data_dir": str(data_dir)}
    if "tokenizer" in flags.model_args:  # the arm's own: documents are measured with the one of the metadata, for both
        flags.metadata = {"tokenizer": None, **flags.metadata}
    for ours in ("data_dir", "manifest", "shard", "repeats", "config"):
        delattr(flags, ours)
    flags.model, flags.tasks, flags.log_samples = model, list(tasks), True
    call = ArmCall(flags, model, flags.model_args, tasks, Path(), data_dir, manifest, tuple(notes), shard, repeats)
    output, note = _output(flags, call)
    flags.output_path = str(output)
    return replace(call, output=output, notes=(*notes, *note))


def model_names() -> tuple[str, ...]:
    from lm_eval.models import MODEL_MAPPING

    return tuple(sorted({*MODEL_MAPPING, *OUR_MODELS}))


def _model(flags: argparse.Namespace) -> tuple[str, list[str]]:
    """The model, with the arguments that lm-eval silently requires filled in and reported."""
    model, arguments, notes = flags.model, flags.model_args, []
    if model is None:
        if "pretrained" not in arguments:
            raise UsageError(
                "--model is missing", remedy="for example vllm, local-completions, hosted-chat, hf, fr-baseline"
            )
        model = "hf"
    if model not in (known := model_names()):
        raise UsageError(
            f"--model {model}: no such model", remedy=nearest(model, known) or f"there are: {', '.join(known)}"
        )
    if model in PATHS and isinstance(url := arguments.get("base_url"), str):
        arguments["base_url"] = complete_address(url, PATHS[model])
    if model == "fr-baseline" and not any(name in arguments for name in NAMING_ARGUMENTS):
        # Without a name lm-eval draws a random one, and every run gets its own folder.
        try:
            damaged = float(arguments.get("damage", 0) or 0) > 0
        except (TypeError, ValueError):
            raise UsageError("--model_args damage: not a number", remedy="a share, such as damage=0.3") from None
        arguments["model"] = f"fr-baseline-damaged-{arguments['damage']}" if damaged else "fr-baseline"
    if model in CHAT_MODELS and not getattr(flags, "apply_chat_template", False):
        flags.apply_chat_template = True
        notes.append(f"{model}: --apply_chat_template added (a chat endpoint takes messages)")
    if model == "local-completions":
        notes += _text_requests(arguments)
        if getattr(flags, "apply_chat_template", False) and _as_text(arguments):
            raise UsageError(
                "local-completions: lm-eval puts messages where this endpoint wants a text",
                remedy="--model hosted-chat asks the chat endpoint; or add tokenizer=<folder or hub id>, "
                "tokenized_requests=True and max_length=<the server's context> to --model_args",
            )
    if model == "vllm" and not hasattr(flags, "batch_size"):
        flags.batch_size = "auto"
        notes.append("vllm: --batch_size auto added (lm-eval's default sends one document at a time)")
    return model, notes


def _text_requests(arguments: dict[str, Any]) -> list[str]:
    """lm-eval tokenises for a completions server and silently cuts the prompt at 2,048 tokens."""
    asked = {"tokenizer", "tokenizer_backend", "tokenized_requests"} & set(arguments)
    if not asked:
        arguments |= {"tokenizer_backend": None, "tokenized_requests": False}
        added = "tokenizer_backend=None,tokenized_requests=False"
        return [f"local-completions: {added} added (prompts are sent as text, never cut)"]
    if not _as_text(arguments) and "max_length" not in arguments:
        raise UsageError(
            "--model_args: with a tokenizer, lm-eval silently cuts prompts at 2,048 tokens",
            remedy="add max_length=<the server's context>, or send text with tokenizer_backend=None",
        )
    return []


def _as_text(arguments: Mapping[str, Any]) -> bool:
    no_tokenizer = arguments.get("tokenizer_backend", "") in (None, "None", "none")
    return no_tokenizer or arguments.get("tokenized_requests") is False


def _tasks(flags: argparse.Namespace) -> tuple[str, ...]:
    asked = [flags.tasks] if isinstance(flags.tasks, str) else flags.tasks or []
    names = tuple(dict.fromkeys(name.strip() for part in asked for name in str(part).split(",") if name.strip()))
    if not names:
        raise UsageError("--tasks is missing", remedy="for example --tasks piaf_fr; `lm-eval-fr tasks` lists ours")
    return names


def _check_numbers(flags: argparse.Namespace) -> None:
    if flags.limit is not None and not flags.limit > 0:
        raise UsageError(
            f"--limit {flags.limit:g}: no document would run", remedy="a number of documents, or a share below 1"
        )
    if flags.samples is not None and flags.limit is not None:
        raise UsageError("--samples and --limit exclude each other")
    if flags.samples is not None:
        flags.samples = _samples(flags.samples)


def _repeats(repeats: int, model: str, shard: str | None) -> int:
    if repeats < 1:
        raise UsageError(f"--repeats {repeats}: nothing would be asked", remedy="give 1 or more")
    several = int(os.environ.get("WORLD_SIZE") or 1) > 1
    against = {"batch-chat": model == "batch-chat", "--shard": shard is not None, "several processes": several}
    if repeats > 1 and (found := next((name for name, given in against.items() if given), None)):
        remedy = "run the arm into several folders, and give each to `compare --candidate-rerun DIR`"
        raise UsageError(f"--repeats: not with {found}", remedy=remedy)
    return repeats


def _samples(asked: Any) -> dict[str, list[int]]:
    """In ascending order: lm-eval takes the documents in the data's order but numbers them in the list's."""
    if isinstance(asked, str):
        asked = read_json(Path(asked), remedy="--samples takes JSON, or a file of JSON")
    if not isinstance(asked, Mapping) or not all(
        isinstance(numbers, list) and all(isinstance(number, int) and number >= 0 for number in numbers)
        for numbers in asked.values()
    ):
        raise UsageError("--samples takes the document numbers of each task", remedy="""'{"piaf_fr": [0, 1, 2]}'""")
    return {str(task): sorted(set(numbers)) for task, numbers in asked.items()}


def _output(flags: argparse.Namespace, call: ArmCall) -> tuple[Path, list[str]]:
    if flags.output_path is None:
        name = next((str(call.model_args[key]) for key in NAMING_ARGUMENTS if key in call.model_args), call.model)
        output = Path("runs") / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name).strip('_')}-{call.key[:8]}"
        return output, [f"--output_path {output} (none was given)"]
    output = Path(flags.output_path)
    if output.suffix == ".json" or output.is_file():
        raise UsageError(f"--output_path {output}: not a folder", remedy="results, samples and the cache go into it")
    return output, []


def _refuse_unknown(unknown: Sequence[str], parser: argparse.ArgumentParser) -> NoReturn:
    flag = next((word for word in unknown if word.startswith("-")), unknown[0]).split("=", 1)[0]
    known = [option for option in parser._option_string_actions if option.startswith("--")]
    raise UsageError(f"{flag}: no such flag", remedy=nearest(flag, known) or "`lm-eval-fr run --help` lists the flags")


def _merge_config(flags: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Fills in from lm-eval's --config file what the command line does not set."""
    path = Path(flags.config)
    content = read_yaml(path, remedy="--config takes a YAML file of flag names and values", error=UsageError)
    if not isinstance(content, dict):
        raise UsageError("--config: not a mapping of flag names to values", where=path)
    known = [action.dest for action in parser._actions if action.dest not in ("help", "config")]
    for name, value in content.items():
        name = str(name).replace("-", "_")
        if name not in known:
            raise UsageError(f"unknown key {name!r}", where=path, remedy=nearest(name, known) or "keys are flag names")
        if getattr(flags, name, None) is None:
            setattr(flags, name, Path(value) if name in ("data_dir", "manifest") and value else value)


def _as_dictionary(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        from lm_eval._cli.utils import key_val_to_dict

        try:
            value = key_val_to_dict(value)
        except ValueError as error:
            raise UsageError(f"--{name}: {error}") from None
    if value is not None and not isinstance(value, Mapping):
        raise UsageError(f"--{name}: not key=value pairs")
    return dict(value or {})


def _refuse_keys(flags: argparse.Namespace, redactor: Redactor) -> None:
    """lm-eval writes arguments into its results and logs: a key among them would be published."""
    for name in DICTIONARIES:
        if place := redactor.key_among(getattr(flags, name)):
            raise UsageError(
                f"--{name}: {place} contains a key, which lm-eval would write into its results",
                remedy="keys are read from the environment (OPENAI_API_KEY); --model hosted-chat takes "
                "api_key_env=NAME and api_key_header=HEADER",
            )


def _check_loggers(flags: argparse.Namespace) -> None:
    """lm-eval imports a logger's package only after everything has been generated."""
    for name, package in LOGGERS.items():
        if getattr(flags, name) and find_spec(package) is None:
            raise UsageError(f"--{name} needs {package}, which is not installed", remedy=f"pip install {package}")


def _existing(path: Path | None, flag: str, *, folder: bool = False) -> Path | None:
    if path is None:
        return None
    if not (path.is_dir() if folder else path.is_file()):
        what = f"{flag} {path}: no such {'folder' if folder else 'file'}"
        raise UsageError(what, remedy=HERE)
    return path.resolve()
