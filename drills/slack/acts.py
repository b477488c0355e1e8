"""What a person does in the workspace and how it reaches the app: clicks, forms, commands, messages, reactions."""

from dataclasses import dataclass, field
from typing import Any

from drills.slack import payloads
from drills.slack.blocks import interactive
from drills.slack.delivery import Delivery
from drills.slack.elements import TEXT_INPUTS
from drills.slack.responses import Responses
from drills.slack.surfaces import OpenView, ResponseUrl, Surfaces, initial_value, state_value
from drills.slack.typed import marked_up, rich_text
from drills.slack.wire import Json, SlackError
from drills.slack.workspace import Workspace

NO_ANSWER = "The app did not answer in time."


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What the person sees of it: nothing, a warning, or errors at inputs."""

    ok: bool = True
    error: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    ts: str = ""


class Acts:
    """Everything is done in the name of a user, by id, as real Slack would report it to the app."""

    def __init__(self, workspace: Workspace, surfaces: Surfaces, delivery: Delivery, base_url: str) -> None:
        self._workspace = workspace
        self._surfaces = surfaces
        self._delivery = delivery
        self._responses = Responses(workspace, surfaces)
        self._base_url = base_url
        workspace.on_event(self._deliver_event)

    # ----- messages ---------------------------------------------------------------------------------------------

    def say(self, user: str, channel: str, text: str, *, thread_ts: str = "") -> Done:
        """Post what somebody typed; names become mentions, and a mention of the app tells it so."""
        author = self._workspace.user(user)
        markup = marked_up(self._workspace, text)
        body: Json = {"user": author.id, "text": markup, "client_msg_id": self._workspace.new_id("M"),
                      "blocks": [rich_text(markup, self._workspace.new_id("b"))]}  # fmt: skip
        if author.team_id and author.team_id != self._workspace.team.id:
            body |= {"user_team": author.team_id, "source_team": author.team_id}
        if thread_ts:
            body["thread_ts"] = thread_ts
        message = self._workspace.post(channel, body)
        if f"<@{self._workspace.app.user}>" in markup:
            self._workspace.emit(
                {**message.payload, "type": "app_mention", "channel": message.channel, "event_ts": message.ts}
            )
        return Done(ts=message.ts)

    def react(self, user: str, channel: str, ts: str, name: str) -> Done:
        """Add a reaction, or take it back when it is already there."""
        message = self._workspace.message(channel, ts)
        try:
            self._workspace.react(message, name, self._workspace.user(user).id)
        except SlackError:
            self._workspace.unreact(message, name, user)
        return Done()

    def open_home(self, user: str) -> Done:
        """Look at the app's Home tab."""
        direct = self._workspace.direct([self._workspace.app.user, user])
        event: Json = {"type": "app_home_opened", "user": user, "channel": direct.id, "tab": "home",
                       "event_ts": self._workspace.new_ts()}  # fmt: skip
        if user in self._surfaces.homes:
            event["view"] = self._surfaces.views[self._surfaces.homes[user]].view
        self._workspace.emit(event)
        return Done()

    # ----- interactions -----------------------------------------------------------------------------------------

    async def act(self, user: str, channel: str, ts: str, action_id: str, *, block_id: str = "",
                  given: Any = None) -> Done:  # fmt: skip
        """Use a button, menu or picker of a message. ``given`` is the option's value, or a list of them."""
        message = self._workspace.message(channel, ts)
        block, element = _element(message.payload.get("blocks", []), action_id, block_id)
        who = self._workspace.user(user)
        right = ResponseUrl(channel=message.channel, user=user, message_ts=ts,
                            thread_ts=str(message.payload.get("thread_ts", "")))  # fmt: skip
        state = {} if element["type"] == "button" else {block["block_id"]: {action_id: _state(element, given)}}
        payload = {
            **payloads.interaction(self._workspace, "block_actions", who, self._surfaces.new_trigger(user)),
            **payloads.in_message(self._workspace.channel(message.channel), message, self._response_url(right)),
            "state": {"values": state},
            "actions": [self._action(block, element, given)],
        }
        return self._told(await self._delivery.ask("interactive", payload))

    async def act_in_view(self, user: str, view_id: str, action_id: str, *, block_id: str = "",
                          given: Any = None) -> Done:  # fmt: skip
        """Use a button, menu or dispatching input of a modal or of the Home tab."""
        shown = self._surfaces.find(view_id)
        block, element = _element(shown.view["blocks"], action_id, block_id)
        if element["type"] != "button":
            shown.draft.setdefault(block["block_id"], {})[action_id] = given
        trigger = self._surfaces.new_trigger(user, view_id=view_id)
        payload = {
            **payloads.interaction(self._workspace, "block_actions", self._workspace.user(user), trigger),
            "container": {"type": "view", "view_id": view_id},
            "view": self._with_state(shown, shown.draft),
            "actions": [self._action(block, element, given)],
        }
        return self._told(await self._delivery.ask("interactive", payload))

    async def submit(self, user: str, view_id: str, values: dict[str, dict[str, Any]]) -> Done:
        """Press the modal's submit button. ``values``: block, action, and what was entered, as text or a list."""
        shown = self._surfaces.find(view_id)
        view = self._with_state(shown, values)
        if missing := _missing(view):
            return Done(ok=False, errors=missing)
        trigger = self._surfaces.new_trigger(user, view_id=view_id)
        payload = {
            **payloads.interaction(self._workspace, "view_submission", self._workspace.user(user), trigger),
            "view": view,
            "response_urls": [],
        }
        ack = await self._delivery.ask("interactive", payload)
        if not ack.ok:
            return Done(ok=False, error=NO_ANSWER)
        try:
            errors = self._responses.view_action(user, view_id, ack.body)
        except SlackError as error:
            return Done(ok=False, error=f"The app answered with a view that Slack refuses: {error.error}.")
        return Done(ok=not errors, errors=errors)

    async def close(self, user: str, view_id: str) -> Done:
        """Close a modal; the app hears of it if it asked to."""
        shown = self._surfaces.find(view_id)
        view = shown.view
        if view["clear_on_close"]:
            self._surfaces.close_all(user)
        else:
            self._surfaces.close(user, view_id)
        if view["notify_on_close"]:
            payload = {
                **payloads.interaction(self._workspace, "view_closed", self._workspace.user(user), ""),
                "view": view,
                "is_cleared": bool(view["clear_on_close"]),
            }
            del payload["trigger_id"]
            await self._delivery.ask("interactive", payload)
        return Done()

    async def slash(self, user: str, channel: str, typed: str) -> Done:
        """Type a slash command."""
        command, _, text = typed.strip().partition(" ")
        where, who = self._workspace.channel(channel), self._workspace.user(user)
        if command not in {known.name for known in self._workspace.app.commands}:
            return Done(ok=False, error=f"{command} is not a valid command.")
        right = ResponseUrl(channel=where.id, user=user)
        payload = {
            **payloads.slash(self._workspace, who, where, command, text.strip()),
            "response_url": self._response_url(right),
            "trigger_id": self._surfaces.new_trigger(user),
        }
        ack = await self._delivery.ask("slash_commands", payload)
        if not ack.ok:
            return Done(ok=False, error=f"{command} failed: {NO_ANSWER[0].lower()}{NO_ANSWER[1:]}")
        if ack.body:
            self._responses.message(right, ack.body)
        return Done()

    async def shortcut(self, user: str, channel: str, ts: str, callback_id: str) -> Done:
        """Use the app's entry in a message's menu."""
        message = self._workspace.message(channel, ts)
        right = ResponseUrl(channel=message.channel, user=user, message_ts=ts)
        where = self._workspace.channel(message.channel)
        payload = {
            **payloads.interaction(
                self._workspace, "message_action", self._workspace.user(user), self._surfaces.new_trigger(user)
            ),
            "callback_id": callback_id,
            "action_ts": self._workspace.new_ts(),
            "message_ts": ts,
            "channel": {"id": where.id, "name": where.name or "directmessage"},
            "message": message.payload,
            "response_url": self._response_url(right),
        }
        return self._told(await self._delivery.ask("interactive", payload))

    def answer(self, name: str, body: Json) -> None:
        """The app used a response URL."""
        self._responses.through_url(name, body)

    # ----- parts ------------------------------------------------------------------------------------------------

    def _deliver_event(self, event: Json) -> None:
        channel = self._workspace.channels.get(str(event.get("channel") or event.get("item", {}).get("channel")))
        app_is_there = channel is None or self._workspace.app.user in channel.members
        if app_is_there or event["type"] in ("app_mention", "app_home_opened"):
            self._delivery.event(payloads.event_callback(self._workspace, event))

    def _response_url(self, right: ResponseUrl) -> str:
        return self._base_url + self._surfaces.new_response_url(right)

    def _action(self, block: Json, element: Json, given: Any) -> Json:
        state = None if element["type"] == "button" else _state(element, given)
        return payloads.action(element, block["block_id"], self._workspace.new_ts(), state)

    def _told(self, ack: Any) -> Done:
        return Done() if ack.ok else Done(ok=False, error=NO_ANSWER)

    def _with_state(self, shown: OpenView, values: dict[str, dict[str, Any]]) -> Json:
        state: dict[str, Json] = {}
        for block, element in interactive(shown.view["blocks"]):
            if element["type"] in ("button", "overflow"):
                continue
            given = values.get(block["block_id"], {}).get(element["action_id"], initial_value(element))
            state.setdefault(block["block_id"], {})[element["action_id"]] = state_value(element, given)
        return {**shown.view, "state": {"values": state}}


def _state(element: Json, given: Any) -> Json:
    if element["type"] == "overflow":
        return {k: v for k, v in state_value({**element, "type": "radio_buttons"}, given).items() if k != "type"}
    if element["type"] in TEXT_INPUTS:
        return {"type": element["type"], "value": given}
    return state_value(element, given)


def _element(blocks: list[Json], action_id: str, block_id: str) -> tuple[Json, Json]:
    for block, element in interactive(blocks):
        if element["action_id"] == action_id and block_id in ("", block["block_id"]):
            return block, element
    raise SlackError("action_not_found")


def _missing(view: Json) -> dict[str, str]:
    missing: dict[str, str] = {}
    for block in view["blocks"]:
        if block["type"] != "input" or block.get("optional"):
            continue
        entry = view["state"]["values"][block["block_id"]][block["element"]["action_id"]]
        if not any(value for key, value in entry.items() if key != "type"):
            missing[block["block_id"]] = "Please complete this required field."
    return missing
