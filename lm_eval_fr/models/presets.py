"""What is known about models' arguments: where the hosted APIs are, and their field names. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lm_eval_fr.io.replies import Kind


@dataclass(frozen=True)
class Preset:
    """An API's dialect. key_required: it never answers without a key. The other fields are names in the request."""

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

# Arguments that change no answer: the pace, and batch-chat's files, since it reads answers to what it wrote.
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
# Names for the maximum answer length; of several, lm-eval's engines take the first.
LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
HOSTED_LENGTH = 1024  # of our own clients, where none is set
CLIENT_SEED = 1234  # lm-eval's API clients send it where no other is given

# Remedies for a problem that every further call would have, in terms of --model_args.
REMEDIES: dict[Kind, str] = {
    "key": "the key is read from the environment (OPENAI_API_KEY)",
    "quota": "top up the account, then rerun the same command to resume",
    "model": "check model= and base_url= in --model_args",
    "address": "check base_url= in --model_args; for a private authority's certificate, set SSL_CERT_FILE=FILE",
    "transport": "start the server, or correct base_url=",
    "parameter": "leave fields out with --model hosted-chat and omit=FIELD+FIELD",
    "request": "check the arguments",
    "too_long": "check the server's context length and the task's max_gen_toks",
}
