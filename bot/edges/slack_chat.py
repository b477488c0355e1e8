"""The chat port over Slack's Web API: one card for an incident, edited in place, and its thread."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain import card
from bot.domain.untrusted import escape
from bot.domain.view import IncidentView, MessageRef
from bot.edges import slack_blocks
from bot.edges.slack_client import Refused, Workspace, ask, read
from bot.edges.slack_text import is_person
from bot.ports import RetryLater
from config.clock import Clock

CHANNEL_TTL = timedelta(seconds=60)
LOOK_BACK = 100
"""Messages of a channel or thread that are searched for one that may have been posted already."""
SNIPPET = 2_000
_EVENT = "pagerunner_message"
_BINARY = ("pdf", "docx")
_GONE = frozenset({"message_not_found", "cant_update_message"})
_UNFIT = (("deleted", "their account is deactivated"), ("is_bot", "it is a bot"),
          ("is_stranger", "they belong to another organisation"), ("is_restricted", "they are a guest"),
          ("is_ultra_restricted", "they are a guest"))  # fmt: skip
_REFUSED_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})


class SlackChat:
    """See :class:`bot.ports.Chat`. Posts nothing into a channel that is shared with another organisation."""

    def __init__(self, client: AsyncWebClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._own_until: dict[str, datetime] = {}
        self._unsure: set[str] = set()
        self._workspace = Workspace(client)

    async def card(self, view: IncidentView, message: MessageRef | None) -> MessageRef:
        """Post the card, or bring the posted one up to date; one that somebody deleted is posted again."""
        built = card.build(view)
        content = {"text": slack_blocks.fallback_text(built), "blocks": slack_blocks.card_blocks(built)}
        return await self._standing(f"card:{view.incident.id}", view.incident.channel, message, content)

    async def pointer(self, view: IncidentView, text: str, message: MessageRef | None) -> MessageRef:
        """Post the line that points to the incident's own channel, or bring it up to date."""
        content = {"text": slack_blocks.cut(text), "blocks": slack_blocks.mrkdwn_blocks(text)}
        channel = view.room.home if view.room else view.incident.channel
        return await self._standing(f"pointer:{view.incident.id}", channel, message, content)

    async def say(self, message: MessageRef, text: str, *, blocks: Sequence[Mapping[str, Any]] = (),
                  again: bool = False, team: str = "") -> None:  # fmt: skip  # noqa: ARG002 - one workspace has all teams
        """Reply in the thread below ``message``; or write to a person, whose id or e-mail address is the channel."""
        if is_person(message.channel):
            shown = [dict(block) for block in blocks] or slack_blocks.mrkdwn_blocks(text)
            content = {"text": slack_blocks.cut(text), "blocks": shown}
            # Whether it arrived when an answer was lost cannot be looked up: that would need their messages.
            await self._send(f"direct:{sha256(text.encode()).hexdigest()[:32]}", await self._person(message.channel),
                             None, content)  # fmt: skip
            return
        await self.must_be_ours(message.channel)
        digest = sha256(f"{message.channel}:{message.ts}:{text}".encode()).hexdigest()[:32]
        key, thread = f"say:{digest}", message.ts or None
        if again:
            self._unsure.add(key)
        if await self._perhaps_posted(key, message.channel, thread) is None:
            shown = [dict(block) for block in blocks] or slack_blocks.mrkdwn_blocks(text)
            content = {"text": slack_blocks.cut(text), "blocks": shown}
            await self._post(key, message.channel, thread, content)

    async def file(self, message: MessageRef, name: str, content: bytes) -> None:
        """Upload a file below ``message``; where files are not allowed, say why, and show how it begins."""
        await self.must_be_ours(message.channel)
        try:
            await ask(
                self._client.files_upload_v2(
                    channel=message.channel, filename=name, content=content, title=name,
                    thread_ts=message.ts or None, request_file_info=False,
                )
            )  # fmt: skip
        except Refused as refused:
            if name.endswith(".png"):
                await self.say(message, f"{escape(str(refused))}. The picture's figures are in the answer above.")
                return
            incident, _, form = name.rpartition(".")
            whole = f"`pagerunner export {escape(incident)}` writes it whole"
            if form in _BINARY:
                whole = f"`pagerunner export {escape(incident)} --format {form} --output FILE` writes it"
                await self.say(message, f"{escape(str(refused))}. {whole}.")
                return
            text = escape(content.decode("utf-8", "replace")[:SNIPPET].replace("```", "ˋˋˋ"))
            await self.say(message, f"{escape(str(refused))}. This is how it begins; {whole}.\n```{text}```")

    async def permalink(self, message: MessageRef) -> str:
        """The address of a message, for people; empty where Slack cannot tell it."""
        try:
            told = await read(self._client, "chat.getPermalink", channel=message.channel, message_ts=message.ts)
        except (RetryLater, Refused):
            return ""
        return str(told.get("permalink") or "")

    async def _standing(self, key: str, channel: str, message: MessageRef | None, content: Mapping[str, Any]
                        ) -> MessageRef:  # fmt: skip
        """Bring ``message`` up to date where it is; without one, or when it was deleted, post it in ``channel``."""
        channel = message.channel if message else channel
        await self.must_be_ours(channel)
        if message is not None:
            try:
                return await self._update(message, content)
            except Refused as refused:
                if refused.code not in _GONE:
                    raise
        posted = await self._perhaps_posted(key, channel, None)
        return await self._update(posted, content) if posted else await self._post(key, channel, None, content)

    async def _update(self, message: MessageRef, content: Mapping[str, Any]) -> MessageRef:
        try:
            await ask(self._client.chat_update(channel=message.channel, ts=message.ts, **content))
        except Refused as refused:
            if refused.code not in _REFUSED_BLOCKS:
                raise
            await ask(self._client.chat_update(channel=message.channel, ts=message.ts, **_without_blocks(content)))
        return message

    async def _post(self, key: str, channel: str, thread: str | None, content: Mapping[str, Any]) -> MessageRef:
        try:
            try:
                sent = await self._send(key, channel, thread, content)
            except Refused as refused:
                if refused.code not in _REFUSED_BLOCKS:
                    raise
                sent = await self._send(key, channel, thread, _without_blocks(content))
        except RetryLater as later:
            if not later.limited:
                self._unsure.add(key)  # It may have arrived: look before it is posted again.
            raise
        self._unsure.discard(key)
        return MessageRef(channel=str(sent.get("channel") or channel), ts=str(sent["ts"]))

    async def _send(self, key: str, channel: str, thread: str | None, content: Mapping[str, Any]) -> dict[str, Any]:
        return await ask(
            self._client.chat_postMessage(
                channel=channel, thread_ts=thread, unfurl_links=False, unfurl_media=False,
                metadata={"event_type": _EVENT, "event_payload": {"key": key}}, **content,
            )
        )  # fmt: skip

    async def _perhaps_posted(self, key: str, channel: str, thread: str | None) -> MessageRef | None:
        """The message of an earlier try whose answer was lost. What a restart forgets can be posted twice, once."""
        if key not in self._unsure:
            return None
        where: dict[str, Any] = {"channel": channel, "limit": LOOK_BACK, "include_all_metadata": True}
        if thread is None:
            found = await read(self._client, "conversations.history", **where)
        else:
            found = await read(self._client, "conversations.replies", ts=thread, **where)
        for message in found.get("messages") or ():
            metadata = message.get("metadata") or {}
            if metadata.get("event_type") == _EVENT and (metadata.get("event_payload") or {}).get("key") == key:
                self._unsure.discard(key)
                return MessageRef(channel=channel, ts=str(message["ts"]))
        return None

    async def _person(self, who: str) -> str:
        """The id of somebody of ours, by id or e-mail address, who may hear of incidents. Raises :class:`Refused`."""
        if "@" in who:
            told = (await read(self._client, "users.lookupByEmail", email=who)).get("user") or {}
        else:
            told = (await read(self._client, "users.info", user=who)).get("user") or {}
        us = await self._workspace.us()
        unfit = next((why for flag, why in _UNFIT if told.get(flag)), "")
        if not unfit and told.get("team_id") != us.team_id:
            unfit = "they belong to another workspace"
        if unfit or not told.get("id"):
            raise Refused("user_not_found", unfit or "Slack does not know them")
        return str(told["id"])

    async def must_be_ours(self, channel: str) -> None:
        """Incidents stay inside: refuse a channel that people of another organisation can read, or soon can."""
        now = self._clock.now()
        if self._own_until.get(channel, now) > now:
            return
        told = (await read(self._client, "conversations.info", channel=channel)).get("channel") or {}
        if told.get("is_ext_shared") or told.get("is_pending_ext_shared"):
            self._own_until.pop(channel, None)
            reason = "the channel is shared with another organisation; incidents are not posted there"
            raise Refused("ext_shared_channel", reason)
        self._own_until[channel] = now + CHANNEL_TTL


def _without_blocks(content: Mapping[str, Any]) -> dict[str, Any]:
    """Slack refused the layout: better a plain line that reaches people than nothing."""
    return {"text": f"{content['text']}\nThis message could not be shown in full; `/oncall show` has it.", "blocks": []}
