"""The server's own edges, put together from settings. Building does no slow work; ``Built.load`` does it afterwards."""

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from bot.authors import no_link
from bot.cli import libraries
from bot.cli.local import person
from bot.cli.slack_side import SlackSide
from bot.domain.faults import FaultPoint
from bot.domain.signature import SigningSecret
from bot.edges import logs, purge
from bot.edges.baselines import BaselineRecorder
from bot.edges.clock import SystemClock
from bot.edges.database import Database
from bot.edges.export import Export
from bot.edges.github import GitHub
from bot.edges.http import ReadingHttp, SafeHttp
from bot.edges.jobs import DurableJobs
from bot.edges.library_sync import LibrarySync
from bot.edges.links import SqlLinks
from bot.edges.local_people import LocalPeople
from bot.edges.metrics import Metrics
from bot.edges.records import not_known
from bot.edges.redact import Redactor
from bot.edges.remembered import confirmed
from bot.edges.rota import CachedRota, NoRota
from bot.edges.runbook_watch import RunbookWatch
from bot.edges.templates import Templates
from bot.edges.ticks import Ticks
from bot.edges.web_deps import ReadyCheck, WebDeps
from bot.ports import Pager, People, Received, Rota, Triage
from bot.triage.checkpoint import forget, open_saver, signing_key
from bot.triage.late import LateTriage
from bot.wiring import Assistant, Edges, actions, assemble, open_librarian, open_shelf, probes
from config.catalogue import Catalogue
from config.settings import Settings
from diagnostics.statistics import warm_up
from knowledge.ingest import documents
from knowledge.retrieval import HybridLibrarian
from runbooks.actions.http_action_file import load_http_actions
from runbooks.model import ActionRegistry
from runbooks.shelf import Shelf

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

log = logging.getLogger("pagerunner.serve")

JOBS_KEPT = timedelta(days=7)

_HEAVY = ("langgraph.graph", "langgraph.checkpoint.sqlite.aio", "dbos", "apscheduler.schedulers.asyncio")
"""What an investigation needs: seconds to import, and nothing that accepting a page needs."""


@dataclass(kw_only=True, slots=True)
class Built:
    """The parts of a running server."""

    settings: Settings
    assistant: Assistant
    web: WebDeps
    ticks: Ticks
    jobs: DurableJobs
    triage: LateTriage
    shelf: Shelf
    watch: RunbookWatch
    sync: LibrarySync
    librarian: HybridLibrarian
    slack: SlackSide | None
    http: SafeHttp
    recorder: BaselineRecorder
    database: Database
    saver: "BaseCheckpointSaver[Any] | None" = None
    warmed: asyncio.Event = field(default_factory=asyncio.Event)
    refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self, stack: contextlib.AsyncExitStack) -> None:
        """What takes its time: Slack, the queue, the graph; numerics and the search index go on behind it."""
        if self.slack is not None:
            await self.slack.open(self.assistant)
        for name in _HEAVY:  # off the event loop, which accepts webhooks meanwhile
            await asyncio.to_thread(importlib.import_module, name)
        from bot.triage.graph import GraphTriage  # noqa: PLC0415 - imports LangGraph

        key = signing_key(self.settings.data / "checkpoint.key")
        saver = await stack.enter_async_context(open_saver(self.settings.data / "checkpoints.sqlite", key))
        self.saver = saver
        await self.jobs.start()
        stack.callback(self.jobs.stop)
        warm = self._warm(GraphTriage(self.assistant.tools, saver))
        background = [warm, self.sync_libraries(), *([] if self.slack is None else [self.slack.connect()])]
        for work in background:
            stack.callback(asyncio.create_task(work).cancel)

    async def refresh_runbooks(self) -> None:
        """Pick up edits; what is broken keeps its last good version, and is said once."""
        async with self.refreshing:
            await self._refresh()

    async def sync_libraries(self) -> None:
        """Look at the repositories of runbook libraries, and pick up what is new there. Without a network, what was
        loaded last stays in use."""
        now = self.assistant.parts.clock.now()
        new = await asyncio.to_thread(self.sync.look, now)
        await asyncio.to_thread(self.sync.show, now)
        if new:
            await self.refresh_runbooks()
            in_use = {book.origin.commit for book in self.shelf.all() if book.origin}
            await asyncio.to_thread(self.sync.forget, in_use)

    async def remember(self) -> None:
        """What people confirmed of closed incidents informs the search."""
        incidents = await self.database.run(confirmed)
        await asyncio.to_thread(self.librarian.remember, incidents)

    async def tell_authors(self) -> None:
        """Those who keep runbooks hear how they fared, when it is time."""
        await self.assistant.authors.tell()

    async def _refresh(self) -> None:
        change = await asyncio.to_thread(self.watch.look)
        await self.assistant.authors.broken(self.watch.appeared)
        if change:
            await asyncio.to_thread(self.librarian.reload, documents(self.shelf.all()))
            log.info("runbooks changed: %s; removed: %s", ", ".join(change.changed), ", ".join(change.removed))
        await asyncio.to_thread(self.librarian.retry, time.monotonic())

    async def purge(self) -> None:
        """Forget what nobody will look at again, so that the data folder does not grow for ever."""
        now = self.assistant.parts.clock.now()
        await purge.purge(self.database, now)
        await self.jobs.forget(now - JOBS_KEPT)
        if self.saver is not None:
            await forget(self.saver, await purge.closed(self.database))

    async def refresh_names(self) -> None:
        """Who is awaited, on the cards."""
        if self.slack is not None:
            await self.slack.refresh_names()

    async def record_baselines(self) -> None:
        """One round of recorded normality for every service that has no open incident."""
        await self.recorder.record_all()

    async def _warm(self, triage: Triage) -> None:
        try:
            # First the numerics: an investigation that imported them would hold up the event loop for a second.
            await asyncio.to_thread(warm_up)
        finally:
            self.triage.ready(triage)
        try:
            await self.remember()
            await asyncio.to_thread(self.librarian.warm)
            # A million objects of libraries are here to stay: to walk them all again held everything up for 0.4 s.
            gc.collect()
            gc.freeze()
            print(f"Search is ready: {self.librarian.notice or 'by meaning and by words'}", flush=True)
        finally:
            self.warmed.set()


