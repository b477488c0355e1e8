"""``pagerunner approve``: a local person votes on exactly the plan that is shown."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.local import Api, fail, settings, show, with_config, with_json

if TYPE_CHECKING:
    from bot.domain.view import ProposalView


def pick(api: Api, reference: str) -> "ProposalView":
    """The proposal of this id, or the open one of this incident."""
    from bot.domain import codec  # noqa: PLC0415
    from bot.domain.view import ProposalView  # noqa: PLC0415

    if reference.startswith("pr-"):
        return codec.load(ProposalView, api.get(f"/proposals/{reference}"))
    views = api.get(f"/incidents/{reference}/proposals")
    waiting = [view for view in views if view["proposal"]["state"] == "open"]
    if not waiting:
        fail(f"{reference} has no open proposal.")
    return codec.load(ProposalView, waiting[-1])


def described(pv: "ProposalView") -> Iterator[str]:
    """The plan as a person reads it before deciding: the card's facts, fit for a terminal."""
    from bot.domain import deciding, plan_card, wording  # noqa: PLC0415
    from bot.domain.untrusted import line  # noqa: PLC0415

    proposal, plan = pv.proposal, pv.proposal.plan
    yield f"{proposal.id}  {plan_card.title(plan)} ({wording.RISKS[plan.risk]})"
    if proposal.rationale:
        yield f"  Why: {line(proposal.rationale, plan_card.SENTENCE)}"
    for each in plan_card.plan_facts(plan):
        first, *rest = each.shown.text.split("\n")
        yield f"  {each.label}: {first}"
        yield from (f"    {more}" for more in rest)
    yield f"  Plan: {plan_card.code(proposal.plan_hash)}, {deciding.approvals(pv)}"
    if proposal.proposed_by != "pagerunner":
        yield f"  Edited by: {line(proposal.proposed_by, 60)}"
    yield f"  From: {line(plan.runbook)}"
    problem = plan_card.why_uninspectable(plan)
    if problem:
        yield f"  CANNOT BE APPROVED: the plan cannot be shown in full: {line(problem)}"


def vote(
    api: Api, reference: str, decision: str, reason: str, *, yes: bool, as_json: bool, alone: bool = False
) -> None:  # fmt: skip
    """Show the plan, ask, and vote on its whole hash."""
    pv = pick(api, reference)
    if not as_json:
        click.echo("\n".join(described(pv)))
    asked = f"{decision.capitalize()} exactly this{', alone' if alone else ''}?"
    if not yes and not click.confirm(asked):
        fail("Nothing was done.")
    body = {"plan_hash": pv.proposal.plan_hash, "decision": decision, "reason": reason, "break_glass": alone}
    answer = api.post(f"/proposals/{pv.proposal.id}/votes", body)
    if as_json:
        show(answer)
    else:
        click.echo(answer.get("text") or answer["result"])
    if answer["result"] not in ("approved", "recorded", "rejected", "repeated"):
        raise SystemExit(1)


@click.command(name="approve")
@click.argument("reference")
@click.option("--yes", is_flag=True, help="Do not ask again: you have read the plan.")
@click.option("--break-glass", is_flag=True, help="Approve alone, where the policy lets you; somebody reviews it.")
@click.option("--reason", default="", help="Why; goes on the timeline. Break-glass needs one.")
@with_config
@with_json
def command(reference: str, yes: bool, break_glass: bool, reason: str, config: Path | None, as_json: bool) -> None:
    """Approve the proposal REFERENCE (pr-...), or the open one of an incident (inc-...)."""
    vote(Api(settings(config)), reference, "approve", reason, yes=yes, as_json=as_json, alone=break_glass)
