"""Every command that the README shows is run here, as a newcomer would type it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.timeout(400)]

README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line.strip() for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL) for line in block.splitlines()
]


def shell(command: str, folder: Path, *, code: int = 0) -> str:
    """Run a command as typed, without a terminal; its output."""
    environment = {**os.environ, "CI": "true"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=380, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def demo_left_open(command: str, folder: Path) -> None:
    told = shell(command, ROOT)

    assert "is open and nothing was executed" in told
    assert "make demo APPROVE=yes" in told


def demo_to_the_end(command: str, folder: Path) -> None:
    told = shell(command, ROOT)

    assert "Verified: better" in told
    written = re.findall(r"inc-[0-9a-f]+\.md", told)
    assert written
    assert (ROOT / "out" / written[0]).stat().st_size > 1000


def this_very_run(command: str, folder: Path) -> None:
    assert re.search(r"^test:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def init(command: str, folder: Path) -> None:
    shell(command, folder)

    assert (folder / "oncall" / "pagerunner.yaml").exists()


def doctor(command: str, folder: Path) -> None:
    told = shell(command, folder, code=1)

    assert "problem" in told


def serve(command: str, folder: Path) -> None:
    environment = {**os.environ, "PAGERUNNER_PORT": "0", "PAGERUNNER_SLACK": "off"}
    process = subprocess.Popen(
        command.split(), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "Pagerunner is ready" in line:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)

    assert any("Pagerunner is ready" in line for line in seen), "".join(seen)


RUN: dict[str, Callable[[str, Path], None]] = {
    "make demo": demo_left_open,
    "make test": this_very_run,
    "make demo SCENARIO=prompt-regression APPROVE=yes": demo_to_the_end,
    ".venv/bin/pagerunner init oncall": init,
    ".venv/bin/pagerunner doctor --config oncall/pagerunner.yaml": doctor,
    ".venv/bin/pagerunner serve --config oncall/pagerunner.yaml": serve,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed command where the README expects it."""
    made: Path = tmp_path_factory.mktemp("newcomer")
    (made / ".venv" / "bin").mkdir(parents=True)
    command = shutil.which("pagerunner", path=str(Path(sys.executable).parent)) or ""
    (made / ".venv" / "bin" / "pagerunner").symlink_to(command)
    return made


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_works(command: str, folder: Path) -> None:
    assert command in RUN, f"the README shows a command that nothing runs: {command}"
    RUN[command](command, folder)
