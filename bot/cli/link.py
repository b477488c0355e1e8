"""``pagerunner link``: from now on this command line acts as a person in Slack."""

import hashlib
import secrets
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bot.cli import linked
from bot.cli.local import Api, fail, person, settings, show, with_config, with_json
from config.settings import Settings

LOOK_EVERY_S = 1.0


@click.command(name="link")
@click.option("--list", "listing", is_flag=True, help="Which command lines act as whom.")
@with_config
@with_json
def command(listing: bool, config: Path | None, as_json: bool) -> None:
    """Let this command line act as you in Slack: it prints a code, and you type it there.

    Its votes are then yours, with every check that a click has. The proof stays in your own configuration folder.
    """
    chosen = settings(config)
    if listing:
        _list(Api(chosen, as_linked=False).get("/links"), as_json=as_json)
        return
    api = Api(chosen, as_linked=False)
    _refuse_second(api, chosen)
    secret = secrets.token_urlsafe(32)
    label = f"{person()} on {socket.gethostname()[:60]}"
    made = api.post("/links", {"secret_sha256": hashlib.sha256(secret.encode()).hexdigest(), "label": label})
    link = linked.Stored(id=made["link"], secret=secret, active=False)
    linked.write(chosen.data, link)
    until = datetime.fromisoformat(made["expires_at"])
    click.echo(
        f"In Slack, type:\n\n  /oncall link {made['code']}\n\nIt works once, until {until:%H:%M} UTC. Waiting ..."
    )
    own = Api(chosen, as_linked=False)
    own.show(link)
    taken = _wait(own, until)
    if taken is None:
        linked.remove(chosen.data)
        fail("Nobody typed the code in time. Nothing is linked.")
    who = f"{taken['name']} ({taken['principal'].removeprefix('slack:')})"
    if not click.confirm(f"It was typed by {who}. Is that you?"):
        api.post(f"/links/{link.id}/end", {})
        linked.remove(chosen.data)
        fail("Nothing is linked. Whoever typed it had your code: make a new one where nobody looks on.")
    told = own.post("/links/self/confirm", {})
    linked.write(chosen.data, linked.Stored(id=link.id, secret=secret, active=True))
    show(told) if as_json else click.echo(f"{told['text']} `pagerunner unlink` takes it back.")


def _refuse_second(api: Api, chosen: Settings) -> None:
    """One link at a time; what does not hold any more is forgotten."""
    known = linked.read(chosen.data)
    if known is None:
        return
    there = {one["id"]: one for one in api.get("/links")}
    if known.active and known.id in there:
        fail(f"This command line acts as {there[known.id]['name']} already; `pagerunner unlink` first.")
    if known.id in there:  # A code that nobody waits for any more.
        api.post(f"/links/{known.id}/end", {})
    linked.remove(chosen.data)


def _wait(own: Api, until: datetime) -> Any:
    """Who typed the code; None if nobody did in time."""
    while datetime.now(UTC) < until:
        found = own.get("/links/self")
        if found["principal"]:
            return found
        time.sleep(LOOK_EVERY_S)
    return None


def _list(links: Any, *, as_json: bool) -> None:
    from bot.domain.untrusted import line  # noqa: PLC0415 - help must not wait for it

    if as_json:
        show(links)
        return
    for one in links:
        acts = f"acts as {line(one['name'], 60)} ({line(one['principal'], 60)})" if one["active"] else "waits"
        used = f", used {one['used_at'][:16]}" if one["used_at"] else ""
        click.echo(f"{one['id']}  {line(one['label'], 80)}: {acts}, since {one['made_at'][:16]}{used}")
    if not links:
        click.echo("No command line is linked to anybody.")
