"""Questions about what users feel and how much: now, against normal, before and after."""

from collections.abc import Callable, Iterator
from datetime import datetime

from bot.domain import measures, wording
from bot.domain.questions.kind import SPECIFIC, USUAL, Case, Kind
from bot.domain.questions.words import TOLD, ask, newest, not_told, read_or_not, readings, seen
from bot.domain.signals import SERIES, Signal, shown, signal
from bot.domain.statement import Statement, plain, refs_of
from bot.domain.view import IncidentView
from diagnostics.model import Finding, Verdict
from diagnostics.series import RECORD

_WHO = ("tenant_surge",)


def recorded(finding: Finding, series: str) -> float | None:
    """One number that a reading recorded under this series; None if it did not."""
    record = finding.reading.details.get(RECORD)
    for name, values in record.items() if isinstance(record, dict) else ():
        if str(name).split(":", maxsplit=1)[0] == series and values:
            return float(values[0])
    return None


def impact(case: Case) -> Iterator[Statement]:
    """What users feel, as the user-facing signal shows it."""
    return read_or_not(case, measures.USERS)


def _series(series: str) -> Callable[[Case], Iterator[Statement]]:
    probe = series.split(".", maxsplit=1)[0]
    label, kind = SERIES[series]

    def reply(case: Case) -> Iterator[Statement]:
        """The number now, and what the probe says of it."""
        one = newest(case.view, probe)
        value = None if one is None else recorded(one, series)
        if one is None or value is None:
            yield from not_told(case, (probe,), [seen(one)] if one is not None else ())
            return
        number = shown(Signal(probe=probe, label=label, kind=kind, baseline=None, points=(), changes=()), value)
        yield seen(one)
        yield Statement(text=f"Measured over the probe's window: {label}, {plain(number)}.", refs=(one.id,))

    return reply


def better(case: Case) -> Iterator[Statement]:
    """The users' number over its readings; a trend needs two."""
    view = case.view
    followed = signal(view, measures.USERS)
    points = followed.points if followed is not None else ()
    if followed is None or len(points) < 2:
        yield Statement(text="I don't know: there is one reading of what users notice, and a trend needs two.",
                        known=False)  # fmt: skip
        yield from readings(case, measures.USERS)
        yield Statement(text=f"What would tell: `/oncall probe {measures.USERS}`.", known=False)
        return
    first, last = points[0], points[-1]
    went = f"{plain(shown(followed, first.value))} → {plain(shown(followed, last.value))}"
    when = f"{wording.clock(first.at)} → {wording.clock(last.at)}"
    yield Statement(text=f"{followed.label.capitalize()}: {went} ({when}).", refs=(first.ref, last.ref))
    yield from readings(case, measures.USERS)
    recovered = refs_of(view, "users_recovered")
    if recovered:
        yield Statement(text="Users were found to be well again.", refs=recovered)


def since(case: Case) -> Iterator[Statement]:
    """When it began, was paged, and moved on."""
    view, incident = case.view, case.view.incident
    start = measures.began(view)
    yield Statement(text=f"{start.label}: {wording.moment(start.at)}.", refs=(start.ref,))
    yield Statement(text=f"Paged at {wording.moment(incident.opened_at)}.",
                    refs=refs_of(view, "page_received") or refs_of(view, "incident_opened"))  # fmt: skip
    moved = [f"{word} at {wording.moment(at)}" for word, at in _moved(view) if at is not None]
    if moved:
        refs = refs_of(view, "incident_acknowledged") + refs_of(view, "verification_made")
        yield Statement(text=f"{', '.join(moved)}.", refs=refs + refs_of(view, "incident_resolved"))


def _moved(view: IncidentView) -> tuple[tuple[str, datetime | None], ...]:
    incident = view.incident
    return (("Acknowledged", incident.acknowledged_at), ("Mitigated", incident.mitigated_at),
            ("Resolved", incident.resolved_at))  # fmt: skip


def quality(case: Case) -> Iterator[Statement]:
    """How good the answers are: the judge's score, what else was read about them, and the golden set."""
    one = newest(case.view, measures.USERS)
    value = None if one is None else recorded(one, "user_signal.quality")
    if one is not None and value is not None:
        text = f"Judged quality is {wording.number(round(value, 3))} of 1 at {wording.clock(one.started_at)}."
        yield seen(one) if one.outcome in ("quality_drop", "mix_shift") else Statement(text=text, refs=(one.id,))
        yield from readings(case, "golden_set", "structured_output")
        return
    yield from read_or_not(case, "golden_set", "structured_output")


def money(case: Case) -> Iterator[Statement]:
    """What the incident costs the company is not measured by any probe."""
    yield Statement(text="I don't know: no probe measures what the incident costs.", known=False)
    yield ask(case, "What would tell")


def cost(case: Case) -> Iterator[Statement]:
    """What looking into it has cost so far."""
    view = case.view
    if not view.findings:
        yield Statement(text="I don't know: nothing has been read yet.", known=False)
        return
    paid = [finding for finding in view.findings if finding.reading.tokens or finding.reading.usd]
    tokens = sum(finding.reading.tokens for finding in paid)
    usd = sum(finding.reading.usd for finding in paid)
    head = f"{wording.plural(len(view.findings), 'reading')} so far: {tokens:,} tokens, {wording.usd(usd)}."
    refs = tuple(finding.id for finding in paid) or (view.findings[-1].id,)
    yield Statement(text=head, refs=refs)
    yield Statement(text="What the incident itself costs is not measured.")


