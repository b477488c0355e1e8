"""The report over many incidents, and the commands of postmortem writers, also with nonsense."""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.cli.export import command as export
from bot.cli.report import command as report_command
from bot.cli.timeline import command as timeline
from bot.domain.reporting import Case, case, report, times
from bot.edges import report_forms
from config.catalogue import Catalogue
from tests import postmortem_samples
from tests.conftest import ROOT
from tests.test_export_cli import data, recorded, run, served
from tests.view_samples import NOON
from tests.web_fakes import TOKEN, site

__all__ = ["data"]


def made(count: int, mode: str = "provider-outage", *, mitigate: float | None = 60.0, month: int = 11) -> list[Case]:
    at = datetime(2026, month, 5, tzinfo=UTC)
    return [
        Case(incident=f"inc-{mode}-{month}-{n}", mode=mode, service="chat", team="assist", opened_at=at,
             detect=None, acknowledge=30.0 * (n + 1), mitigate=mitigate)
        for n in range(count)
    ]  # fmt: skip


SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def test_medians_say_of_how_many_and_a_p90_needs_ten() -> None:
    assert times([]).median is None
    assert (times([3.0, 1.0]).n, times([3.0, 1.0]).median, times([3.0, 1.0]).p90) == (2, 2.0, None)
    assert times([float(n) for n in range(1, 11)]).p90 == 9.0


def test_what_was_not_measured_does_not_count() -> None:
    found = report([*made(3), *made(2, mitigate=None)], "mode", SINCE, UNTIL)
    assert found.whole.incidents == 5
    assert found.whole.times["mitigate"].n == 3
    assert found.whole.times["detect"].median is None
    assert "not measured" in report_forms.text(found)


def test_groups_are_ordered_and_months_run_in_time() -> None:
    cases = [*made(1, "stale-index", month=9), *made(2, month=11), *made(1, month=10)]
    assert [g.name for g in report(cases, "mode", SINCE, UNTIL).groups] == ["provider-outage", "stale-index"]
    assert [g.name for g in report(cases, "month", SINCE, UNTIL).groups] == ["2026-09", "2026-10", "2026-11"]
    assert report(cases, "team", datetime(2026, 10, 1, tzinfo=UTC), UNTIL).whole.incidents == 3


def test_a_case_takes_the_times_of_the_edited_timeline() -> None:
    one = case(postmortem_samples.complete())
    assert (one.mode, one.acknowledge, one.mitigate, one.detect) == ("provider-outage", 210.0, 420.0, None)


def test_every_form_says_the_same() -> None:
    found = report(made(12), "service", SINCE, UNTIL)
    told = report_forms.text(found)
    assert "3 min 15 s (n = 12, p90 5 min 30 s)" in told
    rows = list(csv.DictReader(io.StringIO(report_forms.as_csv(found))))
    assert (rows[0]["service"], rows[0]["mtta_n"], rows[0]["mtta_median_s"], rows[0]["mtta_p90_s"]) == (
        "chat", "12", "195.0", "330.0")  # fmt: skip
    assert rows[0]["mttd_median_s"] == ""
    assert json.loads(report_forms.as_json(found))["groups"][0]["mtta"] == {"n": 12, "median_s": 195.0, "p90_s": 330.0}
    page = report_forms.html(found)
    assert page.count("<svg") == 2  # Of what was measured.
    assert "<script" not in page
    assert "3 min 15 s, n = 12" in page


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "=cmd|'/c calc'!A1"])
def test_a_service_with_a_hostile_name_is_only_a_name(name: str) -> None:
    from dataclasses import replace

    found = report([replace(one, service=name) for one in made(2)], "service", SINCE, UNTIL)
    page = report_forms.html(found)
    assert "<script" not in page
    assert "<img" not in page
    assert '"=' not in report_forms.as_csv(found)


def test_an_empty_report_says_so_in_every_form() -> None:
    found = report([], "mode", SINCE, UNTIL)
    assert "No incident was opened in this time" in report_forms.text(found)
    assert "No incident was opened in this time" in report_forms.html(found)
    assert json.loads(report_forms.as_json(found))["groups"] == []


# --- Commands -------------------------------------------------------------------------------------------------------


