"""A real server is killed at every place where it hurts, and started again on its data folder.

Around it everything is real as well: a simulated application with a provider outage, the loopback Slack workspace in
Socket Mode, a sender of webhooks that tries again, and a person who clicks. What must hold is the same for every place:
one incident, nothing accepted lost, one vote, one effect and never before the vote, one card (or two, if the first was
posted and the answer lost), a whole timeline whose hashes chain.
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import get_args

import pytest

from bot.domain.presentation import Form
from bot.edges import chain
from bot.wiring import LIBRARY
from tests.running import ROOT, Json, Pagerunner, resolved
from tests.running_place import SERVE, Opened, Place, running_place

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
SEED = 16
"""Nearly every call of the chat assistant fails: canaries see it whatever their luck. Ana and Ben may approve."""
ROUTE = "/gateway/admin/routes/chat"
AFTER = {"weights": {"acme-openai": 0, "beta-anthropic": 100}}
RETRIES_STEP = """
```action
set_retries:
  retries: 1
verify: gateway_canary is ok within 2m
```
"""
RETRIES_ACTION = """actions:
  - name: set_retries
    title: Set how often the gateway tries
    risk: R1
    blast_radius: Every request that the gateway tries again
    target: llm-gateway-admin
    params:
      retries: {type: integer, min: 0, max: 5}
    read: {path: /retries, watch: [max_retries]}
    call: {method: PUT, path: /retries, body: '{"max_retries": "$retries"}'}
    expect: '{"max_retries": "$retries"}'
    undo: {method: PUT, path: /retries, body: '{"max_retries": "$pre.max_retries"}'}
    effect: unsafe_once
    if_match: true
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running_place(tmp_path_factory.mktemp("crash"), ("-m", "tests.crash_entry")) as made:
        yield made


@pytest.fixture(scope="module")
def opened(place: Place) -> Opened:
    """Gone through once, for all tests that begin with a person's click."""
    patient = {"proposal_ttl_s: 900": "proposal_ttl_s: 7200"}
    return place.open("S01", SEED, ROUTE, catalogue=patient, environment=dying(place, ""))


def dying(place: Place, where: str) -> dict[str, str]:
    """The environment that tells a server where to die, once."""
    return {"CRASH_AT": where, "CRASH_MARKER": str(place.folder / f"crashed-{next(place.names)}")}


def approve(runner: Pagerunner, place: Place, since: str) -> None:
    """As a person does: click, and again if the server is there and still knows nothing of it."""
    for _ in range(3):
        place.slack.click(place.wait_for_button(runner, since), "Approve")
        for _ in range(10):
            runner.until(runner.timeline, "a server that answers")
            if runner.facts("vote_cast"):
                return
            time.sleep(0.1)
    raise AssertionError(f"the vote never counted\n{runner.told()}")


def carry_on(runner: Pagerunner, place: Place, born: Json, since: str, written: int) -> None:
    """From the open proposal to the postmortem."""
    place.wait_for_button(runner, since)
    assert len(place.world.writes()) == written, "something was done before anybody approved it"
    approve(runner, place, since)
    runner.until(lambda: runner.facts("verification_made"), "a verification")
    runner.send(resolved(born))
    runner.until(lambda: runner.facts("incident_closed"), "the postmortem")
    runner.until(lambda: "closed" in place.slack.cards(since=since)[-1]["text"].lower(), "a card that says so")


