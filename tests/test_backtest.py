"""``pagerunner backtest``: the team's own past, only ever read, from a PagerDuty with pages, limits and refusals."""

import asyncio
import csv
import io
import json
import os
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from bot.cli import main
from bot.domain.clusters import clusters
from bot.edges.history_records import Cache, UnreadableHistory, past, read
from bot.edges.pagerduty_history import PagerDutyHistory
from bot.ports import RetryLater
from tests.conftest import ROOT
from tests.history_fakes import KEY, Account, incident
from tests.runbook_cli_fakes import WITH_CATALOGUE, alone
from tests.runbook_incidents import installation

FAST = "--words-only"
CONTRACTS = Path(os.environ.get("PAGERUNNER_CONTRACTS") or "/nowhere")  # each test runs without our variables
OUTAGE = "Model provider answers 503 and overloaded_error for most requests"
STRANGE = "Basement printer jammed"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(tmp_path, monkeypatch)


@pytest.fixture
def account() -> Account:
    now = datetime.now(UTC)
    made = Account(incidents=[
        incident(1, OUTAGE, "PSVCCHAT", now - timedelta(days=20)),
        incident(2, STRANGE, "PSTRANGE", now - timedelta(days=10)),
        incident(3, "Jammed basement printer", "PSTRANGE", now - timedelta(days=9)),
        incident(4, "RAG answers are weeks old, ingestion has stopped", "PSVCSUPPORT", now - timedelta(days=2)),
        incident(5, "long ago", "PSVCCHAT", now - timedelta(days=60)),
    ])  # fmt: skip
    made.alerts["Q000001"] = [{"summary": "gateway 5xx", "body": {"details": {"error": "529 overloaded_error"}}}]
    made.channels["R000001"] = {"type": "api", "summary": "errors of acme-openai", "service_key": "integration-secret"}
    made.notes["Q000002"] = ["pulled out the \x1b[31msheet", "fixed by Eva"]
    return made


@pytest_asyncio.fixture
async def url(account: Account) -> AsyncIterator[str]:
    async with account.serving() as where:
        yield where


