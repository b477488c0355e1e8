"""P16 against tools on a real socket."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from config.catalogue import Catalogue
from diagnostics import series
from diagnostics.model import ProbeContext, Reading
from diagnostics.probes.tools import ToolCheck, fields_of, hash_of
from tests.provider_fakes import (
    CATALOGUE,
    NOW,
    Company,
    KeptBaselines,
    LocalHttp,
    NoChanges,
    Served,
    StillClock,
    company_open,
    in_turn,
    openai_answer,
)

SCHEMA = {
    "name": "orders",
    "parameters": {"type": "object", "properties": {"order": {}, "do": {}}, "required": ["order"]},
}
KEY = "tool.schema:orders"


class Stage:
    def __init__(self, company: Company, http: LocalHttp) -> None:
        self.company, self.http, self.baselines = company, http, KeptBaselines()
        company.play("tool", "/health", Served(body='{"status": "ok"}'))
        company.play("tool", "/schema", Served(body=json.dumps(SCHEMA)))
        company.play("gateway", "/v1/chat/completions", openai_answer("I cannot look that up right now."))

    async def ask(self, **tool: Any) -> Reading:
        own: Mapping[str, Any] = {"name": "orders", "target": "tool", **tool}
        target = {"name": "tool", "base_url": "http://127.0.0.1:1"}
        service = {**CATALOGUE["services"][0], "kind": "agent", "tools": ("orders",)}
        catalogue = Catalogue.model_validate(
            {**CATALOGUE, "targets": [*CATALOGUE["targets"], target], "tools": [own], "services": [service]}
        )
        context = ProbeContext(
            service=catalogue.services[0], catalogue=catalogue, http=self.http, clock=StillClock(),
            baselines=self.baselines, changes=NoChanges(), started_at=NOW,
        )  # fmt: skip
        return await ToolCheck().run(context, ToolCheck.spec.params.model_validate({}))


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with company_open() as (company, http):
        yield Stage(company, http)


async def test_a_tool_that_answers_as_declared_is_ok_and_its_schema_is_recorded(stage: Stage) -> None:
    stage.baselines.documents[KEY] = fields_of(SCHEMA)
    reading = await stage.ask()

    assert (reading.outcome, reading.n) == ("ok", 8)
    assert "schemas as on record" in reading.summary
    assert reading.details[series.RECORD_DOCUMENTS][KEY]["arguments"] == ["do", "order"]
    assert series.known(KEY)
    assert reading.tokens == 0


async def test_on_a_cold_start_it_says_that_no_schema_is_on_record(stage: Stage) -> None:
    reading = await stage.ask()
    assert reading.outcome == "ok"
    assert "no schema of orders on record yet" in reading.summary


async def test_failing_pings_are_down_and_the_agent_that_says_so_is_told(stage: Stage) -> None:
    stage.company.play("tool", "/health", Served(status=503))
    reading = await stage.ask()

    assert reading.outcome == "down"
    assert "8 of 8 pings of orders failed (8 x HTTP 503)" in reading.summary
    assert "says that it cannot look things up" in reading.summary
    assert reading.tokens > 0


async def test_an_agent_that_makes_things_up_is_told(stage: Stage) -> None:
    stage.company.play("tool", "/health", Served(status=503))
    stage.company.play("gateway", "/v1/chat/completions", openai_answer("It was delivered yesterday."))
    reading = await stage.ask()

    assert "made 2 of 2 answers up" in reading.summary
    assert reading.details["made_up"] == 2


async def test_a_connection_that_is_refused_is_down(stage: Stage) -> None:
    stage.http._company.failing["tool"] = "connect"
    reading = await stage.ask()
    assert reading.outcome == "down"
    assert "connect" in reading.summary


async def test_one_failed_ping_of_eight_is_chance(stage: Stage) -> None:
    stage.company.play("tool", "/health", in_turn(Served(status=500), *[Served(body="{}")] * 7))
    assert (await stage.ask()).outcome == "ok"


async def test_a_refused_credential_is_not_called_down(stage: Stage) -> None:
    stage.company.play("tool", "/health", Served(status=401))
    reading = await stage.ask()

    assert reading.outcome == "unauthorized"
    assert not stage.company.calls("gateway", "/v1/chat/completions")


async def test_a_changed_contract_names_what_changed(stage: Stage) -> None:
    stage.baselines.documents[KEY] = fields_of(SCHEMA)
    changed = {**SCHEMA, "parameters": {"properties": {"order_ref": {}, "do": {}}, "required": ["order_ref", "do"]}}
    stage.company.play("tool", "/schema", Served(body=json.dumps(changed)))
    reading = await stage.ask()

    assert reading.outcome == "schema_changed"
    assert "gone: order; new: order_ref; now required: do, order_ref" in reading.summary


async def test_the_order_of_keys_is_no_change_and_a_pinned_hash_counts_before_the_record(stage: Stage) -> None:
    turned = dict(reversed(list(SCHEMA.items())))
    stage.company.play("tool", "/schema", Served(body=json.dumps(turned)))

    assert (await stage.ask(schema_sha256=hash_of(SCHEMA))).outcome == "ok"
    assert (await stage.ask(schema_sha256="0" * 64)).outcome == "schema_changed"


async def test_a_schema_that_cannot_be_read_is_not_called_changed(stage: Stage) -> None:
    stage.baselines.documents[KEY] = fields_of(SCHEMA)
    stage.company.play("tool", "/schema", Served(body="<html>"))
    assert (await stage.ask()).outcome == "ok"
