"""``pagerunner incidents``: which there are, or what is known of one."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.local import settings, show, with_config, with_json
from bot.cli.reading import MOST, Reader

if TYPE_CHECKING:
    from bot.domain.card_lines import Line
    from bot.domain.view import IncidentView, ProposalView

HEADS = ("INCIDENT", "STATUS", "SERVICE", "OPENED (UTC)", "PAGES", "TITLE")
TITLE = 70


@click.command(name="incidents")
@click.argument("reference", required=False)
@click.option("--all", "everything", is_flag=True, help="Also those that are resolved or closed.")
@with_config
@with_json
def command(reference: str | None, everything: bool, config: Path | None, as_json: bool) -> None:
    """List active incidents, or show REFERENCE (inc-..., or the pager's reference)."""
    reader = Reader(settings(config))
    if reference is None:
        found = reader.incidents(active_only=not everything)
        show(found) if as_json else click.echo("\n".join(_table(found, everything=everything)))
        return
    view = reader.view(reference)
    if as_json:
        from bot.edges.views_json import view_json  # noqa: PLC0415

        show(view_json(view))
    else:
        click.echo("\n".join(_one(view)))


def _table(found: Sequence[dict[str, Any]], *, everything: bool) -> Iterator[str]:
    from bot.domain.untrusted import line  # noqa: PLC0415

    if not found:
        yield (
            "There is no incident yet." if everything else "No active incident. `pagerunner incidents --all` lists all."
        )
        return
    rows = [
        (str(one["id"]), str(one["status"]), line(str(one["service"]), 30), f"{_at(one['opened_at']):%Y-%m-%d %H:%M}",
         str(one["pages"]), line(str(one["title"]), TITLE))
        for one in found
    ]  # fmt: skip
    wide = [max(len(row[column]) for row in (HEADS, *rows)) for column in range(len(HEADS))]
    for row in (HEADS, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip()
    if len(found) == MOST:
        yield f"Only the newest {MOST} are shown."


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _one(view: "IncidentView") -> Iterator[str]:
    """The card's facts as text, with references, then every proposal."""
    from bot.domain.card import build  # noqa: PLC0415

    card = build(view)
    yield card.headline
    yield from (_line(each) for each in (*card.context, *card.banners))
    for section in card.sections:
        if section.key in ("plan", "terms", "next"):
            continue
        yield ""
        yield section.title
        yield from (_line(each) for each in section.lines)
    yield ""
    yield from _evidence(view)
    yield "Proposals" if view.proposals else "Nothing was proposed."
    for pv in view.proposals:
        yield from _proposal(pv)
    yield ""
    yield from (f"Next: {each.text}" for section in card.sections if section.key == "next" for each in section.lines)


def _evidence(view: "IncidentView") -> Iterator[str]:
    """The newest finding of each probe; the card shows only what decided."""
    from bot.domain.card import newest_findings  # noqa: PLC0415
    from bot.domain.untrusted import line  # noqa: PLC0415

    findings = newest_findings(view)
    if findings:
        yield "Evidence"
        for one in findings:
            yield f"  {one.probe} {line(one.outcome, 40)}: {line(one.reading.summary, 300)}  [{one.id}]"
        yield ""


def _line(each: "Line") -> str:
    head = " ".join(part for part in (each.mark, each.label) if part)
    refs = f"  [{', '.join(each.refs)}]" if each.refs else ""
    return f"  {head}{': ' if head else ''}{each.text}{refs}"


def _proposal(pv: "ProposalView") -> Iterator[str]:
    from bot.domain import plan_card, wording  # noqa: PLC0415
    from bot.domain.untrusted import line  # noqa: PLC0415

    plan = pv.proposal.plan
    yield f"  {pv.proposal.id}  {plan_card.title(plan)} on {line(plan.target)}  {plan.risk}  {_state(pv)}"
    for what, before, after in plan.diff:
        yield f"      {line(what)}: {line(before)} → {line(after)}"
    for vote in pv.votes:
        yield f"      {vote.decision} by {line(vote.name, 60)} at {wording.moment(vote.at)}"


def _state(pv: "ProposalView") -> str:
    from bot.domain import wording  # noqa: PLC0415

    state = pv.proposal.state.value
    if pv.apply is not None and pv.apply.verdict:
        state += f", {wording.EFFECT_VERDICTS.get(pv.apply.verdict, 'verified')}"
    return f"{state}, undone" if pv.revert is not None and pv.revert.state.value == "done" else state
