"""A model on a local port that answers numbered questions by a rule, and golden sets to ask it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from config.catalogue import Catalogue
from diagnostics.golden import GoldenSet, parse
from diagnostics.model import ProbeContext
from diagnostics.setups import Setup
from tests.provider_fakes import CATALOGUE, Asked, Company, KeptBaselines, LocalHttp, Served, StillClock, context_of

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
Rule = Callable[[int, Asked], bool]
"""(number of the question, the request) -> whether it is answered rightly."""


def numbered(n: int, **more: Any) -> GoldenSet:
    """Questions "question 0", "question 1", ..., of which the right answer holds "right"."""
    items = [{"id": f"i{k}", "input": f"question {k}", "checks": [{"contains": "right"}], **more} for k in range(n)]
    return parse("\n".join(json.dumps(item) for item in items), "golden.jsonl")


def number_of(asked: Asked) -> int:
    return int(asked.body["messages"][-1]["content"].removeprefix("question "))


def system_of(asked: Asked) -> str:
    first = asked.body["messages"][0]
    return str(first["content"]) if first["role"] == "system" else str(asked.body.get("system", ""))


def answer(text: str, *, tokens_in: int = 20, tokens_out: int = 5, **message: Any) -> Served:
    """A chat completion in the OpenAI dialect."""
    document = {
        "model": "served", "choices": [{"message": {"content": text, **message}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out},
    }  # fmt: skip
    return Served(body=json.dumps(document))


def pupil(rule: Rule) -> Callable[[Asked], Served]:
    """Answers by the rule."""
    return lambda asked: answer("right" if rule(number_of(asked), asked) else "wrong")


def refused(status: int = 400, code: str = "invalid_value", kind: str = "invalid_request_error") -> Served:
    body = {"error": {"message": "no", "type": kind, "code": code, "param": None}}
    return Served(status=status, body=json.dumps(body))


GOOD = Setup(
    prompt="version 12", text="good prompt", provider="acme-openai", model="acme-large", params={"temperature": 0.2}
)


def context(http: LocalHttp, *, root: Path | str = "", judges: Sequence[Mapping[str, Any]] = (), index: bool = False,
            kind: str = "litellm", **service: Any) -> ProbeContext:  # fmt: skip
    """What a comparison is given."""
    plain = context_of(http, KeptBaselines(), golden_root=str(root))
    document = {
        **CATALOGUE, "judges": judges,
        "gateways": [{**CATALOGUE["gateways"][0], "kind": kind}],
        "indexes": [{"name": "kb", "admin": "gateway-admin"}] if index else [],
        "services": [{**CATALOGUE["services"][0], **({"index": "kb"} if index else {}), **service}],
    }  # fmt: skip
    catalogue = Catalogue.model_validate(document)
    return ProbeContext(
        service=catalogue.services[0], catalogue=catalogue, http=http, clock=StillClock(), baselines=plain.baselines,
        changes=plain.changes, started_at=plain.started_at, golden_root=str(root),
    )  # fmt: skip


# --- A judge -----------------------------------------------------------------------------------------------------


def labels(n: int = 30, *, good: int = 15) -> str:
    """Frozen labels: answers with "polite" meet the criterion."""
    rows = [
        {"id": f"l{k}", "rubric": "is polite", "input": "q", "meets": k < good,
         "answer": "polite" if k < good else "rude"}
        for k in range(n)
    ]  # fmt: skip
    return "\n".join(json.dumps(row) for row in rows)


def strict_judge(asked: Asked) -> Served:
    """Judges as people do: by the answer it is shown, and by nothing else."""
    shown = json.loads(asked.body["messages"][-1]["content"])
    return answer(json.dumps({"meets": shown["answer"].startswith("polite")}), tokens_in=100, tokens_out=6)


JUDGE = {"name": "referee", "provider": "beta-openai", "model": "judge-1", "labels": "labels.jsonl"}


def play_judge(company: Company, act: Callable[[Asked], Served] = strict_judge) -> None:
    company.play("beta", CHAT, act)
