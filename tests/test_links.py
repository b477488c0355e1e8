"""A command line that acts as a person in Slack: the way there, and everything that somebody else could try."""

import asyncio
import hashlib
import json
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from bot.cli import linked, main
from bot.domain.proposal import Principal, VoteResult
from bot.edges import links as rules
from bot.edges import schema
from bot.edges.chain import INSTALLATION, entries
from bot.edges.database import Database
from bot.edges.links import ALPHABET, CODE_VALID, LINK_VALID, WINDOW, WRONG_AT_MOST, WRONG_OF_ALL, SqlLinks
from bot.ports import CodeMade, Link, Told, VoteContext
from config.catalogue import Catalogue
from tests.conftest import FakeClock
from tests.deciding_rig import deciding, policy, press, send, shown
from tests.duty_rig import DutyRig, WallClock
from tests.slack_rig import until
from tests.web_fakes import TOKEN, Site, site

KEY = b"k" * 32
SECRET = "a-secret-of-this-command-line-0123456789"
ANA = Principal(id="slack:T0LOOP/U0ANA", name="ana", via="slack")
BEN = Principal(id="slack:T0LOOP/U0BEN", name="ben", via="slack")


def digest(secret: str = SECRET) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@pytest.fixture
def links(database: Database, clock: FakeClock) -> SqlLinks:
    return SqlLinks(database, clock, KEY)


async def made(links: SqlLinks, secret: str = SECRET) -> CodeMade:
    found = await links.make(digest(secret), "root on box", "local:root")
    assert isinstance(found, CodeMade)
    return found


async def active(links: SqlLinks, who: Principal = ANA) -> str:
    """A link of this person, confirmed."""
    code = await made(links)
    assert (await links.claim(code.code, who)).ok
    assert (await links.confirm(code.link, SECRET)).ok
    return code.link


async def kinds(database: Database) -> list[str]:
    return [e.fact.kind for e in await database.run(lambda c: list(entries(c, INSTALLATION)))]


# --- The rows --------------------------------------------------------------------------------------------------------


async def test_a_code_is_made_typed_and_confirmed_and_then_the_secret_acts_as_that_person(
    links: SqlLinks, database: Database
) -> None:
    code = await made(links)
    assert await links.acts_as(code.link, SECRET) is None
    await links.claim(code.code.lower().replace("-", " "), ANA)
    assert await links.acts_as(code.link, SECRET) is None
    await links.confirm(code.link, SECRET)

    link = await links.acts_as(code.link, SECRET)

    assert link is not None
    assert (link.principal, link.name, link.active) == (ANA.id, "ana", True)
    assert await kinds(database) == ["link_made", "link_claimed", "link_confirmed"]


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("pagerunner.sqlite*"))


async def test_neither_code_nor_secret_is_in_the_database(links: SqlLinks, database: Database, tmp_path: Path) -> None:
    code = await made(links)
    await links.asked("WRNG-CDEX", ANA)
    stored = everything(tmp_path)

    assert SECRET.encode() not in stored
    for form in (code.code, code.code.replace("-", "")):
        assert form.encode() not in stored
        assert hashlib.sha256(form.encode()).hexdigest().encode() not in stored


async def test_a_code_works_once(links: SqlLinks) -> None:
    code = await made(links)
    assert (await links.claim(code.code, ANA)).ok

    again, other = await links.claim(code.code, ANA), await links.claim(code.code, BEN)

    assert not again.ok
    assert not other.ok
    assert await links.links(BEN.id) == []


async def test_of_many_who_type_it_at_once_one_has_it(links: SqlLinks) -> None:
    code = await made(links)
    told = await asyncio.gather(*(links.claim(code.code, who) for who in [ANA, BEN] * 5))

    assert sum(one.ok for one in told) == 1


async def test_a_code_is_over_after_ten_minutes_and_at_that_moment(links: SqlLinks, clock: FakeClock) -> None:
    code = await made(links)
    clock.advance(CODE_VALID.total_seconds())

    assert timedelta(minutes=10) == CODE_VALID
    assert not (await links.claim(code.code, ANA)).ok
    assert await links.of_secret(code.link, SECRET) is None
    assert await links.links() == []


