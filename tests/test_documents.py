"""PDF and Word: the same document, safe whatever is in it, the same bytes again; time zones; redaction levels."""

import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot.domain import codec
from bot.domain.incident import Status
from bot.domain.postmortem import build
from bot.domain.presentation import Form, Presentation, Redaction
from bot.domain.redaction import MODES, redacted
from bot.domain.view import IncidentView
from bot.domain.zoned import local, zoned
from bot.edges import export, export_pdf, typesetting
from bot.edges.drawing_lanes import draw
from bot.edges.export import Export
from bot.edges.paper import FINDINGS, for_paper
from bot.edges.svg import SHAPES, TONES, svg
from bot.edges.zones import UnknownZone, zone
from diagnostics.model import Evidence
from tests import postmortem_samples, view_samples
from tests.conftest import ROOT
from tests.test_export import PAYLOADS, SAMPLE_VIEWS

FORMS: tuple[Form, ...] = get_args(Form)
BERLIN = Presentation(zone=ZoneInfo("Europe/Berlin"), zone_name="Europe/Berlin")


def texts(view: IncidentView, presentation: Presentation) -> dict[str, str]:
    """Every form as text: of a PDF what is typeset and what its file says in plain, of Word every part."""
    made: dict[str, str] = {}
    for form in FORMS:
        content = Export().export(view, form, presentation)
        if form == "docx":
            with zipfile.ZipFile(io.BytesIO(content)) as parts:
                made[form] = "\n".join(parts.read(name).decode("utf-8", "ignore") for name in parts.namelist())
        elif form == "pdf":
            told, _ = export._without_secrets(view, export._PATTERNS_ALONE)
            shown = zoned(redacted(told, presentation.redaction), presentation.zone)
            typeset = export_pdf._document(for_paper(build(shown, presentation)))
            made[form] = json.dumps(typeset, ensure_ascii=False).replace("\u200b", "") + content.decode("latin-1")
        else:
            made[form] = content.decode()
    return made


# --- PDF and Word ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLE_VIEWS)
def test_every_incident_is_made_into_pdf_and_word_and_twice_into_the_same_bytes(name: str) -> None:
    view = SAMPLE_VIEWS[name]()
    for form, magic in (("pdf", b"%PDF-"), ("docx", b"PK")):
        once = Export().export(view, form)  # type: ignore[arg-type]
        assert once.startswith(magic)
        assert once == Export().export(view, form)  # type: ignore[arg-type]


def test_the_files_say_that_they_were_made_when_the_incident_last_moved() -> None:
    import docx

    view = postmortem_samples.complete()
    assert b"D:20261122132000Z" in Export().export(view, "pdf")
    word = docx.Document(io.BytesIO(Export().export(view, "docx")))
    assert word.core_properties.created == datetime(2026, 11, 22, 13, 20, tzinfo=UTC)
    assert word.core_properties.title == "Postmortem of inc-7f3a2c"


@pytest.mark.parametrize("payload", [*PAYLOADS, '#read("/etc/passwd")', '#import "@preview/x:1.0.0"', "$x^2$ @ref <l>",
                                     "\\u{41} #eval(\"1\")", "\x0b\x0c\ufffe"])  # fmt: skip
def test_foreign_text_is_typeset_as_text(payload: str) -> None:
    view = postmortem_samples.poisoned(payload)
    assert Export().export(view, "pdf").startswith(b"%PDF-")
    with zipfile.ZipFile(io.BytesIO(Export().export(view, "docx"))) as parts:
        for name in parts.namelist():
            if name.endswith((".xml", ".rels")):
                tree = ET.fromstring(parts.read(name))
                assert not [each for each in tree.iter() if each.tag.endswith(("}instrText", "}fldSimple", "}object"))]
        relations = parts.read("word/_rels/document.xml.rels").decode()
    assert "External" not in relations


def test_typesetting_reads_no_file_and_no_package(tmp_path: Any) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden")
    for source in (f'#read("{secret}")', '#read("../../../etc/passwd")', '#import "@preview/example:0.1.0": *'):
        with pytest.raises(typesetting.TypesettingError):
            typesetting.pdf(source, "{}", at=view_samples.NOON)


