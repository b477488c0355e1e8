"""The page of the loopback workspace in a real Chromium: what people see and do, with real Bolt at the other end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from drills.slack import seed
from drills.slack.server import LoopbackSlack, Options

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
HOSTILE = "<!channel> <img src=x onerror=alert(1)> <script>alert(2)</script> <javascript:alert(3)|Approve> &lt;b&gt;"


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def card(state: str) -> list[dict[str, Any]]:
    """A card as the product posts it: headline, facts as rich text, buttons with a confirmation."""
    confirm = {"title": plain("Approve this plan?"), "text": plain("support goes back to 12."),
               "confirm": plain("Yes, roll back"), "deny": plain("Not yet")}  # fmt: skip
    label = {"type": "text", "text": "Checked", "style": {"bold": True}}
    return [
        {"type": "header", "text": plain(":rotating_light: Support bot answers wrong")},
        {"type": "context", "elements": [plain("support-bot"), {"type": "mrkdwn", "text": "owned by <@U0ANA>"}]},
        {"type": "rich_text", "elements": [
            {"type": "rich_text_section", "elements": [label, {"type": "text", "text": f"\ngolden_set {state}"}]}]},
        {"type": "actions", "block_id": "decide", "elements": [
            {"type": "button", "action_id": "approve", "style": "primary", "value": "p1.hash", "text": plain("Approve"),
             "confirm": confirm},
            {"type": "button", "action_id": "edit", "text": plain("Edit")},
            {"type": "overflow", "action_id": "more", "options": [{"text": plain("Escalate"), "value": "escalate"}]},
        ]},
    ]  # fmt: skip


MODAL = {
    "type": "modal",
    "callback_id": "edit",
    "private_metadata": "p1",
    "title": plain("Edit the plan"),
    "submit": plain("Propose"),
    "close": plain("Never mind"),
    "blocks": [
        {"type": "input", "block_id": "percent", "label": plain("Percent"), "hint": plain("0 to 100"),
         "element": {"type": "plain_text_input", "action_id": "value", "initial_value": "50"}},
        {"type": "input", "block_id": "target", "label": plain("Target"),
         "element": {"type": "static_select", "action_id": "value", "options": [
             {"text": plain("Beta"), "value": "beta"}, {"text": plain("Acme"), "value": "acme"}]}},
    ],
}  # fmt: skip


class App:
    """A small on-call app on real Bolt."""

    def __init__(self, slack: LoopbackSlack) -> None:
        self.client = AsyncWebClient(token="xoxb-loopback", base_url=f"{slack.url}/api/")
        self.bolt = AsyncApp(client=self.client)
        self.handler = AsyncSocketModeHandler(self.bolt, app_token="xapp-loopback")
        self.seen: list[tuple[str, dict[str, Any]]] = []

        @self.bolt.action("approve")
        async def _approve(ack: Any, body: dict[str, Any]) -> None:
            await ack()
            self.seen.append(("approve", body))
            await self.client.chat_update(channel=body["channel"]["id"], ts=body["message"]["ts"], text="Approved",
                                          blocks=[{"type": "header", "text": plain("Approved by Ana")}])  # fmt: skip

        @self.bolt.action("edit")
        async def _edit(ack: Any, body: dict[str, Any]) -> None:
            await ack()
            await self.client.views_open(trigger_id=body["trigger_id"], view=MODAL)

        @self.bolt.action("more")
        async def _more(ack: Any, body: dict[str, Any]) -> None:
            await ack()
            self.seen.append((body["actions"][0]["selected_option"]["value"], body))

        @self.bolt.view("edit")
        async def _submitted(ack: Any, body: dict[str, Any]) -> None:
            values = body["view"]["state"]["values"]
            if values["percent"]["value"]["value"] == "900":
                await ack(response_action="errors", errors={"percent": "At most 100"})
                return
            await ack()
            self.seen.append(("edited", values))

        @self.bolt.command("/oncall")
        async def _oncall(ack: Any, body: dict[str, Any]) -> None:
            await ack(text=f"*Nothing open*, you asked `{body['text']}`")

        @self.bolt.event("app_mention")
        async def _mention(event: dict[str, Any]) -> None:
            await self.client.chat_postMessage(channel=event["channel"], text="Because *golden_set* fell to 0.61",
                                               thread_ts=event.get("thread_ts", event["ts"]))  # fmt: skip

        @self.bolt.event("app_home_opened")
        async def _home(event: dict[str, Any]) -> None:
            view = {"type": "home", "blocks": [{"type": "header", "text": plain("No open incident")}]}
            await self.client.views_publish(user_id=event["user"], view=view)

        @self.bolt.event("message")
        async def _message(event: dict[str, Any]) -> None:
            self.seen.append(("message", event))

    async def post(self, state: str = "running", channel: str = "C0ASSIST") -> str:
        sent = await self.client.chat_postMessage(channel=channel, text="Support bot", blocks=card(state))
        return str(sent["ts"])

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [body for name, body in self.seen if name == kind]


@pytest_asyncio.fixture(loop_scope="module")
async def slack() -> AsyncIterator[LoopbackSlack]:
    async with LoopbackSlack(seed.load(), Options(port=0, rate_limits=False)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def app(slack: LoopbackSlack) -> AsyncIterator[App]:
    app = App(slack)
    await app.handler.connect_async()
    yield app
    await app.handler.close_async()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page whose scripts must not fail and whose policy must not be broken."""
    page = await browser.new_page(viewport={"width": 1280, "height": 860})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
    yield page
    await page.close()
    assert problems == []


