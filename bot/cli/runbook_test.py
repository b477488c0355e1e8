"""``pagerunner runbooks test``: what lint cannot know, tried out."""

import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.installed import CONFIG, Installed
from bot.cli.local import WRONG, fail, show
from bot.domain import wording

if TYPE_CHECKING:
    from bot.cli.runbook_library import Selection
    from bot.cli.runbook_trial import Trial
    from knowledge.phrase_tests import PhraseResult
    from runbooks.model import Problem, Runbook

FIRST = 3
"""Runbooks whose probes an investigation asks."""


@click.command(name="test")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@CONFIG
@click.option(
    "--within", default=1, show_default=True, type=click.IntRange(1, 10),
    help=f"How far down the right runbook may stand; an investigation looks at the first {FIRST}.",
)  # fmt: skip
@click.option("--drill", is_flag=True, help="Also run the drill that exercises each of them, in virtual time.")
@click.option("--words-only", is_flag=True, help="Search by words alone: at once, without the embedding model.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    paths: tuple[Path, ...], config: Path | None, within: int, drill: bool, words_only: bool, as_json: bool
) -> None:
    """Test the runbooks in PATHS (files, folders, or ids in use) among all in use; without PATHS, test all of them.

    Each page phrase is taken out of the index and has to find its runbook all the same; each not_pages phrase has
    to find the one it belongs to, and each report has to bring its runbook among the first three. Each step is
    filled in for every service. What probes once reported (NAME.recorded.jsonl beside NAME.md) has to lead to the
    runbook. Exit code 1 when something fails: what was found instead, and why.
    """
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"  # before anything imports it
    from bot.cli.runbook_library import select  # noqa: PLC0415 - help must not wait for it

    where = Installed(config)
    selection = select(where, paths)
    trials = [replace(trial, within=within) for trial in _trials(where, selection, words_only=words_only)]
    if drill:
        trials = list(_drilled(where, selection, trials, words_only=words_only))
    if as_json:
        passed = not selection.broken and not any(trial.faults for trial in trials)
        show({"passed": passed, "broken": [str(problem) for problem in selection.broken],
              "catalogue": where.catalogue is not None, "runbooks": [trial.plain() for trial in trials]})  # fmt: skip
    else:
        _print(trials, selection.broken, where)
    if selection.broken or any(trial.faults for trial in trials):
        raise SystemExit(1)


def _trials(where: Installed, selection: "Selection", *, words_only: bool) -> "Iterator[Trial]":
    from bot.cli.runbook_library import embedder, searcher  # noqa: PLC0415
    from bot.cli.runbook_trial import Bench, Trial, drill_of  # noqa: PLC0415
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from knowledge.ingest import documents  # noqa: PLC0415
    from knowledge.phrase_tests import check_phrases  # noqa: PLC0415
    from runbooks.recorded import RecordedError  # noqa: PLC0415

    docs = documents(selection.all())
    found: dict[str, list[PhraseResult]] = {}
    if any(book.pages or book.reports or book.not_pages for book in _chosen(selection)):
        pages = {book.id: book.pages for book in selection.all()}
        reports = {book.id: book.reports for book in selection.all()}
        search = searcher(docs, embedder(where, words_only=words_only))
        for result in check_phrases(search, docs, selection.chosen, pages, reports):
            found.setdefault(result.runbook, []).append(result)
    bench = Bench(library=selection, actions=where.registry(), catalogue=where.catalogue, now=SystemClock().now())
    for book in _chosen(selection):
        try:
            recordings = bench.recordings(book)
        except RecordedError as error:
            fail(str(error), WRONG)
        yield Trial(runbook=book, phrases=tuple(found.get(book.id, ())), steps=bench.steps(book), recordings=recordings,
                    drill=drill_of(book))  # fmt: skip


def _chosen(selection: "Selection") -> "list[Runbook]":
    return [selection.runbooks[name] for name in selection.chosen]


def _drilled(
    where: Installed, selection: "Selection", trials: "Sequence[Trial]", *, words_only: bool
) -> "Iterator[Trial]":
    """The trials with the score of their drill. A runbook is played under the drill's own name, in the place of the
    built-in one: the drill's company is the example, and its referee knows that name."""
    from bot.cli.demo import SCENARIOS  # noqa: PLC0415
    from bot.cli.runbook_library import Selection, embedder, searcher  # noqa: PLC0415
    from bot.rehearsal import World  # noqa: PLC0415
    from knowledge.ingest import documents  # noqa: PLC0415

    if not any(trial.drill for trial in trials):
        yield from trials
        return
    embed = embedder(where, words_only=words_only)
    world = World.start(secrets.token_hex(16))
    try:
        for trial in trials:
            if not trial.drill:
                yield trial
                continue
            if sys.stderr.isatty():
                click.echo(f"drill {trial.drill} …", err=True)
            books = {name: book for name, book in selection.runbooks.items() if name != trial.runbook.id}
            books[trial.drill] = replace(trial.runbook, id=trial.drill)
            cast = Selection(runbooks=books, chosen=())
            score = _score(world, cast, searcher(documents(cast.all()), embed), SCENARIOS[trial.drill])
            yield replace(trial, drilled=score)
    finally:
        world.stop()


