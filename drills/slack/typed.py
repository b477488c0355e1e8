"""What somebody types into the composer, as the text and the rich text that Slack makes of it."""

import re
from collections.abc import Iterator

from drills.slack.wire import Json, escape, unescape
from drills.slack.workspace import Workspace

_PIECE = re.compile(
    r"(?P<entity><[^>]+>)|(?P<code>`[^`\n]+`)"
    r"|(?<!\w)(?P<mark>[*_~])(?=\S)(?P<inner>[^*_~\n<>]*?\S)(?P=mark)(?!\w)"
)
_STYLES = {"*": "bold", "_": "italic", "~": "strike"}


def marked_up(workspace: Workspace, text: str) -> str:
    """The message's ``text``: escaped, with names, channels and addresses as entities."""
    people = {escape(name).lower(): user.id for user in workspace.users.values()
              for name in (user.name, user.real_name, user.id)}  # fmt: skip
    rooms = {channel.name: channel.id for channel in workspace.channels.values() if channel.name}
    names = "|".join(sorted(map(re.escape, people), key=len, reverse=True))
    mention = re.compile(rf"(?<![\w<])@({names})\b", re.IGNORECASE)
    marked = mention.sub(lambda m: f"<@{people[m[1].lower()]}>", escape(text))
    marked = re.sub(r"(?<![\w<&])#([a-z0-9_-]+)",
                    lambda m: f"<#{rooms[m[1]]}|{m[1]}>" if m[1] in rooms else m[0], marked)  # fmt: skip
    return re.sub(r"(?<![<|])\bhttps?://[^\s<>|]+[^\s<>|.,;:!?)]", lambda m: f"<{m[0]}>", marked)


def rich_text(markup: str, block_id: str) -> Json:
    """The block that a person's message carries beside its text."""
    section = {"type": "rich_text_section", "elements": list(_parts(markup))}
    return {"type": "rich_text", "block_id": block_id, "elements": [section]}


def _parts(markup: str) -> Iterator[Json]:
    start = 0
    for found in _PIECE.finditer(markup):
        if found.start() > start:
            yield {"type": "text", "text": unescape(markup[start : found.start()])}
        start = found.end()
        if found["entity"]:
            yield _entity(found["entity"][1:-1])
        elif found["code"]:
            yield {"type": "text", "text": unescape(found["code"][1:-1]), "style": {"code": True}}
        else:
            yield {"type": "text", "text": unescape(found["inner"]), "style": {_STYLES[found["mark"]]: True}}
    if start < len(markup):
        yield {"type": "text", "text": unescape(markup[start:])}


def _entity(body: str) -> Json:
    if body.startswith("@"):
        return {"type": "user", "user_id": body[1:]}
    if body.startswith("#"):
        return {"type": "channel", "channel_id": body[1:].partition("|")[0]}
    return {"type": "link", "url": unescape(body)}