async def until(check: Callable[[], Any]) -> Any:
    """Wait for what the app is about to be told; the test's own timeout bounds it."""
    while not (value := check()):  # noqa: ASYNC110 - the app is another program's part: there is no event to wait for
        await asyncio.sleep(0.02)
    return value


async def test_a_click_on_approve_asks_reaches_the_app_and_the_card_changes(
    slack: LoopbackSlack, app: App, page: Page
) -> None:
    await app.post()
    await page.goto(f"{slack.url}/?user=U0ANA")
    shown = page.get_by_role("article").filter(has_text="Support bot answers wrong")
    await expect(shown).to_contain_text("golden_set running")
    await page.get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("alertdialog", name="Approve this plan?")
    await expect(dialog).to_contain_text("support goes back to 12.")
    await dialog.get_by_role("button", name="Not yet").click()
    await expect(dialog).to_be_hidden()
    assert not app.of("approve")

    await page.get_by_role("button", name="Approve").click()
    await dialog.get_by_role("button", name="Yes, roll back").click()

    await expect(page.get_by_role("heading", name="Approved by Ana")).to_be_visible()
    await expect(page.get_by_text("(edited)")).to_have_count(0)
    assert app.of("approve")[0]["user"]["id"] == "U0ANA"
    assert app.of("approve")[0]["actions"][0]["value"] == "p1.hash"


async def test_a_card_is_edited_live_without_losing_the_focus(slack: LoopbackSlack, app: App, page: Page) -> None:
    ts = await app.post("running")
    await page.goto(f"{slack.url}/?user=U0ANA")
    await page.get_by_role("button", name="Edit").focus()
    for state in ("still running", "drop 0.61 (was 0.88)"):
        await app.client.chat_update(channel="C0ASSIST", ts=ts, text="Support bot", blocks=card(state))
        await expect(page.get_by_text(f"golden_set {state}")).to_be_visible()

    await expect(page.get_by_role("button", name="Edit")).to_be_focused()


async def test_a_modal_is_filled_in_corrected_and_submitted(slack: LoopbackSlack, app: App, page: Page) -> None:
    await app.post()
    await page.goto(f"{slack.url}/?user=U0ANA")
    await page.get_by_role("button", name="Edit").click()
    modal = page.get_by_role("dialog", name="Edit the plan")
    await modal.get_by_label("Percent").fill("900")
    await modal.get_by_role("button", name="Propose").click()
    await expect(modal.get_by_text("Please complete this required field.")).to_be_visible()
    await modal.get_by_label("Target").select_option("Beta")
    await modal.get_by_role("button", name="Propose").click()
    await expect(modal.get_by_text("At most 100")).to_be_visible()
    await expect(modal.get_by_label("Percent")).to_be_focused()
    await modal.get_by_label("Percent").fill("20")
    await modal.get_by_role("button", name="Propose").click()

    await expect(modal).to_be_hidden()
    assert app.of("edited")[0]["percent"]["value"]["value"] == "20"
    assert app.of("edited")[0]["target"]["value"]["selected_option"]["value"] == "beta"

    await page.get_by_role("button", name="Edit").click()
    await expect(modal).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(modal).to_be_hidden()
    assert slack.surfaces.top("U0ANA") is None


