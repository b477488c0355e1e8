"""Drills in several processes: the same results, and nothing is left behind when one dies or somebody stops it all.

Search is by words alone here, to be light.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.cli.drill_jobs import DrillFailed, Wanted, played
from bot.cli.evaluate import command

DRILLS = [Wanted(scenario=name, seed=1, what=name) for name in ("N33", "S06")]


def results(jobs: int, drills: list[Wanted]) -> dict[str, str]:
    return {str(one.wanted): json.dumps(one.result) for one in played(drills, jobs, words_only=True)}


def running(group: int) -> list[str]:
    """What still runs in a group of processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            line = (folder / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            found.append(line)
    return found


def worlds() -> list[str]:
    return [line for line in running(os.getpgid(0)) if "drills world" in line]


def test_two_processes_give_the_very_results_of_one_in_whatever_order() -> None:
    alone = results(1, DRILLS)

    assert results(2, DRILLS[::-1]) == alone
    assert list(alone) == [str(one) for one in DRILLS]


def test_when_a_process_dies_the_drill_is_named_and_all_others_end() -> None:
    before = worlds()
    going = played([Wanted(scenario="N33", seed=seed, what="N33") for seed in range(1, 9)], 2, words_only=True)
    next(going)
    first = min(multiprocessing.active_children(), key=lambda child: child.pid or 0)
    os.kill(first.pid or 0, signal.SIGKILL)

    with pytest.raises(DrillFailed, match=r"N33 seed [2-8]: its process ended with code -9"):
        list(going)
    assert not multiprocessing.active_children()
    while len(worlds()) > len(before):  # they were told to end
        time.sleep(0.05)


def test_a_drill_that_fails_is_named_with_its_reason() -> None:
    wrong = [Wanted(scenario=name, seed=1, what=name) for name in ("X99", "X98")]

    with pytest.raises(DrillFailed, match=r"(?s)X9[89] seed 1 failed:.*422"):
        list(played(wrong, 2, words_only=True))


@pytest.mark.usefixtures("interruptible")
def test_stopping_the_command_ends_every_process() -> None:
    line = [sys.executable, "-m", "bot", "eval", "drills", "--only", "N33", "--seeds", "40", "--jobs", "2"]
    with subprocess.Popen(
        [*line, "--words-only", "--detail"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"N33 ")
        assert sum("drills world" in one for one in running(process.pid)) == 2

        os.killpg(process.pid, signal.SIGINT)
        process.stderr.read()
        assert process.wait() == 1
    while running(process.pid):  # the last of them are ending
        time.sleep(0.05)


def test_jobs_below_one_are_refused() -> None:
    refused = CliRunner().invoke(command, ["drills", "--jobs", "0"])

    assert refused.exit_code == 2
    assert "--jobs" in refused.output
