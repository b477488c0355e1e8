"""``conversations.*``."""

import base64
from collections.abc import Sequence
from typing import Any

from drills.slack.shapes import channel_object
from drills.slack.wire import Json, SlackError, flag, number, required, text_of
from drills.slack.workspace import Channel, Message, Workspace

LONGEST_TOPIC = 250
"""Characters of a topic, and of a purpose."""


class ConversationMethods:
    """Channels as the app sees them."""

    def __init__(self, workspace: Workspace, *, bots_unarchive: bool = False) -> None:
        self._workspace = workspace
        self._bots_unarchive = bots_unarchive

    def list_(self, args: Json) -> Json:
        """``conversations.list``, in pages."""
        kinds = text_of(args, "types", "public_channel").replace(" ", "").split(",")
        found = [c for c in self._workspace.channels.values() if self._kind(c) in kinds and self._may_see(c)]
        if flag(args, "exclude_archived"):
            found = [c for c in found if not c.is_archived]
        page, cursor = paged(found, args, default=100)
        return {"channels": [channel_object(self._workspace, c) for c in page], **cursor}

    def own(self, args: Json) -> Json:
        """``users.conversations``: those that the app is in, in pages."""
        kinds = text_of(args, "types", "public_channel").replace(" ", "").split(",")
        user = text_of(args, "user", self._workspace.app.user)
        found = [c for c in self._workspace.channels.values() if user in c.members and self._kind(c) in kinds]
        if flag(args, "exclude_archived"):
            found = [c for c in found if not c.is_archived]
        page, cursor = paged(found, args, default=100)
        return {"channels": [channel_object(self._workspace, c) for c in page], **cursor}

    def info(self, args: Json) -> Json:
        """``conversations.info``."""
        channel = self._workspace.visible_channel(required(args, "channel"))
        body = channel_object(self._workspace, channel)
        if not flag(args, "include_num_members"):
            body.pop("num_members", None)
        return {"channel": body}

    def join(self, args: Json) -> Json:
        """``conversations.join``."""
        channel = self._workspace.visible_channel(required(args, "channel"))
        if channel.is_archived:
            raise SlackError("is_archived")
        if channel.is_im:
            raise SlackError("method_not_supported_for_channel_type")
        already = self._workspace.app.user in channel.members
        self._workspace.join(channel, self._workspace.app.user)
        body: Json = {"channel": channel_object(self._workspace, channel)}
        return {**body, "warning": "already_in_channel"} if already else body

    def history(self, args: Json) -> Json:
        """``conversations.history``: newest first, without replies and without ephemeral messages."""
        channel = self._inside(args)
        shown = [m for m in reversed(channel.messages.values()) if not m.only_for and _at_top(m)]
        page, cursor = paged(_between(shown, args), args, default=100)
        return {"messages": _payloads(page, args), "pin_count": len(channel.pins), **cursor}

    def replies(self, args: Json) -> Json:
        """``conversations.replies``: the parent first, then its replies, oldest first."""
        channel = self._inside(args)
        ts = required(args, "ts")
        thread = self._workspace.thread(channel.id, ts)
        if not thread:
            raise SlackError("thread_not_found")
        page, cursor = paged(_between(thread, args), args, default=1000)
        return {"messages": _payloads(page, args), **cursor}

    def members(self, args: Json) -> Json:
        """``conversations.members``."""
        page, cursor = paged(self._workspace.visible_channel(required(args, "channel")).members, args, default=100)
        return {"members": list(page), **cursor}

    def open(self, args: Json) -> Json:
        """``conversations.open``: a direct conversation with one or more people."""
        if text_of(args, "channel"):
            channel = self._workspace.visible_channel(text_of(args, "channel"))
        else:
            users = required(args, "users").replace(" ", "").split(",")
            for user in users:
                self._workspace.user(user)
            channel = self._workspace.direct([self._workspace.app.user, *users])
        body = channel_object(self._workspace, channel) if flag(args, "return_im") else {"id": channel.id}
        return {"channel": body}

    def create(self, args: Json) -> Json:
        """``conversations.create``."""
        name = required(args, "name")
        if len(name) > 80:
            raise SlackError("invalid_name_maxlength")
        if name != name.lower() or not all(c.isalnum() or c in "-_" for c in name):
            raise SlackError("invalid_name_specials")
        if not any(c.isalnum() for c in name):
            raise SlackError("invalid_name_punctuation")
        channel = self._workspace.create(name, self._workspace.app.user, is_private=flag(args, "is_private"))
        return {"channel": channel_object(self._workspace, channel)}

    def set_topic(self, args: Json) -> Json:
        """``conversations.setTopic``."""
        channel = self._inside(args)
        topic = text_of(args, "topic")
        self._described(channel, topic)
        channel.topic = topic
        self._workspace.note(channel, "channel_topic", f"set the channel topic: {topic}")
        return {"channel": channel_object(self._workspace, channel)}

    def set_purpose(self, args: Json) -> Json:
        """``conversations.setPurpose``: what the page calls the description."""
        channel = self._inside(args)
        purpose = text_of(args, "purpose")
        self._described(channel, purpose)
        channel.purpose = purpose
        self._workspace.note(channel, "channel_purpose", f"set the channel description: {purpose}")
        return {"channel": channel_object(self._workspace, channel), "purpose": purpose}

    def invite(self, args: Json) -> Json:
        """``conversations.invite``."""
        channel = self._inside(args)
        if channel.is_archived:
            raise SlackError("is_archived")
        users = required(args, "users").replace(" ", "").split(",")
        for user in users:
            if self._workspace.user(user).deleted:
                raise SlackError("user_not_found")
        if self._workspace.app.user in users:
            raise SlackError("cant_invite_self")
        if all(user in channel.members for user in users):
            raise SlackError("already_in_channel")
        for user in users:
            if user not in channel.members:
                self._workspace.join(channel, user, inviter=self._workspace.app.user)
                self._workspace.note(channel, "channel_join", f"<@{user}> was added by the app", user=user)
        return {"channel": channel_object(self._workspace, channel)}

    def archive(self, args: Json) -> Json:
        """``conversations.archive``. As at Slack, apps are no longer in the channel then."""
        channel = self._workspace.visible_channel(required(args, "channel"))
        if channel.is_archived:
            raise SlackError("already_archived")
        self._inside(args)
        self._workspace.note(channel, "channel_archive", "archived the channel")
        channel.is_archived = True
        channel.members.remove(self._workspace.app.user)
        self._workspace.changed()
        return {}

    def unarchive(self, args: Json) -> Json:
        """``conversations.unarchive``. With a bot's token Slack refuses it, as the app is not in the channel."""
        channel = self._workspace.channel(required(args, "channel"))
        if not channel.is_archived:
            raise SlackError("not_archived")
        if not self._bots_unarchive:
            raise SlackError("not_in_channel")
        channel.is_archived = False
        self._workspace.join(channel, self._workspace.app.user)
        self._workspace.note(channel, "channel_unarchive", "un-archived the channel")
        return {}

    def _described(self, channel: Channel, text: str) -> None:
        if channel.is_archived:
            raise SlackError("is_archived")
        if len(text) > LONGEST_TOPIC:
            raise SlackError("too_long")

    def _inside(self, args: Json) -> Channel:
        channel = self._workspace.visible_channel(required(args, "channel"))
        if self._workspace.app.user not in channel.members:
            raise SlackError("not_in_channel")
        return channel

    def _kind(self, channel: Channel) -> str:
        if channel.is_im:
            return "mpim" if len(channel.members) > 2 else "im"
        return "private_channel" if channel.is_private else "public_channel"

    def _may_see(self, channel: Channel) -> bool:
        return self._workspace.app.user in channel.members or not (channel.is_private or channel.is_im)


