"""What each kind of fact says, in one table. Values come from the fact's data; a part in brackets needs its values.

``{title}`` quotes a value, ``{proposal|code}`` shows an id, ``{until|moment}`` a time, ``{decision|word}`` a word of
one of our closed lists, ``{name|name}`` a person, ``{probes|list}`` several names, ``{text|whole}`` all of a text.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from bot.domain import wording
from bot.domain.document import QUOTE, Part, Statement, code, name, quoted, say
from bot.domain.edits import moment
from bot.domain.timeline import Fact, canonical

SENTENCES: Mapping[str, str] = {
    "page_received": "Page received: {title}[, urgency {urgency|word}][, occurred {occurred_at|moment}]",
    "page_joined": "Another page joined: {title}[, occurred {occurred_at|moment}]",
    "page_stale": "A page from long ago was put aside, not investigated: {title}[, occurred {occurred_at|moment}]",
    "incident_opened": "Incident opened[ for service {service|code}][, team {team|code}]",
    "incident_acknowledged": "Acknowledged[ by {by|name}][ in the pager, at {occurred_at|moment}]",
    "incident_escalated": "Escalated[ by {by|name}]",
    "incident_resolved": "Resolved[ by {by|name}][ in the pager, at {occurred_at|moment}]",
    "incident_reopened": "Opened again by the pager[, at {occurred_at|moment}]",
    "incident_closed": "Closed: its postmortem is written",
    "pager_changed": "The pager says: {kind|word}[, {event}][ {note}][, people {people|list}]"
                     "[, merged into {merged_into|code}]",
    "priority_changed": "In the pager the priority was changed[ to {to|name}]",
    "assignees_changed": "In the pager it was assigned[ to {to|name}][, policy {policy|name}]",
    "pager_noted": "Note in the pager[: {note}]",
    "responder_added": "Asked to help, in the pager[: {person|name}][, through {policy|name}][, saying {text}]",
    "responder_replied": "[{person|name} ]answered the request to help: {answer|word}",
    "status_update_published": "A status update was published in the pager[: {text|whole}]",
    "bridge_changed": "The conference bridge was changed in the pager[: {lines|list}]",
    "fields_changed": "Custom fields were changed in the pager[: {lines|list}]",
    "pager_role_given": "In the pager a role was given[: {about|name}][, to {person|name}]",
    "pager_echoed": "The pager confirms what was done from here[ by {by|name}]: {kind|word}[, priority {priority|name}]"
                    "[, people {people|list}]",
    "pager_told": "PagerDuty took it: {what|word}[ {to|name}][, for {by|name}]",
    "priority_requested": "[{by|name} ]set the priority in PagerDuty[ to {to|name}]",
    "reassignment_requested": "[{by|name} ]had it assigned in PagerDuty[ to {to|name}]",
    "update_due": "A stakeholder update was due[ since {due_at|moment}]; people were reminded",
    "update_sent": "[{by|name} ]sent stakeholders an update[, to {to|list}]: {text|whole}",
    "investigation_started": "Investigation[ {number|code}] started[, because {why}][, asked by {by|name}]",
    "runbooks_retrieved": "Runbooks searched[: {matches|titles}][; note: {notice}]",
    "probe_started": "Probe started[: {probe|code}][, asked for by {by|name}]",
    "probe_finished": "{probe|code} shows {outcome|outcome}[: {summary}]",
    "diagnosis_made": "Diagnosis: {conclusion|conclusion}[, most likely {leader|code}][, {probability|percent}]"
                      "[, most likely {ranked|ranked}][ (stopped: {reason})]",
    "investigation_ended": "Investigation ended[: {reason}][; passed over: {passed_over|passed}][; {next}]",
    "hint_given": "A hint was given[ by {by|name}]: {text}",
    "proposal_made": "Proposed {proposal|code}[: {rationale}][; plan {plan_hash|hash}]",
    "proposal_withheld": "Shown without a vote: {proposal|code}[: {rationale}][, because {withheld}]",
    "proposal_superseded": "{proposal|code} was withdrawn[ by {by|name}]",
    "proposal_expired": "{proposal|code} expired; nothing was done[, because {why}]",
    "vote_cast": "[{name|name} ]voted to {decision|word} {proposal|code}[ (via {via|word})][, saying {reason}]",
    "vote_denied": "A vote[ of {name|name}][ to {decision|word}][ {proposal|code}] did not count[: {denied|word}]"
                   "[, {why}]",
    "proposal_approved": "{proposal|code} was approved[; plan {plan_hash|hash}]",
    "proposal_rejected": "{proposal|code} was rejected[ by {name|name}][, saying {reason}]; nothing was done",
    "effect_claimed": "About to carry out[ {effect|code}] for {proposal|code}, once",
    "effect_applied": "Carried out {proposal|code}[: {detail}]",
    "effect_reverted": "Set back what {proposal|code} had changed[: {detail}]",
    "effect_failed": "Not carried out: {proposal|code}[: {detail}]",
    "effect_conflict": "Nothing was changed, because the target was not as approved: {proposal|code}[: {detail}]",
    "effect_unknown": "It is not known whether {proposal|code} took effect[: {detail}]",
    "effect_held": "Held back: {proposal|code}[, because {why}]",
    "manual_done": "[{name|name} ]reported {proposal|code} as done by hand",
    "lease_started": "The lease of {proposal|code} began[, until {until|moment}]",
    "lease_ended": "The lease of {proposal|code} ended[, because {why}]",
    "verification_started": "Verification started[: {probes|list} are read again][, attempt {attempt|code}]",
    "verification_made": "Verification of {proposal|code}: {verdict|verdict}[; {reason}]",
    "users_recovered": "Users are well again after {proposal|code}[: {reason}]",
    "users_not_recovered": "Users are not known to be well after {proposal|code}[: {reason}]",
    "frozen": "All execution was stopped[ for {service|code}][ by {by|name}][, because {reason}]",
    "unfrozen": "Execution was allowed again[ for {service|code}][ by {by|name}][, because {reason}]",
    "question_asked": "[{by|name} ]asked: {text}",
    "question_answered": "Answered[ {question}][: {text}]",
    "note_added": "Note[ by {by|name}]: {text}",
    "person_did": "Done by a person, outside Pagerunner[, {by|name}]: {text}",
    "exported": "The postmortem was written[: {files|list}]",
    "alarm": "Alarm[: {why}][, unreadable delivery: {unreadable}][, undeliverable: {undeliverable|word}]"
             "[, the stored plan of {plan_hash_mismatch|code}"
             " does not match its hash][, checkpoint refused: {checkpoint}]",
    "foreign_team": "A signed request of another Slack workspace was refused[, team {team|code}][, app {app|code}]",
    "glass_broken": "[{name|name} ]approved {proposal|code} alone, by break-glass[, saying {reason}]"
                    "[; team {team|code} has to review it]",
    "debt_reviewed": "[{name|name} ]reviewed the break-glass approval of {proposal|code}[, saying {note}]",
    "review_denied": "A review[ of {name|name}] of the break-glass approval of {proposal|code} did not count[: {why}]",
    "link_made": "A code to link the command line of {label} was made[, link {link|code}][, by {by|name}]",
    "link_claimed": "[{name|name} ]typed the code of link {link|code}[, the command line of {label}]",
    "link_confirmed": "The command line of {label} acts as {name|name} from now on[, link {link|code}]",
    "link_ended": "Link {link|code} was ended[, the command line of {label}][, by {by|name}]",
    "link_refused": "A code to link a command line was refused[, typed by {name|name}][: {why}]",
    "channel_opened": "A channel of its own was opened[: {channel_name|code}][, after {before|code}]",
    "channel_not_opened": "It goes on in a thread of the team's channel[, because {why}]",
    "channel_archived": "Its channel was archived[: {channel_name|code}]",
    "app_installed": "The Slack app was installed[ into workspace {team|code}][ by {by|code}]",
    "app_uninstalled": "The Slack app is no longer installed[ in workspace {team|code}][, because {why}]",
    "message_added": "Said in chat[ by {by|name}][, at {said_at|moment}]: {text}",
    "responder_requested": "[{by|name} ]had somebody paged in PagerDuty[: {target}][, saying {why}]",
    "snoozed": "Snoozed[ until {until|moment}][ by {by|name}]",
    "role_taken": "The role of {role|word}[ went to {holder|name}][, set by {by|name}]",
    "handed_over": "Handed over[ by {by|name}][ to {holder|name}]",
    "runbook_used": "A runbook was used[: {runbook|code}][ of library {library|code}][, commit {commit|code}]"
                    "[, file {file|code}][, text {sha256|hash}]",
    "verdict_given": "[{by|name} ]said of the diagnosis: {verdict|word}[; the runbook was {runbook|code}]",
    "followup_added": "To follow[, owner {owner|name}]: {text}[, noted by {by|name}]",
    "issues_requested": "[{by|name} ]asked for GitHub issues[ in {repository|code}][ of follow-ups {entries|list}]"
                        "[, redacted for: {redaction|word}]",
    "issue_created": "Issue {issue|code} was made[ of follow-up {entry|code}][: {url|code}]",
    "entry_hidden": "Entry {entry|code} was {state|state} in documents[ by {by|name}][, because {why}]",
    "entry_annotated": "Entry {entry|code} was annotated[ by {by|name}]: {text}",
    "entry_placed": "The time of entry {entry|code} was {state|state}[: {at|moment}][, by {by|name}][, because {why}]",
    "key_moment": "Entry {entry|code} was {state|state} as a key moment[: {label}][, {role|role}][, by {by|name}]",
}  # fmt: skip
"""Kind of fact -> its sentence. Every member of ``KINDS`` is here."""

WHOLE = 3_000
"""Of a text that is shown as it was sent."""
_PART = re.compile(r"\[(?P<optional>[^\]]*)\]|\{(?P<value>[^}]*)\}|(?P<text>[^\[{]+)")
_WORD = re.compile(r"[a-z][a-z0-9]*(?:[_ -][a-z0-9]+){0,4}")
_STATES = {"hidden": "hidden", "placed": "corrected", "marked": "marked", "undone": "put back as it was",
           "began": "as the beginning of the impact"}  # fmt: skip
_CONCLUSIONS = {"cause": "a cause was found", "no_fault": "no fault was found", "inconclusive": "not sure"}


def sentence(fact: Fact) -> Statement:
    """The fact in words; values that are missing are left out, and a required one is said to be missing."""
    template = SENTENCES.get(fact.kind)
    if template is None:
        return say(fact.kind.replace("_", " "), ".", refs=_evidence(fact))
    parts = list(_render(template, fact.data))
    if parts and isinstance(parts[0], str):
        parts[0] = parts[0][:1].upper() + parts[0][1:]
    return say(*parts, ".", refs=_evidence(fact))


def _evidence(fact: Fact) -> tuple[str, ...]:
    """What the fact itself cites."""
    cited = fact.data.get("evidence")
    if isinstance(cited, str):
        return (cited,)
    return tuple(str(ref) for ref in cited) if isinstance(cited, list | tuple) else ()


@cache
def _parts(template: str) -> tuple[tuple[str, str], ...]:
    return tuple((str(found.lastgroup), str(found[str(found.lastgroup)])) for found in _PART.finditer(template))


def _render(template: str, data: Mapping[str, Any]) -> Iterator[Part]:
    for kind, content in _parts(template):
        if kind == "text":
            yield content
        elif kind == "value":
            yield from _value(content, data) or ["(not recorded)"]
        else:
            inside = [value for group, value in _parts(content) if group == "value"]
            if all(_value(value, data) for value in inside):
                yield from _render(content, data)


def _value(field: str, data: Mapping[str, Any]) -> list[Part]:
    """The value of a field as parts; empty when there is none."""
    key, _, form = field.partition("|")
    value = data.get(key)
    if value is None or value in ("", [], (), {}):
        return []
    return list(_format(form, value))


def _format(form: str, value: Any) -> Iterator[Part]:
    match form:
        case "code":
            yield code(_plain(value))
        case "hash":
            yield code(_plain(value)[:12])
        case "name":
            yield name(_plain(value))
        case "word":
            yield _word(_plain(value))
        case "outcome":
            yield from _outcome(_plain(value))
        case "state" | "role":
            yield _STATES.get(_plain(value)) or _word(_plain(value))
        case "verdict":
            yield wording.EFFECT_VERDICTS.get(_plain(value)) or _word(_plain(value))
        case "conclusion":
            yield _CONCLUSIONS.get(_plain(value)) or _word(_plain(value))
        case "percent":
            yield wording.percent(value) if isinstance(value, int | float) else quoted(_plain(value))
        case "moment":
            yield _moment(value)
        case "list" | "titles" | "ranked" | "passed":
            yield from _several(form, value)
        case _:
            yield quoted(_plain(value), WHOLE if form == "whole" else QUOTE)


def _word(text: str) -> Part:
    return text.replace("_", " ") if len(text) <= 40 and _WORD.fullmatch(text) else quoted(text)


def _outcome(text: str) -> Iterator[Part]:
    yield code(text, 40)
    if text in wording.OUTCOMES:
        yield f" ({wording.OUTCOMES[text]})"


def _moment(value: Any) -> Part:
    at = moment(value)
    return quoted(_plain(value), 40) if at is None else f"{at:%Y-%m-%d %H:%M:%S %Z}"


def _several(form: str, value: Any) -> Iterator[Part]:
    items = list(value) if isinstance(value, list | tuple) else [value]
    shown = [_item(form, item) for item in items[:6]]
    for number, item in enumerate(shown):
        if number:
            yield ", "
        yield from item
    if len(items) > len(shown):
        yield f" and {len(items) - len(shown)} more"


def _item(form: str, item: Any) -> list[Part]:
    if not isinstance(item, Mapping):
        return [code(_plain(item), 80)]
    if form == "titles":
        return [quoted(_plain(item.get("title") or item.get("runbook") or item), 80)]
    if form == "ranked":
        share = item.get("probability")
        return [code(_plain(item.get("mode", item)), 80),
                f" {wording.percent(share)}" if isinstance(share, int | float) else ""]  # fmt: skip
    if form == "passed":
        return [code(_plain(item.get("step", item)), 80), " (", quoted(_plain(item.get("why", "")), 160), ")"]
    return [code(_plain(item), 80)]


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return value
    return canonical(value).decode()
