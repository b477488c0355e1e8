"""The change log as it is kept: what a runbook may look back at is there."""

from dataclasses import replace
from datetime import timedelta

from bot.edges.database import Database
from bot.edges.history import SqlHistory
from diagnostics.model import Change
from diagnostics.probes.changes import ChangeLog, ChangeParams
from tests.diagnosis_fakes import T0, context


async def test_a_change_of_days_ago_is_found_with_its_base_rate(database: Database) -> None:
    history = SqlHistory(database)
    ago = {"idx": 60, **{f"c{number}": 170 + 10 * number for number in range(14)}}
    kinds = {"idx": "index"}
    await history.add_changes([
        Change(id=name, at=T0 - timedelta(hours=hours), kind=kinds.get(name, "deploy"), service="chat-assistant",
               summary="something was changed")
        for name, hours in ago.items()
    ])  # fmt: skip
    _, changes = await history.frozen("chat-assistant", T0)

    found = await ChangeLog().run(replace(context(), changes=changes), ChangeParams(hours=168))

    assert (found.outcome, found.details["change_id"]) == ("index", "idx")
    assert found.details["usual_in_window"] == 14
    assert "2 days before the page" in found.summary
