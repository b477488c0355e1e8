"""``pagerunner demo``: the whole way of an incident, with a simulated application and a loopback Slack workspace.

Everything here is the product itself except the two worlds it talks to: the application's faults are real HTTP on this
machine, and so is the workspace. Nothing leaves the machine.
"""

import itertools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click

from bot.cli.local import fail
from bot.cli.story import Ending, Server, Story
from config.settings import without_settings

SCENARIOS = {
    "provider-outage": "S01", "provider-latency": "S03", "rate-limit-exceeded": "S04", "quota-exhausted": "S06",
    "model-overload": "S02", "credential-failure": "S07", "model-retired": "S08",
    "egress-failure": "S10", "model-drift": "S14", "prompt-regression": "S15", "agent-runaway": "S20",
    "stale-index": "S22", "moderation-backlog": "M41", "provider-capacity": "S05", "request-contract-break": "S09",
    "gateway-overload": "S11", "gateway-misrouting": "S12", "retry-storm": "S13", "context-overflow": "S17",
    "structured-output-break": "S18", "prompt-cache-loss": "T29", "cost-spike": "U44", "streaming-break": "T33",
    "vector-store-outage": "F22", "retrieval-regression": "F24", "embedding-mismatch": "S21",
    "tool-backend-down": "S19", "tool-contract-drift": "F19",
    "guardrail-overblocking": "S23", "guardrail-bypass": "F27",
    "generation-config-regression": "S16", "response-cache-crosstalk": "S24", "prompt-injection": "F25",
    "ungrounded-answers": "U42", "agent-destructive-action": "U43",
    "key-or-supply-chain-compromise": "F35", "dependency-break": "D43",
    "generation-queue-backlog": "G43", "telemetry-failure": "N35", "metrics-gone": "N36",
    "inference-saturation": "F30", "inference-bad-replica": "F31",
    "traffic-surge": "F32", "blip": "N33", "busy-but-well": "N34",
    "harder-questions": "N38", "injection": "N39", "blind": "N40",
}  # fmt: skip
SEARCH_PATIENCE_S = 10.0
MARK = ".pagerunner-demo"
"""Tells a folder that a demo made, and may delete, from one that it found."""
CHECKS_IN_A_ROW = 3
ROUTES = {
    "chat-assistant": "chat", "support-bot": "support", "order-agent": "agent", "code-assistant": "code",
    "image-generation": "image", "material-generation": "material",
}  # fmt: skip
"""The gateway route of each service of the example; the others are named like their service."""
EXAMPLE = Path(__file__).resolve().parent.parent.parent / "config" / "example"


