"""Profiles and rubrics: YAML files that a user copies and edits.

A name (`gpt-4.1`) is one of the package's own files; anything with a path separator or a YAML ending is the user's.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, fields, replace
from datetime import date
from pathlib import Path
from typing import TypeVar

import msgspec

from lm_eval_fr.errors import InputError
from lm_eval_fr.io.reading import parse_yaml, read_text
from lm_eval_fr.judge.asking.protocol import OUTPUT_LIMITS, Prices, Profile, Rubric
from lm_eval_fr.plan import line_of
from lm_eval_fr.tasklib.definitions import judge_dir

SHUTDOWN_WARNING_DAYS = 60
SUFFIXES = (".yaml", ".yml")
NOT_PARAMETERS = ("messages", "model", "stream", "n", "response_format")  # the judge writes these itself
T = TypeVar("T", Profile, Rubric)
AT_PATH = re.compile(r" - at `\$\.?([^`]*)`")


def load_profile(name_or_path: str | Path) -> Profile:
    """The judge named, or described by a file. InputError names the file, the line and the remedy."""
    path = _find("profiles", name_or_path, "--profile")
    profile = _read(path, Profile, name=path.stem)
    _check(profile, path)
    return replace(profile, parameters=json.loads(json.dumps(profile.parameters)))  # keys as text: YAML has numbers


def load_rubric(name_or_path: str | Path) -> Rubric:
    """The rubric named, or written in a file."""
    path = _find("rubrics", name_or_path, "--rubric")
    rubric = _read(path, Rubric, name=path.stem, sha256="")
    if not (text := rubric.text.strip()):
        raise InputError("`text` is empty", where=path, remedy="say what the judge must look at")
    content = json.dumps([text, rubric.language, list(rubric.criteria)], ensure_ascii=False)
    return replace(rubric, text=text, sha256=hashlib.sha256(content.encode()).hexdigest())


def override(profile: Profile, *, model: str | None = None, base_url: str | None = None) -> Profile:
    """Applies `--model` and `--base-url`. Another model has unknown prices and no known shutdown date."""
    if base_url is not None:
        profile = replace(profile, base_url=base_url)
    if model is not None and model != profile.model:
        profile = replace(profile, model=model, prices=Prices(), shutdown=None, successor=None)
    return profile


def shutdown_warning(profile: Profile, today: date) -> str | None:
    """One line if the model is shut down within 60 days, or already has been."""
    if profile.shutdown is None:
        return None
    left = (profile.shutdown - today).days
    if left < 0:
        when = f"was shut down on {profile.shutdown}, {-left} days ago"
    elif left <= SHUTDOWN_WARNING_DAYS:
        when = f"shuts down on {profile.shutdown}, in {left} days"
    else:
        return None
    change = f"change to --profile {profile.successor}" if profile.successor else "choose its successor"
    return (
        f"profile {profile.name}: {profile.model} {when}; {change} and judge some pairs with both now, so that old "
        "verdicts stay comparable"
    )


def profile_names() -> tuple[str, ...]:
    return _names("profiles")


def _names(kind: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (judge_dir() / kind).glob("*.yaml")))


def _find(kind: str, name_or_path: str | Path, flag: str) -> Path:
    given = Path(name_or_path)
    if given.suffix in SUFFIXES or len(given.parts) > 1:
        if not given.is_file():
            raise InputError("no such file", where=f"{flag} {given}", remedy="give a name or a YAML file")
        return given
    path = judge_dir() / kind / f"{given}.yaml"
    if not path.is_file():
        known = ", ".join(_names(kind))
        raise InputError(f"unknown name {given}", where=flag, remedy=f"known: {known}; or give a YAML file")
    return path


def _read(path: Path, kind: type[T], **ours: str) -> T:
    """The file as `kind`, or one line that says which key on which line is wrong. ours: fields not for files."""
    text = read_text(path)
    found = parse_yaml(text, where=path)
    keys = found if isinstance(found, dict) else {}

    def wrong(what: str, key: str, remedy: str = "") -> InputError:
        return InputError(what, where=path, line=line_of(key, text) if key else None, remedy=remedy)

    for part, type_ in ((keys, kind), (keys.get("prices"), Prices)):
        known = [field.name for field in fields(type_) if field.name not in ours]
        if unknown := [str(key) for key in (part if isinstance(part, dict) else ()) if key not in known]:
            raise wrong(f"Object contains unknown field `{unknown[0]}`", unknown[0], f"known keys: {', '.join(known)}")
    try:
        return msgspec.convert({**keys, **ours} if keys is found else found, kind)
    except msgspec.ValidationError as error:
        place = AT_PATH.search(str(error))
        what = AT_PATH.sub("", str(error)).replace("Invalid RFC3339 encoded date", "Not a date such as 2027-01-14")
        if place and place.group(1):
            what = f"`{place.group(1)}`: {what[0].lower()}{what[1:]}"
        raise wrong(what, place.group(1).rpartition(".")[2] if place else "") from error


def _check(read: Profile, path: Path) -> None:
    """Checks beyond the types. A profile that cannot work is refused before the first call."""
    prices = asdict(read.prices)
    wrong = [f"`prices.{name}` is negative" for name, price in prices.items() if price is not None and price < 0]
    numbers = {**{f"prices.{name}": price for name, price in prices.items()}, "timeout": read.timeout}
    wrong += [f"`{name}` is not finite" for name, n in numbers.items() if n is not None and not math.isfinite(n)]
    wrong += ["`model` is empty"] * (not read.model.strip())
    wrong += ["`concurrency` is below 1"] * (read.concurrency < 1)
    wrong += ["`timeout` is not above 0"] * (read.timeout <= 0)
    wrong += ["`context` is below 2000"] * (read.context is not None and read.context < 2000)
    wrong += [f"`parameters.{name}` is set by the judge" for name in NOT_PARAMETERS if name in read.parameters]
    wrong += [f"`parameters.{name}` is not a JSON value" for name, v in read.parameters.items() if not _is_json(v)]
    limits = ((name, read.parameters[name]) for name in OUTPUT_LIMITS if name in read.parameters)
    wrong += [f"`parameters.{name}` is not a whole number above 0" for name, n in limits if type(n) is not int or n < 1]
    if read.dialect == "mistral" and "seed" in read.parameters:
        wrong.append("`parameters.seed` is refused by Mistral's API, which calls it `random_seed`")
    if read.key_env is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", read.key_env):
        # A key pasted here would end up in reports and commits, so its value is not repeated.
        wrong.append("`key_env` is not the name of an environment variable")
    if wrong:
        raise InputError("; ".join(wrong), where=path)


def _is_json(value: object) -> bool:
    """Whether a request can carry the value: no dates, sets, bytes or NaN, which YAML allows."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
