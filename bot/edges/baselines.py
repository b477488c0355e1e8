"""Records what is normal, on the clock's tick: for every service without an open incident, within its budget."""

import asyncio
import logging
from datetime import datetime, timedelta

from bot.edges.history import SqlHistory
from config.catalogue import Catalogue, Service
from config.clock import Clock
from config.http import Http, HttpError
from diagnostics import baseline
from diagnostics.model import ProbeContext, ProbeRegistry, TextEmbedder

log = logging.getLogger("pagerunner.baselines")

USD_PER_HOUR = 0.50
AFTER_INCIDENT = timedelta(minutes=30)


class BaselineRecorder:
    """One round at a time; what a round could not afford is due again in the next."""

    def __init__(
        self, catalogue: Catalogue, registry: ProbeRegistry, history: SqlHistory, http: Http, clock: Clock,
        golden_root: str, tokens_per_hour: int, embedder: TextEmbedder | None = None,
    ) -> None:  # fmt: skip
        self._catalogue = catalogue
        self._registry = registry
        self._history = history
        self._http = http
        self._clock = clock
        self._golden_root = golden_root
        self._embedder = embedder
        self._tokens_per_hour = tokens_per_hour
        self._spent: dict[str, list[tuple[datetime, int, float]]] = {}
        self._busy = asyncio.Lock()

    async def record_all(self) -> None:
        """Record what is due. A tick that comes while a round runs is left out."""
        if self._busy.locked():
            return
        async with self._busy:
            for service in self._catalogue.services:
                if not await self._history.troubled(service.name, self._clock.now() - AFTER_INCIDENT):
                    await self._record(service)

    async def _record(self, service: Service) -> None:
        now = self._clock.now()
        last = await self._history.recorded(service.name)
        names = baseline.due(now, last)
        tokens, usd = self._left(service.name, now)
        if not names:
            return
        baselines, changes = await self._history.frozen(service.name, now)
        context = ProbeContext(
            service=service, catalogue=self._catalogue, http=self._http, clock=self._clock, baselines=baselines,
            changes=changes, started_at=now, golden_root=self._golden_root, embedder=self._embedder,
        )  # fmt: skip
        try:
            found = await baseline.record(context, self._registry, names, baseline.Limits(tokens=tokens, usd=usd))
        except HttpError as error:
            log.warning("no baseline of %s: %s", service.name, error)
            return
        # A page may have come while this was measured: then it was not normal.
        if not await self._history.troubled(service.name, now):
            documents = [(key, now, value) for key, value in found.documents]
            await self._history.record(service.name, found.samples, documents)
        await self._history.mark_recorded(service.name, found.done, now)
        self._spent.setdefault(service.name, []).append((now, found.tokens, found.usd))
        for name, why in found.left_out.items():
            log.info("baseline %s of %s left out: %s", name, service.name, why)

    def _left(self, service: str, now: datetime) -> tuple[int, float]:
        """Tokens and money that this hour's budget still holds."""
        recent = [one for one in self._spent.get(service, []) if now - one[0] < timedelta(hours=1)]
        self._spent[service] = recent
        tokens = self._tokens_per_hour - sum(spent for _, spent, _ in recent)
        return max(0, tokens), max(0.0, USD_PER_HOUR - sum(usd for _, _, usd in recent))
