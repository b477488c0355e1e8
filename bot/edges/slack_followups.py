"""``/oncall followup``: what is to follow an incident, and how it becomes GitHub issues, shown before they are made."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain import wording
from bot.domain.followups import IssuePlan
from bot.domain.untrusted import escape, quote
from bot.domain.view import IncidentView
from bot.edges import slack_blocks
from bot.edges.slack_desk import FOREIGN, Json, Place, Reception, key, principal
from bot.edges.slack_typed import Reply, Row, Typed, free, leading, meant
from bot.following import listed
from bot.ports import Following, Told

CREATE = f"{slack_blocks.PREFIX}issues"
USAGE = "[INCIDENT] TEXT [@OWNER] | list | push"
LONGEST = 2_900
"""Characters of a body in one block, which must not be cut: people agree to what they see."""
_OWNER = re.compile(r"<@[A-Z0-9]+(?:\|[^>]*)?>|@\S+")


@dataclass(frozen=True, slots=True)
class FollowCommands:
    """The command and its button, over :class:`bot.ports.Following`."""

    reception: Reception
    follow: Following

    def rows(self) -> tuple[Row, ...]:
        """For the table of commands."""
        return (("Record", "followup", USAGE, "note what is to be done; push makes GitHub issues", self._followup),)

    def register(self, app: AsyncApp) -> None:
        """Tell Bolt what we listen to."""
        app.action(CREATE)(self.agreed)

    async def _followup(self, typed: Typed) -> Reply:
        what = typed.words[0].lower() if typed.words else ""
        if what in ("list", "push"):
            rest = replace(typed, words=typed.words[1:], written=typed.written[1:])
            view = await meant(self.reception, rest, at_most=1)
            if isinstance(view, Reply):
                return await self._which(rest, view, f"followup {what}")
            return await self._push(view) if what == "push" else _listed(view)
        typed, view = await leading(self.reception, typed)
        if isinstance(view, Reply):
            return await self._which(typed, view, "followup")
        words, owner = typed.written, ""
        if words and _OWNER.fullmatch(words[-1]):
            words, owner = words[:-1], (await free(self.reception, words[-1:])).removeprefix("@")
        text = await free(self.reception, words)
        if not text:
            return Reply(text=f"Say what is to be done. Usage: `{self.reception.deps.command} followup {USAGE}`")
        told = await self.follow.add(view.incident.id, text, owner, typed.who, key("act", typed.trigger_id, typed.user))
        return Reply(text=escape(told.text))

    async def _which(self, typed: Typed, problem: Reply, command: str) -> Reply:
        """Follow-ups come when an incident is over: then it has to be named, and this is how."""
        if typed.words and re.fullmatch(r"inc-[0-9a-z-]+", typed.words[0]):
            return problem
        recent = await self.reception.deps.records.incidents(active_only=False)
        here = next((i for i in recent if typed.channel in (i.channel, self.reception.home(i.team))), None)
        if here is None:
            return problem
        slash = self.reception.deps.command
        text = f"Which incident? The newest of this channel is {quote(here.title, 60)}: `{slash} {command} {here.id} …`"
        return Reply(text=text)

    async def _push(self, view: IncidentView) -> Reply:
        plan = await self.follow.plan(view.incident.id)
        if isinstance(plan, Told):
            return Reply(text=escape(plan.text))
        return Reply(text=escape(_head(plan)), blocks=list(_shown(plan)))

    async def agreed(self, ack: AsyncAck, body: Json) -> None:
        """*Create* below what would be created: exactly that, once."""
        await ack()
        action = body["actions"][0]
        channel = str((body.get("channel") or {}).get("id") or (body.get("container") or {}).get("channel_id") or "")
        who = principal(body["user"], body.get("team"))

        async def tell(text: str) -> None:
            await self.reception.tell(str(body["user"]["id"]), Place(channel=channel), text)

        async def work() -> None:
            agreed = slack_blocks.pressed(str(action.get("value") or ""))
            if agreed is None:
                await tell("This button is not one of mine. Nothing was created.")
            elif not await self.reception.ours(who) or await self.reception.view(agreed.proposal_id) is None:
                await tell(FOREIGN)
            else:
                told = await self.follow.push(agreed.proposal_id, agreed.plan_hash, who)
                await tell(escape(told.text))

        await self.reception.guarded(tell, work())


def _listed(view: IncidentView) -> Reply:
    lines = listed(view)
    if not lines:
        return Reply(text=f"{quote(view.incident.id)} has no follow-ups.")
    return Reply(text="\n".join([f"*Follow-ups of* {quote(view.incident.id)}", *(quote(line, 400) for line in lines)]))


def _head(plan: IssuePlan) -> str:
    what = wording.plural(len(plan.issues), "issue")
    more = f" {wording.plural(plan.left, 'follow-up')} more after these." if plan.left else ""
    return (
        f"{what} would be created in {plan.repository}, redacted for: {plan.redaction}.{more} Nothing is created yet."
    )


def _shown(plan: IssuePlan) -> Iterator[dict[str, Any]]:
    """Title and body of each, exactly as they would be created, and one button for all of them."""
    yield {"type": "section", "text": {"type": "plain_text", "text": _head(plan), "emoji": False}}
    for one in plan.issues:
        elements: list[dict[str, Any]] = [
            {"type": "rich_text_section", "elements": [{"type": "text", "text": one.title, "style": {"bold": True}}]}
        ]
        for part in _parts(one.body):
            elements.append({"type": "rich_text_preformatted", "elements": [{"type": "text", "text": part}]})
        yield {"type": "rich_text", "elements": elements}
    label = f"Create {wording.plural(len(plan.issues), 'issue')}"
    button = {"type": "button", "action_id": CREATE, "style": "primary",
              "text": {"type": "plain_text", "text": label, "emoji": False},
              "value": slack_blocks.sealed(plan.incident_id, plan.hash)}  # fmt: skip
    yield {"type": "actions", "block_id": CREATE, "elements": [button]}


def _parts(body: str) -> list[str]:
    """The body in pieces that fit, cut between lines."""
    parts = [""]
    for each in body.split("\n"):
        if parts[-1] and len(parts[-1]) + len(each) + 1 > LONGEST:
            parts.append(each)
        else:
            parts[-1] = f"{parts[-1]}\n{each}" if parts[-1] else each
    return parts
