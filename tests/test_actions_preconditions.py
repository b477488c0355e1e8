"""When an action must not be proposed, and what a person is told instead."""

from dataclasses import replace
from typing import Any

import pytest

from config.catalogue import Catalogue
from runbooks.actions.catalogue_of_actions import BUILT_IN
from runbooks.model import ActionContext, ActionError, Draft, EffectStatus
from tests.actions_fakes import APPROVAL, World, deployment, replica, serving

ACTIONS = {action.spec.name: action for action in BUILT_IN}
ADMIN = "/gateway/admin"
SHIFT = {"from": "acme-openai", "to": "beta-anthropic", "percent": 100}


async def draft(context: ActionContext, name: str, /, **params: Any) -> Draft:
    action = ACTIONS[name]
    return await action.draft(context, action.spec.params.model_validate(params))


def unmet(made: Draft) -> list[str]:
    return [f"{p.text}: {p.detail}" for p in made.blocked_by]


def with_service(context: ActionContext, **changes: Any) -> ActionContext:
    return replace(context, service=context.service.model_copy(update=changes))


async def test_an_action_reaches_only_what_its_own_service_declares() -> None:
    async with serving(World()) as context:
        for name, params in (
            ("clamp_retries", {"gateway": "other-gateway"}),
            ("clamp_retries", {"model": "acme-small"}),
            ("post_banner", {"route": "agent", "text_key": "slow"}),
            ("shift_traffic", {**SHIFT, "route": "chat"}),
            ("rollback_prompt", {"prompt": "agent"}),
            ("rollback_prompt", {"store": "elsewhere"}),
            ("resume_ingestion", {"index": "other-kb"}),
            ("hold_for_review", {"route": "moderation-text"}),
        ):
            with pytest.raises(ActionError, match="is not support-bot's"):
                await draft(context, name, **params)


async def test_a_service_without_the_thing_is_told_what_to_declare() -> None:
    async with serving(World(), "code-assistant") as context:
        with pytest.raises(ActionError, match="code-assistant has no index in the catalogue"):
            await draft(context, "resume_ingestion")
        with pytest.raises(ActionError, match="code-assistant has no prompt store"):
            await draft(context, "rollback_prompt")
        with pytest.raises(ActionError, match="has no gateway"):
            await draft(with_service(context, gateway=None), "clamp_retries")


async def test_an_unknown_provider_names_the_nearest_one() -> None:
    async with serving(World()) as context:
        with pytest.raises(ActionError, match="did you mean 'beta-anthropic'"):
            await draft(context, "shift_traffic", **{**SHIFT, "to": "beta-antropic"})


async def test_an_action_makes_nothing_looser_than_it_is() -> None:
    world = World()
    async with serving(world) as context:
        assert unmet(await draft(context, "clamp_retries", max_retries=5)) == [
            "the gateway retries more than 5 times now: it retries 3 times"
        ]
        assert unmet(await draft(context, "clamp_retries", model="acme-large", max_retries=4)) == [
            "the gateway retries acme-large more than 4 times now: it retries 2 times"
        ]
        world.touch(f"{ADMIN}/classes/support/batch", admit_percent=10)
        assert unmet(await draft(context, "shed_traffic", admit_percent=50)) == [
            "more than 50 % of batch is admitted now: 10 % is"
        ]
        assert unmet(await draft(context, "cap_generation", max_tokens=4096)) == [
            "output tokens are not capped at 4096 or lower yet: capped at 2048"
        ]


async def test_what_is_already_so_changes_nothing() -> None:
    async with serving(World()) as context:
        assert (await draft(context, "clamp_retries", max_retries=3)).changes_nothing


async def test_the_worst_deployment_is_the_failing_one() -> None:
    async with serving(World()) as context:
        made = await draft(context, "drain_deployment")

    assert made.target == "llm-gateway/deployments/acme-openai-zone-b"
    assert made.diff[0].before == "serving 100 requests/min"


async def test_no_deployment_is_drained_when_none_fails() -> None:
    world = World()
    for one in world.facts[f"{ADMIN}/deployments"]["deployments"]:
        one.update(state="healthy", error_share=0.002)
    async with serving(world) as context:
        with pytest.raises(ActionError, match="no deployment of llm-gateway fails now"):
            await draft(context, "drain_deployment")


