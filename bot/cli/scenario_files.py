"""Scenario files: read and checked by the simulated world's own program, which alone knows what they mean."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bot.cli.local import fail

DRILLS = [sys.executable, "-m", "drills"]


def definitions(file: Path) -> dict[str, Any]:
    """The drills of a file by id. Ends the command with every problem, by file, line and field, if there is one."""
    done = subprocess.run([*DRILLS, "check", "--json", str(file)], capture_output=True, text=True, check=False)
    if done.returncode:
        fail(done.stderr.strip(), 2)
    return {one["id"]: one["definition"] for one in json.loads(done.stdout)["drills"]}
