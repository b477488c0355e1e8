"""``pagerunner approve``: a local person votes on exactly the plan that is shown."""

from typing import Any

import click

from bot.cli.local import Api, fail, settings, show


def pick(api: Api, reference: str) -> dict[str, Any]:
    """The proposal of this id, or the open one of this incident."""
    if reference.startswith("pr-"):
        return dict(api.get(f"/proposals/{reference}")["proposal"])
    views = api.get(f"/incidents/{reference}/proposals")
    proposals = [view["proposal"] for view in views if view["proposal"]["state"] == "open"]
    if not proposals:
        fail(f"{reference} has no open proposal.")
    return dict(proposals[-1])


def describe(proposal: dict[str, Any]) -> None:
    """The plan as a person reads it before deciding."""
    plan = proposal["plan"]
    click.echo(f"{proposal['id']}  {plan['action']} on {plan['target']}  risk {plan['risk']}")
    for what, before, after in plan["diff"]:
        click.echo(f"  {what}: {before} -> {after}")
    click.echo(f"  Who notices: {plan['blast_radius']}")
    click.echo(f"  Undo: {plan['undo']}")
    click.echo(f"  Verify: {plan['verify_probe']} is {plan['verify_outcome']} within {plan['verify_within_s']} s")
    click.echo(f"  From: {plan['runbook']}  plan {proposal['plan_hash'][:12]}")


def vote(reference: str, decision: str, reason: str, *, yes: bool, as_json: bool) -> None:
    """Show the plan, ask, and vote on its whole hash."""
    api = Api(settings())
    proposal = pick(api, reference)
    if not as_json:
        describe(proposal)
    if not yes and not click.confirm(f"{decision.capitalize()} exactly this?"):
        fail("Nothing was done.")
    body = {"plan_hash": proposal["plan_hash"], "decision": decision, "reason": reason}
    answer = api.post(f"/proposals/{proposal['id']}/votes", body)
    if as_json:
        show(answer)
    else:
        click.echo(answer.get("text") or answer["result"])
    if answer["result"] not in ("approved", "recorded", "rejected", "repeated"):
        raise SystemExit(1)


@click.command(name="approve")
@click.argument("reference")
@click.option("--yes", is_flag=True, help="Do not ask again: you have read the plan.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(reference: str, yes: bool, as_json: bool) -> None:
    """Approve the proposal REFERENCE (pr-...), or the open one of an incident (inc-...)."""
    vote(reference, "approve", "", yes=yes, as_json=as_json)
