"""What runs for real in end-to-end tests: the simulated world, the loopback workspace and ``pagerunner serve``.

Each is a process of its own on a free port, and is spoken to as others speak to it: over HTTP. Waiting is polling for a
condition; what is waited for ends the test with the server's own words when it does not come.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from bot.domain.timeline import Entry
from bot.domain.view import IncidentView
from bot.edges import history_file
from bot.edges.database import Database
from bot.edges.history import SqlHistory
from bot.edges.records import SqlRecords
from config.settings import load_catalogue

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "config" / "example"
SIGNING_SECRET = "pagerduty-signing-secret"
SLACK_SIGNING_SECRET = "loopback-signing-secret"
PATIENCE_S = 120.0
"""How long anything may take before the test is given up; no test measures time."""
T = TypeVar("T")
Json = dict[str, Any]


def until(check: Callable[[], T], what: str, tell: Callable[[], str] = str, within_s: float = PATIENCE_S) -> T:
    """Poll until ``check`` gives something true, and return that."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if value := check():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: this did not happen within {within_s:g} s\n{tell()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Part:
    """A process of this repository, its output in a file."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=dict(environment or os.environ), stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def wait_for(self, pattern: str, after: int = 0) -> "re.Match[str]":
        """Until its output matches; fails with the output if it ends instead."""

        def look() -> "re.Match[str] | None":
            found = re.compile(pattern).search(self.said(), after)
            if found is None and self.process.poll() not in (None, -signal.SIGKILL):
                raise AssertionError(f"it ended with {self.process.returncode}:\n{self.said()[-4000:]}")
            return found

        return until(look, f"output {pattern!r}", lambda: self.said()[-4000:])

    def stop(self) -> None:
        """SIGTERM, as a service manager does; killed if that is not enough."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


class World:
    """The simulated application, with its referee's token."""

    def __init__(self, folder: Path) -> None:
        self._part = Part(["-m", "drills", "world", "--port", "0", "--referee-token", "referee"], folder / "world.log")
        self.url = self._part.wait_for(r'"listening": "(http://[^"]+)"')[1]
        self._client = httpx.Client(
            base_url=self.url, headers={"x-referee-token": "referee"}, timeout=60, trust_env=False
        )

    def begin(self, scenario: str = "S01", seed: int = 1) -> Json:
        """Another world, in real time, about to page."""
        body = {"scenario": scenario, "seed": seed, "mode": "real", "start": time.time()}
        reply = self._client.post("/referee/worlds", json=body)
        reply.raise_for_status()
        born: Json = reply.json()
        return born

    def writes(self) -> list[Json]:
        """Every change that somebody made to an admin document, in order."""
        reply = self._client.get("/referee/state")
        reply.raise_for_status()
        return list(reply.json()["writes"])

    def document(self, path: str) -> Json:
        """The keys of an admin document that can be set."""
        reply = self._client.get(path)
        reply.raise_for_status()
        return {key: value for key, value in reply.json().items() if key in ("weights", "aliases", "state", "catch_up")}

    def put_back(self, path: str, keys: Json) -> None:
        """Set an admin document as its operator would, whatever its version is."""
        version = self._client.get(path).headers["etag"]
        self._client.put(path, json=keys, headers={"if-match": version}).raise_for_status()

    def stop(self) -> None:
        self._client.close()
        self._part.stop()


