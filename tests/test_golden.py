"""Golden sets: the file format, its checks, and asking a set."""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.chat_api import Answer
from diagnostics.chat_replies import Completion
from diagnostics.golden import GoldenError, GoldenItem, GoldenSet, load, parse
from diagnostics.json_shape import JsonShape, ShapeError
from diagnostics.linear_regex import LinearRegex, PatternError
from diagnostics.replay import ItemResult, chosen, replay
from diagnostics.taxonomy import Failure

EXAMPLES = Path(__file__).parent.parent / "config" / "example" / "golden"


def line(**item: Any) -> str:
    return json.dumps({"id": "a", "input": "q", "checks": [{"contains": "x"}], **item})


def item_with(*checks: dict[str, Any]) -> GoldenItem:
    return parse(line(checks=checks), "set.jsonl").items[0]


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        ({"exact": "yes"}, " yes\n", "Yes"),
        ({"contains": "Refund"}, "a REFUND is due", "no money back"),
        ({"regex": r"(?<![\d$])14 days(?!\d)"}, "within 14 days", "within 114 days"),
        ({"numeric": 42}, "It is 42.", "It is 43."),
        ({"numeric": {"value": 1234.5, "tolerance": 0.5}}, "about 1,234.9 in all", "about 1,236"),
        ({"numeric": -3}, "-3 degrees", "3 degrees"),
        ({"json_schema": {"type": "object", "required": ["a"]}}, '{"a": 1}', "{}"),
        ({"json_schema": {"type": "array"}}, "[]", "```json\n[]\n```"),
    ],
)
def test_a_check_tells_a_good_answer_from_a_bad_one(check: dict[str, Any], good: str, bad: str) -> None:
    item = item_with(check)

    assert item.failed_checks(good) == ()
    assert item.failed_checks(bad) == (next(iter(check)),)


def test_all_checks_of_an_item_must_hold() -> None:
    item = item_with({"contains": "a"}, {"contains": "b"}, {"regex": "c$"})

    assert item.failed_checks("a c") == ("contains",)
    assert item.failed_checks("") == ("contains", "contains", "regex")


def test_every_problem_is_reported_with_file_and_line() -> None:
    text = "\n".join(
        [
            line(),
            "{not json",
            line(id="b", checks=[{"regex": r"(a)\1"}]),
            line(id="a"),
            line(id="c", checks=[{"exact": "x", "contains": "y"}]),
            line(id="d", colour="red"),
            line(id="e", checks=[]),
            line(id="f", checks=[{"json_schema": {"type": "objekt"}}]),
            "",
            line(id="../g"),
            line(id="h", checks=[{"fuzzy": "x"}]),
            line(id="i", weight=0),
        ]
    )
    with pytest.raises(GoldenError) as caught:
        parse(text, "sets/chat.jsonl")
    lines = [int(problem.split(":")[1]) for problem in caught.value.problems]

    assert lines == sorted(lines)
    assert set(lines) == {2, 3, 4, 5, 6, 7, 8, 10, 11, 12}
    assert all(problem.startswith("sets/chat.jsonl:") for problem in caught.value.problems)
    assert "line 1" in next(problem for problem in caught.value.problems if problem.startswith("sets/chat.jsonl:4:"))


def test_yaml_and_json_lines_mean_the_same(tmp_path: Path) -> None:
    yaml_text = """\
items:
  - id: plan
    input: What does the plan cost?
    tags: [price]
    weight: 2.5
    checks:
      - numeric: {value: 9, tolerance: 0.01}
      - json_schema:
          type: object
          required: [price]
          properties: {price: {type: number, minimum: 1, maximum: 10}}
          additionalProperties: false
"""
    (tmp_path / "set.yaml").write_text(yaml_text, encoding="utf-8")
    (item,) = load(tmp_path / "set.yaml").items

    assert (item.id, item.tags, item.weight) == ("plan", ("price",), 2.5)
    assert item.failed_checks('{"price": 9.0}') == ()
    assert item.failed_checks('{"price": 9.0, "x": 1}') == ("json_schema",)
    assert item.failed_checks('{"price": 11}') == ("numeric", "json_schema")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("- id: a\n  input: q\n  checks: [{contains: x}]\n- id: b\n  input: q\n", "set.yaml:4"),
        ("- id: a\n  id: b\n", "set.yaml:2"),
        ("id: a\n", "set.yaml:1"),
        ("", "set.yaml:1"),
    ],
)
def test_yaml_problems_carry_the_line(text: str, where: str) -> None:
    with pytest.raises(GoldenError) as caught:
        parse(text, "set.yaml")

    assert caught.value.problems[0].startswith(where)


