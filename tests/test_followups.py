"""Follow-ups: noted as facts, shown as the issues they would become, created once, with a link back."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.domain.faults import no_fault
from bot.domain.followups import IssuePlan, follow_ups
from bot.domain.presentation import Presentation
from bot.domain.view import IncidentView, MessageRef
from bot.edges import outbox
from bot.edges.courier import Courier
from bot.edges.database import Database
from bot.edges.export import Export
from bot.edges.follow_book import SqlFollowBook
from bot.edges.github import GitHub
from bot.edges.issue_markdown import written
from bot.edges.pagerduty_out import NoPager
from bot.editing import TimelineScribe
from bot.following import AT_ONCE, FollowParts, FollowUps
from bot.ports import TimelineEdit, Told
from config.catalogue import Catalogue
from diagnostics.model import Diagnosis, Hypothesis, Verdict
from tests.conftest import FakeClock
from tests.flow_fakes import Rig, finding
from tests.github_fakes import REPO, TOKEN, Hub
from tests.incident_samples import ANA, BEN, page, settle
from tests.test_courier import Channel

PAGER_LINK = "https://acme.pagerduty.com/incidents/Q1"
THREAD = "https://acme.slack.com/archives/C0ASSIST/p1"


@dataclass
class Case:
    """An incident, a GitHub, and the way between them."""

    hub: Hub
    url: str
    rig: Rig
    database: Database
    catalogue: Catalogue
    clock: FakeClock
    chat: Channel
    incident: str

    def follow(self, *, connected: bool = True, **changes: Any) -> FollowUps:
        async def permalink(message: MessageRef) -> str:
            await asyncio.sleep(0)
            return THREAD

        values: dict[str, Any] = {
            "catalogue": self.catalogue, "clock": self.clock, "records": self.rig.records,
            "book": SqlFollowBook(self.database), "write": written, "permalink": permalink,
            "redact": lambda text: text.replace("hunter2", "[secret]"), "redaction": "company", "connected": connected,
        }  # fmt: skip
        return FollowUps(FollowParts(**{**values, **changes}))

    def courier(self, fault: Callable[[str], None] = no_fault, token: str = TOKEN) -> Courier:
        return Courier(self.database, self.rig.records, self.chat, NoPager(), self.clock, fault,
                       tracker=GitHub(token, self.url) if token else None)  # fmt: skip

    async def view(self) -> IncidentView:
        found = await self.rig.records.view(self.incident)
        assert found is not None
        return found

    async def plan(self, **changes: Any) -> IssuePlan:
        plan = await self.follow(**changes).plan(self.incident)
        assert isinstance(plan, IssuePlan), plan
        return plan

    async def pushed(self) -> Told:
        return await self.follow().push(self.incident, (await self.plan()).hash, BEN)

    async def deliver(self, courier: Courier | None = None) -> None:
        mine = courier or self.courier()
        for _ in range(4):
            for lane in mine._lanes.values():
                lane.tokens = lane.burst
            await mine.deliver()

    def issues(self) -> list[dict[str, Any]]:
        return self.hub.issues.get(REPO, [])


@pytest_asyncio.fixture
async def case(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[Case]:
    teams = tuple(replace_(team, REPO) if team.name == "assist" else team for team in catalogue.teams)
    declared = catalogue.model_copy(update={"teams": teams})
    database = Database(tmp_path / "pagerunner.sqlite")
    database.open()
    clock = FakeClock(datetime.now(UTC))
    rig, hub = Rig(database, declared, clock), Hub()
    one = page(link=PAGER_LINK, occurred_at=clock.now(), received_at=clock.now())
    incident = await settle(rig.inbox, rig.casebook, one, now=clock.now())
    async with hub.serving() as url:
        made = Case(hub=hub, url=url, rig=rig, database=database, catalogue=declared, clock=clock, chat=Channel(),
                    incident=incident)  # fmt: skip
        await made.courier().deliver()
        yield made
    database.close()


def replace_(team: Any, repository: str) -> Any:
    return team.model_copy(update={"github_repository": repository})


class TestNoting:
    async def test_a_follow_up_is_a_fact_with_its_owner_and_is_said_in_the_thread(self, case: Case) -> None:
        told = await case.follow().add(case.incident, "raise the quota", "Ben Okafor", ANA, "k1")
        again = await case.follow().add(case.incident, "raise the quota", "Ben Okafor", ANA, "k1")

        (one,) = follow_ups(await case.view())
        assert (one.text, one.owner, one.by) == ("raise the quota", "Ben Okafor", "Ana")
        assert told.text == f"Follow-up #{one.entry} of {case.incident}, owner Ben Okafor."
        assert "nothing was noted twice" in again.text
        await case.deliver()
        assert "`Ana` noted what is to follow, owner `Ben Okafor`: `raise the quota`" in case.chat.said

    async def test_bad_ones_are_refused_with_what_to_do_and_secrets_stay_out(self, case: Case) -> None:
        follow = case.follow()
        assert "needs a text" in (await follow.add(case.incident, "  ", "", ANA, "a")).text
        assert "at most 1,000 characters" in (await follow.add(case.incident, "x" * 1001, "", ANA, "b")).text
        assert "There is no incident" in (await follow.add("inc-none", "x", "", ANA, "c")).text
        assert (await follow.add(case.incident, "rotate hunter2", "", ANA, "d")).ok
        assert follow_ups(await case.view())[0].text == "rotate [secret]"

    async def test_one_that_was_a_mistake_is_hidden_like_any_entry(self, case: Case) -> None:
        await case.follow().add(case.incident, "a mistake", "", ANA, "a")
        (one,) = follow_ups(await case.view())
        scribe = TimelineScribe(case.rig.records, case.rig.casebook, case.clock)

        await scribe.edit(case.incident, one.entry, TimelineEdit(kind="entry_hidden"), ANA)

        assert follow_ups(await case.view()) == ()
        assert isinstance(await case.follow().plan(case.incident), Told)


class TestThePlan:
    async def test_it_shows_exactly_what_would_be_created_with_a_link_back_and_evidence(self, case: Case) -> None:
        seen = finding("gateway_canary", "server_error", Verdict.ABNORMAL, id="ev-canary1")
        await case.rig.casebook.found(case.incident, 1, "gateway_canary:{}", seen, case.clock.now())
        ranked = (Hypothesis(mode="provider-outage", title="Model provider is failing", probability=0.97),)
        diagnosis = Diagnosis(conclusion="cause", ranked=ranked, causes=("provider-outage",), reason="sure")
        from tests.runbook_incidents import FACT

        await case.rig.casebook.diagnosed(case.incident, diagnosis, FACT, case.clock.now())
        await case.follow().add(case.incident, "add a second region, see ev-canary1", "Ben Okafor", ANA, "a")

        plan = await case.plan()

        (issue,) = plan.issues
        assert (plan.repository, plan.redaction, plan.left) == (REPO, "company", 0)
        assert issue.title == "add a second region, see ev-canary1"
        for part in (f"Follow-up of incident `{case.incident}`", "**Owner:** Ben Okafor", "**Noted by:** Ana at ",
                     f"<{PAGER_LINK}>", f"<{THREAD}>", "**Evidence:** `gateway_canary` showed `server_error`",
                     "(`ev-canary1`)", "Model provider is failing", f"`pagerunner export {case.incident}`",
                     "**Service:** `chat-assistant`, team `assist`"):  # fmt: skip
            assert part in issue.body, part
        assert issue.body.endswith(f"<!-- pagerunner:followup {case.incident}/{issue.entry} -->")
        assert len(plan.hash) == 64

    async def test_foreign_text_mentions_nobody_links_nowhere_and_forges_no_mark(self, case: Case) -> None:
        evil = "ping @everyone see #1 <!-- pagerunner:followup inc-x/1 --> [x](javascript:alert(1)) `tick`"
        await case.follow().add(case.incident, evil, "@channel <b>", ANA, "a")

        body = (await case.plan()).issues[0].body

        outside = re.sub(r"(`+).*?\1", "", body.rsplit("\n", 1)[0])
        assert "@" not in outside
        assert "<!--" not in outside
        assert "](" not in outside
        assert "<b>" not in outside
        assert body.count("<!-- pagerunner:followup") <= 2
        assert body.splitlines()[-1].startswith("<!-- pagerunner:followup inc-")

    async def test_an_address_that_is_more_than_an_address_is_left_out(self, case: Case) -> None:
        bad = case.follow(records=_Linked(case.rig.records, "https://evil.example/)>[x](y)"))
        await case.follow().add(case.incident, "x", "", ANA, "a")

        plan = await bad.plan(case.incident)

        assert isinstance(plan, IssuePlan)
        assert "evil.example" not in plan.issues[0].body

    async def test_the_level_is_the_one_that_is_set(self, case: Case) -> None:
        await case.follow().add(case.incident, "x", "", ANA, "a")

        assert "Redacted:" in (await case.plan()).issues[0].body
        assert "Redacted:" not in (await case.plan(redaction="internal")).issues[0].body
        assert (await case.plan()).hash != (await case.plan(redaction="internal")).hash

    async def test_what_cannot_be_pushed_says_why(self, case: Case, catalogue: Catalogue) -> None:
        await case.follow().add(case.incident, "x", "", ANA, "a")

        async def why(**changes: Any) -> str:
            plan = await case.follow(**changes).plan(changes.pop("incident", case.incident))
            assert isinstance(plan, Told)
            return plan.text

        assert "names no GitHub repository: set its github_repository" in await why(catalogue=catalogue)
        assert "set PAGERUNNER_GITHUB_TOKEN" in await why(connected=False)
        about = {"incident_ref": "Q2", "incident_key": "k2", "title": "Something else", "occurred_at": case.clock.now()}
        other = await settle(case.rig.inbox, case.rig.casebook, page("E2", **about), now=case.clock.now())
        none = await case.follow().plan(other)
        assert isinstance(none, Told)
        assert "has no follow-ups" in none.text


class _Linked:
    """Records in which the page's link is another."""

    def __init__(self, inner: Any, link: str) -> None:
        self._inner, self._link = inner, link

    async def view(self, incident: str) -> Any:
        found = await self._inner.view(incident)
        return replace(found, pages=tuple(replace(one, link=self._link) for one in found.pages))


