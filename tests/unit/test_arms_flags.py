"""The flags of `lm-eval-fr run`: what is filled in, what is refused in one line, what names an arm's answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lm_eval_fr.arms import flags
from lm_eval_fr.arms.endpoint import Endpoint, endpoint_of
from lm_eval_fr.arms.flags import ArmCall, parse_call
from lm_eval_fr.arms.requested_tasks import check_shots, locate_tasks
from lm_eval_fr.errors import ArmError, InputError, UsageError
from lm_eval_fr.io.redaction import Redactor

KEY = "sk-test-0123456789abcdef"
BY_TOKENS = "tokenizer=t,tokenized_requests=True,max_length=8192"
HERE = ["--model", "local-completions", "--tasks", "piaf_fr", "--output_path", "out"]
URL = "http://127.0.0.1:8000/v1/completions"
CHAT_URL = "http://127.0.0.1:8000/v1/chat/completions"


def parse(*argv: str) -> ArmCall:
    return parse_call(argv, Redactor([KEY]))


def test_completions_get_text_that_nobody_cuts() -> None:
    call = parse(*HERE, "--model_args", f"model=m,base_url={URL}")
    assert (call.model_args["tokenizer_backend"], call.model_args["tokenized_requests"]) == (None, False)
    assert "never cut" in call.notes[0]
    assert call.flags.log_samples is True
    kept = parse(*HERE, "--model_args", f"model=m,base_url={URL},tokenizer=t,max_length=32768")
    assert "tokenizer_backend" not in kept.model_args
    with pytest.raises(UsageError, match="max_length"):
        parse(*HERE, "--model_args", f"model=m,base_url={URL},tokenizer_backend=huggingface")


def test_chat_models_get_their_template_and_vllm_its_batches() -> None:
    chat = parse("--model", "local-chat-completions", "--tasks", "piaf_fr", "--model_args", "model=m")
    assert chat.flags.apply_chat_template is True
    assert parse("--model", "vllm", "--tasks", "piaf_fr", "--model_args", "pretrained=m").flags.batch_size == "auto"
    own = parse("--model", "vllm", "--tasks", "a", "--model_args", "pretrained=m", "--batch_size", "4")
    assert own.flags.batch_size == "4"


def test_an_arms_own_tokenizer_does_not_measure_the_documents() -> None:
    arm = (*HERE, "--model_args", f"model=m,base_url={URL},{BY_TOKENS}")
    assert parse(*arm).flags.metadata == {"tokenizer": None}
    assert parse(*arm, "--metadata", "tokenizer=org/Common").flags.metadata == {"tokenizer": "org/Common"}
    assert parse(*HERE, "--model_args", f"model=m,base_url={URL}").flags.metadata == {}


def test_the_baseline_has_a_name() -> None:
    assert parse("--model", "fr-baseline", "--tasks", "a").model_args == {"model": "fr-baseline"}
    damaged = parse("--model", "fr-baseline", "--tasks", "a", "--model_args", "damage=0.3,seed=7")
    assert damaged.model_args["model"] == "fr-baseline-damaged-0.3"


def test_an_output_folder_is_found_for_those_who_name_none() -> None:
    call = parse("--model", "vllm", "--tasks", "a", "--model_args", "pretrained=org/Model-7B")
    assert str(call.output).startswith("runs/org_Model-7B-")
    assert str(call.output) in call.notes[-1]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--modle", "x", "--tasks", "a"], "--modle: no such flag .*'--model'"),
        (["--model", "vlm", "--tasks", "a"], "no such model .*'vllm'"),
        (["--model", "fr-baseline"], "--tasks is missing"),
        (["--tasks", "a"], "--model is missing"),
        (["--model", "fr-baseline", "--tasks", "a", "--limit", "zero"], "invalid float value"),
        (["--model", "fr-baseline", "--tasks", "a", "--limit", "0"], "no document would run"),
        (["--model", "fr-baseline", "--tasks", "a", "--data-dir", "/nowhere"], "--data-dir /nowhere: no such folder"),
        (["--model", "fr-baseline", "--tasks", "a", "--output_path", "x.json"], "not a folder"),
        (["--model", "fr-baseline", "--tasks", "a", "--model_args", "damage"], "key=value"),
        (["--model", "fr-baseline", "--tasks", "a", "--model_args", 'a={"b":1}'], "one JSON object"),
        (["--model", "fr-baseline", "--tasks", "a", "--config", "/nowhere.yaml"], "flag names and values"),
    ],
)
def test_mistakes_are_one_line(argv: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        parse(*argv)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"header": {"Authorization": "Bearer abc"}},
        {"auth_token": "abc"},
        {"api_key": "abcdef"},
        {"hint": f"x{KEY}x"},
        {"base_url": "https://me:secret@host/v1/completions"},
        {"base_url": "https://host/v1/completions?api-key=abc"},
    ],
)
def test_a_key_among_the_arguments_is_refused_and_not_repeated(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="contains a key") as caught:
        parse(*HERE, "--model_args", json.dumps({"model": "m", **arguments}))
    assert not any(text in str(caught.value) for text in ("abc", KEY, "secret@"))


def test_harmless_arguments_are_not_taken_for_keys() -> None:
    arguments = {"model": "m", "base_url": URL, "header": {"X-Team": "evaluation"}, "think_end_token": "</think>"}
    assert parse(*HERE, "--model_args", json.dumps(arguments)).model_args["think_end_token"] == "</think>"


def test_samples_are_put_in_order(tmp_path: Path) -> None:
    argv = ["--model", "fr-baseline", "--tasks", "piaf_fr", "--samples"]
    assert parse(*argv, '{"piaf_fr": [7, 0, 7, 3]}').flags.samples == {"piaf_fr": [0, 3, 7]}
    (tmp_path / "s.json").write_text('{"piaf_fr": [2, 1]}')
    assert parse(*argv, str(tmp_path / "s.json")).flags.samples == {"piaf_fr": [1, 2]}
    for wrong in ('{"piaf_fr": 3}', '{"piaf_fr": [-1]}', "nowhere.json"):
        with pytest.raises((UsageError, InputError), match="--samples"):
            parse(*argv, wrong)


def test_config_file_fills_what_the_command_line_leaves_open(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("model: fr-baseline\ntasks: [piaf_fr]\nmodel_args: damage=0.5\nlimit: 7\ndata_dir: .\n")
    call = parse("--config", str(config), "--limit", "3")
    assert (call.model, call.tasks, call.flags.limit, call.model_args["damage"]) == (
        "fr-baseline",
        ("piaf_fr",),
        3,
        0.5,
    )
    assert call.data_dir == Path.cwd()
    config.write_text("modle: x\n")
    with pytest.raises(UsageError, match=r"run.yaml: unknown key 'modle' \(did you mean 'model'"):
        parse("--config", str(config))


def test_a_completions_server_is_sent_no_messages() -> None:
    """lm-eval would put the conversation's JSON where the endpoint takes a text."""
    base = f"model=m,base_url={URL}"
    for tokenizer in ("", ",tokenizer=t,tokenized_requests=False,max_length=8192"):
        with pytest.raises(UsageError, match="--model hosted-chat asks the chat endpoint"):
            parse(*HERE, "--model_args", base + tokenizer, "--apply_chat_template")
    parse(*HERE, "--model_args", f"{base},{BY_TOKENS}", "--apply_chat_template")


