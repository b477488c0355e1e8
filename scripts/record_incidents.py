"""Record the incidents that the questions of `pagerunner eval questions` are asked about: real drills, kept whole.

    python scripts/record_incidents.py [NAME ...]

Each drill runs in virtual time; the incident is kept as it stood at the end, or while its last proposal waited for a
vote. The expectations in bot/exam/questions are about these recordings: after a new one, `pagerunner eval questions`
shows which no longer hold.
"""

import os
import secrets
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bot.cli.evaluate import START, stage_on
from bot.domain.proposal import ProposalState
from bot.domain.view import IncidentView
from bot.exam.recorded import FOLDER, write

DRILLS = {"s01": ("S01", "end"), "s15": ("S15", "waiting"), "s20": ("S20", "end"), "n33": ("N33", "end"),
          "m41": ("M41", "waiting")}  # fmt: skip
"""Name of the recording -> scenario, and the moment that is kept."""
SEED = 1


class Keeper:
    """Keeps the newest view, and the newest with a proposal that waits."""

    def __init__(self) -> None:
        self.kept: dict[str, IncidentView] = {}

    def __call__(self, view: IncidentView) -> None:
        self.kept["end"] = view
        shown = view.open_proposal
        if shown is not None and shown.proposal.state is ProposalState.OPEN:
            self.kept["waiting"] = view


def main(names: list[str]) -> None:
    """Record these, or all."""
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    from bot.rehearsal import World, rehearse  # noqa: PLC0415 - the setting above comes first

    world = World.start(secrets.token_hex(16))
    try:
        with tempfile.TemporaryDirectory() as folder:
            stage = stage_on(world, Path(folder))
            for name in names or list(DRILLS):
                scenario, moment = DRILLS[name]
                keeper = Keeper()
                rehearse(replace(stage, seen=keeper), scenario, SEED, START)
                view = keeper.kept.get(moment) or keeper.kept["end"]
                path = write(FOLDER / f"{name}.json", view)
                print(f"{path}: {len(view.findings)} findings, {len(view.timeline)} entries, {view.incident.status}",
                      flush=True)  # fmt: skip
    finally:
        world.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