def test_a_missing_or_binary_file_is_a_golden_error(tmp_path: Path) -> None:
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe")

    for name in ("absent.jsonl", "binary.jsonl"):
        with pytest.raises(GoldenError, match="cannot be read"):
            load(tmp_path / name)


@pytest.mark.parametrize("name", ["chat", "support", "agent"])
def test_the_example_sets_load(name: str) -> None:
    assert len(load(EXAMPLES / f"{name}.jsonl").items) == 60


# --- Patterns ----------------------------------------------------------------------------------------------------


def test_a_pattern_made_to_backtrack_for_ever_is_matched_at_once() -> None:
    text = "a" * 19_000 + "b"

    assert not LinearRegex(r"^(a+)+$").search(text)
    assert not LinearRegex(r"(a|aa)*c").search(text)
    assert LinearRegex(r"(.*a.*a.*)b").search(text)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a)\1",
        r"(?=ab)a",
        r"(?<!ab)c",
        r"a++",
        r"(?>a)b",
        "(",
        r"(a{900}){900}",
        r"(){1000000000}",
        "a" * 501,
        "(?a)x",
    ],
)
def test_patterns_that_cannot_be_matched_in_linear_time_are_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        LinearRegex(pattern)


PATTERNS = (
    r"^a+b?$", r"(a|b)*c", r"\bab\b", r"[^\d\s]{2,4}1", r"(?i)Ab", r"a.b", r"(?s)a.b", r"^\d+(\.\d+)?$", r"(?m)^b$",
    r"a{0,3}b{2}", r"\B1", r"[a-c]|1$", r"(?:ab?)+?c", r"\Aab\Z", r"(?<![\d.])1(?!\d)", r"(?<=a)b", r"(?i:B)a", r"",
    r"a(?=\n)", r"[^a]$", r"(a*)*b", r"(?!1)\w\w",
)  # fmt: skip


@given(pattern=st.sampled_from(PATTERNS), text=st.text(alphabet="abcB1. \n", min_size=1, max_size=12))
def test_patterns_match_as_in_python(pattern: str, text: str) -> None:
    assert LinearRegex(pattern).search(text) == (re.search(pattern, text) is not None)


# --- Shapes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema.json"},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"type": "string", "pattern": "(a+)+$"},
        {"patternProperties": {"(a+)+$": {}}},
        {"type": 7},
    ],
)
def test_schemas_that_reach_out_or_could_run_for_ever_are_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ShapeError):
        JsonShape(schema)


def test_a_property_may_be_called_pattern() -> None:
    shape = JsonShape({"type": "object", "properties": {"pattern": {"type": "string"}}, "$defs": {"a": {}}})

    assert shape.problem('{"pattern": "x"}') == ""


