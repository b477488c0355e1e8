"""The card in a real Chromium on the loopback workspace, at the size of a phone: one screen in every state."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain import card
from bot.edges import slack_blocks
from drills.slack import seed
from drills.slack.server import LoopbackSlack, Options
from tests.phone_states import STATES
from tests.view_samples import SAMPLES

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
PHONE = {"width": 390, "height": 844}
MEASURE = """() => {
  const card = document.querySelector('.channel article.message:last-of-type').getBoundingClientRect();
  const scroll = document.querySelector('.channel .scroll');
  return [card.height, scroll.clientHeight, scroll.scrollWidth - scroll.clientWidth];
}"""


class Phone:
    """One message with a reply below it, seen on a phone."""

    def __init__(self, page: Page, client: AsyncWebClient, ts: str) -> None:
        self._page, self._client, self._ts = page, client, ts

    async def show(self, name: str) -> tuple[float, float, float]:
        """Height of the card, height of the channel, and what stands out sideways, in CSS pixels."""
        built = card.build({**SAMPLES, **STATES}[name]())
        await self._client.chat_update(
            channel="C0ASSIST", ts=self._ts, text=name, blocks=[*slack_blocks.card_blocks(built), _mark(name)]
        )
        await self._page.get_by_text(f"state {name} ends").wait_for()
        await self._page.evaluate(
            "words => [...document.querySelectorAll('.block')].find(b => b.textContent === words).remove()",
            f"state {name} ends",
        )
        height, room, aside = await self._page.evaluate(MEASURE)
        return height, room, aside


def _mark(name: str) -> dict[str, object]:
    """Tells the test that this very card is drawn; it is taken out before anything is measured."""
    return {"type": "section", "text": {"type": "plain_text", "text": f"state {name} ends"}}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def phone(browser: Browser) -> AsyncIterator[Phone]:
    async with LoopbackSlack(seed.load(), Options(port=0, rate_limits=False)) as slack:
        client = AsyncWebClient(token="xoxb-loopback", base_url=f"{slack.url}/api/")
        sent = await client.chat_postMessage(channel="C0ASSIST", text="a card")
        await client.chat_postMessage(channel="C0ASSIST", text="the evidence", thread_ts=sent["ts"])
        page = await browser.new_page(viewport=PHONE)
        await page.goto(f"{slack.url}/?user=U0ANA#C0ASSIST")
        yield Phone(page, client, str(sent["ts"]))
        await page.close()


@pytest.mark.parametrize("name", STATES)
async def test_the_card_is_at_most_one_screen_of_a_phone(phone: Phone, name: str) -> None:
    height, room, aside = await phone.show(name)

    assert 100 < height <= room
    assert aside == 0


async def test_hostile_text_in_every_place_at_once_makes_it_a_quarter_longer_at_most(phone: Phone) -> None:
    height, room, aside = await phone.show("hostile")

    assert height <= 1.25 * room
    assert aside == 0
