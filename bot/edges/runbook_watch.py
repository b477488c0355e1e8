"""Picks up edits of runbooks, and says once what is wrong with them."""

import logging

from bot.edges.metrics import Metrics
from runbooks.shelf import Broken, Shelf, ShelfChange

log = logging.getLogger("pagerunner.runbooks")


class RunbookWatch:
    """Looks at the folders again and again; a broken edit is logged when it appears, and counted while it lasts."""

    def __init__(self, shelf: Shelf, metrics: Metrics) -> None:
        self._shelf = shelf
        self._metrics = metrics
        self._said: frozenset[str] = frozenset()
        self.appeared: tuple[Broken, ...] = ()
        """The files that the last look found broken, or broken in another way than the look before."""

    def look(self) -> ShelfChange:
        """What changed since the last look. May be called from a thread; never raises for a file."""
        change = self._shelf.refresh()
        errors = [problem for problem in change.problems if problem.severity == "error"]
        told = frozenset(map(str, errors))
        for one in sorted(told - self._said):
            log.error("runbook broken: %s", one)
        if told - self._said and change.kept:
            log.error("the last good version stays in use of: %s", ", ".join(change.kept))
        if self._said and not told:
            log.info("all runbooks are well again")
        self.appeared = tuple(one for one in change.broken if not {str(each) for each in one.problems} <= self._said)
        self._said = told
        self._metrics.runbooks_broken.set(len({problem.file for problem in errors}))
        return change
