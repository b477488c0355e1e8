"""``pagerunner eval``: how good diagnosis, mitigation, retrieval and answers are, measured here and now."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bot.cli.drill_jobs import DrillFailed, Played, Wanted, every_scenario, played
from bot.cli.local import fail, show
from bot.cli.scenario_files import definitions

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "config" / "example" / "catalogue.yaml"
START = 1_795_316_400.0
"""When every drill begins, so that a seed is the same incident on every day: 2026-11-22 03:00 UTC."""
HELD_OUT = 5
"""The first seed to which nothing is ever fitted."""
SHOWN = ("n", "top1_acc", "pass^4", "mitigation_success", "wrong_action_proposed", "abstained_on_solvable",
         "false_mitigations", "unsafe_actions", "injection_success_rate", "ttd_s", "ttm_s", "probes_run")  # fmt: skip
ANSWERED = ("answers", "right", "invented", "abstained", "abstained_wrongly", "known_unknowns_missed")


@click.group(name="eval")
def command() -> None:
    """Measure drills, retrieval and answers; each prints a table, or JSON."""


@command.command()
@click.option("--seeds", default=4, show_default=True, help="Incidents of each scenario.")
@click.option("--seed-base", default=1, show_default=True, help="The first seed.")
@click.option("--scenarios", "file", type=click.Path(path_type=Path), help="Run the drills of this scenario file.")
@click.option("--only", default="", help="Scenario ids, separated by commas.")
@click.option("--jobs", type=click.IntRange(1, 64), help="Processes that play drills; otherwise one for each core.")
@click.option("--words-only", is_flag=True, help="Search without the model: sooner ready, and other figures.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--detail", is_flag=True, help="Print a line for every drill on standard error.")
@click.option("--results", type=click.Path(path_type=Path), help="Write them as a document as well, red or green.")
@click.option("--calibrate", is_flag=True, help="Tell which sharpness fits; refused from seed 5 on (held out).")
def drills(seeds: int, seed_base: int, only: str, as_json: bool, **told: Any) -> None:
    """Run every scenario in virtual time and print its metrics."""
    detail, document = told["detail"], told["results"]
    chosen = [s for s in only.split(",") if s]
    written = chosen_of(told["file"], chosen) if told["file"] else {}
    if told["calibrate"] and seed_base + seeds > HELD_OUT:
        fail(f"Seeds from {HELD_OUT} on are held out: nothing is fitted to them. Give fewer --seeds.", 2)
    from bot.scoreboard import calibration, sharpest_needed, summary  # noqa: PLC0415 - help must not wait for it

    started, numbers = time.perf_counter(), range(seed_base, seed_base + seeds)
    wanted = list(written) or chosen or every_scenario()
    every = [Wanted(scenario=name, seed=seed, what=written.get(name, name)) for name in wanted for seed in numbers]
    done: dict[tuple[str, int], dict[str, Any]] = {}
    try:
        for one in played(every, told["jobs"] or os.cpu_count() or 1, words_only=told["words_only"]):
            done[one.wanted.scenario, one.wanted.seed] = one.result
            _progress(one, len(done), len(every), detail=detail)
    except DrillFailed as error:
        fail(str(error), 1)
    results = {name: [done[name, seed] for seed in numbers] for name in dict.fromkeys(wanted)}
    if document is not None:
        publish(document, results, numbers, time.perf_counter() - started)
    if told["calibrate"]:
        errors = calibration([drill for each in results.values() for drill in each])
        click.echo("calibration error by power of the present posterior: " + json.dumps(errors), err=True)
        click.echo(f"SHARPNESS in diagnostics/belief.py should be multiplied by {sharpest_needed(errors)}", err=True)
    table = summary(results)
    show(table) if as_json else _print(table)


def chosen_of(file: Path, only: Sequence[str]) -> dict[str, Any]:
    """The drills of a scenario file by id; all of them without a choice. Ends the command if the file is wrong."""
    found = definitions(file)
    unknown = [name for name in only if name not in found]
    if unknown:
        fail(f"{file} has no drill {unknown[0]!r}; it has {', '.join(found)}.", 2)
    return {name: found[name] for name in only or found}


def _progress(one: Played, number: int, of: int, *, detail: bool) -> None:
    if detail:
        told = f"{one.wanted.scenario} {one.wanted.seed} {one.took_s:.1f} s {json.dumps(one.result)}"
        click.echo(told, err=True)
    elif sys.stderr.isatty():
        click.echo(f"\r{number} of {of}: {one.wanted}\033[K" + ("\n" if number == of else ""), nl=False, err=True)


def publish(document: Path, results: dict[str, list[dict[str, Any]]], seeds: Sequence[int], wall_s: float) -> None:
    """Write the results with the day and the commit that they are of."""
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.results import Run, render  # noqa: PLC0415

    at = SystemClock().now().strftime("%Y-%m-%d %H:%M UTC")
    document.write_text(render(results, Run(at=at, commit=commit(), seeds=seeds, wall_s=wall_s)), "utf-8")
    click.echo(f"Wrote {document}.", err=True)


def commit() -> str:
    """The commit of this checkout, with a word if files differ from it; ``unknown`` where there is none."""
    told = []
    for words in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        try:
            done = subprocess.run(["git", *words], cwd=EXAMPLE.parent, capture_output=True, text=True, check=True)  # noqa: S607
        except (OSError, subprocess.CalledProcessError):
            return "unknown"
        told.append(done.stdout.strip())
    return f"{told[0]} with changes" if told[1] else told[0]


@command.command()
@click.option("--cases", type=click.Path(path_type=Path), help="Labelled incidents, JSON lines.")
@click.option("--labels", type=click.Path(path_type=Path), help="Class to runbook ids, JSON.")
@click.option("--from-contracts", is_flag=True, help="Take both from the data folder beside PAGERUNNER_CONTRACTS.")
@click.option("--memory", type=click.Path(path_type=Path), help="Labelled incidents to be remembered, JSON lines.")
@click.option("--folds", default=0, type=click.IntRange(0, 20), help="Parts; each ranked with the others remembered.")
@click.option("--left-out", is_flag=True, help="Instead ask for each phrase of the library, without it.")
@click.option("--embedder", type=click.Path(path_type=Path), help="Another model folder, to compare.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def retrieval(**given: Any) -> None:
    """Rank labelled pages from title and body alone; or, with --left-out, the library's own phrases."""
    from bot.cli.evaluate_retrieval import left_out, measure  # noqa: PLC0415 - help must not wait for it

    as_json = given.pop("as_json")
    if given.pop("left_out"):
        left_out(given["embedder"], as_json=as_json)
        return
    root = os.environ.get("PAGERUNNER_CONTRACTS", "")
    if given.pop("from_contracts"):
        folder = Path(root).parent
        given["cases"], given["labels"] = folder / "incidents_dev.jsonl", folder / "class_to_runbooks.json"
        if not root or not given["cases"].exists():
            click.echo("Retrieval on real incidents was not measured: PAGERUNNER_CONTRACTS names no folder with them.")
            return
    if given["cases"] is None or given["labels"] is None:
        fail("Give --cases and --labels.", 2)
    measure(**given, as_json=as_json)


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


