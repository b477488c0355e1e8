"""Runs one command as typed, in an empty folder and without this machine's settings."""

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot.cli import main
from tests.conftest import ROOT

CATALOGUE = ROOT / "config" / "example" / "catalogue.yaml"
WITH_CATALOGUE = {"PAGERUNNER_CATALOGUE": str(CATALOGUE)}
GIT = {
    "GIT_AUTHOR_NAME": "Ana", "GIT_AUTHOR_EMAIL": "ana@example.com", "GIT_COMMITTER_NAME": "Ana",
    "GIT_COMMITTER_EMAIL": "ana@example.com", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
}  # fmt: skip


def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and no settings of this machine."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("PAGERUNNER_"):
            monkeypatch.delenv(name)


def run(*words: str, **environ: str) -> Result:
    """``pagerunner runbooks WORDS``; what it raised by mistake fails the test."""
    result = CliRunner().invoke(main, ["runbooks", *words], env=environ, prog_name="pagerunner")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def git(folder: Path, *words: str) -> str:
    """A real git command; its output."""
    done = subprocess.run(
        ["git", "-C", str(folder), *words], env={**os.environ, **GIT}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def book(title: str = "Mine", *, front: str = "", body: str = "# Mine\n") -> str:
    """A runbook's text."""
    return f"---\ntitle: {title}\nowner: assist\n{front}---\n{body}"
