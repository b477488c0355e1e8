"""``runbooks coverage``: what incidents say about the library, what rots in its files, and empty states in words."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.runbook_cli_fakes import WITH_CATALOGUE, alone, book, run
from tests.runbook_incidents import installation


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(tmp_path, monkeypatch)


def told(*words: str, **environ: str) -> Any:
    result = run("coverage", "--json", *words, **{**WITH_CATALOGUE, **environ})
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_each_incident_is_counted_for_what_its_page_found_and_what_it_was(tmp_path: Path) -> None:
    with installation(tmp_path) as made:
        well, misled, none, unsure, harmless, silent, old = (
            made.incident(f"E{n}", title, days_ago=40 if n == 6 else 0)
            for n, title in enumerate(("well", "misled", "none\x1b[2J", "unsure", "harmless", "silent", "old"))
        )
        made.found(well, {"provider-outage": 0.8, "provider-latency": 0.1})
        made.concluded(well, "cause", "provider-outage")
        made.proposed(well, "provider-outage", "better")
        made.found(misled, {"provider-outage": 0.8, "egress-failure": 0.1})
        made.concluded(misled, "cause", "egress-failure")
        made.proposed(misled, "egress-failure", "worse")
        made.found(none, {"stale-index": 0.12})
        made.concluded(none, "inconclusive")
        made.found(unsure, {"model-drift": 0.6})
        made.concluded(unsure, "inconclusive")
        made.found(harmless, {"traffic-surge": 0.2})
        made.concluded(harmless, "no_fault")
        made.found(old, {"traffic-surge": 0.2})

    report = told("--database", str(made.path))

    assert (report["incidents"], report["days"]) == (6, 30)
    assert {gap["incident"]: gap["kind"] for gap in report["gaps"]} == {
        misled: "misled", none: "none", unsure: "unconfirmed", silent: "none",
    }  # fmt: skip
    advice = {gap["incident"]: gap["advice"] for gap in report["gaps"]}
    assert advice[misled] == "add this page to 'pages' of egress-failure, or to 'not_pages' of provider-outage"
    assert "runbooks new" in advice[silent]
    assert (report["use"], report["helped"]) == ({"egress-failure": 1, "provider-outage": 1}, {"provider-outage": 1})
    assert {"stale-index", "model-drift"} <= set(report["never"])
    assert told("--database", str(made.path), "--since", "60d")["incidents"] == 7
    text = run("coverage", "--database", str(made.path), **WITH_CATALOGUE).stdout
    assert "\x1b" not in text
    assert "Pages that found the wrong one first: 1" in text
    assert "Pages with no good runbook: 2" in text


def test_what_rots_in_the_files_is_found(tmp_path: Path) -> None:
    books = tmp_path / "books"
    books.mkdir()
    (books / "late.md").write_text(book(front="reviewed: 2020-01-01\nreview_every: 30d\n"))
    (books / "gone.md").write_text(book(front="evidence:\n  egres: {ok: usual}\n"))
    (books / "broken.md").write_text("---\ntitle: [\n---\n")
    (books / "linked.md").write_text(book(front="drill: stale-index\n", body="# A\n[x](nowhere.md) [y](#b)\n"))

    report = told(PAGERUNNER_RUNBOOKS=str(books))

    assert [Path(p["file"]).name for p in report["overdue"]] == ["late.md"]
    assert [Path(p["file"]).name for p in report["unresolved"]] == ["gone.md"]
    assert [Path(p["file"]).name for p in report["broken"]] == ["broken.md"]
    assert [Path(p["file"]).name for p in report["links"]] == ["linked.md", "linked.md"]
    assert set(report["no_drill"]) == {
        "data-leak", "safety-escalation", "late",
    }  # fmt: skip


def test_empty_states_are_said(tmp_path: Path) -> None:
    none = run("coverage", **WITH_CATALOGUE)
    with installation(tmp_path) as made:
        pass
    quiet = run("coverage", "--database", str(made.path), "--since", "7d", **WITH_CATALOGUE)

    assert "there is no database yet" in none.stdout
    assert "none in the last 7 days" in quiet.stdout
    for said in ("no review is overdue", "everything named exists", "every relative link leads somewhere"):
        assert said in none.stdout


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [(("--since", "soon"), 2, "such as 90s, 5m, 2h or 90d"), (("--since", "5m"), 2, "1d to 3650d"),
     (("--database", "none.sqlite"), 1, "--database")],
)  # fmt: skip
def test_bad_input_is_told(words: tuple[str, ...], code: int, what: str) -> None:
    result = run("coverage", *words, **WITH_CATALOGUE)

    assert (result.exit_code, what in result.stderr) == (code, True), result.stderr
