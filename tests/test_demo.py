"""The demo: what it may touch, what it hands to its processes, and that it never stops without a word."""

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bot.cli import demo
from bot.cli.demo import Demo, clear, own_folder
from bot.cli.story import Story, nothing_more, waits_for
from bot.domain.closing import closing
from bot.rehearsal import World
from bot.triage.nodes import _diagnosed
from bot.triage.summary import note
from config.settings import without_settings
from diagnostics.model import Diagnosis, Hypothesis
from tests.view_samples import OUTAGE, OUTAGE_FINDINGS, SAMPLES


def test_a_rehearsal_knows_nothing_of_the_real_settings() -> None:
    environ = {"PATH": "/bin", "PAGERUNNER_PAGERDUTY_API_KEY": "real", "PAGERUNNER_CONFIG": "/etc/real.yaml"}

    assert without_settings(environ) == {"PATH": "/bin"}


def test_no_process_of_the_demo_inherits_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGERUNNER_PAGERDUTY_API_KEY", "real")
    monkeypatch.setenv("PAGERUNNER_CONFIG", "/etc/real.yaml")
    started: list[dict[str, str]] = []

    class Started:
        pid = 0

        def __init__(self, command: list[str], env: dict[str, str], **_: Any) -> None:
            started.append(env)

        def poll(self) -> None: ...

        def send_signal(self, _: int) -> None: ...

        def terminate(self) -> None: ...

        def wait(self, _: float) -> None: ...

    monkeypatch.setattr(subprocess, "Popen", Started)
    monkeypatch.setattr(subprocess, "run", lambda command, env, **_: started.append(env))
    monkeypatch.setattr(Demo, "_wait_for", lambda *_, **__: None)
    (tmp_path / "demo" / "data").mkdir(parents=True)
    with ExitStack() as stack:
        made = Demo(tmp_path, "S01", 1, stack)
        made._home = tmp_path / "demo"
        place = made._start_worlds()
        (made._home / "data" / "token").write_text("t")
        made._start_server(place, {"baselines": [], "changes": []})
    monkeypatch.setattr("bot.rehearsal.httpx.Client.get", lambda *_, **__: None)
    World.start("token").stop()

    assert len(started) == 5
    for env in started:
        assert "PAGERUNNER_PAGERDUTY_API_KEY" not in env
        assert "PAGERUNNER_CONFIG" not in env
        assert env["PATH"] == os.environ["PATH"]


def test_the_demo_deletes_only_what_a_demo_made(tmp_path: Path) -> None:
    mine = tmp_path / "demo" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("precious")
    first = own_folder(tmp_path)
    clear(first)
    (first / "old.log").touch()
    again = own_folder(tmp_path)
    clear(again)

    assert mine.read_text() == "precious"
    assert (first, again) == (tmp_path / "demo-2", tmp_path / "demo-2")
    assert sorted(path.name for path in again.iterdir()) == [demo.MARK]


def view(state: str = "open", *, votable: bool = True, effect: str = "converge") -> dict[str, Any]:
    plan = {"effect": effect, "verify_probe": "gateway_canary", "verify_outcome": "ok"}
    proposal = {"id": "pr-1", "state": state, "votable": votable, "withheld": "observe mode", "plan": plan}
    return {"proposal": proposal, "apply": None}


@pytest.mark.parametrize(
    ("views", "said"),
    [
        ([], "the probes"),
        ([view()], "an approver's decision"),
        ([view("rejected")], "another option"),
        ([view("executing", effect="manual")], "press Done"),
        ([view("executing")], "what comes of it"),
    ],
)
def test_what_is_waited_for_is_said(views: list[dict[str, Any]], said: str) -> None:
    assert said in waits_for(views)


def test_what_is_waited_for_after_the_change_is_said() -> None:
    done = view("done")
    assert "gateway_canary is ok" in waits_for([{**done, "apply": {"state": "done", "verdict": ""}}])
    better = {"state": "done", "verdict": "better", "next_check_at": None}
    assert "the monitor" in waits_for([{**done, "apply": better}])
    assert "users to be well" in waits_for([{**done, "apply": {**better, "next_check_at": "2026-11-22T12:00:00Z"}}])
    assert "another look" in waits_for([{**done, "apply": {"state": "done", "verdict": "worse"}}])


@pytest.mark.parametrize(
    ("kinds", "views", "said"),
    [
        (["proposal_rejected"], [view("rejected")], "Rejected: nothing was executed"),
        (["investigation_ended"], [], "Nothing is proposed"),
        (["investigation_ended"], [view("rejected")], "Nothing more is proposed"),
        (["investigation_ended"], [view(votable=False)], "Nobody can approve this here: observe mode"),
    ],
)
def test_why_nothing_more_will_happen_is_said(kinds: list[str], views: list[dict[str, Any]], said: str) -> None:
    assert nothing_more(kinds, views).startswith(said)


@pytest.mark.parametrize(("kinds", "views"), [(["vote_cast"], [view()]), (["investigation_ended"], [view()]),
                                              (["investigation_ended"], [view("executing")])])  # fmt: skip
def test_while_something_may_happen_the_demo_goes_on(kinds: list[str], views: list[dict[str, Any]]) -> None:
    assert nothing_more(kinds, views) == ""


class Silent:
    """A server on which nothing happens."""

    def get(self, path: str, **_: str) -> list[Any]:
        return []


def test_running_out_of_time_names_what_did_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.cli.story.LONGEST_S", 0.01)
    console = Console(record=True, width=200)
    moments = iter([0.0, 0.0, 1.0, 1.0, 1.0])
    monkeypatch.setattr("bot.cli.story.time.monotonic", lambda: next(moments))
    monkeypatch.setattr("bot.cli.story.time.sleep", lambda _: None)
    ended = Story(Silent(), console, 0.0, interactive=False).tell(patient=True, on_mitigated=lambda: None)  # type: ignore[arg-type]

    assert "Waiting for the probes and the diagnosis" in ended.why
    assert "Waiting for the probes" in console.export_text()


def test_the_terminal_names_what_rules_the_runners_up_out_and_is_never_certain() -> None:
    from bot.cli.story import _diagnosed as told

    certain = Hypothesis(mode="provider-outage", title="x", probability=0.99999)
    data = dict(_diagnosed(Diagnosis(conclusion="cause", ranked=(certain, *OUTAGE.ranked[1:]))).data)
    text = "\n".join(told(data))

    assert "Not rate-limit-exceeded: rate_limit_headroom ample rules it out" in text
    assert "ev-00000006" in text
    assert "provider-outage > 99 %" in text
    assert "100" not in text


def test_the_pagers_note_is_never_certain() -> None:
    certain = Hypothesis(mode="provider-outage", title="x", probability=0.99999)
    diagnosis = Diagnosis(conclusion="cause", ranked=(certain,), causes=("provider-outage",))

    assert "(> 99 % sure)" in note(diagnosis, OUTAGE_FINDINGS)


def test_the_summary_of_a_closed_incident_says_what_it_was_and_what_helped_in_at_most_five_lines() -> None:
    lines = closing(SAMPLES["resolved"]()).splitlines()

    assert len(lines) <= 5
    assert "Model provider is failing (97 % sure)" in lines[1]
    assert "mitigate" in lines[2].lower()
    assert lines[3] == "Done: Shift traffic, approved by `Ana Ruiz`: it helped"
    assert "recovered" in lines[4]


def test_nothing_untrusted_in_the_summary_is_read_as_markup() -> None:
    assert "<" not in closing(SAMPLES["hostile"]())
