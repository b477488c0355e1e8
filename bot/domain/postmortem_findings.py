"""The postmortem's findings: what the cause is and is not, what was checked, which runbooks fit, and the evidence."""

from collections.abc import Iterator, Sequence

from bot.domain import measures as timing
from bot.domain import wording
from bot.domain.card import against
from bot.domain.document import (
    Block,
    Excerpt,
    Heading,
    Part,
    Points,
    Row,
    Statement,
    Table,
    code,
    quoted,
    say,
)
from bot.domain.measures import utc
from bot.domain.provenance import UsedText, used_texts
from bot.domain.reading_words import account, figures, outcome
from bot.domain.redaction_names import LEFT_OUT
from bot.domain.untrusted import clean
from bot.domain.view import IncidentView
from diagnostics.model import Argument, Finding, Hypothesis, Verdict, Weight

EXCERPT = 2_000
MAX_ARGUMENTS = 12
MAX_HYPOTHESES = 12
TELLING = 0.05
"""Bits below which an argument says nothing."""


def cause(view: IncidentView) -> Iterator[Block]:
    """The leading cause with its arguments."""
    diagnosis = view.diagnosis
    if diagnosis is None or not diagnosis.ranked:
        yield Points(items=(say("No diagnosis was made.", gap=True),))
        return
    made = timing.last_ref(view, "diagnosis_made")
    leader = diagnosis.leader
    share = wording.percent(leader.probability)
    head = {
        "cause": "The findings point to ",
        "no_fault": "No fault was found: ",
        "inconclusive": "Not sure. Best guess: ",
    }
    points = [say(head[diagnosis.conclusion], quoted(leader.title, 100), " (", code(leader.mode), f"), {share} sure.",
                  refs=(made,))]  # fmt: skip
    if len(diagnosis.causes) > 1:
        names: list[Part] = []
        for number_, each in enumerate(diagnosis.causes):
            names += [", " if number_ else "", code(each)]
        points.append(say("All abnormal findings together need more than one cause: ", *names, ".", refs=(made,)))
    if diagnosis.residual:
        points.append(say("Not explained by it: ", *_probes_of(view, diagnosis.residual), ".", refs=diagnosis.residual))
    if diagnosis.reason:
        points.append(say("The investigation stopped because: ", quoted(diagnosis.reason), ".", refs=(made,)))
    yield Points(items=tuple(points))
    yield _arguments(view, leader)


def ruled_out(view: IncidentView) -> Iterator[Block]:
    """The other causes with what speaks against them."""
    others = () if view.diagnosis is None else view.diagnosis.ranked[1:]
    if not others:
        yield Points(items=(say("No other cause was weighed.", gap=True),))
        return
    yield from _others(view, timing.last_ref(view, "diagnosis_made"))


def checks(view: IncidentView) -> Iterator[Block]:
    """Everything that was looked at before any change: not normal, normal, and what could not be told."""
    before: dict[str, Finding] = {f.probe: f for f in view.findings if f.round == 0}
    bad = [f for f in before.values() if f.verdict is Verdict.ABNORMAL]
    good = [f for f in before.values() if f.verdict is Verdict.NORMAL]
    unsure = [f for f in before.values() if f.verdict not in (Verdict.ABNORMAL, Verdict.NORMAL)]
    for title, findings, nothing in (
        ("Not normal", bad, "No probe found anything that is not normal."),
        ("Checked and normal", good, "No probe found anything to be normal."),
        ("Inconclusive or not run, and why", unsure, "Every probe that was run gave an answer."),
    ):
        if findings:
            yield Table(heads=("Probe", "Outcome", "What it read", "Statistics", "Took, evidence"), title=title,
                        rows=tuple(_check(f) for f in findings))  # fmt: skip
        else:
            yield Heading(title=say(title))
            yield Points(items=(say(nothing, gap=True),))
    further = [*(say("Still running when this was written: ", code(name), ".", gap=True) for name in view.running)]
    for each in view.diagnosis.next_probes[:3] if view.diagnosis else ():
        further.append(say("Not asked again: ", code(each.probe), f", which would have told {each.bits:.2f} bits.",
                           refs=(timing.last_ref(view, "diagnosis_made"),)))  # fmt: skip
    if further:
        yield Points(items=tuple(further))


