"""How many tokens a text has: by a tokenizer if one is named, else by its length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from lm_eval_fr.errors import InputError

CHARACTERS_PER_TOKEN = 3.6  # a token's usual length in French, in the tokenizers of 2025


class TokenCount:
    """Counts the tokens of a text. name: a folder with tokenizer.json or a hub name; None: by length.

    Raises InputError if the named tokenizer is not available.
    """

    def __init__(self, name: str | None) -> None:
        self.name = name
        self._tokenizer = None if name is None else _local(name) or _fetched(name)

    def __call__(self, text: str) -> float:
        if self._tokenizer is None:
            return len(text) / CHARACTERS_PER_TOKEN
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)


def local_count(arms: Iterable[Mapping[str, Any]]) -> TokenCount:
    """Counts with the first tokenizer that these arms' model arguments name and this machine has; else by length."""
    names = [str(given[key]) for given in arms for key in ("tokenizer", "pretrained", "model") if given.get(key)]
    return TokenCount(next(filter(is_local, names), None))


def is_local(name: str) -> bool:
    """Whether the tokenizer is on this machine. Nothing is downloaded."""
    return _local(name) is not None


@lru_cache(maxsize=4)
def _local(name: str) -> Any:
    """The tokenizer of a folder or a hub name if it is on this machine, else None."""
    with suppress(Exception):  # the libraries may be missing, and the name or file may make them raise anything
        from huggingface_hub import try_to_load_from_cache
        from tokenizers import Tokenizer

        local = Path(name).expanduser() / "tokenizer.json"
        found = local if local.is_file() else try_to_load_from_cache(name, "tokenizer.json")
        return Tokenizer.from_file(str(found)) if isinstance(found, (str, Path)) else None
    return None


def _fetched(name: str) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise InputError(f"tokenizer {name} needs the tokenizers package", remedy="pip install tokenizers") from None
    try:
        return Tokenizer.from_pretrained(name)
    except BaseException as error:  # offline, gated, no such name: one of them is a panic rather than an Exception
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        reason = " ".join(str(error).split())[:200]
        remedy = "give a folder with tokenizer.json, or leave `tokenizer` out to count 3.6 characters as a token"
        raise InputError(f"tokenizer {name} cannot be loaded: {reason}", where="--metadata", remedy=remedy) from None
