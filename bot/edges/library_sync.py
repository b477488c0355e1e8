"""Looks at the repositories of runbook libraries again and again; what goes wrong is told once, and shown while it
lasts."""

import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.edges.git_library import GitLibrary, LibraryState
from bot.edges.metrics import Metrics

log = logging.getLogger("pagerunner.runbooks")


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a library in Git stands, for people."""

    name: str
    address: str
    revision: str
    """As it is configured."""
    path: str
    state: LibraryState
    trouble: str
    """What is wrong now, with how old the tree in use is; empty if nothing is."""


class LibrarySync:
    """All libraries in Git of this server."""

    def __init__(self, libraries: Sequence[GitLibrary], metrics: Metrics) -> None:
        self._libraries = libraries
        self._metrics = metrics
        self._one_at_a_time = threading.Lock()

    def look(self, now: datetime) -> bool:
        """Look at each repository, and take what is new into use; whether anything is. Slow: call it in a thread."""
        if not self._libraries or not self._one_at_a_time.acquire(blocking=False):
            return False
        try:
            return any([self._one(library, now) for library in self._libraries])  # noqa: C419 - each is looked at
        finally:
            self._one_at_a_time.release()

    def show(self, now: datetime) -> None:
        """Bring the figures up to date."""
        for library in self._libraries:
            state = library.state()
            since = age_s(state, now)
            if since is not None and not library.source.pinned:
                self._metrics.library_age.labels(library=library.name).set(since)
            self._metrics.library_ill.labels(library=library.name).set(bool(state.problem or not state.commit))

    def forget(self, in_use: Collection[str]) -> None:
        """Remove trees that nothing in use comes from any more."""
        for library in self._libraries:
            library.forget(in_use)

    def why_not(self, now: datetime) -> str:
        """What is wrong with which library; empty if nothing is."""
        return "; ".join(
            f"{one.name}: {one.trouble}" for one in (standing(each, now) for each in self._libraries) if one.trouble
        )

    def _one(self, library: GitLibrary, now: datetime) -> bool:
        before = library.state()
        after = library.update(now)
        name, short = library.name, after.commit[:12]
        if after.commit != before.commit:
            log.info("runbook library %s: now at %s, was at %s", name, short, before.commit[:12] or "nothing")
            for line in after.left_out:
                log.warning("runbook library %s at %s: left out: %s", name, short, line)
        if after.problem and after.problem != before.problem:
            stays = f"; {short} stays in use" if short else "; it has no runbooks yet"
            log.error("runbook library %s: %s%s", name, after.problem, stays)
        if before.problem and not after.problem:
            log.info("runbook library %s: well again, at %s", name, short)
        return after.commit != before.commit


def standing(library: GitLibrary, now: datetime) -> Standing:
    """How it stands, as this or another process left it."""
    source, state = library.source, library.state()
    trouble = state.problem
    if not state.commit:
        trouble = trouble or "it was not loaded yet"
    elif trouble:
        since = age_s(state, now)
        old = f", {age(since)} old" if since is not None else ""
        trouble = f"{trouble}; {state.commit[:12]} stays in use{old}"
    return Standing(name=library.name, address=source.git, revision=source.revision, path=source.path, state=state,
                    trouble=trouble)  # fmt: skip


def age_s(state: LibraryState, now: datetime) -> float | None:
    """Seconds since the repository last answered; None if it never did."""
    return (now - datetime.fromisoformat(state.reached_at)).total_seconds() if state.reached_at else None


def age(seconds: float) -> str:
    """A length of time in its largest unit: ``45 s``, ``12 min``, ``3 h``, ``2 days``."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length or (seconds >= length and unit != "days"):
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
