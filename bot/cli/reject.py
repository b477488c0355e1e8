"""``pagerunner reject``."""

import click

from bot.cli.approve import vote


@click.command(name="reject")
@click.argument("reference")
@click.option("--reason", default="", help="Why; goes on the timeline.")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(reference: str, reason: str, yes: bool, as_json: bool) -> None:
    """Reject the proposal REFERENCE (pr-...), or the open one of an incident (inc-...)."""
    vote(reference, "reject", reason, yes=yes, as_json=as_json)