async def test_what_was_typed_and_never_confirmed_is_void_soon(links: SqlLinks, clock: FakeClock) -> None:
    code = await made(links)
    clock.advance(CODE_VALID.total_seconds() - 1)
    assert (await links.claim(code.code, ANA)).ok
    clock.advance(60)
    assert await links.of_secret(code.link, SECRET) is not None
    clock.advance(rules.CONFIRM_WITHIN.total_seconds())

    assert not (await links.confirm(code.link, SECRET)).ok
    assert await links.links() == []


async def test_guessing_is_counted_and_stopped_for_each_person_and_for_all(links: SqlLinks, clock: FakeClock) -> None:
    code = await made(links)
    for _ in range(WRONG_AT_MOST):
        assert "not valid" in (await links.claim("2222-2222", ANA)).text

    right = await links.claim(code.code, ANA)
    shut = await links.asked(code.code, ANA)

    assert not right.ok
    assert "Too many wrong codes" in right.text
    assert isinstance(shut, Told)
    for number in range(WRONG_OF_ALL - WRONG_AT_MOST):
        await links.claim("2222-2222", Principal(id=f"slack:T0LOOP/U{number}", name="x", via="slack"))
    assert "Too many wrong codes" in (await links.claim(code.code, BEN)).text

    clock.advance(WINDOW.total_seconds())
    assert (await links.claim((await made(links)).code, ANA)).ok


async def test_what_can_be_guessed_is_much_more_than_what_may_be_tried(links: SqlLinks) -> None:
    assert len(set(ALPHABET)) ** rules.CODE_LENGTH > 10**5 * WRONG_OF_ALL * rules.WAITING_AT_MOST * 24 * 365
    assert len({(await made(SqlLinks(links._database, links._clock, KEY))).code for _ in range(5)}) == 5


async def test_codes_are_made_at_a_bounded_pace(links: SqlLinks, clock: FakeClock) -> None:
    for _ in range(rules.WAITING_AT_MOST):
        await made(links)
    full = await links.make(digest(), "root on box", "local:root")
    assert isinstance(full, Told)
    for _ in range(3):
        clock.advance(CODE_VALID.total_seconds() + 1)
        for _ in range(rules.WAITING_AT_MOST):
            await made(links)
    clock.advance(CODE_VALID.total_seconds() + 1)

    told = await links.make(digest(), "root on box", "local:root")

    assert isinstance(told, Told)
    assert "in the last hour" in told.text


@pytest.mark.parametrize("secret", ["", "another-secret-0123456789", SECRET + "x", digest()])
async def test_without_the_secret_a_link_is_nobodys(links: SqlLinks, secret: str) -> None:
    link = await active(links)

    assert await links.acts_as(link, secret) is None
    assert await links.of_secret(link, secret) is None
    assert not (await links.confirm(link, secret)).ok


async def test_a_secret_fits_its_own_link_alone(links: SqlLinks) -> None:
    mine = await active(links)
    other = await made(links, "secret-of-somebody-else-0123456789")
    await links.claim(other.code, BEN)
    await links.confirm(other.link, "secret-of-somebody-else-0123456789")

    assert await links.acts_as(other.link, SECRET) is None
    assert await links.acts_as(mine, "secret-of-somebody-else-0123456789") is None


async def test_after_unlinking_the_secret_is_worth_nothing(links: SqlLinks, database: Database) -> None:
    link = await active(links)
    told = await links.end(link, ANA, only_of=ANA.id)

    assert told.ok
    assert await links.acts_as(link, SECRET) is None
    assert not (await links.confirm(link, SECRET)).ok
    assert not (await links.end(link, ANA)).ok
    assert (await kinds(database))[-1] == "link_ended"


async def test_nobody_unlinks_what_is_somebody_elses_in_slack(links: SqlLinks) -> None:
    link = await active(links)

    assert not (await links.end(link, BEN, only_of=BEN.id)).ok
    assert await links.acts_as(link, SECRET) is not None


