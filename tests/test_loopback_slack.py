"""Real Bolt and slack_sdk against the loopback workspace: Web API, Socket Mode, signed HTTP, limits, faults."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.socket_mode.websockets import AsyncSocketModeHandler as WebsocketsHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from drills.slack import seed
from drills.slack.__main__ import run, run_person
from drills.slack.server import LoopbackSlack, Options

APPROVE: list[dict[str, Any]] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "*Roll back the prompt* `support` to 12"}},
    {
        "type": "actions",
        "block_id": "decide",
        "elements": [
            {"type": "button", "action_id": "approve", "style": "primary", "value": "p1:abc",
             "text": {"type": "plain_text", "text": "Approve"}},
            {"type": "static_select", "action_id": "pick", "placeholder": {"type": "plain_text", "text": "Percent"},
             "options": [{"text": {"type": "plain_text", "text": f"{n} %"}, "value": str(n)} for n in (10, 50)]},
        ],
    },
]  # fmt: skip
MODAL: dict[str, Any] = {
    "type": "modal",
    "callback_id": "edit",
    "private_metadata": "p1",
    "title": {"type": "plain_text", "text": "Edit"},
    "submit": {"type": "plain_text", "text": "Propose"},
    "notify_on_close": True,
    "blocks": [
        {"type": "input", "block_id": "percent", "label": {"type": "plain_text", "text": "Percent"},
         "element": {"type": "plain_text_input", "action_id": "value", "initial_value": "50"}},
        {"type": "input", "block_id": "why", "optional": True, "label": {"type": "plain_text", "text": "Why"},
         "element": {"type": "static_select", "action_id": "value",
                     "options": [{"text": {"type": "plain_text", "text": "Cost"}, "value": "cost"}]}},
    ],
}  # fmt: skip


@pytest.fixture
async def slack() -> AsyncIterator[LoopbackSlack]:
    async with LoopbackSlack(seed.load(), Options(port=0, rate_limits=False, retry_delays=(0, 0.05))) as running:
        yield running


@pytest.fixture
def client(slack: LoopbackSlack) -> AsyncWebClient:
    return AsyncWebClient(token="xoxb-loopback", base_url=f"{slack.url}/api/")


async def until(check: Callable[[], Any]) -> Any:
    """Wait for something that another task is about to do; the test's own timeout bounds it."""
    while not (value := check()):  # noqa: ASYNC110 - the app is another program's part: no event to wait for
        await asyncio.sleep(0.01)
    return value


