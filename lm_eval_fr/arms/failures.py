"""What stopped an arm, in one line with a remedy: lm-eval and its engines print tracebacks."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

from lm_eval_fr.arms.flags import PATHS, ArmCall
from lm_eval_fr.errors import ArmError, LmEvalFrError, UsageError
from lm_eval_fr.io.replies import Kind, find_problem, template_remedy
from lm_eval_fr.models.presets import REMEDIES

SAME_LINE = 3  # how often the same log line of lm-eval is shown
UNTRUE_HERE = (
    "--limit SHOULD ONLY BE USED FOR TESTING",  # our documents are ordered: the first N are a fair sample
    "Custom kwargs can be passed to `--metadata`",  # printed for every task with a loader, whatever was passed
    "Cannot determine EOS string",  # text requests need none: the tasks set their own end mark
    "Ensure 'do_sample=True' for non-greedy decoding",  # printed for any --gen_kwargs
)
BODY = re.compile(r"(?:error message: |Response text: )(?P<body>.*?)(?:\. Retrying\.\.\.)?$", re.DOTALL)
UNKNOWN_ARGUMENT = re.compile(r"unexpected keyword argument '(?P<name>\w+)'")
EXTRAS = {"vllm": "vllm", "torch": "hf", "transformers": "hf", "accelerate": "hf", "compressed_tensors": "hf"}
DTYPES = re.compile(r"same dtype|expected scalar type|dtype mismatch|must have the same type")
CONNECTION = (
    "ConnectionError",
    "ClientConnectorError",
    "ServerDisconnectedError",
    "ClientOSError",
    "ChunkedEncodingError",
)


class LogWatch(logging.Filter):
    """Shows each of lm-eval's log lines only a few times, and keeps the server's last message."""

    def __init__(self) -> None:
        super().__init__()
        self.last_body = ""
        self._shown: dict[tuple[str, int], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if body := BODY.search(message):
            self.last_body = body["body"]
        if any(text in message for text in UNTRUE_HERE):
            return False
        place = (record.pathname, record.lineno)
        self._shown[place] = self._shown.get(place, 0) + 1
        return self._shown[place] <= SAME_LINE or record.levelno == logging.DEBUG


def explain(error: BaseException, call: ArmCall, watch: LogWatch, kept: int) -> LmEvalFrError:
    """The one line for `error`. kept: answers on disk, which the same command will not ask for again."""
    chain = list(_chain(error))
    if ours := next((link for link in chain if isinstance(link, LmEvalFrError)), None):
        return ours
    resume = f"; {kept} answers are kept, the same command resumes" if kept else ""
    where = str(call.model_args.get("base_url") or call.model)
    for link in chain:
        if (status := _status(link)) is not None:
            return _http_failure(status, watch.last_body, where, resume)
        name = type(link).__name__
        if isinstance(link, ModuleNotFoundError):
            return _missing_module(link, call)
        if call.model in PATHS and (name in CONNECTION or isinstance(link, ConnectionError)):
            return ArmError("the server went away", where=where, remedy=f"start it again{resume}")
        if call.model in PATHS and (isinstance(link, TimeoutError) or "Timeout" in name):
            remedy = f"raise timeout= or lower num_concurrent= in --model_args{resume}"
            return ArmError("the server did not answer in time", where=where, remedy=remedy)
        if name in ("DatasetNotFoundError", "OfflineModeIsEnabled", "LocalEntryNotFoundError", "HfHubHTTPError"):
            remedy = "check the network, or read local files with --data-dir DIR"
            return ArmError(
                f"the documents cannot be downloaded: {_text(link)}", where=",".join(call.tasks), remedy=remedy
            )
    last = chain[0]
    if remedy := next((remedy for link in chain if (remedy := template_remedy(str(link)))), ""):
        return ArmError("the model has no chat template", where=where, remedy=remedy)
    if isinstance(last, RuntimeError) and DTYPES.search(str(last)):
        what = f"the weights' types do not fit each other: {_text(last)}"
        return ArmError(what, where=where, remedy=f"add dtype=bfloat16 to --model_args{resume}")
    if isinstance(last, TypeError) and (unknown := UNKNOWN_ARGUMENT.search(str(last))):
        return UsageError(
            f"--model_args: {call.model} has no argument {unknown['name']!r}", remedy="check its spelling"
        )
    remedy = f"LMEVAL_LOG_LEVEL=DEBUG shows where{resume}"
    return ArmError(f"{type(last).__name__}: {_text(last)}", where=where, remedy=remedy)


# Where lm-eval's own client asked.
THEIR_CLIENT: dict[Kind, str] = {
    **REMEDIES,
    "rate": "lower num_concurrent=; --model hosted-chat waits as the server asks",
    "quota": "top up the account",
    "server": "look at the server's log",
}


def _http_failure(status: int, body: str, where: str, resume: str) -> ArmError:
    problem = find_problem(status, {}, body.encode())
    said = problem if body and problem else f"HTTP {status}"
    kind = problem.kind if problem else "server"
    remedy = problem.remedy if problem else ""
    remedy = remedy or THEIR_CLIENT.get(kind, "check the arguments and the server's context length")
    return ArmError(f"the server answers {said}", where=where, remedy=remedy + resume)


def _missing_module(error: ModuleNotFoundError, call: ArmCall) -> ArmError:
    module = (error.name or "").split(".")[0]
    extra = EXTRAS.get(module) or EXTRAS.get(call.model)
    remedy = f'pip install "lm-eval-fr[{extra}]"' if extra else f"pip install {module}" if module else ""
    return ArmError(f"--model {call.model} needs {module or _text(error)}, which is not installed", remedy=remedy)


def _status(error: BaseException) -> int | None:
    if type(error).__module__.split(".")[0] not in ("requests", "aiohttp", "httpx", "openai"):
        return None
    status = getattr(error, "status", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) and status >= 400 else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _text(error: BaseException) -> str:
    text = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
    return text if len(text) <= 300 else f"{text[:297]}..."