async def test_a_link_does_not_last_for_ever(links: SqlLinks, clock: FakeClock) -> None:
    link = await active(links)
    clock.advance(LINK_VALID.total_seconds())

    assert await links.acts_as(link, SECRET) is None
    assert await links.links() == []


async def test_a_code_that_was_ended_before_it_was_typed_is_worth_nothing(links: SqlLinks) -> None:
    code = await made(links)
    await links.end(code.link, Principal(id="local:root", name="root", via="cli"))

    assert not (await links.claim(code.code, ANA)).ok


async def test_when_it_was_used_is_kept(links: SqlLinks, clock: FakeClock) -> None:
    link = await active(links)
    clock.advance(60)
    await links.acts_as(link, SECRET)

    (one,) = await links.links(ANA.id)

    assert isinstance(one, Link)
    assert one.used_at == clock.now()


async def test_another_installation_s_key_opens_no_code(links: SqlLinks, database: Database, clock: FakeClock) -> None:
    code = await made(links)

    assert not (await SqlLinks(database, clock, b"o" * 32).claim(code.code, ANA)).ok


# --- All of it: the command line, the API over HTTP, real Bolt in the workspace --------------------------------------


@dataclass(kw_only=True)
class Town:
    """A command line, a server and a workspace."""

    duty: DutyRig
    here: Site
    folder: Path
    links: SqlLinks

    def type(self, *words: str, stdin: str | None = None, home: str = "home") -> "asyncio.Future[Result]":
        environ = {"PAGERUNNER_DATA": str(self.folder / "data"), "XDG_CONFIG_HOME": str(self.folder / home)}
        task = asyncio.to_thread(CliRunner().invoke, main, list(words), input=stdin, env=environ)
        return asyncio.ensure_future(task)

    async def waiting(self, count: int = 1) -> str:
        """The code that the command line shows to its person: here read where it is made."""
        return await until(lambda: len(CODES) >= count and CODES[-1])

    async def link(self, user: str = "U0ANA", stdin: str = "y\n", home: str = "home") -> Result:
        """`pagerunner link` in one place, `/oncall link` in the other."""
        count = len(CODES)
        running = self.type("link", stdin=stdin, home=home)
        code = await self.waiting(count + 1)
        said = await self.duty.type(user, f"/oncall link {code}")
        assert "form" in said
        await send(self.duty, user)
        return await running

    async def vote(self, **headers: str) -> Any:
        one = (await shown(self.duty)).proposal
        body = {"plan_hash": one.plan_hash, "decision": "approve"}
        reply = await self.here.client.post(
            f"/api/v1/proposals/{one.id}/votes", json=body, headers=self.here.api(**headers)
        )
        await self.duty.flow.jobs.idle()
        return reply


CODES: list[str] = []


class Overheard(SqlLinks):
    """Tells the test the code, which a person would read on the screen."""

    async def make(self, secret_hash: str, label: str, by: str) -> CodeMade | Told:
        made = await super().make(secret_hash, label, by)
        if isinstance(made, CodeMade):
            CODES.append(made.code)
        return made


@asynccontextmanager
async def town(folder: Path, catalogue: Catalogue, count: int = 1) -> AsyncIterator[Town]:
    CODES.clear()
    async with deciding(folder, policy(catalogue, count=count), key=KEY) as duty:
        own = duty.deps.links
        assert isinstance(own, SqlLinks)
        links = Overheard(own._database, WallClock(), KEY)
        async with site(desk=duty.flow.desk, records=duty.flow.records, links=links) as here:
            (folder / "data").mkdir()
            (folder / "data" / "address").write_text(f"http://127.0.0.1:{here.port}")
            (folder / "data" / "token").write_text(TOKEN)
            yield Town(duty=duty, here=here, folder=folder, links=links)