def runbooks(view: IncidentView) -> Iterator[Block]:
    """Which runbooks were found, why, and at which revision they were used."""
    made = timing.last_ref(view, "runbooks_retrieved")
    retrieval = view.retrieval
    if retrieval is None or not retrieval.matches:
        yield Points(items=(say("No runbook was found.", gap=True),))
        return
    used: dict[str, str] = {}
    for pv in view.proposals:
        plan = pv.proposal.plan
        used[plan.runbook.split("#", maxsplit=1)[0]] = plan.runbook_revision
    texts = {one.runbook: one for one in used_texts(view)}
    rows = []
    for match in retrieval.matches:
        why: list[Part] = []
        for reason in match.reasons[:3]:
            why += ["; " if why else "", quoted(reason.text, 160), f" ({reason.contribution:+.2f})"]
        rows.append(
            Row(
                cells=(
                    say(quoted(match.title, 100), " ", code(match.document)),
                    say(f"{match.score:.2f}"), say(wording.percent(match.prior)),
                    say(*why) if why else say("no reason was recorded"),
                    _revision(texts.get(match.document), used.get(match.document, ""), made),
                ),
            )
        )  # fmt: skip
    yield Table(heads=("Runbook", "Score", "Prior", "Why it was found", "Revision used"), rows=tuple(rows))
    how = "by meaning and by words" if retrieval.mode == "fused" else "by words alone"
    points = [*map(_text, used_texts(view)), say(f"They were searched {how}.", refs=(made,))]
    if retrieval.notice:
        points.append(say("Note of the search: ", quoted(retrieval.notice), ".", refs=(made,)))
    yield Points(items=tuple(points))


def _revision(text: UsedText | None, proposed: str, made: str) -> Statement:
    if text is not None:
        return say(code(text.short, 100), refs=(f"#{text.entry}",))
    return say(code(proposed[:12]), refs=(made,)) if proposed else say("not used", refs=(made,))


def _text(one: UsedText) -> Statement:
    """Which text was used, so that anybody can read it again."""
    where: list[Part] = [" of ", code(one.source, 200)] if one.source else []
    where += [" at commit ", code(one.commit)] if one.commit else [", text ", code(f"sha256:{one.sha256}", 80)]
    link: list[Part] = [": ", code(one.link, 400)] if one.link else []
    head = (code(one.runbook), " was used as library ", code(one.library), " had it: file ", code(one.file, 200))
    return say(*head, *where, *link, ".", refs=(f"#{one.entry}",))


def evidence(view: IncidentView) -> Iterator[Block]:
    """Every finding with what was really received."""
    if not view.findings:
        yield Points(items=(say("There are no findings.", gap=True),))
    deciding = _deciding(view)
    for finding in view.findings:
        yield Heading(key=finding.id, title=say(code(finding.id, 60), " ", code(finding.probe, 60), ", ",
                                                utc(finding.started_at)))  # fmt: skip
        yield Points(items=(account(finding),))
        for one in finding.reading.evidence:
            if one.source.startswith(LEFT_OUT):
                continue
            source = say(quoted(one.source, 300))
            yield Excerpt(source=source, text=_excerpt(one.excerpt), folded=finding.id not in deciding)


def _excerpt(text: str) -> str:
    """What was received: lines, without invisible characters, bounded."""
    whole = (
        text if text.isascii() and text.replace("\n", "").isprintable() else clean(text[: 4 * EXCERPT], lines=True)[0]
    )
    return whole if len(whole) <= EXCERPT else f"{whole[:EXCERPT]} … [cut]"


