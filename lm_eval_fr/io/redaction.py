"""Keeps keys out of what is printed, logged and written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from lm_eval_fr.errors import LmEvalFrError, UsageError
from lm_eval_fr.io.secret_forms import MASK, forms_of

KEY_NAME = re.compile(
    r"(?:^|_)(?:API_?KEY|[A-Z]+_KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)(?:_?\d+)?$", re.IGNORECASE
)
"""Environment variables that hold a key."""
_KEY_WORDS = (
    r"(?:[\w-]*[-_])?(?:(?:api|app|subscription|access|secret|auth|account|master|private|shared|functions)[-_]?key|"
    r"(?:aws)?accesskeyid|(?:api|ad|app|auth|access|bot|deploy|hf|id|refresh|bearer|security|session)[-_]?token|"
    r"(?:client|app|shared)[-_]?secret|x-[\w-]*-(?:signature|credential)|authorization|passw(?:or)?d|passphrase)"
)
_KEY_WORD = r"key|sig|signature|token|bearer|secret|credentials?|pwd|jwt|auth|cookie"  # also plain English words
KEY_ARGUMENT = re.compile(rf"^(?:{_KEY_WORDS}|{_KEY_WORD})$", re.IGNORECASE)
"""Arguments, query parameters and headers that contain a key."""
_HEADERS = re.compile(r"^(?:(?:default|extra|http|custom|request)[-_])?headers?$", re.IGNORECASE)
_SAFE_WORDS = ("", "none", "null", "empty", "false", "true")
SHORTEST = 8  # a shorter value ("EMPTY", "none") is not a secret and may be an ordinary word
_PATH = re.compile(r"/[A-Za-z]{2,12}/")  # base64 may begin with a slash too

_BY_FORM = re.compile(
    r"\b(?:Bearer|Basic)\s+(?P<scheme>(?=\S*[\d_.~+/=*-]|\S{20})[\w.~+/=*-]{6,})"
    r"|\bsk-[\w.*-]{6,}"  # OpenAI's form and its imitators; also half masked, as servers echo them
    r"|\b(?:hf|gsk|xai|nvapi|pplx|ghp|github_pat)[_-][\w-]{16,}"
    r"|\bAIza[\w-]{30,}"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*",
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(r"(?<=://)[^\s/@?#'\"<>]+(?=@)")
_BY_PLACE = re.compile(
    rf"(?P<before>(?<![\w-])(?:(?:{_KEY_WORDS})['\"]*\s*[=:]\s*|(?:{_KEY_WORD})(?:['\"]+\s*:\s*|=)"
    rf"|--(?:{_KEY_WORDS}|{_KEY_WORD})(?:=|\s+(?!-)))"
    r"['\"]*(?:(?:Bearer|Basic)\s+)?)(?P<value>[^\s&#'\",;}\])]+)",
    re.IGNORECASE,
)

_KEY_FLAG = re.compile(rf"^--?(?:{_KEY_WORDS}|{_KEY_WORD})$", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_learned: dict[str, None] = {}  # values of the variables that this process was told contain a key, whatever their names


def key_from(variable: str | None) -> str:
    """The key in an environment variable, "" if there is none.

    From now on every redactor here masks it. Raises UsageError for an invalid variable name: it is probably the key
    itself, so it is not shown.
    """
    if variable and variable not in os.environ and not _VARIABLE.fullmatch(variable):
        what = "not the name of an environment variable; it is not repeated here, since it may be the key itself"
        raise UsageError(what, remedy="export NAME=<the key>, and give NAME")
    key = os.environ.get(variable, "").strip() if variable else ""
    if is_secret(key):
        _learned[key] = None
    return key


def required_key(variable: str | None) -> str:
    """The key in the variable that --key-env names, "" if it names none. Raises UsageError if the variable is empty."""
    key = key_from(variable)
    if variable and not key:
        raise UsageError(
            f"the environment variable {variable} is empty", where="--key-env", remedy=f"export {variable}=..."
        )
    return key


def secrets_in(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of variables whose name suggests a key, and the passwords in addresses (a proxy's), longest
    first."""
    values = {value.strip() for name, value in environment.items() if KEY_NAME.search(name)}
    values.update(*map(passwords, environment.values()))
    return tuple(sorted(filter(is_secret, values), key=len, reverse=True))


def passwords(address: str) -> Iterator[str]:
    """The password in an address: as written, decoded, and with its user, as `Basic` sends it."""
    try:
        parts = urlsplit(address if "://" in address and "@" in address else "")
    except ValueError:
        return
    if parts.password:
        meant = unquote(parts.password)
        yield from (parts.password, meant, f"{unquote(parts.username or '')}:{meant}")


