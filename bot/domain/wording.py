"""How results are said in words, in one place: outcomes, verdicts, votes, numbers and times. No advice, no causes."""

from collections.abc import Mapping
from datetime import datetime

from bot.domain.incident import Status
from bot.domain.proposal import VoteResult
from diagnostics.model import Finding, Verdict, Weight

OUTCOMES: Mapping[str, str] = {
    "ok": "works", "errors": "users get errors", "slow": "slow", "quality_drop": "answers got worse",
    "recovered": "was bad, is normal again", "mix_shift": "harder questions, answered as well as ever",
    "server_error": "server errors", "overloaded": "says it is overloaded",
    "rate_limited": "rate limited", "capacity": "no capacity for this model", "quota_exhausted": "quota used up",
    "unauthorized": "credential refused", "model_missing": "model does not exist", "bad_request": "request refused",
    "connect_error": "cannot connect", "timeout": "no answer in time", "no_deployment": "gateway has no target",
    "wrong_model": "answered by another model", "ample": "plenty left", "exhausted": "nothing left",
    "limit_reduced": "limit lower than configured", "absent": "not there", "error": "failed", "clear": "no report",
    "incident": "incident reported", "dns_failed": "name does not resolve", "connect_failed": "no connection",
    "tls_failed": "TLS handshake fails", "http_failed": "HTTP fails", "cooldown": "deployments are cooling down",
    "fallback_up": "falls back more than usual", "inflight_up": "requests pile up", "down": "down",
    "zone_failing": "one zone fails", "none": "nothing changed", "drop": "fewer items pass", "same": "same model",
    "changed": "model changed", "fresh": "fresh", "stale": "stale", "shift": "distribution moved",
    "finish_length": "answers are cut off", "output_short": "answers got shorter",
    "prompt_tokens_up": "prompts got longer", "refusal_up": "more refusals", "traffic_up": "more traffic",
    "retries_up": "more retries", "retry_amplification": "retries multiply the load",
    "calls_per_task_up": "more model calls for each task", "tenant_surge": "one tenant's share moved",
    "queue_backlog": "queue far above normal", "judge_drift": "the judge itself drifted", "valid": "output is valid",
    "served_differs": "serves another question's answer", "cross_tenant": "serves another tenant's answer",
    "clean": "nothing found", "hit": "the model obeys a document", "suspect": "looks like an order",
    "benign_blocked": "blocks harmless requests",
    "malicious_passed": "lets through what it must stop", "unchecked": "requests pass unchecked",
    "unapproved": "does what nobody approved", "past": "was done without approval, is over",
    "surge": "far more approvals than usual",
    "ungrounded": "answers without ground in the documents",
    "schema_changed": "its contract changed",
    "saturated": "requests wait for a place", "bad_replica": "one replica does worse than its peers",
    "corrupted": "answers are garbled",
    "low": "finds less than it should", "empty": "finds nothing", "dimension": "vectors of another size",
    "invalid": "output is not valid", "inconclusive": "cannot tell",
}  # fmt: skip
"""Outcome word of a probe -> what it means, in a few words. A word that is not here is shown as it is."""

VERDICTS: Mapping[Verdict, tuple[str, str]] = {
    Verdict.NORMAL: ("✓", "normal"),
    Verdict.ABNORMAL: ("✗", "not normal"),
    Verdict.INCONCLUSIVE: ("?", "cannot tell"),
    Verdict.NOT_RUN: ("–", "not run"),
    Verdict.ERROR: ("!", "probe failed"),
}
RUNNING = "…"

VOTES: Mapping[VoteResult, str] = {
    VoteResult.RECORDED: "Your vote is recorded. More approvals are needed before anything happens.",
    VoteResult.APPROVED: "Approved. It is being carried out exactly as shown, once.",
    VoteResult.REJECTED: "Rejected. Nothing was done.",
    VoteResult.REPEATED: "You have already voted on this. Nothing changed.",
    VoteResult.NOT_FOUND: "There is no such proposal. Nothing was done.",
    VoteResult.NOT_OPEN: "This has already been decided. Nothing more was done.",
    VoteResult.EXPIRED: "This proposal has expired. Nothing was done; a new one is needed.",
    VoteResult.STALE_PLAN: "The plan has changed since it was shown. Nothing was done; look at the newest card.",
    VoteResult.CONTEXT_MISMATCH: "This did not come from the card of this incident. Nothing was done.",
    VoteResult.NOT_APPROVER: "You are not an approver for this. Nothing was done.",
    VoteResult.LOCAL_PERSON: "This needs several people in Slack; a vote from here does not show who. Nothing done.",
    VoteResult.SELF_APPROVAL: "You proposed this yourself, so somebody else has to approve it. Nothing was done.",
    VoteResult.OBSERVE_MODE: "This service is in observe mode: nothing can be approved. Nothing was done.",
    VoteResult.INCIDENT_CLOSED: "The incident is over. Nothing was done.",
    VoteResult.FROZEN: "All execution is frozen. Nothing was done.",
    VoteResult.NO_BREAK_GLASS: "The policy does not let you approve this alone. Nothing was done.",
    VoteResult.NOT_NEEDED: "Your ordinary approval is enough for this: press Approve. Nothing was done.",
    VoteResult.NO_REASON: "Break-glass needs a reason, in a few words. Nothing was done.",
    VoteResult.UNINSPECTABLE: "This plan cannot be shown in full, so it cannot be approved. Nothing was done.",
}