def tenants(case: Case) -> Iterator[Statement]:
    """Whether one tenant stands out."""
    one = newest(case.view, "demand_profile")
    if one is not None and one.verdict in TOLD:
        yield seen(one)
        if one.outcome not in _WHO:
            yield Statement(text="It does not say that one tenant's share moved.", refs=(one.id,))
        return
    yield from not_told(case, ("demand_profile",), [seen(one)] if one is not None else ())


def is_real(case: Case) -> Iterator[Statement]:
    """Whether telemetry can be believed, and whether users really feel it."""
    found = list(readings(case, "telemetry_check"))
    if not any(each.known for each in found):
        yield from not_told(case, ("telemetry_check",), found)
        return
    yield from found
    signal_ = newest(case.view, measures.USERS)
    if signal_ is not None and signal_.verdict is not Verdict.NOT_RUN:
        yield seen(signal_)


KINDS = (
    Kind(name="better", asks="is it getting better?", rank=SPECIFIC, reply=better,
         pattern=r"\b(getting|got|get) (better|worse)\b|\b(improv\w+|recover\w*|trend\w*|declin\w+|worsen\w*)\b|"
                 r"\b(going|go|went|coming) (up|down)\b|\bis it (still )?(better|worse|ongoing|happening)\b|"
                 r"\bback to normal\b|\bis it (still )?(bad|down|broken|failing|on)\b|\bstill (bad|broken|failing|"
                 r"down|happening)\b|\bstabili[sz]\w+"),
    Kind(name="error_rate", asks="what is the error rate now and normally?", rank=SPECIFIC,
         reply=_series("user_signal.error_share"),
         pattern=r"\berror.?(rate|share|ratio|count|level|percentage)s?\b|\bfailure rate\b|\bhow many\b.*\b(errors|"
                 r"requests|calls)\b|\b(percent\w*|share|fraction|portion) of (the )?(requests|calls)\b|"
                 r"\b(requests|calls) (are )?fail\w*|\b5xx\b|\berrors?\b.*\b(now|normal|usual|baseline|right now)\b"),
    Kind(name="latency", asks="how slow is it now?", rank=SPECIFIC, reply=_series("user_signal.p95_s"),
         pattern=r"\b(latency|latencies|slow\w*|p9\d|p50|response times?|how fast|ttft|time to first|duration of|"
                 r"speed)\b|\bhow long (do|does|did|is|are) (the |an? |our )?(responses?|answers?|repl(y|ies)|"
                 r"requests?|calls?)\b|\btimeouts?\b"),
    Kind(name="quality", asks="how good are the answers now?", rank=SPECIFIC, reply=quality,
         pattern=r"\bquality\b|\bhow (good|bad) (are|is) (the |its |our )?(answer|repl|output|response)\w*|"
                 r"\b(answers|replies|outputs|responses)\b.*\b(ok|okay|right|wrong|correct|good|bad|worse|sane)\b|"
                 r"\bjudge score\b"),
    Kind(name="telemetry", asks="can we trust the telemetry?", rank=SPECIFIC, reply=is_real,
         pattern=r"\b(telemetry|monitoring|metrics|prometheus|dashboards?|scrap\w+|observability)\b|\bfalse (alarm|"
                 r"positive)\b|\b(is|was) (it|this) real\b|\btrust the (numbers|data|graphs?)\b|\bjudge (itself|"
                 r"drift\w*)\b"),
    Kind(name="queue", asks="how deep is the queue?", rank=SPECIFIC, reply=_series("demand_profile.queue_depth"),
         pattern=r"\b(queue\w*|backlog|items? waiting|piled? up|piling up|pending items)\b"),
    Kind(name="tenants", asks="is it one tenant?", rank=SPECIFIC, reply=tenants,
         pattern=r"\b(tenants?|noisy neighbou?r|single customer|one customer|who (is|'s) (sending|hammering|"
                 r"flooding))\b|\btraffic\b.*\b(spike|up|surge|more|normal|grow\w*)\b|\b(load|demand)\b|\b(traffic|"
                 r"usage) (spike|surge)\b|\bretry storm|\bretries\b"),
    Kind(name="money", asks="what does the outage cost us?", rank=SPECIFIC, reply=money,
         pattern=r"\b(outage|downtime|incident|revenue|business|customers?)\b.*\b(cost\w*|money|los(s|ing|t|e)|"
                 r"revenue)\b|\b(los(s|ing|t|e)) (money|revenue)\b|\bcost(s|ing)? (us|the company|the business)\b|"
                 r"\brevenue\b|\bhow much money\b|\blosing\b|\bdamage\b"),
    Kind(name="cost", asks="what did looking into it cost?", rank=SPECIFIC, reply=cost,
         pattern=r"\b(costs?|spen[dt]|tokens?|budget|money|expensive|price|bill|burn(t|ed)?)\b"),
    Kind(name="since", asks="since when?", rank=USUAL, reply=since,
         pattern=r"\b(since when|when did|when was|how long|what time|start(ed)?|began|begin|onset|first (seen|"
                 r"page)|duration)\b"),
    Kind(name="impact", asks="are users affected?", rank=USUAL, reply=impact,
         pattern=r"\b(impact\w*|affected|affects?|users?|customers?|how bad|sever(e|ity)|how many (users|customers|"
                 r"people)|blast|people (feel|notice|see)|notic\w+|hurt\w*|sli|slo)\b|\b(on|for|to) (the |"
                 r"our )?(customers?|users?|people)\b"),
)  # fmt: skip