async def control(slack: LoopbackSlack, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.post(f"{slack.url}/control/{path}", json=body) as reply:
        return await reply.json()


class App:
    """A Bolt app that remembers what reached its listeners."""

    def __init__(self, slack: LoopbackSlack) -> None:
        web_client = AsyncWebClient(token="xoxb-loopback", base_url=f"{slack.url}/api/")
        self.bolt = AsyncApp(client=web_client, signing_secret=slack.options.signing_secret, ssl_check_enabled=False)
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.retries: list[str] = []

        @self.bolt.action("approve")
        async def _approve(ack: Any, body: dict[str, Any], respond: Any, client: AsyncWebClient) -> None:
            await ack()
            self.seen.append(("approve", body))
            await client.chat_update(channel=body["channel"]["id"], ts=body["container"]["message_ts"], text="Approved",
                                     blocks=[])  # fmt: skip
            await respond(text="Your vote counts", replace_original=False)

        @self.bolt.action("pick")
        async def _pick(ack: Any, body: dict[str, Any]) -> None:
            await ack()
            self.seen.append(("pick", body))

        @self.bolt.command("/oncall")
        async def _oncall(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
            if body["text"] == "edit":
                await ack()
                await client.views_open(trigger_id=body["trigger_id"], view=MODAL)
            else:
                await ack(text=f"You said {body['text']}")
            self.seen.append(("oncall", body))

        @self.bolt.view("edit")
        async def _edit(ack: Any, body: dict[str, Any]) -> None:
            self.seen.append(("edit", body))
            value = body["view"]["state"]["values"]["percent"]["value"]["value"]
            if value == "900":
                await ack(response_action="errors", errors={"percent": "At most 100"})
            else:
                await ack()

        @self.bolt.view_closed("edit")
        async def _closed(ack: Any, body: dict[str, Any]) -> None:
            await ack()
            self.seen.append(("closed", body))

        @self.bolt.shortcut("add_to_timeline")
        async def _shortcut(ack: Any, body: dict[str, Any]) -> None:
            await ack()
            self.seen.append(("shortcut", body))

        for kind in ("app_mention", "message", "reaction_added", "app_home_opened"):
            self._remember(kind)

    def _remember(self, kind: str) -> None:
        @self.bolt.event(kind)
        async def _event(body: dict[str, Any], request: AsyncBoltRequest) -> None:
            self.seen.append((kind, body))
            self.retries.extend(request.headers.get("x-slack-retry-num", []))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [body for name, body in self.seen if name == kind]

    async def next(self, kind: str) -> dict[str, Any]:
        """The newest body of this kind, once there is one."""
        await until(lambda: self.of(kind))
        return self.of(kind)[-1]


@asynccontextmanager
async def connected(slack: LoopbackSlack, handler: Any = AsyncSocketModeHandler) -> AsyncIterator[App]:
    app = App(slack)
    running = handler(app.bolt, app_token="xapp-loopback")
    await running.connect_async()
    await until(slack.socket_mode.connected)
    try:
        yield app
    finally:
        await running.close_async()


# ----- Web API -----------------------------------------------------------------------------------------------------


async def test_the_app_learns_who_it_is_and_which_scopes_it_has(client: AsyncWebClient) -> None:
    who = await client.auth_test()

    assert (who["team_id"], who["user_id"], who["bot_id"]) == ("T0LOOP", "U0PAGERUN", "B0PAGERUN")
    assert "chat:write" in who.headers["x-oauth-scopes"]


async def test_a_card_is_posted_edited_threaded_and_deleted(client: AsyncWebClient) -> None:
    card = await client.chat_postMessage(channel="C0ASSIST", text="Card", blocks=APPROVE)
    reply = await client.chat_postMessage(channel="C0ASSIST", text="Detail", thread_ts=card["ts"])
    await client.chat_update(channel="C0ASSIST", ts=card["ts"], text="Card, later")

    history = (await client.conversations_history(channel="C0ASSIST"))["messages"]
    thread = (await client.conversations_replies(channel="C0ASSIST", ts=card["ts"]))["messages"]
    assert [m["text"] for m in history] == ["Card, later"]
    assert history[0]["blocks"][1]["block_id"] == "decide"
    assert "edited" not in history[0]
    assert [m["text"] for m in thread] == ["Card, later", "Detail"]
    assert thread[0]["reply_count"] == 1
    link = (await client.chat_getPermalink(channel="C0ASSIST", message_ts=reply["ts"]))["permalink"]
    assert link.endswith(f"thread_ts={card['ts']}&cid=C0ASSIST")
    await client.chat_delete(channel="C0ASSIST", ts=reply["ts"])
    assert len((await client.conversations_replies(channel="C0ASSIST", ts=card["ts"]))["messages"]) == 1


async def test_people_channels_and_groups_are_listed_in_pages(client: AsyncWebClient) -> None:
    first = await client.conversations_list(limit=2)
    rest = await client.conversations_list(limit=100, cursor=first["response_metadata"]["next_cursor"])
    users = {u["id"]: u for u in (await client.users_list())["members"]}
    stranger = (await client.users_info(user="U0STRANGER"))["user"]

    assert {c["id"] for c in [*first["channels"], *rest["channels"]]} >= {"C0ASSIST", "C0TRUST", "C0CREATOR"}
    assert users["U0GUEST"]["is_restricted"]
    assert users["U0GONE"]["deleted"]
    assert "U0STRANGER" not in users
    assert (stranger["team_id"], stranger["is_stranger"]) == ("T0OTHER", True)
    assert (await client.usergroups_users_list(usergroup="S0ASSIST"))["users"] == ["U0ANA", "U0BEN"]
    assert (await client.usergroups_list(include_users=True))["usergroups"][0]["handle"] == "assist-oncall"
    assert "U0ANA" in (await client.conversations_members(channel="C0ASSIST"))["members"]


async def test_a_channel_is_created_filled_topped_and_archived(client: AsyncWebClient) -> None:
    room = (await client.conversations_create(name="inc-42"))["channel"]["id"]
    await client.conversations_invite(channel=room, users="U0ANA,U0BEN")
    await client.conversations_setTopic(channel=room, topic="Support bot answers wrong")
    note = await client.chat_postMessage(channel=room, text="Start here")
    await client.pins_add(channel=room, timestamp=note["ts"])
    await client.reactions_add(channel=room, timestamp=note["ts"], name="eyes")
    await client.bookmarks_add(channel_id=room, title="Dashboard", type="link", link="https://grafana.example/d/llm")
    dm = (await client.conversations_open(users="U0ANA"))["channel"]["id"]
    await client.chat_postMessage(channel=dm, text="psst")

    info = (await client.conversations_info(channel=room, include_num_members=True))["channel"]
    assert (info["topic"]["value"], info["num_members"]) == ("Support bot answers wrong", 3)
    told = (await client.conversations_history(channel=room))["messages"]
    assert [m["reactions"][0]["name"] for m in told if m["ts"] == note["ts"]] == ["eyes"]
    await client.conversations_archive(channel=room)
    with pytest.raises(SlackApiError, match="is_archived"):
        await client.chat_postMessage(channel=room, text="too late")


async def test_a_channel_tells_what_is_done_to_it_and_apps_leave_it_when_it_is_archived(client: AsyncWebClient) -> None:
    room = (await client.conversations_create(name="inc-43"))["channel"]["id"]
    await client.conversations_setPurpose(channel=room, purpose="Incident 43")
    await client.conversations_setTopic(channel=room, topic="bot")
    await client.conversations_invite(channel=room, users="U0ANA")
    told = (await client.conversations_history(channel=room))["messages"]
    assert [m["subtype"] for m in told] == ["channel_join", "channel_topic", "channel_purpose"]
    own = (await client.users_conversations(types="public_channel,private_channel"))["channels"]
    assert [c["purpose"]["value"] for c in own if c["id"] == room] == ["Incident 43"]

    await client.conversations_archive(channel=room)
    assert room not in [c["id"] for c in (await client.users_conversations())["channels"]]
    for refused, error in (
        (client.conversations_archive(channel=room), "already_archived"),
        (client.conversations_unarchive(channel=room), "not_in_channel"),
        (client.conversations_unarchive(channel="C0ASSIST"), "not_archived"),
        (client.conversations_create(name="inc-43"), "name_taken"),
        (client.conversations_create(name="---"), "invalid_name_punctuation"),
    ):
        with pytest.raises(SlackApiError, match=error):
            await refused


async def test_people_are_found_by_their_address_and_deactivated_ones_are_not(
    client: AsyncWebClient, slack: LoopbackSlack
) -> None:
    assert (await client.users_lookupByEmail(email="Ana@example.com"))["user"]["id"] == "U0ANA"
    await control(slack, "user", {"id": "U0ANA", "deleted": True})
    for email in ("ana@example.com", "nobody@example.com"):
        with pytest.raises(SlackApiError, match="users_not_found"):
            await client.users_lookupByEmail(email=email)


async def test_a_private_channel_needs_permissions_of_its_own(client: AsyncWebClient, slack: LoopbackSlack) -> None:
    app = slack.workspace.app
    kept = tuple(scope for scope in app.scopes if scope != "groups:write")
    slack.workspace.app = app.model_copy(update={"scopes": kept})
    with pytest.raises(SlackApiError, match="missing_scope"):
        await client.conversations_create(name="secret", is_private=True)
    assert (await client.conversations_create(name="open"))["ok"]


async def test_a_file_is_uploaded_and_shared(client: AsyncWebClient, slack: LoopbackSlack) -> None:
    shared = await client.files_upload_v2(
        channel="C0ASSIST", content="# Postmortem", filename="pm.md", initial_comment="x"
    )

    assert shared["files"][0]["name"] == "pm.md"
    posted = (await client.conversations_history(channel="C0ASSIST"))["messages"][0]
    async with aiohttp.ClientSession() as session, session.get(posted["files"][0]["url_private"]) as reply:
        assert await reply.text() == "# Postmortem"
        assert reply.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("chat.postMessage", {"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "C0GENERAL", "text": "x"}, "not_in_channel"),
        ("chat.postMessage", {"channel": "C0ASSIST"}, "no_text"),
        ("chat.postMessage", {"channel": "C0ASSIST", "text": "x" * 40_001}, "msg_too_long"),
        ("chat.postMessage", {"channel": "C0ASSIST", "text": "x", "thread_ts": "1.000001"}, "thread_not_found"),
        ("chat.postMessage", {"channel": "C0ASSIST", "text": "x", "blocks": "{nope"}, "invalid_blocks_format"),
        ("chat.postEphemeral", {"channel": "C0ASSIST", "user": "U0EVA", "text": "x"}, "user_not_in_channel"),
        ("chat.update", {"channel": "C0ASSIST", "ts": "1.000001", "text": "x"}, "message_not_found"),
        ("views.open", {"trigger_id": "made.up", "view": MODAL}, "invalid_trigger_id"),
        ("views.update", {"view_id": "V0NONE", "view": MODAL}, "not_found"),
        ("users.info", {"user": "U0NOBODY"}, "user_not_found"),
        ("conversations.history", {"channel": "C0GENERAL"}, "not_in_channel"),
        ("usergroups.users.list", {"usergroup": "S0NONE"}, "no_such_subteam"),
        ("apps.connections.open", {}, "not_allowed_token_type"),
        ("no.such.method", {}, "unknown_method"),
    ],
)
async def test_refusals_use_the_words_of_slack(
    client: AsyncWebClient, method: str, arguments: dict[str, Any], error: str
) -> None:
    with pytest.raises(SlackApiError) as refused:
        await client.api_call(method, json=arguments)

    assert refused.value.response["error"] == error


async def test_tokens_are_checked(slack: LoopbackSlack) -> None:
    async def answer(token: str) -> str:
        with pytest.raises(SlackApiError) as refused:
            await AsyncWebClient(token=token, base_url=f"{slack.url}/api/").auth_test()
        return str(refused.value.response["error"])

    assert await answer("xoxb-wrong") == "invalid_auth"
    await control(slack, "token", {"token": "xoxb-loopback", "error": "token_revoked"})
    assert await answer("xoxb-loopback") == "token_revoked"


def button(**more: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "Go"}, **more}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def section(text: dict[str, Any]) -> dict[str, Any]:
    return {"type": "section", "text": text}


def rich(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [part]}]}


