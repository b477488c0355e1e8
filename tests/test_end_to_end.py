"""The whole product as people meet it: a page, a card in the channel, clicks in a real browser, and the postmortem."""

import hashlib
import hmac
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.browsing import (
    PATIENCE_MS,
    PageFor,
    button,
    card_of,
    only_for_me,
    pages,
    press,
    reply,
    running_browser,
    thread_of,
    type_,
)
from tests.running import SLACK_SIGNING_SECRET, Pagerunner, Slack, free_port, resolved
from tests.running_place import Opened, Place, running_place

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SEED = 16
"""Nearly every call of the chat assistant fails: canaries see it whatever their luck."""
ROUTE = "/gateway/admin/routes/chat"
PATIENT = {"proposal_ttl_s: 900": "proposal_ttl_s: 7200"}
OBSERVE = {"    team: assist\n    mode: act\n    tags": "    team: assist\n    mode: observe\n    tags"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running_place(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture(scope="module")
def opened(place: Place) -> Opened:
    """Gone through once, for all tests that begin with an open proposal."""
    return place.open("S01", SEED, ROUTE, catalogue=PATIENT)


@pytest.fixture
def running(place: Place, opened: Opened) -> Iterator[Pagerunner]:
    """A server with that proposal open and its card brought up to date."""
    runner = place.go_on(opened)
    runner.start()
    place.show_again(runner)
    place.wait_for_button(runner, opened.since)
    yield runner
    runner.stop()


@pytest.fixture
def page_for(place: Place, browser: Browser, tmp_path: Path) -> Iterator[PageFor]:
    with pages(browser, place.slack, tmp_path) as open_:
        yield open_


# --- the whole way ---------------------------------------------------------------------------------------------------


def test_from_the_page_to_the_postmortem_with_clicks(place: Place, page_for: PageFor) -> None:
    ana, born = page_for("U0ANA"), place.world.begin("S01", SEED)
    runner = Pagerunner(place.setting(born))
    with runner.kept_alive():
        runner.wait_ready()
        runner.send(born["page"])
        card = card_of(ana)
        expect(card).to_contain_text(re.compile(r"running.*provider_canary"), timeout=PATIENCE_MS)
        expect(card.get_by_role("button", name="Approve", exact=True)).to_be_visible(timeout=PATIENCE_MS)
        for shown in ("Model provider is failing", "fail, normally", "Proposed: Shift traffic",
                      "R2: reversible", "to acme-openai: 100 % → 0 %", "Undo", "Check: gateway_canary is ok",
                      "Waits for Ana Lima or Ben Okafor until"):  # fmt: skip
            expect(card).to_contain_text(shown)
        assert place.world.writes() == []

        press(ana, "Approve", confirm=True)
        expect(only_for_me(ana)).to_contain_text("exactly as shown, once")
        expect(card).to_contain_text("· mitigated since", timeout=PATIENCE_MS)
        for shown in ("Approved by ana", "it helped", "gateway_canary", "→ ok", "Lease"):
            expect(card).to_contain_text(shown)
        expect(card).not_to_contain_text("not read")  # an after without a before shows nothing
        expect(card.get_by_role("button", name="Approve", exact=True)).to_have_count(0)
        assert [write["path"] for write in place.world.writes()] == ["gateway/routes/chat"]

        runner.send(resolved(born))
        expect(card).to_contain_text("· closed since", timeout=PATIENCE_MS)
        card.get_by_role("button", name=re.compile(r"\d+ repl")).click()
        thread = ana.get_by_role("complementary", name="Thread")
        expect(thread).to_contain_text("Postmortem written", timeout=PATIENCE_MS)
        assert len(runner.facts("verification_started")) == 1

    (postmortem,) = runner.exports.glob("*.md")
    text = postmortem.read_text("utf-8")
    for told in ("Shift traffic", "provider-outage", "it helped"):
        assert told in text


# --- people and the card ---------------------------------------------------------------------------------------------


def test_another_team_is_refused_in_words_that_only_they_see(
    place: Place, running: Pagerunner, page_for: PageFor
) -> None:
    place.slack.control("channel", id="C0ASSIST", add=["U0CHI"])
    chi, ana, written = page_for("U0CHI"), page_for("U0ANA"), len(place.world.writes())

    press(chi, "Approve", confirm=True)

    expect(only_for_me(chi)).to_contain_text("You are not an approver for this. Nothing was done.")
    expect(ana.get_by_text("not an approver")).to_have_count(0)
    assert [fact["denied"] for fact in running.facts("vote_denied")] == ["not_approver"]
    assert len(place.world.writes()) == written


def test_why_and_questions_are_answered_with_references(running: Pagerunner, page_for: PageFor) -> None:
    ana = page_for("U0ANA")

    press(ana, "Why?")
    expect(only_for_me(ana)).to_contain_text(
        re.compile(r"(provider|gateway)_canary \w+ is usual for it.*ev-", re.DOTALL)
    )

    thread = thread_of(ana)
    reply(thread, "@Pagerunner what changed?")

    expect(thread.get_by_role("article").last).to_contain_text(re.compile(r"chg-\d+.*not yet a cause", re.DOTALL))
    assert [fact["text"] for fact in running.facts("question_asked")] == ["what changed?"]


def test_commands_are_answered_and_a_freeze_stands_on_the_card(running: Pagerunner, page_for: PageFor) -> None:
    ana = page_for("U0ANA")
    (incident,) = running.incidents()

    type_(ana, "/oncall list")
    expect(only_for_me(ana)).to_contain_text(f"{incident['id']} open, chat-assistant")

    type_(ana, "/oncall freeze chat-assistant release day")
    expect(card_of(ana)).to_contain_text("nothing is carried out")
    expect(card_of(ana)).to_contain_text("release day")
    expect(card_of(ana).get_by_role("button", name="Approve", exact=True)).to_have_count(0)

    type_(ana, "/oncall unfreeze chat-assistant")
    expect(card_of(ana).get_by_role("button", name="Approve", exact=True)).to_be_visible()


def test_edit_makes_another_plan_that_is_voted_on_anew(place: Place, running: Pagerunner, page_for: PageFor) -> None:
    ana, written = page_for("U0ANA"), len(place.world.writes())

    press(ana, "Edit")
    form = ana.get_by_role("dialog", name="Edit the proposal")
    form.get_by_label("percent").fill("900")
    form.get_by_role("button", name="Propose this").click()
    expect(form).to_contain_text("100")
    expect(form).to_be_visible()
    form.get_by_label("percent").fill("50")
    form.get_by_role("button", name="Propose this").click()

    expect(form).to_be_hidden()
    expect(card_of(ana)).to_contain_text("to acme-openai: 100 % → 50 %")
    first, second = (p["proposal"] for p in running.proposals())
    assert (first["state"], second["state"]) == ("superseded", "open")
    assert first["plan_hash"] != second["plan_hash"]
    assert len(place.world.writes()) == written


def test_reject_ends_the_proposal(place: Place, running: Pagerunner, page_for: PageFor) -> None:
    ana, written = page_for("U0ANA"), len(place.world.writes())

    press(ana, "Reject")

    running.until(lambda: running.facts("proposal_rejected"), "a rejected proposal")
    expect(card_of(ana).get_by_role("button", name="Approve", exact=True)).to_have_count(0)
    assert len(place.world.writes()) == written


# --- other ways to run it --------------------------------------------------------------------------------------------


def test_an_observed_service_has_no_approve_button(place: Place, page_for: PageFor) -> None:
    since, born = place.slack.newest(), place.world.begin("S01", SEED)
    runner = Pagerunner(place.setting(born, catalogue=OBSERVE))
    ana = page_for("U0ANA")
    with runner.kept_alive():
        runner.send(born["page"])
        runner.until(lambda: runner.facts("proposal_withheld"), "a proposal that nobody can approve", PATIENCE_MS / 1e3)
        expect(card_of(ana)).to_contain_text("no Approve button: this service is in observe mode")
        expect(card_of(ana)).to_contain_text("to acme-openai: 100 % → 0 %")
        expect(button(card_of(ana), "Did it")).to_be_visible()
        assert "Approve" not in place.slack.buttons(place.slack.cards(since=since)[-1])
    assert place.world.writes() == []


def test_http_mode_with_signed_requests(place: Place, page_for: PageFor, tmp_path: Path) -> None:
    port, born = free_port(), place.world.begin("S01", SEED)
    events = f"http://127.0.0.1:{port}/slack/events"
    slack = Slack(tmp_path, events_url=events)
    runner = Pagerunner(place.setting(born, slack=slack, slack_mode="http", port=port))
    ana = page_for("U0ANA", slack=slack)
    try:
        with runner.kept_alive():
            runner.wait_ready()
            assert slack.control("verify-url")["ok"]
            runner.send(born["page"])
            approve = card_of(ana).get_by_role("button", name="Approve", exact=True)
            expect(approve).to_be_visible(timeout=PATIENCE_MS)

            body = "command=%2Foncall&text=list&team_id=T0LOOP&api_app_id=A0PAGERUN&user_id=U0ANA&channel_id=C0ASSIST"
            assert signed(events, body, "another secret").status_code == 401
            assert signed(events, body, SLACK_SIGNING_SECRET, age_s=600).status_code == 401
            assert signed(events, body, SLACK_SIGNING_SECRET).status_code == 200
            assert place.world.writes() == []

            press(ana, "Approve", confirm=True)
            expect(card_of(ana)).to_contain_text("· mitigated since", timeout=PATIENCE_MS)
            assert len(place.world.writes()) == 1
    finally:
        slack.stop()


def signed(url: str, body: str, secret: str, age_s: float = 0.0) -> httpx.Response:
    """Send a request signed as Slack signs it."""
    stamp = str(int(time.time() - age_s))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    headers = {"content-type": "application/x-www-form-urlencoded", "x-slack-request-timestamp": stamp,
               "x-slack-signature": f"v0={digest}"}  # fmt: skip
    return httpx.post(url, content=body, headers=headers, timeout=10, trust_env=False)
