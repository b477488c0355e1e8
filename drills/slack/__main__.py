"""``python -m drills slack`` runs the workspace; ``slack-person`` lets a scripted person click a button in it."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from drills.slack import person, seed
from drills.slack.delivery import RETRY_DELAYS
from drills.slack.server import LoopbackSlack, Options


def run(argv: Sequence[str]) -> int:
    """Serve until interrupted. Exit codes: 0 stopped, 2 wrong arguments or seed, 3 port taken."""
    defaults = Options()
    parser = argparse.ArgumentParser(prog="drills slack", description="A Slack workspace on loopback.")
    parser.add_argument("--host", default=defaults.host)
    parser.add_argument("--port", type=int, default=defaults.port, help="0 takes a free one")
    parser.add_argument("--bot-token", default=defaults.bot_token)
    parser.add_argument("--app-token", default=defaults.app_token)
    parser.add_argument("--signing-secret", default=defaults.signing_secret)
    parser.add_argument("--events-url", default="", help="the app's request URL: HTTP mode instead of Socket Mode")
    parser.add_argument("--seed", type=Path, help="people and channels, as YAML or JSON")
    parser.add_argument("--retry-delays", default=",".join(map(str, RETRY_DELAYS)), help="seconds, comma-separated")
    parser.add_argument("--no-rate-limits", action="store_true")
    parser.add_argument("--allow-host", action="append", default=[], help="a further name the page may be opened by")
    given = parser.parse_args(argv)
    try:
        delays = tuple(float(delay) for delay in given.retry_delays.split(",") if delay)
        born = seed.load(given.seed)
    except (ValueError, seed.SeedError) as error:
        print(f"drills slack: {error}", file=sys.stderr)
        return 2
    options = Options(
        host=given.host, port=given.port, bot_token=given.bot_token, app_token=given.app_token,
        signing_secret=given.signing_secret, events_url=given.events_url, rate_limits=not given.no_rate_limits,
        retry_delays=delays, allowed_hosts=(*defaults.allowed_hosts, *given.allow_host),
    )  # fmt: skip
    try:
        asyncio.run(_serve(LoopbackSlack(born, options)))
    except OSError as error:
        print(f"drills slack: {given.host}:{given.port}: {error.strerror}; choose another --port", file=sys.stderr)
        return 3
    return 0


def run_person(argv: Sequence[str]) -> int:
    """Wait for a button and click it. Exit codes: 0 clicked, 1 could not, 2 wrong arguments."""
    parser = argparse.ArgumentParser(prog="drills slack-person", description="A scripted person in the workspace.")
    parser.add_argument("--url", default="http://127.0.0.1:8901")
    parser.add_argument("--as", dest="user", required=True, metavar="USER", help="who clicks, for example U0ANA")
    parser.add_argument("--click", default="Approve", help="the text of the button")
    parser.add_argument("--wait", type=float, default=120.0, help="seconds to wait for it")
    given = parser.parse_args(argv)
    try:
        button = asyncio.run(person.click(given.url.rstrip("/"), given.user, given.click, given.wait))
    except person.PersonError as error:
        print(f"slack-person: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    where = f"#{button.channel_name}" if button.channel_name else "a direct message"
    print(f"{given.user} clicked {given.click!r} in {where} on: {button.card}")
    return 0


async def _serve(slack: LoopbackSlack) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with slack:
        mode = f"HTTP events to {slack.options.events_url}" if slack.options.events_url else "Socket Mode"
        print(f"Slack workspace at {slack.url}  (Web API {slack.url}/api/, {mode})", flush=True)
        await stop.wait()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
