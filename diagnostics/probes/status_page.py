"""P05: what the provider's status page says about the component and the model we use.

Late and noisy evidence: the first post usually comes a quarter of an hour after the fact, and some incident or other
is open several percent of all time. So the page's overall indicator is ignored, and a silent page proves nothing.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from config.catalogue import Provider, StatusPage
from config.http import HttpError, Reply
from diagnostics.chat_replies import json_object, mapping
from diagnostics.model import INCONCLUSIVE, Evidence, Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.subjects import model_of, provider_of

SUMMARY_PATH: Final = "/api/v2/summary.json"
INCIDENTS_PATH: Final = "/api/v2/incidents.json"
_CLOSED: Final = ("resolved", "postmortem", "completed")
_FINE: Final = ("operational", "under_maintenance", "")
_WORDS = re.compile(r"[a-z0-9]+")


class StatusPageParams(Params):
    """Which provider; None: the service's."""

    provider: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Incident:
    """An open incident of the page. Untrusted text."""

    name: str
    status: str
    impact: str
    started_at: datetime | None
    components: tuple[str, ...]
    text: str
    """Title and updates, for names of models."""


class StatusPageProbe:
    """P05."""

    spec = ProbeSpec(
        id="P05",
        name="status_page",
        title="Provider's status page",
        outcomes={"clear": Verdict.NORMAL, "incident": Verdict.ABNORMAL},
        params=StatusPageParams,
        unit="open incidents that concern us",
        tier=Tier.FREE,
        expected_s=1.0,
        timeout_s=12.0,
    )

    async def run(self, context: ProbeContext, params: StatusPageParams) -> Reading:
        """Read summary and incident list side by side: a compatible summary may leave the incidents out."""
        provider = provider_of(context, params.provider)
        page = provider.status
        if page is None:
            return Reading(outcome=INCONCLUSIVE, summary=f"{provider.name} declares no status page")
        summary, history = await asyncio.gather(_get(context, page, SUMMARY_PATH), _get(context, page, INCIDENTS_PATH))
        evidence = tuple(
            Evidence(source=f"GET {page.target} {path}", excerpt=_excerpt(got))
            for path, got in ((SUMMARY_PATH, summary), (INCIDENTS_PATH, history))
        )
        documents = [_document(summary) or {}, _document(history) or {}]
        if not any(documents):
            why = f"{provider.name}: its status page cannot be read"
            return Reading(outcome=INCONCLUSIVE, summary=why, evidence=evidence)
        read = _Page.read(provider, page, model_of(context, provider, None), documents)
        return replace(_reading(context, provider, page, read), evidence=evidence)


async def _get(context: ProbeContext, page: StatusPage, path: str) -> Reply | HttpError:
    try:
        return await context.http.request(page.target, "GET", path)
    except HttpError as error:
        return error


def _document(got: Reply | HttpError) -> Mapping[str, Any] | None:
    return json_object(got.text) if isinstance(got, Reply) and got.status == 200 else None


def _excerpt(got: Reply | HttpError) -> str:
    return str(got)[:2000] if isinstance(got, HttpError) else f"HTTP {got.status}\n{got.text}"[:2000]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    """What the two documents say, reduced to what concerns one component and one model."""

    component: str
    """The component's status; empty: the page does not name it."""
    ours: tuple[_Incident, ...]
    others: tuple[_Incident, ...]
    incidents_known: bool
    """Whether either document had a list of incidents at all."""

    @classmethod
    def read(cls, provider: Provider, page: StatusPage, model: str, documents: Sequence[Mapping[str, Any]]) -> "_Page":
        summary = documents[0] if documents else {}
        lists = [_list(d, key) for d in documents for key in ("incidents", "ongoing_incidents")]
        known = [items for items in lists if items is not None]
        incidents: dict[str, _Incident] = {}
        for items in known:
            for item in items:
                if (incident := _incident(mapping(item))) is not None:
                    incidents.setdefault(f"{incident.name}|{incident.started_at}", incident)
        ours = [i for i in incidents.values() if _concerns(i, provider, page, model)]
        return cls(
            component=_component_status(summary, page.component),
            ours=tuple(ours),
            others=tuple(i for i in incidents.values() if i not in ours),
            incidents_known=bool(known),
        )


