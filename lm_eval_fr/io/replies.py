"""What a server's reply says if it is not the answer: one reader for every API's error bodies.

Known shapes: OpenAI and what follows it ({"error": {...}}), older vLLM and Mistral (the fields at the top, `detail`
lists of FastAPI), OpenRouter (an error inside HTTP 200 or inside a choice, `metadata.raw`), Azure (`innererror`),
llama.cpp, Ollama and TGI ({"error": "text"}), Google (a list around it), Anthropic, gateways with their own names
(`errors`, `detail`, `msg`), and pages of HTML or plain text.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from lm_eval_fr.io.clean import BadJson, at, one_line, parse_untrusted
from lm_eval_fr.io.redaction import Redactor
from lm_eval_fr.io.retry import retry_after

Kind = Literal[
    "transport", "rate", "server", "moderated", "too_long", "request", "key", "model", "parameter", "address", "quota"
]
"""transport, rate, server: a later call may succeed. moderated, too_long, request: this text is refused, another may
not be. key, model, parameter, address, quota: every further call would fail in the same way."""

PASSING: tuple[Kind, ...] = ("transport", "rate", "server")
OF_THIS_TEXT: tuple[Kind, ...] = ("moderated", "too_long", "request")
MOST_SAID = 300  # characters


NO_TEMPLATE = re.compile(r"chat[ _.]template", re.IGNORECASE)
NO_TEMPLATE_REMEDY = (
    "for a base model, leave out apply_chat_template, use --model local-completions for its server, and "
    "run the *_shots tasks"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no answer. said: the server's words, or ours about the connection: one printable line without keys.

    status: of HTTP, None without a reply. code: the server's word or number for it. parameter: the refused field of the
    request. wait: what the server asks for, in seconds. billed: whether the work may have been done and charged.
    """

    kind: Kind
    said: str
    status: int | None = None
    code: str = ""
    parameter: str = ""
    wait: float | None = None
    billed: bool = False

    @property
    def remedy(self) -> str:
        """What the words themselves suggest; "" if nothing."""
        return template_remedy(self.said)

    @property
    def passing(self) -> bool:
        return self.kind in PASSING

    @property
    def of_this_text(self) -> bool:
        return self.kind in OF_THIS_TEXT

    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.said}" if self.status else self.said


def template_remedy(said: str) -> str:
    """What to do about a model without a chat template; "" if the words say something else."""
    return NO_TEMPLATE_REMEDY if NO_TEMPLATE.search(said) else ""


def find_problem(
    status: int, headers: Mapping[str, str], body: bytes, *, redactor: Redactor | None = None
) -> Problem | None:
    """None for a 2xx whose body is not an error; else what the reply says, whatever its bytes are."""
    content = _parsed(body)
    inside = 200 <= status < 300
    if inside and not (isinstance(content, dict) and _has_error(content)):
        return None
    details = _details(content, body)
    said = one_line((redactor or Redactor.from_environment()).message(details.message), MOST_SAID)
    found = Problem("server", said, status, one_line(details.code, 60), one_line(details.parameter, 60))
    wait = retry_after(headers, time.time())
    found = replace(found, kind=_kind(details.status if inside else status, details, wait), wait=wait)
    if found.kind == "parameter" and not found.parameter:
        found = replace(found, parameter=_named_parameter(details.message))
    return found


def find_page(status: int, body: bytes) -> Problem | None:
    """A gateway's page, or an empty body, instead of a completion; None for anything that begins like JSON.

    Behind an empty body the work may have been done; behind a page it was not.
    """
    text = body.lstrip(b"\xef\xbb\xbf\t\r\n ")
    if text.startswith((b"{", b"[")):
        return None
    words = f"a page instead of JSON: {_page(text)}" if text else "an empty body"
    said = one_line(Redactor.from_environment().message(words), MOST_SAID)
    return Problem("server", said, status, billed=not text)


