"""Figures about ourselves for Prometheus, in a registry of our own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ACK_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_WORK_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)


class Metrics:
    """All of them; one object a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.deliveries = Counter(
            "pagerunner_deliveries", "Accepted deliveries", ["source", "new"], registry=own
        )  # fmt: skip
        self.ack_seconds = Histogram(
            "pagerunner_ack_seconds", "Time from a whole request to its answer, commit included", ["source"],
            buckets=_ACK_BUCKETS, registry=own,
        )  # fmt: skip
        self.pd_signature_mismatch = Counter(
            "pagerunner_pd_signature_mismatch",
            "PagerDuty deliveries whose signature matches none of our secrets: a rotated key, or somebody else",
            registry=own,
        )
        self.quarantined = Counter(
            "pagerunner_quarantined", "Signed deliveries that could not be read", ["source"], registry=own
        )  # fmt: skip
        self.denied = Counter(
            "pagerunner_requests_denied", "Requests refused, by reason", ["surface", "reason"], registry=own
        )  # fmt: skip
        self.storage_down = Counter(
            "pagerunner_storage_down", "Deliveries answered 503 because they could not be committed", registry=own
        )
        self.pages = Counter("pagerunner_pages", "Pages by kind", ["kind"], registry=own)
        self.incidents = Gauge("pagerunner_incidents_active", "Incidents that are not resolved", registry=own)
        self.investigation_seconds = Histogram(
            "pagerunner_investigation_seconds", "Start of an investigation to its diagnosis", buckets=_WORK_BUCKETS,
            registry=own,
        )  # fmt: skip
        self.probes = Counter("pagerunner_probes", "Probes run, by outcome", ["probe", "outcome"], registry=own)
        self.effects = Counter("pagerunner_effects", "Effects by kind and state", ["kind", "state"], registry=own)
        self.runbooks_broken = Gauge(
            "pagerunner_runbooks_broken", "Runbook files with an error: not used, or as they last were", registry=own
        )
        self.library_age = Gauge(
            "pagerunner_library_age_seconds", "Since the repository of a runbook library last answered", ["library"],
            registry=own,
        )  # fmt: skip
        self.library_ill = Gauge(
            "pagerunner_library_ill", "1 while a runbook library in Git cannot be brought up to date", ["library"],
            registry=own,
        )  # fmt: skip
        self.outbox_age_seconds = Gauge(
            "pagerunner_outbox_age_seconds", "Age of the oldest unsent message", registry=own
        )
        self.jobs_failed = Counter(
            "pagerunner_jobs_failed", "Durable jobs that ended in an error", ["kind"], registry=own
        )

    def exposition(self) -> bytes:
        """What ``/metrics`` answers."""
        return generate_latest(self.registry)