@pytest.mark.parametrize(
    ("peer", "why"),
    [
        ({"state": "failing", "error_share": 0.5}, "it has no healthy peer"),
        ({"drained": True}, "it has no healthy peer"),
        ({"headroom_percent": 5}, "acme-openai-zone-a has 5 free (5 %)"),
        ({"headroom_percent": 55}, "acme-openai-zone-a has 122 free (55 %)"),
    ],
)
async def test_a_deployment_is_not_drained_onto_peers_that_cannot_carry_it(peer: dict[str, Any], why: str) -> None:
    world = World()
    world.facts[f"{ADMIN}/deployments"]["deployments"][0].update(peer)
    async with serving(world) as context:
        made = await draft(context, "drain_deployment", deployment="acme-openai-zone-b")

    assert f"its healthy peers have room for 130 requests/min: {why}" in unmet(made)


async def test_a_deployment_that_does_as_well_as_its_peers_is_left_alone() -> None:
    world = World()
    deployments = world.facts[f"{ADMIN}/deployments"]["deployments"]
    deployments[0].update(error_share=0.001)
    deployments[1].update(state="healthy", error_share=0.002)
    async with serving(world) as context:
        made = await draft(context, "drain_deployment", deployment="acme-openai-zone-b")

    assert unmet(made) == [
        "acme-openai-zone-b does clearly worse than its peers: fails 0.2% of its requests, the worst peer 0.1%"
    ]


async def test_an_unknown_deployment_names_the_nearest() -> None:
    async with serving(World()) as context:
        with pytest.raises(ActionError, match="did you mean 'acme-openai-zone-b'"):
            await draft(context, "drain_deployment", deployment="acme-zone-b")


async def test_traffic_is_not_shifted_to_a_provider_that_is_ill_full_or_drained() -> None:
    for change, why in (
        ({"state": "failing"}, "none of its deployments is healthy and takes traffic"),
        ({"drained": True}, "none of its deployments is healthy and takes traffic"),
        ({"headroom_percent": 0}, "beta-anthropic-us has 0 % headroom"),
    ):
        world = World()
        world.facts[f"{ADMIN}/deployments"]["deployments"][2].update(change)
        async with serving(world) as context:
            made = await draft(context, "shift_traffic", **SHIFT)

        assert unmet(made) == [f"beta-anthropic is healthy now and has headroom: {why}"]


@pytest.mark.parametrize(("residency", "allowed"), [("any", True), ("us", True), ("us-1", True), ("eu", False)])
async def test_traffic_stays_where_the_data_may_be(residency: str, allowed: bool) -> None:
    async with serving(World()) as context:
        made = await draft(with_service(context, residency=residency), "shift_traffic", **SHIFT)

    assert (unmet(made) == []) is allowed


async def test_a_provider_that_fell_ill_after_the_approval_is_not_shifted_to() -> None:
    world = World()
    async with serving(world) as context:
        made = await draft(context, "shift_traffic", **SHIFT)
        world.facts[f"{ADMIN}/deployments"]["deployments"][2]["state"] = "failing"
        result = await ACTIONS["shift_traffic"].apply(context, made, APPROVAL)

    assert result.status is EffectStatus.FAILED
    assert "no longer holds: beta-anthropic is healthy now" in result.detail
    assert world.writes == []


async def test_a_revert_does_not_ask_whether_the_way_back_is_healthy() -> None:
    world = World()
    async with serving(world) as context:
        made = await draft(context, "shift_traffic", **SHIFT)
        await ACTIONS["shift_traffic"].apply(context, made, APPROVAL)
        world.facts[f"{ADMIN}/deployments"]["deployments"][2]["state"] = "failing"
        result = await ACTIONS["shift_traffic"].revert(context, made, APPROVAL)

    assert result.status is EffectStatus.DONE


async def test_percent_is_the_share_that_the_other_provider_will_carry() -> None:
    world = World()
    world.touch(f"{ADMIN}/routes/support", weights={"acme-openai": 90, "beta-anthropic": 10})
    async with serving(world) as context:
        made = await draft(context, "shift_traffic", **{**SHIFT, "percent": 50})

    assert made.post_state == {"weights": {"acme-openai": 50, "beta-anthropic": 50}}


async def test_a_provider_cannot_give_more_than_it_carries() -> None:
    world = World()
    world.touch(f"{ADMIN}/routes/support", weights={"acme-openai": 40, "beta-anthropic": 10, "third": 50})
    async with serving(world) as context:
        with pytest.raises(ActionError, match="can be given 50 % at most, not 100 %"):
            await draft(context, "shift_traffic", **SHIFT)


async def test_traffic_already_there_is_said_so() -> None:
    world = World()
    world.touch(f"{ADMIN}/routes/support", weights={"acme-openai": 0, "beta-anthropic": 100})
    async with serving(world) as context:
        made = await draft(context, "shift_traffic", **SHIFT)

    assert made.changes_nothing
    assert unmet(made) == ["beta-anthropic carries less than 100 % of the route: it carries 100 %"]