def test_whatever_changes_an_answer_changes_the_key(tmp_path: Path) -> None:
    base = [*HERE, "--model_args", f"model=m,base_url={URL}"]
    manifest = tmp_path / "manifest.json"
    manifest.write_text("{}")
    variants = [
        base,
        [*HERE, "--model_args", f"model=n,base_url={URL}"],
        [*HERE, "--model_args", f"model=m,base_url={URL.replace('8000', '8001')}"],
        [*HERE, "--model_args", f"model=m,base_url={URL},seed=1"],
        [*base, "--gen_kwargs", "temperature=0.5"],
        [*base[:-1], f"{base[-1]},{BY_TOKENS}", "--apply_chat_template"],
        [*base, "--system_instruction", "Sois bref."],
        [*base, "--seed", "7"],
        [*base, "--manifest", str(manifest)],
    ]
    assert len({parse(*argv).key for argv in variants}) == len(variants)
    paced = [*HERE, "--model_args", f"model=m,base_url={URL},num_concurrent=64,timeout=9,max_retries=1"]
    same = [paced, [*base, "--limit", "3"], [*base, "--tasks", "sib200_fr"], [*base, "--batch_size", "8"]]
    assert {parse(*argv).key for argv in same} == {parse(*base).key}


def test_a_checkpoint_made_again_is_another_arm(tmp_path: Path) -> None:
    argv = ["--model", "hf", "--tasks", "piaf_fr", "--model_args", f"pretrained={tmp_path}"]
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before = parse(*argv).key
    (tmp_path / "model.safetensors").write_bytes(b"three")
    assert parse(*argv).key != before


