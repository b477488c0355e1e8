"""Who writes the postmortem: what happened is set right, exported for its readers, and followed up."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browsing import PATIENCE_MS, PageFor, card_of, press, thread_of, type_
from tests.journeys.conftest import DESK, Shoot, command
from tests.running import Pagerunner, resolved
from tests.running_place import Place

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
SEED = 16


@pytest.fixture
def running(place: Place) -> Iterator[Pagerunner]:
    since, born = place.slack.newest(), place.world.begin("S01", SEED)
    runner = Pagerunner(place.setting(born))
    runner.start()
    runner.send(born["page"])
    place.slack.click(place.wait_for_button(runner, since), "Approve")
    runner.until(lambda: runner.facts("verification_made"), "a verification")
    runner.send(resolved(born))
    runner.until(lambda: runner.facts("incident_closed"), "the postmortem")
    yield runner
    runner.stop()


def test_from_the_closed_incident_to_the_page_that_is_read(
    running: Pagerunner, page_for: PageFor, browser: Browser, shoot: Shoot
) -> None:
    (incident,) = running.incidents()
    ana = page_for("U0ANA", **DESK)
    approved = next(entry["seq"] for entry in running.timeline() if entry["kind"] == "proposal_approved")

    command(running, "timeline", "add", incident["id"], "the vendor called back: a bad deploy on their side")
    command(running, "timeline", "mark", incident["id"], str(approved), "decision")
    command(running, "timeline", "annotate", incident["id"], str(approved), "taken while the vendor was on the phone")
    type_(ana, f"/oncall followup {incident['id']} alert on the share of 503 at the gateway @ben")
    running.until(lambda: running.facts("followup_added"), "a follow-up")

    type_(ana, f"/oncall export {incident['id']}")
    ana.wait_for_timeout(1500)
    shoot(ana, "export")
    print(command(running, "report", "--format", "html")[:100])