def assert_whole(runner: Pagerunner, place: Place, *, written: int, cards: int = 1, since: str) -> None:
    """What a crash may not change. ``written``: changes of the world's documents before this incident's effect."""
    assert chain.verify(runner.chain()) == ""
    view = runner.view()
    kinds = Counter(entry.fact.kind for entry in view.timeline)
    once = (
        "page_received",
        "incident_opened",
        "proposal_made",
        "vote_cast",
        "proposal_approved",
        "effect_claimed",
        "effect_applied",
        "verification_made",
        "lease_started",
        "incident_resolved",
        "incident_closed",
        "exported",
    )
    assert {kind: kinds[kind] for kind in once} == dict.fromkeys(once, 1), runner.said()[-3000:]
    assert kinds["vote_denied"] == 0
    assert [vote.name for vote in view.proposals[0].votes] == ["ana"]
    assert view.proposals[0].apply is not None
    assert view.proposals[0].apply.verdict == "better"
    writes = place.world.writes()[written:]
    assert [(w["path"], w["after"]) for w in writes] == [("gateway/routes/chat", AFTER)]
    assert_findings_kept_once(runner)
    files = {path.name for path in runner.exports.iterdir()}
    assert files == {f"{view.incident.id}.{form}" for form in get_args(Form)}
    shown = place.slack.cards(since=since)
    assert 1 <= len(shown) <= cards
    assert "Approve" not in place.slack.buttons(shown[-1])


def assert_findings_kept_once(runner: Pagerunner) -> None:
    """No probe was read more often than asked: once in an investigation, and once for each check of an effect."""
    view = runner.view()
    checks = {p.proposal.plan.attempt: p.apply.checks for p in view.proposals if p.apply is not None}
    asked = Counter((finding.round, finding.probe, json.dumps(dict(finding.params), sort_keys=True))
                    for finding in view.findings)  # fmt: skip
    assert {number for (round_, *_), number in asked.items() if round_ == 0} == {1}
    assert all(number <= checks[round_] for (round_, *_), number in asked.items() if round_)
    assert len(view.entries("probe_finished")) == len(view.findings)


# --- while a page is taken -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["K0", "K1", "K2", "K4", "K5"])
def test_killed_before_the_page_is_a_card(place: Place, where: str) -> None:
    since, born = place.slack.newest(), place.world.begin("S01", SEED)
    runner = Pagerunner(place.setting(born, environment=dying(place, where)))
    with runner.kept_alive():
        sent = runner.send(born["page"])
        runner.send(born["page"], tries=200)
        runner.until(lambda: runner.facts("probe_finished"), "an investigation")
        runner.until(
            lambda: "provider" in json.dumps(place.slack.cards(since=since)), "a card that is brought up to date"
        )

    assert runner.deaths == 1
    assert sent > 1
    assert chain.verify(runner.chain()) == ""
    kinds = Counter(entry.fact.kind for entry in runner.view().timeline)
    assert (kinds["page_received"], kinds["incident_opened"], kinds["page_joined"]) == (1, 1, 0)
    assert kinds["investigation_started"] == 1
    assert 1 <= len(place.slack.cards(since=since)) <= (2 if where == "K5" else 1)


# --- while it is investigated ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["a finding was kept", "a diagnosis was kept", "K3", "K4 after proposal_made"])
def test_killed_while_investigating(place: Place, where: str) -> None:
    since, born = place.slack.newest(), place.world.begin("S01", SEED)
    runner = Pagerunner(place.setting(born, environment=dying(place, where)))
    runner.start()
    runner.send(born["page"])
    runner.wait_dead()
    before = {finding.id: finding for finding in runner.view().findings}

    runner.start()
    place.wait_for_button(runner, since)
    runner.until(lambda: runner.facts("investigation_ended"), "the end of the investigation")
    runner.stop()

    view = runner.view()
    after = {finding.id: finding for finding in view.findings}
    assert before.keys() <= after.keys()
    assert_findings_kept_once(runner)
    if where.startswith("K"):
        assert before.keys() == after.keys()
    assert len(view.entries("proposal_made")) == 1
    assert len(view.entries("investigation_ended")) == 1
    assert len(place.slack.cards(since=since)) == 1
    assert place.world.writes() == []
    assert chain.verify(runner.chain()) == ""


# --- from the click to the postmortem --------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["K6", "K7", "K8", "K9", "K10", "K11", "K12"])
def test_killed_between_the_click_and_the_result(place: Place, opened: Opened, where: str) -> None:
    runner = place.go_on(opened, environment=dying(place, where))
    written = len(place.world.writes())
    with runner.kept_alive():
        runner.wait_ready()
        place.show_again(runner)
        carry_on(runner, place, opened.setting.born, opened.since, written)

    assert runner.deaths == 1
    assert_whole(runner, place, written=written, since=opened.since)


