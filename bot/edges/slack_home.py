"""The app's Home tab: what concerns whoever looks at it. Published when it is opened, and when it is different."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from slack_bolt.async_app import AsyncApp

from bot.domain import deciding, home, plan_card, wording
from bot.domain.home import Home
from bot.domain.proposal import Principal
from bot.domain.statement import plain
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView
from bot.edges.slack_blocks import Block, cut
from bot.edges.slack_client import Refused, ask, read
from bot.edges.slack_desk import FOREIGN, Json, Reception, logger, principal
from bot.ports import Duty, People, RetryLater, StorageDown, Undeliverable

MAX_VIEWERS = 200
"""People whose tab is kept up to date; of more, those who looked last."""
KEPT = timedelta(hours=8)
"""For so long after somebody looked: a shift."""
AT_ONCE = 20
"""Tabs that one round publishes at most, so that posting cards is never held up by the rate limit."""
MAX_INCIDENTS = 50


@dataclass(kw_only=True, slots=True)
class _Viewer:
    """Somebody who looked at their tab."""

    who: Principal
    until: datetime
    shown: str = ""
    """Digest of what is shown: the same is not published again."""


@dataclass(frozen=True, slots=True)
class HomeTab:
    """Listener for ``app_home_opened``; ``refresh`` is called now and then."""

    reception: Reception
    duty: Duty
    people: People
    _viewers: "OrderedDict[str, _Viewer]" = field(default_factory=OrderedDict)
    _links: dict[str, str] = field(default_factory=dict)

    def register(self, app: AsyncApp) -> None:
        """Tell Bolt what we listen to."""
        app.event("app_home_opened")(self.opened)

    async def opened(self, event: Json, body: Json) -> None:
        """Somebody looks at the tab."""
        if event.get("tab") not in (None, "home"):
            return
        user = str(event.get("user") or "")

        async def tell(text: str) -> None:
            await self._publish(user, [_section(text)])

        async def work() -> None:
            if not await self.reception.insider(user):
                await tell(FOREIGN)
                return
            name = await self.reception.name(user)
            who = principal({"id": user, "team_id": body.get("team_id"), "name": name}, None)
            until = self.reception.deps.clock.now() + KEPT
            self._viewers[user] = _Viewer(who=who, until=until)
            self._viewers.move_to_end(user)
            while len(self._viewers) > MAX_VIEWERS:
                self._viewers.popitem(last=False)
            await self._show([user])

        await self.reception.guarded(tell, work())

    async def refresh(self) -> None:
        """Publish again what is different now, for those who looked lately. What fails is tried at the next round."""
        now = self.reception.deps.clock.now()
        for user in [user for user, viewer in self._viewers.items() if viewer.until <= now]:
            del self._viewers[user]
        if self._viewers:
            try:
                await self._show(list(reversed(self._viewers)))
            except (RetryLater, Undeliverable, StorageDown) as error:
                logger.warning("slack_home_not_refreshed", extra={"reason": str(error)})

    async def _show(self, users: Sequence[str]) -> None:
        deps = self.reception.deps
        active = await deps.records.incidents(limit=MAX_INCIDENTS)
        views = [view for one in active if (view := await deps.records.view(one.id)) is not None]
        teams = [team.name for team in deps.catalogue.teams]
        overdue, published = await self.duty.overdue(teams), 0
        debts = await deps.records.debts()
        for user in users:
            viewer = self._viewers.get(user)
            if viewer is None or published >= AT_ONCE:
                continue
            own = [team for team in teams if (await self.people.may_approve(viewer.who, team))[0]]
            now = deps.clock.now()
            gathered = home.gather(views, overdue, viewer.who.id, {viewer.who.name}, own, now, debts)
            blocks = home_blocks(gathered, await self._card_links(gathered), deps.command, own)
            digest = hashlib.sha256(json.dumps(blocks).encode()).hexdigest()
            if digest != viewer.shown:
                await self._publish(user, blocks)
                viewer.shown = digest
                published += 1

    async def _publish(self, user: str, blocks: Sequence[Block]) -> None:
        view = {"type": "home", "blocks": list(blocks)}
        await ask(self.reception.deps.client.views_publish(user_id=user, view=view))

    async def _card_links(self, gathered: Home) -> dict[str, str]:
        """Where the cards are; a card that is gone has no link."""
        shown = [*gathered.incidents[: home.MOST], *(one.view for one in (*gathered.approvals, *gathered.leases))]
        for view in shown:
            if view.incident.id in self._links or view.message is None:
                continue
            about = {"channel": view.message.channel, "message_ts": view.message.ts}
            try:
                told = await read(self.reception.deps.client, "chat.getPermalink", **about)
            except Refused:
                continue
            while len(self._links) >= 10 * MAX_INCIDENTS:
                self._links.pop(next(iter(self._links)))
            self._links[view.incident.id] = str(told.get("permalink") or "")
        return self._links


def home_blocks(gathered: Home, links: dict[str, str], command: str, teams: Sequence[str]) -> list[Block]:
    """At most 100 blocks. Times are moments, never "in 5 minutes": what does not change is not published again."""
    incidents = [
        f"{_link(view, links)} {wording.STATUS[view.incident.status]}, {plain(view.incident.service)}, since "
        f"{wording.moment(view.incident.started_at)}: {quote(view.incident.title, 100)}"
        for view in gathered.incidents
    ]
    approvals = [
        f"{_link(one.view, links)} *{plain(plan_card.title(one.pv.proposal.plan))}* on "
        f"{quote(one.pv.proposal.plan.target, 80)}, {_have(one)} of {one.pv.proposal.plan.min_approvers}, until "
        f"{wording.moment(one.pv.proposal.plan.expires_at)}"
        for one in gathered.approvals
    ]
    leases = [
        f"{_link(one.view, links)} {plain(plan_card.title(one.pv.proposal.plan))} is put back at "
        f"{wording.moment(one.pv.apply.lease_until)}"
        for one in gathered.leases
        if one.pv.apply is not None and one.pv.apply.lease_until is not None
    ]
    overdue = [
        f"{quote(one.title, 80)} `{plain(one.runbook)}`, team {plain(one.owner)}, {one.days} days late"
        for one in gathered.overdue
    ]
    alone = [f"`{plain(one.incident_id)}` {plain(one.service)}: {plain(deciding.debt_line(one, one.at))}."
             for one in gathered.debts]  # fmt: skip
    whose = f"of team {' and '.join(map(plain, teams))}" if teams else "that you have a part in"
    last = f"Decide on the card. `{command} help` lists the rest."
    return [
        *_list("Approvals that wait for you", approvals, "Nothing waits for your approval."),
        *(_list("Break-glass to review", alone, "") if alone else ()),
        *_list("Open incidents", incidents, f"No open incident {whose}. `{command} list` shows all."),
        *_list("Leases that end", leases, "Nothing is set that will be put back by itself."),
        *_list("Runbooks to review", overdue, "No runbook of your teams is overdue for review."),
        {"type": "context", "elements": [{"type": "mrkdwn", "text": last}]},
    ]


def _list(title: str, lines: Sequence[str], empty: str) -> list[Block]:
    blocks: list[Block] = [{"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}}]
    blocks += [_section(text) for text in lines[: home.MOST]] or [_section(empty)]
    if len(lines) > home.MOST:
        blocks.append(_section(f"and {len(lines) - home.MOST} more"))
    return blocks


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text), "verbatim": True}}


def _link(view: IncidentView, links: dict[str, str]) -> str:
    """The incident's id, with a link to its card: an address of Slack's own."""
    link = links.get(view.incident.id, "")
    return f"<{link}|{plain(view.incident.id)}>" if link else f"`{plain(view.incident.id)}`"


def _have(one: home.About) -> int:
    return sum(vote.decision == "approve" for vote in one.pv.votes)