@dataclass(frozen=True, slots=True)
class _Details:
    message: str
    code: str = ""
    parameter: str = ""
    status: int = 0  # the number that the body itself gives

    @property
    def words(self) -> str:
        return f"{self.code} {self.message}"[:2000]


_MODERATED = re.compile(
    r"content.?(filter|policy|management|moderation)|moderat|flagged|responsible.?ai|safety (system|policy|filter)|"
    r"usage polic|prohibited.?content|violat\w+ .{0,40}polic|sensitive.?(content|words)|data.?inspection",
    re.I,
)
_QUOTA = re.compile(
    r"insufficient.?(quota|balance|credit|fund)|billing|exceeded your current quota|hard.?limit|payment|"
    r"credit (balance )?(is )?(too low|exhausted)|not enough credit|out of credit|requires more credits|arrears|"
    r"spend(ing)? limit",
    re.I,
)
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|too.?(long|large|many (input |prompt )?tokens)|reduce the length|"
    r"max(imum)?.{0,12}(input|prompt|model).{0,8}len|exceed\w* .{0,60}(context|token limit|max(imum)? .{0,20}tokens)|"
    r"string_above_max_length|prompt is too long",
    re.I,
)
_RATE = re.compile(r"rate.?limit|too many requests|throttl|resource.?exhausted|requests? per (minute|second)", re.I)
_RETRY = re.compile(r"(retry|try again|wait) (in|after) ?\w*\d", re.I)
_KEY = re.compile(
    r"(invalid|incorrect|missing|expired|no).{0,12}(api.?key|credential)|unauthori[sz]ed|authentication_error|"
    r"api.?key.{0,16}(not valid|invalid|incorrect|missing|expired|required)",
    re.I,
)
_MODEL = re.compile(
    r"(unknown|invalid|no such|unsupported).{0,12}(model|deployment)|model_not_found|deploymentnotfound|"
    r"(model|deployment)\b.{0,80}?(unknown|invalid|not (been )?(exist|found|supported|available|loaded|deployed)|"
    r"does not exist|do(es)?n.t exist|deprecated|decommissioned|no access)|no endpoints found",
    re.I,
)
_PARAMETER = re.compile(
    r"un(supported|recogni[sz]ed|known|expected).{0,16}(parameter|argument|value|field|keyword|property|request)|"
    r"(parameter|argument|field|property|keyword).{0,60}(not (supported|permitted|allowed|recogni[sz]ed)|unsupported|"
    r"unknown|unexpected|invalid)|extra.?(inputs|fields|forbidden)|does not support|not permitted|extra_forbidden|"
    r"additional propert",
    re.I,
)
_WORD_FIELDS = frozenset(("message", "detail", "msg", "error_msg", "errors"))
_BESIDE_WORDS = """code status status_code statusCode error_code type title success result messages request_id
requestId instance path timestamp param"""
_ERROR_FIELDS = _WORD_FIELDS | frozenset(_BESIDE_WORDS.split())
_OPENAI_PARAM = re.compile(r"[A-Za-z_][\w.\[\]-]{0,59}$")


def _kind(status: int, details: _Details, wait: float | None) -> Kind:
    """status: of HTTP, or what an error inside a 200 gives as its own; 0 where it gives none."""
    words = details.words
    if status == 402 or (status in (0, 400, 403, 429) and _QUOTA.search(words)):
        # Google also says "quota" about its rates, and then when to retry.
        comes_back = status == 429 and (wait is not None or _RETRY.search(words)) and "insufficient" not in words
        return "rate" if comes_back else "quota"
    if status in (408, 409, 425, 429) or status >= 500:
        return "rate" if status == 429 else "server"
    if 300 <= status < 400 or status == 405:
        return "address"
    if status == 401:
        return "key"
    if status != 404 and _MODERATED.search(words):
        return "moderated"
    if status == 403:
        return "model" if _MODEL.search(words) else "key"
    if details.parameter.startswith("max_") and "context" not in words:
        return "parameter"
    if status == 413 or _TOO_LONG.search(words):
        return "too_long"
    if status in (404, 410) or _MODEL.search(words):
        return "model"
    if _KEY.search(words):
        return "key"
    if details.parameter or _PARAMETER.search(words):
        return "parameter"
    if status == 0:
        return "rate" if _RATE.search(words) else "server"
    return "request"