def _score(world: Any, cast: "Selection", librarian: Any, scenario: str) -> Mapping[str, Any]:
    from bot.cli.evaluate import EXAMPLE, START  # noqa: PLC0415
    from bot.rehearsal import Stage, rehearse  # noqa: PLC0415
    from config.settings import load_catalogue  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalogue.yaml"
        path.write_text(EXAMPLE.read_text("utf-8").replace("http://127.0.0.1:8900", world.url), "utf-8")
        stage = Stage(world=world, catalogue=load_catalogue(path), library=cast, librarian=librarian,
                      golden_root=str(EXAMPLE.parent))  # fmt: skip
        return rehearse(stage, scenario, 1, START)


def _print(trials: "Sequence[Trial]", broken: "Sequence[Problem]", where: Installed) -> None:
    for problem in broken:
        click.echo(str(problem))
    for trial in trials:
        click.echo("\n".join(_lines(trial, catalogue=where.catalogue is not None)))
    phrases = [one for trial in trials for one in trial.phrases]
    found = len(phrases) - sum(len(trial.missed) for trial in trials)
    failed = sum(bool(trial.faults) for trial in trials)
    counted = f"{len(trials)} runbooks, {failed} with something that fails"
    click.echo(f"{counted}; {found} of {len(phrases)} phrases find what they should", err=True)
    if found < len(phrases):
        advice = "A miss is mended by further wordings in 'pages', or by 'not_pages' in the runbook that was found."
        click.echo(advice, err=True)
    if where.catalogue is None:
        click.echo(where.notice, err=True)


def _lines(trial: "Trial", *, catalogue: bool) -> Iterator[str]:
    yield f"{trial.runbook.id}: {'FAILS' if trial.faults else 'ok'}  ({trial.runbook.path})"
    for role, title in (("page", "pages"), ("report", "reports"), ("not_page", "not_pages")):
        yield from _phrases(trial, role, title)
    yield from _steps(trial, catalogue=catalogue)
    yield from _recordings(trial)
    yield f"  drill      {_drill(trial)}"


def _phrases(trial: "Trial", role: str, title: str) -> Iterator[str]:
    all_ = [one for one in trial.phrases if one.role == role]
    if not all_:
        yield f"  {title:10} none to test"
        return
    first = sum(one.rank == 1 for one in all_)
    near = sum(0 < one.rank <= FIRST for one in all_)
    yield f"  {title:10} {first} of {len(all_)} find the right one first, {near} among the first {FIRST}"
    for one in (one for one in all_ if one in trial.missed):
        place = f"{one.expected} comes {_place(one.rank)}" if one.rank else f"{one.expected} does not exist"
        yield f"    missed: “{one.text}” found {one.found or 'nothing'}; {place}"
        yield f"            {one.why}"
    for one in (one for one in all_ if one.also_in_prose and one not in trial.missed):
        yield f"    weak: “{one.text}” stands word for word in its own text, which helped it"


def _steps(trial: "Trial", *, catalogue: bool) -> Iterator[str]:
    from bot.cli.runbook_trial import nowhere  # noqa: PLC0415

    if not trial.runbook.probes and not trial.runbook.actions:
        yield "  steps      none to try"
        return
    if not catalogue:
        yield "  steps      not tried: there is no catalogue"
        return
    by_line: dict[tuple[int, str], list[Any]] = {}
    for one in trial.steps:
        by_line.setdefault((one.line, one.name), []).append(one)
    good = sum(any(not one.fault and not one.lacks for one in ones) for ones in by_line.values())
    yield f"  steps      {good} of {len(by_line)} can run for at least one service"
    lost = nowhere(trial.steps)
    for (line, name), ones in by_line.items():
        faults = dict.fromkeys(one.fault for one in ones if one.fault)
        for fault in faults:
            those = ", ".join(one.service for one in ones if one.fault == fault)
            yield f"    fails: {name} (line {line}) for {those}: {fault}"
        lacking = [one for one in ones if one.lacks]
        if lacking:
            word = "fails" if f"{name} (line {line})" in lost else "not for"
            yield f"    {word}: {name} (line {line}), {', '.join(o.service for o in lacking)}: {lacking[0].lacks}"


def _recordings(trial: "Trial") -> Iterator[str]:
    good = sum(not one.fault for one in trial.recordings)
    if not trial.recordings:
        yield "  recorded   nothing (pagerunner runbooks record)"
        return
    yield f"  recorded   {good} of {len(trial.recordings)} lead here"
    for one in trial.recordings:
        if one.fault:
            ranked = ", ".join(f"{mode} {wording.percent(chance)}" for mode, chance in one.ranked)
            yield f"    fails: “{one.name}” {one.fault}" + (f"; {ranked}" if ranked else "")
        else:
            yield f"    “{one.name}” would propose {', '.join(one.proposed) or 'nothing'}"
        for reference, why in one.withheld if not one.fault else ():
            yield f"      not {reference}: {why}"


def _drill(trial: "Trial") -> str:
    from bot.cli.runbook_trial import drill_fault  # noqa: PLC0415

    if not trial.drill:
        return drill_fault(trial) or "none exercises it; 'drill: NAME' in its front matter names one that does"
    if trial.drilled is None:
        return f"{trial.drill} (not run: --drill)"
    score = trial.drilled
    took = f", restored {score['ttm_s']:.0f} s after the page" if score.get("ttm_s") else ""
    return drill_fault(trial) or f"{trial.drill}: cause found{took}"


def _place(rank: int) -> str:
    return {2: "second", 3: "third"}.get(rank, f"in place {rank}")