@pytest.fixture
async def place(tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    monkeypatch.setattr("bot.cli.link.LOOK_EVERY_S", 0.05)
    async with town(tmp_path, catalogue) as found:
        yield found


@pytest.fixture
async def two(tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    """Two approvers are wanted."""
    monkeypatch.setattr("bot.cli.link.LOOK_EVERY_S", 0.05)
    async with town(tmp_path, catalogue, count=2) as found:
        yield found


def file(place: Town, home: str = "home") -> Path:
    (found,) = (place.folder / home).rglob("*.json")
    return found


async def test_from_then_on_the_command_line_votes_as_that_person(place: Town) -> None:
    linked_ = await place.link()
    voted = await place.type("approve", place.duty.incident, "--yes")
    await place.duty.flow.jobs.idle()

    assert linked_.exit_code == 0, linked_.output
    assert "It was typed by ana (T0LOOP/U0ANA). Is that you?" in linked_.output
    assert voted.exit_code == 0, voted.output
    (vote,) = (await shown(place.duty)).votes
    assert (vote.principal, vote.name) == (ANA.id, "ana")
    (cast,) = await place.duty.facts("vote_cast")
    assert (cast["via"], cast["link"][:3]) == ("cli", "ln-")
    assert place.duty.flow.target.effects == ["apply shift_traffic"]


async def test_it_and_the_person_in_slack_are_one_voter(two: Town) -> None:
    await two.link()
    first = await two.type("approve", two.duty.incident, "--yes")
    again = await press(two.duty, "U0ANA", "approve")
    assert two.duty.flow.target.effects == []
    await press(two.duty, "U0BEN", "approve")

    assert "more approvers are needed" in first.output
    assert "already voted" in again
    assert two.duty.flow.target.effects == ["apply shift_traffic"]
    assert {vote.principal for vote in (await shown(two.duty)).votes} == {ANA.id, BEN.id}


async def test_it_has_the_rights_that_the_person_has_now(place: Town) -> None:
    await place.link("U0GUEST")
    refused = await place.type("approve", place.duty.incident, "--yes")

    assert refused.exit_code == 1
    assert "not an approver of team assist" in refused.output
    assert place.duty.flow.target.effects == []


async def test_a_person_who_was_deactivated_does_nothing_any_more(place: Town) -> None:
    await place.link()
    users = place.duty.slack.workspace.users
    users["U0ANA"] = users["U0ANA"].model_copy(update={"deleted": True})

    refused = await place.type("approve", place.duty.incident, "--yes")

    assert "deactivated" in refused.output
    assert place.duty.flow.target.effects == []


async def test_an_unlinked_command_line_is_the_one_local_person(two: Town) -> None:
    refused = await two.type("approve", two.duty.incident, "--yes")

    assert refused.exit_code == 1
    assert "several people" in refused.output


async def test_the_token_alone_makes_nobody_a_person_in_slack(two: Town) -> None:
    await two.link()
    link = json.loads(file(two).read_text())["id"]
    shown_ = [
        {"x-pagerunner-user": "slack:T0LOOP/U0ANA"}, {"x-pagerunner-link": link},
        {"x-pagerunner-link": f"{link}."}, {"x-pagerunner-link": f"{link}.{TOKEN}"},
        {"x-pagerunner-link": f"{link}.{digest()}"}, {"x-pagerunner-link": "slack:T0LOOP/U0ANA"},
        {"x-pagerunner-via": "slack"}, {"x-pagerunner-user": "ana"},
    ]  # fmt: skip
    for headers in shown_:
        reply = await two.vote(**headers)
        assert reply.status_code in (400, 401, 403, 422), (headers, reply.text)
    assert (await shown(two.duty)).votes == ()


async def test_the_secret_alone_is_not_enough_without_the_token(place: Town) -> None:
    await place.link()
    stored = json.loads(file(place).read_text())
    shown_ = {"authorization": "Bearer wrong", "x-pagerunner-link": f"{stored['id']}.{stored['secret']}"}

    assert (await place.vote(**shown_)).status_code == 401


async def test_a_stolen_file_is_worth_nothing_after_unlinking_in_slack(place: Town) -> None:
    await place.link()
    stored = json.loads(file(place).read_text())
    told = await place.duty.type("U0ANA", "/oncall unlink")
    reply = await place.vote(**{"x-pagerunner-link": f"{stored['id']}.{stored['secret']}"})
    typed = await place.type("approve", place.duty.incident, "--yes")

    assert "acts as nobody any more" in told
    assert reply.status_code == 401
    assert typed.exit_code == 1
    assert "pagerunner unlink" in typed.output
    assert place.duty.flow.target.effects == []


async def test_the_stop_works_whatever_became_of_the_link(place: Town) -> None:
    await place.link()
    await place.duty.type("U0ANA", "/oncall unlink")
    file(place).chmod(0o644)

    stopped = await place.type("freeze", "--reason", "now")

    assert stopped.exit_code == 0, stopped.output
    assert "now" in await place.duty.flow.gate.frozen("chat-assistant")


async def test_unlinking_here_forgets_the_secret_and_it_is_local_again(place: Town) -> None:
    await place.link()
    before = await place.type("link", "--list")
    told = await place.type("unlink")
    after = await place.type("link", "--list")
    again = await place.type("unlink")

    assert "acts as ana (slack:T0LOOP/U0ANA)" in before.output
    assert told.exit_code == 0, told.output
    assert list((place.folder / "home").rglob("*.json")) == []
    assert after.output == "No command line is linked to anybody.\n"
    assert "not linked to anybody" in again.output


async def test_when_somebody_else_types_the_code_its_maker_says_no(place: Town) -> None:
    refused = await place.link("U0BEN", stdin="n\n")

    assert refused.exit_code == 1
    assert "It was typed by ben" in refused.output
    assert "Nothing is linked" in refused.output
    assert await place.links.links() == []
    assert list((place.folder / "home").rglob("*.json")) == []


async def test_until_its_maker_confirms_it_acts_as_nobody(place: Town) -> None:
    code = await place.links.make(digest(), "root on box", "local:root")
    assert isinstance(code, CodeMade)
    await place.duty.type("U0ANA", f"/oncall link {code.code}")
    await send(place.duty, "U0ANA")

    reply = await place.vote(**{"x-pagerunner-link": f"{code.link}.{SECRET}"})

    assert reply.status_code == 401


async def test_the_person_is_shown_what_they_link_and_warned_before_anything_is(place: Town) -> None:
    code = await place.links.make(digest(), "*mallory* <!channel> on box", "local:mallory")
    assert isinstance(code, CodeMade)
    await place.duty.type("U0ANA", f"/oncall link {code.code}")
    form = str(place.duty.modal("U0ANA")["blocks"])

    assert "*mallory* <!channel> on box" in form
    assert "mrkdwn" not in form
    assert "If somebody sent you this code, cancel" in form
    assert await place.links.links(ANA.id) == []


@pytest.mark.parametrize("user", ["U0STRANGER", "U0GONE"])
async def test_strangers_and_those_who_left_link_nothing(place: Town, user: str) -> None:
    code = await place.links.make(digest(), "root on box", "local:root")
    assert isinstance(code, CodeMade)
    channel = place.duty.slack.workspace.channel("C0ASSIST")
    place.duty.slack.workspace.join(channel, user)

    await place.duty.type(user, f"/oncall link {code.code}")

    assert place.duty.slack.surfaces.top(user) is None
    assert [one.principal for one in await place.links.links()] == [""]


async def test_a_wrong_code_in_slack_says_what_to_do(place: Town) -> None:
    told = await place.duty.type("U0ANA", "/oncall link 2222-2222")

    assert "works once, for ten minutes" in told
    assert place.duty.slack.surfaces.top("U0ANA") is None


async def test_one_s_own_links_are_listed_in_slack(place: Town) -> None:
    none = await place.duty.type("U0ANA", "/oncall link")
    await place.link()
    own, other = await place.duty.type("U0ANA", "/oncall link"), await place.duty.type("U0BEN", "/oncall link")

    assert "No command line acts as you" in none
    assert "ln-" in own
    assert "No command line acts as you" in other
    link = (await place.links.links())[0].id
    assert "no such link" in await place.duty.type("U0BEN", f"/oncall unlink {link}")
    assert "acts as nobody any more" in await place.duty.type("U0ANA", f"/oncall unlink {link}")


async def test_the_secret_is_kept_for_its_owner_alone_away_from_the_token(place: Town) -> None:
    await place.link()
    kept = file(place)

    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert not kept.is_relative_to(place.folder / "data")


def _linked_to(kept: Path) -> None:
    other = kept.with_name("other")
    kept.rename(other)
    kept.symlink_to(other)


@pytest.mark.parametrize("spoil", [lambda f: f.chmod(0o640), lambda f: f.write_text("{}"), _linked_to])
async def test_a_file_that_others_could_have_touched_is_not_used(place: Town, spoil: Callable[[Path], None]) -> None:
    await place.link()
    spoil(file(place))

    refused = await place.type("approve", place.duty.incident, "--yes")

    assert refused.exit_code == 1
    assert "Remove the file" in refused.output
    assert place.duty.flow.target.effects == []


async def test_a_second_link_is_refused_and_a_dead_one_is_replaced(place: Town) -> None:
    await place.link()
    second = await place.type("link")
    await place.duty.type("U0ANA", "/oncall unlink")
    third = await place.link()

    assert second.exit_code == 1
    assert "acts as ana already" in second.output
    assert third.exit_code == 0, third.output


async def test_links_for_other_data_folders_are_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    linked.write(tmp_path / "a", linked.Stored(id="ln-00000001", secret="s", active=True))

    assert linked.read(tmp_path / "a") is not None
    assert linked.read(tmp_path / "b") is None


async def test_without_slack_there_is_nobody_to_link_to(tmp_path: Path) -> None:
    async with site() as here:
        body = {"secret_sha256": digest(), "label": "x"}
        reply = await here.client.post("/api/v1/links", json=body, headers=here.api())
        shown_ = {"x-pagerunner-link": f"ln-0a1b2c3d.{SECRET}"}
        refused = await here.client.post(
            "/api/v1/incidents/inc-7f3a2c/note", json={"text": "x"}, headers=here.api(**shown_)
        )

    assert reply.status_code == 409
    assert "Slack is not connected" in reply.text
    assert refused.status_code == 401
    assert here.desk.calls == []


async def test_break_glass_and_review_go_by_a_linked_command_line(two: Town) -> None:
    await two.link("U0EVA")
    without = await two.type("approve", two.duty.incident, "--yes", "--break-glass")
    alone = await two.type("approve", two.duty.incident, "--yes", "--break-glass", "--reason", "nobody answers")
    await two.duty.flow.jobs.idle()
    own = await two.type("review", two.duty.incident, "--note", "it was right")
    local = await two.type("review", two.duty.incident, "--note", "it was right", home="elsewhere")
    await two.link("U0BEN", home="ben")
    other = await two.type("review", two.duty.incident, "--note", "it was right", home="ben")

    assert "needs a reason" in without.output
    assert alone.exit_code == 0, alone.output
    assert two.duty.flow.target.effects == ["apply shift_traffic"]
    assert "nobody reviews what they approved alone" in own.output
    assert "does not show who it is" in local.output
    assert other.exit_code == 0, other.output


async def test_the_desk_judges_a_linked_vote_as_it_judges_a_click(place: Town) -> None:
    who = Principal(id=ANA.id, name="ana", via="cli", link="ln-0a1b2c3d")
    one = (await shown(place.duty)).proposal
    stale = await place.duty.flow.desk.vote(one.id, "0" * 64, "approve", who, VoteContext())

    assert stale is VoteResult.STALE_PLAN


async def test_the_table_keeps_wrong_codes_for_an_hour_only(
    links: SqlLinks, database: Database, clock: FakeClock
) -> None:
    await links.claim("2222-2222", ANA)
    clock.advance(WINDOW.total_seconds())
    await links.claim("2222-2222", ANA)

    rows = await database.run(lambda c: c.execute(select(schema.cli_link_try.c.id)).all())

    assert len(rows) == 1
