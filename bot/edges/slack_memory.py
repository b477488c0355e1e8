"""Messages of people for the timeline: the entry in a message's menu, and a reaction."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain.proposal import Principal
from bot.domain.untrusted import escape
from bot.edges.slack_client import Refused, read
from bot.edges.slack_desk import FOREIGN, Json, Place, Reception, key, principal
from bot.ports import Duty, Quoted, Told

SHORTCUT = "add_to_timeline"
WHERE = ("I could not tell which incident this belongs to. Write below the incident's card, or put it there by "
         "hand: `{command} timeline add INCIDENT TEXT`.")  # fmt: skip
OURS = "Only what people write can be added; what I say is on the timeline already."
NO_TEXT = "This message has no text. Put in your own words what it shows: `{command} timeline add INCIDENT TEXT`."
_TS = re.compile(r"[0-9]{1,12}\.[0-9]{1,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Memory:
    """Listeners for the message shortcut and for reactions."""

    reception: Reception
    duty: Duty

    def register(self, app: AsyncApp) -> None:
        """Tell Bolt what we listen to."""
        app.shortcut(SHORTCUT)(self.chosen)
        app.event("reaction_added")(self.reacted)
        app.event("reaction_removed")(self.unreacted)

    async def chosen(self, ack: AsyncAck, body: Json) -> None:
        """*Add to timeline* in a message's menu."""
        await ack()
        message, channel = body.get("message") or {}, str((body.get("channel") or {}).get("id") or "")
        who = principal(body["user"], body.get("team"))

        async def tell(text: str) -> None:
            await self.reception.tell(str(body["user"]["id"]), Place(channel=channel), text)

        async def work() -> None:
            if not await self.reception.ours(who):
                await tell(FOREIGN)
            elif await self.reception.deps.first_time(key("shortcut", body.get("trigger_id"), body.get("action_ts"))):
                await tell(await self._keep(channel, message, who))

        await self.reception.guarded(tell, work())

    async def reacted(self, event: Json, body: Json) -> None:
        """Somebody put a reaction on a message; ours says that it belongs on the timeline."""
        await self._on_reaction(event, body, added=True)

    async def unreacted(self, event: Json, body: Json) -> None:
        """The reaction was taken back; when nobody's is left, the entry is hidden."""
        await self._on_reaction(event, body, added=False)

    async def _on_reaction(self, event: Json, body: Json, *, added: bool) -> None:
        deps, item = self.reception.deps, event.get("item") or {}
        if (
            not deps.timeline_reaction
            or event.get("reaction") != deps.timeline_reaction
            or item.get("type") != "message"
        ):
            return
        user, channel, ts = str(event.get("user") or ""), str(item.get("channel") or ""), str(item.get("ts") or "")

        async def tell(text: str) -> None:
            await self.reception.tell(user, Place(channel=channel), text)

        async def work() -> None:
            if not await self.reception.insider(user):
                return
            # The event's own id: the same person may add, take back and add again.
            if not await deps.first_time(key("reaction", body.get("event_id") or event.get("event_ts"))):
                return
            name = await self.reception.name(user)
            who = principal({"id": user, "team_id": body.get("team_id"), "name": name}, None)
            told = await (self._added(channel, ts, who) if added else self._removed(channel, ts, who))
            if told:
                await tell(told)

        await self.reception.guarded(tell, work())

    async def _added(self, channel: str, ts: str, who: Principal) -> str:
        return await self._keep(channel, await self._message(channel, ts), who)

    async def _removed(self, channel: str, ts: str, who: Principal) -> str:
        wanted = self.reception.deps.timeline_reaction
        try:
            message = await self._message(channel, ts)
        except Refused as refused:
            if refused.code != "message_not_found":
                raise
            message = {}
        if any(reaction.get("name") == wanted and reaction.get("count") for reaction in message.get("reactions") or ()):
            return ""  # Somebody else still wants it there.
        told = await self.duty.drop(channel, ts, who)
        return escape(told.text) if told else ""

    async def _message(self, channel: str, ts: str) -> Mapping[str, Any]:
        told = await read(self.reception.deps.client, "reactions.get", channel=channel, timestamp=ts, full=True)
        return dict(told.get("message") or {})

    async def _keep(self, channel: str, message: Mapping[str, Any], who: Principal) -> str:
        """Put it on the timeline; the words for whoever asked."""
        deps, ts = self.reception.deps, str(message.get("ts") or "")
        command = deps.command
        await deps.chat.must_be_ours(channel)
        if message.get("bot_id") or not message.get("user") or _TS.fullmatch(ts) is None:
            return OURS
        text = await self.reception.written(str(message.get("text") or ""))
        if not text:
            return NO_TEXT.format(command=command)
        link = str(
            (await read(deps.client, "chat.getPermalink", channel=channel, message_ts=ts)).get("permalink") or ""
        )
        incident = await self._incident(channel, str(message.get("thread_ts") or _thread(link) or ""))
        if incident is None:
            return WHERE.format(command=command)
        told: Told = await self.duty.keep(incident, await self._quoted(channel, message, text, link), who)
        return escape(told.text)

    async def _quoted(self, channel: str, message: Mapping[str, Any], text: str, link: str) -> Quoted:
        us, user = await self.reception.deps.workspace.us(), str(message["user"])
        team = str(message.get("user_team") or message.get("source_team") or message.get("team") or us.team_id)
        author = principal({"id": user, "team_id": team, "name": await self.reception.name(user)}, None)
        ts = str(message["ts"])
        return Quoted(channel=channel, ts=ts, text=text, author=author, link=link,
                      said_at=datetime.fromtimestamp(float(ts), UTC))  # fmt: skip

    async def _incident(self, channel: str, thread: str) -> str | None:
        """Of the card in whose thread it stands; elsewhere in the channel, of its only incident."""
        found = await self.reception.incident_at(channel, thread)
        return found or await self.reception.only_incident_in(channel)


def _thread(link: str) -> str:
    """The thread that a permalink of a reply names."""
    return (parse_qs(urlsplit(link).query).get("thread_ts") or [""])[0]