class Slack:
    """The loopback workspace, as the people in it see and use it."""

    def __init__(self, folder: Path, *, events_url: str = "") -> None:
        command = ["-m", "drills", "slack", "--port", "0", "--no-rate-limits", "--retry-delays", "0,1,1"]
        self._part = Part([*command, *(["--events-url", events_url] if events_url else [])], folder / "slack.log")
        self.url = self._part.wait_for(r"Slack workspace at (\S+)")[1]
        self._client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        page = self._client.get("/").text
        found = re.search(r'name="ui-token" content="([^"]+)"', page)
        assert found is not None, page
        self._client.headers["x-ui-token"] = found[1]

    def messages(self, channel: str = "C0ASSIST", user: str = "U0ANA", since: str = "") -> list[Json]:
        """What this person sees in the channel, threads included, oldest first."""
        state = self._client.get("/ui/state", params={"user": user}).json()
        found = next(c for c in state["channels"] if c["id"] == channel)
        return [message for message in found["messages"] if str(message["ts"]) > since]

    def cards(self, channel: str = "C0ASSIST", since: str = "") -> list[Json]:
        """Cards of the app, oldest first: posts with blocks that are no replies."""
        return [m for m in self.messages(channel, since=since)
                if m.get("bot_id") and m.get("thread_ts") in (None, m["ts"]) and not m["ephemeral"]]  # fmt: skip

    def act(self, what: str, user: str, **body: Any) -> Json:
        """One of the page's acts: action, message, slash, view_submission ..."""
        done: Json = self._client.post(f"/ui/{what}", json={"user": user, **body}).json()
        return done

    def buttons(self, card: Json) -> list[str]:
        """The texts of a message's buttons."""
        return [element["text"]["text"].strip() for block in card.get("blocks", []) if block["type"] == "actions"
                for element in block["elements"] if element["type"] == "button"]  # fmt: skip

    def click(self, card: Json, button: str, user: str = "U0ANA", channel: str = "C0ASSIST") -> Json:
        """Click the button with this text on this message. Not ok when it is not there or nobody answered."""
        for block in card.get("blocks", []):
            for element in block.get("elements", []) if block["type"] == "actions" else []:
                if element.get("text", {}).get("text", "").strip() == button:
                    return self.act("action", user, channel=channel, ts=card["ts"], action_id=element["action_id"],
                                    block_id=block["block_id"])  # fmt: skip
        return {"ok": False, "error": f"there is no button {button!r}"}

    def newest(self) -> str:
        """The newest message's time, to tell a test's own messages from earlier ones."""
        return max((str(m["ts"]) for c in ("C0ASSIST", "C0TRUST", "C0CREATOR") for m in self._all(c)), default="")

    def _all(self, channel: str) -> list[Json]:
        user = {"C0TRUST": "U0CHI", "C0CREATOR": "U0EVA"}.get(channel, "U0ANA")
        return self.messages(channel, user)

    def control(self, path: str, **body: Any) -> Json:
        """The test's hand in the workspace: faults, mischief, logs."""
        done: Json = self._client.post(f"/control/{path}", json=body).json()
        return done

    def stop(self) -> None:
        self._client.close()
        self._part.stop()


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How one Pagerunner of a test is set up."""

    home: Path
    world: World
    slack: Slack | None
    born: Json
    slack_mode: str = "socket"
    entry: tuple[str, ...] = ("-m", "bot", "serve")
    environment: Mapping[str, str] = field(default_factory=dict)
    catalogue: Mapping[str, str] = field(default_factory=dict)
    """What is said in the example catalogue, and what to say instead."""
    port: int = field(default_factory=free_port)


class Pagerunner:
    """``pagerunner serve`` on a data folder of its own: started, killed, started again, spoken to over HTTP."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.data = setting.home / "data"
        self.exports = setting.home / "exports"
        self.url = f"http://127.0.0.1:{setting.port}"
        self.deaths = 0
        self.part: Part | None = None
        self._log = setting.home / "pagerunner.log"
        self._spoken = 0
        self._prepare()
        self._log.touch()

    # --- living and dying --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it (again), and wait until it is ready."""
        self.start_soon()
        self.wait_ready()

    def start_soon(self) -> None:
        """Start it (again), and do not wait."""
        self._spoken = len(self.said())
        self.part = Part(self._setting.entry, self._log, self.environment)

    def wait_ready(self) -> None:
        assert self.part is not None
        self.part.wait_for("Pagerunner is ready", self._spoken)

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, closed or said."""
        assert self.part is not None
        self.part.process.kill()
        self.part.process.wait(10)

    def wait_dead(self) -> None:
        """Until it was killed, by itself or by somebody else."""
        assert self.part is not None
        process = self.part.process
        self.until(lambda: process.poll() is not None, "the process should have been killed")
        assert process.returncode == -signal.SIGKILL, self.told()

    def stop(self) -> None:
        if self.part is not None:
            self.part.stop()

    @contextlib.contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Start it, and start it again whenever it was killed, as a service manager does; stopped at the end."""
        over = threading.Event()

        def supervise() -> None:
            while not over.wait(0.05):
                if self.part is not None and self.part.process.poll() == -signal.SIGKILL:
                    self.deaths += 1
                    self.start_soon()

        self.start_soon()
        supervisor = threading.Thread(target=supervise, daemon=True)
        supervisor.start()
        try:
            yield
        finally:
            over.set()
            supervisor.join()
            self.stop()

    # --- speaking with it --------------------------------------------------------------------------------------------

    def send(self, event: Json, *, tries: int = 200) -> int:
        """Deliver a webhook as PagerDuty does: signed, and again after a lost connection or a 5xx, until it is taken.
        Returns how often it was sent."""
        raw = json.dumps(event).encode()
        signature = hmac.new(SIGNING_SECRET.encode(), raw, hashlib.sha256).hexdigest()
        headers = {"x-pagerduty-signature": f"v1={signature}", "content-type": "application/json"}
        for number in range(1, tries + 1):
            with contextlib.suppress(httpx.TransportError):
                reply = httpx.post(
                    f"{self.url}/webhooks/pagerduty", content=raw, headers=headers, timeout=5, trust_env=False
                )
                if reply.status_code < 500:
                    assert reply.status_code == 202, reply.text
                    return number
            time.sleep(0.1)
        raise AssertionError(f"nobody took the webhook\n{self.told()}")

    def get(self, path: str, **query: str) -> Any:
        """Read from the API; None while it cannot be reached."""
        try:
            token = (self.data / "token").read_text("ascii").strip()
            reply = httpx.get(
                f"{self.url}/api/v1{path}", params=query, headers={"authorization": f"Bearer {token}"}, timeout=5,
                trust_env=False,
            )  # fmt: skip
        except (OSError, httpx.TransportError):
            return None
        return reply.json() if reply.status_code == 200 else None

    def post(self, path: str, body: Json) -> Json:
        """Do something through the API, as the local person does."""
        token = (self.data / "token").read_text("ascii").strip()
        headers = {"authorization": f"Bearer {token}"}
        reply = httpx.post(f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=10, trust_env=False)
        reply.raise_for_status()
        done: Json = reply.json()
        return done

    def incidents(self) -> list[Json]:
        return list(self.get("/incidents", active="false") or [])

    def timeline(self) -> list[Json]:
        """The timeline of the one incident; empty while there is none or the server is away."""
        incidents = self.incidents()
        entries = self.get(f"/incidents/{incidents[0]['id']}/timeline") if incidents else None
        return [{"seq": e["seq"], "at": e["at"], **e["fact"]} for e in entries or []]

    def facts(self, *kinds: str) -> list[Json]:
        """The data of the timeline's facts of these kinds."""
        return [entry["data"] for entry in self.timeline() if entry["kind"] in kinds]

    def proposals(self) -> list[Json]:
        incidents = self.incidents()
        return list(self.get(f"/incidents/{incidents[0]['id']}/proposals") or []) if incidents else []

    def said(self) -> str:
        """Everything its processes wrote."""
        return self._log.read_text("utf-8", "replace")

    def told(self) -> str:
        """For a failing test: the timeline, and the end of the output."""
        lines = [f"{e['seq']:>3} {e['at'][11:23]} {e['kind']} {json.dumps(e['data'])[:160]}" for e in self.timeline()]
        return "\n".join([*lines, "--- output", self.said()[-5000:]])

    def until(self, check: Callable[[], T], what: str, within_s: float = PATIENCE_S) -> T:
        return until(check, what, self.told, within_s)

    # --- what is in its database -------------------------------------------------------------------------------------

    def chain(self) -> Sequence[Entry]:
        """The whole timeline of the stopped server, from its file."""
        return self._read(lambda records: records.whole_chain())

    def view(self) -> IncidentView:
        """The one incident of the stopped server, from its file."""

        async def read(records: SqlRecords) -> IncidentView:
            (incident,) = await records.incidents(active_only=False)
            view = await records.view(incident.id)
            assert view is not None
            return view

        return self._read(read)

    def _read(self, ask: Callable[[SqlRecords], Any]) -> Any:
        database = Database(self.data / "pagerunner.sqlite")
        database.open()
        try:
            return _run(_await(ask(SqlRecords(database, load_catalogue(self._setting.home / "catalogue.yaml")))))
        finally:
            database.close()

    # --- setting up --------------------------------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """What it is started with. There is no embedder: search goes by words, says so, and needs no PyTorch. Tests
        share the channels, so that a new card does not wait for its minute."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PAGERUNNER_")}
        slack = self._setting.slack
        chosen = {
            "PAGERUNNER_DATA": str(self.data), "PAGERUNNER_PORT": str(self._setting.port),
            "PAGERUNNER_CATALOGUE": str(self._setting.home / "catalogue.yaml"),
            "PAGERUNNER_EXPORTS": str(self.exports), "PAGERUNNER_EMBEDDER": str(self._setting.home / "no-model"),
            "PAGERUNNER_PAGERDUTY_SECRETS": SIGNING_SECRET, "PAGERUNNER_CANARY_TOKENS_PER_HOUR": "0",
            "PAGERUNNER_CHANNEL_MESSAGE_EVERY_S": "0",
            "ACME_OPENAI_KEY": "sk-simulated-acme", "BETA_ANTHROPIC_KEY": "sk-simulated-beta",
        }  # fmt: skip
        if slack is not None:
            chosen |= {
                "PAGERUNNER_SLACK": self._setting.slack_mode, "PAGERUNNER_SLACK_API": f"{slack.url}/api/",
                "PAGERUNNER_SLACK_BOT_TOKEN": "xoxb-loopback", "PAGERUNNER_SLACK_APP_TOKEN": "xapp-loopback",
                "PAGERUNNER_SLACK_SIGNING_SECRET": SLACK_SIGNING_SECRET,
            }  # fmt: skip
        return {**kept, **chosen, **self._setting.environment}

    def _prepare(self) -> None:
        """Write what it is configured with; a folder that has been lived in is left as it is."""
        home = self._setting.home
        home.mkdir(parents=True, exist_ok=True)
        if self.data.exists():
            return
        text = (EXAMPLE / "catalogue.yaml").read_text("utf-8").replace("http://127.0.0.1:8900", self._setting.world.url)
        for said, instead in self._setting.catalogue.items():
            assert said in text, said
            text = text.replace(said, instead)
        (home / "catalogue.yaml").write_text(text, "utf-8")
        if not (home / "golden").exists():
            (home / "golden").symlink_to(EXAMPLE / "golden")
        self.data.mkdir(mode=0o700, exist_ok=True)
        database = Database(self.data / "pagerunner.sqlite")
        database.open()
        recorded = {name: self._setting.born[name] for name in ("baselines", "changes")}
        try:
            _run(_await(history_file.load(SqlHistory(database), recorded)))
        finally:
            database.close()


async def _await(one: Any) -> Any:
    return await one


def _run(one: Any) -> Any:
    """In a thread: a browser test's own thread has a loop running already."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, one).result()


def resolved(born: Json) -> Json:
    """What the pager sends when the monitor sees its signal recover."""
    event = json.loads(json.dumps(born["page"]["event"]))
    event |= {"id": f"{event['id']}R", "event_type": "incident.resolved"}
    event["occurred_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    event["data"]["status"] = "resolved"
    return {"event": event}