async def test_a_menu_is_used_with_the_keyboard(slack: LoopbackSlack, app: App, page: Page) -> None:
    await app.post()
    await page.goto(f"{slack.url}/?user=U0ANA")
    await page.get_by_role("button", name="More").press("Enter")
    await expect(page.get_by_role("menuitem", name="Escalate")).to_be_focused()
    await page.keyboard.press("Enter")

    assert (await until(lambda: app.of("escalate")))[0]["actions"][0]["type"] == "overflow"


async def test_a_command_is_completed_sent_and_answered_to_one_person(
    slack: LoopbackSlack, app: App, page: Page, browser: Browser
) -> None:
    await page.goto(f"{slack.url}/?user=U0ANA")
    field = page.get_by_label("Message #assist-incidents")
    await field.press_sequentially("/on")
    await expect(page.get_by_role("option", name="/oncall")).to_be_visible()
    await field.press("Tab")
    await field.press_sequentially("list")
    await field.press("Enter")
    await expect(page.get_by_text("Only visible to you")).to_be_visible()
    await expect(page.locator(".ephemeral code")).to_have_text("list")
    await field.fill("/shrug")
    await field.press("Enter")
    await expect(page.get_by_role("alert").filter(has_text="/shrug is not a valid command")).to_be_visible()

    other = await browser.new_page()
    await other.goto(f"{slack.url}/?user=U0BEN")
    await expect(other.get_by_text("very beginning of the channel")).to_be_visible()
    await expect(other.get_by_text("Only visible to you")).to_have_count(0)
    await other.close()