@click.command(name="demo")
@click.option("--scenario", default="provider-outage", show_default=True, help=", ".join(SCENARIOS))
@click.option("--seed", default=1, show_default=True, help="Another seed is another incident of the same kind.")
@click.option("--scripted-person", is_flag=True, help="A scripted person clicks Approve in the workspace.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
def command(scenario: str, seed: int, scripted_person: bool, out: Path) -> None:
    """Rehearse the whole way of an incident, from the page to the postmortem."""
    code = SCENARIOS.get(scenario, scenario)
    if code not in SCENARIOS.values():
        fail(f"There is no scenario {scenario!r}; choose one of {', '.join(SCENARIOS)}.", 2)
    play(code, seed, out, scripted=scripted_person)


def play(
    what: str | dict[str, Any], seed: int, out: Path, *, scripted: bool = False, game: "Game | None" = None
) -> None:
    """The demo of a built-in scenario by its id, or of the definition of one from a scenario file."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the parts are stopped then, too
    with ExitStack() as stack:
        Demo(out.resolve(), what, seed, stack).run(scripted=scripted, game=game)


class Demo:
    """Starts the worlds and the product, sends the page, and tells what happens."""

    def __init__(self, out: Path, what: str | dict[str, Any], seed: int, stack: ExitStack) -> None:
        from rich.console import Console  # noqa: PLC0415

        self._out = out
        self._home = own_folder(out)
        self._what = {"scenario": what} if isinstance(what, str) else {"definition": what}
        self._seed = seed
        self._stack = stack
        self._console = Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self._settings: dict[str, str] = {}

    def run(self, *, scripted: bool, game: "Game | None" = None) -> None:
        """The whole demo; ends when the postmortem is written, or with the proposal open. ``game``: it is a game day,
        which waits for people, and is scored."""
        clear(self._home)
        if game is not None and game.runbooks is not None:
            self._settings["PAGERUNNER_RUNBOOKS"] = str(game.runbooks)
        place, start = self._start_worlds(), time.time()
        order = {**self._what, "seed": self._seed, "mode": "real", "start": start}
        born = place.referee("POST", "/worlds", order)
        server = self._start_server(place, born)
        self._wait_for_search()
        self._say(f"[bold]Open {place.slack}[/bold] to see the incident channel as the people on call do.")
        if scripted:
            self._spawn("person", [sys.executable, "-m", "drills", "slack-person", "--url", place.slack, "--as",
                                   _approver(born["service"]), "--click", "Approve", "--wait", "150"])  # fmt: skip
        # No page is sent before the moment that it tells of: all times count from there.
        time.sleep(max(0.0, born["page_at"] - time.time()))
        server.send(born["page"])
        self._say(f"Sent the page: [bold]{born['page']['event']['data']['title']}[/bold]")
        interactive = sys.stdin.isatty() and not scripted
        longest_s = game.longest_s if game is not None else None
        story = Story(server, self._console, self._began, interactive=interactive, longest_s=longest_s)
        patient = interactive or scripted or game is not None
        try:
            ended = story.tell(patient=patient, on_mitigated=lambda: _recover(place, server, born))
        except KeyboardInterrupt:
            if game is None:
                raise
            ended = Ending(why="You ended the drill.")
        self._finish(ended)
        if game is not None:
            self._say("Rehearsing the same incident with an approver who agrees at once ...")
            game.score(place, story.incident(), start, ended.why)

    def _start_worlds(self) -> "Place":
        world, slack = _free_port(8900), _free_port(8901)
        place = Place(world=f"http://127.0.0.1:{world}", slack=f"http://127.0.0.1:{slack}", token=secrets.token_hex(16))
        self._say("Starting a simulated LLM application and a loopback Slack workspace ...")
        python = [sys.executable, "-m", "drills"]
        self._spawn("world", [*python, "world", "--port", str(world), "--referee-token", place.token])
        self._spawn("slack", [*python, "slack", "--port", str(slack), "--bot-token", "xoxb-loopback", "--app-token",
                              "xapp-loopback"])  # fmt: skip
        for port, name in ((world, "world"), (slack, "slack")):
            self._wait_for(port, name)
        return place

    def _start_server(self, place: "Place", born: dict[str, Any]) -> "Server":
        self._say("Starting Pagerunner on SQLite and embedded Chroma, connected to the workspace in Socket Mode ...")
        text = (EXAMPLE / "catalogue.yaml").read_text("utf-8")
        (self._home / "catalogue.yaml").write_text(text.replace("http://127.0.0.1:8900", place.world), "utf-8")
        shutil.copytree(EXAMPLE / "golden", self._home / "golden")
        history = {"baselines": born["baselines"], "changes": born["changes"]}
        (self._home / "history.json").write_text(json.dumps(history), "utf-8")
        secret, port = secrets.token_hex(24), _free_port(8080)
        environment = {
            **without_settings(os.environ), "PAGERUNNER_DATA": str(self._home / "data"), "PAGERUNNER_PORT": str(port),
            "PAGERUNNER_CATALOGUE": str(self._home / "catalogue.yaml"), "PAGERUNNER_EXPORTS": str(self._out),
            "PAGERUNNER_SLACK": "socket", "PAGERUNNER_SLACK_API": f"{place.slack}/api/",
            "PAGERUNNER_SLACK_BOT_TOKEN": "xoxb-loopback", "PAGERUNNER_SLACK_APP_TOKEN": "xapp-loopback",
            "PAGERUNNER_PAGERDUTY_SECRETS": secret, "PAGERUNNER_CANARY_TOKENS_PER_HOUR": "0",
            "ACME_OPENAI_KEY": "sk-simulated-acme", "BETA_ANTHROPIC_KEY": "sk-simulated-beta", **self._settings,
        }  # fmt: skip
        pagerunner = [sys.executable, "-m", "bot"]
        subprocess.run([*pagerunner, "history", "baselines", str(self._home / "history.json")], env=environment,
                       check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        self._spawn("pagerunner", [*pagerunner, "serve"], environment)
        self._wait_for(port, "pagerunner", ready="Pagerunner is ready")
        return Server(f"http://127.0.0.1:{port}", self._home / "data", secret, environment)

    def _spawn(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> None:
        """Start a part; its output goes to a file, and it is stopped when the demo ends."""
        log = self._stack.enter_context((self._home / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command, env=environment or without_settings(os.environ), stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        self._stack.callback(_stop, process)
        self._parts[name] = process

    def _wait_for(self, port: int, name: str, ready: str = "") -> None:
        """Until the part listens (and says that it is ready); shows its output if it ends instead."""
        log = self._home / f"{name}.log"
        for _ in range(600):
            if self._parts[name].poll() is not None:
                fail(f"{name} ended at its start:\n{log.read_text('utf-8', 'replace')[-3000:]}")
            if (not ready or ready in log.read_text("utf-8", "replace")) and _listens(port):
                return
            time.sleep(0.1)
        fail(f"{name} did not start within 60 s; its output is in {log}")

    def _wait_for_search(self) -> None:
        """Give the embedder a few seconds to warm up; without it search is by words alone, and says so."""
        log = self._home / "pagerunner.log"
        while time.monotonic() - self._began < SEARCH_PATIENCE_S:
            if "Search is ready" in log.read_text("utf-8", "replace"):
                return
            time.sleep(0.1)

    def _finish(self, ended: Ending) -> None:
        lasted = time.monotonic() - self._began
        if ended.proposal:
            self._say(
                f"The proposal {ended.proposal} is open and nothing was executed: only a person can approve it.\n"
                "  Run `make demo` in a terminal to decide here or in the browser, "
                "or `make demo APPROVE=yes` to let a scripted person click in the workspace."
            )
        if ended.why:
            self._say(ended.why)
        if ended.files:
            self._say("Postmortem: " + ", ".join(str(self._out / name) for name in ended.files))
        self._say(f"Done in {lasted:.0f} s. Logs of every part: {self._home}")

    def _say(self, text: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._began:5.1f} s[/dim]  {text}")


class Game(Protocol):
    """What makes a game day of a demo."""

    @property
    def runbooks(self) -> Path | None:
        """A folder of runbooks to rehearse beside the built-in ones."""
        ...

    @property
    def longest_s(self) -> float:
        """How long people have."""
        ...

    def score(self, place: "Place", incident: Mapping[str, Any] | None, start: float, why: str) -> None:
        """Tell what it came to. ``incident``: as exported; ``why`` it ended before the postmortem, if it did."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the two worlds listen."""

    world: str
    slack: str
    token: str

    def referee(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask the world's referee; the product cannot."""
        import httpx  # noqa: PLC0415

        headers = {"x-referee-token": self.token}
        reply = httpx.request(method, f"{self.world}/referee{path}", json=body, headers=headers, timeout=60)
        reply.raise_for_status()
        answer: dict[str, Any] = reply.json()
        return answer


def own_folder(out: Path) -> Path:
    """Where a demo may work in ``out``: a folder that is not there yet, or that an earlier demo made."""
    names = ("demo" if number == 1 else f"demo-{number}" for number in itertools.count(1))
    folders = (out / name for name in names)
    return next(one for one in folders if not os.path.lexists(one) or ((one / MARK).is_file() and not one.is_symlink()))


def clear(folder: Path) -> None:
    """Begin anew in a folder of the demo's own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).write_text("Made by pagerunner demo, which deletes this folder when it starts again.\n", "utf-8")


def _recover(place: Place, server: Server, born: dict[str, Any]) -> None:
    """The monitor that paged: when its own check has passed three times in a row, it resolves its incident in the
    pager, as monitors do."""
    import httpx  # noqa: PLC0415

    question = {"messages": [{"role": "user", "content": "Say ok."}], "max_tokens": 16}
    body = {"model": ROUTES.get(born["service"], born["service"]), **question}
    passed = 0
    for _ in range(60):
        reply = httpx.post(f"{place.world}/gateway/v1/chat/completions", json=body, timeout=30)
        passed = passed + 1 if reply.is_success else 0
        if passed == CHECKS_IN_A_ROW:
            break
        time.sleep(0.5)
    event = json.loads(json.dumps(born["page"]["event"]))
    event |= {"id": event["id"] + "R", "event_type": "incident.resolved", "occurred_at": server.now()}
    event["data"]["status"] = "resolved"
    server.send({"event": event})


def _approver(service: str) -> str:
    """A person of the workspace who may approve for this service."""
    return {"text-moderation": "U0CHI", "code-assistant": "U0EVA"}.get(service, "U0ANA")


def _free_port(wanted: int) -> int:
    """The wanted port if nobody has it, any other otherwise."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("no free port")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
