"""A candidate against a baseline on real sockets: what is called worse, what is named, and what it may cost."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diagnostics import paired, series
from diagnostics.marking import Marker
from diagnostics.model import ProbeContext
from diagnostics.probes.golden_set import GoldenCounterfactual
from diagnostics.purse import BudgetGone, Purse
from diagnostics.regression import Plan, Regression, by_tag, compare, power_facts
from diagnostics.replay import chosen
from diagnostics.setups import Asker, Setup, SetupError, Side
from diagnostics.tool_calls import Tools, ToolsError, load_tools
from tests.golden_fakes import (
    CHAT,
    GOOD,
    MESSAGES,
    Rule,
    answer,
    context,
    number_of,
    numbered,
    pupil,
    refused,
    system_of,
)
from tests.provider_fakes import NOW, Asked, Company, LocalHttp, Served, company_open

WEATHER = Tools(schema=({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},))


@pytest.fixture
async def company() -> AsyncIterator[tuple[Company, LocalHttp]]:
    async with company_open() as opened:
        yield opened


async def run(
    http: LocalHttp, candidate: Setup, *, baseline: Setup = GOOD, n: int = 60, purse: Purse | None = None,
    given: ProbeContext | None = None, **rule: Any,
) -> Regression:  # fmt: skip
    given = given or context(http)
    asker = Asker.of(given, [baseline, candidate])
    plan = Plan(baseline=baseline, candidate=candidate, items=chosen(numbered(n), n),
                rule=paired.Rule(planned=n, **{"smallest": 0.19, **rule}))  # fmt: skip
    return await compare(plan, asker, Marker(), purse or Purse())


def asked_with(company: Company, target: str = "acme", path: str = CHAT) -> list[Any]:
    return [asked.body for asked in company.calls(target, path)]


# --- Verdicts ----------------------------------------------------------------------------------------------------


async def test_the_same_setup_is_no_worse(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    served.play("acme", CHAT, pupil(lambda number, asked: number % 10 != 0))
    found = await run(http, GOOD)

    asked = found.result.look.asked
    assert (found.word, found.named, found.stopped, found.result.early) == ("no_worse", None, "", True)
    assert found.passed("baseline") == found.passed("candidate") > 30
    assert len(served.calls("acme", CHAT)) == 2 * asked < 120
    assert found.tokens == 2 * asked * 25
    assert found.usd == pytest.approx(2 * asked * (20 * 0.5 + 5 * 1.0) / 1000)


async def test_a_worse_prompt_is_found_early_and_named_without_asking(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    served.play("acme", CHAT, pupil(lambda number, asked: system_of(asked) == "good prompt" or number % 3 == 0))
    found = await run(http, replace(GOOD, prompt="version 13", text="bad prompt"))

    assert (found.word, found.result.early) == ("worse", True)
    assert found.result.look.asked < 40
    assert found.named is not None
    assert (found.named.culprits, found.named.how, found.named.trials) == (("prompt",), "only", ())
    assert len(served.calls("acme", CHAT)) == 2 * found.result.look.asked


async def test_both_sides_are_asked_the_same_with_their_own_setup(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    served.play("acme", CHAT, pupil(lambda number, asked: True))
    await run(http, replace(GOOD, params={"temperature": 0.9, "max_tokens": 50}, tools=WEATHER), n=8)
    plain, other = asked_with(served)[0], asked_with(served)[8]

    assert plain["messages"] == [{"role": "system", "content": "good prompt"}, other["messages"][1]]
    assert (plain["temperature"], plain["max_tokens"], plain.get("tools")) == (0.2, 1024, None)
    assert (other["temperature"], other["max_tokens"]) == (0.9, 50)
    assert other["tools"] == [dict(tool) for tool in WEATHER.schema]


async def test_a_drop_that_so_few_items_cannot_tell_is_undecided(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    served.play("acme", CHAT, pupil(lambda number, asked: system_of(asked) == "good prompt" or number > 3))
    found = await run(http, replace(GOOD, text="other"), smallest=0.05)

    assert (found.word, found.result.look.lost) == ("undecided", 4)
    assert found.reason.startswith("too few items")
    facts = power_facts(found.result, found.plan.rule)
    assert facts["power"] < 0.1
    assert facts["items_needed"] > 300


async def test_what_the_provider_refuses_is_the_candidates_failure(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    good = pupil(lambda number, asked: True)
    served.play("acme", CHAT, lambda asked: refused() if "tools" in asked.body else good(asked))
    found = await run(http, replace(GOOD, tools=WEATHER))

    assert found.word == "worse"
    assert {pair.word for pair in found.pairs} == {"lost"}
    assert found.pairs[0].why == "refused: 400 invalid_value"
    assert found.errors["candidate"] == {"bad_request": found.result.look.asked}


@pytest.mark.parametrize("broken", ["good prompt", "other"])
async def test_a_bad_minute_of_the_provider_is_nobodys_failure(company: tuple[Company, LocalHttp], broken: str) -> None:
    served, http = company
    good = pupil(lambda number, asked: True)
    down = refused(503, "overloaded", "server_error")
    served.play("acme", CHAT, lambda asked: down if system_of(asked) == broken else good(asked))
    found = await run(http, replace(GOOD, text="other"))

    assert (found.word, found.stopped) == ("no_answers", "failing")
    assert len(served.calls("acme", CHAT)) == 16


async def test_a_baseline_that_is_refused_measures_nothing(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    served.play("acme", CHAT, refused())

    assert (await run(http, replace(GOOD, text="other"))).word == "no_answers"


async def test_one_failed_call_leaves_one_item_out(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    good = pupil(lambda number, asked: True)
    served.play("acme", CHAT, lambda asked: refused(500, "x", "server_error") if number_of(asked) == 7 else good(asked))
    found = await run(http, GOOD, smallest=0.1)

    assert (found.word, len(found.compared)) == ("no_worse", 59)
    assert next(pair for pair in found.pairs if pair.item.id == "i7").word == "not_compared"


async def test_it_stops_before_it_would_worsen_a_rate_limit(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    limits = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "150"}
    served.play("acme", CHAT, lambda asked: replace(answer("right"), headers=limits))
    found = await run(http, GOOD)

    assert (found.word, found.stopped) == ("undecided", "headroom")
    assert len(served.calls("acme", CHAT)) == 16


# --- Which dimension ---------------------------------------------------------------------------------------------


def all_moved() -> Setup:
    return Setup(prompt="version 13", text="new prompt", provider="acme-openai", model="acme-small",
                 params={"temperature": 0.9}, tools=WEATHER)  # fmt: skip


BREAKS: dict[str, Callable[[Asked], bool]] = {
    "prompt": lambda asked: system_of(asked) == "new prompt",
    "model": lambda asked: asked.body["model"] == "acme-small",
    "params": lambda asked: asked.body["temperature"] == 0.9,
    "tools": lambda asked: "tools" in asked.body,
}


def breaking(*dimensions: str, all_of: bool = False) -> Rule:
    """Half of the questions are answered wrongly when one (or all) of these have the candidate's value."""
    decide = all if all_of else any
    return lambda number, asked: number % 2 == 0 or not decide(BREAKS[name](asked) for name in dimensions)