@pytest.mark.parametrize(
    ("blocks", "what", "where"),
    [
        ([{"type": "divider"}] * 51, "no more than 50 items allowed", ""),
        ([section(mrkdwn("x" * 3001))], "must be less than 3001 characters", "/0/text/text"),
        ([section(mrkdwn(""))], "must be more than 0 characters", "/0/text/text"),
        ([{"type": "section"}], "missing required field: text", "/0"),
        ([{"type": "section", "fields": [mrkdwn("x")] * 11}], "no more than 10 items allowed", "/0/fields"),
        ([{"type": "section", "fields": [mrkdwn("x" * 2001)]}], "must be less than 2001 characters",
         "/0/fields/0/text"),
        ([{"type": "header", "text": plain("x" * 151)}], "must be less than 151 characters", "/0/text/text"),
        ([{"type": "header", "text": mrkdwn("x")}], "must provide an object with a plain_text type", "/0/text/type"),
        ([actions(*[button(action_id=f"a{n}") for n in range(26)])], "no more than 25 items allowed", "/0/elements"),
        ([actions(button(text=plain("x" * 76)))], "must be less than 76 characters", "/0/elements/0/text/text"),
        ([actions(button(value="x" * 2001))], "must be less than 2001 characters", "/0/elements/0/value"),
        ([actions(button(action_id="x" * 256))], "must be less than 256 characters", "/0/elements/0/action_id"),
        ([actions(button(), button())], "`action_id` a already exists for this block", "/0/elements"),
        ([actions(button(style="green"))], "must be a valid enum value", "/0/elements/0/style"),
        ([actions(button(url="javascript:alert(1)"))], "must be a valid url", "/0/elements/0/url"),
        ([actions({"type": "blink", "action_id": "a"})], "unsupported type: blink", "/0/elements/0/type"),
        ([{"type": "marquee"}], "unsupported type: marquee", "/0/type"),
        ([{"type": "context", "elements": [mrkdwn("x")] * 11}], "no more than 10 items allowed", "/0/elements"),
        ([{"type": "divider", "block_id": "d"}] * 2, "block_id d already exists", "/1/block_id"),
        ([{"type": "divider", "colour": "red"}], "invalid additional property: colour", "/0"),
        ([rich({"type": "script"})], "unsupported type: script", "/0/elements/0/elements/0/type"),
        ([rich({"type": "text", "text": ""})], "must be more than 0 characters", "/0/elements/0/elements/0/text"),
        ([actions(button(confirm={"title": mrkdwn("Sure?")}))], "must provide an object with a plain_text type",
         "/0/elements/0/confirm/title/type"),
    ],
)  # fmt: skip
async def test_blocks_are_held_to_their_limits(
    client: AsyncWebClient, blocks: list[dict[str, Any]], what: str, where: str
) -> None:
    with pytest.raises(SlackApiError) as refused:
        await client.chat_postMessage(channel="C0ASSIST", text="x", blocks=blocks)

    assert refused.value.response["error"] == "invalid_blocks"
    told = refused.value.response["response_metadata"]["messages"]
    assert f"[ERROR] {what} [json-pointer:/blocks{where}]" in told