def assemble_server(
    chosen: Settings, declared: Catalogue, database: Database, token: str, fault: FaultPoint,
    arrived: Callable[[], None],
) -> Built:  # fmt: skip
    """Put the server together."""
    targets = target_secrets(declared)
    named = {**{f"target-{n.lower()}": v for n, v in targets.items()}, "api": token}
    named |= {f"library-{n.lower()}": value for n, value in libraries.tokens(chosen, declared).items()}
    named |= {f"configured-{i}": value for i, value in enumerate(chosen.secrets())}
    redact = Redactor(named, signing_key(chosen.data / "redaction.key"))
    logs.set_up(redact, level=chosen.log_level)
    clock = SystemClock()
    http = SafeHttp(declared, targets)
    registry = action_registry(chosen)
    shelf = open_shelf(libraries.folders(chosen, declared), registry, declared, clock.now().date())
    librarian = open_librarian(shelf, chosen.data / "index", chosen.embedder)
    links = SqlLinks(database, clock, signing_key(chosen.data / "links.key"))
    slack = SlackSide(chosen, declared, database, _rota(chosen, clock), links) if chosen.slack != "off" else None
    triage = LateTriage()
    holder: list[Assistant] = []

    async def perform(kind: str, arguments: Mapping[str, str]) -> None:
        await holder[0].perform(kind, arguments)

    jobs = DurableJobs(chosen.data / "jobs.sqlite", perform, fault)
    people: People = slack or LocalPeople(declared)
    tracker = _tracker(chosen)
    assistant = assemble(
        Edges(
            catalogue=declared, database=database, clock=clock, http=http, jobs=jobs, triage=triage,
            librarian=librarian, library=shelf, people=people, chat=slack, pager=_pager(chosen, redact),
            actions=registry, redact=redact, fault=fault, exports=chosen.export_folder,
            golden_root=str(chosen.catalogue.parent), tokens_per_incident=chosen.canary_tokens_per_incident,
            channel_message_every_s=chosen.channel_message_every_s, drafts=chosen.drafts, tracker=tracker,
            rooms=slack.rooms if slack is not None else None,
            permalink=slack.permalink if slack is not None else no_link,
            followups_redaction=chosen.followups_redaction,
            embedder=librarian.embedder,
            names=slack.names if slack else not_known,
        )
    )  # fmt: skip
    holder.append(assistant)
    metrics = Metrics()
    sync = LibrarySync(libraries.repositories(chosen, declared), metrics)
    ready = _checks(assistant, jobs, sync, slack if chosen.oauth else None)
    web = replace(
        _web(chosen, declared, assistant, token, slack, clock, arrived, redact, ready, metrics),
        links=links if slack else None,
    )
    recorder = BaselineRecorder(
        declared, probes(), assistant.history, ReadingHttp(http), clock, str(chosen.catalogue.parent),
        chosen.canary_tokens_per_hour, librarian.embedder,
    )  # fmt: skip
    return Built(
        settings=chosen, assistant=assistant, web=web, ticks=Ticks(), jobs=jobs, triage=triage, shelf=shelf,
        watch=RunbookWatch(shelf, metrics), sync=sync,
        librarian=librarian, slack=slack, http=http, recorder=recorder, database=database,
    )  # fmt: skip


