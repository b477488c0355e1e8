"""Channels that are made for an incident, over Slack's Web API."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.view import MessageRef
from bot.edges.slack_client import Refused, Workspace, ask, read
from bot.ports import NameTaken

SLACK_CLOCK = timedelta(minutes=2)
"""By so much Slack's clock may be behind ours: a channel of ours that is this much older is still ours."""
PAGES = 50
"""Of a thousand channels each, that are looked through for one."""


class SlackRooms:
    """See :class:`bot.ports.Rooms`."""

    def __init__(self, client: AsyncWebClient, workspace: Workspace) -> None:
        self._client = client
        self._workspace = workspace

    async def open(self, name: str, mark: str, since: datetime, *, private: bool) -> str:
        try:
            told = await ask(self._client.conversations_create(name=name, is_private=private))
        except Refused as refused:
            if refused.code != "name_taken":
                raise
            found = await self._ours(name, mark, since)
            if found is None:
                raise NameTaken(name) from refused
            return found
        return str(told["channel"]["id"])

    async def describe(self, channel: str, topic: str, purpose: str) -> None:
        await ask(self._client.conversations_setPurpose(channel=channel, purpose=purpose))
        await ask(self._client.conversations_setTopic(channel=channel, topic=topic))

    async def bookmark(self, channel: str, title: str, url: str) -> None:
        await ask(self._client.bookmarks_add(channel_id=channel, title=title, type="link", link=url))

    async def link_of(self, message: MessageRef) -> str:
        told = await read(self._client, "chat.getPermalink", channel=message.channel, message_ts=message.ts)
        return str(told["permalink"])

    async def user_of(self, email: str) -> str:
        try:
            told = (await read(self._client, "users.lookupByEmail", email=email)).get("user") or {}
        except Refused as refused:
            if refused.code == "users_not_found":
                return ""
            raise
        return "" if told.get("deleted") or told.get("is_bot") else str(told.get("id") or "")

    async def members_of(self, group: str) -> Sequence[str]:
        told = await read(self._client, "usergroups.users.list", usergroup=group)
        return [str(user) for user in told.get("users") or ()]

    async def invite(self, channel: str, user: str) -> None:
        try:
            await ask(self._client.conversations_invite(channel=channel, users=user))
        except Refused as refused:
            if refused.code not in ("already_in_channel", "cant_invite_self"):
                raise

    async def archive(self, channel: str) -> None:
        try:
            await ask(self._client.conversations_archive(channel=channel))
        except Refused as refused:
            if refused.code not in ("already_archived", "is_archived", "channel_not_found"):
                raise

    async def unarchive(self, channel: str) -> None:
        try:
            await ask(self._client.conversations_unarchive(channel=channel))
        except Refused as refused:
            if refused.code != "not_archived":
                raise

    async def _ours(self, name: str, mark: str, since: datetime) -> str | None:
        """The channel of this name that we made and that is nobody else's: its maker is in it, so only those that we
        are in are looked through."""
        us = await self._workspace.us()
        cursor = ""
        for _ in range(PAGES):
            told = await read(self._client, "users.conversations", types="public_channel,private_channel",
                              exclude_archived=True, limit=1000, **({"cursor": cursor} if cursor else {}))  # fmt: skip
            for channel in told.get("channels") or ():
                if channel.get("name") == name:
                    return str(channel["id"]) if _made(channel, us.bot_user_id, mark, since) else None
            cursor = str((told.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return None
        return None


def _made(channel: dict[str, Any], us: str, mark: str, since: datetime) -> bool:
    described = str((channel.get("purpose") or {}).get("value") or "")
    young = float(channel.get("created") or 0) >= (since - SLACK_CLOCK).timestamp()
    return channel.get("creator") == us and young and (not described or mark in described)