async def test_blocks_at_their_limits_pass(client: AsyncWebClient) -> None:
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "x" * 150}},
        {"type": "section", "text": mrkdwn("x" * 3000)},
        {"type": "section", "fields": [mrkdwn("x" * 100)] * 10},
        actions(*[button(action_id=f"a{n}", value="v" * 2000) for n in range(25)]),
        {"type": "context", "elements": [mrkdwn("x")] * 10},
        {"type": "rich_text", "elements": [
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "<!channel> & *not bold*"}]},
            {"type": "rich_text_list", "style": "bullet", "elements": [
                {"type": "rich_text_section", "elements": [{"type": "user", "user_id": "U0ANA"}]}]}]},
        *[{"type": "divider"}] * 44,
    ]  # fmt: skip

    posted = await client.chat_postMessage(channel="C0ASSIST", text="x", blocks=blocks)

    assert len(posted["message"]["blocks"]) == 50
    assert all(block["block_id"] for block in posted["message"]["blocks"])


async def test_many_texts_together_can_be_too_long(client: AsyncWebClient) -> None:
    blocks = [{"type": "section", "text": mrkdwn("x" * 3000)}] * 5

    with pytest.raises(SlackApiError, match="msg_blocks_too_long"):
        await client.chat_postMessage(channel="C0ASSIST", text="x", blocks=blocks)


async def test_view_limits_are_checked(slack: LoopbackSlack, client: AsyncWebClient) -> None:
    for change, message in (
        ({"title": {"type": "plain_text", "text": "x" * 25}}, "must be less than 25 characters"),
        ({"submit": None}, "missing required field: submit"),
        ({"private_metadata": "x" * 3001}, "must be less than 3001 characters"),
    ):
        trigger = slack.surfaces.new_trigger("U0ANA")
        with pytest.raises(SlackApiError) as refused:
            await client.views_open(trigger_id=trigger, view={**MODAL, **change})
        assert message in str(refused.value.response["response_metadata"]["messages"])


# ----- limits and faults -------------------------------------------------------------------------------------------


async def test_messages_faster_than_one_a_second_are_held_back_per_channel() -> None:
    now = 1_000_000.0
    async with LoopbackSlack(seed.load(), Options(port=0), now=lambda: now) as slack:
        client = AsyncWebClient(token="xoxb-loopback", base_url=f"{slack.url}/api/")
        for _ in range(4):
            await client.chat_postMessage(channel="C0ASSIST", text="burst")
        with pytest.raises(SlackApiError) as refused:
            await client.chat_postMessage(channel="C0ASSIST", text="one too many")

        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["Retry-After"] == "1"
        await client.chat_postMessage(channel="C0TRUST", text="another channel")
        now += 1.0
        await client.chat_postMessage(channel="C0ASSIST", text="a second later")