def _deciding(view: IncidentView) -> frozenset[str]:
    """Findings that the cause, a verdict or the impact rests on: what they received is shown at once."""
    diagnosis = view.diagnosis
    found = {a.finding_id for a in diagnosis.leader.arguments} if diagnosis and diagnosis.ranked else set()
    for entry in view.entries("verification_made"):
        cited = entry.fact.data.get("evidence")
        found |= {str(ref) for ref in cited} if isinstance(cited, list | tuple) else set()
    felt = [finding.id for finding in view.findings if finding.probe == timing.USERS]
    return frozenset(found | set(felt[:1]) | set(felt[-1:]))


# --- Cause ----------------------------------------------------------------------------------------------------------


def _arguments(view: IncidentView, leader: Hypothesis) -> Block:
    telling = [a for a in leader.arguments if a.weight is not Weight.NEUTRAL and abs(a.bits) >= TELLING]
    strongest = sorted(telling, key=lambda a: -abs(a.bits))
    rows = tuple(_argument(view, argument) for argument in strongest[:MAX_ARGUMENTS])
    if not rows:
        return Points(items=(say("No finding speaks for or against it by itself.", gap=True),))
    return Table(heads=("Weight", "Finding", "How it speaks", "What it read"), rows=rows, title="What speaks for it")


def _argument(view: IncidentView, argument: Argument) -> Row:
    found = next((f for f in view.findings if f.id == argument.finding_id), None)
    read = quoted(found.reading.summary) if found else ""
    refs = (argument.finding_id,) if found else ()
    return Row(cells=(say(bits(argument.bits)), say(code(argument.probe), " ", code(argument.outcome)),
                      say(wording.WEIGHTS[argument.weight]), say(read, refs=refs)))  # fmt: skip


def bits(value: float) -> str:
    """The weight of an argument, with its sign."""
    return f"{value:+.1f} bits".replace("-", "−")


def _others(view: IncidentView, made: str) -> Iterator[Block]:
    assert view.diagnosis is not None
    known = {finding.id for finding in view.findings}
    rows = []
    for other in view.diagnosis.ranked[1 : 1 + MAX_HYPOTHESES]:
        why = against(other)
        if why is None or why.finding_id not in known:
            because = say("nothing speaks against it by itself", refs=(made,))
            word = "less likely"
        else:
            because = say(code(why.probe), " ", code(why.outcome), f" {wording.WEIGHTS[why.weight]} "
                          f"({bits(why.bits)})", refs=(why.finding_id,))  # fmt: skip
            word = "ruled out" if why.weight is Weight.RULES_OUT else "less likely"
        rows.append(
            Row(cells=(say(quoted(other.title, 100)), say(wording.percent(other.probability)), say(word), because))
        )
    if rows:
        yield Table(heads=("Other cause", "Probability", "Verdict", "Because"), rows=tuple(rows))
    rest = len(view.diagnosis.ranked) - 1 - MAX_HYPOTHESES
    if rest > 0:
        yield Points(items=(say(f"{wording.plural(rest, 'further cause')} less likely than these.", refs=(made,)),))


def _probes_of(view: IncidentView, refs: Sequence[str]) -> Iterator[Part]:
    findings = {finding.id: finding for finding in view.findings}
    for count, ref in enumerate(refs):
        found = findings.get(ref)
        yield ", " if count else ""
        yield code(f"{found.probe} {found.outcome}") if found else code(ref)


# --- Checks and evidence --------------------------------------------------------------------------------------------


def _check(finding: Finding) -> Row:
    took = wording.seconds(finding.elapsed_s)
    return Row(
        cells=(
            say(code(finding.probe)), say(*outcome(finding)), say(quoted(finding.reading.summary)),
            say(figures(finding) or "a plain reading"), say(took, refs=(finding.id,)),
        )
    )  # fmt: skip
