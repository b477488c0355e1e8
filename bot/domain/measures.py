"""When what happened, and how long it took: moments with how we know them, and the durations that people compare."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.domain import wording
from bot.domain.edits import began_of, edits_of, moment
from bot.domain.timeline import Entry
from bot.domain.view import IncidentView
from diagnostics.model import Finding, Verdict

USERS = "user_signal"
"""The probe that shows what users notice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Something that happened once, or for the first time."""

    key: str
    label: str
    at: datetime
    ref: str
    """A finding, an entry ``#12``, a proposal or the incident itself."""
    said: str = ""
    """What a person said of it: who marked it, or how they call it. Untrusted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A duration in seconds between two moments, or why there is none."""

    key: str
    label: str
    seconds: float | None
    since: str
    until: str
    missing: str = ""
    refs: tuple[str, ...] = ()


def began(view: IncidentView) -> Moment:
    """When it began: as a person marked it, else where telemetry shows the onset, else as the first page says."""
    marked = began_of(view)
    if marked is not None:
        entry, by = marked
        return Moment(key="began", label="Began, as a person marked it", at=entry.at, ref=f"#{entry.seq}", said=by)
    for finding in view.findings:
        onset = _onset(finding)
        if onset is not None and onset <= view.incident.opened_at:
            return Moment(key="began", label="Began, as telemetry shows it", at=onset, ref=finding.id)
    ref = first_ref(view, "page_received", "page_stale")
    return Moment(key="began", label="Began, as the first page says", at=view.incident.started_at, ref=ref)


def moments(view: IncidentView) -> tuple[Moment, ...]:
    """What happened, in order of time."""
    return tuple(sorted(_moments(view), key=lambda moment: moment.at))


def measures(view: IncidentView) -> tuple[Measure, ...]:
    """Time to detect, acknowledge, mitigate and resolve. A mean over incidents is the reader's to take."""
    happened = {moment.key: moment for moment in _moments(view)}
    onset_known = began_of(view) is not None or happened["began"].ref in {finding.id for finding in view.findings}
    detect = _between("detect", "Time to detect (MTTD)", happened, "began", "received", "")
    if not onset_known:
        why = "no reading shows when users were first affected"
        detect = Measure(key="detect", label=detect.label, seconds=None, since="", until="", missing=why)
    return (
        detect,
        _between("acknowledge", "Time to acknowledge (MTTA)", happened, "received", "acknowledged", "not acknowledged"),
        _between(
            "mitigate", "Time to mitigate (MTTM)", happened, "received", "mitigated", "no mitigation was verified"
        ),
        _between("resolve", "Time to resolve (MTTR)", happened, "received", "resolved", "not resolved yet"),
        _between("duration", "Duration, beginning to end", happened, "began", "resolved", "not over yet"),
    )


def utc(at: datetime) -> str:
    """Date and time to the second, with the zone that the moment is in."""
    return f"{at:%Y-%m-%d %H:%M:%S %Z}"


def after(at: datetime, start: datetime) -> str:
    """How long after ``start``, with a sign."""
    seconds = (at - start).total_seconds()
    return f"+ {wording.duration(seconds)}" if seconds >= 0 else f"− {wording.duration(-seconds)}"


def parsed(text: Any) -> datetime | None:
    """A moment that a fact carries as text; None unless it is one with a zone."""
    return moment(text)


def first_ref(view: IncidentView, *kinds: str) -> str:
    """The first entry of these kinds as a reference; the incident itself if there is none."""
    found = view.entries(*kinds)
    return f"#{found[0].seq}" if found else view.incident.id


def last_ref(view: IncidentView, *kinds: str) -> str:
    """The newest entry of these kinds as a reference; the incident itself if there is none."""
    found = view.entries(*kinds)
    return f"#{found[-1].seq}" if found else view.incident.id


def _moments(view: IncidentView) -> Iterator[Moment]:
    incident = view.incident
    yield began(view)
    opened = first_ref(view, "page_received", "page_stale", "incident_opened")
    yield Moment(key="received", label="First page received", at=incident.opened_at, ref=opened)
    for key, label, kinds in (
        ("finding", "First finding", ("probe_finished",)),
        ("proposal", "First proposal", ("proposal_made", "proposal_withheld")),
        ("approved", "First approval", ("proposal_approved",)),
        ("effect", "First change carried out", ("effect_applied", "manual_done")),
        ("users", "Users well again", ("users_recovered",)),
        ("reverted", "First change set back", ("effect_reverted",)),
        ("closed", "Closed", ("incident_closed",)),
    ):
        entry = next(iter(view.entries(*kinds)), None)
        if entry is not None:
            yield _of(key, label, entry)
    diagnosed = next((e for e in view.entries("diagnosis_made") if e.fact.data.get("conclusion") == "cause"), None)
    if diagnosed is not None:
        yield _of("diagnosed", "First diagnosis with a cause", diagnosed)
    for key, label, at, kinds in (
        ("acknowledged", "Acknowledged", incident.acknowledged_at, ("incident_acknowledged",)),
        ("mitigated", "Mitigation verified", incident.mitigated_at, ("verification_made",)),
        ("resolved", "Resolved", incident.resolved_at, ("incident_resolved",)),
    ):
        if at is not None:
            yield Moment(key=key, label=label, at=at, ref=_ref_at(view, at, kinds))
    marked = edits_of(view.entries("key_moment"))
    for entry in view.timeline:
        if entry.seq in marked.moments and entry.seq != marked.began:
            said = marked.moments[entry.seq]
            yield Moment(key="marked", label="★ Key moment", at=entry.at, ref=f"#{entry.seq}", said=said)


def _of(key: str, label: str, entry: Entry) -> Moment:
    return Moment(key=key, label=label, at=entry.at, ref=f"#{entry.seq}")


def _ref_at(view: IncidentView, at: datetime, kinds: tuple[str, ...]) -> str:
    """The entry that recorded what happened at this moment: it may have been written a little later."""
    entries = view.entries(*kinds)
    if not entries:
        return view.incident.id
    nearest = min(entries, key=lambda entry: (abs((entry.at - at).total_seconds()), entry.seq))
    return f"#{nearest.seq}"


def _between(key: str, label: str, happened: dict[str, Moment], since: str, until: str, missing: str) -> Measure:
    start, end = happened.get(since), happened.get(until)
    if start is None or end is None:
        return Measure(key=key, label=label, seconds=None, since=since, until=until, missing=missing)
    # The pager's clock and ours may differ by some seconds: a negative duration means none.
    took = max(0.0, (end.at - start.at).total_seconds())
    refs = tuple(dict.fromkeys((start.ref, end.ref)))
    return Measure(key=key, label=label, seconds=took, since=start.label, until=end.label, refs=refs)


def _onset(finding: Finding) -> datetime | None:
    if finding.probe != USERS or finding.verdict is not Verdict.ABNORMAL:
        return None
    return parsed(finding.reading.details.get("onset"))