@pytest.mark.parametrize("retry_after", ["0", "3", "abc", "86400", None])
async def test_an_injected_429_carries_the_asked_header(
    slack: LoopbackSlack, client: AsyncWebClient, retry_after: str | None
) -> None:
    await control(slack, "faults", {"method": "chat.update", "status": 429, "retry_after": retry_after, "count": 1})
    card = await client.chat_postMessage(channel="C0ASSIST", text="not affected")

    with pytest.raises(SlackApiError) as refused:
        await client.chat_update(channel="C0ASSIST", ts=card["ts"], text="x")
    await client.chat_update(channel="C0ASSIST", ts=card["ts"], text="the next one passes")

    assert refused.value.response.headers.get("Retry-After") == retry_after
    assert refused.value.response["error"] == "ratelimited"


async def test_a_lost_answer_leaves_the_message_posted(slack: LoopbackSlack, client: AsyncWebClient) -> None:
    client.retry_handlers.clear()
    for status in ("reset", "reset_before"):
        await control(slack, "faults", {"method": "chat.postMessage", "status": status})
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await client.chat_postMessage(channel="C0ASSIST", text=status)

    posted = (await client.conversations_history(channel="C0ASSIST"))["messages"]
    assert [message["text"] for message in posted] == ["reset"]


async def test_server_errors_and_error_codes_are_injected_and_every_call_is_on_record(
    slack: LoopbackSlack, client: AsyncWebClient
) -> None:
    await control(slack, "faults", {"method": "users.info", "status": 503})
    await control(slack, "faults", {"method": "users.info", "status": 200, "error": "fatal_error", "count": 2})
    for _ in range(3):
        with pytest.raises(SlackApiError):
            await client.users_info(user="U0ANA")
    await client.users_info(user="U0ANA")

    async with aiohttp.ClientSession() as session, session.get(f"{slack.url}/control/log?method=users.info") as reply:
        text = await reply.text()
    calls = json.loads(text)["calls"]
    assert [(call["status"], call.get("error", "")) for call in calls] == [
        (503, ""), (200, "fatal_error"), (200, "fatal_error"), (200, "")]  # fmt: skip
    assert calls[0]["args"] == {"user": "U0ANA"}
    assert "xoxb" not in text


async def test_a_wrong_fault_is_refused_with_what_to_do(slack: LoopbackSlack) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{slack.url}/control/faults", json={"status": "explode"}) as reply:
            assert (reply.status, "reset_before" in await reply.text()) == (400, True)
        async with session.post(f"{slack.url}/control/faults", data="status=429") as reply:
            assert reply.status == 415


async def test_another_host_name_is_refused(slack: LoopbackSlack) -> None:
    address, headers = f"{slack.url}/ui/state?user=U0ANA", {"Host": "evil.example"}
    async with aiohttp.ClientSession() as session, session.get(address, headers=headers) as reply:
        assert reply.status == 421


# ----- Socket Mode -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", [AsyncSocketModeHandler, WebsocketsHandler])
async def test_a_click_reaches_bolt_in_socket_mode(slack: LoopbackSlack, client: AsyncWebClient, handler: Any) -> None:
    async with connected(slack, handler) as app:
        card = await client.chat_postMessage(channel="C0ASSIST", text="Card", blocks=APPROVE)
        done = await slack.acts.act("U0ANA", "C0ASSIST", card["ts"], "approve")
        body = await app.next("approve")
        await until(lambda: slack.workspace.message("C0ASSIST", card["ts"]).payload["text"] == "Approved")
        mine = await until(lambda: [m for m in slack.ui.state("U0ANA")["channels"][0]["messages"] if m["ephemeral"]])

    assert done.ok
    assert body["user"] == {"id": "U0ANA", "username": "ana", "name": "ana", "team_id": "T0LOOP"}
    assert body["container"] == {"type": "message", "message_ts": card["ts"], "channel_id": "C0ASSIST",
                                 "is_ephemeral": False}  # fmt: skip
    assert body["team"] == {"id": "T0LOOP", "domain": "loopback"}
    assert body["channel"] == {"id": "C0ASSIST", "name": "assist-incidents"}
    assert body["message"]["ts"] == card["ts"]
    assert (body["actions"][0]["value"], body["actions"][0]["block_id"]) == ("p1:abc", "decide")
    assert float(body["actions"][0]["action_ts"]) > float(card["ts"])
    assert mine[0]["text"] == "Your vote counts"
    assert not [m for m in slack.ui.state("U0BEN")["channels"][0]["messages"] if m["ephemeral"]]


async def test_a_choice_carries_the_selected_option(slack: LoopbackSlack, client: AsyncWebClient) -> None:
    async with connected(slack) as app:
        card = await client.chat_postMessage(channel="C0ASSIST", text="Card", blocks=APPROVE)
        await slack.acts.act("U0ANA", "C0ASSIST", card["ts"], "pick", given="50")
        body = await app.next("pick")

    assert body["actions"][0]["selected_option"] == {"text": {"type": "plain_text", "text": "50 %"}, "value": "50"}
    assert body["state"]["values"]["decide"]["pick"]["selected_option"]["value"] == "50"


async def test_people_of_other_workspaces_are_reported_as_such(slack: LoopbackSlack, client: AsyncWebClient) -> None:
    async with connected(slack) as app:
        card = await client.chat_postMessage(channel="C0ASSIST", text="Card", blocks=APPROVE)
        await slack.acts.act("U0STRANGER", "C0ASSIST", card["ts"], "approve")
        body = await app.next("approve")

    assert (body["user"]["team_id"], body["team"]["id"]) == ("T0OTHER", "T0LOOP")


