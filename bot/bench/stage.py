"""Where everything is measured: a real ``pagerunner serve`` as a process, the simulated application and the loopback
workspace. Nothing here reaches into the product: it is started, sent webhooks, and asked over its API.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx

from bot.bench.machine import ROOT
from bot.bench.pages import Planned, signature
from config.settings import without_settings

EXAMPLE = ROOT / "config" / "example"
DECLARED_WORLD = "http://127.0.0.1:8900"
LONGEST_START_S = 120.0


class StageError(Exception):
    """A part did not start, or ended: which, and the end of what it said."""


@dataclass(kw_only=True)
class Stage:
    """The two worlds and the settings of a server that looks at them."""

    home: Path
    world: str
    slack: str
    token: str
    secret: str
    port: int
    processes: ExitStack = field(repr=False)
    message_every_s: float
    """The pace of new messages in a channel."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Of the server, and of the commands that look at its data."""
        return {
            **without_settings(os.environ),
            "PAGERUNNER_DATA": str(self.home / "data"), "PAGERUNNER_PORT": str(self.port),
            "PAGERUNNER_CATALOGUE": str(self.home / "catalogue.yaml"), "PAGERUNNER_SLACK": "socket",
            "PAGERUNNER_SLACK_API": f"{self.slack}/api/", "PAGERUNNER_SLACK_BOT_TOKEN": "xoxb-loopback",
            "PAGERUNNER_SLACK_APP_TOKEN": "xapp-loopback", "PAGERUNNER_PAGERDUTY_SECRETS": self.secret,
            "PAGERUNNER_CHANNEL_MESSAGE_EVERY_S": str(self.message_every_s),
            "PAGERUNNER_CANARY_TOKENS_PER_HOUR": "0", "ACME_OPENAI_KEY": "sk-simulated-acme",
            "BETA_ANTHROPIC_KEY": "sk-simulated-beta",
        }  # fmt: skip

    def referee(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask the world's referee, as the product cannot."""
        headers = {"x-referee-token": self.token}
        reply = httpx.request(method, f"{self.world}/referee{path}", json=body, headers=headers, timeout=120)
        reply.raise_for_status()
        answer: dict[str, Any] = reply.json()
        return answer

    def break_world(self, scenario: str, seed: int = 1) -> None:
        """Begin a scenario now, and tell the product what was normal before it."""
        wanted = {"scenario": scenario, "seed": seed, "mode": "real", "start": time.time(), "baselines": "all"}
        born = self.referee("POST", "/worlds", wanted)
        history = self.home / "history.json"
        history.write_text(json.dumps({key: born[key] for key in ("baselines", "changes")}), "utf-8")
        subprocess.run(
            [*pagerunner(), "history", "baselines", str(history)], env=self.environment(), check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def messages(self, channel: str) -> int:
        """How many messages the workspace was given for a channel and its threads; edits do not count."""
        reply = httpx.get(f"{self.slack}/control/log", params={"method": "chat.postMessage"}, timeout=30)
        return sum(call["ok"] and call["args"].get("channel") == channel for call in reply.json()["calls"])

    def cards(self) -> dict[str, float]:
        """Incident -> the moment (seconds since the epoch) at which the workspace was asked to post its card."""
        reply = httpx.get(f"{self.slack}/control/log", params={"method": "chat.postMessage"}, timeout=30)
        posted: dict[str, float] = {}
        for call in reply.json()["calls"]:
            metadata = call["args"].get("metadata", {})
            metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
            kind, _, incident = str(metadata.get("event_payload", {}).get("key", "")).partition(":")
            if kind == "card" and call["ok"]:
                posted.setdefault(incident, float(call["at"]))
        return posted


class Server:
    """One process of the product."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.log = stage.home / "pagerunner.log"
        self._said = self.log.stat().st_size if self.log.exists() else 0
        self.began = time.perf_counter()
        self.process = start([*pagerunner(), "serve"], self.log, stage.environment())
        stage.processes.callback(self.stop)
        self._client: httpx.Client | None = None

    def until_accepting(self, page: Planned) -> float:
        """Send ``page`` until it is accepted; seconds since the start of the process."""
        with httpx.Client(base_url=self.stage.address, timeout=30) as client:
            while True:
                self._alive()
                try:
                    raw = page.raw(datetime.now(UTC))
                    headers = {"x-pagerduty-signature": signature(self.stage.secret, raw)}
                    if client.post("/webhooks/pagerduty", content=raw, headers=headers).status_code == 202:
                        return time.perf_counter() - self.began
                except httpx.TransportError:
                    pass
                time.sleep(0.01)

    def until_ready(self) -> float:
        """Until it says that everything is loaded; seconds since the start of the process."""
        while "Pagerunner is ready" not in self.said():
            self._alive()
            time.sleep(0.02)
        return time.perf_counter() - self.began

    def until_warm(self) -> None:
        """Until it searches by meaning too."""
        while "Search is ready" not in self.said():
            self._alive()
            time.sleep(0.1)

    def said(self) -> str:
        """What this process has printed and logged so far."""
        with self.log.open("rb") as file:
            file.seek(self._said)
            return file.read().decode("utf-8", "replace")

    def get(self, path: str, **query: str) -> Any:
        """Ask the API."""
        if self._client is None:
            token = (self.stage.home / "data" / "token").read_text("ascii").strip()
            headers = {"authorization": f"Bearer {token}"}
            self._client = httpx.Client(base_url=f"{self.stage.address}/api/v1", headers=headers, timeout=60)
        reply = self._client.get(path, params=query)
        reply.raise_for_status()
        return reply.json()

    def resident_mib(self) -> tuple[float, float]:
        """Resident memory now, and the most so far, from /proc."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        figures = dict(line.split(":", 1) for line in status.splitlines())
        now, most = (int(figures[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return now, most

    def worked_s(self) -> float:
        """Seconds of a core that the process has used so far: says more than the clock on a busy machine."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """As a power cut would."""
        self._close()
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """As an operator would; at once if it does not listen."""
        self._close()
        stop(self.process)

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _alive(self) -> None:
        if self.process.poll() is not None:
            raise StageError(f"pagerunner serve ended with {self.process.returncode}; {self._end_of_log()}")
        if time.perf_counter() - self.began > LONGEST_START_S:
            raise StageError(f"pagerunner serve was not there after {LONGEST_START_S:.0f} s; {self._end_of_log()}")

    def _end_of_log(self) -> str:
        return f"{self.log} ends with:\n{self.said()[-2_000:]}"


@contextmanager
def stage(message_every_s: float = 60.0) -> Iterator[Stage]:
    """The worlds, running, in a folder of their own; everything ends with the block. The folder stays if it fails."""
    home = Path(mkdtemp(prefix="pagerunner-bench-"))
    with ExitStack() as processes:
        world, slack = free_port(), free_port()
        made = Stage(
            home=home, world=f"http://127.0.0.1:{world}", slack=f"http://127.0.0.1:{slack}", port=free_port(),
            token=secrets.token_hex(16), secret=secrets.token_hex(24), processes=processes,
            message_every_s=message_every_s,
        )  # fmt: skip
        text = (EXAMPLE / "catalogue.yaml").read_text("utf-8")
        (home / "catalogue.yaml").write_text(text.replace(DECLARED_WORLD, made.world), "utf-8")
        shutil.copytree(EXAMPLE / "golden", home / "golden")
        python = [sys.executable, "-m", "drills"]
        tokens = ["--bot-token", "xoxb-loopback", "--app-token", "xapp-loopback"]
        parts = {
            "world": ([*python, "world", "--port", str(world), "--referee-token", made.token], world),
            "slack": ([*python, "slack", "--port", str(slack), *tokens], slack),
        }
        for name, (command, port) in parts.items():
            process = start(command, home / f"{name}.log", without_settings(os.environ))
            processes.callback(stop, process)
            _until_listening(process, port, home / f"{name}.log")
        yield made
    shutil.rmtree(home)


def pagerunner() -> list[str]:
    """The command, as installed beside this interpreter."""
    script = Path(sys.executable).with_name("pagerunner")
    return [str(script)] if script.exists() else [sys.executable, "-m", "bot"]


def start(command: list[str], log: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """A process of its own group, talking to a file."""
    with log.open("ab") as file:
        return subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end; after ten seconds, end it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_listening(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    last = time.monotonic() + LONGEST_START_S
    while time.monotonic() < last:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise StageError(f"{log.stem} did not start:\n{log.read_text('utf-8', 'replace')[-2_000:]}")
