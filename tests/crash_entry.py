"""``pagerunner serve`` that ends itself with SIGKILL at one named place, once. The product has no such switch.

``CRASH_AT`` names the place: one of the fault points K0 to K14, or one of those below that only tests need. ``K4 after
proposal_made`` waits until the timeline has such a fact. ``CRASH_MARKER`` is the file that says it has happened.
"""

import os
import signal
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot import wiring
from bot.cli.local import catalogue, settings
from bot.cli.serve import start
from bot.domain.faults import FaultPoint
from bot.edges.casebook import SqlCasebook
from bot.edges.database import Database
from bot.edges.executor import PlanExecutor
from config.catalogue import Catalogue
from config.clock import Clock
from config.http import Http, Purpose, ReachStep, Reply
from runbooks.model import ActionRegistry


class Once:
    """A fault point that ends the process at its place, the first time it comes there."""

    def __init__(self, where: str, marker: Path, database: Path) -> None:
        self._place, _, self._after = where.partition(" after ")
        self._marker = marker
        self._database = database

    def __call__(self, place: str) -> None:
        if place == self._place and not self._marker.exists() and self._reached():
            self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def _reached(self) -> bool:
        if not self._after:
            return True
        reader = sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)
        try:
            return bool(reader.execute("SELECT 1 FROM timeline WHERE kind = ?", (self._after,)).fetchall())
        finally:
            reader.close()


class DyingHttp:
    """The executor's client: the process dies after the target has acted and before anybody here knows (K10)."""

    def __init__(self, http: Http, fault: FaultPoint) -> None:
        self._http = http
        self._fault = fault

    async def request(
        self, target: str, method: str, path: str, *, purpose: Purpose = "read", query: Mapping[str, str] | None = None,
        body: object = None, headers: Mapping[str, str] | None = None, timeout_s: float = 8.0,
    ) -> Reply:  # fmt: skip
        reply = await self._http.request(
            target, method, path, purpose=purpose, query=query, body=body, headers=headers, timeout_s=timeout_s
        )
        if purpose == "effect":
            self._fault("K10")
        return reply

    async def reach(self, target: str, *, timeout_s: float = 5.0) -> tuple[ReachStep, ...]:
        return await self._http.reach(target, timeout_s=timeout_s)


def main() -> None:
    chosen = settings()
    database = chosen.data / "pagerunner.sqlite"
    fault = Once(os.environ.get("CRASH_AT", ""), Path(os.environ["CRASH_MARKER"]), database)

    class DyingCasebook(SqlCasebook):
        async def found(self, *arguments: Any, **named: Any) -> None:
            await super().found(*arguments, **named)
            fault("a finding was kept")

        async def diagnosed(self, *arguments: Any, **named: Any) -> None:
            await super().diagnosed(*arguments, **named)
            fault("a diagnosis was kept")

    def executor(
        actions: ActionRegistry, declared: Catalogue, http: Http, clock: Clock, point: FaultPoint
    ) -> PlanExecutor:
        return PlanExecutor(actions, declared, DyingHttp(http, point), clock, point)

    def casebook(opened: Database) -> SqlCasebook:
        return DyingCasebook(opened)

    wiring.PlanExecutor = executor  # type: ignore[assignment,misc]
    wiring.SqlCasebook = casebook  # type: ignore[assignment,misc]
    start(chosen, catalogue(chosen), fault)


if __name__ == "__main__":
    main()
