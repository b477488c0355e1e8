"""The scored set: what people ask about recorded incidents is answered rightly, referenced, and nothing is made up."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.cli import main
from bot.domain import codec
from bot.domain.conversation import answer, topic
from bot.domain.questions.table import KINDS
from bot.domain.view import IncidentView
from bot.exam import recorded
from bot.exam.examiner import INCIDENTS, Expected, Question, Result, Rules, Told, examine, judge, questions
from bot.exam.invented import Known
from tests.view_samples import PLAN, SAMPLES, provider_outage


@cache
def result() -> Result:
    return examine(Rules())


def told_by(text: str, *references: str, expected: Expected | None = None) -> tuple[str, ...]:
    """What the examiner finds wrong with this answer about the sample outage."""
    mark = judge(Told(text=text, references=references), expected or Expected(), Known(view=provider_outage()),
                 incident="sample", kind="why", question="why?")  # fmt: skip
    return (*mark.faults, *mark.invented)


def test_at_least_forty_kinds_of_question_about_five_incidents() -> None:
    asked = questions()

    assert len({question.kind for question in asked}) >= 40
    assert len(INCIDENTS) == 5
    assert all(len(set(question.ask)) >= 2 for question in asked)


def test_the_wordings_are_not_the_examples_that_help_gives() -> None:
    examples = {kind.asks.lower().strip("?") for kind in KINDS}

    assert not [w for question in questions() for w in question.ask if w.lower().strip("?") in examples]


def test_nine_of_ten_answers_are_right_and_referenced_for_every_incident() -> None:
    table = result().table()

    assert table["overall"]["right"] >= 0.9, table["wrong"]
    assert all(row["right"] >= 0.9 for row in table["incidents"].values()), table["incidents"]


def test_nothing_is_made_up() -> None:
    assert result().figures()["invented"] == 0, [(m.question, m.invented) for m in result().wrong]


def test_what_is_not_known_is_said_to_be_not_known() -> None:
    assert result().figures()["known_unknowns_missed"] == 0


@pytest.mark.parametrize("name", INCIDENTS)
def test_every_kind_of_answer_is_short_and_cites_what_exists(name: str) -> None:
    view = recorded.read(name)
    known = Known(view=view)
    for kind in KINDS:
        told = answer(kind.asks, view, earlier=())
        assert len(told.text.splitlines()) <= 6, kind.name
        assert set(told.references) <= known.references, kind.name


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_example_of_a_kind_is_recognised_as_it(kind: object) -> None:
    assert topic(kind.asks, SAMPLES["received"]()).name == kind.name  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("misspelt", "about"),
    [
        ("who is the onwer?", "owner"),
        ("runbok?", "runbook"),
        ("is the latancy ok", "latency"),
        ("timelime?", "timeline"),
    ],
)
def test_a_misspelt_word_is_understood(misspelt: str, about: str) -> None:
    assert topic(misspelt, provider_outage()).name == about


@pytest.mark.parametrize("name", INCIDENTS)
def test_a_recording_is_the_whole_incident(name: str) -> None:
    view = recorded.read(name)

    assert codec.load(IncidentView, json.loads(json.dumps(codec.dump(view)))) == view
    assert view.findings
    assert view.timeline


# --- the examiner --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["The error rate is 35 %.", "It began at 11:31 UTC.", "It is Kafka again.", "Ask Carla about it.",
     "The model is `acme-huge`.", "See `ev-0000beef`.", "See #99.", "The step is provider-outage#7-restart.",
     "Roll back release v42.", "It costs 1,234,567 dollars."],
)  # fmt: skip
def test_whatever_is_in_no_fact_is_found_out(text: str) -> None:
    assert told_by(text)


@pytest.mark.parametrize(
    "text",
    ["34 % of requests fail, 0.4 % normally `ev-00000001`.", "Model provider is failing (97 % sure). `#4`",
     "Nine findings: 9 of them. One approval of 1 is needed.", "Prompt chat 13 changed at 09:00 UTC `chg-12`.",
     "acme-openai answered 503 on 5 of 5 canaries.", "A chance of 3 % is left."],
)  # fmt: skip
def test_what_follows_from_the_facts_is_not_called_made_up(text: str) -> None:
    assert told_by(text) == ()


def test_a_reference_beside_the_text_has_to_exist_as_well() -> None:
    assert told_by("It fails.", "ev-00000001", PLAN.runbook) == ()
    assert told_by("It fails.", "ev-0badf00d") == ("ev-0badf00d",)


def test_a_missing_fact_reference_or_abstention_is_a_fault() -> None:
    wanted = Expected(facts=("97 %",), refs=("probe:provider_canary",), never=("certain",))

    assert told_by("97 % `ev-00000002`", expected=wanted) == ()
    assert told_by("97 %", "ev-00000002", expected=wanted) == ()
    assert told_by("certain", expected=wanted) == (
        "does not say: 97 %", "says: certain", "does not cite: probe:provider_canary",
    )  # fmt: skip
    assert told_by("All is well.", expected=Expected(abstain=True)) == ("answers although nothing is known",)
    assert told_by("I don't know.", expected=Expected(abstain=True)) == ()


def test_any_answerer_can_be_examined() -> None:
    class Parrot:
        def answer(self, question: str, view: IncidentView) -> Told:
            return Told(text=f"Zork said 4711 about {view.incident.service}.")

    asked = (Question(kind="why", ask=("why?",), expected=dict.fromkeys(INCIDENTS, Expected())),)
    figures = examine(Parrot(), asked).figures()

    assert figures["right"] == 0
    assert figures["invented"] == 5


def test_eval_questions_prints_a_table_or_json() -> None:
    printed = CliRunner().invoke(main, ["eval", "questions"])
    data = json.loads(CliRunner().invoke(main, ["eval", "questions", "--json"]).output)

    assert printed.exit_code == 0
    assert "overall" in printed.output
    assert data["overall"]["answers"] == result().figures()["answers"]


def test_the_guide_lists_every_kind() -> None:
    guide = (Path(__file__).parent.parent / "docs" / "asking.md").read_text("utf-8").lower()

    assert [kind.asks for kind in KINDS if kind.name != "no_votes" and kind.asks.lower() not in guide] == []


# --- earlier incidents ---------------------------------------------------------------------------------------------


def test_an_earlier_incident_of_the_service_is_told_with_what_helped() -> None:
    old = SAMPLES["verified"]()
    old = replace(old, incident=replace(old.incident, id="inc-0ldone"))
    told = answer("did we have this before?", provider_outage(), earlier=(old,))

    assert told.known
    assert told.references == ("inc-0ldone",)
    assert "Model provider is failing (97 %); Shift traffic helped `inc-0ldone`" in told.text