async def test_a_question_in_the_thread_is_answered_there(slack: LoopbackSlack, app: App, page: Page) -> None:
    ts = await app.post()
    await app.client.chat_postMessage(channel="C0ASSIST", text="What was checked", thread_ts=ts)
    await page.goto(f"{slack.url}/?user=U0BEN")
    await page.get_by_role("button", name="1 reply").click()
    thread = page.get_by_role("complementary", name="Thread")
    await thread.get_by_label("Reply…").fill("@pagerunner why?")
    await thread.get_by_label("Reply…").press("Enter")

    await expect(thread.get_by_text("Because golden_set fell to 0.61")).to_be_visible()
    await expect(thread.get_by_text("@Pagerunner why?")).to_be_visible()
    await expect(page.get_by_role("button", name="3 replies")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(thread).to_be_hidden()


async def test_one_can_be_somebody_else_and_sees_their_channels(slack: LoopbackSlack, app: App, page: Page) -> None:
    await app.post(channel="C0TRUST")
    await page.goto(f"{slack.url}/?user=U0ANA")
    await expect(page.get_by_role("button", name="trust-incidents")).to_have_class("not-member ")
    await page.get_by_label("You are").select_option("Chi Nguyen")
    await page.get_by_role("button", name="trust-incidents, 1 unread").click()
    await expect(page.get_by_role("button", name="trust-incidents", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Approve").click()
    await page.get_by_role("button", name="Yes, roll back").click()
    await expect(page.get_by_role("heading", name="Approved by Ana")).to_be_visible()
    await page.get_by_label("You are").select_option("Gus Hart (guest)")

    await expect(page.get_by_role("button", name="assist-incidents")).to_be_visible()
    await expect(page.get_by_role("button", name="trust-incidents")).to_have_count(0)
    assert app.of("approve")[0]["user"]["id"] == "U0CHI"


async def test_an_unknown_person_becomes_the_first_one(slack: LoopbackSlack, page: Page) -> None:
    await page.goto(f"{slack.url}/ui/state")
    await page.goto(f"{slack.url}/#C0GENERAL")

    await expect(page.get_by_label("You are")).to_have_value("U0ANA")
    await expect(page.get_by_role("heading", name="# general")).to_be_visible()


async def test_unread_channels_are_marked_and_can_be_joined(slack: LoopbackSlack, app: App, page: Page) -> None:
    await page.goto(f"{slack.url}/?user=U0ANA")
    await app.client.chat_postMessage(channel="C0INCIDENTS", text="Hello <@U0ANA>")
    await page.get_by_role("button", name="incidents, 1 unread").click()
    await expect(page.get_by_text("Hello @Ana Lima")).to_be_visible()
    await page.get_by_role("button", name="creator-incidents").click()
    await page.get_by_role("button", name="Join channel").click()

    await expect(page.get_by_label("Message #creator-incidents")).to_be_visible()
    assert "U0ANA" in slack.workspace.channel("C0CREATOR").members


async def test_reactions_home_tab_and_connection_state_are_shown(slack: LoopbackSlack, app: App, page: Page) -> None:
    await app.post()
    await page.goto(f"{slack.url}/?user=U0ANA")
    await expect(page.get_by_text("Pagerunner connected")).to_be_visible()
    await page.get_by_role("article").first.hover()
    await page.get_by_role("button", name="React with eyes").click()
    await expect(page.get_by_role("button", name="eyes, 1: Ana Lima")).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("button", name="Pagerunner", exact=True).click()
    await expect(page.get_by_role("heading", name="No open incident")).to_be_visible()
    await app.handler.close_async()

    await expect(page.get_by_text("Pagerunner not connected")).to_be_visible()


async def test_untrusted_text_stays_text(slack: LoopbackSlack, app: App, page: Page) -> None:
    section = {"type": "section", "text": {"type": "mrkdwn", "text": f"*bold* {HOSTILE}\n```<b>code</b>```"}}
    bad_link = {"type": "link", "url": "javascript:alert(4)", "text": "Approve"}
    parts = [{"type": "text", "text": HOSTILE}, bad_link]
    rich = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": parts}]}
    link = {"type": "section", "text": {"type": "mrkdwn", "text": "<https://evil.example/x|bank.example/login>"}}
    image = {"type": "image", "image_url": "https://evil.example/pixel.png", "alt_text": "a graph"}
    await app.client.chat_postMessage(channel="C0ASSIST", text="x", blocks=[section, rich, link, image])
    slack.acts.say("U0BEN", "C0ASSIST", f"*mine* {HOSTILE}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{slack.url}/?user=U0ANA")

    await expect(page.get_by_role("log", name="").first).to_contain_text("<script>alert(2)</script>")
    assert await page.locator("#messages img:not(.avatar img), #messages script, #messages iframe").count() == 0
    assert await page.locator('#messages a[href^="javascript"]').count() == 0
    await expect(page.get_by_text("bank.example/login (evil.example)")).to_be_visible()
    await expect(page.locator("#messages pre")).to_have_text("<b>code</b>")
    await expect(page.locator("#messages strong").filter(has_text="mine")).to_be_visible()
    assert all(url.startswith((slack.url, "data:")) for url in asked)


async def test_scripts_and_styles_of_elsewhere_are_forbidden(slack: LoopbackSlack, page: Page) -> None:
    reply = await page.goto(f"{slack.url}/?user=U0ANA")
    assert reply is not None
    policy = await reply.header_value("content-security-policy") or ""

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert await page.locator("script:not([src]), style, [style*=':']:not(.avatar)").count() == 0


async def test_a_phone_shows_one_column_at_a_time(slack: LoopbackSlack, app: App, browser: Browser) -> None:
    ts = await app.post()
    await app.client.chat_postMessage(channel="C0ASSIST", text="Detail", thread_ts=ts)
    page = await browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    await page.goto(f"{slack.url}/?user=U0ANA")
    await expect(page.get_by_role("button", name="Approve")).to_be_in_viewport()
    await expect(page.get_by_role("navigation")).to_be_hidden()
    for name in ("Approve", "Edit", "More"):
        box = await page.get_by_role("button", name=name).bounding_box()
        assert box is not None
        assert box["height"] >= 40
        assert box["x"] + box["width"] <= 390
    await page.get_by_role("button", name="1 reply").tap()
    await expect(page.get_by_role("main")).to_be_hidden()
    await expect(page.get_by_label("Reply…")).to_be_in_viewport()
    await page.get_by_role("button", name="Back").tap()
    await page.get_by_role("button", name="Back").tap()
    await page.get_by_role("button", name="general").tap()
    await expect(page.get_by_role("heading", name="# general")).to_be_visible()

    assert await page.evaluate("document.documentElement.scrollWidth") == 390
    assert problems == []
    await page.close()


async def test_a_permalink_opens_the_thread(slack: LoopbackSlack, app: App, page: Page) -> None:
    ts = await app.post(channel="C0INCIDENTS")
    reply = await app.client.chat_postMessage(channel="C0INCIDENTS", text="Detail", thread_ts=ts)
    link = await app.client.chat_getPermalink(channel="C0INCIDENTS", message_ts=reply["ts"])
    await page.goto(link["permalink"])

    await expect(page.get_by_role("complementary", name="Thread").get_by_text("Detail")).to_be_visible()
