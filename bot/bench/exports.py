"""Exports of a long incident: seconds and peak memory of each form, each in a process of its own."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from bot.bench.figures import Figure
from bot.bench.stage import StageError
from bot.domain.incident import Incident, Status
from bot.domain.presentation import Form
from bot.domain.timeline import GENESIS, Entry, Fact, Provenance, link
from bot.domain.view import IncidentView
from diagnostics.model import Evidence, Finding, Reading, Verdict

ROWS = 2_000
MUST_S, MUST_MIB = 3.0, 300.0
START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
WITHIN_S = 120.0


def figures() -> list[Figure]:
    """Every form of an incident with 2,000 entries, of which half are readings with what they received."""
    found = []
    for form in get_args(Form):
        command = [sys.executable, "-m", "bot.bench.exports", form]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
        if done.returncode:
            raise StageError(f"export as {form} ended with {done.returncode}: {done.stderr[-300:]}")
        one = json.loads(done.stdout)
        detail = f"{one['bytes'] / 1024:.0f} KiB; {one['before']:.0f} MiB were in use before"
        what = f"Export of a {ROWS:,}-row timeline as {form}"
        found.append(Figure(what=what, value=one["seconds"], unit="s", must=MUST_S, detail=detail))
        found.append(Figure(what=f"{what}: peak memory", value=one["peak"], unit="MiB", must=MUST_MIB, detail=detail))
    return found


def long_incident(rows: int = ROWS) -> IncidentView:
    """An incident that was read again and again, while people wrote down what they did."""
    incident = Incident(
        id="inc-bench", status=Status.RESOLVED, title="LLM error rate above 5 percent", service="chat", team="assist",
        channel="C1", key="k", signature="s", opened_at=START, started_at=START, acknowledged_at=START,
        resolved_at=START + timedelta(hours=6),
    )  # fmt: skip
    view = IncidentView(incident=incident, service=None, team=None)
    findings, entries, previous = [], list[Entry](), GENESIS
    for seq in range(1, rows + 1):
        at = START + timedelta(seconds=10 * seq)
        fact = _note(seq)
        if seq % 2:
            finding = _finding(seq, at)
            findings.append(finding)
            fact = _read(finding)
        digest = link(previous, seq, incident.id, at, fact)
        entries.append(Entry(seq=seq, incident_id=incident.id, at=at, fact=fact, previous=previous, hash=digest))
        previous = digest
    return replace(view, findings=tuple(findings), timeline=tuple(entries))


def _finding(seq: int, at: datetime) -> Finding:
    bad = seq < ROWS / 2
    share = 0.34 if bad else 0.004
    reading = Reading(
        outcome="errors" if bad else "ok", summary=f"{share:.1%} of user requests fail, 0.4 % normally", value=share,
        baseline=0.004, n=1_800, test="two-proportion z, one-sided", p_value=0.0001 if bad else 0.4, power=0.99,
        evidence=(Evidence(source="GET prometheus /api/v1/query", excerpt='{"status":"success","data":{}}\n' * 8),),
    )  # fmt: skip
    return Finding(id=f"ev-{seq:08x}", probe="user_signal", service="chat", params={}, outcome=reading.outcome,
                   verdict=Verdict.ABNORMAL if bad else Verdict.NORMAL, reading=reading, started_at=at, elapsed_s=0.4,
                   round=0 if bad else 1)  # fmt: skip


def _read(finding: Finding) -> Fact:
    data = {"probe": finding.probe, "outcome": finding.outcome, "summary": finding.reading.summary,
            "evidence": finding.id, "round": finding.round}  # fmt: skip
    return Fact(kind="probe_finished", provenance=Provenance.OBSERVED, actor="pagerunner", data=data)


def _note(seq: int) -> Fact:
    data = {"text": f"looked at the dashboard again, number {seq}: still the same errors as before", "by": "Ana Ruiz"}
    return Fact(kind="note_added", provenance=Provenance.HUMAN, actor="slack:T0/U0ANA", data=data)


def measure(form: str) -> dict[str, Any]:
    """One export in this process: seconds with everything that it loads, and the most memory that was in use."""
    import time  # noqa: PLC0415

    def peak() -> float:
        """MiB. Not ``ru_maxrss``: that of the parent is inherited."""
        status = Path("/proc/self/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    view, before = long_incident(), peak()
    began = time.perf_counter()
    from bot.edges.export import Export  # noqa: PLC0415 - its loading counts

    content = Export().export(view, form)  # type: ignore[arg-type]
    return {"seconds": time.perf_counter() - began, "peak": peak(), "before": before, "bytes": len(content)}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
