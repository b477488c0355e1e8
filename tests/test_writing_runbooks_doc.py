"""Every command of docs/writing-runbooks.md is typed here, in its order, with the files that it shows."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.runbook_cli_fakes import GIT
from tests.test_runbook_ci import ACTION, HOOKS

pytestmark = [pytest.mark.timeout(600)]

DOC = (ROOT / "docs" / "writing-runbooks.md").read_text("utf-8")
BLOCK = re.compile(r"(?:<!-- file: (\S+) -->\n)?^(`{3,})(\w+)\n(.*?)^\2$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    file: str
    kind: str
    text: str


BLOCKS = [Block(file=found[1] or "", kind=found[3], text=found[4]) for found in BLOCK.finditer(DOC)]


def test_the_whole_page_works_as_typed(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "pagerunner"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m bot "$@"\n')
    script.chmod(0o755)
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PAGERUNNER_")}
    environment |= {**GIT, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "CI": "true",
                    "XDG_CACHE_HOME": str(tmp_path / "cache")}  # fmt: skip
    told: dict[str, str] = {}
    for block in BLOCKS:
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text, "utf-8")
        for line in block.text.splitlines() if block.kind == "console" else ():
            export = re.fullmatch(r"export (\w+)=(\S+)", line)
            if export:
                environment[export[1]] = export[2]
                continue
            done = subprocess.run(line, shell=True, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=200, check=False)  # fmt: skip
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            told[line] = done.stdout + done.stderr

    def said(start: str) -> str:
        return next(text for line, text in told.items() if line.startswith(start))

    assert "streaming-break" in said("PAGERUNNER_RUNBOOKS=wiki").splitlines()[0]
    made = (folder / "oncall" / "runbooks" / "vector-store-outage.md").read_text("utf-8")
    assert "vector store health check failing" in made
    tested = said("pagerunner runbooks test oncall/runbooks/streaming-break.md")
    assert "4 of 4 find the right one first" in tested
    assert "1 of 1 lead here" in tested
    assert "stale-index: cause found, restored" in said("pagerunner runbooks test stale-index")
    assert "max_retries = 1" in said("pagerunner runbooks render oncall/runbooks/streaming-break.md --service")
    assert (folder / "runbook-schema.json").stat().st_size > 10_000


def test_the_snippets_for_ci_name_what_there_is() -> None:
    hooks, workflow = (yaml.safe_load(block.text) for block in BLOCKS if block.kind == "yaml")

    named = {hook["id"] for hook in hooks["repos"][0]["hooks"]}
    given = workflow["jobs"]["runbooks"]["steps"][1]["with"]
    assert named == {hook["id"] for hook in HOOKS}
    assert set(given) <= set(ACTION["inputs"])
