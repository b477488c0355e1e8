"""``pagerunner runbooks search``: which runbooks a page would find, with scores and reasons."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.installed import CONFIG, Installed
from bot.cli.local import WRONG, fail, show

if TYPE_CHECKING:
    from knowledge.model import Retrieval


@click.command(name="search")
@click.argument("text")
@CONFIG
@click.option("--service", default="", help="Name of the service that the page is about.")
@click.option("--limit", default=5, show_default=True, type=click.IntRange(1, 50), help="How many to show.")
@click.option("--words-only", is_flag=True, help="Search by words alone: at once, without the embedding model.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(text: str, config: Path | None, service: str, limit: int, words_only: bool, as_json: bool) -> None:
    """Show which runbooks fit the page TEXT (its first line is taken as the title), with scores and reasons."""
    from knowledge.model import Query  # noqa: PLC0415

    where = Installed(config)
    known = where.catalogue.service(service) if where.catalogue else None
    if service and known is None:
        fail(f"There is no service {service!r} in the catalogue.", WRONG)
    title, _, body = text.strip().partition("\n")
    query = Query(title=title, body=body, service=service, service_kind=known.kind if known else "",
                  service_tags=known.tags if known else ())  # fmt: skip
    with where.librarian(where.shelf(), words_only=words_only) as librarian:
        retrieval = librarian.search(query, limit=limit)
    if as_json:
        show(asdict(retrieval))
    else:
        print_matches(retrieval)


def print_matches(retrieval: "Retrieval") -> None:
    """The matches as a person reads them."""
    from bot.domain import wording  # noqa: PLC0415

    if retrieval.notice:
        click.echo(retrieval.notice, err=True)
    for match in retrieval.matches:
        click.echo(f"{match.score:6.3f}  {match.document}  {match.title}  (belief {wording.percent(match.prior)})")
        for reason in match.reasons:
            click.echo(f"          {reason.contribution:+.3f}  {reason.source}: {reason.text}")
    if not retrieval.matches:
        click.echo("Nothing fits.")
