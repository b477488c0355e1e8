"""Questions about what changed, and what is live."""

from collections.abc import Iterator, Sequence

from bot.domain import wording
from bot.domain.card import newest_findings
from bot.domain.questions.kind import SPECIFIC, USUAL, Case, Kind
from bot.domain.questions.words import newest, read_or_not, readings, seen, would_run
from bot.domain.statement import Statement, plain, refs_of
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView
from diagnostics.model import Change


def around(view: IncidentView) -> Sequence[Change]:
    """Changes near the start, the newest first."""
    return sorted(view.changes, key=lambda change: change.at, reverse=True)


def line_of(change: Change) -> Statement:
    """One change: when, what, from what to what, by whom."""
    moved = f" ({quote(change.before, 40)} → {quote(change.after, 40)})" if change.before or change.after else ""
    by = f" by {quote(change.actor, 40)}" if change.actor else ""
    head = f"{wording.moment(change.at)} {plain(change.kind)}"
    return Statement(text=f"• {head}: {quote(change.summary)}{moved}{by}", refs=(change.id,))


def changed(case: Case) -> Iterator[Statement]:
    """The change log around the start; a change is a hypothesis, not a cause."""
    changes = around(case.view)
    yield from map(line_of, changes[:3])
    if changes:
        more = f"{wording.plural(len(changes) - 3, 'more change')} before these. " if len(changes) > 3 else ""
        yield Statement(text=f"{more}A change near the start is something to look at, not yet a cause.")
        return
    log = next((f for f in newest_findings(case.view) if f.probe == "change_log"), None)
    if log is not None:
        yield seen(log)
    else:
        yield Statement(text="I don't know: the change log was not read.", known=False)
        yield would_run(case, "change_log")


def live(case: Case) -> Iterator[Statement]:
    """Which model and prompt serve it, as far as the catalogue, the change log and the probes tell."""
    service = case.view.service
    if service is None:
        yield Statement(text="I don't know: the service is not in the catalogue.", known=False)
        return
    prompt = f", prompt {plain(service.prompt)}" if service.prompt else ""
    text = f"Declared in the catalogue: model {plain(service.model)} of {plain(service.provider)}{prompt}."
    yield Statement(text=text, refs=refs_of(case.view, "incident_opened"))
    moved = next((change for change in around(case.view) if change.kind in ("prompt", "model", "config")), None)
    if moved is not None:
        version = f", now {quote(moved.after, 40)}" if moved.after else ""
        said = f"Last recorded {plain(moved.kind)} change: {quote(moved.summary)}{version}"
        yield Statement(text=said, refs=(moved.id,))
    yield from list(readings(case, "model_fingerprint"))
    if moved is None and newest(case.view, "model_fingerprint") is None:
        text = "The version that serves now was not read; what would tell: `/oncall probe model_fingerprint`."
        yield Statement(text=text)


def golden(case: Case) -> Iterator[Statement]:
    """How many items of the golden set pass."""
    return read_or_not(case, "golden_set")


KINDS = (
    Kind(name="live", asks="which model and prompt version is live?", rank=SPECIFIC, reply=live,
         pattern=r"\b(which|what)\b.*\b(model|prompt|version|revision)s?\b.*\b(live|running|using|use|serv\w+|"
                 r"in prod\w*|deployed|now|on|current\w*)\b|\b(current|live|active) (model|prompt|version)|"
                 r"\b(model|prompt) version|\b(which|what) (model|prompt)\b|\bversion are we\b"),
    Kind(name="golden", asks="what does the golden set say?", rank=SPECIFIC + 1, reply=golden,
         pattern=r"\bgolden\b|\beval(uation)?s?\b.*\b(score|set|say|pass|result)|\bregression (test|suite|set)"),
    Kind(name="changed", asks="what changed?", rank=USUAL, reply=changed,
         pattern=r"\b(chang(e|ed|es)|deploy(s|ed|ment|ments|ing)?|releas(e|ed|es)|roll(ed|s|ing)? (\w+ )?out|"
                 r"rollouts?|merged|shipped|pushed|what('s| is) new|went out|go(ne)? out|change ?log)\b|\b(ship|"
                 r"merge|push|touch)\b"),
)  # fmt: skip
