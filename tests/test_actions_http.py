"""Declared actions: an operator's YAML becomes an action, and nothing in it can become another address or request."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from runbooks.actions.http_action import HttpAction
from runbooks.actions.http_action_file import InvalidDeclarationError, load_http_actions
from runbooks.model import ActionContext, ActionError, Draft, EffectClass, EffectStatus
from tests.actions_fakes import APPROVAL, Hasty, World, serving

FLAG = """\
actions:
  - name: switch_flag
    title: Switch a feature flag
    risk: R2
    blast_radius: Everybody who uses the feature.
    target: order-tool
    params:
      flag: {type: string, pattern: "[a-z/. ]+"}
      percent: {type: integer, min: 0, max: 100, default: 0}
    read: {path: /flags/$flag, watch: [enabled, /rollout/percent]}
    call:
      method: PUT
      path: /flags/$flag
      headers: {x-reason: incident}
      body: '{"enabled": false, "rollout": {"percent": "$percent"}, "price": "$$5", "tags": ["$flag", null]}'
    expect: '{"enabled": false, "/rollout/percent": "$percent"}'
    undo:
      method: PUT
      path: /flags/$flag
      body: '{"enabled": "$pre.enabled", "rollout": {"percent": "$pre./rollout/percent"}}'
    effect: EFFECT
