"""``pagerunner drill run``: a game day is scored, beside a rehearsal of the same incident."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.cli import drill_score
from config.settings import without_settings
from tests.running import ROOT
from tests.view_samples import SAMPLES

SCORE = {
    "top1": True, "ttd_s": 40.0, "truth": ["provider-outage"], "mitigation_success": True, "ttm_s": 95.5,
    "wrong_actions": ["clamp_retries"], "unsafe_actions": 0, "probes_run": 7,
}  # fmt: skip
HEADING = "### 1. Send the route to the second provider"


def scores() -> dict[str, Any]:
    yours = drill_score.scored(SAMPLES["made_worse"](), SCORE)
    nothing = {**SCORE, "top1": False, "ttd_s": None, "ttm_s": None, "wrong_actions": [], "mitigation_success": False}
    return {"scenario": "provider-outage", "seed": 1, "ended": "It ended.", "yours": yours,
            "rehearsal": {**drill_score.scored(SAMPLES["made_worse"](), nothing), "steps": []}}  # fmt: skip


def test_a_score_names_times_approvals_and_wrong_turns_beside_the_rehearsal() -> None:
    told = "\n".join(drill_score.text(scores()))

    assert "| Right cause first | yes | no |" in told
    assert "| Time to the right cause | 40 s | - |" in told
    assert "| Time to mitigation | 96 s | - |" in told
    assert "| Wrong turns | 1 | 0 |" in told
    assert "Wrong turns (proposed, and not what mends this): clamp_retries." in told
    assert told.endswith("Wrong turns (proposed, and not what mends this): clamp_retries.")
    assert "Nothing was proposed." in told


def test_every_approval_counts() -> None:
    view = SAMPLES["made_worse"]()
    approved = sum(vote.decision == "approve" for one in view.proposals for vote in one.votes)
    assert approved > 0
    assert len(drill_score.scored(view, SCORE)["approvals"]) == approved


def test_it_is_written_for_people_and_for_programs(tmp_path: Path) -> None:
    drill_score.write(tmp_path / "out", scores())

    assert (tmp_path / "out" / "score.md").read_text().startswith("# Score of the drill provider-outage, seed 1")
    assert json.loads((tmp_path / "out" / "score.json").read_text())["yours"]["to_mitigation_s"] == 95.5


@pytest.mark.timeout(600)
def test_a_game_day_with_a_runbook_that_is_not_merged_ends_with_its_score(tmp_path: Path) -> None:
    books = tmp_path / "books"
    books.mkdir()
    text = (ROOT / "runbooks" / "library" / "provider-outage.md").read_text("utf-8")
    assert HEADING in text
    (books / "provider-outage.md").write_text(text.replace(HEADING, "### 1. Our own way out"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "bot", "drill", "run", "provider-outage", "--scripted-person", "--minutes", "5",
         "--out", str(tmp_path / "out"), "--runbooks", str(books)],
        env=without_settings(os.environ) | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True,
        timeout=550, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "provider-outage#1-our-own-way-out" in done.stdout
    found = json.loads((tmp_path / "out" / "score.json").read_text("utf-8"))
    assert found["yours"]["right_cause"] is True
    assert [one["action"] for one in found["yours"]["approvals"]][:1] == ["shift_traffic"]
    assert found["rehearsal"]["mitigated"] is True
    assert found["rehearsal"]["steps"][0]["runbook"] == "provider-outage#1-our-own-way-out"
    assert "# Score of the drill provider-outage, seed 1" in done.stdout
    assert (tmp_path / "out" / "score.md").read_text("utf-8") in done.stdout


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_game_day_with_the_score_so_far_and_changes_nothing(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "bot", "drill", "run", "provider-outage", "--out", str(tmp_path / "out")]
    environment = without_settings(os.environ) | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        line, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        told = ""
        while "Waiting for an approver's decision" not in told:
            further = process.stdout.readline()
            assert further, told
            told += further

        process.send_signal(signal.SIGINT)
        told += process.stdout.read()

    assert process.returncode == 0, told
    assert "You ended the drill." in told
    found = json.loads((tmp_path / "out" / "score.json").read_text("utf-8"))
    assert found["ended"] == "You ended the drill."
    yours = found["yours"]
    assert (yours["right_cause"], yours["mitigated"], yours["approvals"]) == (True, False, [])
    assert found["rehearsal"]["mitigated"] is True
