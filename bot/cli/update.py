"""``pagerunner update``."""

import sys
from pathlib import Path

import click

from bot.cli.local import Api, say, settings, show, with_config, with_json


@click.command(name="update")
@click.argument("incident")
@click.option("--send", "text", metavar="TEXT", help="Send stakeholders exactly this text; - reads it from input.")
@with_config
@with_json
def command(incident: str, text: str | None, config: Path | None, as_json: bool) -> None:
    """Show a draft of an update for the stakeholders of INCIDENT, or send one.

    The draft is made from facts alone and sent by nobody. It is yours to edit: pipe it into a file, and send that with
    --send - < FILE. What was sent goes to PagerDuty and to the team's channel for updates, and on the timeline.
    """
    api = Api(settings(config))
    if text is not None:
        whole = sys.stdin.read() if text == "-" else text
        say(api.post(f"/incidents/{incident}/update", {"text": whole.strip()}), as_json=as_json)
        return
    draft = api.get(f"/incidents/{incident}/update")
    if as_json:
        show(draft)
        return
    click.echo(draft["text"])
    click.echo(f"\nFrom {', '.join(draft['references']) or 'nothing measured'}. "
               f"It would go to {' and to '.join(draft['to'])}. {draft['lacks']}".rstrip(), err=True)  # fmt: skip