"""
PATH = "/tools/orders/flags/answers"


def loaded(effect: str = "converge", extra: str = "") -> HttpAction:
    (action,) = load_http_actions(FLAG.replace("EFFECT", effect) + extra, "actions.yaml", targets={"order-tool"})
    return action


async def drafted(action: HttpAction, context: ActionContext, **params: Any) -> Draft:
    return await action.draft(context, action.spec.params.model_validate({"flag": "answers", **params}))


async def test_parameters_become_whole_values_and_keep_their_types() -> None:
    world = World()
    async with serving(world) as context:
        action = loaded()
        draft = await drafted(action, context, percent="7")
        result = await action.apply(context, draft, APPROVAL)

    method, path, body, headers = world.writes[0]
    assert result.status is EffectStatus.DONE
    assert (method, path) == ("PUT", PATH)
    assert body == {"enabled": False, "rollout": {"percent": 7}, "price": "$5", "tags": ["answers", None]}
    assert headers["x-reason"] == "incident"
    assert "if-match" not in headers
    assert draft.pre_state == {"enabled": True, "/rollout/percent": 80}
    assert [(line.what, line.before, line.after) for line in draft.diff] == [
        ("enabled", "true", "false"),
        ("/rollout/percent", "80", "7"),
    ]


@pytest.mark.parametrize("flag", ["..", ".", "a/../../admin", "a b", "a/b"])
async def test_a_parameter_stays_one_segment_of_the_path(flag: str) -> None:
    world = World()
    async with serving(world) as context:
        with pytest.raises(ActionError):
            await drafted(loaded(), context, flag=flag)

    assert world.writes == []


@pytest.mark.parametrize("flag", ["answers\r\nx-evil: 1", "ANSWERS", "answers#", "answers?x=1", "{{ x }}", "a" * 201])
def test_a_parameter_outside_its_pattern_is_refused(flag: str) -> None:
    with pytest.raises(ValidationError):
        loaded().spec.params.model_validate({"flag": flag})


async def test_text_that_looks_like_json_or_a_template_stays_text() -> None:
    text = FLAG.replace("EFFECT", "converge").replace(
        'pattern: "[a-z/. ]+"', 'enum: [answers, "x\\", \\"admin\\": true"]'
    )
    (action,) = load_http_actions(text, "actions.yaml")
    world = World()
    world.docs['/tools/orders/flags/x", "admin": true'] = json.loads(json.dumps(world.docs[PATH]))
    async with serving(world) as context:
        draft = await drafted(action, context, flag='x", "admin": true')
        await action.apply(context, draft, APPROVAL)

    assert world.writes[0][2]["tags"] == ['x", "admin": true', None]
    assert "admin" not in world.writes[0][2]


async def test_a_keyed_action_sends_the_same_key_for_every_attempt_at_one_effect() -> None:
    world = World(drop_instead=True)
    async with serving(world) as context:
        action = loaded("keyed", "    idempotency_header: Idempotency-Key\n")
        draft = await drafted(action, context)
        await action.apply(context, draft, APPROVAL)
        world.drop_instead = False
        await action.apply(context, draft, APPROVAL)
        await action.revert(context, draft, APPROVAL)

    assert [headers["idempotency-key"] for *_, headers in world.writes] == ["p-1:apply", "p-1:apply", "p-1:revert"]
    assert action.spec.effect is EffectClass.KEYED


async def test_an_unsafe_call_without_a_reply_is_unknown_while_nothing_shows() -> None:
    async with serving(World(drop_instead=True)) as context:
        action = loaded("unsafe_once")
        result = await action.apply(context, await drafted(action, context), APPROVAL)

    assert result.status is EffectStatus.UNKNOWN
    assert "may yet be carried out" in result.detail


async def test_an_unsafe_call_that_shows_is_done_although_nobody_answered() -> None:
    async with serving(World(act_then="hang")) as context:
        action = loaded("unsafe_once")
        draft = await drafted(action, context)
        result = await action.apply(replace(context, http=Hasty(context.http)), draft, APPROVAL)

    assert result.status is EffectStatus.DONE


async def test_a_call_that_was_accepted_and_did_something_else_is_unknown() -> None:
    text = FLAG.replace("EFFECT", "converge").replace('"enabled": false, "rollout"', '"enabled": true, "rollout"', 1)
    (action,) = load_http_actions(text, "actions.yaml")
    async with serving(World()) as context:
        result = await action.apply(context, await drafted(action, context), APPROVAL)

    assert result.status is EffectStatus.UNKNOWN
    assert "accepted the change, but reads enabled=true" in result.detail


async def test_what_is_watched_has_to_be_there() -> None:
    world = World()
    world.docs[PATH] = {"version": 1, "enabled": True, "rollout": []}
    async with serving(world) as context:
        with pytest.raises(ActionError, match="has no '/rollout/percent' to watch"):
            await drafted(loaded(), context)


async def test_if_match_needs_a_version() -> None:
    world = World()
    world.facts[PATH] = {"enabled": True, "rollout": {"percent": 1}}
    async with serving(world) as context:
        with pytest.raises(ActionError, match="has no ETag"):
            await drafted(loaded(extra="    if_match: true\n"), context)


async def test_the_requests_stand_in_the_plan_as_they_are_sent_and_secrets_are_masked() -> None:
    text = FLAG.replace("EFFECT", "converge").replace("{x-reason: incident}", "{x-reason: incident, x-token: s3cret}")
    (action,) = load_http_actions(text.replace('"price"', '"password": "hunter2", "price"'), "actions.yaml")
    world = World()
    async with serving(world) as context:
        draft = await drafted(action, context, percent="7")
        await action.apply(context, draft, APPROVAL)
    target = context.catalogue.target("order-tool")
    assert target is not None

    shown = draft.instructions.split("\n")
    assert shown[0] == f"PUT {target.base_url}/flags/answers"
    assert shown[1:3] == ["x-reason: incident", "x-token: ***"]
    assert json.loads(shown[3]) == {**world.writes[0][2], "password": "***"}
    assert world.writes[0][2]["password"] == "hunter2"
    assert shown[4:7] == ["to undo:", shown[0], '{"enabled": true, "rollout": {"percent": 80}}']


@pytest.mark.parametrize(
    ("found", "edited"),
    [("method: PUT", "method: PATCH"), ("x-reason: incident", "x-reason: other"), ('"$$5"', '"$$6"'), ("R2", "R1"),
     ("watch: [enabled, /rollout/percent]", "watch: [enabled, /rollout/percent, version]")],
)  # fmt: skip
async def test_a_declaration_that_was_edited_after_the_vote_is_not_sent_forth_or_back(found: str, edited: str) -> None:
    text = FLAG.replace("EFFECT", "converge")
    (action,) = load_http_actions(text.replace(found, edited), "actions.yaml")
    world = World()
    async with serving(world) as context:
        draft = await drafted(loaded(), context)
        forth, back = (await action.apply(context, draft, APPROVAL), await action.revert(context, draft, APPROVAL))
        with pytest.raises(ActionError, match="changed after people approved"):
            await action.observe(context, draft)

    assert (forth.status, back.status) == (EffectStatus.CONFLICT, EffectStatus.CONFLICT)
    assert world.writes == []


async def test_without_undo_nothing_is_sent_back() -> None:
    text = FLAG.replace("EFFECT", "converge").replace("risk: R2", "risk: R3")
    start, end = text.index("    undo:"), text.index("    effect:")
    (action,) = load_http_actions(text[:start] + text[end:], "actions.yaml")
    world = World()
    async with serving(world) as context:
        draft = await drafted(action, context)
        await action.apply(context, draft, APPROVAL)
        result = await action.revert(context, draft, APPROVAL)

    assert draft.undo == "It cannot be undone from here."
    assert not action.spec.reversible
    assert result.status is EffectStatus.FAILED
    assert len(world.writes) == 1


def test_an_empty_file_declares_nothing() -> None:
    assert load_http_actions("", "actions.yaml") == ()


MISTAKES = {
    "unknown key": ("    effect: EFFECT", "    efect: x\n    effect: converge", "efect: x", "efect"),
    "yaml": ("title: Switch a feature flag", "title: Switch: a flag", ": a flag", "mapping values"),
    "json": ('body: \'{"enabled": false, ', 'body: \'{"enabled": no, ', 'body: \'{"enabled": no', "Expecting value"),
    "not json": (
        'body: \'{"enabled": "$pre.enabled"',
        'body: \'{"enabled": NaN',
        'body: \'{"enabled": NaN',
        "not JSON",
    ),
    "risk": ("risk: R2", "risk: R9", "risk: R9", "R0"),
    "path": ("path: /flags/$flag, watch", "path: /flags/../x, watch", "path: /flags/../x", "no plain path"),
    "query in path": (
        "path: /flags/$flag, watch",
        "path: '/flags?x=1', watch",
        "path: '/flags?x=1'",
        "goes to 'query'",
    ),
    "unknown param": (
        "path: /flags/$flag\n      headers",
        "path: /flags/$flg\n      headers",
        "path: /flags/$flg",
        "'$flg'",
    ),
    "embedded": ("headers: {x-reason: incident}", "query: {q: 'flag=$flag'}", "q: 'flag=$flag'", "stand alone"),
    "pre in call": ('"price": "$$5"', '"price": "$pre.enabled"', 'body: \'{"enabled": false', "was not read"),
    "unwatched": ('expect: \'{"enabled"', 'expect: \'{"enable"', "expect: ", "'enable' is not among the watched"),
    "crlf header": ("{x-reason: incident}", '{x-reason: "a\\r\\nb: c"}', "x-reason", "printable ASCII"),
    "own header": (
        "{x-reason: incident}",
        "{authorization: x}",
        "authorization: x",
        "not a header that can be declared",
    ),
    "free text": ('{type: string, pattern: "[a-z/. ]+"}', "{type: string}", "flag: {type", "free text"),
    "bad regex": ('"[a-z/. ]+"', '"[a-z"', "flag: {type", "not a regular expression"),
    "look-around": ('"[a-z/. ]+"', '"(?=a)a"', "params:", "not supported"),
    "default": ("max: 100, default: 0", "max: 100, default: 101", "percent: {type", "its default"),
    "bounds": ("min: 0, max: 100, default: 0", "min: 5, max: 1", "percent: {type", "min 5 is above max 1"),
    "keyed": ("effect: EFFECT", "effect: keyed", "effect: keyed", "names its idempotency_header"),
    "not keyed": (
        "effect: EFFECT",
        "effect: converge\n    idempotency_header: k",
        "idempotency_header",
        "only a keyed",
    ),
    "built-in": ("name: switch_flag", "name: shift_traffic", "name: shift_traffic", "already"),
    "target": ("target: order-tool", "target: order-tol", "target: order-tol", "did you mean 'order-tool'"),
    "lease": ("effect: EFFECT", "effect: converge\n    leasable: maybe", "leasable: maybe", "bool"),
}


@pytest.mark.parametrize(("found", "wrong", "at", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_place(found: str, wrong: str, at: str, told: str) -> None:
    assert found in FLAG
    text = FLAG.replace(found, wrong).replace("EFFECT", "converge")
    before = text[: text.index(at)]
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"

    with pytest.raises(InvalidDeclarationError) as raised:
        load_http_actions(text, "actions.yaml", targets={"order-tool"})

    problems = [str(problem) for problem in raised.value.problems]
    assert [p for p in problems if p.startswith(f"actions.yaml:{place}: error:") and told in p], (place, problems)


def test_an_action_without_undo_is_r3_and_has_no_end() -> None:
    text = FLAG.replace("EFFECT", "converge\n    leasable: true")
    start, end = text.index("    undo:"), text.index("    effect:")

    with pytest.raises(InvalidDeclarationError) as raised:
        load_http_actions(text[:start] + text[end:], "actions.yaml")

    assert [(p.line, p.column) for p in raised.value.problems] == [(4, 5), (18, 5)]


def test_one_name_is_declared_once() -> None:
    text = FLAG.replace("EFFECT", "converge")

    with pytest.raises(InvalidDeclarationError, match=r"switch_flag.*already"):
        load_http_actions(text + text.removeprefix("actions:\n"), "actions.yaml")


def test_the_example_in_the_docs_is_valid() -> None:
    page = (Path(__file__).parent.parent / "docs/http-actions.md").read_text(encoding="utf-8")
    (action,) = load_http_actions(page.split("```yaml\n")[1].split("```")[0], "docs", targets={"flags"})

    assert action.spec.name == "disable_feature"
    assert action.spec.leasable
    assert action.spec.params.model_validate({"flag": "web-search"}).model_dump() == {
        "flag": "web-search",
        "percent": 0,
    }