async def test_commands_answer_the_person_and_open_modals(slack: LoopbackSlack) -> None:
    async with connected(slack) as app:
        await slack.acts.slash("U0ANA", "C0ASSIST", "/oncall list  all")
        await slack.acts.slash("U0ANA", "C0ASSIST", "/oncall edit")
        view = (await until(lambda: slack.surfaces.top("U0ANA"))).view
        wrong = await slack.acts.submit("U0ANA", view["id"], {"percent": {"value": "900"}})
        empty = await slack.acts.submit("U0ANA", view["id"], {"percent": {"value": ""}})
        right = await slack.acts.submit("U0ANA", view["id"], {"percent": {"value": "20"}, "why": {"value": "cost"}})
        body = app.of("edit")[-1]

    command = app.of("oncall")[0]
    assert (command["text"], command["user_id"], command["channel_id"]) == ("list  all", "U0ANA", "C0ASSIST")
    assert [m["text"] for m in slack.ui.state("U0ANA")["channels"][0]["messages"]] == ["You said list  all"]
    assert wrong.errors == {"percent": "At most 100"}
    assert empty.errors == {"percent": "Please complete this required field."}
    assert right.ok
    assert slack.surfaces.top("U0ANA") is None
    assert body["view"]["private_metadata"] == "p1"
    assert body["view"]["state"]["values"]["why"]["value"]["selected_option"]["value"] == "cost"
    assert body["view"]["hash"] == view["hash"]
    assert not (await slack.acts.slash("U0ANA", "C0ASSIST", "/shrug")).ok


async def test_a_closed_modal_is_reported(slack: LoopbackSlack) -> None:
    async with connected(slack) as app:
        await slack.acts.slash("U0ANA", "C0ASSIST", "/oncall edit")
        view = (await until(lambda: slack.surfaces.top("U0ANA"))).view
        await slack.acts.close("U0ANA", view["id"])
        body = await app.next("closed")

    assert (body["type"], body["view"]["id"], body["is_cleared"]) == ("view_closed", view["id"], False)


async def test_messages_mentions_reactions_home_and_shortcuts_are_events(slack: LoopbackSlack) -> None:
    async with connected(slack) as app:
        first = slack.acts.say("U0ANA", "C0ASSIST", "@Pagerunner why <b>?</b>")
        slack.acts.say("U0BEN", "C0ASSIST", "because of @ana, see https://x.example/a.", thread_ts=first.ts)
        slack.acts.react("U0BEN", "C0ASSIST", first.ts, "eyes")
        slack.acts.open_home("U0ANA")
        await slack.acts.shortcut("U0ANA", "C0ASSIST", first.ts, "add_to_timeline")
        mention = (await app.next("app_mention"))["event"]
        await until(lambda: len(app.of("message")) == 2)
        reaction = (await app.next("reaction_added"))["event"]
        home = (await app.next("app_home_opened"))["event"]
        shortcut = await app.next("shortcut")

    reply = max((body["event"] for body in app.of("message")), key=lambda event: event["ts"])
    assert mention["text"] == "<@U0PAGERUN> why &lt;b&gt;?&lt;/b&gt;"
    assert reply["thread_ts"] == first.ts
    assert reply["text"] == "because of <@U0ANA>, see <https://x.example/a>."
    assert (reaction["reaction"], reaction["item"]["ts"], reaction["user"]) == ("eyes", first.ts, "U0BEN")
    assert home["tab"] == "home"
    assert (shortcut["type"], shortcut["message"]["ts"]) == ("message_action", first.ts)


async def test_a_lost_event_comes_again_as_a_retry(slack: LoopbackSlack) -> None:
    async with connected(slack) as app:
        await control(slack, "deliveries", {"lose_first": 1, "repeat": 1})
        slack.acts.say("U0ANA", "C0ASSIST", "hello")
        await until(lambda: len(app.of("message")) == 2)

    assert app.retries == ["1", "0"]
    assert len({body["event_id"] for body in app.of("message")}) == 1