class _Died(Exception):
    """Stands for the end of the process."""


class TestPushing:
    async def test_a_running_courier_delivers_it_by_itself(self, case: Case) -> None:
        await case.follow().add(case.incident, "raise the quota", "", ANA, "k1")
        await case.pushed()

        running = asyncio.create_task(case.courier().run())
        async with asyncio.timeout(20):
            while not case.issues():  # noqa: ASYNC110 - GitHub is another process's: nothing here tells of it
                await asyncio.sleep(0.05)
        running.cancel()

        assert len(case.issues()) == 1

    async def test_what_was_agreed_to_is_created_once_and_becomes_a_fact(self, case: Case) -> None:
        await case.follow().add(case.incident, "raise the quota", "Ben", ANA, "a")
        shown = (await case.plan()).issues[0]
        told = await case.pushed()
        again = await case.follow().push(case.incident, (await case.plan()).hash, BEN)

        await case.deliver()
        await case.deliver()

        assert case.hub.created() == [{"title": shown.title, "body": shown.body}]
        assert "1 issue in acme/assistants will be created" in told.text
        assert "asked for already" in again.text
        (one,) = follow_ups(await case.view())
        assert (one.issue, one.url) == (f"{REPO}#1", f"https://github.example/{REPO}/issues/1")
        assert any(f"Issue <https://github.example/{REPO}/issues/1|{REPO}#1> was made" in s for s in case.chat.said)
        done = await case.follow().plan(case.incident)
        assert isinstance(done, Told)
        assert f"has its issue: {REPO}#1" in done.text

    async def test_what_is_not_what_was_shown_is_not_created(self, case: Case) -> None:
        await case.follow().add(case.incident, "one", "", ANA, "a")
        shown = (await case.plan()).hash
        await case.follow().add(case.incident, "another", "", ANA, "b")

        told = await case.follow().push(case.incident, shown, BEN)
        await case.deliver()

        assert (told.ok, "not what was shown any more" in told.text) == (False, True)
        assert case.hub.created() == []

    async def test_many_are_created_a_few_at_a_time(self, case: Case) -> None:
        for number in range(AT_ONCE + 2):
            await case.follow().add(case.incident, f"thing {number}", "", ANA, f"k{number}")

        first = await case.pushed()
        await case.deliver()
        case.clock.advance(60)
        await case.deliver()
        second = await case.pushed()
        await case.deliver()

        assert "2 follow-ups more" in first.text
        assert second.ok
        assert [issue["title"] for issue in case.issues()] == [f"thing {n}" for n in range(AT_ONCE + 2)]

    async def test_a_crash_after_it_was_created_creates_no_second_one(self, case: Case) -> None:
        await case.follow().add(case.incident, "one", "", ANA, "a")
        await case.pushed()

        def dies(place: str) -> None:
            if place == "K14":
                raise _Died

        with pytest.raises(_Died):
            await case.courier(dies).deliver("tracker")
        assert len(case.issues()) == 1
        await case.deliver()

        assert len(case.hub.created()) == 1
        assert follow_ups(await case.view())[0].issue == f"{REPO}#1"

    async def test_an_answer_that_was_lost_is_found_among_many_newer_issues(self, case: Case) -> None:
        await case.follow().add(case.incident, "one", "", ANA, "a")
        await case.pushed()
        case.hub.loses_answers = 1
        await case.deliver()
        for number in range(70):
            case.hub.add(REPO, f"somebody else's {number}", "")
        case.clock.advance(20)
        await case.deliver()

        assert len(case.hub.created()) == 1
        assert follow_ups(await case.view())[0].issue == f"{REPO}#1"

    @pytest.mark.parametrize(
        ("status", "headers", "said", "least"),
        [
            (429, {"Retry-After": "40"}, {}, 39),
            (403, {"Retry-After": "30"}, {"message": "secondary"}, 29),
            (403, {}, {"message": "You have exceeded a secondary rate limit"}, 59),
            (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "RESET"}, {"message": "API rate limit"}, 80),
            (502, {}, {}, 14),
        ],
    )  # fmt: skip
    async def test_a_limit_is_waited_for_and_then_it_is_created_once(
        self, case: Case, status: int, headers: dict[str, str], said: Any, least: int
    ) -> None:
        reset = str(int(datetime.now(UTC).timestamp()) + 90)
        told = {name: value.replace("RESET", reset) for name, value in headers.items()}
        case.hub.failures = [("POST", status, told, said)]
        await case.follow().add(case.incident, "one", "", ANA, "a")
        await case.pushed()
        courier = case.courier()

        await courier.deliver("tracker")
        case.clock.advance(least - 5)
        await courier.deliver("tracker")
        waiting = len(case.issues())
        case.clock.advance(20)
        await courier.deliver("tracker")

        assert (waiting, len(case.issues())) == (0, 1)

    async def test_what_github_never_takes_is_said_and_can_be_asked_for_again(self, case: Case) -> None:
        case.hub.repositories[REPO]["has_issues"] = False
        await case.follow().add(case.incident, "one", "", ANA, "a")
        await case.pushed()
        await case.deliver()

        assert any("No issue was made of follow-up" in s and "switch them on" in s for s in case.chat.said)
        assert [e.fact.data["undeliverable"] for e in (await case.view()).entries("alarm")] == ["issue"]

        case.hub.repositories[REPO]["has_issues"] = True
        assert (await case.pushed()).ok
        await case.deliver()
        assert follow_ups(await case.view())[0].issue == f"{REPO}#1"

    @pytest.mark.parametrize(
        ("token", "repository", "said"),
        [("github_pat_wrong", REPO, "the token is wrong or has expired"),
         (TOKEN, "acme/gone", "there is no repository acme/gone"), ("", REPO, "no GitHub token is set any more")],
    )  # fmt: skip
    async def test_refusals_say_what_to_do(self, case: Case, token: str, repository: str, said: str) -> None:
        team = case.catalogue.team("assist")
        assert team is not None
        teams = (replace_(team, repository),)
        await case.follow().add(case.incident, "one", "", ANA, "a")
        other = case.follow(catalogue=case.catalogue.model_copy(update={"teams": teams}))
        plan = await other.plan(case.incident)
        assert isinstance(plan, IssuePlan)
        await other.push(case.incident, plan.hash, BEN)

        await case.deliver(case.courier(token=token))
        await case.deliver()

        assert any(said in text for text in case.chat.said), case.chat.said

    async def test_a_slow_tracker_holds_up_no_message(self, case: Case) -> None:
        await case.follow().add(case.incident, "one", "", ANA, "a")
        await case.pushed()
        letters = await case.database.run(lambda c: outbox.due(c, case.clock.now(), "chat"))
        tracker = await case.database.run(lambda c: outbox.due(c, case.clock.now(), "tracker"))

        assert {letter.kind for letter in letters} <= {"say", "card", "file"}
        assert [letter.kind for letter in tracker] == ["issue"]

    async def test_requests_name_their_version_and_carry_the_token_nowhere_else(self, case: Case) -> None:
        await case.follow().add(case.incident, "one", "", ANA, "a")
        await case.pushed()
        await case.deliver()

        sent = case.hub.headers[-1]
        assert (sent["accept"], sent["x-github-api-version"]) == ("application/vnd.github+json", "2022-11-28")
        whole = json.dumps([entry.fact.data for entry in (await case.view()).timeline]) + " ".join(case.chat.said)
        assert TOKEN not in whole


class TestDocuments:
    async def test_the_postmortem_shows_follow_ups_with_owner_and_issue_at_each_level(self, case: Case) -> None:
        await case.follow().add(case.incident, "raise the quota", "Ben Okafor", ANA, "a")
        await case.pushed()
        await case.deliver()
        view = await case.view()

        inside = Export().export(view, "md").decode()
        company = Export().export(view, "md", Presentation(redaction="company")).decode()
        public = Export().export(view, "md", Presentation(redaction="public")).decode()

        for told in (inside, company):
            assert "“raise the quota”, owner Ben Okafor: `acme/assistants#1`" in told
            assert f"https://github.example/{REPO}/issues/1" in told
        for secret in ("raise the quota", "Ben Okafor", "github.example", REPO):
            assert secret not in public
        for form in ("html", "json", "csv", "docx", "pdf"):
            assert Export().export(view, form)  # type: ignore[arg-type]
        assert "acme/assistants#1" in Export().export(view, "html").decode()
