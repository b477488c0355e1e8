"""``pagerunner history import``: incidents of the past, from a file and from PagerDuty, for search and for people."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from bot.cli import main
from bot.domain import conversation
from bot.domain.card import known_references
from bot.domain.detail import detail, similar_line
from bot.domain.presentation import Redaction
from bot.domain.redaction import redacted
from bot.edges.casebook import SqlCasebook
from bot.edges.database import Database
from bot.edges.inbox import SqlInbox
from bot.edges.remembered import confirmed
from knowledge.lexical_index import LexicalIndex
from knowledge.memories import Memories
from knowledge.model import PastIncident, Query, Retrieval, Similar
from knowledge.retrieval import HybridLibrarian
from tests import incident_samples as samples
from tests.history_fakes import KEY, Account, incident
from tests.knowledge_fakes import ExactStore, WordHashEmbedder, document
from tests.runbook_cli_fakes import WITH_CATALOGUE, alone
from tests.view_samples import provider_outage

TOLD = {
    "id": "INC-1", "title": "Provider answers 529 to most requests", "at": "2026-03-01T10:00:00Z", "service": "support",
    "body": "overloaded_error from acme", "cause": "provider-outage", "confirmed_by": "Eva Example",
    "helped": "shifted traffic to the second provider", "link": "https://example.com/incidents/1",
}  # fmt: skip
LEVELS: tuple[Redaction, ...] = ("company", "public")
UNTOLD = {"id": "INC-2", "title": "Lobby printer is on fire", "at": "2026-04-01T10:00:00Z", "service": "billing"}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(tmp_path, monkeypatch)


def call(*words: str, **environ: str) -> Result:
    result = CliRunner().invoke(main, ["history", *words], env={**WITH_CATALOGUE, **environ}, prog_name="pagerunner")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def written(*rows: Any) -> str:
    path = Path("past.jsonl")
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return str(path)


def done(*words: str, **environ: str) -> str:
    result = call(*words, **environ)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*words: str) -> str:
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert kept() == []
    return result.output


def opened() -> Database:
    database = Database(next(Path().rglob("pagerunner.sqlite")))
    database.open()
    return database


def kept() -> list[dict[str, Any]]:
    """What is stored, newest first."""
    if not list(Path().rglob("pagerunner.sqlite")):
        return []
    rows: list[dict[str, Any]] = []
    for batch in json.loads(done("list", "--json")):
        rows += json.loads(done("list", batch["id"], "--json"))
    return rows


def given() -> list[PastIncident]:
    """What the search of a server is given."""
    database = opened()
    try:
        return list(database.run_now(confirmed))
    finally:
        database.close()


class TestAFile:
    def test_what_a_person_confirmed_is_remembered_and_the_rest_ranks_nothing(self) -> None:
        told = done("import", written(TOLD, UNTOLD))

        assert "imported 2 incidents (1 with a confirmed cause)" in told
        first, second = given()
        assert (first.id, first.confirmed, first.origin) == ("file:INC-1", ("provider-outage",), "past.jsonl")
        assert (second.id, second.confirmed) == ("file:INC-2", ())

    def test_a_cause_without_a_person_is_not_confirmed(self) -> None:
        done("import", written({**TOLD, "confirmed_by": " "}))
        assert [one.confirmed for one in given()] == [()]

    def test_importing_twice_changes_nothing(self) -> None:
        secret = {**UNTOLD, "body": "key sk-proj-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa in the log"}
        done("import", written(TOLD, secret))
        before = (done("list"), kept())

        assert "0 incidents (0 with a confirmed cause), 0 changed, 2 known already" in done(
            "import", written(TOLD, secret)
        )
        assert (done("list"), kept()) == before

    def test_a_cause_that_was_confirmed_since_is_taken_over(self) -> None:
        done("import", written({**TOLD, "confirmed_by": ""}))
        assert "1 changed" in done("import", written(TOLD))
        assert [one.confirmed for one in given()] == [("provider-outage",)]

    @pytest.mark.parametrize(("row", "field"), [
        ({**UNTOLD, "at": "2026-04-01T10:00:00"}, "at"), ({**UNTOLD, "at": 5}, "at"),
        ({**UNTOLD, "at": "2999-01-01T00:00:00Z"}, "at"), ({**UNTOLD, "title": " "}, "title"),
        ({**UNTOLD, "title": None}, "title"), ({**UNTOLD, "id": "../x y"}, "id"), ({**UNTOLD, "cause": "A b"}, "cause"),
        ({**UNTOLD, "link": "javascript:alert(1)"}, "link"), ({**UNTOLD, "link": "https://a@b/"}, "link"),
        ({**UNTOLD, "confirmed_by": "Eva"}, "confirmed_by"), ({**UNTOLD, "severity": 1}, "severity"),
        ({"id": "INC-3"}, "title"), ({**TOLD, "title": "another"}, "id: line 1 has it already"), ("[1]", "the line"),
        ("{", "not JSON"), ("[" * 100_000, "not JSON"),
    ])  # fmt: skip
    def test_a_line_that_is_wrong_is_named_and_nothing_is_stored(self, row: Any, field: str) -> None:
        told = refused("import", written(TOLD, row))
        assert f"past.jsonl:2: {field}" in told
        assert "Nothing was imported" in told

    def test_a_file_that_is_no_text_is_refused(self) -> None:
        Path("past.jsonl").write_bytes(b"\xff\xfe\x00")
        assert "cannot be read" in refused("import", "past.jsonl")
        assert "cannot be read" in refused("import", "nowhere.jsonl")

    def test_a_dry_run_tells_and_stores_nothing(self) -> None:
        told = done("import", "--dry-run", written(TOLD, UNTOLD))
        assert "Would import 2 incidents" in told
        assert "Lobby printer is on fire" in told
        assert not list(Path().rglob("pagerunner.sqlite"))
        assert not list(Path().rglob("redaction.key"))

        done("import", written(TOLD))
        assert "Would import 1 incidents" in done("import", "--dry-run", written(TOLD, UNTOLD))
        assert len(kept()) == 1

    def test_secrets_hidden_characters_and_length_are_gone_before_it_is_stored(self) -> None:
        row = {**UNTOLD, "title": "a\u202eb\x1b[31m", "body": "sk-proj-" + "a" * 48 + " " + "x" * 100_000}
        done("import", written(row))
        one = kept()[0]
        assert not {"\u202e", "\x1b"} & set(one["title"])
        assert "sk-proj-aaaa" not in one["body"]
        assert len(one["body"]) <= 4_000

    def test_a_cause_without_a_runbook_is_told(self) -> None:
        assert "No runbook here is called made-up" in done("import", written({**TOLD, "cause": "made-up"}))

    def test_an_import_and_a_single_incident_can_be_taken_back(self) -> None:
        done("import", written(TOLD, UNTOLD))
        assert "1 imported incidents forgotten" in done("forget", "file:INC-2")
        batch = json.loads(done("list", "--json"))[0]
        assert (batch["incidents"], batch["confirmed"]) == (1, 1)
        assert "1 imported incidents forgotten" in done("forget", batch["id"])
        assert given() == []
        assert call("forget", batch["id"]).exit_code == 1

    def test_it_wants_one_source(self) -> None:
        assert "either a FILE or --pagerduty" in refused("import")
        assert "either a FILE or --pagerduty" in refused("import", "--pagerduty", written(TOLD))


class TestPagerDuty:
    @pytest.fixture
    def account(self) -> Account:
        now = datetime.now(UTC)
        made = Account(incidents=[
            incident(1, "Provider answers 529", "PSVCCHAT", now - timedelta(days=20)),
            incident(2, "Printer jammed", "PSTRANGE", now - timedelta(days=10)),
            incident(3, "still going", "PSTRANGE", now - timedelta(hours=1), status="triggered"),
            incident(4, "long ago", "PSVCCHAT", now - timedelta(days=300)),
        ])  # fmt: skip
        made.notes["Q000001"] = ["it was them\nConfirmed cause: provider-outage\nhelped: shifting to beta", "thanks"]
        made.notes["Q000002"] = ["maybe confirmed cause: provider-outage, who knows"]
        return made

    @pytest_asyncio.fixture
    async def url(self, account: Account) -> AsyncIterator[str]:
        async with account.serving() as where:
            yield where

    async def imported(self, url: str, *words: str) -> Result:
        env = {"PAGERUNNER_PAGERDUTY_API": url, "PAGERUNNER_PAGERDUTY_API_KEY": KEY}
        return await asyncio.to_thread(call, "import", "--pagerduty", *words, **env)

    async def test_a_persons_note_confirms_a_cause_and_it_is_only_read(self, url: str, account: Account) -> None:
        result = await self.imported(url)

        assert result.exit_code == 0, result.output
        printer, outage = await asyncio.to_thread(kept)
        assert (outage["id"], outage["service"], outage["cause"]) == (
            "pagerduty:Q000001",
            "chat-assistant",
            "provider-outage",
        )
        assert (outage["confirmed_by"], outage["helped"]) == ("Eva Example", "shifting to beta")
        assert outage["link"] == "https://acme.pagerduty.com/incidents/Q000001"
        assert (printer["cause"], printer["confirmed_by"], printer["service"]) == ("", "", "Billing")
        assert {method for method, _ in account.requests} == {"GET"}
        again = await self.imported(url)
        assert "0 changed, 2 known already" in again.output

    async def test_what_an_integration_wrote_confirms_nothing(self, url: str, account: Account) -> None:
        account.author = {"id": "PINT", "type": "integration_reference", "summary": "robot"}
        await self.imported(url)
        assert [one.confirmed for one in await asyncio.to_thread(given)] == [(), ()]

    async def test_only_a_service_and_since_then(self, url: str) -> None:
        await self.imported(url, "--service", "chat-assistant", "--since", "365d")
        rows = await asyncio.to_thread(kept)
        assert [one["id"] for one in rows] == ["pagerduty:Q000001", "pagerduty:Q000004"]

    async def test_what_breaks_off_in_the_middle_stores_nothing(self, url: str, account: Account) -> None:
        account.forbidden = ("/incidents",)
        result = await self.imported(url)
        assert result.exit_code == 1
        assert "Nothing was imported" in result.output
        assert await asyncio.to_thread(kept) == []

    async def test_incidents_that_pagerunner_has_itself_are_left_out(self, url: str) -> None:
        await asyncio.to_thread(done, "import", written(UNTOLD))
        database = opened()
        page = samples.page("E1", incident_ref="Q000001")
        await samples.settle(SqlInbox(database), SqlCasebook(database), page, now=datetime.now(UTC))
        database.close()
        result = await self.imported(url)
        assert "1 left out: Pagerunner has these incidents itself" in result.output
        assert {one["id"] for one in await asyncio.to_thread(kept)} == {"file:INC-2", "pagerduty:Q000002"}

    def test_without_a_key_it_says_what_to_set(self) -> None:
        assert "PAGERUNNER_PAGERDUTY_API_KEY" in refused("import", "--pagerduty")


class TestInTheSearch:
    RUNBOOKS = (document("printer", ["lobby printer is jammed"]), document("outage", ["provider answers 529"]))

    def searched(self, title: str) -> tuple[Retrieval, Retrieval]:
        """Without, and with what was imported."""
        plain, knowing = (
            HybridLibrarian(self.RUNBOOKS, words=LexicalIndex(), embedder=WordHashEmbedder(), vectors=ExactStore(),
                            incidents=incidents)
            for incidents in ([], given())
        )  # fmt: skip
        plain.warm()
        knowing.warm()
        return plain.search(Query(title=title)), knowing.search(Query(title=title))

    def test_one_without_a_confirmed_cause_is_shown_and_moves_nothing(self) -> None:
        done("import", written({**UNTOLD, "cause": "outage"}))
        before, after = self.searched("lobby printer is on fire")
        assert before.matches == after.matches
        assert [(one.id, one.cause, one.origin) for one in after.similar] == [("file:INC-2", "", "past.jsonl")]

    def test_one_with_a_confirmed_cause_ranks_its_runbook_and_is_shown(self) -> None:
        done("import", written({**UNTOLD, "cause": "outage", "confirmed_by": "Eva"}))
        before, after = self.searched("lobby printer is on fire")
        scores = [
            {match.document: match.score for match in found.matches}.get("outage", 0.0) for found in (before, after)
        ]
        assert scores[1] > scores[0]
        assert after.similar[0].cause == "outage"

    def test_what_reads_otherwise_is_not_shown(self) -> None:
        done("import", written(TOLD))
        assert self.searched("lobby printer is on fire")[1].similar == ()

    def test_many_without_a_cause_do_not_take_the_place_of_those_with_one(self) -> None:
        rows = [{**UNTOLD, "id": f"N-{n}", "at": "2026-05-01T00:00:00Z"} for n in range(2_100)]
        done("import", written(TOLD, *rows))
        remembered = Memories(given()).incidents
        assert remembered[0].id == "file:INC-1"
        assert len(remembered) == 2_000


class TestShown:
    SIMILAR = Similar(
        id="file:INC-1", title="<!channel> *529* `x`", score=0.8, service="support",
        at=datetime(2026, 3, 1, tzinfo=UTC),
        cause="provider-outage", helped="shift <https://evil|here>", origin="past.jsonl", link="https://example.com/1",
    )  # fmt: skip

    def view(self) -> Any:
        view = provider_outage()
        retrieval = view.retrieval or Retrieval(matches=(), mode="lexical")
        return replace(view, retrieval=replace(retrieval, similar=(self.SIMILAR,)))

    def test_the_thread_and_the_answer_tell_outcome_and_origin(self) -> None:
        view = self.view()
        told = conversation.answer("has this happened before?", view, earlier=()).text
        for text in (told, "\n".join(detail(view))):
            assert "cause `provider-outage`, confirmed" in text
            assert "imported from `past.jsonl`" in text
            assert "2026-03-01" in text
            assert "https://example.com/1" in text
        assert self.SIMILAR.id in known_references(view)

    def test_its_text_cannot_call_link_or_format(self) -> None:
        text = similar_line(self.SIMILAR)
        assert "<" not in text
        assert text.count("`") % 2 == 0

    def test_without_a_confirmed_cause_no_outcome_is_claimed(self) -> None:
        assert "its cause was not confirmed" in similar_line(replace(self.SIMILAR, cause=""))

    def test_it_stays_inside_the_company(self) -> None:
        for level in LEVELS:
            shown = redacted(self.view(), level).retrieval
            assert shown is not None
            assert shown.similar == ()