@pytest.mark.parametrize("culprit", sorted(BREAKS))
async def test_the_dimension_that_moved_is_named(company: tuple[Company, LocalHttp], culprit: str) -> None:
    served, http = company
    served.play("acme", CHAT, pupil(breaking(culprit)))
    found = await run(http, all_moved())

    assert found.word == "worse"
    assert found.named is not None
    assert found.named.moved == ("prompt", "model", "params", "tools")
    assert (found.named.culprits, found.named.how) == ((culprit,), "alone")
    assert found.named.sentence() == f"What moved: {culprit}; it alone makes the answers worse."


async def test_the_index_is_named_through_the_gateway(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    old = replace(GOOD, index="kb")
    new = replace(old, index="kb-next", params={"temperature": 0.7})

    def rule(number: int, asked: Asked) -> bool:
        (search,) = asked.body["tools"]
        assert search["type"] == "file_search"
        return number % 2 == 0 or search["vector_store_ids"] == ["kb"]

    served.play("gateway", CHAT, pupil(rule))
    found = await run(http, new, baseline=old, given=context(http, index=True))

    assert found.named is not None
    assert (found.named.culprits, found.named.how) == (("index",), "alone")
    assert served.calls("acme", CHAT) == []


async def test_two_that_break_different_things_are_both_named(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    first, second = BREAKS["prompt"], BREAKS["params"]
    served.play(
        "acme", CHAT, pupil(lambda k, asked: not (first(asked) and k % 2) and not (second(asked) and k % 3 == 0))
    )
    found = await run(http, all_moved())

    assert found.named is not None
    assert set(found.named.culprits) == {"prompt", "params"}
    assert "each of them alone" in found.named.sentence()


async def test_what_breaks_only_together_is_named_as_a_combination(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    served.play("acme", CHAT, pupil(breaking("prompt", "model", all_of=True)))
    found = await run(http, all_moved())

    assert found.named is not None
    assert found.named.how == "together"
    assert set(found.named.culprits) == {"prompt", "model"}
    assert {trial.direction for trial in found.named.trials} == {"forwards", "backwards"}


async def test_nobody_is_named_by_luck_of_the_first_round(company: tuple[Company, LocalHttp]) -> None:
    """The candidate fails the first sixteen questions, and then never again, whatever it is made of."""
    served, http = company
    seen: set[int] = set()

    def rule(number: int, asked: Asked) -> bool:
        first = all(broken(asked) for broken in BREAKS.values()) and len(seen) < 16
        seen.update({number} if first else ())
        return not first

    served.play("acme", CHAT, pupil(rule))
    found = await run(http, all_moved())

    assert found.word == "worse"
    assert found.named is not None
    assert (found.named.culprits, found.named.how) == ((), "none")


async def test_another_provider_is_asked_in_its_own_dialect(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    served.play("acme", CHAT, pupil(lambda number, asked: True))
    text = {"content": [{"type": "text", "text": "wrong"}], "usage": {"input_tokens": 9, "output_tokens": 2}}
    served.play("beta", MESSAGES, Served(body=json.dumps(text)))
    found = await run(http, replace(GOOD, provider="beta-anthropic", model="beta-sonnet", tools=WEATHER))
    body = asked_with(served, "beta", MESSAGES)[0]

    assert found.word == "worse"
    assert (body["system"], body["model"]) == ("good prompt", "beta-sonnet")
    assert body["tools"] == [{"name": "weather", "description": "", "input_schema": {"type": "object"}}]
    assert found.named is not None
    assert "model" in found.named.culprits


# --- Setups that cannot be asked -----------------------------------------------------------------------------------


async def test_a_route_is_asked_as_it_is(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    served.play("gateway", CHAT, pupil(lambda number, asked: asked.body["model"] == "support"))
    routes = [Setup(route="support", provider="acme-openai"), Setup(route="support-next", provider="acme-openai")]
    found = await run(http, routes[1], baseline=routes[0])

    assert (found.word, found.named) == ("worse", None)
    assert set(asked_with(served, "gateway")[0]) == {"model", "messages"}


@pytest.mark.parametrize(
    ("setups", "service", "said"),
    [
        ([GOOD, Setup(route="support")], {}, "name a route for both, or for neither"),
        ([GOOD, replace(GOOD, provider="acme-opnai")], {}, "there are acme-openai, beta-anthropic"),
        ([replace(GOOD, index="kb")] * 2, {"kind": "generic"}, "name a route that uses the index instead"),
        ([replace(GOOD, index="kb")] * 2, {"gateway": None}, "has no gateway in the catalogue"),
    ],
)
async def test_what_cannot_be_asked_is_said_before_anything_is(
    company: tuple[Company, LocalHttp], setups: list[Setup], service: dict[str, Any], said: str
) -> None:
    served, http = company
    with pytest.raises(SetupError, match=said):
        Asker.of(context(http, **service), setups)

    assert served.asked == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not JSON"), ("[]", "1 to 128 tools"), ('[{"type": "x"}]', "tool 0: expected"), ("7", "expected a list")],
)
def test_a_file_of_tools_is_checked(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "tools.json").write_text(text, "utf-8")
    with pytest.raises(ToolsError, match=said):
        load_tools(tmp_path / "tools.json")
    (tmp_path / "tools.json").write_text(json.dumps({"tools": [dict(tool) for tool in WEATHER.schema]}), "utf-8")
    assert load_tools(tmp_path / "tools.json") == WEATHER


# --- Budget ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [{"tokens": 2_500}, {"usd": 2.5}])
async def test_the_budget_holds_whatever_answers_cost(
    company: tuple[Company, LocalHttp], limit: dict[str, Any]
) -> None:
    """Answers become dearer as it goes on; what is reserved for each call is what it may cost at most."""
    served, http = company
    dear: Callable[[Asked], Served] = lambda asked: answer("right", tokens_out=5 + 2 * len(served.asked))  # noqa: E731
    served.play("acme", CHAT, dear)
    purse = Purse(**limit)
    found = await run(http, GOOD, purse=purse, smallest=0.05)

    assert (found.word, found.stopped) == ("undecided", "budget")
    assert found.reason == "the budget is used up"
    assert purse.spent_tokens > 0
    assert purse.tokens is None or purse.spent_tokens <= purse.tokens
    assert purse.usd is None or purse.spent_usd <= purse.usd


async def test_a_budget_below_one_question_asks_none(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    found = await run(http, GOOD, purse=Purse(tokens=500))

    assert served.asked == []
    assert "does not cover one question, which may cost 1,0" in found.reason


async def test_naming_what_moved_is_left_out_when_the_budget_is_gone(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    served.play("acme", CHAT, pupil(breaking("prompt")))
    found = await run(http, all_moved(), purse=Purse(tokens=2_600))

    assert found.word == "worse"
    assert found.named is not None
    assert (found.named.how, found.named.reason) == ("unknown", "the budget is used up")
    assert found.tokens <= 2_600


async def test_calls_wait_for_what_others_have_set_aside() -> None:
    purse = Purse(tokens=100)
    first = await purse.reserve(80, 0.0)
    waiting = asyncio.create_task(purse.reserve(60, 0.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    await purse.settle(first, 10, 0.0)

    assert await waiting == (60, 0.0)
    await purse.settle((60, 0.0), 60, 0.0)
    with pytest.raises(BudgetGone):
        await purse.reserve(31, 0.0)


# --- The same in an incident -------------------------------------------------------------------------------------


def changed_world(served: Company, http: LocalHttp, root: Path, rule: Rule) -> ProbeContext:
    """Version 13 and a shorter answer came into production today; version 12 and the longer one were good."""
    lines = "\n".join(item.model_dump_json(exclude_unset=True) for item in numbered(60).items)
    (root / "golden.jsonl").write_text(lines, "utf-8")
    hour_ago, long_ago = "2026-11-22T09:00:00+00:00", "2026-10-01T00:00:00+00:00"
    versions = [{"version": 12, "created_at": long_ago}, {"version": 13, "created_at": hour_ago}]
    served.play("prompts", "/support", Served(body=json.dumps({"aliases": {"production": 13}, "versions": versions})))
    for version, text in ((12, "good prompt"), (13, "new prompt")):
        served.play("prompts", f"/support/versions/{version}", Served(body=json.dumps({"text": text})))
    history = [{"revision": "r1", "model": "acme-large", "params": {"temperature": 0.2}, "at": long_ago},
               {"revision": "r2", "model": "acme-large", "params": {"temperature": 0.9}, "at": hour_ago}]  # fmt: skip
    served.play("gateway-admin", "/params/support", Served(body=json.dumps({**history[1], "history": history})))
    served.play("acme", CHAT, pupil(rule))
    given = context(http, root=root)
    given.baselines.documents["golden.items:support/direct@12"] = {  # type: ignore[attr-defined] # the kept fake
        f"i{k}": True for k in range(60)
    }
    return replace(given, started_at=NOW)


async def test_the_counterfactual_names_what_moved_of_several(
    company: tuple[Company, LocalHttp], tmp_path: Path
) -> None:
    served, http = company
    granted: list[int] = []
    given = changed_world(served, http, tmp_path, breaking("params"))
    more = lambda tokens: not granted.append(tokens)  # type: ignore[func-returns-value] # noqa: E731
    probe = GoldenCounterfactual()
    reading = await probe.run(replace(given, more_tokens=more), probe.spec.params())

    assert reading.outcome == "ok"
    assert set(reading.details["moved"]) == {"prompt", "params"}
    assert reading.details["bisect"]["named"] == ["params"]
    assert "What moved: params; it alone makes the answers worse." in reading.summary
    assert granted == [4 * 60 * 25]
    assert 60 * 25 < reading.tokens <= 5 * 60 * 25
    assert set(reading.details[series.RECORD]) == {"golden.pass:support/direct"}


async def test_the_incidents_budget_decides_whether_it_is_found_out(
    company: tuple[Company, LocalHttp], tmp_path: Path
) -> None:
    served, http = company
    given = changed_world(served, http, tmp_path, breaking("params"))
    probe = GoldenCounterfactual()
    for more in (None, lambda tokens: False):
        before = len(served.calls("acme", CHAT))
        reading = await probe.run(replace(given, more_tokens=more), probe.spec.params())

        assert len(served.calls("acme", CHAT)) - before == 60
        assert reading.details["bisect"]["reason"] == "the budget is used up"


# --- Shown -------------------------------------------------------------------------------------------------------


async def test_tags_tell_which_questions_suffer(company: tuple[Company, LocalHttp]) -> None:
    served, http = company
    served.play("acme", CHAT, pupil(lambda number, asked: system_of(asked) == "good prompt" or number % 2 == 0))
    found = await run(http, replace(GOOD, text="other"))
    pairs = tuple(
        replace(pair, item=pair.item.model_copy(update={"tags": ("odd",) if int(pair.item.id[1:]) % 2 else ("even",)}))
        for pair in found.pairs
    )

    assert [row["tag"] for row in by_tag(pairs)] == ["odd", "even"]
    assert by_tag(pairs)[1]["lost"] == 0


def test_prompts_differ_by_their_text() -> None:
    other = replace(GOOD, prompt="version 99")

    assert GOOD.moved(other) == ()
    assert GOOD.moved(replace(GOOD, text="x", params={})) == ("prompt", "params")
    assert GOOD.with_of(replace(GOOD, model="m", text="x"), "model") == replace(GOOD, model="m")


async def test_the_limit_of_an_answer_bounds_what_a_call_may_cost(company: tuple[Company, LocalHttp]) -> None:
    _, http = company
    short = replace(GOOD, params={"max_tokens": 10})
    side: Side = Asker.of(context(http), [short]).side("", short)
    tokens, usd = side.most(numbered(1).items[0])

    assert 10 < tokens < 40
    assert usd == pytest.approx(((tokens - 10) * 0.5 + 10 * 1.0) / 1000)
