"""The state of the workspace: people, channels, messages. What changes is shown by the page and told to the app."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from drills.slack.seed import Seed, SeedChannel, User
from drills.slack.wire import Json, SlackError

Watcher = Callable[[], None]
EventSink = Callable[[Json], None]
PALETTE = ("4a154b", "1164a3", "2bac76", "cd2553", "e8912d", "0b7285", "5f3dc4", "846358", "616061")


@dataclass(kw_only=True, slots=True)
class Message:
    """A message as the Web API returns it, and who may see it."""

    channel: str
    payload: Json
    only_for: str = ""
    """The one person who sees an ephemeral message; empty for everybody."""

    @property
    def ts(self) -> str:
        """Slack's id of a message: its time, unique in the workspace."""
        return str(self.payload["ts"])


@dataclass(kw_only=True, slots=True)
class Channel:
    """A channel or a direct conversation."""

    id: str
    name: str
    topic: str = ""
    purpose: str = ""
    members: list[str] = field(default_factory=list)
    is_private: bool = False
    is_im: bool = False
    is_archived: bool = False
    is_ext_shared: bool = False
    is_pending_ext_shared: bool = False
    created: int = 0
    creator: str = ""
    messages: dict[str, Message] = field(default_factory=dict)
    pins: list[str] = field(default_factory=list)
    bookmarks: list[Json] = field(default_factory=list)
    read: dict[str, str] = field(default_factory=dict)
    """The last message each person has seen here."""


