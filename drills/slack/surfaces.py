"""What an app shows besides messages: modals, the Home tab, and the short-lived rights to open and to answer."""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from drills.slack import blocks
from drills.slack.elements import CHOICES, MULTI_SELECTS, PICKERS, SELECTS, Problems, text_object
from drills.slack.wire import Json, SlackError
from drills.slack.workspace import Workspace

TRIGGER_SECONDS = 3.0
RESPONSE_SECONDS = 1800.0
RESPONSE_USES = 5
DEEPEST_STACK = 3


@dataclass(kw_only=True, slots=True)
class Trigger:
    """The right to open one modal, for three seconds."""

    user: str
    expires: float
    view_id: str = ""
    """The modal this came from, when it came from one."""
    used: bool = False


@dataclass(kw_only=True, slots=True)
class ResponseUrl:
    """The right to answer an interaction, five times in half an hour."""

    channel: str
    user: str
    message_ts: str = ""
    thread_ts: str = ""
    expires: float = 0.0
    left: int = RESPONSE_USES


@dataclass(kw_only=True, slots=True)
class OpenView:
    """A modal on somebody's screen, or somebody's Home tab."""

    user: str
    view: Json
    draft: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What an input without a submission has told so far (``dispatch_action``)."""


class Surfaces:
    """Modals, Home tabs, triggers and response URLs of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.views: dict[str, OpenView] = {}
        self.stacks: dict[str, list[str]] = {}
        self.homes: dict[str, str] = {}
        self.responses: dict[str, ResponseUrl] = {}
        self._triggers: dict[str, Trigger] = {}

    # ----- rights -----------------------------------------------------------------------------------------------

    def new_trigger(self, user: str, *, view_id: str = "") -> str:
        """A ``trigger_id`` for what ``user`` just did."""
        now = self.workspace.now()
        self._triggers = {k: t for k, t in self._triggers.items() if t.expires > now - 600}
        name = f"{int(now * 1000)}.{len(self._triggers)}.{secrets.token_hex(16)}"
        self._triggers[name] = Trigger(user=user, expires=now + TRIGGER_SECONDS, view_id=view_id)
        return name

    def spend_trigger(self, name: str) -> Trigger:
        """Take the right, or say how it was lost: ``invalid_``, ``expired_`` or ``exchanged_trigger_id``."""
        trigger = self._triggers.get(name)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if trigger.expires < self.workspace.now():
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger

    def new_response_url(self, right: ResponseUrl) -> str:
        """The path of a fresh response URL."""
        right.expires = self.workspace.now() + RESPONSE_SECONDS
        name = secrets.token_urlsafe(24)
        self.responses[name] = right
        return f"/response/{self.workspace.team.id}/{name}"

    # ----- views ------------------------------------------------------------------------------------------------

    def open(self, user: str, view: Any) -> Json:
        """Show a modal as the only one on ``user``'s screen."""
        self.close_all(user)
        return self._show(user, view, stack=[])

    def push(self, user: str, view: Any) -> Json:
        """Show a modal on top of the open ones, three at most."""
        stack = self.stacks.get(user, [])
        if not stack:
            raise SlackError("not_found")
        if len(stack) >= DEEPEST_STACK:
            raise SlackError("push_limit_reached")
        return self._show(user, view, stack=stack)

    def update(self, view_id: str, view: Any, expected_hash: str = "") -> Json:
        """Replace what a view shows; with ``expected_hash`` only if nobody else has meanwhile."""
        shown = self.find(view_id)
        if expected_hash and expected_hash != shown.view["hash"]:
            raise SlackError("hash_conflict")
        body = self._checked(view)
        if body["type"] != shown.view["type"]:
            raise SlackError("view_type_mismatch" if body["type"] == "home" else "invalid_arguments")
        kept = {key: shown.view[key] for key in ("id", "root_view_id", "previous_view_id")}
        shown.view = self._dressed({**body, **kept})
        self.workspace.changed()
        return shown.view

    def publish(self, user: str, view: Any, expected_hash: str = "") -> Json:
        """Set somebody's Home tab."""
        self.workspace.user(user)
        body = self._checked(view)
        if body["type"] != "home":
            raise SlackError("invalid_arguments", ["[ERROR] must be a home view [json-pointer:/view/type]"])
        if user in self.homes:
            return self.update(self.homes[user], view, expected_hash)
        view_id = self.workspace.new_id("V")
        dressed = self._dressed({**body, "id": view_id, "root_view_id": view_id, "previous_view_id": None})
        self.views[view_id] = OpenView(user=user, view=dressed)
        self.homes[user] = view_id
        self.workspace.changed()
        return dressed

    def find(self, view_id: str = "", external_id: str = "") -> OpenView:
        """A view by one of its ids, or ``not_found``."""
        if view_id in self.views:
            return self.views[view_id]
        for shown in self.views.values():
            if external_id and shown.view.get("external_id") == external_id:
                return shown
        raise SlackError("not_found")

    def close(self, user: str, view_id: str) -> None:
        """Take one modal off the screen."""
        self.views.pop(view_id, None)
        self.stacks[user] = [open_id for open_id in self.stacks.get(user, []) if open_id != view_id]
        self.workspace.changed()

    def close_all(self, user: str) -> None:
        """Take every modal off the screen."""
        for view_id in self.stacks.pop(user, []):
            self.views.pop(view_id, None)
        self.workspace.changed()

    def top(self, user: str) -> OpenView | None:
        """The modal in front of ``user``."""
        stack = self.stacks.get(user, [])
        return self.views[stack[-1]] if stack else None

    def _show(self, user: str, view: Any, *, stack: list[str]) -> Json:
        body = self._checked(view)
        if body["type"] != "modal":
            raise SlackError("invalid_arguments", ["[ERROR] must be a modal view [json-pointer:/view/type]"])
        view_id = self.workspace.new_id("V")
        ids = {"id": view_id, "root_view_id": stack[0] if stack else view_id,
               "previous_view_id": stack[-1] if stack else None}  # fmt: skip
        self.views[view_id] = OpenView(user=user, view=self._dressed({**body, **ids}))
        self.stacks[user] = [*stack, view_id]
        self.workspace.changed()
        return self.views[view_id].view

    def _checked(self, view: Any) -> Json:
        if not isinstance(view, dict):
            raise SlackError("invalid_arguments", ["[ERROR] must be an object [json-pointer:/view]"])
        problems = Problems()
        _check_frame(problems, view)
        if problems.messages:
            raise SlackError("invalid_arguments", problems.messages)
        return {**view, "blocks": blocks.checked(view["blocks"], view=True, pointer="/view/blocks")}

    def _dressed(self, view: Json) -> Json:
        app = self.workspace.app
        body = {
            "team_id": self.workspace.team.id,
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "clear_on_close": False,
            "notify_on_close": False,
            "close": None,
            "submit": None,
            "title": None,
            **view,
            "state": {"values": {}},
            "app_id": app.id,
            "app_installed_team_id": self.workspace.team.id,
            "bot_id": app.bot_id,
        }
        stamp = self.workspace.new_ts()
        digest = hashlib.sha256(json.dumps([stamp, body], sort_keys=True).encode()).hexdigest()[:8]
        return {**body, "hash": f"{stamp.split('.', maxsplit=1)[0]}.{digest}"}


