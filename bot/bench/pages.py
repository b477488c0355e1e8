"""Pages as PagerDuty sends them, for services of the example catalogue: one-cause storms and different failures."""

import hashlib
import hmac
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime

SERVICES = (
    ("PSVCCHAT", "Chat assistant"), ("PSVCSUPPORT", "RAG support bot"), ("PSVCAGENT", "Order agent with tools"),
    ("PSVCCODE", "Code assistant"), ("PSVCMODTEXT", "Text moderation"), ("PSVCMODVOICE", "Voice moderation"),
    ("PSVCIMAGE", "Image generation"), ("PSVCMATERIAL", "Material generation"),
)  # fmt: skip
FAILURES = (
    ("LLM error rate {n}% over 5 minutes", "Requests end in 500 and 503 responses. Budget burn rate {n}x. SLO 1%."),
    ("p95 time to first token above {n} ms", "Answers start far later than usual. No increase in errors."),
    ("answer quality score below target", "The judge's score fell for {n} minutes. Latency and errors are normal."),
)
STORM_SHARE = 0.8
"""Share of a storm's pages that have the one cause; the others are of any service and any failure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A page that will be sent: its event id is what must be found again."""

    event_id: str
    service: str
    title: str
    body: str
    number: int

    @property
    def reference(self) -> str:
        """The pager's incident, one for each page."""
        return f"Q{self.event_id[-13:]}"

    def raw(self, now: datetime) -> bytes:
        """The webhook's body at the moment of sending."""
        at = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        reference = self.reference
        data = {
            "id": reference, "type": "incident", "self": f"https://api.pagerduty.com/incidents/{reference}",
            "html_url": f"https://acme.pagerduty.com/incidents/{reference}", "number": self.number,
            "status": "triggered", "incident_key": f"bench/{reference}", "created_at": at, "title": self.title,
            "service": {"id": self.service, "type": "service_reference", "summary": self.service},
            "assignees": [], "teams": [], "priority": None, "urgency": "high",
            "body": {"type": "incident_body", "details": self.body},
        }  # fmt: skip
        event = {
            "id": self.event_id, "event_type": "incident.triggered", "resource_type": "incident", "occurred_at": at,
            "agent": None, "client": {"name": "Alertmanager"}, "data": data,
        }  # fmt: skip
        return json.dumps({"event": event}).encode()


def storm(count: int, seed: int) -> list[Planned]:
    """Most of one cause, the others different: the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    made = []
    for number in range(count):
        one_cause = draw.random() < STORM_SHARE
        service, failure = (0, 0) if one_cause else (draw.randrange(len(SERVICES)), draw.randrange(len(FAILURES)))
        made.append(page(seed, number, service, failure, draw.randint(5, 95)))
    return made


def page(seed: int, number: int, service: int, failure: int, figure: int = 20, mark: str = "") -> Planned:
    """One page. ``mark`` in the title makes it another failure: letters, because numbers are not told apart."""
    code, name = SERVICES[service]
    title, body = FAILURES[failure]
    return Planned(
        event_id=f"01BENCH{seed:04d}{number:015d}", service=code, number=10_000 + number,
        title=f"{name}: {title.format(n=figure)}{f' ({mark})' if mark else ''}", body=body.format(n=figure),
    )  # fmt: skip


def signature(secret: str, raw: bytes) -> str:
    """The header that PagerDuty would send with these bytes."""
    return "v1=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
