"""Record the incidents that the questions of `pagerunner eval questions` are asked about: real drills, kept whole.

    python scripts/record_incidents.py [NAME ...]

Each drill runs in virtual time; the incident is kept as it stood at the end, or while its last proposal waited for a
vote. The expectations in bot/exam/questions are about these recordings: after a new one, `pagerunner eval questions`
shows which no longer hold.
"""

import json
import os
import secrets
import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.cli.evaluate import START, stage_on
from bot.domain.page import Page
from bot.domain.page_facts import fact_of, kind_of
from bot.domain.proposal import ProposalState
from bot.domain.timeline import Entry, link
from bot.domain.view import IncidentView
from bot.edges.pagerduty_in import parse
from bot.exam.recorded import FOLDER, write
from config.catalogue import Updates

DRILLS = {"s01": ("S01", "end"), "s15": ("S15", "waiting"), "s20": ("S20", "end"), "n33": ("N33", "end"),
          "m41": ("M41", "waiting")}  # fmt: skip
"""Name of the recording -> scenario, and the moment that is kept."""
SEED = 1


class Keeper:
    """Keeps the newest view, and the newest with a proposal that waits."""

    def __init__(self) -> None:
        self.kept: dict[str, IncidentView] = {}

    def __call__(self, view: IncidentView) -> None:
        self.kept["end"] = view
        shown = view.open_proposal
        if shown is not None and shown.proposal.state is ProposalState.OPEN:
            self.kept["waiting"] = view


def kept_in_step(view: IncidentView) -> IncidentView:
    """What a drill has nobody for: people in PagerDuty set a priority, have it assigned, answer, and tell stakeholders;
    as PagerDuty's webhooks, read by what reads the real ones, after everything else."""
    assert view.team is not None
    luis = {"type": "user_reference", "summary": "Luis Ferreira"}
    whole = {"type": "incident", "id": view.incident.pager_ref, "title": view.incident.title, "status": "acknowledged",
             "priority": {"summary": "P2"}, "assignees": [luis]}  # fmt: skip
    about = {"incident": {"id": view.incident.pager_ref}, "user": {"summary": "Mei Tanaka"}, "message": "please help"}
    update = "Some answers failed; requests go to another provider now."
    told: list[tuple[str, dict[str, Any]]] = [
        ("priority_updated", {**whole, "assignees": [{"summary": "Ana Ferreira"}]}), ("reassigned", whole),
        ("responder.added", {**about, "state": "pending", "type": "incident_responder"}),
        ("responder.replied", {**about, "state": "accepted", "type": "incident_responder"}),
        ("status_update_published", {**about, "message": update, "type": "incident_status_update"}),
    ]  # fmt: skip
    entries = list(view.timeline)
    for kind, data in told:
        at = entries[-1].at + timedelta(seconds=20)
        event = {"id": f"01{kind}", "event_type": f"incident.{kind}", "resource_type": "incident",
                 "occurred_at": at.isoformat(), "agent": luis, "data": data}  # fmt: skip
        page = parse(json.dumps({"event": event}).encode(), at)
        assert isinstance(page, Page)
        fact, seq, last = fact_of(kind_of(page), page), entries[-1].seq + 1, entries[-1].hash
        digest = link(last, seq, view.incident.id, at, fact)
        entries.append(Entry(seq=seq, incident_id=view.incident.id, at=at, fact=fact, previous=last, hash=digest))
    team = view.team.model_copy(update={"updates": Updates(every_min=30)})
    return replace(view, timeline=tuple(entries), team=team)


def main(names: list[str]) -> None:
    """Record these, or all."""
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    from bot.rehearsal import World, rehearse  # noqa: PLC0415 - the setting above comes first

    world = World.start(secrets.token_hex(16))
    try:
        with tempfile.TemporaryDirectory() as folder:
            stage = stage_on(world, Path(folder))
            for name in names or list(DRILLS):
                scenario, moment = DRILLS[name]
                keeper = Keeper()
                rehearse(replace(stage, seen=keeper), scenario, SEED, START)
                view = keeper.kept.get(moment) or keeper.kept["end"]
                view = kept_in_step(view) if name == "s01" else view
                path = write(FOLDER / f"{name}.json", view)
                print(f"{path}: {len(view.findings)} findings, {len(view.timeline)} entries, {view.incident.status}",
                      flush=True)  # fmt: skip
    finally:
        world.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
