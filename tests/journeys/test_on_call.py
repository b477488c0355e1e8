"""The engineer on call: from the page on a phone to the verified mitigation, the hand-over and the verdict."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browsing import (
    PATIENCE_MS,
    PageFor,
    button,
    card_of,
    only_for_me,
    press,
    reply,
    thread_of,
    type_,
)
from tests.journeys.conftest import PHONE, Shoot
from tests.running import Pagerunner, resolved
from tests.running_place import Opened, Place

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
SEED = 16
ROUTE = "/gateway/admin/routes/chat"
PATIENT = {"proposal_ttl_s: 900": "proposal_ttl_s: 7200"}


@pytest.fixture(scope="module")
def opened(place: Place) -> Opened:
    return place.open("S01", SEED, ROUTE, catalogue=PATIENT)


@pytest.fixture
def running(place: Place, opened: Opened) -> Iterator[Pagerunner]:
    runner = place.go_on(opened)
    runner.start()
    place.show_again(runner)
    place.wait_for_button(runner, opened.since)
    yield runner
    runner.stop()


def test_from_the_page_to_the_verdict(place: Place, opened: Opened, running: Pagerunner, page_for: PageFor, shoot: Shoot) -> None:
    phone = page_for("U0ANA", **PHONE)
    expect(button(card_of(phone), "Approve")).to_be_visible()
    shoot(phone, "phone")
    ana, ben = page_for("U0ANA", viewport={"width": 1180, "height": 1010}), page_for("U0BEN")
    shoot(ana, "channel")

    type_(ana, "/oncall help")
    expect(only_for_me(ana)).to_contain_text("/oncall declare")
    shoot(ana, "help")
    type_(ana, "/oncall role commander")
    shoot(ana, "role")
    thread = thread_of(ana)
    for n, question in enumerate(("what do I need to know in 60 seconds?", "what was ruled out, and why?", "is it safe to fail over?", "show me the graph", "what would happen to Zorblax?")):
        replies = thread.get_by_role("article").count()
        reply(thread, f"@Pagerunner {question}")
        expect(thread.get_by_role("article")).to_have_count(replies + 2)
        shoot(ana, f"thread{n}")
    press(ana, "Approve")
    shoot(ana, "confirm")
    button(ana.get_by_role("alertdialog"), "Approve").click()
    expect(card_of(ana)).to_contain_text("· mitigated since", timeout=PATIENCE_MS)
    shoot(ana, "verified")
    ana.get_by_role("button", name="Pagerunner").first.click()
    shoot(ana, "home")
    running.send(resolved(opened.setting.born))
    running.until(lambda: running.facts("incident_closed"), "the postmortem")
    ana.get_by_role("button", name=re.compile("assist-incidents")).first.click()
    shoot(ana, "closed")