def test_text_in_scripts_that_the_packaged_fonts_do_not_have_asks_the_machine() -> None:
    assert typesetting.embedded_only("Ärger über “Κόσμε” и всё ✓ → ★ \ufffd")
    assert not typesetting.embedded_only("障害")
    view = replace(view_samples.verified(), incident=replace(view_samples.INCIDENT, title="障害 🚨 عطل"))
    assert Export().export(view, "pdf").startswith(b"%PDF-")


def test_word_has_headings_tables_described_pictures_and_links_that_lead_somewhere() -> None:
    import docx

    word = docx.Document(io.BytesIO(Export().export(postmortem_samples.complete(), "docx")))
    heads = [one.text for one in word.paragraphs if one.style is not None and one.style.name == "Heading 2"]
    assert heads[:4] == ["Summary", "Times", "Impact", "Detection"]
    assert {"What was ruled out", "Mitigation and verification", "Follow-ups", "Timeline"} <= set(heads)
    assert len(word.inline_shapes) >= 3
    assert all("All times are UTC" in shape._inline.docPr.get("descr") for shape in word.inline_shapes)
    xml = word.element.xml
    assert set(re.findall(r'w:anchor="(\w+)"', xml)) <= set(re.findall(r'<w:bookmarkStart[^>]* w:name="(\w+)"', xml))


def test_paper_has_the_deciding_evidence_and_says_what_it_leaves_out() -> None:
    long = build(postmortem_samples.long(400))
    paper = for_paper(long)
    assert len(paper.anchors) == len(long.anchors) - (400 - FINDINGS)
    assert "300 further findings in the HTML and JSON exports." in json.dumps(export_pdf._document(paper))
    assert for_paper(build(postmortem_samples.complete())).anchors == build(postmortem_samples.complete()).anchors
    assert Export().export(postmortem_samples.long(400), "pdf").startswith(b"%PDF-")


def test_paper_and_screen_know_the_same_looks() -> None:
    page = (ROOT / "bot/edges/postmortem.html.j2").read_text()
    for look in (*SHAPES, "lane", "tick", "small", "value", "whisker"):
        assert f"svg .{look}" in page
    for tone in TONES:
        assert f"svg .fill.{tone}" in page
    picture = next(block for section in build(postmortem_samples.complete()).sections for block in section.blocks
                   if type(block).__name__ == "Picture")  # fmt: skip
    drawn = svg(draw(picture.drawn))  # type: ignore[union-attr, arg-type]
    assert "class=" not in drawn
    ET.fromstring(drawn)


# --- Sections -------------------------------------------------------------------------------------------------------


def test_impact_says_of_users_errors_latency_quality_and_money_what_was_measured() -> None:
    told = Export().export(postmortem_samples.complete(), "md").decode()
    impact = told.split("## Impact")[1].split("\n## ")[0]
    assert "| Errors | 34 % of users' requests failed, normally 0.4 % (n = 1,800) (`ev-00000001`) |" in impact
    for what in ("Users", "Latency", "Quality", "Money"):
        assert re.search(rf"\| {what} \| not measured", impact), what


def test_what_went_well_and_badly_is_left_to_people_with_facts_that_hint() -> None:
    told = Export().export(postmortem_samples.complete(), "md").decode()
    lessons = told.split("## What went well and badly")[1].split("\n## ")[0]
    well, badly, lucky = re.split(r"### What went badly|### Where we got lucky", lessons)
    assert "helped at the first attempt" in well
    assert "The runbook that helped was the first one found" in well
    assert "It was opened again at" in badly
    assert all("Left to people" in part for part in (well, badly, lucky))
    assert "owner: ____" in told.split("## Follow-ups")[1]


# --- Time zones -----------------------------------------------------------------------------------------------------


def test_every_time_is_in_the_zone_that_was_asked_for() -> None:
    for form, told in texts(postmortem_samples.complete(), BERLIN).items():
        if form in ("md", "html", "docx", "pdf"):
            assert "2026-11-22 13:00:00 CET" in told, form
            assert not re.search(r"\d UTC", told), form
            assert "Europe/Berlin" in told, form
    head, first, *_ = csv.reader(io.StringIO(Export().export(postmortem_samples.complete(), "csv", BERLIN).decode()))
    row = dict(zip(head, first, strict=True))
    assert (row["at_utc"], row["happened_at"]) == ("2026-11-22T12:00:00+00:00", "2026-11-22T13:00:00+01:00")
    whole = json.loads(Export().export(postmortem_samples.complete(), "json", BERLIN))
    assert whole["local_times"]["41"] == "2026-11-22T13:00:00+01:00"
    assert codec.load(IncidentView, whole["view"]) == postmortem_samples.complete()


