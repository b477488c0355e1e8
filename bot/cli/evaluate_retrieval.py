"""``pagerunner eval retrieval``: on labelled incidents, and on the library's own phrases, each taken out."""

import tempfile
import time
from pathlib import Path

import click

from bot.cli.evaluate import open_search
from bot.cli.local import fail, show
from knowledge.embedder import SentenceTransformerEmbedder
from knowledge.evaluation import EvaluationError, evaluate, phrase_figures
from knowledge.ingest import documents
from knowledge.lexical_index import LexicalIndex
from knowledge.memory_index import MemoryIndex, RememberingEmbedder
from knowledge.phrase_tests import check_phrases
from knowledge.retrieval import HybridLibrarian

WITH_INTERVAL = ("top1", "top3", "top1_covered", "top3_covered")


def measure(
    *, cases: Path, labels: Path, memory: Path | None, folds: int, embedder: Path | None, as_json: bool
) -> None:
    """Print how labelled incidents are ranked."""
    with tempfile.TemporaryDirectory() as folder:
        librarian, _ = open_search(Path(folder), None, embedder)
        try:
            answer = evaluate(librarian, cases, labels, timer=time.perf_counter, memory=memory, folds=folds)
        except EvaluationError as error:
            fail(str(error), 2)
    if as_json:
        show(answer)
        return
    how = "the others remembered" if folds else "some remembered" if memory else "nothing remembered"
    click.echo(
        f"Retrieval on {answer['n']} labelled incidents ({answer['n_covered']} of classes with a runbook), {how}"
    )
    for key in ("top1", "top3", "mrr", "top1_lenient", "top1_covered", "top3_covered", "p50_ms", "p95_ms"):
        low, high = answer[f"{key}_interval"] if key in WITH_INTERVAL else (None, None)
        click.echo(f"  {key:14} {answer[key]:.3f}" + (f"  (95 %: {low:.3f} to {high:.3f})" if low is not None else ""))


def left_out(model: Path | None, *, as_json: bool) -> None:
    """Print how the built-in library's phrases are ranked, each without itself."""
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.wiring import actions, open_shelf  # noqa: PLC0415

    books = open_shelf([], actions(), None, SystemClock().now().date()).all()
    docs = documents(books)
    embed = RememberingEmbedder(SentenceTransformerEmbedder(model))
    librarian = HybridLibrarian(docs, words=LexicalIndex(), embedder=embed, vectors=MemoryIndex())
    notice = librarian.warm()
    if notice:
        click.echo(notice, err=True)
    pages, reports = {book.id: book.pages for book in books}, {book.id: book.reports for book in books}
    results = [*check_phrases(librarian, docs, [doc.id for doc in docs], pages, reports)]
    answer = phrase_figures(results)
    if as_json:
        show(answer)
        return
    click.echo(f"{answer['n']} phrases of {len(docs)} runbooks, each taken out of the library")
    for key in ("top1", "top3"):
        low, high = answer[f"{key}_interval"]
        click.echo(f"  {key:14} {answer[key]:.3f}  (95 %: {low:.3f} to {high:.3f})")
    for role, share in answer["by_role"].items():
        click.echo(f"  {role:14} {share['top1']:.3f} first, {share['top3']:.3f} among the first three, of {share['n']}")
    for one in (result for result in results if not result.passed):
        click.echo(f"  missed: “{one.text}” of {one.expected} found {one.found}")
