"""A real database with incidents as they were left: what their pages found, what was concluded, what helped."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, insert

from bot.domain import codec
from bot.domain.timeline import Fact, Provenance
from bot.edges.casebook import SqlCasebook
from bot.edges.database import Database
from bot.edges.inbox import SqlInbox
from bot.edges.schema import effect, proposal
from diagnostics.model import Conclusion, Diagnosis, Hypothesis, Verdict
from knowledge.model import Match, Retrieval
from tests import incident_samples as samples
from tests.flow_fakes import finding

FACT = Fact(kind="note_added", provenance=Provenance.COMPUTED, actor="pagerunner", data={})


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Adds to a database what an investigation would have left there, by the machine's clock, as the commands do."""

    path: Path
    database: Database

    @property
    def casebook(self) -> SqlCasebook:
        return SqlCasebook(self.database)

    def incident(self, event: str, title: str, *, days_ago: float = 0.0) -> str:
        """An incident that one page opened; its id."""
        at = datetime.now(UTC) - timedelta(days=days_ago)
        page = samples.page(event, title=title, occurred_at=at, received_at=at, incident_ref=event, incident_key=event)
        return asyncio.run(samples.settle(SqlInbox(self.database), self.casebook, page, now=at))

    def found(self, incident: str, beliefs: Mapping[str, float]) -> None:
        """What the page found, best first."""
        matches = tuple(Match(document=n, title=n, score=b, prior=b, best_chunk="") for n, b in beliefs.items())
        retrieval = Retrieval(matches=matches, mode="fused")
        asyncio.run(self.casebook.retrieved(incident, retrieval, FACT, datetime.now(UTC)))

    def concluded(self, incident: str, conclusion: Conclusion, *causes: str) -> None:
        """How the diagnosis ended."""
        ranked = tuple(Hypothesis(mode=mode, title=mode, probability=0.9) for mode in causes or ("other",))
        diagnosis = Diagnosis(conclusion=conclusion, ranked=ranked, causes=causes, reason="sure")
        asyncio.run(self.casebook.diagnosed(incident, diagnosis, FACT, datetime.now(UTC)))

    def finding(self, incident: str, probe: str, outcome: str, **changes: object) -> None:
        """What a probe showed."""
        made = finding(probe, outcome, Verdict.NORMAL, **changes)
        call = f"{probe}:{changes.get('round', 0)}"
        asyncio.run(self.casebook.found(incident, 1, call, made, datetime.now(UTC)))

    def proposed(self, incident: str, runbook: str, verdict: str = "") -> None:
        """A proposal from a step of this runbook, and how it was verified if it was done."""
        plan = samples.plan(incident, runbook=f"{runbook}#1-step")
        new = samples.proposal(plan, proposal_id=f"pr-{incident}-{runbook}")

        def work(connection: Connection) -> None:
            connection.execute(insert(proposal).values(
                id=new.id, incident=incident, service="chat-assistant", target=plan.target, plan=plan.as_json(),
                plan_hash=new.plan_hash, state="done" if verdict else "open", created_at=codec.stamp(new.created_at),
                expires_at=codec.stamp(plan.expires_at), proposed_by="pagerunner", rationale="", votable=True,
                withheld="", step="1",
            ))  # fmt: skip
            if verdict:
                connection.execute(insert(effect).values(
                    id=f"{new.id}:apply", proposal=new.id, incident=incident, kind="apply", state="done", detail="",
                    checks=1, verdict=verdict,
                ))  # fmt: skip

        self.database.run_now(work)


@contextmanager
def installation(folder: Path) -> Iterator[Installation]:
    """An open database in this folder."""
    path = folder / "incidents.sqlite"
    database = Database(path)
    database.open()
    try:
        yield Installation(path=path, database=database)
    finally:
        database.close()