async def run(url: str, *words: str, **environ: str) -> Result:
    env = {**WITH_CATALOGUE, "PAGERUNNER_PAGERDUTY_API": url, "PAGERUNNER_PAGERDUTY_API_KEY": KEY, **environ}
    result = await asyncio.to_thread(
        CliRunner().invoke, main, ["backtest", FAST, *words], env=env, prog_name="pagerunner"
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


async def told(url: str, *words: str, **environ: str) -> Any:
    result = await run(url, "--format", "json", *words, **environ)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def _database(data: Path) -> dict[str, bytes]:
    """A server's data folder with an incident in it; what its files hold."""
    data.mkdir()
    with installation(data) as made:
        made.incident("E1", "an incident of ours")
    made.path.rename(data / "pagerunner.sqlite")
    return _files(data)


def _published() -> Any | None:
    path = CONTRACTS / "pagerduty_rest_openapi.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _resolved(published: Any, parameter: Any) -> Any:
    if "$ref" in parameter:
        return published["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]]
    return parameter


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestOverTheApi:
    async def test_each_page_says_whose_it_is_and_what_it_would_have_shown(self, url: str) -> None:
        report = await told(url)

        first, second, third, fourth = report["rows"]
        assert (first["service"], first["team"], first["channel"]) == ("chat-assistant", "assist", "C0ASSIST")
        assert (first["runbook"], first["good"]) == ("provider-outage", True)
        assert any("overloaded_error" in why or "529" in why for why in first["why"])
        assert (second["service"], second["channel"]) == ("unmapped", "C0INCIDENTS")
        assert third["at"] > second["at"]
        assert (fourth["service"], fourth["runbook"]) == ("support-bot", "stale-index")
        assert report["pages"] == 4
        assert report["not_in_the_catalogue"] == {"PSTRANGE Billing": 2}

    async def test_only_get_is_ever_sent_and_nothing_is_stored(
        self, url: str, account: Account, tmp_path: Path
    ) -> None:
        before = _files(tmp_path)

        await told(url)

        assert {method for method, _ in account.requests} == {"GET"}
        assert len(account.requests) > 10
        assert _files(tmp_path) == before

    async def test_a_database_that_is_there_is_read_and_left_as_it_was(self, url: str, tmp_path: Path) -> None:
        data = tmp_path / "data"
        before = await asyncio.to_thread(_database, data)

        report = await told(url, PAGERUNNER_DATA=str(data))

        after = _files(data)
        assert report["pages"] == 4
        assert {name: after[name] for name in before} == before
        assert [name for name in after if name.endswith("-wal") and after[name]] == []

    def test_a_reading_session_sends_nothing_but_get_whatever_it_is_asked(self) -> None:
        history = PagerDutyHistory(KEY, "http://127.0.0.1:1", wait=lambda _: None, tell=lambda _: None)
        for method in ("post", "put", "delete", "patch"):
            with pytest.raises(RetryLater):
                history._session.ask(lambda session, verb=method: session.request(verb, "/incidents"))
        assert history._session._session.permitted_methods == ("GET",)

    async def test_it_asks_for_nothing_that_the_published_document_does_not_have(
        self, url: str, account: Account
    ) -> None:
        published = _published()
        if published is None:
            pytest.skip("PAGERUNNER_CONTRACTS names no folder that holds PagerDuty's published document")
        await told(url, "--service", "PSTRANGE", "--service", "chat-assistant")

        for _, asked in account.requests:
            where = urlsplit(asked)
            path = re.sub(r"/[QR]\d{6}", "/{id}", where.path)
            known = [_resolved(published, one) for one in published["paths"][path]["get"]["parameters"]]
            named = {one["name"]: one["schema"] for one in known if one["in"] == "query"}
            for key, value in parse_qsl(where.query):
                assert key in named, (path, key)
                allowed = named[key].get("items", named[key]).get("enum") or named[key].get("enum")
                assert allowed is None or value in allowed, (path, key, value)

    async def test_a_service_is_asked_for_by_its_name_or_by_pagerdutys_id(self, url: str, account: Account) -> None:
        by_name = await told(url, "--service", "support-bot")
        assert "service_ids%5B%5D=PSVCSUPPORT" in account.requests[0][1]
        by_id = await told(url, "--service", "PSTRANGE")

        assert [row["service"] for row in by_name["rows"]] == ["support-bot"]
        assert [row["number"] for row in by_id["rows"]] == [2, 3]
        wrong = await run(url, "--service", "suport-bot")
        assert (wrong.exit_code, "neither a service of the catalogue" in wrong.output) == (2, True)

    async def test_many_are_read_page_by_page_each_once(self, url: str, account: Account) -> None:
        at = datetime.now(UTC) - timedelta(days=1)
        account.incidents = [incident(n, "Same failure", "PSVCCHAT", at + timedelta(seconds=n)) for n in range(250)]

        report = await told(url, "--since", "2d")

        assert len({row["ref"] for row in report["rows"]}) == report["pages"] == 250
        assert sum("/incidents?" in path for _, path in account.requests) == 3

    async def test_being_told_to_wait_is_obeyed_and_said(self, url: str, account: Account) -> None:
        waited: list[float] = []
        said: list[str] = []
        account.failures = [(429, {"ratelimit-reset": "7"})] * 3 + [(500, {})]
        history = PagerDutyHistory(KEY, url, wait=waited.append, tell=said.append, backoff_s=0.001)
        until = datetime.now(UTC)

        found = await asyncio.to_thread(lambda: list(history.incidents(until - timedelta(days=2), until)))

        assert len(found) == 0
        assert waited[0] == 7
        assert "rate limit; waiting 7 s" in said[0]

    async def test_what_a_key_may_not_read_is_gone_without(self, url: str, account: Account) -> None:
        account.forbidden = ("/notes", "/alerts")

        report = await told(url)

        assert report["pages"] == 4
        assert all(row["notes"] == [] for row in report["rows"])

    async def test_no_key_a_wrong_key_and_a_dead_api_say_what_to_do(self, url: str) -> None:
        none = await run(url, PAGERUNNER_PAGERDUTY_API_KEY="")
        assert (none.exit_code, "a read-only key is enough" in none.output) == (2, True)
        wrong = await run(url, PAGERUNNER_PAGERDUTY_API_KEY="u+WrongWrongWrongWro")
        assert (wrong.exit_code, "set PAGERUNNER_PAGERDUTY_API_KEY" in wrong.output) == (1, True)
        plain = await run("http://pager.example.com")
        assert (plain.exit_code, "must be https" in plain.output) == (1, True)


class TestTheCache:
    async def test_a_run_that_was_interrupted_goes_on_where_it_was(
        self, url: str, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.sleep", lambda _: None)
        file = tmp_path / "history.jsonl"
        account.fails_from = 14
        broken = await run(url, "--cache", str(file))
        account.fails_from, asked = 0, len(account.requests)

        report = await told(url, "--cache", str(file))

        assert broken.exit_code == 1
        assert "run the same command again" in broken.output
        assert report["pages"] == 4
        again = [path for _, path in account.requests[asked:]]
        assert not any("/incidents/Q000001/" in path for path in again)
        assert any("/incidents/Q000004/" in path for path in again)
        assert file.stat().st_mode & 0o777 == 0o600
        assert "integration-secret" not in file.read_text()

    async def test_it_can_be_read_again_without_a_key_and_tells_the_same(self, url: str, tmp_path: Path) -> None:
        file = tmp_path / "history.jsonl"
        live = await told(url, "--cache", str(file))

        again = await told("", "--from", str(file), PAGERUNNER_PAGERDUTY_API_KEY="")

        assert again["rows"] == live["rows"]

    def test_a_line_that_a_crash_cut_off_is_left_out(self, tmp_path: Path) -> None:
        one = incident(1, "x", "PSVCCHAT", datetime.now(UTC))
        cache = Cache(tmp_path / "c.jsonl")
        cache.put({"incident": one, "alerts": []})
        with (tmp_path / "c.jsonl").open("a") as file:
            file.write('{"incident": {"id": "Q0000')

        again = Cache(tmp_path / "c.jsonl")

        assert again.get(one) is not None
        assert again.get({**one, "status": "triggered"}) is None


class TestFiles:
    def test_webhooks_incidents_and_plain_lines_are_pages(self, tmp_path: Path) -> None:
        at = datetime(2026, 11, 1, tzinfo=UTC)
        webhook = json.loads((ROOT / "tests/data/pagerduty/01_incident_triggered.json").read_text())
        other = json.loads((ROOT / "tests/data/pagerduty/02_incident_acknowledged.json").read_text())
        plain = {"title": "plain", "body": "words", "service": "chat-assistant", "at": "2026-11-02T00:00:00Z"}
        lines = [webhook, other, incident(7, "REST", "PSVCCHAT", at), incident(7, "REST", "PSVCCHAT", at), plain]
        (tmp_path / "all.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
        (tmp_path / "list.json").write_text(json.dumps({"incidents": [lines[2]]}))

        found = list(read(tmp_path / "all.jsonl", str))

        assert [one.page.title for one in found][1:] == ["REST", "plain"]
        assert found[0].page.service_ref
        assert [one.page.title for one in read(tmp_path / "list.json", str)] == ["REST"]

    def test_a_broken_file_names_the_line_and_what_was_expected(self, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_text('{"title": "x"}\nnot json\n')
        (tmp_path / "b.jsonl").write_text('{"title": "x"}\n{"nothing": 1}\n')
        with pytest.raises(UnreadableHistory, match=r"a\.jsonl:2: not JSON"):
            list(read(tmp_path / "a.jsonl", str))
        with pytest.raises(UnreadableHistory, match=r"b\.jsonl:2: expected a PagerDuty incident"):
            list(read(tmp_path / "b.jsonl", str))
        with pytest.raises(UnreadableHistory, match="cannot be read"):
            list(read(tmp_path / "none.jsonl", str))

    def test_secrets_are_taken_out_on_the_way_in(self) -> None:
        row = incident(1, "key hunter2hunter2 leaked", "PSVCCHAT", datetime.now(UTC))
        found = past({"incident": row, "notes": [{"content": "hunter2hunter2"}]}, lambda t: t.replace("hunter2", "*"))
        assert found is not None
        assert "hunter2" not in found.page.title + "".join(found.notes)


class TestWhatItComesTo:
    async def test_probes_that_could_not_run_are_named_with_the_reason(self, url: str, account: Account) -> None:
        now = datetime.now(UTC)
        account.incidents = [incident(1, OUTAGE, "PSVCMODVOICE", now - timedelta(days=1))]
        report = await told(url)

        cannot = {one["probe"]: one for one in report["cannot_run"]["voice-moderation"]}
        assert cannot["golden_set"]["why"] == "no golden set"
        assert cannot["second_provider_canary"]["why"] == "no target: the service names no second provider"
        assert cannot["index_freshness"]["why"] == "no target: the service names no index"
        assert (cannot["user_signal"]["runs"], "no baseline" in cannot["user_signal"]["why"]) == (True, True)
        assert "second_provider_canary" in {one["probe"] for one in report["rows"][0]["cannot"]}
        text = (await run(url)).stdout
        assert "could not run:" in text
        assert "no golden set: golden_set, golden_counterfactual" in text

    async def test_without_metrics_or_a_readable_golden_set_that_is_the_reason(self, url: str, tmp_path: Path) -> None:
        text = (ROOT / "config/example/catalogue.yaml").read_text()
        chat, rest = text.split("  - name: support-bot")
        (tmp_path / "own.yaml").write_text(
            chat.replace("    prometheus: prometheus\n", "") + "  - name: support-bot" + rest
        )

        report = await told(url, "--service", "chat-assistant", PAGERUNNER_CATALOGUE=str(tmp_path / "own.yaml"))

        cannot = {one["probe"]: one["why"] for one in report["cannot_run"]["chat-assistant"]}
        assert cannot["demand_profile"] == "no metrics: the service names no Prometheus"
        assert "its golden set cannot be used" in cannot["golden_set"]

    async def test_pages_without_a_runbook_are_put_together_by_their_words(self, url: str) -> None:
        report = await told(url)

        gap = next(gap for gap in report["gaps"] if "basement" in gap["words"])
        assert gap["pages"] == 2
        assert {"printer", "jammed"} <= set(gap["words"])
        assert gap["notes"][0].startswith("pulled out the")

    async def test_it_is_told_for_people_without_driving_their_terminal(self, url: str) -> None:
        shown = await run(url)

        assert "4 pages: 2 would have shown a good runbook, 2 none" in shown.stdout
        assert "Gaps worth writing a runbook for" in shown.stdout
        assert "people wrote: pulled out the" in shown.stdout
        assert "\x1b" not in shown.stdout
        assert shown.stdout.rstrip().endswith("Nothing was posted, probed or changed.")
        assert "4 pages" in shown.stderr

    async def test_the_table_for_spreadsheets_runs_nothing(self, url: str, account: Account) -> None:
        account.incidents[0]["title"] = '=HYPERLINK("http://evil.example")'

        rows = list(csv.DictReader(io.StringIO((await run(url, "--format", "csv")).stdout)))

        assert rows[0]["title"].startswith("'=")
        assert [row["good"] for row in rows].count("yes") >= 1
        assert rows[1]["what_people_wrote"]

    async def test_it_works_before_anything_is_installed(self, url: str) -> None:
        shown = await _bare(url)

        assert shown.exit_code == 0, shown.output
        assert "not in the catalogue (PSVCCHAT Chat (prod))" in shown.stdout
        assert "pagerunner init" in shown.stderr

    async def test_an_empty_past_says_so(self, url: str, account: Account) -> None:
        account.incidents = []
        assert "No page was found there" in (await run(url)).stdout


async def _bare(url: str) -> Result:
    env = {"PAGERUNNER_PAGERDUTY_API": url, "PAGERUNNER_PAGERDUTY_API_KEY": KEY}
    return await asyncio.to_thread(
        CliRunner().invoke, main, ["backtest", FAST], env=env, prog_name="pagerunner"
    )  # fmt: skip


def test_texts_that_share_their_words_are_one_cluster() -> None:
    found = clusters(["disk full on db-1", "disk full on db-7", "certificate expired", "the disk is full"])

    assert found[0].members == (0, 1, 3)
    assert found[0].words == ("disk", "full")
    assert found[1].members == (2,)
    assert clusters([]) == []
