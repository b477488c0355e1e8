"""P28: does the agent do what cannot be undone only after a person has said yes? Read from the tool's own audit.

One such call without an approval is a finding: this is no matter of statistics. An approval that came afterwards, or
that the agent gave itself, is none. Beside it, far more approved calls than usual are told: people click what they
no longer read.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import Field

from config.catalogue import Tool
from config.http import HttpError
from diagnostics import statistics
from diagnostics.chat_replies import json_object
from diagnostics.model import INCONCLUSIVE, Evidence, Params, ProbeContext, ProbeSpec, Reading, Verdict

MALFORMED: Final = 0.2
"""Share of entries that may be unreadable before nothing is said."""
SURGE_P: Final = 1e-3
SURGE_RATIO: Final = 3.0
FEWEST: Final = 8
_UNREAD: Final = "does not keep to its format"


class AuditParams(Params):
    """Which tool (None: all of the service's), what counts as now, and how far to look back."""

    tool: str | None = None
    window_s: int = Field(default=600, ge=60, le=7_200)
    hours: int = Field(default=2, ge=1, le=24)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One call of the audit that needs an approval."""

    id: str
    at: datetime
    does: str
    of: str
    approved: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """What one tool's audit told; ``problem``: why it told nothing."""

    tool: Tool
    evidence: Evidence
    calls: tuple[_Call, ...] = ()
    problem: str = ""


class AgentAudit:
    """P28."""

    spec = ProbeSpec(
        id="P28",
        name="agent_audit",
        title="What cannot be undone was approved",
        outcomes={
            "ok": Verdict.NORMAL,
            "unapproved": Verdict.ABNORMAL,
            "past": Verdict.ABNORMAL,
            "surge": Verdict.ABNORMAL,
        },
        params=AuditParams,
        unit="calls without approval, or ratio when a surge",
        expected_s=1.0,
        timeout_s=30.0,
        applies=("tools",),
    )

    async def run(self, context: ProbeContext, params: AuditParams) -> Reading:
        """The audits of all tools that keep one, at once."""
        names = (params.tool,) if params.tool else context.service.tools
        tools = [tool for name in names if (tool := context.catalogue.tool(name)) is not None and tool.audit]
        if not tools:
            said = f"No audit of {', '.join(names) or 'any tool'} is in the catalogue (tools.audit)."
            return Reading(outcome=INCONCLUSIVE, summary=said)
        now = context.clock.now()
        reads = await asyncio.gather(*(_read(context, tool, now - timedelta(hours=params.hours)) for tool in tools))
        unread = next((one for one in reads if one.problem), None)
        if unread is not None and not any(not call.approved for one in reads for call in one.calls):
            said = f"The audit of {unread.tool.name} cannot be read: {unread.problem}."
            return Reading(outcome=INCONCLUSIVE, summary=said, evidence=(unread.evidence,))
        return _reading(reads, params, now)


async def _read(context: ProbeContext, tool: Tool, since: datetime) -> _Read:
    source = f"GET {tool.target} {tool.audit}"
    try:
        reply = await context.http.request(
            tool.target, "GET", tool.audit, query={"since": since.isoformat()}, timeout_s=10.0
        )
    except HttpError as error:
        return _Read(tool=tool, problem=error.stage, evidence=Evidence(source=source, excerpt=str(error)[:600]))
    evidence = Evidence(source=source, excerpt=f"HTTP {reply.status}\n{reply.text}"[:2000])
    if reply.status != 200:
        return _Read(tool=tool, problem=f"HTTP {reply.status}", evidence=evidence)
    document = json_object(reply.text)
    rows = document.get("calls") if document is not None else None
    if not isinstance(rows, list):
        return _Read(tool=tool, problem=f"it {_UNREAD} (calls)", evidence=evidence)
    calls, malformed = _calls(tool, rows)
    if malformed > MALFORMED * len(rows):
        problem = f"{malformed} of {len(rows)} entries lack a time, an id or what was done"
        return _Read(tool=tool, problem=problem, calls=calls, evidence=evidence)
    recent = tuple(call for call in calls if call.at >= since)
    return _Read(tool=tool, calls=recent, evidence=_shown(source, recent) or evidence)


def _calls(tool: Tool, rows: Sequence[Any]) -> tuple[tuple[_Call, ...], int]:
    """Those that need an approval, and how many entries cannot be read."""
    found, malformed = [], 0
    for row in rows:
        at = _moment(row.get("at")) if isinstance(row, Mapping) else None
        if at is None or not row.get("id") or not isinstance(row.get("do"), str):
            malformed += 1
        elif row["do"] in tool.needs_approval or row.get("destructive") is True:
            found.append(
                _Call(id=str(row["id"])[:80], at=at, does=row["do"][:40], of=str(row.get("of", ""))[:80],
                      approved=_approved(row, at))
            )  # fmt: skip
    return tuple(found), malformed


def _approved(row: Mapping[str, Any], at: datetime) -> bool:
    """Whether somebody else than the agent said yes, and before it was done."""
    by = row.get("approved_by")
    if not isinstance(by, str) or not by.strip() or by == row.get("agent"):
        return False
    when = _moment(row.get("approved_at"))
    return when is None or when <= at


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _shown(source: str, calls: Sequence[_Call]) -> Evidence | None:
    """The first and the latest calls that nobody approved; None if all were."""
    bare = sorted((call for call in calls if not call.approved), key=lambda call: call.at)
    if not bare:
        return None
    lines = [f"{call.at:%Y-%m-%dT%H:%M:%SZ} {call.does} {call.of} ({call.id}) without approval" for call in
             dict.fromkeys([*bare[:6], *bare[-6:]])]  # fmt: skip
    return Evidence(source=source, excerpt="\n".join([f"{len(bare)} calls without approval", *lines])[:2000])


def _reading(reads: Sequence[_Read], params: AuditParams, now: datetime) -> Reading:
    calls = sorted((call for one in reads for call in one.calls), key=lambda call: call.at)
    since = now - timedelta(seconds=params.window_s)
    bare = [call for call in calls if not call.approved]
    going_on = [call for call in bare if call.at >= since]
    common: dict[str, Any] = {
        "n": len(calls), "evidence": tuple(one.evidence for one in reads),
        "details": {
            "unapproved": len(bare), "in_the_window": len(going_on), "looked_back_h": params.hours,
            "first": bare[0].at.isoformat() if bare else None, "last": bare[-1].at.isoformat() if bare else None,
            "done": dict(Counter(call.does for call in bare).most_common(10)), "calls": [call.id for call in bare][:50],
        },
    }  # fmt: skip
    window = f"{params.window_s // 60} min"
    if bare:
        done = ", ".join(f"{count} x {word}" for word, count in Counter(c.does for c in bare).most_common(3))
        first = f"{bare[0].at:%H:%M} UTC"
        told = f"{len(bare)} of {len(calls)} calls that need an approval had none ({done}), first {first}"
        end = f"{len(going_on)} in the last {window}" if going_on else f"none in the last {window}"
        return Reading(outcome="unapproved" if going_on else "past", summary=f"{told}; {end}.", value=float(len(bare)),
                       baseline=0.0, test="any call without an approval", **common)  # fmt: skip
    return _surge(calls, since, params, window, common)


def _surge(
    calls: Sequence[_Call], since: datetime, params: AuditParams, window: str, common: Mapping[str, Any]
) -> Reading:
    """All were approved: are they far more than before?"""
    recent = sum(call.at >= since for call in calls)
    earlier_s = params.hours * 3600 - params.window_s
    said = f"All of {len(calls)} calls that need an approval had one, {recent} of them in the last {window}."
    if earlier_s <= 0:
        return Reading(outcome="ok", summary=said, value=0.0, baseline=0.0, **common)
    before = len(calls) - recent
    p_value = statistics.rate_rise(recent, params.window_s, before, earlier_s)
    expected = before * params.window_s / earlier_s
    ratio = recent / max(expected, 0.5)
    test = "two Poisson rates, conditional, one-sided"
    if recent < FEWEST or ratio < SURGE_RATIO or p_value > SURGE_P:
        return Reading(outcome="ok", summary=said, value=0.0, baseline=0.0, p_value=p_value, test=test, **common)
    told = f"{said} Before, {expected:.1f} in such a time: {ratio:.1f} times as many."
    return Reading(outcome="surge", summary=told, value=ratio, baseline=1.0, p_value=p_value, test=test, **common)
