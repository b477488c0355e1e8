"""The server's own edges, put together from settings. Building does no slow work; ``Built.load`` does it afterwards."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.cli.local import person
from bot.domain.faults import FaultPoint
from bot.domain.signature import SigningSecret
from bot.edges import logs
from bot.edges.clock import SystemClock
from bot.edges.database import Database
from bot.edges.export import Export
from bot.edges.http import SafeHttp
from bot.edges.jobs import DurableJobs
from bot.edges.local_people import LocalPeople
from bot.edges.metrics import Metrics
from bot.edges.redact import Redactor
from bot.edges.ticks import Ticks
from bot.edges.web_deps import ReadyCheck, WebDeps
from bot.ports import Chat, Pager, People, Received
from bot.triage.checkpoint import open_saver, signing_key
from bot.triage.late import LateTriage
from bot.wiring import Assistant, Edges, actions, assemble, open_librarian, open_shelf
from config.catalogue import Catalogue
from config.settings import Settings
from knowledge.ingest import documents
from knowledge.retrieval import HybridLibrarian
from runbooks.actions.http_action_file import load_http_actions
from runbooks.model import ActionRegistry
from runbooks.shelf import Shelf

log = logging.getLogger("pagerunner.serve")


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
    librarian: HybridLibrarian
    slack: "SlackSide | None"
    http: SafeHttp
    warmed: asyncio.Event = field(default_factory=asyncio.Event)

    async def load(self, stack: contextlib.AsyncExitStack) -> None:
        """What takes its time: the graph, the queue, the search index, the connection to Slack."""
        from bot.triage.graph import GraphTriage  # noqa: PLC0415 - imports LangGraph

        key = signing_key(self.settings.data / "checkpoint.key")
        saver = await stack.enter_async_context(open_saver(self.settings.data / "checkpoints.sqlite", key))
        self.triage.ready(GraphTriage(self.assistant.tools, saver))
        await self.jobs.start()
        stack.callback(self.jobs.stop)
        background = [self._warm()] if self.slack is None else [self._warm(), self.slack.connect()]
        for work in background:
            stack.callback(asyncio.create_task(work).cancel)

    async def refresh_runbooks(self) -> None:
        """Pick up edits; what is broken keeps its last good version, and is said once."""
        change = await asyncio.to_thread(self.shelf.refresh)
        if change:
            await asyncio.to_thread(self.librarian.reload, documents(self.shelf.all()))
            log.info("runbooks changed: %s; removed: %s", ", ".join(change.changed), ", ".join(change.removed))

    async def record_baselines(self) -> None:
        """One round of recorded normality for every service that has no open incident."""
        from bot.edges.baselines import record_all  # noqa: PLC0415

        await record_all(self.assistant, self.settings.canary_tokens_per_hour, self.settings.baseline_every_s)

    async def _warm(self) -> None:
        from diagnostics.statistics import warm_up  # noqa: PLC0415

        try:
            await asyncio.to_thread(warm_up)
            await asyncio.to_thread(self.librarian.warm)
            print(f"Search is ready: {self.librarian.notice or 'by meaning and by words'}", flush=True)
        finally:
            self.warmed.set()


class SlackSide:
    """Everything of Slack: the chat, the people, the app and its connection."""

    def __init__(self, chosen: Settings, declared: Catalogue) -> None:
        from bot.edges.slack_chat import SlackChat  # noqa: PLC0415
        from bot.edges.slack_client import Workspace, new_client  # noqa: PLC0415
        from bot.edges.slack_people import SlackPeople  # noqa: PLC0415

        self._settings = chosen
        self._catalogue = declared
        clock = SystemClock()
        self.client = new_client(chosen.slack_bot_token.get_secret_value(), chosen.slack_api)
        self.workspace = Workspace(self.client)
        self.chat = SlackChat(self.client, clock)
        self.people = SlackPeople(self.client, self.workspace, declared, clock)
        self.app: Any = None

    def attach(self, assistant: Assistant, clock: SystemClock) -> None:
        """Build the app's listeners on the desk."""
        from bot.edges.slack_app import build_app  # noqa: PLC0415
        from bot.edges.slack_desk import SlackDeps  # noqa: PLC0415

        async def first_time(key: str) -> bool:
            return await assistant.inbox.first_time(key, clock.now().timestamp())

        self.app = build_app(
            SlackDeps(
                client=self.client, workspace=self.workspace, chat=self.chat, desk=assistant.desk,
                records=assistant.records, exporter=Export(), catalogue=self._catalogue, clock=clock,
                first_time=first_time, app_id=self._settings.slack_app,
            )
        )  # fmt: skip

    async def connect(self) -> None:
        """Stay connected over Socket Mode until cancelled; HTTP mode needs no connection."""
        from bot.edges.slack_app import keep_socket_mode  # noqa: PLC0415

        if self._settings.slack == "socket":
            token = self._settings.slack_app_token.get_secret_value()
            await keep_socket_mode(self.app, token, self._settings.slack_api, SystemClock())


