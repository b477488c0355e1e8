"""P16: do the agent's tools answer, and are they still what the agent was told they are?

A ping and the published schema of every declared tool. When a tool is down, the agent itself is asked for something
that only the tool can know: it must say that it cannot look it up, and whatever else it says it has made up.
"""

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field

from config.catalogue import Tool
from config.http import HttpError, Reply
from diagnostics import series, statistics
from diagnostics.chat_api import Answer, ChatApi, ChatRequest, Endpoint
from diagnostics.model import INCONCLUSIVE, Evidence, Params, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.subjects import gateway_of

ALLOWED: Final = 0.01
"""Share of pings that may fail on an ordinary day."""
GROUNDING: Final = 2
_ADMITS: Final = re.compile(
    r"\b(can(no|')?t|cannot|could ?n.t|could not|unable|unavailable|not available|do(es)? not have|don.t have|"
    r"no access|not able|not find|no such|down|try again later)\b",
    re.IGNORECASE,
)
_QUESTION: Final = "What is the delivery state of order {number}? If you cannot look it up now, say so."


class ToolParams(Params):
    """Which tool (None: all of the service's), and how many pings."""

    tool: str | None = None
    n: int = Field(default=8, ge=3, le=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """What one tool showed."""

    tool: Tool
    failures: Counter[str]
    refused: int
    pings: int
    schema: Mapping[str, Any] | None
    differs: str
    """How the schema differs from the pinned or recorded one; empty: it does not, or nothing is known of it."""
    known: bool
    evidence: tuple[Evidence, ...]

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def p_value(self) -> float:
        return statistics.exceedances(self.failed, self.pings, share=ALLOWED)

    @property
    def down(self) -> bool:
        return self.failed >= 2 and self.p_value <= statistics.ALPHA


class ToolCheck:
    """P16."""

    spec = ProbeSpec(
        id="P16",
        name="tool_check",
        title="Tools answer, as they were declared",
        outcomes={
            "ok": Verdict.NORMAL,
            "down": Verdict.ABNORMAL,
            "unauthorized": Verdict.ABNORMAL,
            "schema_changed": Verdict.ABNORMAL,
        },
        params=ToolParams,
        unit="share of pings failed",
        expected_s=2.0,
        timeout_s=45.0,
        applies=("tools",),
    )

    async def run(self, context: ProbeContext, params: ToolParams) -> Reading:
        """All tools at once; the agent is asked only when one is down."""
        names = (params.tool,) if params.tool else context.service.tools
        tools = [tool for name in names if (tool := context.catalogue.tool(name)) is not None]
        if not tools:
            return Reading(outcome=INCONCLUSIVE, summary=f"No tool named {', '.join(map(repr, names))} is declared.")
        seen = await asyncio.gather(*(_look(context, tool, params.n) for tool in tools))
        worst = next((one for one in seen if one.down), None)
        answers = await _grounding(context) if worst is not None and not worst.refused else []
        return _reading(seen, worst, answers)


async def _look(context: ProbeContext, tool: Tool, n: int) -> _Seen:
    async def ping() -> Reply | HttpError:
        try:
            return await context.http.request(tool.target, "GET", tool.ping, timeout_s=5.0)
        except HttpError as error:
            return error

    replies = await asyncio.gather(*(ping() for _ in range(n)))
    failures = Counter(why for reply in replies if (why := _why(reply)))
    last = replies[-1]
    text = str(last) if isinstance(last, HttpError) else f"HTTP {last.status}\n{last.text}"
    schema, shown = await _schema(context, tool)
    known, differs = _compared(context, tool, schema)
    return _Seen(
        tool=tool, failures=failures, refused=failures["HTTP 401"] + failures["HTTP 403"], pings=n, schema=schema,
        differs=differs, known=known,
        evidence=(Evidence(source=f"GET {tool.target} {tool.ping}", excerpt=text[:600]), shown),
    )  # fmt: skip


def _why(reply: Reply | HttpError) -> str:
    if isinstance(reply, HttpError):
        return reply.stage
    return f"HTTP {reply.status}" if reply.status in (401, 403, 408, 429) or reply.status >= 500 else ""


async def _schema(context: ProbeContext, tool: Tool) -> tuple[Mapping[str, Any] | None, Evidence]:
    source = f"GET {tool.target} {tool.schema_path}"
    try:
        reply = await context.http.request(tool.target, "GET", tool.schema_path, timeout_s=5.0)
        document = json.loads(reply.text) if reply.status == 200 else None
    except (HttpError, ValueError, RecursionError) as error:
        return None, Evidence(source=source, excerpt=f"{type(error).__name__}: {error}"[:600])
    shown = Evidence(source=source, excerpt=f"HTTP {reply.status}\n{reply.text}"[:2000])
    return (document if isinstance(document, dict) else None), shown


def hash_of(schema: Mapping[str, Any]) -> str:
    """SHA-256 of a schema, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(schema, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def fields_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What callers depend on: hash, arguments, and which of them are required."""
    inner = schema.get("parameters") or schema.get("inputSchema") or schema.get("input_schema") or {}
    inner = inner if isinstance(inner, dict) else {}
    properties, required = inner.get("properties"), inner.get("required")
    return {
        "sha256": hash_of(schema),
        "arguments": sorted(map(str, properties))[:100] if isinstance(properties, dict) else [],
        "required": sorted(map(str, required))[:100] if isinstance(required, list) else [],
    }


def _compared(context: ProbeContext, tool: Tool, schema: Mapping[str, Any] | None) -> tuple[bool, str]:
    """Whether there is something to compare with, and what differs."""
    key = series.name("tool.schema:{tool}", tool=tool.name)
    kept = context.baselines.document(context.service.name, key, before=context.started_at)
    before: Mapping[str, Any] = kept if isinstance(kept, Mapping) else {}
    pinned = tool.schema_sha256 or str(before.get("sha256") or "")
    if schema is None or not pinned:
        return False, ""
    now = fields_of(schema)
    if now["sha256"] == pinned:
        return True, ""
    gone = sorted(set(before.get("arguments") or ()) - set(now["arguments"]))
    fresh = sorted(set(now["arguments"]) - set(before.get("arguments") or now["arguments"]))
    demanded = sorted(set(now["required"]) - set(before.get("required") or now["required"]))
    parts = [
        f"{word} {', '.join(names[:5])}"
        for word, names in (("gone:", gone), ("new:", fresh), ("now required:", demanded))
        if names
    ]
    return True, "; ".join(parts) or "its hash differs; the arguments are the same"


async def _grounding(context: ProbeContext) -> list[Answer]:
    """What the agent says of orders that nobody can look up; nothing without a gateway of our own."""
    if not context.service.gateway:
        return []
    api = ChatApi(http=context.http, endpoint=Endpoint.of_gateway(gateway_of(context, None)))
    requests = [
        ChatRequest(model=context.service.route, prompt=_QUESTION.format(number=999_999_990 + number), max_tokens=32)
        for number in range(GROUNDING)
    ]
    try:
        return list(await asyncio.gather(*(api.complete(request, timeout_s=15.0) for request in requests)))
    except HttpError:
        return []


def _made_up(answers: Sequence[Answer]) -> int:
    texts = [answer.completion.text for answer in answers if answer.completion]
    return sum(bool(text.strip()) and not _ADMITS.search(text) for text in texts)


def _reading(seen: Sequence[_Seen], worst: _Seen | None, answers: Sequence[Answer]) -> Reading:
    common: dict[str, Any] = {
        "evidence": tuple(evidence for one in seen for evidence in one.evidence)[:6],
        "tokens": sum(answer.tokens for answer in answers),
        "details": {
            "tools": {one.tool.name: {"failed": one.failed, "of": one.pings, "schema": one.differs} for one in seen},
            "asked_the_agent": len(answers), "made_up": _made_up(answers),
            series.RECORD_DOCUMENTS: {
                series.name("tool.schema:{tool}", tool=one.tool.name): fields_of(one.schema)
                for one in seen if one.schema is not None
            },
        },
    }  # fmt: skip
    if worst is not None:
        return _down(worst, answers, common)
    changed = next((one for one in seen if one.differs), None)
    if changed is not None:
        said = f"The schema of {changed.tool.name} is no longer the one on record ({changed.differs})."
        return Reading(outcome="schema_changed", summary=said, n=1, test="SHA-256 of the schema", **common)
    pings, failed = sum(one.pings for one in seen), sum(one.failed for one in seen)
    unknown = [one.tool.name for one in seen if not one.known]
    told = f"; no schema of {', '.join(unknown)} on record yet" if unknown else ", schemas as on record"
    said = f"{pings - failed} of {pings} pings of {', '.join(one.tool.name for one in seen)} are answered{told}."
    return Reading(outcome="ok", summary=said, value=failed / pings, n=pings, **common)


def _down(worst: _Seen, answers: Sequence[Answer], common: Mapping[str, Any]) -> Reading:
    words = ", ".join(f"{count} x {why}" for why, count in worst.failures.most_common(3))
    made_up = _made_up(answers)
    told = f" The agent made {made_up} of {len(answers)} answers up instead of saying so." if made_up else ""
    told = told or (" The agent says that it cannot look things up." if answers else "")
    return Reading(
        outcome="unauthorized" if worst.refused * 2 > worst.failed else "down",
        summary=f"{worst.failed} of {worst.pings} pings of {worst.tool.name} failed ({words}).{told}",
        value=worst.failed / worst.pings, baseline=ALLOWED, n=worst.pings,
        test=f"binomial against {ALLOWED:.0%}, one-sided", p_value=worst.p_value,
        interval=statistics.wilson(worst.failed, worst.pings), **common,
    )  # fmt: skip