async def test_a_prompt_goes_back_one_version_or_to_the_one_that_was_named() -> None:
    async with serving(World()) as context:
        previous = await draft(context, "rollback_prompt")
        named = await draft(context, "rollback_prompt", to="12")

        assert previous.post_state == named.post_state == {"aliases": {"production": 12}}
        assert previous.diff[0].before == "version 13 (tone)"
        assert unmet(await draft(context, "rollback_prompt", to="9")) == [
            "version 9 is in the registry: it has versions 12, 13, 14"
        ]
        assert unmet(await draft(context, "rollback_prompt", to="14")) == [
            "version 14 is earlier than what is in use: version 13 is in use"
        ]


async def test_the_first_prompt_version_has_nothing_before_it() -> None:
    world = World()
    world.touch("/prompts/support", aliases={"production": 12})
    async with serving(world) as context:
        with pytest.raises(ActionError, match="version 12 is the first one"):
            await draft(context, "rollback_prompt")


async def test_the_previous_setting_is_the_one_before_even_after_an_earlier_rollback() -> None:
    world = World()
    entry = {"model": "acme-large-2026-06-01", "params": {}, "revision": "r15", "at": "2026-08-01T00:00:00Z"}
    world.docs[f"{ADMIN}/params/support"]["history"].append(entry)
    world.touch(f"{ADMIN}/params/support", revision="r16", model="acme-large-2026-08-01")
    async with serving(world) as context:
        made = await draft(context, "rollback_model_config")

    assert made.params["to"] == "r15"
    assert [line.what for line in made.diff] == ["revision", "model", "max_tokens", "temperature"]


async def test_an_unknown_or_first_revision_is_told() -> None:
    world = World()
    async with serving(world) as context:
        with pytest.raises(ActionError, match="no revision 'r99'"):
            await draft(context, "rollback_model_config", to="r99")
        world.touch(f"{ADMIN}/params/support", revision="r16")
        with pytest.raises(ActionError, match="oldest in the history"):
            await draft(context, "rollback_model_config")


async def test_a_release_is_rolled_back_to_one_that_is_in_the_history_and_never_beyond_the_first() -> None:
    world = World()
    async with serving(world) as context:
        with pytest.raises(ActionError, match="no release 'gw-1' in its history"):
            await draft(context, "rollback_release", to="gw-1")
        assert (await draft(context, "rollback_release", to="gw-46")).params["to"] == "gw-46"
        world.touch(f"{ADMIN}/release", release="gw-46")
        with pytest.raises(ActionError, match="oldest in the history"):
            await draft(context, "rollback_release")


PACKAGE, KEY = f"{ADMIN}/packages/starlette", f"{ADMIN}/credentials/acme-prod"


async def test_a_package_is_pinned_only_if_it_is_not_what_was_locked_and_never_to_a_malicious_release() -> None:
    world = World()
    async with serving(world) as context:
        with pytest.raises(ActionError, match="no release '9' in its history"):
            await draft(context, "pin_dependency", to="9")
        assert (await draft(context, "pin_dependency", to="0.49.1")).post_state["release"] == "0.49.1"
        world.touch(PACKAGE, release="0.49.3", sha256="a" * 64)
        assert unmet(await draft(context, "pin_dependency", package="starlette")) == [
            "the package is not what it should be: starlette 0.49.3 runs, the lock file names 0.49.3"
        ]
        world.touch(PACKAGE, name="litellm", release="1.82.8", locked={"release": "1.82.7", "sha256": "c" * 64})
        assert unmet(await draft(context, "pin_dependency")) == [
            "the release to go to is not known to be malicious: litellm 1.82.7"
        ]
        world.touch(PACKAGE, name="starlette", release="0.50.0", locked={"release": "0.49.3"})
        assert unmet(await draft(context, "pin_dependency")) == ["its hash is known: no hash is on record"]


async def test_which_package_is_meant_is_read_and_never_guessed() -> None:
    world = World()
    packages = world.facts[f"{ADMIN}/inventory"]["packages"]
    async with serving(world) as context:
        packages[1] |= {"version": "7.1.0"}
        with pytest.raises(ActionError, match=r"name one of: redis 7\.1\.0, starlette 0\.50\.0"):
            await draft(context, "pin_dependency")
        packages[0] |= {"version": "0.49.3"}
        packages[1] |= {"version": "7.0.1"}
        with pytest.raises(ActionError, match="there is nothing to pin"):
            await draft(context, "pin_dependency")
        del world.facts[f"{ADMIN}/inventory"]
        with pytest.raises(ActionError, match="publishes no inventory"):
            await draft(context, "pin_dependency")


