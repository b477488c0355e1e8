"""``pagerunner serve`` with channels of incidents' own, from the page to the closing; and waiting to be installed."""

from collections.abc import Iterator

import httpx
import pytest

from tests.running import Json, Pagerunner
from tests.running_place import Place, running_place

POLICY = {
    "    # incident_channel: {name: ": "    incident_channel: {archive_after_h: 0, name: ",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running_place(tmp_path_factory.mktemp("channels")) as running:
        yield running


def own_channel(place: Place) -> Json | None:
    """The incident's channel, as Ana's sidebar has it."""
    state = place.slack._client.get("/ui/state", params={"user": "U0ANA"}).json()
    return next((c for c in state["channels"] if c["name"].startswith("inc-")), None)


def test_from_the_page_to_the_archive_in_a_channel_of_its_own(place: Place) -> None:
    since, born = place.slack.newest(), place.world.begin("S01", 3)
    runner = Pagerunner(place.setting(born, catalogue=POLICY))
    runner.start()
    try:
        runner.send(born["page"])
        channel = runner.until(lambda: own_channel(place), "a channel of its own")

        assert place.slack.act("join", "U0ANA", channel=channel["id"])["ok"]

        def card() -> Json | None:
            cards = [m for m in place.slack.cards(channel["id"]) if m.get("blocks") and not m.get("subtype")]
            return cards[0] if cards and "Approve" in place.slack.buttons(cards[0]) else None

        shown = runner.until(card, "a card with a button Approve")
        assert place.slack.click(shown, "Approve", channel=channel["id"])["ok"]
        runner.until(lambda: runner.facts("effect_applied"), "the mitigation is carried out")
        (pointer,) = place.slack.cards(since=since)
        assert f"<#{channel['id']}>" in pointer["text"]
        assert place.slack.act("slash", "U0ANA", channel=channel["id"], text="/oncall resolve")["ok"]
        runner.until(lambda: (own_channel(place) or {}).get("is_archived"), "the channel is archived")
        files = [f["name"] for m in place.slack.messages(channel["id"]) for f in m.get("files", [])]
        assert [name for name in files if name.endswith(".md")]
        runner.until(
            lambda: [c for c in place.slack.cards(since=since) if c["text"].endswith("(archived)")], "the line follows"
        )  # fmt: skip
    finally:
        runner.stop()


def test_a_server_that_no_workspace_has_installed_says_where_to_begin_and_takes_pages(place: Place) -> None:
    born = place.world.begin("S01", 4)
    oauth = {
        "PAGERUNNER_SLACK": "http", "PAGERUNNER_SLACK_BOT_TOKEN": "", "PAGERUNNER_SLACK_CLIENT_ID": "1.2",
        "PAGERUNNER_SLACK_CLIENT_SECRET": "secret", "PAGERUNNER_SLACK_APP": "A0PAGERUN",
        "PAGERUNNER_SLACK_TEAM": "T0LOOP", "PAGERUNNER_PUBLIC_URL": "https://oncall.example.com",
    }  # fmt: skip
    runner = Pagerunner(place.setting(born, environment=oauth))
    runner.start()
    try:
        begun = httpx.get(f"{runner.url}/slack/install", trust_env=False)
        assert begun.status_code == 302
        assert begun.headers["location"].startswith(f"{place.slack.url}/oauth/v2/authorize?")
        assert "HttpOnly" in begun.headers["set-cookie"]
        refused = httpx.get(f"{runner.url}/slack/oauth_redirect?code=x&state=y", trust_env=False)
        assert (refused.status_code, "this browser did not begin it" in refused.text) == (400, True)
        ready = httpx.get(f"{runner.url}/readyz", trust_env=False).json()
        assert (ready["ready"], "not installed in T0LOOP" in ready["checks"]["slack"]["reason"]) == (True, True)
        runner.send(born["page"])
        lost = runner.until(lambda: runner.facts("alarm"), "an alarm")
        assert "open https://oncall.example.com/slack/install?team=T0LOOP there" in lost[0]["why"]
    finally:
        runner.stop()