def endpoint(kind: str, /, **arguments: str) -> Endpoint:
    found = endpoint_of(parse("--model", kind, "--tasks", "a", "--model_args", json.dumps(arguments)))
    assert found is not None
    return found


def test_where_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "m1stral-key")
    assert endpoint("local-completions", model="m", base_url=URL).models_url == "http://127.0.0.1:8000/v1/models"
    mistral = endpoint("hosted-chat", preset="mistral", model="mistral-small-2603")
    assert (mistral.models_url, mistral.key_env) == ("https://api.mistral.ai/v1/models", "MISTRAL_API_KEY")
    assert endpoint_of(parse("--model", "fr-baseline", "--tasks", "a")) is None


@pytest.mark.parametrize(
    ("model", "arguments", "words"),
    [
        ("local-completions", {"model": "m"}, "base_url is missing"),
        ("local-completions", {"base_url": URL}, "model is missing"),
        ("local-completions", {"model": "m", "base_url": "127.0.0.1:8000/v1/completions"}, "not an address"),
        ("local-completions", {"model": "m", "base_url": CHAT_URL}, f"base_url={URL}"),
        ("local-chat-completions", {"model": "m", "base_url": URL}, f"base_url={CHAT_URL}"),
        ("hosted-chat", {"model": "m", "preset": "mistrall"}, "did you mean 'mistral'"),
    ],
)
def test_addresses_that_cannot_work(model: str, arguments: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        endpoint(model, **arguments)


@pytest.mark.parametrize("given", ["http://127.0.0.1:8000", "http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1/", URL])
def test_a_server_s_address_is_completed(given: str) -> None:
    assert endpoint("local-completions", model="m", base_url=given).url == URL
    if given != URL:
        assert endpoint("hosted-chat", model="m", base_url=given).url == CHAT_URL


def test_an_unusual_address_stays_as_it_is() -> None:
    azure = "https://x.example/openai/deployments/m/chat/completions?api-version=2026-01-01"
    assert endpoint("hosted-chat", model="m", base_url=azure).url == azure


@pytest.mark.parametrize("flag", ["--wandb_args", "--trackio_args"])
def test_a_logger_that_is_not_installed_is_found_before_the_run(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "find_spec", lambda name: None)
    package = flag.removeprefix("--").removesuffix("_args")
    with pytest.raises(UsageError, match=rf"{flag} needs {package}, which is not installed \(pip install {package}\)"):
        parse("--model", "fr-baseline", "--tasks", "a", flag, "project=p")


def test_a_hosted_api_needs_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    with pytest.raises(ArmError, match="MISTRAL_API_KEY is not set"):
        endpoint("hosted-chat", preset="mistral", model="m")


def test_tasks_are_ours_theirs_or_unknown(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("task: mine_fr\n")
    assert locate_tasks(["piaf_fr", "fr_gold"], None).builtins is False
    assert locate_tasks(["piaf_*", "mine_fr", str(tmp_path / "mine.yaml")], str(tmp_path)).builtins is False
    assert locate_tasks(["piaf_fr", "arc_easy"], None).builtins is True
    with pytest.raises(UsageError, match=r"piaf_f: no such task .*'piaf_fr'"):
        locate_tasks(["piaf_f"], None)
    with pytest.raises(UsageError, match=r"mine_f: no such task .*'mine_fr'"):
        locate_tasks(["mine_f"], str(tmp_path))
    with pytest.raises(UsageError, match="no such file"):
        locate_tasks([str(tmp_path / "none.yaml")], None)


def test_a_number_of_examples_that_lm_eval_would_ignore_is_refused() -> None:
    for names in (["piaf_fr"], ["fr_gold"], ["piaf_*"]):
        with pytest.raises(UsageError, match=r"--num_fewshot 5: piaf_fr sets its own.*--tasks piaf_fr_shots"):
            check_shots(names, 5)
    with pytest.raises(UsageError, match="leave --num_fewshot out"):
        check_shots(["analysis_fr"], 5)
    check_shots(["piaf_fr"], 0)
    check_shots(["arc_easy"], 5)


@pytest.mark.parametrize("damage", ['"beaucoup"', "[1]", '{"a": 1}'])
def test_a_damage_that_is_no_number(damage: str) -> None:
    line = ["--model", "fr-baseline", "--tasks", "piaf_fr", "--model_args", f'{{"damage": {damage}}}']
    with pytest.raises(UsageError, match="damage: not a number"):
        parse_call(line, Redactor(()))
