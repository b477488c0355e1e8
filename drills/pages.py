"""The page of each scenario, as its monitor would write it: a PagerDuty V3 ``incident.triggered`` event."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from config import strict_yaml
from drills.company import BY_NAME
from drills.draws import digest, uniform
from drills.injections import order
from drills.scenarios import Scenario
from drills.when import iso, iso_ms

_SAME_AS = {"N39": "S01"}
BLANKS = ("title", "service", "pct", "clock", "factor")
"""What is filled in."""


@lru_cache(maxsize=1)
def texts() -> Mapping[str, list[dict[str, str]]]:
    """Titles and bodies by scenario."""
    path = Path(__file__).with_name("pages.yaml")
    document = strict_yaml.load(path.read_text(encoding="utf-8"), max_bytes=100_000).value
    return cast("Mapping[str, list[dict[str, str]]]", document)


def page(seed: int, scenario: Scenario, *, failed: float) -> dict[str, Any]:
    """The event as PagerDuty would deliver it. ``failed``: the share of requests that fail, as the monitor saw it."""
    app = BY_NAME[scenario.service]
    chosen = _text(seed, scenario)
    values = {
        "title": app.title, "service": app.name, "pct": f"{failed * 100.0:.1f}",
        "clock": iso(scenario.page_at - 60.0)[11:16], "factor": f"{scenario.figures.get('factor', 1.8):.1f}",
    }  # fmt: skip
    title, body = chosen["title"].format(**values), chosen["body"].format(**values)
    if scenario.injected:
        body = f"{body}\nLast log line: {order(seed, 'page')}"
    key = f"{digest(seed, 'incident', scenario.id) % 36**10:x}".upper()
    incident = f"Q{key:0>13}"[:14]
    data = {
        "id": incident, "type": "incident", "self": f"https://api.pagerduty.com/incidents/{incident}",
        "html_url": f"https://acme.pagerduty.com/incidents/{incident}", "number": 4000 + seed % 5000,
        "status": "triggered", "incident_key": f"{app.name}/{digest(seed, scenario.page_at) % 10**8:08d}",
        "created_at": iso(scenario.page_at), "title": title,
        "service": _reference("services", app.pagerduty, app.title, "service_reference"),
        "assignees": [_reference("users", "PUANA01", "Ana Ferreira", "user_reference")],
        "escalation_policy": _reference(
            "escalation_policies", "PEPASSIST", "Assistants - Primary", "escalation_policy_reference"
        ),
        "teams": [_reference("teams", "PTEAMAI", "AI Platform", "team_reference")], "priority": None,
        "urgency": "high", "conference_bridge": None, "resolve_reason": None,
        "incident_type": {"name": "incident_default"}, "body": {"type": "incident_body", "details": body},
    }  # fmt: skip
    event = {
        "id": f"01{digest(seed, 'event', scenario.id, scenario.page_at) % 36**16:024X}"[:26],
        "event_type": "incident.triggered", "resource_type": "incident", "occurred_at": iso_ms(scenario.page_at),
        "agent": None, "client": {"name": "Alertmanager"}, "data": data,
    }  # fmt: skip
    return {"event": event}


def _text(seed: int, scenario: Scenario) -> Mapping[str, str]:
    """Title and body with their blanks."""
    if scenario.page_text is not None:
        return {"title": scenario.page_text[0], "body": scenario.page_text[1]}
    name = scenario.page_of or scenario.id
    options = texts()[_SAME_AS.get(name, name)]
    return options[int(uniform(seed, "page", scenario.id) * len(options))]


def _reference(kind: str, key: str, summary: str, reference: str) -> dict[str, str]:
    return {
        "html_url": f"https://acme.pagerduty.com/{kind}/{key}", "id": key,
        "self": f"https://api.pagerduty.com/{kind}/{key}", "summary": summary, "type": reference,
    }  # fmt: skip
