"""``make bench``: measures, and prints each figure beside what it must reach. A missed figure is said, not an error."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from bot.bench.figures import Figure, Report
from bot.bench.machine import facts, references
from bot.bench.stage import StageError

NAMES = ("help", "start", "memory", "search", "growth", "card", "storm", "cause", "kill", "export")


@click.command()
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="Measure this alone; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--write", type=click.Path(path_type=Path, dir_okay=False), help="Write the table to this file as well.")
def main(only: Sequence[str], as_json: bool, write: Path | None) -> None:
    """Measure intake, latency, memory and search on this machine. Takes about ten minutes; nothing leaves it."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    about = [*facts(), ("References before", references())]
    figures: list[Figure] = []
    failed = False
    for name in only or NAMES:
        click.echo(f"measuring: {name} ...", err=True)
        try:
            figures += _bench(name)()
        except (StageError, TimeoutError) as error:
            failed = True
            click.echo(f"{name} could not be measured: {error}", err=True)
    report = Report(about=[*about, ("References after", references())], figures=figures)
    click.echo(json.dumps(report.as_json(), indent=2) if as_json else report.text())
    if write is not None:
        write.parent.mkdir(parents=True, exist_ok=True)
        write.write_text(report.markdown(), "utf-8")
    sys.exit(1 if failed else 0)


def _bench(name: str) -> Callable[[], list[Figure]]:
    """Imported one by one: what a bench loads must not weigh on the next."""
    from bot.bench import exports, incident, process, storm  # noqa: PLC0415

    if name == "search":
        from bot.bench import search  # noqa: PLC0415 - it loads the model into this process

        return search.figures
    if name == "growth":
        from bot.bench import growth  # noqa: PLC0415 - it loads the whole library

        return growth.figures
    return {
        "help": process.helps, "start": process.starts, "memory": process.memory, "card": incident.figures,
        "storm": storm.in_full, "cause": storm.of_one_cause, "kill": storm.with_a_kill, "export": exports.figures,
    }[name]  # fmt: skip


if __name__ == "__main__":
    main()
