"""`fr-baseline`: an lm-eval model without a model. Shows what word overlap alone scores, and runs anywhere.

lm-eval-fr run --model fr-baseline --tasks piaf_fr --output_path out/baseline
lm-eval-fr run --model fr-baseline --model_args damage=0.3,seed=7 --tasks piaf_fr --output_path out/damaged
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lm_eval.api.model import LM

from lm_eval_fr.errors import UsageError
from lm_eval_fr.models.damage import spoil
from lm_eval_fr.models.french_prompt import read_prompt
from lm_eval_fr.models.heuristics import answer, stems

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}[SYSTEM_PROMPT]{{ message['content'] }}[/SYSTEM_PROMPT]"
    "{% elif message['role'] == 'user' %}[INST]{{ message['content'] }}[/INST]"
    "{% else %}{{ message['content'] }}</s>{% endif %}{% endfor %}"
)


class FrBaseline(LM):  # type: ignore[misc]  # an untyped class of lm-eval
    """Deterministic: the same prompt always gets the same answer.

    damage: share of the prompts, 0 to 1, that get a deliberately worse answer. seed: which ones.
    model: a name for the results; no effect.
    """

    def __init__(
        self,
        damage: float = 0.0,
        seed: int = 0,
        model: str = "fr-baseline",
        *,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= float(damage) <= 1:
            remedy = "damage=0.1 damages one answer in ten"
            raise UsageError(f"--model_args damage={damage}: not a share between 0 and 1", remedy=remedy)
        self.damage = float(damage)
        self.seed = int(seed)
        self.model = model

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        answers = []
        for request in requests:
            prompt, settings = request.args
            text = self._reply(str(prompt), settings)
            self.cache_hook.add_partial("generate_until", request.args, text)
            answers.append(text)
        return answers

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Continuations with words from the context are more likely, longer ones less likely."""
        scores = []
        for request in requests:
            context, continuation = request.args
            known, words = set(stems(context)), stems(continuation)
            missing = sum(1 for word in words if word not in known)
            scores.append((-(1.0 + missing + 0.1 * len(words)), False))
        return scores

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        return [-float(len(request.args[0].split())) for request in requests]

    @property
    def tokenizer_name(self) -> str:
        return "fr-baseline"

    def chat_template(self, chat_template: bool | str = False) -> str:
        return CHAT_TEMPLATE

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        marks = {"system": ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"), "user": ("[INST]", "[/INST]")}
        parts = [(marks.get(turn["role"], ("", "</s>")), turn["content"]) for turn in chat_history]
        return "".join(f"{opening}{content}{closing}" for (opening, closing), content in parts)

    def _reply(self, prompt: str, settings: dict[str, Any]) -> str:
        task = read_prompt(prompt)
        text = answer(task)
        if self.damage:
            text = spoil(text, task, prompt, damage=self.damage, seed=self.seed)
        until = settings.get("until") or []
        for mark in [until] if isinstance(until, str) else until:
            text = text.split(mark, 1)[0] if mark else text
        limit = int(settings.get("max_gen_toks", 0) or settings.get("max_tokens", 0) or 0)
        words = text.split(" ")
        return " ".join(words[:limit]) if limit else text
