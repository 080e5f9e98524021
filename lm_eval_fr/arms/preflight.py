"""Checks the checkpoint of a model that runs in this process by its files, before an engine takes minutes to fail."""

from __future__ import annotations

from pathlib import Path

from lm_eval_fr.arms.checkpoint import Checkpoint, find_checkpoint, inspect_checkpoint
from lm_eval_fr.arms.flags import ArmCall
from lm_eval_fr.errors import InputError

ENGINES = ("vllm", "hf", "sglang")
# With one of these the folder need not look like a plain `pretrained`.
UNUSUAL = ("gguf_file", "load_format", "delta", "config_format", "hf_config_path")


def checkpoint_of(call: ArmCall) -> Checkpoint | None:
    """The checkpoint behind `pretrained`; None for servers, unusual formats, and what the engine has to download first.
    Raises InputError for missing or truncated files, and for a tokenizer that cannot give the right prompts.
    """
    model = call.model_args.get("pretrained")
    if call.model.split("-")[0] not in ENGINES or not isinstance(model, str) or set(UNUSUAL) & set(call.model_args):
        return None
    folder = find_checkpoint(model, call.model_args.get("revision"))
    if folder is None:
        return None
    try:
        found = inspect_checkpoint(folder, tokenizer="tokenizer" not in call.model_args)
    except InputError:
        if folder == Path(model).expanduser():
            raise
        return None  # in the hub's cache: the engine downloads the rest
    _check_prompts(call, found)
    return found


def _check_prompts(call: ArmCall, checkpoint: Checkpoint) -> None:
    if "tokenizer" in call.model_args:
        return
    if getattr(call.flags, "apply_chat_template", False) is True and checkpoint.chat_template_sha256 is None:
        remedy = "leave --apply_chat_template out, or add the template (chat_template.jinja)"
        if checkpoint.tokenizer == "hf":
            raise InputError("it has no chat template", where=checkpoint.folder, remedy=remedy)
    if not call.model.startswith("vllm") or not checkpoint.encodes_twice_by_default:
        return
    # lm-eval renders the chat as text; Mistral's tokenizer reads `[INST]` in a text as plain text.
    if call.model_args.get("tokenizer_mode") not in ("hf", "slow"):
        what = "vLLM would use Mistral's tokenizer (tekken.json), which encodes a rendered prompt as plain text"
        raise InputError(what, where=checkpoint.folder, remedy="add tokenizer_mode=hf to --model_args")
    if checkpoint.tokenizer == "mistral":
        remedy = "add tokenizer.json from the hub, or serve it and use --model hosted-chat"
        raise InputError("tokenizer_mode hf, but no tokenizer.json", where=checkpoint.folder, remedy=remedy)
