"""The actions against the simulated world over HTTP: what a runbook proposes is possible there, and back again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiohttp import web

from bot.edges.http import SafeHttp
from drills.server import application
from runbooks.actions.catalogue_of_actions import BUILT_IN
from runbooks.model import ActionContext, EffectStatus
from tests.actions_fakes import APPROVAL, SECRETS, catalogue_at, context_for

ACTIONS = {action.spec.name: action for action in BUILT_IN}
START = 1_795_316_400.0
TOKEN = "t"
TO_BETA = {"from": "acme-openai", "to": "beta-anthropic"}
STEPS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "S01": (("clamp_retries", {"max_retries": 0}), ("shift_traffic", TO_BETA)),
    "S04": (("suspend_canaries", {}), ("shed_traffic", {}), ("throttle_tenant", {"tokens_per_minute": 250_000})),
    "S10": (("drain_deployment", {}),),
    "S15": (("rollback_prompt", {}), ("rollback_model_config", {}), ("cap_generation", {"max_steps": 25})),
    "S22": (("resume_ingestion", {}), ("post_banner", {"text_key": "wrong_answers"})),
    "F22": (("degrade_retrieval", {}), ("rollback_retrieval", {})),
    "S19": (("disable_tool", {}),),
    "S23": (("rollback_guardrail", {}),),
    "F27": (("close_guardrail", {}), ("rollback_guardrail", {})),
    "F24": (("rollback_retrieval", {}),),
    "S24": (("bypass_cache", {}),),
    "F35": (("rotate_credential", {}),),
    "D43": (("pin_dependency", {}),),
    "F25": (("quarantine_documents", {}),),
    "S16": (("rollback_model_config", {}),),
    "F30": (("shed_traffic", {}), ("scale_engine", {})),
    "F31": (("drain_replica", {}),),
    "M41": (("hold_for_review", {}), ("cap_generation", {"max_tokens": 64})),
}


@asynccontextmanager
async def world(scenario: str) -> AsyncIterator[tuple[ActionContext, httpx.AsyncClient]]:
    runner = web.AppRunner(application(TOKEN))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    headers = {"x-referee-token": TOKEN}
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/referee", headers=headers) as referee:
            body = {"scenario": scenario, "seed": 1, "start": START, "mode": "virtual", "baselines": "none"}
            made = (await referee.post("/worlds", json=body)).json()
            await referee.post("/advance", json={"to": made["page_at"] + 60})
            catalogue = catalogue_at(port)
            async with SafeHttp(catalogue, SECRETS) as http:
                yield context_for(catalogue, http, made["service"]), referee
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("scenario", STEPS)
async def test_what_a_runbook_proposes_can_be_done_and_undone(scenario: str) -> None:
    async with world(scenario) as (context, referee):
        for name, params in STEPS[scenario]:
            action = ACTIONS[name]
            draft = await action.draft(context, action.spec.params.model_validate(params))
            assert draft.blocked_by == ()
            applied = await action.apply(context, draft, APPROVAL)
            assert applied.status is EffectStatus.DONE, applied.detail
            reverted = await action.revert(context, draft, APPROVAL)
            assert reverted.status is EffectStatus.DONE, reverted.detail
        after = (await referee.get("/state")).json()

    assert after["documents_hash"] == after["initial_hash"]
    assert len(after["writes"]) == 2 * len(STEPS[scenario])


async def test_no_zone_is_drained_when_the_whole_provider_fails() -> None:
    async with world("S01") as (context, _):
        action = ACTIONS["drain_deployment"]
        draft = await action.draft(context, action.spec.params.model_validate({}))

    assert [p.detail for p in draft.blocked_by] == ["it has no healthy peer"]