def _parsed(body: bytes) -> Any:
    try:
        return parse_untrusted(body)
    except BadJson:
        return None


def _has_error(content: Mapping[str, Any]) -> bool:
    if content.get("error") or content.get("object") == "error" or content.get("type") == "error":
        return True
    # Gateways have their own names for it; a body with only such names has no answer.
    alone = content.keys() <= _ERROR_FIELDS and any(content.get(name) for name in _WORD_FIELDS)
    return alone or bool(at(content, "choices", 0, "error"))


def _details(content: Any, body: bytes) -> _Details:
    if isinstance(content, list) and content:
        content = content[0]
    if not isinstance(content, dict):
        return _Details(str(content) if isinstance(content, (str, int)) else _page(body))
    error = content.get("error") or at(content, "choices", 0, "error") or at(content, "errors", 0) or content
    if not isinstance(error, dict):
        return _Details(str(error), _word(content.get("error_type") or content.get("code")))
    message, parameter = _message(error, content)
    code = _word(error.get("code") or error.get("type") or error.get("status") or content.get("type"))
    code = f"{code} {_word(at(error, 'innererror', 'code'))}".strip()
    named = error.get("param")
    if isinstance(named, str) and _OPENAI_PARAM.match(named) and named not in ("prompt", "messages", "model", "input"):
        parameter = parameter or named
    numbers = [error.get(name) for name in ("code", "status", "status_code", "statusCode", "error_code")]
    numbers.append(content.get("status_code"))
    return _Details(message, code, parameter, next(filter(None, map(_status, numbers)), 0))


def _message(error: Mapping[str, Any], content: Mapping[str, Any]) -> tuple[str, str]:
    """The words, and the field named in FastAPI's list of details."""
    names = ("message", "detail", "msg", "error_msg", "error")
    value = next((error[name] for name in names if error.get(name)), content.get("message"))
    if isinstance(value, dict):
        value = value.get("detail") or value.get("message") or value
    text, parameter = str(value or ""), ""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        places = [part.get("loc") for part in value if isinstance(part, dict)]
        parameter = next((str(place[-1]) for place in places if isinstance(place, list) and place), "")
        text = f"{parameter}: {value[0].get('msg') or value[0].get('message')}"
    text += "".join(f" ({found})" for name in ("raw", "reasons") if (found := at(error, "metadata", name)))
    return text or _word(error.get("code") or error.get("type")) or str(dict(error)), parameter


def _page(body: bytes) -> str:
    """A page's title, or its text without the tags."""
    text = body[:20_000].decode("utf-8", "replace")
    if title := re.search(r"<title[^>]{0,200}>(.{1,500}?)</title>", text, re.I | re.S):
        return title[1]
    return re.sub(r"<[^<>]{1,2000}>", " ", text).strip() or "no explanation"


_NAMED = (
    re.compile(r"['\"`]([A-Za-z_][\w.]{0,59})['\"`]"),
    re.compile(r"(?:parameter|argument|field|property|keyword)\w*\b[^:]{0,40}:\s*([A-Za-z_]\w{1,59})", re.I),
    re.compile(r"(?:parameter|argument|field|property)\s+([a-z]+(?:_[a-z]+)+)\b", re.I),
)


def _named_parameter(message: str) -> str:
    """The field in quotes, or after a colon, of "Unsupported parameter: 'seed'"."""
    return next((found[1] for pattern in _NAMED if (found := pattern.search(message[:2000]))), "")


def _word(value: Any) -> str:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _status(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        return 0
    return number if 400 <= number <= 599 else 0