def _reading(context: ProbeContext, provider: Provider, status_page: StatusPage, page: _Page) -> Reading:
    now = context.clock.now()
    details: dict[str, Any] = {
        "provider": provider.name,
        "component": status_page.component,
        "component_status": page.component,
        "incidents": [_told(incident, now) for incident in page.ours[:5]],
        "unrelated_incidents": [incident.name for incident in page.others[:5]],
    }
    degraded = page.component not in _FINE and not _about_other_models(page, status_page)
    if page.ours or degraded:
        first = page.ours[0] if page.ours else None
        said = f'{first.status}, "{first.name}"{_age(first, now)}' if first else f"component is {page.component}"
        return Reading(
            outcome="incident",
            summary=f"{provider.name}, {status_page.component}: {said}. Weak evidence: pages are late and noisy",
            value=float(len(page.ours)),
            n=len(page.ours) + len(page.others),
            details=details,
        )
    if not page.component or not page.incidents_known:
        lacks = "no list of incidents" if page.component else f"no component named {status_page.component!r}"
        return Reading(
            outcome=INCONCLUSIVE,
            summary=f"{provider.name}: the status page has {lacks}, so its silence says nothing",
            details=details,
        )
    elsewhere = f"; {len(page.others)} open elsewhere" if page.others else ""
    return Reading(
        outcome="clear",
        summary=f"{provider.name}: nothing open for {status_page.component}{elsewhere}."
        " No evidence against an outage: posts lag by a quarter of an hour",
        value=0.0,
        n=len(page.others),
        details=details,
    )


def _component_status(summary: Mapping[str, Any], component: str) -> str:
    """Worst status of the components of that name; empty if the page has none."""
    wanted = _words(component)
    found = []
    for item in _list(summary, "components") or []:
        name = mapping(item).get("name")
        status = mapping(item).get("status")
        if isinstance(name, str) and isinstance(status, str) and _same(wanted, _words(name)):
            found.append(status[:40])
    bad = [status for status in found if status not in _FINE]
    return next(iter(bad or found), "")


def _incident(item: Mapping[str, Any]) -> _Incident | None:
    """An incident that is still open; None if it is over or unreadable."""
    name, status = item.get("name"), item.get("status")
    if not isinstance(name, str) or not isinstance(status, str):
        return None
    if status.lower() in _CLOSED or item.get("resolved_at"):
        return None
    updates = [mapping(update) for update in _list(item, "incident_updates") or []]
    affected = [mapping(c) for c in _list(item, "components") or _list(item, "affected_components") or []]
    for update in updates:
        affected += [mapping(c) for c in _list(update, "affected_components") or []]
    names = [c.get("name") or c.get("code") for c in affected]
    bodies = [body for update in updates if isinstance(body := update.get("body"), str)]
    return _Incident(
        name=name[:200],
        status=status[:40],
        impact=str(item.get("impact") or "")[:40],
        started_at=_moment(item.get("started_at")) or _moment(item.get("created_at")),
        components=tuple(dict.fromkeys(value[:120] for value in names if isinstance(value, str))),
        text=" ".join((name, *bodies))[:8000].lower(),
    )


def _concerns(incident: _Incident, provider: Provider, page: StatusPage, model: str) -> bool:
    """Our model is named; or our component is, and no model but ours is singled out."""
    if _mentions(incident.text, model):
        return True
    if any(_mentions(incident.name.lower(), other) for other in provider.models if other != model):
        return False
    wanted = _words(page.component)
    return any(_same(wanted, _words(component)) for component in incident.components)


def _about_other_models(page: _Page, status_page: StatusPage) -> bool:
    """Whether the component is marked down only by incidents that single out another model."""
    wanted = _words(status_page.component)
    return any(_same(wanted, _words(c)) for incident in page.others for c in incident.components)


def _mentions(text: str, model: str) -> bool:
    """Whether a text names a model, written with hyphens, dots or blanks: ``acme-large`` as ``Acme Large``."""
    parts = _WORDS.findall(model.lower())
    if not parts:
        return False
    pattern = r"(?<![a-z0-9])" + r"[ ._-]{0,2}".join(re.escape(part) for part in parts) + r"(?![a-z0-9])"
    return re.search(pattern, text) is not None


def _words(name: str) -> frozenset[str]:
    return frozenset(_WORDS.findall(name.lower()))


def _same(wanted: frozenset[str], name: frozenset[str]) -> bool:
    """Whether a component's name says all that the declared name says: ``Messages API`` in ``Messages API (eu)``."""
    return bool(wanted) and wanted <= name


def _list(document: Mapping[str, Any], key: str) -> list[Any] | None:
    value = document.get(key)
    if value is None and isinstance(document.get("summary"), dict):
        value = document["summary"].get(key)
    return value if isinstance(value, list) else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment is not None and moment.tzinfo else None


def _minutes(incident: _Incident, now: datetime) -> int | None:
    return None if incident.started_at is None else round((now - incident.started_at).total_seconds() / 60)


def _age(incident: _Incident, now: datetime) -> str:
    minutes = _minutes(incident, now)
    return "" if minutes is None else f", open for {minutes} min"


def _told(incident: _Incident, now: datetime) -> dict[str, Any]:
    return {
        "name": incident.name,
        "status": incident.status,
        "impact": incident.impact,
        "minutes_old": _minutes(incident, now),
        "components": list(incident.components[:5]),
    }