async def test_an_envelope_nobody_acknowledges_is_sent_again(slack: LoopbackSlack) -> None:
    slack.socket_mode.ack_seconds = 0.05
    app_client = AsyncWebClient(token="xapp-loopback", base_url=f"{slack.url}/api/")
    url = (await app_client.apps_connections_open(app_token="xapp-loopback"))["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        hello = await socket.receive_json()
        slack.acts.say("U0ANA", "C0ASSIST", "anybody?")
        first, second = await socket.receive_json(), await socket.receive_json()
        await socket.send_json({"envelope_id": second["envelope_id"]})
        await until(lambda: slack.delivery.sent and slack.delivery.sent[-1]["ok"])
        async with session.get(url) as reused:
            assert reused.status in (400, 403)

    assert hello["type"] == "hello"
    assert (first["retry_attempt"], second["retry_attempt"], second["retry_reason"]) == (0, 1, "http_timeout")
    assert first["payload"]["event_id"] == second["payload"]["event_id"]
    assert first["envelope_id"] != second["envelope_id"]


async def test_bolt_survives_a_refresh_and_a_cut_connection(slack: LoopbackSlack, client: AsyncWebClient) -> None:
    card = await client.chat_postMessage(channel="C0ASSIST", text="Card", blocks=APPROVE)
    app = App(slack)
    handler = AsyncSocketModeHandler(app.bolt, app_token="xapp-loopback", ping_interval=0.1)
    await handler.connect_async()
    try:
        for number, reason in enumerate(("warning", "refresh_requested", "drop"), start=1):
            await until(slack.socket_mode.connected)
            await control(slack, "socket", {"disconnect": reason})
            done = await slack.acts.act("U0ANA", "C0ASSIST", card["ts"], "pick", given="10")
            assert done.ok, reason
            await until(lambda wanted=number: len(app.of("pick")) >= wanted)
    finally:
        await handler.close_async()


async def test_without_an_app_a_click_says_so(slack: LoopbackSlack, client: AsyncWebClient) -> None:
    slack.socket_mode.ack_seconds = 0.05
    card = await client.chat_postMessage(channel="C0ASSIST", text="Card", blocks=APPROVE)

    done = await slack.acts.act("U0ANA", "C0ASSIST", card["ts"], "approve")

    assert (done.ok, done.error) == (False, "The app did not answer in time.")


# ----- triggers, response URLs, views ------------------------------------------------------------------------------


async def test_a_trigger_lives_three_seconds_and_once() -> None:
    now = 1_000_000.0
    async with LoopbackSlack(seed.load(), Options(port=0), now=lambda: now) as slack:
        client = AsyncWebClient(token="xoxb-loopback", base_url=f"{slack.url}/api/")
        fresh, late = slack.surfaces.new_trigger("U0ANA"), slack.surfaces.new_trigger("U0ANA")
        await client.views_open(trigger_id=fresh, view=MODAL)
        for trigger, error in ((fresh, "exchanged_trigger_id"), (late, "expired_trigger_id")):
            now += 1.6
            now += 1.6
            with pytest.raises(SlackApiError, match=error):
                await client.views_open(trigger_id=trigger, view=MODAL)


async def test_views_are_compared_and_set_by_hash_and_stack_three_deep(
    slack: LoopbackSlack, client: AsyncWebClient
) -> None:
    first = (await client.views_open(trigger_id=slack.surfaces.new_trigger("U0ANA"), view=MODAL))["view"]
    await client.views_update(view_id=first["id"], view=MODAL, hash=first["hash"])
    with pytest.raises(SlackApiError, match="hash_conflict"):
        await client.views_update(view_id=first["id"], view=MODAL, hash=first["hash"])
    for _ in range(2):
        pushed = await client.views_push(trigger_id=slack.surfaces.new_trigger("U0ANA"), view=MODAL)
    with pytest.raises(SlackApiError, match="push_limit_reached"):
        await client.views_push(trigger_id=slack.surfaces.new_trigger("U0ANA"), view=MODAL)
    home = await client.views_publish(user_id="U0ANA", view={"type": "home", "blocks": APPROVE})

    assert pushed["view"]["root_view_id"] == first["id"]
    assert slack.ui.state("U0ANA")["home"]["id"] == home["view"]["id"]


async def test_a_response_url_replaces_deletes_and_wears_out(slack: LoopbackSlack, client: AsyncWebClient) -> None:
    card = await client.chat_postMessage(channel="C0ASSIST", text="Card", blocks=APPROVE)
    async with connected(slack):
        await slack.acts.act("U0ANA", "C0ASSIST", card["ts"], "pick", given="10")
    url = slack.delivery.sent[-1]["payload"]["response_url"]
    answers = []
    async with aiohttp.ClientSession() as session:
        for body in ({"text": "Closed", "replace_original": True}, {"text": "For all", "response_type": "in_channel"},
                     {"text": "For you"}, {"delete_original": "true"}, {"text": "five"}, {"text": "six"}):  # fmt: skip
            async with session.post(url, json=body) as reply:
                answers.append((reply.status, (await reply.json()).get("error")))

    assert answers == [(200, None)] * 5 + [(404, "used_url")]
    assert [m["text"] for m in slack.ui.state("U0BEN")["channels"][0]["messages"]] == ["For all"]


# ----- signed HTTP -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def http_app(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    server = web.Application()
    server.router.add_post("/slack/events", answer)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}/slack/events"
    finally:
        await runner.cleanup()


async def test_bolt_verifies_what_is_sent_over_http() -> None:
    apps: list[App] = []
    status: list[int] = []

    async def answer(request: web.Request) -> web.Response:
        bolt_request = AsyncBoltRequest(body=await request.text(), query="", headers=dict(request.headers))
        reply = await apps[0].bolt.async_dispatch(bolt_request)
        status.append(reply.status)
        headers = {key: values[0] for key, values in reply.headers.items()}
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    async with http_app(answer) as url, LoopbackSlack(seed.load(), Options(port=0, events_url=url)) as slack:
        apps.append(App(slack))
        client = AsyncWebClient(token="xoxb-loopback", base_url=f"{slack.url}/api/")
        assert (await control(slack, "verify-url", {}))["ok"]
        card = await client.chat_postMessage(channel="C0ASSIST", text="Card", blocks=APPROVE)
        assert (await slack.acts.act("U0ANA", "C0ASSIST", card["ts"], "pick", given="10")).ok
        assert (await control(slack, "replay", {"times": 3}))["acked"] == [True] * 3
        assert (await slack.acts.slash("U0ANA", "C0ASSIST", "/oncall hi")).ok
        slack.acts.say("U0ANA", "C0ASSIST", "@pagerunner hi")
        await apps[0].next("app_mention")

        assert len(apps[0].of("pick")) == 4
        assert set(status) == {200}
        slack.http.signing_secret = "another"  # type: ignore[union-attr]
        assert not (await slack.acts.act("U0ANA", "C0ASSIST", card["ts"], "pick", given="10")).ok
        assert status[-1] == 401


