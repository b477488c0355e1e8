"""``python -m drills check FILE`` and ``python -m drills injectors``: what writers of scenario files need."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from drills.injectors import listed, table
from drills.scenario_file import FileRefused, load


def check(arguments: Sequence[str]) -> int:
    """Read a scenario file: exit code 1 and every problem on standard error if anything is wrong with it."""
    parser = argparse.ArgumentParser(prog="python -m drills check")
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="print the drills as the referee takes them")
    given = parser.parse_args(list(arguments))
    try:
        entries = load(given.file)
    except FileRefused as error:
        print(error, file=sys.stderr)
        return 1
    if given.json:
        print(json.dumps({"drills": [{"id": one.id, "definition": one.definition} for one in entries]}))
    else:
        print(f"{given.file}: {len(entries)} drills, nothing wrong: {', '.join(one.id for one in entries)}")
    return 0


def injectors(arguments: Sequence[str]) -> int:
    """Print every injector with its parameters."""
    parser = argparse.ArgumentParser(prog="python -m drills injectors")
    parser.add_argument("--json", action="store_true", help="print them as JSON instead of a Markdown table")
    given = parser.parse_args(list(arguments))
    print(json.dumps(listed(), indent=2) if given.json else table().rstrip())
    return 0