def paged(items: Sequence[Any], args: Json, *, default: int) -> tuple[Sequence[Any], Json]:
    """One page of a list and the cursor to the next, as Slack writes it."""
    start = 0
    if cursor := text_of(args, "cursor"):
        try:
            start = int(base64.b64decode(cursor, validate=True).decode().removeprefix("from:"))
        except ValueError as error:
            raise SlackError("invalid_cursor") from error
    end = start + number(args, "limit", default, 1000)
    more = end < len(items)
    following = base64.b64encode(f"from:{end}".encode()).decode() if more else ""
    body: Json = {"response_metadata": {"next_cursor": following}}
    return items[start:end], {**body, "has_more": more}


def _payloads(messages: Sequence[Message], args: Json) -> list[Json]:
    """Metadata is given to those who ask for it."""
    hidden = () if flag(args, "include_all_metadata") else ("metadata",)
    return [{key: value for key, value in m.payload.items() if key not in hidden} for m in messages]


def _at_top(message: Message) -> bool:
    thread = message.payload.get("thread_ts")
    return thread in (None, message.ts) or message.payload.get("subtype") == "thread_broadcast"


def _between(messages: Sequence[Message], args: Json) -> list[Message]:
    oldest, latest, inclusive = text_of(args, "oldest", "0"), text_of(args, "latest"), flag(args, "inclusive")

    def inside(ts: str) -> bool:
        after = ts > oldest or (inclusive and ts == oldest)
        return after and (not latest or ts < latest or (inclusive and ts == latest))

    return [m for m in messages if inside(m.ts)]