async def test_a_credential_is_rotated_only_to_a_tested_version_that_no_thief_can_read() -> None:
    world = World()
    async with serving(world) as context:
        world.touch(KEY, staged={"secret": "k4", "tested": False})
        assert unmet(await draft(context, "rotate_credential")) == [
            "it was tested out of band: no test of it is on record"
        ]
        world.touch(KEY, staged={"secret": "k3", "tested": True})
        assert unmet(await draft(context, "rotate_credential")) == ["a new version is staged: k3 is staged, k3 in use"]
        world.touch(KEY, staged={"secret": "k4", "tested": True})
        thief = {"name": "litellm", "version": "1.82.8"}
        world.facts[f"{ADMIN}/inventory"]["packages"].append(thief)
        assert unmet(await draft(context, "rotate_credential")) == [
            "nothing that may steal it runs in the gateway: litellm 1.82.8"
        ]
        del world.facts[f"{ADMIN}/inventory"]
        assert unmet(await draft(context, "rotate_credential")) == []


async def test_a_key_of_another_provider_is_not_this_services() -> None:
    world = World()
    async with serving(world) as context:
        with pytest.raises(ActionError, match="no key 'beta-prod' of acme-openai"):
            await draft(context, "rotate_credential", credential="beta-prod")
        keys = world.facts[f"{ADMIN}/keys"]["keys"]
        keys.append({"alias": "acme-batch", "provider": "acme-openai"})
        with pytest.raises(ActionError, match="several keys of acme-openai, name one of acme-prod, acme-batch"):
            await draft(context, "rotate_credential")


async def test_both_touch_what_everybody_depends_on_and_take_the_strictest_rule() -> None:
    for name in ("pin_dependency", "rotate_credential"):
        assert {a.spec.name: a.spec.risk for a in BUILT_IN}[name] == "R3"


async def test_a_gateway_with_enough_workers_gets_no_more() -> None:
    world = World()
    async with serving(world) as context:
        assert unmet(await draft(context, "scale_gateway", workers=1)) == [
            "the gateway has fewer than 1 workers now: it has 2"
        ]
        assert unmet(await draft(context, "scale_gateway")) == []


async def test_an_engine_grows_to_its_usual_size_and_never_beyond_its_quota() -> None:
    world = World()
    async with serving(world, "code-assistant") as context:
        assert (await draft(context, "scale_engine")).params["replicas"] == 4
        assert unmet(await draft(context, "scale_engine", replicas=2)) == [
            "the engine has fewer than 2 replicas now: it has 2"
        ]
        assert unmet(await draft(context, "scale_engine", replicas=9)) == ["its quota allows that many: at most 6"]
        world.touch("/engine/admin/scale", replicas=5)
        assert (await draft(context, "scale_engine")).params["replicas"] == 6
        world.touch("/engine/admin/scale", replicas=6)
        assert "the engine has fewer than 6 replicas now: it has 6" in unmet(await draft(context, "scale_engine"))


async def test_a_replica_is_drained_only_if_it_is_bad_and_the_others_have_room() -> None:
    world = World()
    listed = world.facts["/engine/admin/replicas"]
    async with serving(world, "code-assistant") as context:
        with pytest.raises(ActionError, match="no replica 'coder-7' in the engine"):
            await draft(context, "drain_replica", replica="coder-7")
        listed["replicas"] = [replica("coder-0"), replica("coder-1", headroom_percent=5), replica("coder-2")]
        with pytest.raises(ActionError, match="no replica of own-coder does badly now"):
            await draft(context, "drain_replica")
        assert unmet(await draft(context, "drain_replica", replica="coder-1")) == [
            "coder-1 does clearly worse than its peers: spoils 0.1% of its requests, the worst peer 0.1%"
        ]
        listed["replicas"] = [replica("coder-0", headroom_percent=5), replica("coder-1", corrupted_share=0.9)]
        assert unmet(await draft(context, "drain_replica")) == [
            "the other replicas have room for 26 requests/min: 1 with 1 free"
        ]
        listed["replicas"] = [replica("coder-1", state="restarting")]
        assert unmet(await draft(context, "drain_replica")) == [
            "the other replicas have room for 26 requests/min: there is no other one that serves"
        ]
        listed["replicas"] = [{"id": "coder-1"}]
        with pytest.raises(ActionError, match="a replica has no usable"):
            await draft(context, "drain_replica")


