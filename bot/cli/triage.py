"""``pagerunner triage PAGE.json``: what a page on file would find, probe and propose. Stores and posts nothing."""

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.installed import CONFIG, Installed
from bot.cli.local import WRONG, fail, show
from bot.cli.runbook_search import print_matches
from config.catalogue import Catalogue, Service

if TYPE_CHECKING:
    from bot.cli.dry_run import DryRun, Measured
    from bot.domain.page import Page
    from bot.edges.redact import Redactor
    from knowledge.model import Retrieval
    from knowledge.retrieval import HybridLibrarian

MAX_BYTES = 262_144


@click.command(name="triage")
@click.argument("page", type=click.Path(path_type=Path, allow_dash=True))
@CONFIG
@click.option("--service", default="", help="Name of the service, instead of the one that the page's service id names.")
@click.option("--probe", is_flag=True, help="Really run the free probes against the configured targets.")
@click.option("--words-only", is_flag=True, help="Search by words alone: at once, without the embedding model.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(page: Path, config: Path | None, service: str, probe: bool, words_only: bool, as_json: bool) -> None:
    """Show what PAGE (a PagerDuty V3 event as a JSON file, - for standard input) would find, probe and propose.

    Nothing is stored, posted or changed. With --probe the free probes really look at the targets, and what would be
    proposed is drafted against them; without it nothing leaves this machine.
    """
    from bot.cli.dry_run import DryRun  # noqa: PLC0415

    where = Installed(config, needs_catalogue=True)
    assert where.catalogue is not None
    redact = redactor(where)
    read = _page(page, redact)
    shelf = where.shelf()
    run = DryRun(page=read, service=_service(where.catalogue, read, service), catalogue=where.catalogue,
                 library=shelf, actions=where.registry())  # fmt: skip
    if probe and run.service is None:
        fail(
            f"The page's service ({read.service_ref or 'none'}) is not in the catalogue: name one with --service.",
            WRONG,
        )
    with where.librarian(shelf, words_only=words_only) as librarian:
        retrieval = librarian.search(run.query())
        measured = asyncio.run(_measure(run, retrieval, librarian, where, redact)) if probe else None
    if as_json:
        show(_plain(run, retrieval, measured))
    else:
        _print(run, retrieval, measured)


def _page(path: Path, redact: "Redactor") -> "Page":
    """The page in this file, or an end that says why there is none."""
    from bot.edges import pagerduty_in  # noqa: PLC0415

    try:
        raw = sys.stdin.buffer.read(MAX_BYTES + 1) if str(path) == "-" else _bytes(path)
    except OSError as error:
        fail(f"{path}: cannot be read: {error.strerror or error}", WRONG)
    if len(raw) > MAX_BYTES:
        fail(f"{path}: larger than {MAX_BYTES:,} bytes; PagerDuty sends no such event", WRONG)
    page = pagerduty_in.parse(raw, datetime.now(UTC), redact=redact)
    if isinstance(page, pagerduty_in.Quarantined):
        fail(f'{path}: not a PagerDuty V3 event ({page.reason}); it begins with {{"event": {{"id": ...', WRONG)
    if not page.title:
        fail(f"{path}: an event of kind {page.kind} without an incident's title: nothing would be investigated.", 1)
    return page


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _service(catalogue: Catalogue, page: "Page", wanted: str) -> Service | None:
    if not wanted:
        return catalogue.service_of_pagerduty(page.service_ref)
    known = catalogue.service(wanted)
    if known is None:
        names = ", ".join(one.name for one in catalogue.services)
        fail(f"There is no service {wanted!r} in the catalogue; there are {names}.", WRONG)
    return known


def redactor(where: Installed) -> "Redactor":
    """Secrets out of what is shown, with tags of this run alone: nothing is stored."""
    from bot.edges.redact import Redactor  # noqa: PLC0415

    values = {f"configured-{number}": value for number, value in enumerate(where.settings.secrets())}
    return Redactor({**values, **credentials(where.catalogue)}, secrets.token_bytes(32))


def credentials(catalogue: Catalogue | None) -> dict[str, str]:
    """The credentials that targets name, by the name of their environment variable."""
    names = {target.auth_env for target in catalogue.targets if target.auth_env} if catalogue else set()
    return {name: os.environ[name] for name in names if os.environ.get(name)}


async def _measure(
    run: "DryRun", retrieval: "Retrieval", librarian: "HybridLibrarian", where: Installed, redact: "Redactor"
) -> "Measured":
    from bot.cli.dry_run import measure  # noqa: PLC0415
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.edges.database import Database  # noqa: PLC0415
    from bot.edges.http import ReadingHttp, SafeHttp  # noqa: PLC0415

    path = where.settings.data / "pagerunner.sqlite"
    database = Database(path, read_only=True) if path.exists() else None
    async with SafeHttp(run.catalogue, credentials(run.catalogue)) as http:
        golden = str(where.settings.catalogue.parent)
        return await measure(run, retrieval, librarian, ReadingHttp(http), SystemClock(), database, golden, redact)


def _plain(run: "DryRun", retrieval: "Retrieval", measured: "Measured | None") -> dict[str, Any]:
    page, service = run.page, run.service
    return {
        "page": {"title": page.title, "body": page.body, "kind": page.kind, "event_id": page.event_id,
                 "incident_ref": page.incident_ref, "service_ref": page.service_ref, "stale": page.stale},
        "service": service.name if service else "", "mode": service.mode if service else "",
        "retrieval": asdict(retrieval), "asked": run.asked(retrieval), "steps": run.steps(_causes(retrieval)),
        "measured": measured.plain() if measured else None,
    }  # fmt: skip


def _causes(retrieval: "Retrieval") -> list[str]:
    from bot.cli.dry_run import TOP  # noqa: PLC0415

    return [match.document for match in retrieval.matches[:TOP]]


def _print(run: "DryRun", retrieval: "Retrieval", measured: "Measured | None") -> None:
    service = run.service
    click.echo(f"Page: {run.page.title}")
    if service is None:
        click.echo(f"Service: {run.page.service_ref or 'none'} is not in the catalogue: a person is told in "
                   f"{run.catalogue.fallback_channel}, and there is nothing that could be probed")  # fmt: skip
    else:
        team = run.catalogue.team(service.team)
        click.echo(f"Service: {service.name}, team {service.team}, channel {team.slack_channel if team else '-'}, "
                   f"mode {service.mode}")  # fmt: skip
        own = run.catalogue.incident_channel(service)
        if own is not None:
            click.echo(f"A server would open a channel for it: {own.name}")
    if run.page.stale:
        click.echo("It is older than 72 hours: a server would show it to a person and not investigate.")
    click.echo("\nRunbooks that fit:")
    print_matches(retrieval)
    _print_probes(run.asked(retrieval))
    _print_steps(run.steps(_causes(retrieval)))
    if measured is not None:
        _print_measured(measured)


def _print_probes(tiers: Sequence[Mapping[str, Any]]) -> None:
    click.echo("\nProbes, in order:")
    for tier in tiers:
        click.echo(f"  {tier['tier']}, {tier['when']}")
        for probe in tier["probes"]:
            notes = [f"{name}: {value}" for name, value in probe["params"].items()]
            notes += [f"about {probe['tokens']:,} tokens"] if probe["tokens"] else []
            notes += [f"not run: {probe['not_run']}"] if probe["not_run"] else []
            click.echo(f"    {probe['probe']}" + (f"  ({', '.join(notes)})" if notes else ""))


def _print_steps(steps: Sequence[Mapping[str, Any]]) -> None:
    click.echo("\nSteps of these runbooks, each only if the probes point to its cause:")
    for step in steps:
        click.echo(f"  {step['reference']}: {step['title']}")
        told = ", ".join(f"{name}={value}" for name, value in step["params"].items())
        click.echo(f"    {step['action']} {told}  risk {step['risk']}")
        if step["not_proposed"]:
            click.echo(f"    not proposed: {step['not_proposed']}")
        else:
            click.echo(f"    approvals: {step['approvals']}; verified by: {step['verify'] or 'nothing'}")


def _print_measured(measured: "Measured") -> None:
    from bot.domain import wording  # noqa: PLC0415

    marks = {"normal": "ok", "abnormal": "!!"}
    click.echo("\nFindings of the free probes:")
    for found in measured.findings:
        mark = marks.get(found.verdict.value, "??")
        click.echo(f"  {mark} {found.probe}: {found.outcome}, {found.reading.summary}")
    diagnosis = measured.diagnosis
    ranked = ", ".join(f"{one.mode} {wording.percent(one.probability)}" for one in diagnosis.ranked[:4])
    click.echo(f"\nSo far: {diagnosis.conclusion}. {ranked}  ({diagnosis.reason})")
    for draft in measured.drafts:
        click.echo(f"  {draft['reference']}: {draft['action']} on {draft['target'] or '-'}")
        for what, before, after in draft["diff"]:
            click.echo(f"    {what}: {before} -> {after}")
        if draft["refusal"]:
            click.echo(f"    not proposed: {draft['refusal']}")