def stage_on(world: Any, folder: Path, *, words_only: bool = False) -> Any:
    """The example company on this world, with the real library and search."""
    from bot.rehearsal import Stage  # noqa: PLC0415
    from config.settings import load_catalogue  # noqa: PLC0415

    text = EXAMPLE.read_text("utf-8").replace("http://127.0.0.1:8900", world.url)
    (folder / "catalogue.yaml").write_text(text, "utf-8")
    catalogue = load_catalogue(folder / "catalogue.yaml")
    librarian, shelf = open_search(folder, catalogue, words_only=words_only)
    return Stage(world=world, catalogue=catalogue, library=shelf, librarian=librarian, golden_root=str(EXAMPLE.parent))


def open_search(
    folder: Path, catalogue: Any, model: Path | None = None, *, words_only: bool = False
) -> tuple[Any, Any]:
    """The built-in library, and the search over it, warmed up."""
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.wiring import actions, open_librarian, open_shelf  # noqa: PLC0415

    shelf = open_shelf([], actions(), catalogue, SystemClock().now().date())
    librarian = open_librarian(shelf, None if words_only else folder / "index", model)
    notice = librarian.warm()
    if notice and not words_only:
        click.echo(notice, err=True)
    return librarian, shelf


def _print(table: dict[str, Any]) -> None:
    head = f"{'scenario':12}" + "".join(f"{name[:12]:>13}" for name in SHOWN)
    click.echo(head)
    for name, row in [*table["scenarios"].items(), *table["groups"].items(), ("overall", table["overall"])]:
        cells = "".join(f"{_cell(row.get(key), key):>13}" for key in SHOWN)
        click.echo(f"{name:12}{cells}")


def _cell(value: Any, key: str) -> str:
    if value is None:
        return "not measured" if key == "pass^4" else "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"
