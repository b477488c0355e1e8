"""Scenario files: read and checked by the simulated world's own program, which alone knows what they mean."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bot.cli.local import fail


def definitions(file: Path) -> dict[str, Any]:
    """The drills of a file by id. Ends the command with every problem, by file, line and field, if there is one."""
    return {one["id"]: one["definition"] for one in json.loads(ask("check", "--json", str(file)))["drills"]}


def ask(*words: str) -> str:
    """What ``python -m drills`` says to these words. Ends the command with its errors."""
    done = subprocess.run([sys.executable, "-m", "drills", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        fail(done.stderr.strip(), 2)
    return done.stdout
