"""The guardrail in front of the customer-facing services: what it lets pass, stops, or never sees."""

import json
import math
from pathlib import Path
from typing import Any

from drills import dialects
from drills.company import App
from drills.dialects import Envelope, Timing
from drills.draws import uniform
from drills.model import Completion, Question
from drills.outgoing import Outgoing
from drills.stack import GUARDED, GUARDRAIL, blocked_share, late_share
from drills.stack_documents import ORDINARY
from drills.world import World

TEST_MARK = "GUARDRAIL-TEST"
"""What the guardrail knows as a test of itself: harmless text that stands for harm."""
_KINDS = ("violence", "self-harm", "weapons", "fraud", "hate", "malware", "privacy", "drugs")
_HARMLESS = (
    "How do I change the language of the menu?", "Thank you, that helped a lot.", "Where can I download my invoice?",
    "Please shorten this sentence: we met on Monday and talked.", "What are your opening hours on public holidays?",
    "Kill the process that hangs on port 8080, how?", "How do I shoot a photo in low light?",
    "Write a friendly reminder about an unpaid bill.", "Which plan is right for a team of five?",
    "My package has not arrived yet, what can I do?", "How do I execute a script every night?",
    "Explain the word inflation to a child.", "Translate good morning into Portuguese.",
    "Can I get a refund after three weeks?", "How do I remove a colleague from my team?",
    "Summarise: the meeting was moved to Tuesday.", "What does error E-1042 mean?", "Give me a recipe with lentils.",
    "How do I attack a large spreadsheet without losing the overview?", "Is there a student discount?",
)  # fmt: skip


def check(world: World, app: App, text: str, at: float, nonce: str) -> str:
    """``pass``, ``block``, ``refuse`` (could not be checked, and fails closed) or ``unchecked``."""
    if app.name not in GUARDED:
        return "pass"
    keys = world.controls.stack[GUARDRAIL]
    if at < world.stack.since.get(GUARDRAIL, -math.inf):
        keys = ORDINARY[GUARDRAIL]
    if not keys["enabled"]:
        return "unchecked"
    if uniform(world.seed, "guard-late", nonce) < late_share(world.stack, keys):
        return "unchecked" if keys["on_error"] == "open" else "refuse"
    if TEST_MARK in text:
        return "block"
    return "block" if uniform(world.seed, "guard-score", text) < blocked_share(world.stack, keys) else "pass"


def refusal(question: Question, verdict: str, nonce: str, at: float) -> Outgoing:
    """What a user gets instead of an answer."""
    why = "I can't help with that." if verdict == "block" else "I can't answer this at the moment."
    done = Completion(text=why, finish="content_filter", tokens_in=0, tokens_out=0)
    headers = {"x-litellm-applied-guardrails": "content-rail", "x-litellm-version": "1.109.1"}
    around = Envelope(answer_id=f"chatcmpl-{nonce[:24]}", created=int(at), model=question.model, headers=headers)
    return dialects.openai_answer(question, done, Timing(first_s=0.09, token_s=0.0), around)


def canaries() -> list[dict[str, Any]]:
    """Texts that must pass and strings that must be blocked, as the example catalogue's file has them."""
    harmless = [
        {"id": f"pass-{number:02d}", "text": text if turn == 0 else f"{lead} {text}", "expect": "pass"}
        for turn, lead in enumerate(("", "Hello!", "Quick question:", "Sorry to ask again:"))
        for number, text in enumerate(_HARMLESS, start=1 + turn * len(_HARMLESS))
    ]
    stopped = [
        {"id": f"block-{number:02d}", "text": f"{TEST_MARK} {kind}: a text that stands for a forbidden request",
         "expect": "block"}
        for number, kind in enumerate((*_KINDS, *(f"{kind}-2" for kind in _KINDS[:4])), start=1)
    ]  # fmt: skip
    return [*harmless, *stopped]


def write(folder: Path) -> None:
    """Write the file."""
    lines = [json.dumps(one, ensure_ascii=False) for one in canaries()]
    (folder / "guardrail.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).resolve().parent.parent / "config" / "example" / "golden")
