"""A judge's server: its address, its key, one call to it, and what to do about its refusals.

The key is read from the environment and goes only to that server. This module never retries: the asker decides.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec

from lm_eval_fr.errors import JudgeError, LmEvalFrError, Unfinished
from lm_eval_fr.io.http import Answer, Http, Server, api_address, check_address
from lm_eval_fr.io.redaction import key_from
from lm_eval_fr.io.replies import Problem
from lm_eval_fr.judge.asking.protocol import Profile

OPENAI = "https://api.openai.com/v1"
ACCOUNT = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
TOP_UP = "top up the account, then rerun to resume"


Send = Callable[[dict[str, Any]], Awaitable[Answer]]
"""Sends a body to the judge. Raises CallFailed if there is no complete answer."""


def chat(http: Http, profile: Profile) -> Send:
    """http: to the profile's own server, see `server_of`."""
    headers = account_headers(profile)
    return lambda body: http.call("/chat/completions", msgspec.json.encode(body), headers=headers)


def server_of(profile: Profile) -> Server:
    """Raises UsageError if the address is invalid, JudgeError if the key is missing."""
    return Server(check_address(address_of(profile), "--base-url"), read_key(profile))


def account_headers(profile: Profile) -> dict[str, str]:
    """Whom OpenAI bills if the key belongs to several organisations or projects: the same live and in batches."""
    if profile.dialect != "openai":
        return {}
    found = {header: os.environ.get(variable, "").strip() for header, variable in ACCOUNT.items()}
    wrong = next((ACCOUNT[header] for header, value in found.items() if not value.isprintable()), None)
    if wrong is not None or not all(value.isascii() for value in found.values()):
        raise JudgeError(
            "not one word of ASCII", where=wrong or " and ".join(ACCOUNT.values()), remedy="export it again"
        )
    return {header: value for header, value in found.items() if value}


def read_key(profile: Profile) -> str:
    """The key from the environment variable that the profile names. Raises JudgeError when there is none."""
    if profile.key_env is None:
        return ""
    key = key_from(profile.key_env)
    if not key:
        raise JudgeError(
            f"the environment variable {profile.key_env} is empty",
            where=f"profile {profile.name}",
            remedy=f"export {profile.key_env}=..., or set key_env: null in the profile if the server needs no key",
        )
    if not (key.isascii() and key.isprintable()):
        raise JudgeError(f"the key in {profile.key_env} is not one word of ASCII", remedy="export it again")
    return key


def blocked(problem: Problem, profile: Profile) -> LmEvalFrError:
    """The error for a refusal of all further calls: an empty account can be resumed, anything else has to be fixed."""
    where = f"profile {profile.name}"
    if problem.kind == "quota":
        return Unfinished(str(problem), where=where, remedy=TOP_UP)
    return JudgeError(f"{problem}", where=f"{where}, {address_of(profile)}", remedy=remedy(problem, profile))


def address_of(profile: Profile) -> str:
    return api_address(profile.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI)


def in_our_words(problem: Problem, profile: Profile) -> Problem:
    """A refusal that names a field of the profile concerns that field, whatever else the server says."""
    sent = (*profile.parameters, "response_format", "prompt_cache_key", "prompt_cache_breakpoint")
    named = next((name for name in sent if name in problem.said), None)
    if problem.kind != "request" or named is None:
        return problem
    return replace(problem, kind="parameter", parameter=named)


def remedy(problem: Problem, profile: Profile) -> str:
    """What to do about a problem; empty if rerunning is enough."""
    variable = f"the environment variable {profile.key_env}" if profile.key_env else "key_env in the profile"
    if problem.kind == "quota":
        return TOP_UP
    if problem.kind == "key":
        if problem.status == 403:
            return f"the key in {variable} may not use {profile.model}: ask for access, or choose another --model"
        return f"check the key in {variable}"
    if problem.kind == "model":
        return f"check that the server has a model {profile.model} (--model), and that --base-url ends in /v1"
    if problem.kind == "parameter" and problem.parameter.startswith("response_format"):
        return f"set `response_format: json_object` or `none` in a copy of profile {profile.name}"
    if problem.kind == "parameter":
        refused = problem.parameter or "the parameter"
        return f"take {refused} out of profile {profile.name}, or correct it"
    if problem.kind == "address":
        private = "certificate" in problem.said
        return "point SSL_CERT_FILE to your authority's certificates" if private else "check --base-url"
    return "check the server and --base-url" if problem.kind == "transport" and problem.status is None else ""
