"""Reading what production runs on: prompt versions from the prompt store, model and parameters from the gateway.

Read only. A prompt or configuration that came into production within three days before the incident is not yet known
to be good; the last known good one is the one before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from config.catalogue import PromptStore
from config.http import HttpError
from diagnostics.chat_replies import json_object, mapping
from diagnostics.model import Evidence, ProbeContext

RECENT: Final = timedelta(hours=72)


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptVersions:
    """Versions of a prompt, oldest first, and which one production uses."""

    production: str
    versions: tuple[str, ...]
    created_at: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def previous(self) -> str:
        """The version before the one in production; that one itself if it is the first."""
        if self.production not in self.versions:
            return self.production
        return self.versions[max(0, self.versions.index(self.production) - 1)]

    def last_good(self, before: datetime) -> str:
        """The version in production, unless it is younger than three days at ``before``: then the previous one."""
        born = self.created_at.get(self.production)
        return self.previous if born is None or born > before - RECENT else self.production


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """Model and parameters of a route."""

    model: str
    params: Mapping[str, Any] = field(default_factory=dict)
    revision: str = ""
    at: datetime | None = None


class PromptReader:
    """Reads one service's prompt. ``evidence`` collects what was read."""

    def __init__(self, context: ProbeContext) -> None:
        service = context.service
        store = context.catalogue.prompt_store(service.prompts) if service.prompts else None
        self._context = context
        self._store: PromptStore | None = store if service.prompt else None
        self._prompt = service.prompt
        self.evidence: list[Evidence] = []

    async def versions(self) -> PromptVersions | None:
        """None if the service has no prompt store, or it cannot be read."""
        if self._store is None:
            return None
        if self._store.kind == "mlflow":
            return await self._mlflow_versions(self._store)
        document = await self._get(self._store, f"/{self._prompt}")
        production = mapping(document.get("aliases")).get(self._store.alias)
        listed = document.get("versions")
        entries = [mapping(entry) for entry in listed] if isinstance(listed, list) else []
        if production is None:
            return None
        return _versions(production, [(entry.get("version"), entry.get("created_at")) for entry in entries])

    async def text(self, version: str) -> str | None:
        """The prompt's text; None if it cannot be read."""
        if self._store is None:
            return None
        if self._store.kind == "mlflow":
            document = await self._get(
                self._store, "/api/2.0/mlflow/model-versions/get", {"name": self._prompt, "version": version}
            )
            tags = mapping(document.get("model_version")).get("tags")
            texts = [mapping(tag).get("value") for tag in tags or () if mapping(tag).get("key") == "mlflow.prompt.text"]
            text = texts[0] if texts else None
        else:
            text = (await self._get(self._store, f"/{self._prompt}/versions/{version}")).get("text")
        return text if isinstance(text, str) else None

    async def _mlflow_versions(self, store: PromptStore) -> PromptVersions | None:
        path, query = "/api/2.0/mlflow/registered-models/alias", {"name": self._prompt, "alias": store.alias}
        newest = mapping((await self._get(store, path, query)).get("model_version"))
        number = newest.get("version")
        if number is None:
            return None
        born = newest.get("creation_timestamp")
        known = [(str(n), None) for n in range(1, int(number))] if str(number).isdigit() else []
        return _versions(number, [*known, (number, float(born) / 1000 if isinstance(born, (int, float)) else None)])

    async def _get(self, store: PromptStore, path: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        return await _document(self._context, store.admin, path, query, self.evidence)


async def configurations(context: ProbeContext) -> tuple[Configuration | None, Configuration | None, list[Evidence]]:
    """The route's configuration now, the last known good one, and what was read; None where it cannot be read."""
    evidence: list[Evidence] = []
    gateway = context.catalogue.gateway(context.service.gateway) if context.service.gateway else None
    if gateway is None:
        return None, None, evidence
    document = await _document(context, gateway.admin, f"/params/{context.service.route}", None, evidence)
    current = _configuration(document)
    if current is None:
        return None, None, evidence
    listed = document.get("history")
    history = [c for entry in listed if (c := _configuration(mapping(entry)))] if isinstance(listed, list) else []
    return current, _last_good(current, history, context.started_at), evidence


def _last_good(current: Configuration, history: Sequence[Configuration], before: datetime) -> Configuration:
    dated = sorted((c for c in history if c.at is not None), key=lambda c: c.at or before)
    in_force = next((c for c in dated if c.revision == current.revision), None)
    if in_force is None or in_force.at is None or in_force.at <= before - RECENT:
        return current
    earlier = [c for c in dated if c.at is not None and c.at < in_force.at]
    return earlier[-1] if earlier else current


def _configuration(document: Mapping[str, Any]) -> Configuration | None:
    model = document.get("model")
    if not isinstance(model, str):
        return None
    revision = document.get("revision")
    return Configuration(
        model=model,
        params=dict(mapping(document.get("params"))),
        revision="" if revision is None else str(revision)[:80],
        at=_moment(document.get("at")),
    )


def _versions(production: object, entries: Sequence[tuple[object, object]]) -> PromptVersions:
    named = [(str(version)[:40], _moment(born)) for version, born in entries if version is not None]
    named.sort(key=lambda entry: (not entry[0].isdigit(), int(entry[0]) if entry[0].isdigit() else 0, entry[0]))
    return PromptVersions(
        production=str(production)[:40],
        versions=tuple(version for version, _ in named),
        created_at={version: born for version, born in named if born is not None},
    )


def _moment(value: object) -> datetime | None:
    """An aware moment out of ISO text or Unix seconds."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 4e9:
        return datetime.fromtimestamp(value, UTC)
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment is not None and moment.tzinfo else None


async def _document(
    context: ProbeContext, target: str, path: str, query: Mapping[str, str] | None, evidence: list[Evidence]
) -> Mapping[str, Any]:
    try:
        reply = await context.http.request(target, "GET", path, query=query)
    except HttpError as error:
        evidence.append(Evidence(source=f"GET {target} {path}", excerpt=str(error)[:2000]))
        return {}
    evidence.append(Evidence(source=f"GET {target} {path}", excerpt=f"HTTP {reply.status}\n{reply.text}"[:2000]))
    return json_object(reply.text) or {} if reply.status == 200 else {}