async def test_http_events_are_retried_three_times_unless_asked_not_to() -> None:
    got: list[tuple[str | None, str | None]] = []
    quiet: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        got.append((request.headers.get("X-Slack-Retry-Num"), request.headers.get("X-Slack-Retry-Reason")))
        return web.Response(status=503, headers=quiet)

    async with http_app(answer) as url:
        options = Options(port=0, retry_delays=(0, 0.01, 0.01), events_url=url)
        async with LoopbackSlack(seed.load(), options) as slack:
            slack.acts.say("U0ANA", "C0ASSIST", "hello")
            await until(lambda: len(slack.delivery.sent) == 4)
            quiet["X-Slack-No-Retry"] = "1"
            slack.acts.say("U0ANA", "C0ASSIST", "again")
            await until(lambda: len(slack.delivery.sent) == 5)

    assert got == [(None, None), ("1", "http_error"), ("2", "http_error"), ("3", "http_error"), (None, None)]


# ----- seed, command line, person ----------------------------------------------------------------------------------


def test_another_seed_can_be_given_and_mistakes_name_the_place(tmp_path: Path) -> None:
    path = tmp_path / "seed.yaml"
    path.write_text("app: {id: A1, bot_id: B1, user: U1, name: X}\n"
                    "users:\n  - {id: U1, name: x, real_name: X}\n"
                    "channels:\n  - {id: C1, name: c, members: [U2]}\n")  # fmt: skip
    with pytest.raises(seed.SeedError, match="unknown members U2"):
        seed.load(path)
    path.write_text(path.read_text().replace("U2", "U1").replace("name: c,", "nam: c,"))
    with pytest.raises(seed.SeedError, match=r"seed\.yaml:5:\d+: channels\.0\.name"):
        seed.load(path)
    path.write_text('{"app": {"id": "A1", "bot_id": "B1", "user": "U1", "name": "X"}, "channels": [], '
                    '"users": [{"id": "U1", "name": "x", "real_name": "X"}]}')  # fmt: skip
    assert seed.load(path).app.id == "A1"


def test_the_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["--seed", str(tmp_path / "none.yaml")]) == 2
    assert run_person(["--url", "http://127.0.0.1:1", "--as", "U0ANA", "--wait", "0"]) == 1

    errors = capsys.readouterr().err
    assert "none.yaml" in errors
    assert "is it running?" in errors


async def test_it_runs_as_a_program_and_stops_when_told() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "drills.slack", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    line = (await program.stdout.readline()).decode()
    url = line.split()[3]
    who = await AsyncWebClient(token="xoxb-loopback", base_url=f"{url}/api/").auth_test()
    async with aiohttp.ClientSession() as session, session.get(f"{url}/ui/stream") as stream:
        assert (await stream.content.readline()).startswith(b"data: ")
        program.terminate()
        assert await program.wait() == 0

    assert who["team_id"] == "T0LOOP"
    assert "Socket Mode" in line


def test_a_taken_port_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run(["--port", str(taken.getsockname()[1])]) == 3

    assert "choose another --port" in capsys.readouterr().err


async def test_a_scripted_person_waits_for_the_button_and_clicks_it(
    slack: LoopbackSlack, client: AsyncWebClient, capsys: pytest.CaptureFixture[str]
) -> None:
    async with connected(slack) as app:
        waiting = asyncio.create_task(
            asyncio.to_thread(run_person, ["--url", slack.url, "--as", "U0ANA", "--click", "Approve", "--wait", "60"])
        )
        await client.chat_postMessage(channel="C0TRUST", text="Not hers", blocks=APPROVE)
        await client.chat_postMessage(channel="C0ASSIST", text="Support bot answers wrong", blocks=APPROVE)
        assert await waiting == 0
        body = await app.next("approve")

    assert (body["user"]["id"], body["channel"]["id"]) == ("U0ANA", "C0ASSIST")
    printed = capsys.readouterr().out.strip()
    assert printed == "U0ANA clicked 'Approve' in #assist-incidents on: Support bot answers wrong"


async def test_the_page_endpoints_need_the_token_of_the_page(slack: LoopbackSlack) -> None:
    async with aiohttp.ClientSession() as session:
        body = {"user": "U0ANA", "channel": "C0ASSIST", "text": "hi"}
        async with session.post(f"{slack.url}/ui/message", json=body) as reply:
            assert reply.status == 403
        headers = {"X-UI-Token": slack.ui.token}
        async with session.post(f"{slack.url}/ui/message", json=body, headers=headers) as reply:
            assert (await reply.json())["ok"]
        async with session.post(f"{slack.url}/ui/message", json={**body, "user": "U0X"}, headers=headers) as reply:
            assert (reply.status, (await reply.json())["error"]) == (400, "user_not_found")
