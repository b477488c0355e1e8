"""``chat.*``, ``reactions.*``, ``pins.*`` and ``bookmarks.*``."""

import copy

from drills.slack.responses import message_content
from drills.slack.shapes import bot_author
from drills.slack.wire import Json, SlackError, flag, required, text_of
from drills.slack.workspace import Channel, Message, Workspace

LONGEST_POST = 40_000
LONGEST_UPDATE = 4_000


class ChatMethods:
    """Messages of the app."""

    def __init__(self, workspace: Workspace, base_url: str) -> None:
        self._workspace = workspace
        self._base_url = base_url

    def post_message(self, args: Json) -> Json:
        """``chat.postMessage``."""
        channel = self._postable(self._inbox(required(args, "channel")))
        content = message_content(args)
        if len(content["text"]) > LONGEST_POST:
            raise SlackError("msg_too_long")
        body = {**bot_author(self._workspace), **content}
        if thread_ts := text_of(args, "thread_ts"):
            body["thread_ts"] = thread_ts
            if flag(args, "reply_broadcast"):
                body |= {"subtype": "thread_broadcast"}
        message = self._workspace.post(channel.id, body)
        return {"channel": channel.id, "ts": message.ts, "message": message.payload}

    def post_ephemeral(self, args: Json) -> Json:
        """``chat.postEphemeral``: one person sees it, and it is in no history."""
        channel = self._postable(required(args, "channel"))
        user = self._workspace.user(required(args, "user"))
        if user.id not in channel.members:
            raise SlackError("user_not_in_channel")
        body = {**bot_author(self._workspace), **message_content(args)}
        if thread_ts := text_of(args, "thread_ts"):
            body["thread_ts"] = thread_ts
        message = self._workspace.post(channel.id, body, only_for=user.id)
        return {"message_ts": message.ts}

    def update(self, args: Json) -> Json:
        """``chat.update``: what is not given stays; an empty list of blocks removes them."""
        message = self._own(args, "cant_update_message")
        content = message_content({"text": message.payload.get("text", ""), **args})
        if len(content["text"]) > LONGEST_UPDATE:
            raise SlackError("msg_too_long")
        self._workspace.edit(message, content)
        return {"channel": message.channel, "ts": message.ts, "text": content["text"], "message": message.payload}

    def delete(self, args: Json) -> Json:
        """``chat.delete``."""
        message = self._own(args, "cant_delete_message")
        self._workspace.delete(message)
        return {"channel": message.channel, "ts": message.ts}

    def permalink(self, args: Json) -> Json:
        """``chat.getPermalink``: an address that the page of this workspace understands."""
        channel = self._workspace.visible_channel(required(args, "channel"))
        message = self._workspace.message(channel.id, required(args, "message_ts"))
        link = f"{self._base_url}/archives/{channel.id}/p{message.ts.replace('.', '')}"
        parent = message.payload.get("thread_ts")
        return {"channel": channel.id,
                "permalink": f"{link}?thread_ts={parent}&cid={channel.id}" if parent else link}  # fmt: skip

    def react(self, args: Json) -> Json:
        """``reactions.add``."""
        message = self._seen(required(args, "channel"), required(args, "timestamp"))
        self._workspace.react(message, required(args, "name").strip(":"), self._workspace.app.user)
        return {}

    def unreact(self, args: Json) -> Json:
        """``reactions.remove``."""
        message = self._seen(required(args, "channel"), required(args, "timestamp"))
        self._workspace.unreact(message, required(args, "name").strip(":"), self._workspace.app.user)
        return {}

    def reactions(self, args: Json) -> Json:
        """``reactions.get``: the message with its reactions, a reply of a thread as well."""
        message = self._seen(required(args, "channel"), required(args, "timestamp"))
        return {"type": "message", "channel": message.channel, "message": copy.deepcopy(message.payload)}

    def pin(self, args: Json) -> Json:
        """``pins.add``."""
        channel = self._postable(required(args, "channel"))
        message = self._workspace.message(channel.id, required(args, "timestamp"))
        if message.ts in channel.pins:
            raise SlackError("already_pinned")
        channel.pins.append(message.ts)
        self._workspace.changed()
        return {}

    def bookmark(self, args: Json) -> Json:
        """``bookmarks.add``: a link at the top of the channel."""
        channel = self._postable(required(args, "channel_id"))
        if required(args, "type") != "link":
            raise SlackError("invalid_bookmark_type")
        link = required(args, "link")
        if not link.startswith(("http://", "https://")):
            raise SlackError("invalid_link")
        bookmark = {"id": self._workspace.new_id("Bk"), "channel_id": channel.id, "title": required(args, "title"),
                    "link": link, "emoji": text_of(args, "emoji"), "type": "link", "date_created": 0,
                    "app_id": self._workspace.app.id}  # fmt: skip
        channel.bookmarks.append(bookmark)
        self._workspace.changed()
        return {"bookmark": bookmark}

    def _inbox(self, target: str) -> str:
        """A person's id stands for the direct conversation with them: the app's Messages tab, which may be off."""
        user = self._workspace.users.get(target)
        if user is None:
            return target
        if user.is_bot:
            raise SlackError("cannot_dm_bot")
        if user.deleted:
            raise SlackError("channel_not_found")
        if not self._workspace.app.messages_tab:
            raise SlackError("messages_tab_disabled")
        return self._workspace.direct([self._workspace.app.user, user.id]).id

    def _postable(self, channel_id: str) -> Channel:
        channel = self._workspace.visible_channel(channel_id)
        if channel.is_archived:
            raise SlackError("is_archived")
        if self._workspace.app.user not in channel.members:
            raise SlackError("not_in_channel")
        return channel

    def _seen(self, channel_id: str, ts: str) -> Message:
        message = self._workspace.message(self._workspace.visible_channel(channel_id).id, ts)
        if message.only_for:
            raise SlackError("message_not_found")
        return message

    def _own(self, args: Json, refusal: str) -> Message:
        channel = self._workspace.visible_channel(required(args, "channel"))
        message = self._seen(channel.id, required(args, "ts"))
        if channel.is_archived:
            raise SlackError("is_inactive")
        if message.payload.get("bot_id") != self._workspace.app.bot_id:
            raise SlackError(refusal)
        return message