def test_durations_are_true_over_the_end_of_summer_time() -> None:
    there = ZoneInfo("Europe/Berlin")
    before, after = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    first, second = local(before, there), local(after, there)
    assert (f"{first:%H:%M %Z}", f"{second:%H:%M %Z}") == ("02:30 CEST", "02:30 CET")
    assert (second - first).total_seconds() == 3600
    view = view_samples.resolved()
    moved = replace(view, incident=replace(view.incident, opened_at=before, started_at=before, resolved_at=after))
    assert "It lasted 60 min, from 2026-10-25 02:30:00 CEST" in Export().export(moved, "md", BERLIN).decode()


@pytest.mark.parametrize("name", ["America/Sao_Paulo", "Asia/Kolkata", "Pacific/Chatham"])
def test_zones_without_a_name_of_their_own_show_their_offset(name: str) -> None:
    told = Export().export(view_samples.resolved(), "md", Presentation(zone=zone(name), zone_name=name)).decode()
    assert re.search(r"2026-11-2\d \d\d:\d\d:\d\d (?:UTC[+-]\d+|IST)", told)


@pytest.mark.parametrize("name", ["Europe/Berln", "berlin", "../etc/passwd", "", "x" * 300, "Mars/Base\0"])
def test_an_unknown_zone_is_named_with_what_is_near(name: str) -> None:
    with pytest.raises(UnknownZone, match="IANA") as raised:
        zone(name)
    if "ber" in name.lower():
        assert "Europe/Berlin" in str(raised.value)


# --- Redaction ------------------------------------------------------------------------------------------------------

RECEIVED = "Plantedbody"
TENANT = "Plantedtenant"
PERSON = "Plantedperson"
PLACE = "plantedhost"
LEVELS: tuple[Redaction, ...] = get_args(Redaction)


def planted(received: str, tenant: str, person: str, place: str) -> IncidentView:
    """A complete incident with a received text, a tenant, a person and a place wherever one can be."""
    base = postmortem_samples.complete()
    findings = tuple(
        replace(
            finding, service=place, params={"provider": place},
            reading=replace(
                finding.reading, summary=f"{finding.reading.summary} for {tenant} at {place}.example",
                evidence=(Evidence(source=f"GET https://{place}.example/{tenant}", excerpt=received),),
                details={"top_tenant": {"tenant": tenant, "share": 0.7}, "said": received,
                         "record": {f"a.b:{place}": [1]},
                         "record_documents": {"demand_profile.tenant_shares": {tenant: 0.7}}},
            ),
        )
        for finding in base.findings
    )  # fmt: skip
    facts = []
    for entry in base.timeline:
        data = {key: _replaced(key, value, received, tenant, person, place) for key, value in entry.fact.data.items()}
        actor = f"slack:T0/{person}" if entry.fact.actor == postmortem_samples.ANA else entry.fact.actor
        minutes = (entry.at - view_samples.NOON).total_seconds() / 60
        facts.append((minutes, entry.fact.kind, entry.fact.provenance, actor, data))
    (pv,) = base.proposals
    plan = replace(pv.proposal.plan, target=f"{place}/limits/{tenant}", params={"tenant": tenant, "gateway": place},
                   diff=((f"limit of {tenant}", "1", place),), runbook=f"{place}-book#1-x",
                   approver_team=place)  # fmt: skip
    votes = tuple(replace(vote, principal=f"slack:T0/{person}", name=person) for vote in pv.votes)
    changes = tuple(replace(c, actor=person, summary=f"{place} {tenant}", before=place) for c in base.changes)
    return replace(
        base, findings=findings, changes=changes, timeline=postmortem_samples.chained(facts), frozen=f"by {person}",
        incident=replace(base.incident, title=f"{tenant} fails on {place}", service=place, team=place, key=place),
        proposals=(replace(pv, proposal=replace(pv.proposal, plan=plan, rationale=f"{place} is bad"), votes=votes),),
    )  # fmt: skip


def _replaced(key: str, value: Any, received: str, tenant: str, person: str, place: str) -> Any:
    if key in ("by", "name"):
        return person
    if key == "note":
        return received
    if key in ("title", "text", "reason", "rationale", "detail", "why", "summary", "service", "team", "notice"):
        return f"{place} {tenant}"
    return value


