"""The platform team, which sets policy for many product teams: two approvers, freezes, break-glass and its debt."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browsing import PATIENCE_MS, PageFor, button, card_of, only_for_me, press, type_
from tests.journeys.conftest import DESK, Shoot, command
from tests.running import Pagerunner
from tests.running_place import Opened, Place

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
SEED = 16
ROUTE = "/gateway/admin/routes/chat"
STRICT = {
    "proposal_ttl_s: 900": "proposal_ttl_s: 7200",
    "order-agent, code-assistant, text-moderation, image-generation], risk: R2, count: 1}":
        "order-agent, code-assistant, text-moderation, image-generation], risk: R2, count: 2}",
    "  # break_glass:\n  #   - {services: [\"*\"], up_to: R2, people: {slack_users: [U0LEAD], on_call: true}}":
        "  break_glass:\n    - {services: [\"*\"], up_to: R2, people: {slack_users: [U0ANA]}}",
}  # fmt: skip


@pytest.fixture(scope="module")
def opened(place: Place) -> Opened:
    return place.open("S01", SEED, ROUTE, catalogue=STRICT)


@pytest.fixture
def running(place: Place, opened: Opened) -> Iterator[Pagerunner]:
    runner = place.go_on(opened)
    runner.start()
    place.show_again(runner)
    place.wait_for_button(runner, opened.since)
    yield runner
    runner.stop()


def test_two_different_people_decide(place: Place, running: Pagerunner, page_for: PageFor, shoot: Shoot) -> None:
    ana, ben, written = page_for("U0ANA", **DESK), page_for("U0BEN", **DESK), len(place.world.writes())

    press(ana, "Approve", confirm=True)
    expect(card_of(ben)).to_contain_text("Waits for 1 more: Ben Okafor until")
    press(ana, "Approve", confirm=True)
    expect(only_for_me(ana)).to_contain_text("already")
    shoot(ben, "two-approvers")
    assert len(place.world.writes()) == written

    type_(ben, "/oncall freeze * release night")
    expect(card_of(ben)).to_contain_text("nothing is carried out")
    expect(button(card_of(ben), "Approve")).to_have_count(0)
    shoot(ben, "freeze")
    type_(ben, "/oncall unfreeze *")

    press(ben, "Approve", confirm=True)
    expect(card_of(ana)).to_contain_text("· mitigated since", timeout=PATIENCE_MS)
    assert len(place.world.writes()) == written + 1


def test_breaking_the_glass_leaves_a_debt(place: Place, running: Pagerunner, page_for: PageFor, shoot: Shoot) -> None:
    ana, ben, written = page_for("U0ANA", **DESK), page_for("U0BEN", **DESK), len(place.world.writes())

    press(ana, "Break glass")
    form = ana.get_by_role("dialog", name="Break glass")
    form.get_by_label("Why can nobody else decide?").fill("Ben's line is dead, users are out")
    shoot(ana, "break-glass")
    form.get_by_role("button", name="Approve alone").click()

    expect(card_of(ben)).to_contain_text("Ben's line is dead", timeout=PATIENCE_MS)
    running.until(lambda: running.facts("effect_applied"), "an effect")
    assert len(place.world.writes()) == written + 1
    assert "Ben's line is dead" in command(running, "audit", "debts")
    expect(button(card_of(ben), "Reviewed")).to_be_visible(timeout=PATIENCE_MS)
    shoot(ben, "debt")

    press(ben, "Reviewed")
    form = ben.get_by_role("dialog", name="Review break-glass")
    form.get_by_label("What did you find?").fill("it was right")
    form.get_by_role("button", name="Reviewed").click()
    expect(card_of(ana)).to_contain_text("Reviewed by")
    assert "Ben's line" not in command(running, "audit", "debts")
