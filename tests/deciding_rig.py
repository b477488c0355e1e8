"""The duty rig with who really may decide in it: the catalogue's people as Slack and PagerDuty tell of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.domain.view import ProposalView
from bot.edges.pagerduty_out import PagerDuty
from bot.edges.rota import CachedRota
from bot.edges.slack_people import SlackPeople
from config.catalogue import Approvers, BreakGlass, Catalogue, Rule
from tests.duty_rig import DutyRig, duty_rig
from tests.pagerduty_fakes import KEY

EVA = BreakGlass(services=("*",), up_to="R2", people=Approvers(slack_users=("U0EVA", "U0ANA")))


def policy(catalogue: Catalogue, *, count: int = 1, glass: tuple[BreakGlass, ...] = (EVA,), **team: Any) -> Catalogue:
    """So many approvers for every risk, of whom U0ANA and U0BEN are two; and who may break the glass."""
    rules = tuple(Rule(services=("*",), risk=risk, count=count) for risk in ("R0", "R1", "R2", "R3"))
    teams = tuple(
        one.model_copy(update={"approvers": one.approvers.model_copy(update=team)}) if one.name == "assist" else one
        for one in catalogue.teams
    )
    changed = catalogue.policy.model_copy(update={"rules": rules, "break_glass": glass})
    return catalogue.model_copy(update={"policy": changed, "teams": teams})


@asynccontextmanager
async def deciding(folder: Path, catalogue: Catalogue, **changes: Any) -> AsyncIterator[DutyRig]:
    """One incident with an open proposal, and its card."""
    async with duty_rig(folder, catalogue, **changes) as running:
        people = running.deps.people
        assert isinstance(people, SlackPeople)
        running.slack.workspace.join(running.slack.workspace.channel("C0ASSIST"), "U0EVA")
        use(running, catalogue, people)
        await propose(running)
        yield running


def use(running: DutyRig, catalogue: Catalogue, people: Any) -> None:
    """The process is started again with this catalogue and these people."""
    parts = replace(running.flow._parts, people=people, catalogue=catalogue)
    running.flow._parts = parts
    for part in (running.flow.desk, running.flow.flow, running.flow.flow.proposer, running.flow.flow.verification):
        part._ = parts
    running.flow.records._catalogue = catalogue


async def propose(running: DutyRig) -> None:
    """Investigate, and bring the card up to date."""
    await running.flow.flow.start_wanted()
    await running.flow.jobs.idle()
    await running.deliver()


async def shown(running: DutyRig) -> ProposalView:
    """The newest proposal."""
    return (await running.view()).proposals[-1]


def buttons(running: DutyRig) -> list[str]:
    """The buttons of the card."""
    message = running.slack.workspace.message("C0ASSIST", running.ts)
    blocks = [block for block in message.payload.get("blocks", []) if block["type"] == "actions"]
    return [str(element["text"]["text"]) for block in blocks for element in block["elements"]]


def card(running: DutyRig) -> str:
    """Everything that the card says."""
    return str(running.slack.workspace.message("C0ASSIST", running.ts).payload.get("blocks"))


async def press(running: DutyRig, user: str, button: str) -> str:
    """Press a button of the card; what that person is told."""
    before = len(running.told(user))
    await running.slack.acts.act(user, "C0ASSIST", running.ts, f"pagerunner_{button}")
    await running.flow.jobs.idle()
    await running.deliver()
    return "\n".join(running.told(user)[before:])


async def send(running: DutyRig, user: str, **values: str) -> tuple[str, dict[str, str]]:
    """Send the form in front of somebody; what they are told, and errors at its fields."""
    before = len(running.told(user))
    done = await running.submit(user, **values)
    await running.flow.jobs.idle()
    await running.deliver()
    return "\n".join(running.told(user)[before:]), dict(done.errors)


def rota(running: DutyRig, url: str, clock: Any) -> CachedRota:
    return CachedRota(PagerDuty(KEY, base_url=url, quick=True), clock)


__all__ = ["buttons", "card", "deciding", "policy", "press", "propose", "send", "shown", "use"]