STATUS: Mapping[Status, str] = {
    Status.OPEN: "open",
    Status.ACKNOWLEDGED: "acknowledged",
    Status.MITIGATED: "mitigated",
    Status.RESOLVED: "resolved",
    Status.CLOSED: "closed",
}

WEIGHTS: Mapping[Weight, str] = {
    Weight.USUAL: "is usual for it",
    Weight.WEAKLY_FOR: "speaks a little for it",
    Weight.NEUTRAL: "says nothing about it",
    Weight.AGAINST: "speaks against it",
    Weight.RULES_OUT: "rules it out",
}

RISKS: Mapping[str, str] = {
    "R0": "R0: informs only",
    "R1": "R1: reversible, quality stays the same",
    "R2": "R2: reversible, changes behaviour, cost or quality",
    "R3": "R3: hard to reverse, or touches money or safety",
}

EFFECT_VERDICTS: Mapping[str, str] = {
    "better": "it helped",
    "worse": "it did not help, or made it worse",
    "unknown": "cannot tell whether it helped",
}


def outcome(word: str) -> str:
    """An outcome word in a few plain words."""
    return OUTCOMES.get(word, word.replace("_", " "))


def mark(verdict: Verdict) -> str:
    """One character that shows a verdict."""
    return VERDICTS[verdict][0]


def action(name: str) -> str:
    """An action's name as a person says it: ``shift_traffic`` becomes ``Shift traffic``."""
    plain = name.removeprefix("http:").replace("_", " ").replace("-", " ").strip()
    return plain[:1].upper() + plain[1:]


def vote(result: VoteResult, have: int = 0, want: int = 0) -> str:
    """What became of a vote; with the count while more approvals are needed."""
    text = VOTES[result]
    if result is VoteResult.RECORDED and want:
        return f"{text} ({have} of {want} so far)"
    return text


def percent(share: float) -> str:
    """A share of 0 to 1, rounded so that it never looks more certain than it is."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.99 < share < 1:
        return "> 99 %"
    if share < 0.1:
        return f"{share * 100:.1f}".removesuffix(".0") + " %"
    return f"{share * 100:.0f} %"


def seconds(value: float) -> str:
    """A measured duration."""
    if value < 1:
        return f"{value:.2f} s"
    if value < 10:
        return f"{value:.1f} s"
    return duration(value)


def duration(value: float) -> str:
    """A whole duration, such as a lease: ``45 s``, ``5 min``, ``2 h 30 min``."""
    total = round(value)
    if total < 120:
        return f"{total} s"
    minutes, rest = divmod(total, 60)
    if minutes < 120:
        return f"{minutes} min" + (f" {rest} s" if rest and minutes < 10 else "")
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h" + (f" {minutes} min" if minutes else "")


def p_value(value: float) -> str:
    """A p-value, never printed as zero."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def number(value: float) -> str:
    """Three significant digits, no exponent for everyday sizes."""
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    if 1_000 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1_000 else f"{value:,.4g}"


def usd(value: float) -> str:
    """Money."""
    return f"$ {value:.2f}" if value >= 0.01 or value == 0 else f"$ {value:.4f}"


def clock(at: datetime, day: datetime | None = None) -> str:
    """Hour and minute; with its date when it is not on this ``day``."""
    return f"{at:%H:%M} UTC" if day is None or at.date() == day.date() else moment(at)


def moment(at: datetime) -> str:
    """Date, hour and minute."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def statistics(finding: Finding) -> str:
    """Sample size, test and certainty of a reading; empty for a deterministic one."""
    reading = finding.reading
    parts = []
    if reading.n:
        parts.append(f"n = {reading.n}")
    if reading.baseline is not None and reading.value is not None:
        parts.append(f"{number(reading.value)} against {number(reading.baseline)}")
    if reading.p_value is not None:
        parts.append(p_value(reading.p_value))
    if reading.power is not None:
        parts.append(f"power {percent(reading.power)}")
    return ", ".join(parts)


def plural(count: int, one: str, many: str = "") -> str:
    """``1 probe``, ``2 probes``."""
    return f"{count} {one if count == 1 else many or one + 's'}"
