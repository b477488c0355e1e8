"""Those who keep a runbook hear how it fared: once, when the incident is over, where they are, and not too often."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.authors import DIGEST_EVERY, VERDICTS_WITHIN, Authors
from bot.domain.faults import no_fault
from bot.domain.incident import Status
from bot.domain.timeline import Fact, Provenance
from bot.domain.view import MessageRef
from bot.edges.author_book import SqlAuthorBook
from bot.edges.courier import Courier
from bot.edges.database import Database
from bot.edges.pagerduty_out import NoPager
from bot.flow import Flow
from bot.ports import Undeliverable
from config.catalogue import Catalogue
from diagnostics.model import Verdict
from runbooks.model import EffectResult, EffectStatus
from runbooks.shelf import Folder, Shelf
from tests.conftest import START, FakeClock
from tests.flow_fakes import Rig, finding
from tests.incident_samples import page, settle
from tests.test_courier import Channel
from tests.test_flow import approve

WAIT = VERDICTS_WITHIN.total_seconds()
HOUR = DIGEST_EVERY.total_seconds()


class Desk(Channel):
    """A chat that some people cannot be reached in."""

    def __init__(self) -> None:
        super().__init__()
        self.strangers: set[str] = set()

    async def say(self, message: MessageRef, text: str, *, blocks: Sequence[Mapping[str, Any]] = (),
                  again: bool = False, team: str = "") -> None:  # fmt: skip
        if message.channel in self.strangers:
            raise Undeliverable("they are a guest <!channel>")
        await super().say(message, text, blocks=blocks, again=again, team=team)

    async def permalink(self, message: MessageRef) -> str:
        return f"https://slack.example/archives/{message.channel}/p{message.ts}"


class Place:
    """A flow whose incidents end, a runbook that they use, and a courier."""

    def __init__(self, database: Database, catalogue: Catalogue, clock: FakeClock, folder: Path) -> None:
        self.rig, self.chat, self.clock, self.folder = Rig(database, catalogue, clock), Desk(), clock, folder
        self.shelf = Shelf([Folder(path=folder, name="company")])
        self.book = SqlAuthorBook(database)
        self.authors = Authors(catalogue, clock, self.rig.records, self.shelf, self.book, self.chat.permalink)
        self.rig._parts = replace(self.rig._parts, ended=self.authors.note)
        self.rig.flow = Flow(self.rig._parts)
        self.courier = Courier(database, self.rig.records, self.chat, NoPager(), clock, no_fault, fresh_every_s=0)
        self.rig.change_policy()  # builds the desk on the flow above
        self.own("assist")

    def own(self, owner: str, folder: Path | None = None) -> None:
        text = f'---\ntitle: Provider outage\nowner: "{owner}"\n---\n# Provider outage\n'
        (self.folder / "provider-outage.md").write_text(text)
        self.shelf.refresh()

    async def open(self, number: int = 1) -> str:
        """A page arrives, is looked into, and a step is proposed."""
        one = page(f"E{number}", incident_ref=f"Q{number}", incident_key=f"k{number}", title=f"Outage {number}",
                   occurred_at=self.clock.now(), received_at=self.clock.now())  # fmt: skip
        incident = await settle(self.rig.inbox, self.rig.casebook, one, now=self.clock.now())
        await self.rig.tick()
        await self.deliver()
        return incident

    async def end(self, incident: str) -> None:
        await self.rig.casebook.move(incident, Status.RESOLVED, [], self.clock.now())
        await self.rig.tick()
        await self.deliver()

    async def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.authors.tell()
        await self.deliver()

    async def deliver(self) -> None:
        for _ in range(6):
            for lane in self.courier._lanes.values():
                lane.tokens = lane.burst
            await self.courier.deliver()

    def told(self) -> list[tuple[MessageRef, str]]:
        """What authors were told, and where."""
        every = zip(self.chat.places, self.chat.said, strict=True)
        return [(at, text) for at, text in every if "our runbook" in text]


@pytest.fixture
def place(database: Database, catalogue: Catalogue, clock: FakeClock, tmp_path: Path) -> Place:
    folder = tmp_path / "books"
    folder.mkdir()
    return Place(database, catalogue, clock, folder)


async def judged(place: Place, incident: str, verdict: str, by: str) -> None:
    """As a click on the card does it."""
    data = {"verdict": verdict, "by": by, "runbook": "provider-outage"}
    fact = Fact(kind="verdict_given", provenance=Provenance.HUMAN, actor=f"slack:T0/{by}", data=data)
    before = await place.rig.records.view(incident)
    assert before is not None
    earlier = {entry.fact.data["verdict"] for entry in before.entries("verdict_given")}
    await place.rig.casebook.record(incident, [fact], place.clock.now())
    await place.authors.judged(incident, "provider-outage", news=verdict == "wrong_cause" and verdict not in earlier)
    await place.deliver()


async def test_its_team_hears_below_the_card_that_it_helped_when_it_is_over_and_never_before(place: Place) -> None:
    incident = await place.open()
    await approve(place.rig, incident)
    await place.rig.tick(10)
    await place.later(2 * WAIT)
    assert place.told() == []

    await place.end(incident)
    await place.later(WAIT - 1)
    assert place.told() == []
    await place.later(1)
    await place.later(WAIT)

    ((at, text),) = place.told()
    assert at == MessageRef(channel="C0ASSIST", ts="1.1")
    head, step, advice = text.splitlines()
    assert head == f"Your runbook `provider-outage` helped in `{incident}` (`chat-assistant`)."
    assert step.endswith("(`provider-outage#step-1`): it helped.")
    assert advice.startswith("Next it could earn retrieval tests: add 'pages' with what such pages really say")


async def test_what_made_nothing_better_was_wrong_and_says_where_to_look(place: Place) -> None:
    bad = finding("gateway_canary", "server_error", Verdict.ABNORMAL, value=1.0, n=10, round=1)
    place.rig.verifier.default = [bad]
    incident = await place.open()
    await approve(place.rig, incident)
    for _ in range(30):
        await place.rig.tick(10)
    await place.end(incident)
    await place.later(WAIT)

    ((_, text),) = place.told()
    assert text.startswith("Your runbook `provider-outage` was wrong in ")
    assert "Look at: step `provider-outage#step-1`: " in text


async def test_a_step_that_failed_was_wrong_and_one_whose_target_had_changed_was_not(place: Place) -> None:
    for number, (status, fared) in enumerate(
        ((EffectStatus.FAILED, "was wrong"), (EffectStatus.CONFLICT, "was used")), start=1
    ):  # fmt: skip
        place.rig.target.result = EffectResult(status=status, detail="said *no* <!here>")
        place.rig.triage.steps = place.rig.triage.steps[:1]
        incident = await place.open(number)
        await approve(place.rig, incident)
        await place.rig.tick(10)
        await place.end(incident)
        await place.later(WAIT)

        text = place.told()[-1][1]
        assert f"Your runbook `provider-outage` {fared} in " in text
        assert "<!here>" not in text


async def test_the_first_verdict_ends_the_wait_and_only_a_later_wrong_is_news_once(place: Place) -> None:
    incident = await place.open()
    await place.end(incident)
    await judged(place, incident, "right_cause", "ana")
    assert len(place.told()) == 1
    assert "right cause, says `ana`" in place.told()[0][1]

    await judged(place, incident, "right_cause", "dev")
    await judged(place, incident, "wrong_cause", "<!channel>")
    await judged(place, incident, "wrong_cause", "chi")
    await place.later(WAIT)

    first, second = (text for _, text in place.told())
    assert "was wrong" not in first
    assert second.startswith("Your runbook `provider-outage` was wrong in ")
    assert "said afterwards" in second
    assert "<!channel>" not in first + second


async def test_a_wrong_cause_names_what_spoke_for_it_and_how_to_keep_it_as_a_test(place: Place) -> None:
    incident = await place.open()
    await place.end(incident)
    await judged(place, incident, "wrong_cause", "ana")

    ((_, text),) = place.told()
    assert "wrong cause, says `ana`" in text
    assert f"`pagerunner runbooks record {incident} FILE`" in text


@pytest.mark.parametrize(
    ("owner", "channel"), [("@U0ANA", "U0ANA"), ("ana@example.com", "ana@example.com"), ("#C0SRE", "C0SRE")]
)
async def test_a_person_or_channel_of_their_own_is_told_there_with_a_link(
    owner: str, channel: str, place: Place
) -> None:
    place.own(owner)
    incident = await place.open()
    await place.end(incident)
    await place.later(WAIT)

    ((at, text),) = place.told()
    assert at == MessageRef(channel=channel, ts="")
    assert f"<https://slack.example/archives/C0ASSIST/p1.1|{incident}>" in text


async def test_a_user_group_has_no_inbox_so_it_is_told_below_the_card(place: Place) -> None:
    place.own("@S0SRE")
    incident = await place.open()
    await place.end(incident)
    await place.later(WAIT)

    assert [at.ts for at, _ in place.told()] == ["1.1"]


async def test_another_team_is_told_in_its_own_channel(place: Place) -> None:
    place.own("trust")
    incident = await place.open()
    await place.end(incident)
    await place.later(WAIT)

    assert [at for at, _ in place.told()] == [MessageRef(channel="C0TRUST", ts="")]


async def test_who_cannot_be_reached_is_told_below_the_card_with_the_reason(place: Place) -> None:
    place.own("@U0GUEST")
    place.chat.strangers.add("U0GUEST")
    incident = await place.open()
    await place.end(incident)
    await place.later(WAIT)

    ((at, text),) = place.told()
    assert at.ts == "1.1"
    assert "U0GUEST could not be told: they are a guest &lt;!channel&gt;" in text
    view = await place.rig.records.view(incident)
    assert view is not None
    assert not view.entries("alarm")


async def test_many_incidents_are_one_message_an_hour(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.authors.MOST", 3)
    place.own("@U0ANA")
    for number in range(1, 7):
        incident = await place.open(number)
        await place.end(incident)
        await place.later(60)
    assert len(place.told()) == 1
    await place.later(WAIT)
    assert len(place.told()) == 1
    await place.later(HOUR)
    await place.later(HOUR)

    _, digest = (text for _, text in place.told())
    lines = digest.splitlines()
    assert lines[0] == "Your runbooks in 5 incidents:"
    assert len([line for line in lines if line.startswith("• Your runbook `provider-outage` was used in <")]) == 3
    assert lines[-1] == "… and 2 more: `pagerunner runbooks coverage` has all"


async def test_a_team_may_have_none_of_it(
    database: Database, catalogue: Catalogue, clock: FakeClock, tmp_path: Path
) -> None:
    quiet = tuple(team.model_copy(update={"tell_authors": team.name != "assist"}) for team in catalogue.teams)
    (tmp_path / "books").mkdir()
    place = Place(database, catalogue.model_copy(update={"teams": quiet}), clock, tmp_path / "books")
    incident = await place.open()
    await place.end(incident)
    await judged(place, incident, "wrong_cause", "ana")
    await place.later(WAIT)

    assert place.told() == []


@pytest.mark.parametrize("owner", ["nobody-we-know", ""])
async def test_nobody_is_told_for_an_owner_who_is_nobody_or_a_page_that_has_none(owner: str, place: Place) -> None:
    if owner:
        place.own(owner)
    else:
        (place.folder / "provider-outage.md").write_text("# Plain\n")
        place.shelf.refresh()
    incident = await place.open()
    await place.end(incident)
    await place.later(WAIT)

    assert place.told() == []


async def test_what_was_only_found_by_the_search_was_not_used(place: Place) -> None:
    place.rig.triage.conclusion = "inconclusive"
    incident = await place.open()
    await place.end(incident)
    await place.later(WAIT)

    assert place.told() == []


async def test_an_incident_that_is_opened_again_is_told_again_when_it_is_over_again(place: Place) -> None:
    incident = await place.open()
    await place.end(incident)
    await place.authors.note(incident)
    await place.later(WAIT)
    again = page("E9", kind="reopened", occurred_at=place.clock.now(), received_at=place.clock.now())
    await settle(place.rig.inbox, place.rig.casebook, again, now=place.clock.now())
    await place.rig.tick()
    view = await place.rig.records.view(incident)
    assert view is not None
    assert view.incident.active
    place.clock.advance(60)
    await place.end(incident)
    await place.later(WAIT)

    assert len(place.told()) == 2


async def test_a_broken_runbook_is_told_once_to_those_who_keep_it_also_after_a_restart(
    place: Place, database: Database, catalogue: Catalogue
) -> None:
    (place.folder / "provider-outage.md").write_text("---\ntitle: [\n---\n# <!channel>\n")
    change = place.shelf.refresh()
    await place.authors.broken(change.broken)
    restarted = Authors(catalogue, place.clock, place.rig.records, place.shelf, SqlAuthorBook(database))
    await restarted.broken(change.broken)
    await place.deliver()

    ((at, text),) = place.told()
    assert at == MessageRef(channel="C0ASSIST", ts="")
    assert text.startswith("Your runbook `provider-outage.md` of library `company` cannot be used as it is now: line ")
    assert text.endswith("Its last good version stays in use.")


async def test_a_notice_that_nobody_takes_does_not_stop_the_courier(place: Place) -> None:
    place.chat.strangers.add("C0ASSIST")
    await place.book.notice("C0ASSIST", "k", "Your runbook is broken", START)
    await place.deliver()
    place.chat.strangers.clear()
    await place.later(timedelta(hours=1).total_seconds())

    assert place.told() == []
