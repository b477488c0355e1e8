"""A broken edit of a runbook is told once, and counted while it lasts."""

import logging
from pathlib import Path

import pytest

from bot.edges.metrics import Metrics
from bot.edges.runbook_watch import RunbookWatch
from runbooks.shelf import Shelf

GOOD = "---\ntitle: A\nowner: assist\n---\n# A\n"


def test_a_broken_edit_is_logged_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, metrics = tmp_path / "a.md", Metrics()
    path.write_text(GOOD)
    watch = RunbookWatch(Shelf([tmp_path]), metrics)
    watch.look()
    path.write_text("---\ntitle: [\n---\n# A, broken\n")
    with caplog.at_level(logging.INFO, "pagerunner.runbooks"):
        for _ in range(3):
            watch.look()

    assert "a.md" in caplog.text
    assert "the last good version stays in use of: a" in caplog.text
    assert len([one for one in caplog.records if one.message.startswith("runbook broken")]) == 1
    assert b"pagerunner_runbooks_broken 1.0" in metrics.exposition()

    path.write_text(GOOD + "\nMended.\n")
    with caplog.at_level(logging.INFO, "pagerunner.runbooks"):
        watch.look()
    assert "all runbooks are well again" in caplog.text
    assert b"pagerunner_runbooks_broken 0.0" in metrics.exposition()
