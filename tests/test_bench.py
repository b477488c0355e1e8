"""The bench's own arithmetic. What it measures is printed by ``make bench`` and asserted nowhere."""

import hmac
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.bench.figures import Figure, Report, percentile
from bot.bench.incident import chain
from bot.bench.pages import STORM_SHARE, page, signature, storm
from bot.bench.sender import Answer, Sender
from bot.bench.storm import Seen
from bot.domain.page import Page
from bot.edges.pagerduty_in import parse

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def finding(began: float, elapsed: float) -> dict[str, Any]:
    return {"started_at": datetime.fromtimestamp(began, UTC).isoformat(), "elapsed_s": elapsed}


@pytest.mark.parametrize(
    ("value", "at", "verdict"),
    [(1.0, "most", "met"), (1.01, "most", "MISSED"), (99.0, "least", "MISSED"), (None, "most", "not measured")],
)
def test_a_figure_says_whether_it_is_good_enough(value: float | None, at: Any, verdict: str) -> None:
    must = 1.0 if at == "most" else 99.5

    assert Figure(what="x", value=value, unit="s", must=must, at=at).verdict == verdict


def test_a_report_shows_every_figure_with_its_must_in_all_forms() -> None:
    missed = Figure(what="start", value=4.16, unit="s", must=3, detail="busy")
    report = Report(about=[("Commit", "abc")], figures=[missed])

    for form in (report.text(), report.markdown(), json.dumps(report.as_json(), ensure_ascii=False)):
        assert "4.16" in form
        assert "MISSED" in form
        assert "abc" in form
    assert "≤ 3 s" in report.text()


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(100, 0, -1)]

    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([7.0], 0.99) == 7


def test_a_page_that_was_never_accepted_took_forever() -> None:
    sender = Sender("http://127.0.0.1:1", "secret")
    sender.answers = {str(n): Answer(event_id=str(n), accepted_at=1.0, seconds=0.1) for n in range(98)}
    sender.answers |= {f"lost-{n}": Answer(event_id=f"lost-{n}") for n in range(2)}
    figure = Figure(what="p99", value=percentile(sender.seconds(), 0.99), unit="s", must=1)

    assert (figure.verdict, figure.shown, figure.as_json()["value"]) == ("MISSED", "never", None)


def test_the_slowest_chain_counts_probes_that_follow_each_other_once() -> None:
    first_turn = [finding(0.0, 1.0), finding(0.0, 3.0), finding(1.5, 1.0)]
    second_turn = [finding(4.0, 2.0), finding(4.0, 5.0)]

    assert chain(first_turn + second_turn) == 8.0
    assert chain([]) == 0.0


def test_the_time_that_investigations_cover_is_counted_once() -> None:
    seen = Seen(pages=Counter(), first={}, investigations=((0.0, 10.0), (5.0, 20.0), (40.0, float("inf"))))

    assert seen.busy(0.0, 50.0) == pytest.approx(0.6)


def test_a_storm_is_the_same_for_the_same_seed_and_mostly_of_one_cause() -> None:
    pages = storm(500, seed=3)

    assert pages == storm(500, seed=3)
    assert len({one.event_id for one in pages}) == 500
    assert sum(one.service == "PSVCCHAT" for one in pages) > 500 * (STORM_SHARE - 0.1)
    assert len({one.service for one in pages}) == 8


def test_a_page_is_read_and_signed_as_pagerduty_would() -> None:
    planned = page(1, 2, 1, 0, mark="case a")
    raw = planned.raw(NOW)
    read = parse(raw, NOW)

    assert isinstance(read, Page)
    assert (read.event_id, read.incident_ref, read.kind) == (planned.event_id, planned.reference, "triggered")
    assert signature("s", raw) == "v1=" + hmac.new(b"s", raw, "sha256").hexdigest()


def test_marks_tell_failures_apart_and_numbers_do_not() -> None:
    def made(number: int, figure: int, mark: str) -> str:
        read = parse(page(1, number, 0, 0, figure, mark).raw(NOW), NOW)
        assert isinstance(read, Page)
        return read.signature

    assert made(1, 20, "case a") == made(2, 30, "case a") != made(3, 20, "case b")