class Workspace:
    """Everything that lasts while the process lasts. ``now`` gives seconds since 1970."""

    def __init__(self, seed: Seed, now: Callable[[], float]) -> None:
        self.seed = seed
        self.app = seed.app
        self.team = seed.team
        self.now = now
        self.users: dict[str, User] = {user.id: user for user in seed.users}
        self.channels: dict[str, Channel] = {c.id: _born(c, int(now())) for c in seed.channels}
        self.usergroups = {group.id: group for group in seed.usergroups}
        self.version = 0
        self._watchers: list[Watcher] = []
        self._sinks: list[EventSink] = []
        self._last_micros = 0
        self._serials: dict[str, int] = {}

    # ----- who listens ------------------------------------------------------------------------------------------

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` after every change; the answer ends it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def on_event(self, sink: EventSink) -> None:
        """Hand every event that an app could have subscribed to to ``sink``."""
        self._sinks.append(sink)

    def changed(self) -> None:
        """Something that the page shows is different now."""
        self.version += 1
        for watcher in list(self._watchers):
            watcher()

    def emit(self, event: Json) -> None:
        """Tell the app, if it has subscribed to this kind of event."""
        if event["type"] in self.app.events:
            for sink in self._sinks:
                sink(copy.deepcopy(event))

    # ----- ids and time -----------------------------------------------------------------------------------------

    def new_ts(self) -> str:
        """A timestamp that no other message has."""
        self._last_micros = max(int(self.now() * 1_000_000), self._last_micros + 1)
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"

    def new_id(self, prefix: str) -> str:
        """An id like Slack's, numbered so that a run can be repeated."""
        self._serials[prefix] = self._serials.get(prefix, 0) + 1
        return f"{prefix}0LOOP{self._serials[prefix]:05d}"

    # ----- looking up -------------------------------------------------------------------------------------------

    def user(self, user_id: str) -> User:
        """A user, or ``user_not_found``."""
        if user_id not in self.users:
            raise SlackError("user_not_found")
        return self.users[user_id]

    def channel(self, channel_id: str) -> Channel:
        """A conversation by id, by ``#name``, or the direct conversation with a user; or ``channel_not_found``."""
        if channel_id in self.users:
            return self.direct([self.app.user, channel_id])
        if channel_id in self.channels:
            return self.channels[channel_id]
        for channel in self.channels.values():
            if not channel.is_im and f"#{channel.name}" == channel_id:
                return channel
        raise SlackError("channel_not_found")

    def visible_channel(self, channel_id: str) -> Channel:
        """A conversation that the app can see: private ones only from inside."""
        channel = self.channel(channel_id)
        if (channel.is_private or channel.is_im) and self.app.user not in channel.members:
            raise SlackError("channel_not_found")
        return channel

    def message(self, channel_id: str, ts: str) -> Message:
        """A message, or ``message_not_found``."""
        message = self.channel(channel_id).messages.get(ts)
        if message is None:
            raise SlackError("message_not_found")
        return message

    def direct(self, users: Iterable[str]) -> Channel:
        """The direct conversation of these people, opened if need be."""
        members = sorted(set(users))
        for channel in self.channels.values():
            if channel.is_im and sorted(channel.members) == members:
                return channel
        new = Channel(id=self.new_id("D"), name="", members=members, is_im=True, created=int(self.now()))
        self.channels[new.id] = new
        self.changed()
        return new

    def thread(self, channel_id: str, ts: str) -> list[Message]:
        """The parent and its replies, oldest first."""
        messages = self.channel(channel_id).messages
        return [m for m in messages.values() if ts in (m.ts, m.payload.get("thread_ts")) and not m.only_for]

    # ----- changing ---------------------------------------------------------------------------------------------

    def post(self, channel_id: str, body: Json, *, only_for: str = "") -> Message:
        """Add a message whose author and content are in ``body``."""
        channel = self.channel(channel_id)
        if channel.is_archived:
            raise SlackError("is_archived")
        payload: Json = {"type": "message", "ts": self.new_ts(), "team": self.team.id, **body}
        message = Message(channel=channel.id, payload=payload, only_for=only_for)
        parent = channel.messages.get(str(payload.get("thread_ts", "")))
        if "thread_ts" in payload and (parent is None or parent.only_for):
            if not only_for:
                raise SlackError("thread_not_found")
            payload.pop("thread_ts")
        channel.messages[message.ts] = message
        author = str(payload.get("user", ""))
        if not only_for:
            channel.read[author] = message.ts
            self._count_replies(channel, payload.get("thread_ts"))
            kind = "im" if channel.is_im else "group" if channel.is_private else "channel"
            told = {key: value for key, value in payload.items() if key != "metadata"}
            self.emit({**told, "channel": channel.id, "event_ts": message.ts, "channel_type": kind})
        self.changed()
        return message

    def note(self, channel: Channel, subtype: str, text: str, user: str = "") -> None:
        """The line with which Slack tells in a channel what was done to it."""
        self.post(channel.id, {"user": user or self.app.user, "subtype": subtype, "text": text})

    def edit(self, message: Message, content: Json, *, by_person: bool = False) -> None:
        """Change what a message says. Slack marks an edit of a person, and not of an app, for readers."""
        before = copy.deepcopy(message.payload)
        message.payload.update(content)
        if by_person:
            message.payload["edited"] = {"user": message.payload["user"], "ts": self.new_ts()}
        self._about(message, "message_changed", message=message.payload, previous_message=before)

    def delete(self, message: Message) -> None:
        """Remove a message."""
        channel = self.channel(message.channel)
        channel.messages.pop(message.ts, None)
        self._count_replies(channel, message.payload.get("thread_ts"))
        self._about(message, "message_deleted", deleted_ts=message.ts, previous_message=message.payload)

    def react(self, message: Message, name: str, user: str) -> None:
        """Add somebody's reaction, or ``already_reacted``."""
        reactions = message.payload.setdefault("reactions", [])
        entry = next((r for r in reactions if r["name"] == name), None)
        if entry is None:
            entry = {"name": name, "users": [], "count": 0}
            reactions.append(entry)
        if user in entry["users"]:
            raise SlackError("already_reacted")
        entry["users"].append(user)
        entry["count"] = len(entry["users"])
        self._reaction("reaction_added", message, name, user)

    def unreact(self, message: Message, name: str, user: str) -> None:
        """Take somebody's reaction back, or ``no_reaction``."""
        reactions = message.payload.get("reactions", [])
        entry = next((r for r in reactions if r["name"] == name and user in r["users"]), None)
        if entry is None:
            raise SlackError("no_reaction")
        entry["users"].remove(user)
        entry["count"] = len(entry["users"])
        message.payload["reactions"] = [r for r in reactions if r["count"]]
        self._reaction("reaction_removed", message, name, user)

    def join(self, channel: Channel, user: str, inviter: str = "") -> None:
        """Let somebody into a channel."""
        if user in channel.members:
            return
        channel.members.append(user)
        event = {"type": "member_joined_channel", "user": user, "channel": channel.id, "channel_type": "C",
                 "team": self.team.id, "event_ts": self.new_ts()}  # fmt: skip
        self.emit({**event, "inviter": inviter} if inviter else event)
        self.changed()

    def create(self, name: str, creator: str, *, is_private: bool) -> Channel:
        """A new channel, or ``name_taken``."""
        if any(c.name == name and not c.is_im for c in self.channels.values()):
            raise SlackError("name_taken")
        channel = Channel(id=self.new_id("C"), name=name, members=[creator], is_private=is_private,
                          created=int(self.now()), creator=creator)  # fmt: skip
        self.channels[channel.id] = channel
        self.changed()
        return channel

    def mark_read(self, channel_id: str, user: str) -> None:
        """Everything in the channel has been seen by ``user``."""
        channel = self.channel(channel_id)
        latest = next(reversed(channel.messages), "")
        if latest and channel.read.get(user) != latest:
            channel.read[user] = latest
            self.changed()

    def _count_replies(self, channel: Channel, thread_ts: object) -> None:
        parent = channel.messages.get(str(thread_ts or ""))
        if parent is None:
            return
        replies = [m for m in self.thread(channel.id, parent.ts) if m.ts != parent.ts]
        users = list(dict.fromkeys(str(m.payload.get("user")) for m in replies))
        parent.payload.update(thread_ts=parent.ts, reply_count=len(replies), reply_users=users,
                              reply_users_count=len(users), is_locked=False, subscribed=False,
                              latest_reply=replies[-1].ts if replies else parent.ts)  # fmt: skip

    def _about(self, about: Message, subtype: str, **details: object) -> None:
        if not about.only_for:
            kind = "im" if self.channel(about.channel).is_im else "channel"
            self.emit({"type": "message", "subtype": subtype, "channel": about.channel, "hidden": True,
                       "ts": self.new_ts(), "event_ts": self.new_ts(), "channel_type": kind, **details})  # fmt: skip
        self.changed()

    def _reaction(self, kind: str, message: Message, name: str, user: str) -> None:
        item = {"type": "message", "channel": message.channel, "ts": message.ts}
        self.emit({"type": kind, "user": user, "reaction": name, "item": item,
                   "item_user": message.payload.get("user", ""), "event_ts": self.new_ts()})  # fmt: skip
        self.changed()


def _born(seed: SeedChannel, now: int) -> Channel:
    return Channel(id=seed.id, name=seed.name, topic=seed.topic, purpose=seed.purpose, members=list(seed.members),
                   is_private=seed.is_private, is_archived=seed.is_archived, is_ext_shared=seed.is_ext_shared,
                   is_pending_ext_shared=seed.is_pending_ext_shared, created=now, creator="")  # fmt: skip