def test_a_misfit_is_named_by_kind_and_place() -> None:
    shape = JsonShape({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n", "m"]})

    assert shape.problem('{"n": 1}') == "required:$.m"
    assert shape.problem('{"n": "1", "m": 0}') == "type:$.n"
    assert shape.problem('```json\n{"n": 1}\n```') == "fenced:$"
    assert shape.problem('{"n": 1') == "not_json:$"


# --- Asking ------------------------------------------------------------------------------------------------------


def set_of(n: int) -> GoldenSet:
    return parse("\n".join(line(id=f"i{number}", input=f"q{number}") for number in range(n)), "set.jsonl")


class Model:
    """Answers by rule, and remembers how many questions were open at once."""

    def __init__(self, *, headers: dict[str, str] | None = None, failing: bool = False) -> None:
        self.asked: list[str] = []
        self.most_open = 0
        self._open = 0
        self._headers = headers or {}
        self._failing = failing

    async def __call__(self, item: GoldenItem) -> Answer:
        self.asked.append(item.id)
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        await asyncio.sleep(0)
        self._open -= 1
        if self._failing:
            return Answer(failure=Failure(word="rate_limited", who="provider", basis="code"))
        return Answer(completion=Completion(text="x" if int(item.id[1:]) % 2 else "y"), headers=self._headers)


def never(results: Sequence[ItemResult]) -> str:
    return ""


async def test_every_item_is_asked_a_few_at_a_time() -> None:
    model = Model()
    done = await replay(chosen(set_of(30), 30), model, stop=never)

    assert sorted(model.asked) == sorted(f"i{number}" for number in range(30))
    assert model.most_open == 8
    assert sum(result.passed for result in done.results) == 15
    assert done.stopped == ""


async def test_the_same_items_are_chosen_every_time() -> None:
    first = [item.id for item in chosen(set_of(100), 20)]

    assert first == [item.id for item in chosen(set_of(100), 20)]
    assert first != [f"i{number}" for number in range(20)]


async def test_it_stops_when_calls_fail() -> None:
    model = Model(failing=True)
    done = await replay(chosen(set_of(60), 60), model, stop=never)

    assert len(model.asked) == 8
    assert (done.stopped, done.failing, done.errors) == ("failing", True, {"rate_limited": 8})


async def test_it_stops_before_it_would_worsen_a_rate_limit() -> None:
    headers = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "150"}
    model = Model(headers=headers)
    done = await replay(chosen(set_of(60), 60), model, stop=never)

    assert (len(model.asked), done.stopped) == (8, "headroom")


async def test_it_stops_for_the_callers_reason() -> None:
    model = Model()
    done = await replay(chosen(set_of(60), 60), model, stop=lambda results: "sure" if len(results) >= 16 else "")

    assert (len(model.asked), done.stopped) == (16, "sure")


# --- Help that a check may need ----------------------------------------------------------------------------------


def test_similarity_and_rubrics_are_read_and_not_decided_by_the_text() -> None:
    item = item_with({"similar": "a refund is due"}, {"similar": {"to": "x", "at_least": 0.9}}, {"rubric": "is polite"})

    assert item.needs == {"similar", "rubric"}
    assert item.failed_checks("anything") == ()
    assert [check.similar.at_least for check in item.checks if check.similar] == [0.75, 0.9]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"checks": [{"similar": {"to": "x", "at_least": 2}}]}, "set.jsonl:1: checks.0.similar.at_least: "),
        ({"checks": [{"similar": {"at_least": 0.5}}]}, "set.jsonl:1: checks.0.similar.to: is missing"),
        ({"checks": [{"rubric": ""}]}, "set.jsonl:1: checks.0.rubric: "),
        ({"checks": [{"regex": "("}]}, "set.jsonl:1: checks.0: regex: not a regular expression"),
        ({"checks": [{"json_schema": "{"}]}, "set.jsonl:1: checks.0: json_schema: not JSON"),
        ({"checks": [{"numeric": True}]}, "set.jsonl:1: checks.0.numeric: "),
        ({"checks": [{"fuzzy": "x"}]}, "set.jsonl:1: checks.0.fuzzy: no such field"),
        ({"tags": ["a\nb"]}, "set.jsonl:1: tags.0: "),
        ({"weight": "heavy"}, "set.jsonl:1: weight: "),
        ({"input": ""}, "set.jsonl:1: input: "),
    ],
)
def test_a_problem_names_its_field(item: dict[str, Any], said: str) -> None:
    with pytest.raises(GoldenError) as caught:
        parse(line(**item), "set.jsonl")

    assert caught.value.problems[0].startswith(said)


@pytest.mark.parametrize("text", ['{"id": "a", "id": "b", "input": "q", "checks": []}', '{"weight": NaN}', "[1", "7"])
def test_json_that_two_readers_would_read_differently_is_refused(text: str) -> None:
    with pytest.raises(GoldenError, match=r"set\.jsonl:1: "):
        parse(text, "set.jsonl")


def test_yaml_names_the_line_of_the_field() -> None:
    text = "items:\n  - id: a\n    input: q\n    checks:\n      - contains: x\n      - regex: (\n    weight: -1\n"
    with pytest.raises(GoldenError) as caught:
        parse(text, "set.yaml")

    assert sorted(problem.split(": ")[0] for problem in caught.value.problems) == ["set.yaml:6", "set.yaml:7"]


def test_many_problems_are_counted_and_none_of_the_file_is_used() -> None:
    with pytest.raises(GoldenError) as caught:
        parse("\n".join([line(id="fine"), *(line(id=f"i{n}", colour="red") for n in range(50))]), "set.jsonl")

    assert len(caught.value.problems) == 50
    assert str(caught.value).endswith("and 30 more problems")


def test_a_set_is_named_by_what_it_asks() -> None:
    first = parse(line() + "\n" + line(id="b"), "one.jsonl")
    turned = parse(line(id="b") + "\n" + line(), "two.jsonl")
    other = parse(line() + "\n" + line(id="b", input="other"), "one.jsonl")

    assert first.digest == turned.digest
    assert first.digest != other.digest