def survivors(view: IncidentView, level: Redaction, words: tuple[str, ...]) -> list[tuple[str, str]]:
    made = texts(view, Presentation(redaction=level))
    return [(form, word) for form, told in made.items() for word in words if word.lower() in told.lower()]


def test_inside_the_team_everything_is_told() -> None:
    view = planted(RECEIVED, TENANT, PERSON, PLACE)
    told = Export().export(view, "md").decode()
    assert all(word in told for word in (RECEIVED, TENANT, PERSON, PLACE))


def test_in_the_company_nothing_received_and_no_tenant_is_told_in_any_form() -> None:
    view = planted(RECEIVED, TENANT, PERSON, PLACE)
    assert survivors(view, "company", (RECEIVED, TENANT)) == []
    told = Export().export(view, "md", Presentation(redaction="company")).decode()
    assert PERSON in told
    assert "tenant-1" in told


def test_in_public_no_person_place_tenant_or_received_text_is_told_in_any_form() -> None:
    view = planted(RECEIVED, TENANT, PERSON, PLACE)
    assert survivors(view, "public", (RECEIVED, TENANT, PERSON, PLACE)) == []
    told = Export().export(view, "md", Presentation(redaction="public")).decode()
    for kept in ("Approver 1", "ev-00000001", "34 % of users' requests failed", "2026-11-22 12:00:00 UTC",
                 "provider-outage", "chat service", "Time to mitigate (MTTM) | 7 min"):  # fmt: skip
        assert kept in told, kept


LETTERS = st.text("bcdfghjklmnpqrstvwxz", min_size=9, max_size=16)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow],
          phases=[Phase.generate])  # fmt: skip
@given(words=st.lists(LETTERS, min_size=4, max_size=4, unique=True))
def test_what_is_planted_never_survives_its_level(words: list[str]) -> None:
    received, tenant, person, place = words
    view = planted(received, tenant, person, place)
    for level, gone in (("company", (received, tenant)), ("public", tuple(words))):
        for form in ("md", "html", "json", "csv"):
            told = Export().export(view, form, Presentation(redaction=level)).decode()  # type: ignore[arg-type]
            assert not [word for word in gone if word in told], (level, form)


@pytest.mark.parametrize("payload", ["Zanzibarqq", "db7.internal.example", "ACME secret project"])
def test_whatever_is_foreign_anywhere_is_gone_in_public(payload: str) -> None:
    assert survivors(postmortem_samples.poisoned(payload), "public", (payload,)) == []


@pytest.mark.parametrize("level", LEVELS)
def test_a_secret_in_what_people_wrote_is_told_to_nobody(level: Redaction) -> None:
    secret = "xoxb-1234567890-abcdefghijklmnop"
    note = postmortem_samples.told(9, "note_added", postmortem_samples.H, postmortem_samples.ANA,
                                   text=f"the token was {secret}", by="Ana")  # fmt: skip
    view = replace(view_samples.verified(), timeline=postmortem_samples.chained([*postmortem_samples.FACTS[:2], note]))
    assert survivors(view, level, (secret,)) == []
    whole = json.loads(Export().export(view, "json", Presentation(redaction=level)))
    assert whole["chain"].get("altered") == [43]


def test_a_redacted_document_says_so_and_claims_no_proof_that_it_does_not_give() -> None:
    view = postmortem_samples.complete()
    for level in ("company", "public"):
        told = Export().export(view, "md", Presentation(redaction=level)).decode()  # type: ignore[arg-type]
        assert "**Redacted:** for" in told
        assert "does not show whole" in told
        whole = json.loads(Export().export(view, "json", Presentation(redaction=level)))  # type: ignore[arg-type]
        assert "cannot be verified" in whole["chain"]["how"]
        assert whole["presentation"]["redaction"] == level


def test_the_built_in_failure_modes_may_be_named_in_public() -> None:
    library = {path.stem for path in (ROOT / "runbooks/library").glob("*.md")}
    assert library <= MODES


def test_an_incident_of_which_nothing_is_known_is_redacted_too() -> None:
    bare = replace(view_samples.received(), service=None, team=None, timeline=(), findings=())
    for level in LEVELS:
        for form in FORMS:
            assert Export().export(bare, form, Presentation(redaction=level))
    closed = replace(bare, incident=replace(bare.incident, status=Status.CLOSED))
    assert "Page about the service" in Export().export(closed, "md", Presentation(redaction="public")).decode()
