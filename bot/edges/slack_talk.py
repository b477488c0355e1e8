"""Questions in chat: mentions anywhere, and replies in the thread of a card. Answers come from findings, never acts."""

import re
from collections.abc import Sequence

from slack_bolt.async_app import AsyncApp

from bot.domain import conversation
from bot.domain.proposal import Principal
from bot.domain.untrusted import escape
from bot.domain.view import IncidentView, MessageRef
from bot.edges.slack_desk import Json, Place, Reception, key, logger, principal
from bot.ports import Undeliverable

MAX_TEXT = 2_000
LOOKED_BACK = 1_000
"""Incidents among which earlier ones of a service are looked for."""
EARLIER = 5
"""Earlier incidents of the service that are looked at."""
_TOLD = re.compile(r"^\s*(hint|note|did)\s*:\s*(.+)$", re.IGNORECASE | re.DOTALL)


class Talk:
    """Listeners for ``app_mention`` and ``message`` events."""

    def __init__(self, reception: Reception) -> None:
        self._ = reception
        self._deps = reception.deps

    def register(self, app: AsyncApp) -> None:
        """Tell Bolt what we listen to; every other event is taken note of and ignored."""
        app.event("app_mention")(self.mentioned)
        app.event("message")(self.message)
        app.event(re.compile(".*"))(self.ignored)

    async def mentioned(self, event: Json, body: Json) -> None:
        """Somebody spoke to us."""
        await self._heard(event, body, mentioned=True)

    async def message(self, event: Json, body: Json) -> None:
        """Somebody wrote something; it concerns us in the thread of a card and in an incident's own channel, if it asks
        or tells."""
        await self._heard(event, body, mentioned=False)

    async def ignored(self) -> None:
        """Nothing to do, and no reason for Slack to send it again."""

    async def _heard(self, event: Json, body: Json, *, mentioned: bool) -> None:
        if event.get("subtype") or event.get("bot_id") or not event.get("user"):
            return  # Bots, ourselves included, edits and deletions: never an input of ours.
        channel, ts = str(event.get("channel") or ""), str(event.get("ts") or "")
        thread = str(event.get("thread_ts") or "")
        raw = str(event.get("text") or "")[:MAX_TEXT]
        place = Place(channel=channel, thread_ts=thread)

        async def tell(said: str) -> None:
            await self._.tell(str(event["user"]), place, said)

        async def work() -> None:
            incident_id = await self._.incident_at(channel, thread) or await self._.incident_in(channel)
            if incident_id is None and not mentioned:
                return
            if not await self._allowed(event, body, channel):
                return
            text = await self._.written(raw)
            if not mentioned and not await self._for_us(raw, text, incident_id):
                return
            seen = key("message", channel, ts)
            if await self._deps.first_time(seen):
                here = MessageRef(channel=channel, ts=thread or ts)
                incident_id = incident_id or await self._.only_incident_in(channel)
                await self._respond(text, incident_id, here, _author(event, body), seen)

        await self._.guarded(tell, work())

    async def _for_us(self, raw: str, text: str, incident_id: str | None) -> bool:
        """Whether somebody who did not mention us means us: people talk to each other in the thread, too."""
        if _TOLD.match(text):
            return True
        view = await self._deps.records.view(incident_id) if incident_id else None
        return view is not None and "<@" not in raw and conversation.is_question(text, view)

    async def _respond(self, text: str, incident_id: str | None, here: MessageRef, who: Principal, seen: str) -> None:
        """Answer by way of the outbox: what Slack does not take now it is told later."""
        view = await self._deps.records.view(incident_id) if incident_id else None
        if view is None:
            command = self._deps.command
            await self._deps.chat.say(here, f"Ask me in the thread of an incident's card; `{command} list` shows them.")
            return
        told = _TOLD.match(text)
        if told is not None:
            await self._deps.desk.say(
                view.incident.id, seen, escape(await self._take(view.incident.id, told, who)), here
            )
        else:
            await self._deps.desk.note(view.incident.id, "question_asked", text, who)
            await self._answer(text or "status", view, here, seen)

    async def _answer(self, asked: str, view: IncidentView, here: MessageRef, seen: str) -> None:
        """In words, and below them the picture: where that cannot be shown, its figures are."""
        answered = conversation.answer(asked, view, await self._earlier(asked, view))
        await self._deps.desk.say(view.incident.id, seen, answered.text, here)
        if answered.picture:
            await self._deps.desk.send(view.incident.id, f"{seen}:picture", "png", here)

    async def _earlier(self, text: str, view: IncidentView) -> Sequence[IncidentView] | None:
        """Earlier incidents of the same service, newest first, if the question is about them."""
        if not conversation.wants_earlier(text, view):
            return None
        incidents = await self._deps.records.incidents(active_only=False, limit=LOOKED_BACK)
        same = [each.id for each in incidents if each.service == view.incident.service and each.id != view.incident.id
                and each.opened_at < view.incident.opened_at]  # fmt: skip
        found = [await self._deps.records.view(incident_id) for incident_id in same[:EARLIER]]
        return [each for each in found if each is not None]

    async def _take(self, incident_id: str, told: re.Match[str], who: Principal) -> str:
        """``hint:``, ``note:`` and ``did:`` put something on the timeline; a hint starts another investigation."""
        desk, said = self._deps.desk, told[2].strip()
        match told[1].lower():
            case "hint":
                return (await desk.hint(incident_id, said, who)).text
            case "did":
                return (await desk.note(incident_id, "person_did", said, who)).text
            case _:
                return (await desk.note(incident_id, "note_added", said, who)).text

    async def _allowed(self, event: Json, body: Json, channel: str) -> bool:
        """Only people of our workspace are answered, and only where nobody else can read it."""
        if not await self._.ours(_author(event, body)):
            logger.warning("slack_foreign_author", extra={"channel": channel})
            return False
        try:
            await self._deps.chat.must_be_ours(channel)
        except Undeliverable as error:
            logger.warning("slack_not_answered", extra={"channel": channel, "reason": str(error)})
            return False
        return True


def _author(event: Json, body: Json) -> Principal:
    team = event.get("user_team") or event.get("source_team") or event.get("team") or body.get("team_id")
    return principal({"id": event.get("user"), "team_id": team}, None)
