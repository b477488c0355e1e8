"""``python -m drills world``: the simulated application. ``python -m drills slack``: the loopback Slack workspace, and
``slack-person``: somebody who clicks a button there. ``check`` reads a scenario file, ``injectors`` lists its faults.
"""

import argparse
import secrets
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of them until it is over or stopped."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] in (["slack"], ["slack-person"]):
        from drills.slack.__main__ import run, run_person  # noqa: PLC0415 - each subcommand loads its own libraries

        return run(given[1:]) if given[0] == "slack" else run_person(given[1:])
    if given[:1] in (["check"], ["injectors"]):
        from drills.files import check, injectors  # noqa: PLC0415

        return check(given[1:]) if given[0] == "check" else injectors(given[1:])
    return _world(given)


def _world(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m drills", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    world = commands.add_parser("world", help="a simulated LLM application over HTTP")
    world.add_argument("--host", default="127.0.0.1")
    world.add_argument("--port", type=int, default=8900, help="0: any free port, printed at the start")
    world.add_argument("--referee-token", default="", help="for /referee; made up and printed if not given")
    commands.add_parser("slack", help="a loopback Slack workspace (own options: python -m drills slack --help)")
    commands.add_parser("slack-person", help="a scripted person in that workspace (own options likewise)")
    options = parser.parse_args(given)

    from drills.serve import serve  # noqa: PLC0415 - each subcommand loads its own libraries

    token = options.referee_token or secrets.token_urlsafe(24)
    return serve(options.host, options.port, token, tell_token=not options.referee_token)


if __name__ == "__main__":
    sys.exit(main())