def test_the_report_is_read_from_the_database(data: Path, catalogue: Catalogue) -> None:
    recorded(data, catalogue)
    since = f"{NOON - timedelta(days=3650):%Y-%m-%d}"
    ended = run(report_command, "--since", since, "--by", "service", "--format", "json")
    assert ended.exit_code == 0, ended.output
    whole = json.loads(ended.output)
    assert {group["name"] for group in whole["groups"]} == {"chat-assistant", "support-bot"}
    page = run(report_command, "--since", since, "--format", "html", "--output", str(data / "report.html"))
    assert page.exit_code == 0
    assert (data / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_a_report_of_nothing_and_of_nonsense(data: Path) -> None:
    assert "No incident was opened" in run(report_command).output
    for arguments, said in ((("--since", "soon"), "neither a span"), (("--tz", "Mars"), "no time zone")):
        ended = run(report_command, *arguments)
        assert ended.exit_code == 2
        assert said in ended.output


def test_export_takes_zone_redaction_and_template(
    data: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = recorded(data, catalogue)
    monkeypatch.setenv("PAGERUNNER_TEMPLATES", str(ROOT / "config/example/templates"))
    told = run(export, view.incident.id, "--tz", "Europe/Berlin", "--redaction", "public").output
    assert "`Europe/Berlin`" in told
    assert "**Redacted:**" in told
    assert run(export, view.incident.id, "--template", "review").output.startswith("# Review:")
    assert "review  md" in run(export, "--list-templates").output
    broken = run(export, view.incident.id, "--template", "nope")
    assert broken.exit_code == 0
    assert "there is no such file" in broken.stderr
    assert "# " in broken.stdout
    for form in ("pdf", "docx"):
        ended = run(export, view.incident.id, "--format", form, "--output", str(data))
        assert ended.exit_code == 0, ended.output
        assert (data / f"{view.incident.id}.{form}").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Which incident?"),
        (("inc-1", "--tz", "Nowhere/At_All"), "no time zone"),
        (("inc-1", "--template", "review", "--format", "pdf"), "for --format md and html"),
    ],
)
def test_export_says_what_is_wrong(data: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = run(export, *arguments)
    assert ended.exit_code == 2
    assert said in ended.output


def test_a_timeline_is_shown_without_a_server(data: Path, catalogue: Catalogue) -> None:
    view = recorded(data, catalogue)
    told = run(timeline, "show", view.incident.id, "--tz", "Europe/Berlin").output
    assert f"#{view.timeline[0].seq}" in told
    assert "CE" in told
    assert run(timeline, "place", view.incident.id, "1").exit_code == 2
    assert "is no time" in run(timeline, "place", view.incident.id, "1", "noonish").output
    assert run(timeline, "hide", view.incident.id, "1").exit_code == 3  # No server runs.


def test_a_server_that_cannot_edit_says_so(data: Path, catalogue: Catalogue) -> None:
    view = recorded(data, catalogue)
    with served(data, view):
        ended = run(timeline, "mark", view.incident.id, "1", "x")
        assert ended.exit_code == 1
        assert "does not edit timelines" in ended.output


async def test_the_api_edits_and_exports() -> None:
    from bot.domain.proposal import Principal
    from bot.edges.export import Export
    from bot.ports import TimelineEdit, Told

    asked: list[tuple[str, int, TimelineEdit, Principal]] = []

    class Scribe:
        async def edit(self, incident_id: str, entry: int, edit: TimelineEdit, who: Principal) -> Told:
            asked.append((incident_id, entry, edit, who))
            return Told(ok=entry == 41, text="Done." if entry == 41 else "No such entry.")

    async with site(view=postmortem_samples.complete(), exporter=Export(), scribe=Scribe()) as here:
        headers = {"authorization": f"Bearer {TOKEN}", "x-pagerunner-user": "ana"}
        path = "/api/v1/incidents/inc-7f3a2c"
        body = {"edit": "place", "at": "2026-11-22T12:00:00+01:00", "text": "mail"}
        done = await here.client.post(f"{path}/timeline/41", json=body, headers=headers)
        assert done.json() == {"ok": True, "text": "Done."}
        assert asked[0][2].at == datetime(2026, 11, 22, 11, tzinfo=UTC)
        assert asked[0][3].name == "ana"
        refused = await here.client.post(f"{path}/timeline/7", json={"edit": "hide"}, headers=headers)
        assert refused.status_code == 409
        for wrong in ({"edit": "erase"}, {"edit": "hide", "more": 1}, {"edit": "place", "at": "noon"}):
            assert (await here.client.post(f"{path}/timeline/41", json=wrong, headers=headers)).status_code == 422
        told = await here.client.get(f"{path}/export", params={"format": "md", "tz": "Asia/Tokyo"}, headers=headers)
        assert "21:00:00 JST" in told.text
        pdf = await here.client.get(f"{path}/export", params={"format": "pdf", "redaction": "public"}, headers=headers)
        assert pdf.headers["content-type"] == "application/pdf"
        assert pdf.content.startswith(b"%PDF")
        unknown = await here.client.get(f"{path}/export", params={"tz": "Mars"}, headers=headers)
        assert unknown.status_code == 422
        broken = await here.client.get(f"{path}/export", params={"template": "x"}, headers=headers)
        assert broken.status_code == 200
        assert "no such file" in broken.headers["x-pagerunner-note"]
        await asyncio.sleep(0)