def assemble_server(
    chosen: Settings, declared: Catalogue, database: Database, token: str, fault: FaultPoint,
    arrived: Callable[[], None],
) -> Built:  # fmt: skip
    """Put the server together."""
    targets = target_secrets(declared)
    named = {**{f"target-{n.lower()}": v for n, v in targets.items()}, "api": token}
    named |= {f"configured-{i}": value for i, value in enumerate(chosen.secrets())}
    redact = Redactor(named, signing_key(chosen.data / "redaction.key"))
    logs.set_up(redact, level=chosen.log_level)
    clock = SystemClock()
    http = SafeHttp(declared, targets)
    registry = action_registry(chosen)
    shelf = open_shelf(own_folders(chosen, declared), registry, declared, clock.now().date())
    librarian = open_librarian(shelf, chosen.data / "index", chosen.embedder)
    slack = SlackSide(chosen, declared) if chosen.slack != "off" else None
    triage = LateTriage()
    holder: list[Assistant] = []

    async def perform(kind: str, arguments: Mapping[str, str]) -> None:
        await holder[0].perform(kind, arguments)

    jobs = DurableJobs(chosen.data / "jobs.sqlite", perform, fault)
    chat: Chat | None = slack.chat if slack else None
    people: People = slack.people if slack else LocalPeople(declared)
    assistant = assemble(
        Edges(
            catalogue=declared, database=database, clock=clock, http=http, jobs=jobs, triage=triage,
            librarian=librarian, library=shelf, people=people, chat=chat, pager=_pager(chosen, redact), actions=registry,
            redact=redact, fault=fault, exports=chosen.export_folder, golden_root=str(chosen.catalogue.parent),
            tokens_per_incident=chosen.canary_tokens_per_incident,
        )
    )  # fmt: skip
    holder.append(assistant)
    if slack is not None:
        slack.attach(assistant, clock)
    web = _web(chosen, declared, assistant, token, slack, clock, arrived, redact)
    return Built(
        settings=chosen, assistant=assistant, web=web, ticks=Ticks(), jobs=jobs, triage=triage, shelf=shelf,
        librarian=librarian, slack=slack, http=http,
    )  # fmt: skip


def target_secrets(declared: Catalogue) -> dict[str, str]:
    """The credentials that targets name, from the environment."""
    return {t.auth_env: os.environ[t.auth_env] for t in declared.targets if os.environ.get(t.auth_env)}


def action_registry(chosen: Settings) -> ActionRegistry:
    """The built-in actions and the declared ones."""
    path = chosen.http_actions
    return actions(load_http_actions(path.read_text("utf-8"), str(path)) if path else ())


def own_folders(chosen: Settings, declared: Catalogue) -> list[Path]:
    """Runbook folders beside the built-in library: the configured ones, then the teams' own."""
    return [*chosen.runbooks, *(chosen.catalogue.parent / team.runbooks for team in declared.teams if team.runbooks)]


def _pager(chosen: Settings, redact: Callable[[str], str]) -> Pager | None:
    key = chosen.pagerduty_api_key.get_secret_value()
    if not key:
        from bot.edges.pagerduty_out import NoPager  # noqa: PLC0415

        return NoPager()
    from bot.edges.pagerduty_out import PagerDuty  # noqa: PLC0415

    return PagerDuty(key, chosen.pagerduty_from, base_url=chosen.pagerduty_api, redact=redact)


def _secrets(values: tuple[SecretStr, ...]) -> tuple[SigningSecret, ...]:
    return tuple(SigningSecret(value=value.get_secret_value()) for value in values if value.get_secret_value())


def _web(
    chosen: Settings, declared: Catalogue, assistant: Assistant, token: str, slack: SlackSide | None,
    clock: SystemClock, arrived: Callable[[], None], redact: Callable[[str], str],
) -> WebDeps:  # fmt: skip
    handler = None
    if slack is not None and chosen.slack == "http":
        from bot.edges.slack_app import http_handler  # noqa: PLC0415

        handler = http_handler(slack.app)

    def on_accept(_: Received) -> None:
        arrived()

    change_token = chosen.changes_token.get_secret_value()
    return WebDeps(
        inbox=assistant.inbox, desk=assistant.desk, records=assistant.records, exporter=Export(), clock=clock,
        metrics=Metrics(), pagerduty_secrets=_secrets(chosen.pagerduty_secrets),
        slack_secrets=_secrets((chosen.slack_signing_secret,)), slack_handler=handler, api_token=token,
        change_tokens=(change_token,) if change_token else (), services=frozenset(s.name for s in declared.services),
        local_user=person(), api_from_anywhere=chosen.trust_network, ready_checks=_checks(assistant), on_accept=on_accept, redact=redact,
    )  # fmt: skip


def _checks(assistant: Assistant) -> tuple[ReadyCheck, ...]:
    async def storage() -> str:
        backlog = await assistant.inbox.backlog()
        return "" if backlog < 10_000 else f"{backlog} deliveries wait"

    return (ReadyCheck(name="storage", check=storage),)
