"""Whoever is on call now may approve: asked of PagerDuty over HTTP, recognised in Slack by their own address."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from bot.domain.proposal import Principal
from bot.domain.view import Awaited
from bot.edges.pagerduty_out import PagerDuty
from bot.edges.rota import FAILED_FOR, KNOWN_FOR, CachedRota, NoRota
from bot.edges.slack_client import Workspace, new_client
from bot.edges.slack_people import SlackPeople
from bot.edges.slack_roster import FRESH, STALE, Roster
from bot.ports import Rota, Undeliverable
from config.catalogue import Approvers, Catalogue, Team
from drills.slack import seed
from drills.slack.limits import Fault
from drills.slack.server import LoopbackSlack, Options
from tests.conftest import FakeClock
from tests.pagerduty_fakes import KEY, PagerDutyState, pagerduty

POLICY = "PEPASSIST"


def person(user: str, via: str = "slack") -> Principal:
    return Principal(id=f"slack:T0LOOP/{user}", name=user, via=via)


@dataclass(kw_only=True)
class Place:
    """A workspace, an account, and the clock between them."""

    slack: LoopbackSlack
    state: PagerDutyState
    clock: FakeClock
    rota: CachedRota
    catalogue: Catalogue

    def people(self, rota: Rota | None = None, **approvers: Any) -> SlackPeople:
        client = new_client("xoxb-loopback", f"{self.slack.url}/api/")
        team = self.catalogue.team("assist")
        assert team is not None
        team = team.model_copy(update={"approvers": Approvers(**{"on_call": True, **approvers})})
        catalogue = self.catalogue.model_copy(update={"teams": (team,)})
        return SlackPeople(client, Workspace(client), catalogue, self.clock, rota or self.rota)

    def roster(self, **approvers: Any) -> Roster:
        people = self.people(**approvers)
        return Roster(people._client, people._workspace, people._catalogue, self.clock, self.rota)

    def on_call(self, *users: Any) -> None:
        self.state.rotas[POLICY] = [one if isinstance(one, dict) else {"user": one} for one in users]

    @property
    def asked(self) -> int:
        return sum(path == "/oncalls" for _, path, _, _ in self.state.requests)

    def change(self, user: str, **values: Any) -> None:
        """Slack says something else of somebody."""
        users = self.slack.workspace.users
        users[user] = users[user].model_copy(update=values)


@pytest.fixture
async def place(catalogue: Catalogue, clock: FakeClock) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(LoopbackSlack(seed.load(), Options(port=0, rate_limits=False)))
        state = PagerDutyState()
        url = await stack.enter_async_context(pagerduty(state))
        rota = CachedRota(PagerDuty(KEY, base_url=url, quick=True), clock)
        found = Place(slack=slack, state=state, clock=clock, rota=rota, catalogue=catalogue)
        found.on_call("PANA")
        yield found


async def test_whoever_is_on_call_may_approve_and_others_hear_who_is(place: Place) -> None:
    people = place.people()

    assert await people.may_approve(person("U0ANA"), "assist") == (True, "")
    may, why = await people.may_approve(person("U0BEN"), "assist")

    assert (may, why) == (False, "you are not an approver of team assist: on call now is Ana Ruiz")


async def test_every_level_of_the_policy_counts(place: Place) -> None:
    place.on_call("PANA", {"user": "PBEN", "escalation_level": 2})

    assert (await place.people().may_approve(person("U0BEN"), "assist"))[0]


async def test_a_shift_change_takes_the_right_away_within_the_time_that_is_remembered(place: Place) -> None:
    people = place.people()
    assert (await people.may_approve(person("U0ANA"), "assist"))[0]
    place.on_call("PBEN")

    assert (await people.may_approve(person("U0ANA"), "assist"))[0]
    assert place.asked == 1
    assert timedelta(seconds=60) >= KNOWN_FOR
    place.clock.advance(KNOWN_FOR.total_seconds())

    assert not (await people.may_approve(person("U0ANA"), "assist"))[0]
    assert (await people.may_approve(person("U0BEN"), "assist"))[0]
    assert place.asked == 2


async def test_nobody_is_on_call_after_their_shift_whatever_is_remembered(place: Place) -> None:
    end = place.clock.now() + timedelta(seconds=5)
    place.on_call({"user": "PANA", "end": end.isoformat()})
    people = place.people()
    assert (await people.may_approve(person("U0ANA"), "assist"))[0]

    place.clock.advance(5)

    assert not (await people.may_approve(person("U0ANA"), "assist"))[0]
    assert place.asked == 1


@pytest.mark.parametrize("status", [500, 429, 401, 403])
async def test_when_pagerduty_cannot_be_asked_nobody_is_on_call_and_the_listed_still_count(
    place: Place, status: int
) -> None:
    place.state.failures = [(status, {})] * 4
    people = place.people(slack_users=("U0BEN",))

    may, why = await people.may_approve(person("U0ANA"), "assist")

    assert not may
    assert why.startswith("PagerDuty cannot say who is on call now (")
    assert "a listed approver can decide" in why
    assert await people.may_approve(person("U0BEN"), "assist") == (True, "")


async def test_a_pager_that_fails_is_not_asked_for_every_click(place: Place) -> None:
    place.state.failures = [(503, {})]
    people = place.people()
    for _ in range(5):
        assert not (await people.may_approve(person("U0ANA"), "assist"))[0]
    assert place.asked == 1

    place.clock.advance(FAILED_FOR.total_seconds())

    assert (await people.may_approve(person("U0ANA"), "assist"))[0]


async def test_without_a_key_nobody_is_on_call(place: Place) -> None:
    may, why = await place.people(NoRota()).may_approve(person("U0ANA"), "assist")

    assert not may
    assert "no PagerDuty API key is set" in why


async def test_a_group_that_cannot_be_read_does_not_keep_out_who_is_on_call(place: Place) -> None:
    place.slack.api.faults.add(Fault(method="usergroups.users.list", status=500, count=9))
    people = place.people(slack_groups=("S0ASSIST",))

    assert (await people.may_approve(person("U0ANA"), "assist"))[0]
    may, why = await people.may_approve(person("U0BEN"), "assist")
    assert not may
    assert "Slack cannot say who you are now" in why


@pytest.mark.parametrize(
    ("user", "slack", "entry"),
    [
        ("U0ANA", {"email": "other@example.com"}, "PANA"),
        ("U0ANA", {"is_email_confirmed": False}, "PANA"),
        ("U0ANA", {"email": ""}, "PANA"),
        ("U0ANA", {"deleted": True}, "PANA"),
        ("U0ANA", {"is_restricted": True}, "PANA"),
        ("U0ANA", {"is_bot": True}, "PANA"),
        ("U0GUEST", {"email": "ana@example.com"}, "PANA"),
        ("U0STRANGER", {"email": "ana@example.com"}, "PANA"),
    ],
)
async def test_an_address_alone_makes_nobody_an_approver(
    place: Place, user: str, slack: dict[str, Any], entry: str
) -> None:
    place.on_call(entry)
    place.change(user, **slack)

    may, why = await place.people().may_approve(person(user), "assist")

    assert not may
    assert why


async def test_the_case_of_an_address_does_not_matter(place: Place) -> None:
    place.state.users["PANA"] = ("Ana Ruiz", "Ana@Example.COM")

    assert (await place.people().may_approve(person("U0ANA"), "assist"))[0]


async def test_without_the_scope_for_addresses_the_reason_says_so(place: Place) -> None:
    app = place.slack.workspace.app
    left = tuple(scope for scope in app.scopes if scope != "users:read.email")
    place.slack.workspace.app = app.model_copy(update={"scopes": left})

    may, why = await place.people().may_approve(person("U0ANA"), "assist")

    assert not may
    assert "no confirmed e-mail address" in why


async def test_slack_is_not_asked_again_and_again_about_who_is_not_on_call(place: Place) -> None:
    people = place.people()
    for _ in range(5):
        assert not (await people.may_approve(person("U0BEN"), "assist"))[0]
    assert sum(call["method"] == "users.info" for call in place.slack.api.calls) == 1
    place.on_call("PBEN")
    place.clock.advance(KNOWN_FOR.total_seconds())

    assert (await people.may_approve(person("U0BEN"), "assist"))[0]


async def test_whoever_is_on_call_is_looked_at_in_slack_each_time(place: Place) -> None:
    people = place.people()
    assert (await people.may_approve(person("U0ANA"), "assist"))[0]
    place.change("U0ANA", deleted=True)

    assert not (await people.may_approve(person("U0ANA"), "assist"))[0]


async def test_more_people_than_one_answer_holds_are_all_read(place: Place) -> None:
    for number in range(150):
        place.state.users[f"P{number:05}"] = (f"Person {number}", f"p{number}@example.com")
    place.on_call(*(f"P{number:05}" for number in range(150)), "PANA")

    assert (await place.people().may_approve(person("U0ANA"), "assist"))[0]
    assert place.asked == 2


async def test_what_pagerduty_says_of_another_policy_counts_for_nothing(place: Place) -> None:
    place.on_call({"user": "PANA", "escalation_policy": {"id": "PEPOTHER"}})

    assert not (await place.people().may_approve(person("U0ANA"), "assist"))[0]


async def test_an_end_that_cannot_be_read_is_no_shift(place: Place) -> None:
    place.on_call({"user": "PANA", "end": "some day"})

    assert not (await place.people().may_approve(person("U0ANA"), "assist"))[0]


async def test_a_policy_that_is_none_is_not_asked_for(place: Place) -> None:
    with pytest.raises(Undeliverable, match="no id of an escalation policy"):
        await place.rota.on_call("../users")
    assert place.asked == 0


def test_on_call_needs_a_policy_to_ask() -> None:
    team = Team(name="assist", slack_channel="C1", approvers=Approvers(on_call=True))

    with pytest.raises(ValidationError, match="needs pagerduty_escalation_policy"):
        Catalogue(teams=(team,), services=(), fallback_channel="C1")


# --- Names -----------------------------------------------------------------------------------------------------------


async def test_everybody_who_may_decide_is_named_once_and_nobody_is_called(place: Place) -> None:
    roster = place.roster(slack_users=("U0BEN",), slack_groups=("S0ASSIST",))
    place.on_call("PANA", {"user": "PBEN", "escalation_level": 2})
    assert roster.names("assist") == ()

    changed = await roster.refresh(["assist"])

    assert changed == ["assist"]
    assert roster.names("assist") == (
        Awaited(name="Ben Okafor", principal="slack:T0LOOP/U0BEN"), Awaited(name="@assist-oncall"),
        Awaited(name="Ana Ruiz", principal="slack:T0LOOP/U0ANA", on_call=True),
    )  # fmt: skip


async def test_names_are_looked_up_at_most_once_a_minute_and_tell_when_they_change(place: Place) -> None:
    roster = place.roster()
    await roster.refresh(["assist"])
    place.on_call("PBEN")

    assert await roster.refresh(["assist"]) == []
    place.clock.advance(FRESH.total_seconds())
    assert await roster.refresh(["assist"]) == ["assist"]
    assert [one.name for one in roster.names("assist")] == ["Ben Okafor"]
    place.clock.advance(STALE.total_seconds())
    assert roster.names("assist") == ()


async def test_where_pagerduty_does_not_answer_the_card_says_so(place: Place) -> None:
    place.state.failures = [(500, {})] * 3
    roster = place.roster(slack_users=("U0BEN",))

    await roster.refresh(["assist"])

    assert [one.name for one in roster.names("assist")] == [
        "Ben Okafor", "whoever is on call (PagerDuty does not say who)",
    ]  # fmt: skip


async def test_where_slack_does_not_answer_there_are_no_names(place: Place) -> None:
    place.slack.api.faults.add(Fault(method="users.info", status=500, count=9))
    roster = place.roster(slack_users=("U0BEN",), on_call=False)

    assert await roster.refresh(["assist"]) == []
    assert roster.names("assist") == ()
