"""What is known of models' arguments: where the hosted APIs are, how each says what all mean. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lm_eval_fr.io.replies import Kind


@dataclass(frozen=True)
class Preset:
    """An API's dialect. key_required: it never answers without a key. The fields are names in the request."""

    base_url: str | None
    key_env: str
    key_required: bool
    seed_field: str
    length_field: str


PRESETS: Mapping[str, Preset] = {
    "openai": Preset(
        "https://api.openai.com/v1/chat/completions", "OPENAI_API_KEY", True, "seed", "max_completion_tokens"
    ),
    "mistral": Preset(
        "https://api.mistral.ai/v1/chat/completions", "MISTRAL_API_KEY", True, "random_seed", "max_tokens"
    ),
    "plain": Preset(None, "OPENAI_API_KEY", False, "seed", "max_tokens"),
}
DEFAULT_PRESET = "plain"

# Arguments that change no answer: the pace, and batch-chat's files, since what it reads answers what it wrote.
PACE = (
    "num_concurrent",
    "max_retries",
    "max_wait",
    "timeout",
    "batch_size",
    "max_batch_size",
    "device",
    "write",
    "read",
)
# The names of the longest answer; of several, lm-eval's engines take the first.
LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
HOSTED_LENGTH = 1024  # of our own clients, where none is set
CLIENT_SEED = 1234  # lm-eval's API clients send it where no other is given

# Of a problem that every further call would have, in the words of --model_args.
REMEDIES: dict[Kind, str] = {
    "key": "the key is read from the environment (OPENAI_API_KEY)",
    "quota": "top up the account, then the same command resumes",
    "model": "check model= and base_url= in --model_args",
    "address": "check base_url= in --model_args; a private authority's certificate: SSL_CERT_FILE=FILE",
    "transport": "start the server, or correct base_url=",
    "parameter": "--model hosted-chat leaves fields out: omit=FIELD+FIELD",
    "request": "check the arguments",
    "too_long": "check the server's context length and the task's max_gen_toks",
}
