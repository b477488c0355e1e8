"""The bodies that reach an app: event callbacks, interactions and slash commands, key for key as Slack sends them."""

import copy
from typing import Any

from drills.slack.seed import User
from drills.slack.shapes import short_user
from drills.slack.wire import Json
from drills.slack.workspace import Channel, Message, Workspace

VERIFICATION_TOKEN = "loopback"  # noqa: S105 - Slack's deprecated token: sent for completeness, it protects nothing


def event_callback(workspace: Workspace, event: Json) -> Json:
    """The outer body of an event."""
    channel = event.get("channel") or event.get("item", {}).get("channel")
    known = workspace.channels.get(str(channel))
    author = workspace.users.get(str(event.get("user")))
    foreign = author is not None and author.team_id not in ("", workspace.team.id)
    if foreign and author is not None and event["type"] in ("message", "app_mention"):
        event = {**event, "user_team": author.team_id, "source_team": author.team_id}
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": workspace.team.id,
        "context_team_id": workspace.team.id,
        "context_enterprise_id": None,
        "api_app_id": workspace.app.id,
        "event": event,
        "type": "event_callback",
        "event_id": workspace.new_id("Ev"),
        "event_time": int(workspace.now()),
        "authorizations": [
            {"enterprise_id": None, "team_id": workspace.team.id, "user_id": workspace.app.user, "is_bot": True,
             "is_enterprise_install": False}
        ],
        "is_ext_shared_channel": bool(known and known.is_ext_shared),
        "event_context": f"4-{workspace.new_id('EC')}",
    }  # fmt: skip


def interaction(workspace: Workspace, kind: str, user: User, trigger_id: str) -> Json:
    """What all interactions have in common."""
    return {
        "type": kind,
        "user": short_user(workspace, user),
        "api_app_id": workspace.app.id,
        "token": VERIFICATION_TOKEN,
        "trigger_id": trigger_id,
        "team": {"id": workspace.team.id, "domain": workspace.team.domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def in_message(channel: Channel, message: Message, response_url: str) -> Json:
    """Where in a message something was done."""
    container: Json = {"type": "message", "message_ts": message.ts, "channel_id": channel.id,
                       "is_ephemeral": bool(message.only_for)}  # fmt: skip
    if "thread_ts" in message.payload:
        container["thread_ts"] = message.payload["thread_ts"]
    where: Json = {
        "container": container,
        "channel": {"id": channel.id, "name": channel.name or "directmessage"},
        "response_url": response_url,
    }
    if not message.only_for:
        where["message"] = copy.deepcopy(message.payload)
    return where


def action(element: Json, block_id: str, action_ts: str, given: Any) -> Json:
    """One entry of ``actions``. ``given`` is what was chosen, for elements with a choice."""
    kind = str(element["type"])
    body: Json = {"type": kind, "action_id": element["action_id"], "block_id": block_id, "action_ts": action_ts}
    if kind == "button":
        kept = ("text", "value", "style", "url", "confirm")
        text = {"emoji": True, **element["text"]}
        return {**body, **{k: element[k] for k in kept if k in element}, "text": text}
    for key in ("placeholder", "initial_option", "confirm"):
        if key in element:
            body[key] = element[key]
    return {**body, **(given if isinstance(given, dict) else {})}


def slash(workspace: Workspace, user: User, channel: Channel, command: str, text: str) -> Json:
    """The form fields of a slash command, without its trigger and response URL."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": workspace.team.id,
        "team_domain": workspace.team.domain,
        "channel_id": channel.id,
        "channel_name": channel.name or "directmessage",
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": workspace.app.id,
        "is_enterprise_install": "false",
    }