def is_secret(value: str) -> bool:
    """Not a word such as "EMPTY", a count, or the path of a file with the secret."""
    return len(value) >= SHORTEST and not (value.isdigit() and len(value) < 2 * SHORTEST) and not _PATH.match(value)


class Redactor:
    """Replaces known secrets, and in messages also what looks like one by its form or position."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = dict.fromkeys(secrets)
        self._learned = -1
        self._forms: tuple[str, ...] = ()
        self._pattern: re.Pattern[str] | None = None

    @classmethod
    def from_environment(cls, also: Iterable[str] = ()) -> Redactor:
        """A redactor for the environment's keys and `also`."""
        return cls((*secrets_in(os.environ), *filter(is_secret, also)))

    @property
    def forms(self) -> tuple[str, ...]:
        """Every way in which a known secret may be written, longest first; those read with `key_from` included."""
        if self._learned != len(_learned):
            forms = dict.fromkeys(form for secret in (*self._secrets, *_learned) for form in forms_of(secret))
            self._forms = tuple(sorted(forms, key=len, reverse=True))
            self._pattern = re.compile("|".join(map(re.escape, self._forms))) if forms else None
            self._learned = len(_learned)
        return self._forms

    def finds(self, text: str) -> bool:
        return any(form in text for form in self.forms)

    def exact(self, text: str) -> str:
        """Without the known secrets: for data, where a look-alike may be ordinary text."""
        return self._pattern.sub(MASK, text) if self.finds(text) and self._pattern else text

    def message(self, text: str) -> str:
        """Without the known secrets, and without anything in the form or position of one: for our own words, and
        those of servers and libraries."""
        text = _IN_ADDRESS.sub(MASK, self.exact(text))
        text = _BY_PLACE.sub(_mask_value, text)
        return _BY_FORM.sub(lambda found: found[0].replace(found["scheme"] or found[0], MASK), text)

    def value(self, value: Any, name: str = "") -> Any:
        """A JSON value, such as a run's arguments, with everything masked that is a key by its name or form,
        and the value of every header, because header names are arbitrary. In a dotted name the last part counts.
        """
        name = name.rpartition(".")[2]
        if _HEADERS.match(name) and value:
            return dict.fromkeys(value, MASK) if isinstance(value, Mapping) else MASK
        if isinstance(value, Mapping):
            return {key: self.value(inner, str(key)) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            flagged = (False, *(isinstance(word, str) and _KEY_FLAG.match(word) for word in value))  # a command's words
            return [MASK if flag else self.value(inner, name) for inner, flag in zip(value, flagged, strict=False)]
        if isinstance(value, str):
            return MASK if KEY_ARGUMENT.match(name) and value.lower() not in _SAFE_WORDS else self.message(value)
        return value

    def error(self, error: LmEvalFrError) -> LmEvalFrError:
        """The same error without secrets in its text: a server may echo the key that it refuses."""
        error.what, error.remedy = self.message(error.what), self.message(error.remedy)
        error.where = error.where and self.message(error.where)
        error.args = (str(error),)
        return error

    def key_among(self, arguments: Mapping[str, Any]) -> str | None:
        """The path of the first argument that is a key, by its name, its value or as part of an address."""
        for path, value in _leaves(arguments):
            text = str(value)
            named = isinstance(value, str) and KEY_ARGUMENT.match(path[-1]) and text.lower() not in _SAFE_WORDS
            if named or self.finds(text) or has_credentials(text):
                return ".".join(path)
        return None

    def scrub_file(self, path: Path) -> bool:
        """Rewrites a file that holds a secret; True if it did."""
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        if not self.finds(text):
            return False
        from lm_eval_fr.io.files import write_atomic

        write_atomic(path, self.exact(text).encode("utf-8", "surrogateescape"))
        return True

    def held_back(self, text: str) -> int:
        """How many characters at the end of `text` might be the beginning of a secret."""
        beginnings = (
            length
            for form in self.forms
            for length in range(min(len(form) - 1, len(text)), 0, -1)
            if text.endswith(form[:length])
        )
        return max(beginnings, default=0)


def _mask_value(found: re.Match[str]) -> str:
    value = found["value"]
    keep = value.lower() in _SAFE_WORDS or value.startswith(MASK[:-1]) or not any(map(str.isalnum, value))
    return found[0] if keep else found["before"] + MASK


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, str(name)))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _leaves(inner, path or ("",))
    elif path:
        yield path, value


def has_credentials(text: str) -> bool:
    """Whether `text` is an address with a password or a key in it."""
    if "://" not in text:
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.password) or any(KEY_ARGUMENT.match(name) for name, _ in parse_qsl(parts.query))
    except ValueError:
        return False
