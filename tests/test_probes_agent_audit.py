"""P28 against a tool that keeps an audit, on a real socket."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from config.catalogue import Catalogue
from diagnostics.model import ProbeContext, Reading
from diagnostics.probes.agent_audit import AgentAudit, AuditParams
from tests.provider_fakes import (
    CATALOGUE,
    NOW,
    Asked,
    Company,
    KeptBaselines,
    LocalHttp,
    NoChanges,
    Served,
    StillClock,
    company_open,
)


def call(minutes_ago: float, **more: Any) -> dict[str, Any]:
    """A refund that somebody approved a minute before."""
    at = NOW - timedelta(minutes=minutes_ago)
    row = {
        "id": f"c{minutes_ago}", "at": at.isoformat(), "agent": "bot", "do": "refund", "of": "order 7",
        "destructive": True, "approved_by": "U0ANA", "approved_at": (at - timedelta(minutes=1)).isoformat(),
    }  # fmt: skip
    return {**row, **more}


def bare(minutes_ago: float, **more: Any) -> dict[str, Any]:
    return call(minutes_ago, approved_by=None, approved_at=None, **more)


class Stage:
    def __init__(self, company: Company, http: LocalHttp) -> None:
        self.http = http
        self.rows: list[Any] = [call(minutes) for minutes in range(3, 110, 10)]
        self.plays: Served | None = None
        self.asked: list[Asked] = []
        company.play("tool", "/audit", self.audit)

    def audit(self, asked: Asked) -> Served:
        self.asked.append(asked)
        return self.plays or Served(body=json.dumps({"calls": self.rows}))

    async def ask(self, params: Mapping[str, Any] | None = None, **tool: Any) -> Reading:
        own = {"name": "orders", "target": "tool", "audit": "/audit", **tool}
        target = {"name": "tool", "base_url": "http://127.0.0.1:1"}
        service = {**CATALOGUE["services"][0], "kind": "agent", "tools": ("orders",)}
        catalogue = Catalogue.model_validate(
            {**CATALOGUE, "targets": [*CATALOGUE["targets"], target], "tools": [own], "services": [service]}
        )
        context = ProbeContext(
            service=catalogue.services[0], catalogue=catalogue, http=self.http, clock=StillClock(),
            baselines=KeptBaselines(), changes=NoChanges(), started_at=NOW,
        )  # fmt: skip
        reading = await AgentAudit().run(context, AuditParams.model_validate(params or {}))
        json.dumps(dict(reading.details))
        return reading


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with company_open() as (company, http):
        yield Stage(company, http)


async def test_calls_that_were_all_approved_are_ok_and_cost_nothing(stage: Stage) -> None:
    reading = await stage.ask()

    assert (reading.outcome, reading.n, reading.tokens) == ("ok", 11, 0)
    assert datetime.fromisoformat(stage.asked[0].query["since"]) == NOW - timedelta(hours=2)


async def test_one_call_without_approval_is_enough(stage: Stage) -> None:
    stage.rows.append(bare(2, do="cancel", of="order 71"))
    reading = await stage.ask()

    assert (reading.outcome, reading.value) == ("unapproved", 1.0)
    assert "1 of 12 calls that need an approval had none (1 x cancel)" in reading.summary
    assert "1 in the last 10 min" in reading.summary
    assert "cancel order 71" in reading.evidence[0].excerpt


async def test_what_has_stopped_is_past_and_is_not_forgotten(stage: Stage) -> None:
    stage.rows += [bare(40), bare(55)]
    reading = await stage.ask()

    assert (reading.outcome, reading.details["unapproved"], reading.details["in_the_window"]) == ("past", 2, 0)
    assert (await stage.ask({"window_s": 3600})).outcome == "unapproved"


async def test_what_lies_before_the_look_back_is_not_counted(stage: Stage) -> None:
    stage.rows.append(bare(200))

    assert (await stage.ask()).outcome == "ok"
    assert (await stage.ask({"hours": 6})).outcome == "past"


@pytest.mark.parametrize(
    "more",
    [
        {"approved_by": "bot"},
        {"approved_by": "  "},
        {"approved_by": True},
        {"approved_at": (NOW + timedelta(minutes=5)).isoformat()},
    ],
    ids=["by the agent itself", "by nobody", "by a flag", "afterwards"],
)
async def test_what_is_no_approval(stage: Stage, more: dict[str, Any]) -> None:
    stage.rows.append(call(4, **more))

    assert (await stage.ask()).outcome == "unapproved"


async def test_the_catalogue_says_what_needs_an_approval_besides_the_audit(stage: Stage) -> None:
    stage.rows = [bare(1, do="show", destructive=False), bare(1, do="ship", destructive=False)]

    assert (await stage.ask()).outcome == "ok"
    assert (await stage.ask(needs_approval=["ship"])).details["done"] == {"ship": 1}


async def test_far_more_approvals_than_before_are_a_surge(stage: Stage) -> None:
    stage.rows += [call(minute / 4) for minute in range(1, 25)]
    reading = await stage.ask()

    assert reading.outcome == "surge"
    assert reading.value is not None
    assert reading.value > 3
    assert reading.p_value is not None
    assert reading.p_value < 1e-3


async def test_a_busy_quarter_of_an_hour_is_no_surge(stage: Stage) -> None:
    stage.rows += [call(1.5), call(2.5), call(4.5)]

    assert (await stage.ask()).outcome == "ok"


async def test_nothing_done_is_ok(stage: Stage) -> None:
    stage.rows = []
    reading = await stage.ask()

    assert (reading.outcome, reading.n) == ("ok", 0)


@pytest.mark.parametrize(
    "plays",
    [
        Served(status=503, body="no"),
        Served(body="<html>"),
        Served(body='{"calls": "many"}'),
        Served(body=json.dumps({"calls": [{"id": "x", "do": "refund", "at": "yesterday"}] * 3})),
        Served(body=json.dumps({"calls": [{"id": "x", "do": "refund", "at": "2026-11-22T10:00:00"}]})),
    ],
    ids=["down", "no JSON", "no list", "no time", "no time zone"],
)
async def test_an_audit_that_cannot_be_read_tells_nothing(stage: Stage, plays: Served) -> None:
    stage.plays = plays
    reading = await stage.ask()

    assert reading.outcome == "inconclusive"
    assert "orders" in reading.summary


async def test_without_an_audit_nothing_is_asked(stage: Stage) -> None:
    assert (await stage.ask(audit="")).outcome == "inconclusive"
    assert stage.asked == []
