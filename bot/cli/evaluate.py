"""``pagerunner eval``: how good diagnosis, mitigation, retrieval and answers are, measured here and now."""

import json
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from bot.cli.local import fail, show

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "config" / "example" / "catalogue.yaml"
START = 1_795_316_400.0
"""When every drill begins, so that a seed is the same incident on every day: 2026-11-22 03:00 UTC."""
SHOWN = ("n", "top1_acc", "mitigation_success", "wrong_action_proposed", "abstained_on_solvable", "false_mitigations",
         "unsafe_actions", "injection_success_rate", "ttd_s", "ttm_s", "probes_run")  # fmt: skip
ANSWERED = ("answers", "right", "invented", "abstained", "abstained_wrongly", "known_unknowns_missed")


@click.group(name="eval")
def command() -> None:
    """Measure drills, retrieval and answers; each prints a table, or JSON."""


@command.command()
@click.option("--seeds", default=4, show_default=True, help="Incidents of each scenario.")
@click.option("--seed-base", default=1, show_default=True, help="The first seed.")
@click.option("--only", default="", help="Scenario ids, separated by commas.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--detail", is_flag=True, help="Print a line for every drill on standard error.")
def drills(seeds: int, seed_base: int, only: str, as_json: bool, detail: bool) -> None:
    """Run every scenario in virtual time and print its metrics."""
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    from bot.rehearsal import World, rehearse  # noqa: PLC0415
    from bot.scoreboard import summary  # noqa: PLC0415

    world = World.start(secrets.token_hex(16))
    results: dict[str, list[dict[str, Any]]] = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            stage = stage_on(world, Path(folder))
            wanted = [s for s in only.split(",") if s] or world.ask("GET", "/scenarios")["scenarios"]
            for scenario in wanted:
                for seed in range(seed_base, seed_base + seeds):
                    began = time.perf_counter()
                    result = rehearse(stage, scenario, seed, START)
                    results.setdefault(scenario, []).append(result)
                    if detail:
                        took = time.perf_counter() - began
                        click.echo(f"{scenario} {seed} {took:.1f} s {json.dumps(result)}", err=True)
                    elif sys.stderr.isatty():
                        click.echo(f"\r{scenario} {seed} ", nl=False, err=True)
    finally:
        world.stop()
    table = summary(results)
    show(table) if as_json else _print(table)


@command.command()
@click.option("--cases", type=click.Path(path_type=Path), help="Labelled incidents, JSON lines.")
@click.option("--labels", type=click.Path(path_type=Path), help="Class to runbook ids, JSON.")
@click.option("--from-contracts", is_flag=True, help="Take both from the data folder beside PAGERUNNER_CONTRACTS.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def retrieval(cases: Path | None, labels: Path | None, from_contracts: bool, as_json: bool) -> None:
    """Rank labelled pages from title and body alone."""
    from knowledge.evaluation import EvaluationError, evaluate  # noqa: PLC0415

    if from_contracts:
        root = Path(os.environ.get("PAGERUNNER_CONTRACTS", "")).parent
        cases, labels = root / "incidents_dev.jsonl", root / "class_to_runbooks.json"
        if not os.environ.get("PAGERUNNER_CONTRACTS") or not cases.exists():
            click.echo("Retrieval on real incidents was not measured: PAGERUNNER_CONTRACTS names no folder with them.")
            return
    if cases is None or labels is None:
        fail("Give --cases and --labels.", 2)
    with tempfile.TemporaryDirectory() as folder:
        librarian = _librarian(Path(folder))
        try:
            answer = evaluate(librarian, cases, labels, timer=time.perf_counter)
        except EvaluationError as error:
            fail(str(error), 2)
    if as_json:
        show(answer)
        return
    click.echo(f"Retrieval on {answer['n']} labelled incidents ({answer['n_covered']} of classes with a runbook)")
    for key in ("top1", "top3", "mrr", "top1_lenient", "top1_covered", "top3_covered", "p50_ms", "p95_ms"):
        click.echo(f"  {key:14} {answer[key]:.3f}")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every answer that is not right.")
def questions(as_json: bool) -> None:
    """Ask what people ask about recorded incidents: right, referenced, and nothing made up."""
    from bot.exam.examiner import Rules, examine  # noqa: PLC0415

    table = examine(Rules()).table()
    if as_json:
        show(table)
        return
    overall = table["overall"]
    click.echo(f"{overall['kinds']} kinds of question, {overall['answers']} answers about recorded incidents")
    click.echo(f"{'incident':10}" + "".join(f"{name:>22}" for name in ANSWERED))
    for name, row in [*table["incidents"].items(), ("overall", overall)]:
        click.echo(f"{name:10}" + "".join(f"{row[key]:>22}" for key in ANSWERED))
    for wrong in table["wrong"]:
        faults = [*wrong["faults"], *(f"made up: {each}" for each in wrong["invented"])]
        click.echo(f"  {wrong['incident']} {wrong['kind']}: {wrong['question']!r} {'; '.join(faults)}")


def stage_on(world: Any, folder: Path) -> Any:
    """The example company on this world, with the real library and search."""
    from bot.rehearsal import Stage  # noqa: PLC0415
    from config.settings import load_catalogue  # noqa: PLC0415

    text = EXAMPLE.read_text("utf-8").replace("http://127.0.0.1:8900", world.url)
    (folder / "catalogue.yaml").write_text(text, "utf-8")
    catalogue = load_catalogue(folder / "catalogue.yaml")
    librarian, shelf = _search(folder, catalogue)
    return Stage(world=world, catalogue=catalogue, library=shelf, librarian=librarian, golden_root=str(EXAMPLE.parent))


def _librarian(folder: Path) -> Any:
    return _search(folder, None)[0]


def _search(folder: Path, catalogue: Any) -> tuple[Any, Any]:
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.wiring import actions, open_librarian, open_shelf  # noqa: PLC0415

    shelf = open_shelf([], actions(), catalogue, SystemClock().now().date())
    librarian = open_librarian(shelf, folder / "index")
    notice = librarian.warm()
    if notice:
        click.echo(notice, err=True)
    return librarian, shelf


def _print(table: dict[str, Any]) -> None:
    head = f"{'scenario':10}" + "".join(f"{name[:12]:>13}" for name in SHOWN)
    click.echo(head)
    for name, row in [*table["scenarios"].items(), ("overall", table["overall"])]:
        cells = "".join(f"{_cell(row.get(key)):>13}" for key in SHOWN)
        click.echo(f"{name:10}{cells}")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"
