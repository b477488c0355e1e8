"""Scenario files: what they may say, how they are refused, and that the world does what they say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from bot.scripted import Approver
from drills.compose import compose
from drills.definition import APPROVERS, Drill, read
from drills.faults import FaultKind
from drills.injectors import injectors, names_of, table
from drills.missing import SOURCES
from drills.reading import Refused, named
from drills.scenario import Draw, Scenario
from drills.scenario_file import FileRefused, load, parse
from drills.scenarios import build
from drills.score import judged
from tests.world_fakes import START, running

ROOT = Path(__file__).resolve().parent.parent
VARIANTS = sorted((ROOT / "drills" / "variants").glob("*.yaml"))


def drill(**given: Any) -> Drill:
    return read({"id": "mine", "service": "chat-assistant", "injectors": [{"kind": "outage"}], **given})


def refused(text: str) -> list[str]:
    with pytest.raises(FileRefused) as caught:
        parse(text, "mine.yaml")
    return str(caught.value).split("\n")


# --- injectors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(injectors()))
def test_an_injector_documents_just_the_parameters_that_it_asks_for(name: str) -> None:
    one = injectors()[name]

    assert names_of(one) == set(one.parameters)
    for key, parameter in one.parameters.items():
        drawn = one.usual(key)
        if not parameter.options:
            low, high = (float(part) for part in drawn.split(" to "))
            assert parameter.low <= low <= high <= parameter.high + 0.01


def test_every_kind_of_fault_that_the_world_has_can_be_injected() -> None:
    kinds = {kind for part in get_args(FaultKind) for kind in (get_args(part) or (part,))}
    made = set()
    for one in injectors().values():
        for seed in range(8):
            made |= {fault.kind for fault in one.make(Draw("any", seed, START, dict(one.fixed))).faults}

    assert kinds == made


def test_the_docs_have_the_table_of_injectors_sources_and_approvers() -> None:
    text = (ROOT / "docs" / "drills.md").read_text("utf-8")

    assert text.endswith(table())
    assert all(f"| `{name}` | {means} |" in text for name, means in {**SOURCES, **APPROVERS}.items())


# --- what is refused ----------------------------------------------------------------------------------------------


def test_every_problem_is_named_by_file_line_and_field_and_nothing_is_loaded() -> None:
    told = refused(
        "drills:\n"
        "  - id: fine\n"
        "    service: chat-assistant\n"
        "    injectors: [{kind: outage}]\n"
        "  - id: wrong\n"
        "    service: chat-assistant\n"
        "    injectors:\n"
        "      - kind: outage\n"
        "        share: 1.4\n"
        "        strength: 3\n"
        "      - kind: earthquake\n"
        "    approver: asleep\n"
        "    colour: red\n"
    )

    assert [line.split(": ")[:2] for line in told] == [
        ["mine.yaml:13:5", "colour"],
        ["mine.yaml:12:5", "approver"],
        ["mine.yaml:9:9", "injectors[0].share"],
        ["mine.yaml:10:9", "injectors[0].strength"],
        ["mine.yaml:11:9", "injectors[1].kind"],
    ]
    assert told[2].endswith("'1.4' must be a number from 0.05 to 1")


@pytest.mark.parametrize(
    ("given", "field", "told"),
    [
        ({"injectors": [{"kind": "outage"}, {"kind": "outage"}]}, "injectors[1].kind", "outage stands here twice"),
        ({"injectors": [{"kind": "ingestion_stall"}]}, "injectors[0].kind", "nobody is paged for chat-assistant"),
        ({"injectors": [{"kind": "second_provider_outage"}]}, "injectors", "nobody would be paged"),
        ({"injectors": []}, "injectors", "must be 1 to 6"),
        ({"injectors": [{"kind": "outage", "share": [0.9, 0.2]}]}, "injectors[0].share", "the lower one first"),
        ({"injectors": [{"kind": "outage", "share": "nan"}]}, "injectors[0].share", "must be a number"),
        ({"scenario": "S01"}, "the drill", "give either"),
        ({"service": "billing"}, "service", "'billing' is not known"),
        ({"id": "S01"}, "id", "small letters"),
        ({"id": "s01"}, "id", "not a scenario's id"),
        ({"noise": "loud"}, "noise", "must be a number from 0 to 5"),
        ({"missing_telemetry": [{"source": "series", "names": ["cpu"]}]}, "missing_telemetry[0].names[0]", "'cpu'"),
        ({"missing_telemetry": [{"source": "prometheus", "minutes": 5}]}, "missing_telemetry[0].minutes", "from_min"),
        ({"approver": {"kind": "prompt", "seconds": 9}}, "approver.seconds", "only `slow`"),
        ({"page": {"title": "{seed}", "body": "x"}}, "page.title", "nothing fills in"),
        ({"page": {"title": "{title", "body": "x"}}, "page.title", "write {{ for a brace"),
        ({"truth": ["gremlins"]}, "truth[0]", "'gremlins' is not known"),
        ({"changes": [{"kind": "deploy", "summary": "x"}]}, "changes[0].minutes_before_page", "must be a number"),
        ({"solvable": "maybe"}, "solvable", "true or false"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_its_field(given: Mapping[str, Any], field: str, told: str) -> None:
    with pytest.raises(Refused) as caught:
        drill(**given)

    assert any(named(place) == field and told in message for place, message in caught.value.problems)


@pytest.mark.parametrize("pair", [("prompt", "harmless_prompt"), ("guard_strict", "guard_slow"),
                                  ("contract_break", "stream_cut")])  # fmt: skip
def test_two_faults_that_set_the_same_thing_cannot_stand_together(pair: tuple[str, str]) -> None:
    kinds = ", ".join(f"{{kind: {kind}}}" for kind in pair)
    told = refused(f"drills:\n  - id: both\n    service: chat-assistant\n    injectors: [{kinds}]\n")

    assert len(told) == 1
    assert "injectors[1].kind" in told[0]
    assert "both change" in told[0]


def test_a_file_with_two_drills_of_one_name_or_none_at_all_is_refused() -> None:
    one = "  - {id: twice, scenario: S01}\n"

    assert "stands here twice" in refused(f"drills:\n{one}{one}")[0]
    assert "must be 1 to 500" in refused("drills: []\n")[0]
    assert "one key, `drills`" in refused("- id: x\n")[0]
    assert refused("drills: [\n")[0].startswith("mine.yaml:2:")


# --- what comes of it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", VARIANTS, ids=lambda file: file.stem)
def test_the_files_that_come_with_it_are_right_on_every_seed(file: Path) -> None:
    for entry in load(file):
        for seed in range(1, 7):
            made = compose(read(entry.definition), seed, START)
            assert made.id == entry.id
            assert made.truth
            assert not {action for action, _ in made.good} & set(made.tempting)


def test_what_a_file_gives_is_what_happens_and_the_rest_is_drawn_by_seed() -> None:
    fixed = drill(injectors=[{"kind": "outage", "share": 0.6, "onset_s": 600}])
    drawn = drill(injectors=[{"kind": "outage", "share": ["0.1", "0.2"]}])
    shares = [compose(drawn, seed, START).faults[0].values["share"] for seed in range(1, 9)]
    made = compose(fixed, 3, START)

    assert made.faults[0].values["share"] == 0.6
    assert made.page_at - made.onset == 600.0
    assert all(0.1 <= share <= 0.2 for share in shares)
    assert len(set(shares)) == 8
    assert compose(drawn, 3, START) == compose(drawn, 3, START)


def test_a_built_in_scenario_in_a_file_is_that_scenario() -> None:
    made, usual = compose(read({"id": "mine", "scenario": "S15"}), 4, START), build("S15", 4, START)

    assert (made.faults, made.truth, made.good, made.page_of) == (usual.faults, usual.truth, usual.good, "S15")


def test_several_faults_have_all_their_causes_and_what_helps_against_each() -> None:
    made = compose(drill(injectors=[{"kind": "outage"}, {"kind": "prompt"}]), 1, START)

    assert made.truth == ("provider-outage", "prompt-regression")
    assert {"shift_traffic", "rollback_prompt", "clamp_retries"} <= {action for action, _ in made.good}
    assert "rollback_prompt" not in made.tempting
    assert made.solvable


def test_with_the_second_provider_gone_nobody_should_go_there() -> None:
    made = compose(drill(injectors=[{"kind": "outage"}, {"kind": "second_provider_outage"}]), 1, START)

    assert "shift_traffic" not in {action for action, _ in made.good}
    assert "shift_traffic" in made.tempting
    assert not made.solvable


def test_what_is_true_can_be_said_otherwise() -> None:
    made = compose(
        drill(truth=["no-fault"], good=[{"action": "manual"}], tempting=["shed_traffic"], solvable="false"), 1, START
    )

    assert (made.truth, made.good, made.tempting) == (("no-fault",), (("manual", {}),), ("shed_traffic",))
    assert not made.solvable


async def test_the_referee_makes_a_world_of_a_definition_and_tells_nothing_of_its_cause() -> None:
    definition = {"id": "mine", "service": "support-bot", "injectors": [{"kind": "poison"}, {"kind": "cache_loose"}],
                  "approver": {"kind": "slow", "seconds": 60}}  # fmt: skip
    async with running() as world:
        born = await world.referee("POST", "/worlds", {"definition": definition, "seed": 1, "start": START})
        state = await world.referee("GET", "/state")
        wrong = await world.referee("POST", "/worlds", {"definition": {"id": "x"}, "seed": 1, "start": START})

    assert state["truth"] == ["prompt-injection", "response-cache-crosstalk"]
    assert born["approver"] == {"kind": "slow", "seconds": 60.0}
    assert not any(word in str(born["page"]) for word in ("mine", "poison", "cache_loose"))
    assert wrong["error"].startswith("definition: ")


async def test_a_source_is_missing_for_its_time_and_there_again_after_it() -> None:
    gone = [{"source": "prometheus", "from_min": -1, "minutes": 3}, {"source": "gateway_admin"},
            {"source": "provider_models"}]  # fmt: skip
    definition = {"id": "mine", "scenario": "S01", "missing_telemetry": gone}
    async with running() as world:
        born = await world.referee("POST", "/worlds", {"definition": definition, "start": START, "baselines": "none"})
        world.now = born["page_at"]
        during = (await world.send("GET", "/prometheus/api/v1/query?query=up")).status
        admin = (await world.send("GET", "/gateway/admin/retries")).status
        listed = (await world.send("GET", "/providers/acme-openai/v1/models")).status
        asked = (await world.send("GET", "/gateway/health/liveliness")).status
        world.now = born["page_at"] + 121
        after = (await world.send("GET", "/prometheus/api/v1/query?query=up")).status

    assert (during, admin, listed, asked, after) == (503, 503, 503, 200, 200)


async def test_a_series_that_never_arrived_has_neither_samples_nor_recordings() -> None:
    gone = [{"source": "series", "names": ["app_quality_score"]}, {"source": "change_log"}]
    definition = {"id": "mine", "scenario": "S15", "missing_telemetry": gone}
    async with running() as world:
        born = await world.referee("POST", "/worlds", {"definition": definition, "start": START})
        world.now = born["page_at"]
        missing = await world.query("app_quality_score")
        there = await world.query("app_users_active")

    recorded = {entry.get("series") for entry in born["baselines"]}
    assert (missing, born["changes"]) == ({}, [])
    assert there
    assert "user_signal.quality" not in recorded
    assert "demand_profile.users" in recorded


async def test_what_a_series_lost_for_a_time_is_not_made_up_afterwards() -> None:
    gone = [{"source": "series", "names": ["app_tasks_total"], "from_min": -30, "minutes": 28}]
    definition = {"id": "mine", "scenario": "S15", "missing_telemetry": gone}
    async with running() as world:
        born = await world.referee("POST", "/worlds", {"definition": definition, "start": START, "baselines": "none"})
        world.now = born["page_at"] - 300.0
        during = await world.query("sum(rate(app_tasks_total[5m]))")
        world.now = born["page_at"]
        after = await world.query("sum(rate(app_tasks_total[5m]))")

    assert during == {}
    assert after[""] > 0.0


async def test_without_recordings_there_is_no_ordinary_day_to_compare_with() -> None:
    definition = {"id": "mine", "scenario": "S01", "missing_telemetry": [{"source": "recordings"}]}
    async with running() as world:
        born = await world.referee("POST", "/worlds", {"definition": definition, "start": START})

    assert born["baselines"] == []


# --- the people ---------------------------------------------------------------------------------------------------


def test_people_decide_as_the_drill_prescribes() -> None:
    def decisions(kind: str, number: int, needed: int) -> list[str]:
        return [decision for _, decision in Approver(kind=kind).votes(number, needed)]

    assert decisions("prompt", 0, 2) == decisions("slow", 0, 2) == ["approve", "approve"]
    assert [decisions("rejects_first", number, 1) for number in (0, 1)] == [["reject"], ["approve"]]
    assert decisions("never", 0, 1) == []
    assert decisions("disagree", 0, 1) == ["reject", "approve"]
    assert decisions("disagree", 0, 2) == ["approve", "reject", "approve"]
    assert len({who.id for who, _ in Approver(kind="disagree").votes(0, 2)}) == 3
    assert Approver.told({"kind": "slow", "seconds": 300}).seconds == 300


# --- what cannot be known -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [build("N40", 1, START), compose(drill(undecidable="true"), 1, START)],
                         ids=["N40", "of a file"])  # fmt: skip
def test_where_nobody_can_know_only_saying_so_is_right(made: Scenario) -> None:
    def told(conclusion: str) -> dict[str, Any]:
        proposals = [{"action": "rollback_prompt"}] if conclusion == "cause" else []
        ranked = [[made.truth[0], 0.9]]
        return judged(made, {"diagnosis": ranked, "conclusion": conclusion, "proposals": proposals})

    assert (told("inconclusive")["top1"], told("inconclusive")["wrong_action_proposed"]) == (True, False)
    assert (told("cause")["top1"], told("cause")["wrong_action_proposed"]) == (False, True)
    assert told("inconclusive")["confidence"] is None
    assert not told("inconclusive")["abstained_on_solvable"]