async def test_an_engine_without_an_admin_api_is_steered_by_hand() -> None:
    async with serving(World(), "code-assistant") as context:
        engine = context.catalogue.engines[0].model_copy(update={"admin": None})
        bare = replace(context, catalogue=context.catalogue.model_copy(update={"engines": (engine,)}))
        with pytest.raises(ActionError, match="declares no admin target"):
            await draft(bare, "drain_replica", replica="coder-1")
        with pytest.raises(ActionError, match="has no engine in the catalogue"):
            await draft(with_service(context, engine=None), "scale_engine")


async def test_a_tenant_is_throttled_only_if_it_takes_most() -> None:
    world = World()
    tenants = world.facts[f"{ADMIN}/usage"]["tenants"]
    tenants[1]["tokens_per_min"] = 1000
    world.docs[f"{ADMIN}/limits/support/t-small"] = {"version": 1, "tokens_per_minute": None}
    async with serving(world) as context:
        made = await draft(context, "throttle_tenant", tokens_per_minute=500)

        assert unmet(made) == [
            f"{made.params['tenant']} uses more than 50% of all tokens: 50%: 1000 of 2000 tokens a minute"
        ]
        with pytest.raises(ActionError, match="lists no tenant 'nobody'"):
            await draft(context, "throttle_tenant", tenant="nobody", tokens_per_minute=500)


async def test_a_tenant_name_from_outside_cannot_become_another_address() -> None:
    world = World()
    world.facts[f"{ADMIN}/usage"]["tenants"] = [{"tenant": "../retries", "tokens_per_min": 9, "share": 1}]
    async with serving(world) as context:
        with pytest.raises(ActionError, match=r"cannot be about what was found: tenant '\.\./retries'"):
            await draft(context, "throttle_tenant", tokens_per_minute=500)

    assert world.writes == []


async def test_only_moderation_holds_content() -> None:
    world = World()
    world.docs[f"{ADMIN}/moderation/support"] = {"version": 1, "on_timeout": "pass", "hold_for_review": False}
    async with serving(world) as context:
        made = await draft(context, "hold_for_review")

    assert unmet(made) == ["the service moderates content: its kind is rag"]


async def test_running_ingestion_is_not_resumed() -> None:
    world = World()
    world.touch("/ingestion/support-kb", state="running")
    async with serving(world) as context:
        assert unmet(await draft(context, "resume_ingestion")) == ["ingestion is not running: it is running"]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"version": 1}, "max_retries is missing, expected a whole number"),
        ({"version": 1, "max_retries": "3"}, "max_retries is '3', expected a whole number"),
        ({"version": 1, "max_retries": True}, "max_retries is 'True', expected a whole number"),
    ],
)
async def test_a_document_of_another_shape_is_told(document: dict[str, Any], told: str) -> None:
    world = World()
    world.docs[f"{ADMIN}/retries"] = document
    async with serving(world) as context:
        with pytest.raises(ActionError, match=told):
            await draft(context, "clamp_retries")


async def test_a_target_that_does_not_answer_as_it_should_is_told() -> None:
    world = World()
    async with serving(world) as context:
        del world.docs[f"{ADMIN}/retries"]
        with pytest.raises(ActionError, match="llm-gateway/retries could not be read: HTTP 404"):
            await draft(context, "clamp_retries")
        world.facts[f"{ADMIN}/retries"] = ["no", "object"]
        with pytest.raises(ActionError, match="a JSON list, expected an object"):
            await draft(context, "clamp_retries")
        world.facts[f"{ADMIN}/retries"] = {"max_retries": 3}
        with pytest.raises(ActionError, match="neither an ETag nor a version"):
            await draft(context, "clamp_retries")
        world.facts[f"{ADMIN}/deployments"] = {
            "deployments": [deployment("a", "b") | {"drained": 1, "error_share": "x"}]
        }
        with pytest.raises(ActionError, match="a deployment has no usable"):
            await draft(context, "drain_deployment")


async def test_a_name_taken_out_of_the_catalogue_after_the_approval_fails_the_effect() -> None:
    world = World()
    async with serving(world) as context:
        made = await draft(context, "clamp_retries")
        gone = replace(context, catalogue=without_gateways(context.catalogue))
        result = await ACTIONS["clamp_retries"].apply(gone, made, APPROVAL)
        back = await ACTIONS["clamp_retries"].revert(gone, made, APPROVAL)

    assert result.status is back.status is EffectStatus.FAILED
    assert world.writes == []


def without_gateways(catalogue: Catalogue) -> Catalogue:
    return catalogue.model_copy(update={"gateways": ()})
