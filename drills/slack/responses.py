"""What an app may answer to an interaction: messages through a response URL or an acknowledgement, and view actions."""

from typing import Any

from drills.slack import blocks as block_kit
from drills.slack.shapes import bot_author
from drills.slack.surfaces import ResponseUrl, Surfaces
from drills.slack.wire import Json, SlackError, flag, structured, text_of
from drills.slack.workspace import Workspace


class Responses:
    """Carries out the answers of the app."""

    def __init__(self, workspace: Workspace, surfaces: Surfaces) -> None:
        self._workspace = workspace
        self._surfaces = surfaces

    def through_url(self, name: str, answer: Json) -> None:
        """Use a response URL once. Raises :class:`SlackError` ``expired_url`` or ``used_url``, as Slack answers."""
        right = self._surfaces.responses.get(name)
        if right is None or right.expires < self._workspace.now():
            raise SlackError("expired_url")
        if right.left == 0:
            raise SlackError("used_url")
        right.left -= 1
        self.message(right, answer)

    def message(self, right: ResponseUrl, answer: Json) -> None:
        """Post, replace or delete as the answer says; without a ``response_type`` only the person sees it."""
        workspace = self._workspace
        original = workspace.channel(right.channel).messages.get(right.message_ts)
        if flag(answer, "delete_original") and original is not None:
            workspace.delete(original)
            return
        content = message_content(answer)
        if flag(answer, "replace_original") and original is not None:
            workspace.edit(original, content)
            return
        in_channel = answer.get("response_type") == "in_channel"
        thread = text_of(answer, "thread_ts")
        if not thread and right.thread_ts and not in_channel:
            thread = right.thread_ts
        body = {**bot_author(workspace), **content, **({"thread_ts": thread} if thread else {})}
        workspace.post(right.channel, body, only_for="" if in_channel else right.user)

    def view_action(self, user: str, view_id: str, answer: Json | None) -> dict[str, str]:
        """Follow a ``response_action``; the answer maps blocks to what is wrong with them."""
        action = (answer or {}).get("response_action")
        if action == "errors":
            errors = (answer or {}).get("errors")
            return {str(k): str(v) for k, v in errors.items()} if isinstance(errors, dict) else {}
        if action == "update":
            self._surfaces.update(view_id, (answer or {}).get("view"))
        elif action == "push":
            self._surfaces.push(user, (answer or {}).get("view"))
        elif action == "clear":
            self._surfaces.close_all(user)
        else:
            self._surfaces.close(user, view_id)
        return {}


def message_content(args: Json) -> Json:
    """``text``, ``blocks``, ``attachments`` and ``metadata`` of a message, checked; refuses an empty message."""
    content: Json = {"text": text_of(args, "text")}
    blocks = structured(args, "blocks", "invalid_blocks_format")
    if blocks is not None:
        content["blocks"] = block_kit.checked(blocks)
    attachments: Any = structured(args, "attachments", "invalid_attachments")
    if attachments:
        content["attachments"] = attachments
    metadata = structured(args, "metadata", "invalid_metadata_format")
    if metadata:
        if not isinstance(metadata, dict) or not metadata.get("event_type"):
            raise SlackError("invalid_metadata_format")
        content["metadata"] = metadata
    if not content["text"] and not blocks and not attachments:
        raise SlackError("no_text")
    return content
