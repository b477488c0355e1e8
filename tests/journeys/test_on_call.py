"""The engineer on call: from the page on a phone, through the thread, to the verified mitigation and the verdict."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.browsing import PATIENCE_MS, PageFor, button, card_of, only_for_me, reply, thread_of, type_
from tests.journeys.conftest import DESK, PHONE, Shoot
from tests.running import Pagerunner, resolved
from tests.running_place import Opened, Place

pytestmark = [pytest.mark.browser, pytest.mark.timeout(700)]
SEED = 16
"""Nearly every call of the chat assistant fails: canaries see it whatever their luck."""
VERIFIED_MS = 330_000
"""The plan allows five minutes for its verification, and a loaded machine uses them: its canaries are slow."""
PATIENT = {"proposal_ttl_s: 900": "proposal_ttl_s: 7200"}
QUESTIONS = {
    "what do I need to know in 60 seconds?": r"Model provider is failing.*#\d+",
    "what was ruled out, and why?": r"Our gateway is the bottleneck \(.{1,12}\) ruled out.*ev-",
    "is it safe to fail over?": r"second_provider_canary ok.*beta-anthropic.*the approvers decide",
    "show me the graph": r"share of users' requests that failed.*ev-",
}
"""What is asked in the thread, and what the answer says and refers to."""


@pytest.fixture
def opened(place: Place) -> Opened:
    return place.open("S01", SEED, catalogue=PATIENT)


@pytest.fixture
def running(place: Place, opened: Opened) -> Iterator[Pagerunner]:
    runner = place.go_on(opened)
    runner.start()
    place.show_again(runner)
    place.wait_for_button(runner, opened.since)
    yield runner
    runner.stop()


def ask(thread: Locator, question: str, answer: str) -> None:
    reply(thread, f"@Pagerunner {question}")
    expect(thread.get_by_role("article").filter(has_text=re.compile(answer, re.DOTALL)).last).to_be_visible()


def test_from_the_page_to_the_verdict(
    place: Place, opened: Opened, running: Pagerunner, page_for: PageFor, shoot: Shoot
) -> None:
    phone = page_for("U0ANA", **PHONE)
    expect(button(card_of(phone), "Approve")).to_be_visible()
    expect(card_of(phone)).to_contain_text("Waits for Ana Lima or Ben Okafor until")
    height, room = phone.evaluate(
        "() => ['.channel article.message:last-of-type', '.channel .scroll']"
        ".map(name => document.querySelector(name).clientHeight)"
    )
    shoot(phone, "phone")
    assert height <= room

    ana, ben = page_for("U0ANA", **DESK), page_for("U0BEN", **DESK)
    shoot(ana, "channel")

    type_(ana, "/oncall role commander")
    expect(only_for_me(ana)).to_contain_text("ana is commander")
    thread = thread_of(ana)
    for question, answer in QUESTIONS.items():
        ask(thread, question, answer)
    expect(thread.get_by_role("img", name=re.compile("inc-.*png"))).to_be_visible()
    shoot(ana, "thread")
    reply(thread, "the vendor says on the phone that they are on it")
    said = thread.get_by_role("article").filter(has_text="on the phone")
    said.hover()
    said.get_by_role("button", name="Add to timeline").click()
    running.until(lambda: "on the phone" in str(running.facts("message_added")), "a message on the timeline")
    thread.get_by_role("button", name="Close the thread").click()

    button(card_of(ana), "Approve").click()
    dialog = ana.get_by_role("alertdialog")
    expect(dialog).to_contain_text("to acme-openai: 100 % → 0 %")
    shoot(ana, "approve")
    button(dialog, "Approve").click()
    expect(card_of(ben)).to_contain_text(
        re.compile("mitigated since.*Approved by ana", re.DOTALL),
        timeout=VERIFIED_MS,
    )
    expect(button(card_of(ben), "Approve")).to_have_count(0)
    expect(card_of(ben)).to_contain_text("goes back by itself")
    shoot(ben, "verified")

    ana.get_by_role("button", name="Pagerunner").last.click()
    expect(ana.get_by_role("main")).to_contain_text(re.compile("Leases that end.*Shift traffic is put back", re.DOTALL))
    shoot(ana, "home")

    running.send(resolved(opened.setting.born))
    running.until(lambda: running.facts("incident_closed"), "the postmortem")
    closed = ben.get_by_role("article").filter(has=button(ben, "Right cause")).last
    expect(closed).to_contain_text("Closed: it was")
    shoot(ben, "closed")
    button(closed, "Right cause").click()
    running.until(lambda: running.facts("verdict_given"), "a verdict")
    expect(closed).to_contain_text("right cause")


def test_an_incident_that_nobody_was_paged_for(
    place: Place, running: Pagerunner, page_for: PageFor, shoot: Shoot
) -> None:
    ana = page_for("U0ANA", **DESK)

    type_(ana, "/oncall help declare")
    expect(only_for_me(ana)).to_contain_text("open an incident by hand")
    type_(ana, "/oncall declare")
    form = ana.get_by_role("dialog", name="Declare an incident")
    form.get_by_label("Service").select_option(label="support-bot: RAG support bot")
    form.get_by_label("Title").fill("?!")
    form.get_by_label("What do you see").fill("answers cite last year's prices")
    form.get_by_role("button", name="Declare", exact=True).click()
    expect(form).to_contain_text("Say in a few words what is wrong")
    shoot(ana, "declare")
    form.get_by_label("Title").fill("Support bot: answers are out of date")
    form.get_by_role("button", name="Declare", exact=True).click()

    expect(form).to_be_hidden()
    expect(card_of(ana)).to_contain_text("Support bot: answers are out of date", timeout=PATIENCE_MS)
    assert len(running.incidents()) == 2
