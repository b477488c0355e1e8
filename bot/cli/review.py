"""``pagerunner review``."""

from pathlib import Path

import click

from bot.cli.local import Api, fail, say, settings, with_config, with_json


@click.command(name="review")
@click.argument("reference")
@click.option("--note", required=True, help="What you found; goes on the timeline.")
@with_config
@with_json
def command(reference: str, note: str, config: Path | None, as_json: bool) -> None:
    """Say that you reviewed the break-glass approval of REFERENCE (pr-... or inc-...).

    An ordinary approver does, and never the one who broke the glass; so this command line must be linked.
    """
    api = Api(settings(config))
    if not reference.startswith("pr-"):
        waiting = [one for one in api.get("/debts") if one["incident_id"] == reference]
        if not waiting:
            fail(f"{reference} has no break-glass approval that waits for a review.")
        reference = waiting[0]["proposal_id"]
    say(api.post(f"/proposals/{reference}/review", {"note": note}), as_json=as_json)