def target_secrets(declared: Catalogue) -> dict[str, str]:
    """The credentials that targets name, from the environment."""
    return {t.auth_env: os.environ[t.auth_env] for t in declared.targets if os.environ.get(t.auth_env)}


def action_registry(chosen: Settings) -> ActionRegistry:
    """The built-in actions and the declared ones."""
    path = chosen.http_actions
    return actions(load_http_actions(path.read_text("utf-8"), str(path)) if path else ())


def _pager(chosen: Settings, redact: Callable[[str], str]) -> Pager | None:
    key = chosen.pagerduty_api_key.get_secret_value()
    if not key:
        from bot.edges.pagerduty_out import NoPager  # noqa: PLC0415

        return NoPager()
    from bot.edges.pagerduty_out import PagerDuty  # noqa: PLC0415

    return PagerDuty(key, chosen.pagerduty_from, base_url=chosen.pagerduty_api, redact=redact)


def _tracker(chosen: Settings) -> GitHub | None:
    token = chosen.github_token.get_secret_value()
    return GitHub(token, chosen.github_api) if token else None


def _rota(chosen: Settings, clock: SystemClock) -> Rota:
    """Who is on call: asked by a client of its own, which never makes a click wait for a note that is being sent."""
    key = chosen.pagerduty_api_key.get_secret_value()
    if not key:
        return NoRota()
    from bot.edges.pagerduty_out import PagerDuty  # noqa: PLC0415

    return CachedRota(PagerDuty(key, base_url=chosen.pagerduty_api, quick=True), clock)


def _secrets(values: tuple[SecretStr, ...]) -> tuple[SigningSecret, ...]:
    return tuple(SigningSecret(value=value.get_secret_value()) for value in values if value.get_secret_value())


def _web(
    chosen: Settings, declared: Catalogue, assistant: Assistant, token: str, slack: SlackSide | None,
    clock: SystemClock, arrived: Callable[[], None], redact: Callable[[str], str], ready: tuple[ReadyCheck, ...],
    metrics: Metrics,
) -> WebDeps:  # fmt: skip
    def on_accept(_: Received) -> None:
        arrived()

    change_token = chosen.changes_token.get_secret_value()
    return WebDeps(
        inbox=assistant.inbox, desk=assistant.desk, records=assistant.records, clock=clock,
        exporter=Export(redact, Templates(chosen.templates)), scribe=assistant.scribe, follow=assistant.follow,
        comms=assistant.comms,
        metrics=metrics, pagerduty_secrets=_secrets(chosen.pagerduty_secrets),
        slack_secrets=_secrets((chosen.slack_signing_secret,)), api_token=token,
        slack_handler=slack.handle if slack is not None and chosen.slack == "http" else None,
        slack_install=slack.install if slack is not None and chosen.oauth else None,
        change_tokens=(change_token,) if change_token else (), services=frozenset(s.name for s in declared.services),
        local_user=person(), api_from_anywhere=chosen.trust_network, ready_checks=ready,
        on_accept=on_accept, redact=redact,
    )  # fmt: skip


def _checks(
    assistant: Assistant, jobs: DurableJobs, sync: LibrarySync | None = None, slack: SlackSide | None = None
) -> tuple[ReadyCheck, ...]:
    async def storage() -> str:
        backlog = await assistant.inbox.backlog()
        return "" if backlog < 10_000 else f"{backlog} deliveries wait"

    async def work() -> str:
        return "" if jobs.started else "still starting: pages are kept, and looked into in a moment"

    async def books() -> str:
        return await asyncio.to_thread(sync.why_not, assistant.parts.clock.now()) if sync is not None else ""

    found = (ReadyCheck(name="storage", check=storage), ReadyCheck(name="jobs", check=work),
             ReadyCheck(name="runbook libraries", check=books, required=False))  # fmt: skip
    return found if slack is None else (*found, ReadyCheck(name="slack", check=slack.why_not_ready, required=False))
