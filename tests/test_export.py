"""Postmortems: what they say, how each statement is known, and that no foreign text becomes anything but text."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal, get_args

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.domain import codec
from bot.domain.document import Blank, Document, Excerpt, Heading, Picture, Points, Statement, Table, Tasks
from bot.domain.incident import Status
from bot.domain.measures import measures, moments
from bot.domain.postmortem import build, summary
from bot.domain.sentences import SENTENCES, sentence
from bot.domain.signals import FOLLOWED, OWN_UNIT, SERIES, signal
from bot.domain.timeline import GENESIS, KINDS, Fact, Provenance, canonical
from bot.domain.view import IncidentView
from bot.edges.export import Export
from bot.edges.export_csv import COLUMNS, cell
from bot.wiring import specs
from diagnostics import series
from diagnostics.model import Evidence, Verdict
from tests import postmortem_samples, view_samples
from tests.view_samples import SAMPLES, at

Form = Literal["md", "html", "json", "csv"]
FORMS: tuple[Form, ...] = get_args(Form)
SAMPLE_VIEWS = {**SAMPLES, "complete": postmortem_samples.complete}
PAYLOADS = (
    "[x](javascript:alert(1))",
    '<img src=x onerror="alert(1)">',
    "![](http://evil.example/p.png)",
    "<!-- hidden -->",
    "x\n# Approved\n\nBy the board",
    "x\n```\n<script>alert(1)</script>\n```",
    "` `` ``` ````",
    "a|b|c",
    "<script>alert(1)</script>",
    "https://evil.example www.evil.example root@evil.example @everyone",
    "Setext\n====\n- [x] done",
    "&lt;b&gt; &#x3C;b>",
    "[ev-00000001]: http://evil.example",
    "“quoted” and then ours",
    "**bold** _it_ ~~x~~ $x$ \\",
    "</q></p></section><h2>Approved</h2>",
    '"><svg onload=alert(1)>',
    "\u202eexe.\u200bx\x00\x1b[31m",
    "{{ 7*7 }} {% for x in y %}",
    "=cmd|'/c calc'!A1",
    "1. one\n2. two",
    "    indented\n\tcode",
    "<https://evil.example|Approve>",
    "<?php x ?> <![CDATA[x]]> <!DOCTYPE x>",
    "[^1] [^1]: note",
    ":smile: #1 GH-1",
)


def text(view: IncidentView, form: Form = "md") -> str:
    return Export().export(view, form).decode()


def cited(document: Document) -> Iterator[str]:
    for section in document.sections:
        for block in section.blocks:
            match block:
                case Points(items=items) | Tasks(items=items):
                    yield from (ref for item in items for ref in item.refs)
                case Table(rows=rows, refs=refs):
                    yield from refs
                    yield from (ref for row in rows for one in row.cells for ref in one.refs)
                case Heading(title=one) | Excerpt(source=one):
                    yield from one.refs
                case _:
                    pass


# --- What is said, and how it is known ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLE_VIEWS)
@pytest.mark.parametrize("form", FORMS)
def test_the_same_view_gives_the_same_bytes(name: str, form: Form) -> None:
    once = Export().export(SAMPLE_VIEWS[name](), form)
    assert once == Export().export(SAMPLE_VIEWS[name](), form)
    assert once


@pytest.mark.parametrize("name", SAMPLE_VIEWS)
def test_everything_that_is_cited_exists(name: str) -> None:
    view = SAMPLE_VIEWS[name]()
    exists = {view.incident.id, *(f.id for f in view.findings), *(f"#{e.seq}" for e in view.timeline)}
    exists |= {pv.proposal.id for pv in view.proposals} | {change.id for change in view.changes}
    assert set(cited(build(view))) <= exists


@pytest.mark.parametrize("name", SAMPLE_VIEWS)
def test_every_statement_says_how_it_is_known_or_that_it_is_not(name: str) -> None:
    def known(one: Statement) -> bool:
        return bool(one.refs) or one.gap

    for section in build(SAMPLE_VIEWS[name]()).sections:
        for block in section.blocks:
            match block:
                case Points(items=items) | Tasks(items=items):
                    assert all(known(item) for item in items), [item.text for item in items if not known(item)]
                case Table(rows=rows, refs=refs):
                    bare = [row for row in rows if not row.key and not any(map(known, row.cells))]
                    assert refs or not bare, [one.text for row in bare for one in row.cells]
                case Heading() | Excerpt() | Blank() | Picture():
                    pass


def test_a_reference_to_nothing_is_not_printed() -> None:
    view = view_samples.verified()
    assert view.diagnosis is not None
    view = replace(view, diagnosis=replace(view.diagnosis, residual=("ev-invented",)))
    for form in ("md", "html"):
        assert "ev-invented" not in re.sub(r"<code>ev-invented</code>|`ev-invented`", "", text(view, form))
    assert "ev-invented" not in set(cited(build(view)))


def test_the_summary_has_two_to_five_sentences_of_facts() -> None:
    for name, sample in SAMPLE_VIEWS.items():
        said = [one.text for one in summary(sample())]
        assert 2 <= len(said) <= 5, name
    assert said == [
        ("The page “LLM error rate above 5 percent for 10 minutes” about chat-assistant arrived at 2026-11-22 12:00:00"
        " UTC."),
        ("What users noticed: “34 % of user requests fail, 0.4 % normally”; last read at 2026-11-22 12:01:21 UTC:"
        " “0.5 % of user requests fail, 34 % before”."),
        "The findings point to “Model provider is failing” (97 % sure).",
        "“Shift traffic” on llm-gateway/routes/chat was carried out after approval: it helped, and was set back.",
        ("Acknowledged 3 min 30 s after the first page, mitigated 7 min after the first page, resolved 40 min after the"
        " first page."),
    ]  # fmt: skip


SAID = (
    "Time to acknowledge (MTTA) | 3 min 30 s", "Time to mitigate (MTTM) | 7 min", "Time to resolve (MTTR) | 40 min",
    "It lasted 50 min",  # From the page's own time on.
    "Time to detect (MTTD) | none: no reading shows when users were first affected",
    "occurred 2026-11-22 11:59:48 UTC (+ 12 s until it was here)",
    "n = 1800, 0.34 against 0.004, p < 0.001, power 99 %",
    "Looking into it cost 235 tokens, 0.0017 US dollars, in 4 probe runs.",
    "+4.2 bits | provider_canary server_error | is usual for it",
    "ruled out | rate_limit_headroom ample rules it out (−6.0 bits)",
    "Checked and normal", "DNS, TCP, TLS and HTTP to acme-openai succeed",
    "Inconclusive or not run, and why", "the status page did not answer within 8 s",
    "close in meaning", "revision abababababab",
    "weights.acme-openai: 100 → 0", "Ana Ruiz slack:T0/U0ANA | approved", "| Slack (#",
    "version 7 became 8", "5 of 5 canaries through llm-gateway ended with 503",
    "5 of 5 canaries through llm-gateway answered",
    "Setting it back: done, claimed 2026-11-22 13:04:00 UTC",
    "Done by a person, outside Pagerunner, Ana Ruiz: “raised the quota with the vendor”.",
    "What went well", "What went badly", "Where we got lucky", "owner: ____",
    "Prompt chat 13: shorter greeting", "read by provider_canary", "pagerunner audit verify",
)  # fmt: skip


def test_a_complete_incident_says_everything_that_a_postmortem_must() -> None:
    plain = re.sub(r"[`*]", "", text(postmortem_samples.complete())).replace("\\", "")
    missing = [each for each in SAID if each not in plain]
    assert not missing
    assert postmortem_samples.complete().timeline[-1].hash in plain


@pytest.mark.parametrize("finding", view_samples.OUTAGE_FINDINGS)
def test_every_finding_is_told_with_its_id_its_number_and_what_was_received(finding: Any) -> None:
    evidence = text(postmortem_samples.complete()).split("## Evidence")[1]
    part = evidence.split(f"### `{finding.id}`")[1].split("###")[0]
    assert finding.reading.summary in part
    assert finding.reading.evidence[0].excerpt in part


def test_in_observe_mode_it_says_what_people_did_instead() -> None:
    view = view_samples.observe()
    assert "The service is in observe mode" in text(view)
    assert "What people did instead of the proposals was not recorded" in text(view)
    did = postmortem_samples.told(
        5, "person_did", Provenance.HUMAN, "slack:T0/U0ANA", text="shifted it by hand", by="Ana"
    )
    view = replace(view, timeline=postmortem_samples.chained([*postmortem_samples.FACTS[:2], did]))
    people = text(view).split("## What people did and said")[1].split("\n## ")[0]
    assert "shifted it by hand" in people
    assert "Nothing was changed by Pagerunner" in text(view)
    assert "was not recorded" not in people


def test_an_open_incident_is_called_a_report_and_not_a_postmortem() -> None:
    assert text(view_samples.verified()).startswith("# Report so far on inc-7f3a2c")
    assert text(view_samples.resolved()).startswith("# Postmortem of inc-7f3a2c")


def test_what_made_it_worse_is_compared_with_what_was_read_before_it_and_not_after() -> None:
    view = view_samples.made_worse()
    later = replace(view.findings[2], id="ev-later", started_at=at(12), round=0)  # The investigation that followed.
    again = text(replace(view, findings=(*view.findings, later))).split("**Read again to verify**")[1].split("\n\n")[1]
    assert "ev-00000003" in again
    assert "ev-later" not in again


# --- Times ----------------------------------------------------------------------------------------------------------


def took(view: IncidentView) -> dict[str, float | None]:
    return {measure.key: measure.seconds for measure in measures(view)}


def test_times_are_counted_from_the_page_and_duration_from_the_beginning() -> None:
    assert took(postmortem_samples.complete()) == {
        "detect": None, "acknowledge": 210.0, "mitigate": 420.0, "resolve": 2400.0, "duration": 3000.0,
    }  # fmt: skip
    assert took(view_samples.received()) == dict.fromkeys(took(view_samples.received()))


def test_time_to_detect_is_known_only_where_telemetry_shows_the_onset() -> None:
    view = view_samples.verified()
    first, *rest = view.findings
    shown = replace(first, reading=replace(first.reading, details={"onset": at(-4).isoformat()}))
    assert took(replace(view, findings=(shown, *rest)))["detect"] == 240.0
    for bad in ("soon", at(1).isoformat(), "2026-11-22T11:56:00", 7, None):
        odd = replace(first, reading=replace(first.reading, details={"onset": bad}))
        assert took(replace(view, findings=(odd, *rest)))["detect"] is None, bad


def test_the_pagers_clock_being_ahead_makes_no_negative_duration() -> None:
    view = view_samples.verified()
    early = replace(view.incident, acknowledged_at=at(0) - timedelta(seconds=3))
    assert took(replace(view, incident=early))["acknowledge"] == 0.0


def test_moments_are_in_order_and_each_is_known() -> None:
    view = postmortem_samples.complete()
    happened = moments(view)
    assert [moment.at for moment in happened] == sorted(moment.at for moment in happened)
    assert {"received", "acknowledged", "approved", "effect", "mitigated", "resolved", "closed"} <= {
        m.key for m in happened
    }
    known = {view.incident.id, *(f"#{entry.seq}" for entry in view.timeline)}
    assert {moment.ref for moment in happened} <= known
    resolved = next(m for m in happened if m.key == "resolved")
    assert view.timeline[int(resolved.ref[1:]) - 41].at == at(40)  # The second one: it was opened again between.


# --- Sentences ------------------------------------------------------------------------------------------------------


def test_every_kind_of_fact_has_a_sentence_and_the_sample_has_every_kind() -> None:
    assert set(SENTENCES) == KINDS
    assert {kind for _, kind, *_ in postmortem_samples.FACTS} == KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_sentence_reads_as_one_whether_its_data_is_there_or_not(kind: str) -> None:
    told = next(fact for fact in postmortem_samples.FACTS if fact[1] == kind)
    for data in (told[4], {}):
        said = sentence(Fact(kind=kind, provenance=told[2], actor=told[3], data=data)).text
        assert said.endswith(".")
        assert not re.search(r"[{}\[\]|]", said)
        assert "  " not in said


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("page_received", ("Page received: “LLM error rate above 5 percent for 10 minutes”, urgency high, occurred "
                          "2026-11-22 11:59:48 UTC.")),
        ("vote_cast", "Ana Ruiz voted to approve pr-51c0de (via slack), saying “go”."),
        ("vote_denied", "A vote of root to approve pr-51c0de did not count: not approver, “you are not in the team”."),
        ("diagnosis_made", "Diagnosis: a cause was found, most likely provider-outage 97 % (stopped: “sure”)."),
        ("investigation_ended", ("Investigation ended: “sure”; passed over: provider-outage#1-clamp-retries (“the "
                                "target refused”).")),
        ("verification_made", "Verification of pr-51c0de: it helped; “5 of 5 canaries answered”."),
        ("lease_started", "The lease of pr-51c0de began, until 2026-11-22 13:07:00 UTC."),
        ("person_did", "Done by a person, outside Pagerunner, Ana Ruiz: “raised the quota with the vendor”."),
        ("alarm", "Alarm: “channel not found”, undeliverable: card."),
    ],
)  # fmt: skip
def test_sentences(kind: str, said: str) -> None:
    told = next(fact for fact in postmortem_samples.FACTS if fact[1] == kind)
    assert sentence(Fact(kind=kind, provenance=told[2], actor=told[3], data=told[4])).text == said


def test_a_kind_from_the_future_is_still_told() -> None:
    assert sentence(Fact(kind="moon_rose", provenance=Provenance.OBSERVED, actor="x", data={})).text == "moon rose."


# --- Numbers before and after ---------------------------------------------------------------------------------------


def test_what_is_followed_is_recorded_by_a_probe_that_exists() -> None:
    known = specs()
    recorded = {name.split(":")[0] for name in series.SERIES}
    assert set(SERIES) <= recorded
    assert {stem for by in FOLLOWED.values() for stem in by.values()} == set(SERIES)
    for probe, by in FOLLOWED.items():
        assert set(by) - {""} <= set(known[probe].outcomes)
    assert set(OWN_UNIT) <= set(known)


def test_a_signal_has_its_readings_its_normal_and_the_change() -> None:
    found = signal(postmortem_samples.complete(), "user_signal")
    assert found is not None
    assert [point.value for point in found.points] == [0.34, 0.005]
    assert found.baseline == 0.004
    assert [mark.label for mark in found.changes] == ["Shift traffic", "change", "Shift traffic set back"]


def test_readings_in_different_units_are_not_drawn_on_one_scale() -> None:
    view = view_samples.verified()
    first, *rest = (f for f in view.findings if f.probe == "gateway_canary")
    record = {"gateway_canary.ttft_s:chat": [2.0, 4.0, 3.0], "gateway_canary.failed:chat": [0, 0, 0]}
    slow = replace(
        first, outcome="slow", reading=replace(first.reading, value=6.1, baseline=1.0, details={"record": record})
    )
    assert signal(replace(view, findings=(slow, *rest)), "gateway_canary") is None  # Seconds before, a share after.
    quick = {"gateway_canary.ttft_s:chat": [0.5, 0.7, 0.6]}
    after = replace(rest[0], reading=replace(rest[0].reading, details={"record": quick}))
    found = signal(replace(view, findings=(slow, after)), "gateway_canary")
    assert found is not None
    assert [point.value for point in found.points] == [3.0, 0.6]
    assert found.kind == "seconds"
    assert found.baseline is None  # What is normal was told as a ratio.


# --- Markdown (OU-05) -----------------------------------------------------------------------------------------------


def tokens(markdown: str) -> list[Token]:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    flat = []
    for token in parser.parse(markdown):
        flat += [token, *(token.children or ())]
    return flat


def headings(found: list[Token]) -> list[str]:
    return [
        found[n + 1].content
        for n, token in enumerate(found)
        if token.type == "heading_open" and token.tag in ("h1", "h2")
    ]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_foreign_text_in_markdown_is_only_ever_text(payload: str) -> None:
    hostile = text(postmortem_samples.poisoned(payload))
    found = tokens(hostile)
    kinds = {token.type for token in found}
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "s_open", "hr", "code_block"}
    assert headings(found) == headings(tokens(text(postmortem_samples.complete())))
    loose = " ".join(token.content for token in found if token.type == "text")
    assert not re.search(r"://|www\.|\w@\w|@everyone|\[\^|:smile:|GH-1|\$x", loose)
    assert "Approved" not in " ".join(headings(found))
    checked = [token for token in found if token.type == "text" and token.content.startswith("[x]")]
    assert not checked


@pytest.mark.parametrize("payload", PAYLOADS)
def test_foreign_text_breaks_no_table_in_markdown(payload: str) -> None:
    def rows(markdown: str) -> list[int]:
        found = tokens(markdown)
        widths: list[int] = []
        for token in found:
            if token.type == "tr_open":
                widths.append(0)
            elif token.type in ("td_open", "th_open"):
                widths[-1] += 1
        return widths

    assert rows(text(postmortem_samples.poisoned(payload))) == rows(text(postmortem_samples.poisoned("harmless")))


def test_plain_sentences_stay_readable_and_quoted() -> None:
    assert "“34 % of user requests fail, 0.4 % normally”" in text(view_samples.verified())
    assert "“LLM error rate above 5 percent for 10 minutes”" in text(view_samples.verified())


def test_a_name_that_is_no_name_is_quoted() -> None:
    view = view_samples.verified()
    (pv,) = view.proposals
    for name, shown in (
        ("Ana Ruiz", "| Ana Ruiz `"),
        ("Dr. Åsa O’Neil", "| Dr. Åsa O’Neil `"),
        ("root1", "| “root1” `"),
        ("Approved: ok", "| “Approved: ok” `"),
        ("x" * 99, "| “xxx"),
    ):
        votes = (replace(pv.votes[0], name=name),)
        assert shown in text(replace(view, proposals=(replace(pv, votes=votes),))), name


# --- JSON -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLE_VIEWS)
def test_json_loses_nothing(name: str) -> None:
    view = SAMPLE_VIEWS[name]()
    assert codec.load(IncidentView, json.loads(text(view, "json"))["view"]) == view


@pytest.mark.parametrize("payload", PAYLOADS)
def test_json_keeps_every_character(payload: str) -> None:
    view = postmortem_samples.poisoned(payload)
    assert codec.load(IncidentView, json.loads(text(view, "json"))["view"]) == view


def test_numbers_that_json_does_not_have_come_back() -> None:
    view = view_samples.verified()
    odd = replace(view.findings[0].reading, value=float("inf"), baseline=float("-inf"))
    back = codec.load(
        IncidentView,
        json.loads(text(replace(view, findings=(replace(view.findings[0], reading=odd),)), "json"))["view"],
    )
    assert (back.findings[0].reading.value, back.findings[0].reading.baseline) == (float("inf"), float("-inf"))
    for form in FORMS:
        assert Export().export(replace(view, findings=(replace(view.findings[0], reading=odd),)), form)


def test_the_chain_can_be_verified_from_the_json_alone() -> None:
    whole = json.loads(text(postmortem_samples.complete(), "json"))
    entries = whole["view"]["timeline"]
    previous = entries[0]["previous"]
    for entry in entries:
        fact = entry["fact"]
        body = {
            "incident": entry["incident_id"],
            "at": entry["at"],
            **{k: fact[k] for k in ("kind", "provenance", "actor", "data")},
        }
        packed = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        number = entry["seq"].to_bytes(8, "big")
        digest = hashlib.sha256(b"\0" + bytes.fromhex(previous) + number + hashlib.sha256(packed).digest()).hexdigest()
        assert (entry["previous"], entry["hash"]) == (previous, digest)
        previous = digest
    assert whole["chain"]["head"] == previous
    assert whole["measures_s"]["acknowledge"] == 210.0


# --- CSV (OU-07) ----------------------------------------------------------------------------------------------------

FORMULAS = ("=1+1", "+1", "-2", "@SUM(A1)", "\t=1", " =1", "\ufeff=1", "＝1", "\r=", "\0", "\n=1", "＋1", "－1",
            "＠x", "|x", "%x", "\u200b=1", "\u00a0=1", "\u3000=1", "−1", "﹢1", "⁺=1")  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_cell_that_could_be_a_formula_begins_with_an_apostrophe(formula: str) -> None:
    assert cell(formula).startswith("'")
    assert cell(formula).lstrip("'").replace("'", "") == formula.replace("'", "")
    view = postmortem_samples.poisoned(formula)
    for row in csv.reader(io.StringIO(text(view, "csv").replace("\0", ""), newline="")):
        for each in row:
            assert not each or re.match(r"[\w'({\[\"“‘<#]", each), each


@pytest.mark.parametrize("plain", ["", "a", "42", "2026-11-22T12:00:00+00:00", "“x”", "(x)", '{"a":-1}', "Ünï", "漢字"])
def test_other_cells_are_left_alone(plain: str) -> None:
    assert cell(plain) == plain


def test_a_formula_cannot_hide_behind_another_separator() -> None:
    assert cell("x;=1+1") == "x;'=1+1"
    assert cell("x\t @SUM(A1)") == "x\t '@SUM(A1)"
    assert cell("a; b, c-d") == "a; b, c-d"


def test_csv_has_every_entry_with_every_cell_quoted_and_loses_nothing() -> None:
    view = postmortem_samples.complete()
    raw = text(view, "csv")
    head, *rows = list(csv.reader(io.StringIO(raw, newline=""), strict=True))
    assert tuple(head) == COLUMNS
    assert all(line.startswith('"') and line.endswith('"') for line in raw.removesuffix("\r\n").split("\r\n"))
    visible = [entry for entry in view.timeline if entry.seq != 47]  # Hidden; the row of who hid it is there.
    for row, entry in zip(rows, visible, strict=True):
        told = dict(zip(head, row, strict=True))
        assert (told["seq"], told["at_utc"], told["kind"]) == (str(entry.seq), entry.at.isoformat(), entry.fact.kind)
        assert (told["previous"], told["hash"], told["provenance"]) == (
            entry.previous,
            entry.hash,
            entry.fact.provenance,
        )
        assert told["data"] == canonical(entry.fact.data).decode()
        assert told["sentence"] == sentence(entry.fact).text


# --- Size -----------------------------------------------------------------------------------------------------------


def test_a_long_incident_is_told_whole() -> None:
    view = postmortem_samples.long(2_000)
    page = text(view, "html")
    assert page.count('<tr id="t') == len(view.timeline) == 2_001
    assert len(text(view, "csv").split("\r\n")) == 2_001 + 2
    assert text(view).count("\n| #") == 2_001
    drawn = page.split("<svg", 1)[1].split("</svg>", 1)[0]
    assert drawn.count("<rect") + drawn.count("<circle") < 300


def test_long_texts_are_cut_in_the_document_and_say_how_long_they_are() -> None:
    view = view_samples.verified()
    shown = text(replace(view, incident=replace(view.incident, title="word " * 2_000, status=Status.OPEN)))
    assert "(10,000 characters)" in shown
    excerpt = replace(view.findings[0].reading, evidence=(Evidence(source="s", excerpt="line\n" * 4_000),))
    assert "… [cut]" in text(replace(view, findings=(replace(view.findings[0], reading=excerpt),)))


def test_an_incident_of_which_nothing_is_known_is_told_as_such() -> None:
    view = view_samples.received()
    bare = replace(view, service=None, team=None, timeline=(), findings=())
    for form in FORMS:
        assert Export().export(bare, form)
    assert "not in the catalogue" in text(bare)
    assert "No diagnosis was made" in text(bare)
    unsure = replace(view_samples.inconclusive(), running=("golden_set",))
    assert "Still running when this was written: `golden_set`" in text(unsure)
    assert all(f.verdict is not Verdict.NOT_RUN for f in unsure.findings)
    assert GENESIS not in text(unsure)