def test_killed_while_a_postmortem_is_half_written(place: Place, opened: Opened) -> None:
    runner = place.go_on(opened, environment=dying(place, "K13 after incident_resolved"))
    runner.start()
    place.show_again(runner)
    written = len(place.world.writes())
    approve(runner, place, opened.since)
    runner.until(lambda: runner.facts("verification_made"), "a verification")
    runner.until(lambda: len(list(runner.exports.glob("inc-*"))) == 4, "the first postmortem")
    earlier = {path.name: path.read_bytes() for path in runner.exports.glob("inc-*")}
    runner.send(resolved(opened.setting.born))
    runner.wait_dead()

    left = {path.name: path.read_bytes() for path in runner.exports.iterdir()}
    assert {name: left[name] for name in earlier} == earlier
    assert len(left) == 5

    runner.start()
    runner.until(lambda: runner.facts("incident_closed"), "the postmortem")
    runner.stop()
    assert_whole(runner, place, written=written, since=opened.since)
    assert all(path.read_bytes() != earlier[path.name] for path in runner.exports.glob("*.md"))


def test_what_must_not_run_twice_is_left_to_a_person_after_a_crash(place: Place) -> None:
    since, born = place.slack.newest(), place.world.begin("S01", SEED)
    books, actions = place.folder / "runbooks", place.folder / "actions.yaml"
    books.mkdir()
    library = (LIBRARY / "provider-outage.md").read_text("utf-8")
    before, _, after = library.partition("### 1.")
    _, _, after = after.partition("## If that did not help")
    text = f"{before}### 1. Set the retries\n{RETRIES_STEP}\n## If that did not help{after}"
    (books / "provider-outage.md").write_text(text, "utf-8")
    actions.write_text(RETRIES_ACTION, "utf-8")
    declared = {"PAGERUNNER_RUNBOOKS": str(books), "PAGERUNNER_HTTP_ACTIONS": str(actions)}
    runner = Pagerunner(place.setting(born, environment={**dying(place, "K10"), **declared}))
    with runner.kept_alive():
        runner.send(born["page"])
        approve(runner, place, since)
        runner.until(lambda: runner.facts("effect_unknown"), "a crash whose effect nobody knows")
        runner.until(lambda: "may or may not" in json.dumps(place.slack.messages(since=since)), "word in the thread")

    assert runner.deaths == 1
    (shown,) = runner.view().proposals
    assert shown.proposal.state == "unknown"
    assert [(w["path"], w["after"]) for w in place.world.writes()] == [("gateway/retries", {"max_retries": 1})]
    assert chain.verify(runner.chain()) == ""


# --- at any moment ---------------------------------------------------------------------------------------------------


def test_killed_at_random_moments(place: Place) -> None:
    since, born = place.slack.newest(), place.world.begin("S01", SEED)
    runner = Pagerunner(place.setting(born, environment=dying(place, "")))
    moments = random.Random(SEED)
    over = threading.Event()

    def kill() -> None:
        for _ in range(4):
            if over.wait(moments.uniform(4, 12)):
                return
            if runner.part is not None:
                runner.part.process.kill()

    killer = threading.Thread(target=kill, daemon=True)
    with runner.kept_alive():
        killer.start()
        runner.send(born["page"])
        carry_on(runner, place, born, since, 0)
        over.set()
        killer.join()

    assert runner.deaths > 0
    assert_whole(runner, place, written=0, cards=1 + runner.deaths, since=since)


def test_a_second_process_on_one_data_folder_refuses_to_start(place: Place, opened: Opened) -> None:
    runner = place.go_on(opened, entry=SERVE)
    runner.start()
    command = [sys.executable, "-m", "bot", "serve"]
    environment = {**runner.environment, "PAGERUNNER_PORT": "0"}
    second = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)

    assert second.returncode == 1
    assert "another Pagerunner runs on this data folder" in second.stderr
    assert runner.incidents()
    runner.stop()
