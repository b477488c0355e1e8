"""``pagerunner unlink``."""

from pathlib import Path

import click

from bot.cli import linked
from bot.cli.local import Api, fail, say, settings, with_config, with_json


@click.command(name="unlink")
@click.argument("link_id", required=False)
@with_config
@with_json
def command(link_id: str | None, config: Path | None, as_json: bool) -> None:
    """This command line, or the one of LINK_ID (ln-...), acts as nobody in Slack any more."""
    chosen = settings(config)
    own = linked.read(chosen.data)
    wanted = link_id or (own.id if own else "")
    if not wanted:
        fail("This command line is not linked to anybody.")
    api = Api(chosen, as_linked=False)
    known = {one["id"] for one in api.get("/links")}
    if own is not None and own.id == wanted:
        linked.remove(chosen.data)
        if wanted not in known:
            say({"ok": True, "text": "The link had ended already; it is forgotten here, too."}, as_json=as_json)
            return
    say(api.post(f"/links/{wanted}/end", {}), as_json=as_json)