def _check_frame(problems: Problems, view: Json) -> None:
    kind = view.get("type")
    if kind not in ("modal", "home"):
        problems.add("must be a valid enum value", "/view/type")
    if not isinstance(view.get("blocks"), list):
        problems.add("missing required field: blocks", "/view")
    if kind == "modal":
        text_object(problems, view.get("title"), "/view/title", 24, plain_only=True)
        inputs = any(isinstance(b, dict) and b.get("type") == "input" for b in view.get("blocks") or [])
        if inputs and view.get("submit") is None:
            problems.add("missing required field: submit", "/view")
    for name in ("submit", "close"):
        if view.get(name) is not None:
            text_object(problems, view[name], f"/view/{name}", 24, plain_only=True)
    for name, limit in (("private_metadata", 3000), ("callback_id", 255), ("external_id", 255)):
        if view.get(name):
            problems.text(view[name], f"/view/{name}", limit)
    problems.keys(view, ("type", "title", "blocks", "close", "submit", "private_metadata", "callback_id",
                         "clear_on_close", "notify_on_close", "external_id", "submit_disabled"), "/view")  # fmt: skip


def state_value(element: Json, given: Any) -> Json:
    """One entry of ``state.values`` from what a person entered: text, an option's value, or a list of them."""
    kind = str(element["type"])
    if kind in PICKERS:
        names = {"datepicker": "selected_date", "timepicker": "selected_time", "datetimepicker": "selected_date_time"}
        return {"type": kind, names[kind]: given or None}
    if kind == "checkboxes" or kind in MULTI_SELECTS:
        chosen = given if isinstance(given, list) else []
        if kind in ("checkboxes", "multi_static_select", "multi_external_select"):
            return {"type": kind, "selected_options": [_option(element, value) for value in chosen]}
        return {"type": kind, f"selected_{kind.split('_')[1]}": chosen}
    if kind in CHOICES or kind in SELECTS:
        name = {"users_select": "user", "channels_select": "channel", "conversations_select": "conversation"}.get(kind)
        if name:
            return {"type": kind, f"selected_{name}": given or None}
        return {"type": kind, "selected_option": _option(element, given) if given else None}
    return {"type": kind, "value": str(given) if given not in (None, "") else None}


def initial_value(element: Json) -> Any:
    """What stands in an input before anybody touches it."""
    for name in ("initial_value", "initial_date", "initial_time", "initial_date_time", "initial_user",
                 "initial_channel", "initial_conversation"):  # fmt: skip
        if name in element:
            return element[name]
    if "initial_option" in element:
        return element["initial_option"]["value"]
    return [option["value"] for option in element.get("initial_options", [])] or None


def _option(element: Json, value: Any) -> Json:
    groups = element.get("option_groups", [])
    known = [*element.get("options", []), *(option for group in groups for option in group["options"])]
    for option in known:
        if option.get("value") == value:
            return dict(option)
    raise SlackError("invalid_arguments", [f"[ERROR] {value!r} is not among the options of {element.get('action_id')}"])
