"""What search remembers of closed incidents: only what people confirmed, and only while they agree."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.domain.timeline import Fact, Provenance
from bot.edges.remembered import confirmed
from bot.edges.schema import incident
from tests.runbook_incidents import Installation, installation


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path) as one:
        yield one


def judge(made: Installation, name: str, verdict: str, *, who: str = "U1", runbook: str = "provider-outage") -> None:
    data = {"verdict": verdict, "by": who, "runbook": runbook}
    fact = Fact(kind="verdict_given", provenance=Provenance.HUMAN, actor=who, data=data)
    asyncio.run(made.casebook.record(name, [fact], datetime.now(UTC)))


def end(made: Installation, name: str, status: str = "resolved") -> None:
    made.database.run_now(lambda c: c.execute(update(incident).where(incident.c.id == name).values(status=status)))


def known(made: Installation) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.id, one.confirmed) for one in made.database.run_now(confirmed)]


def test_a_confirmed_incident_is_remembered_with_what_its_page_said(made: Installation) -> None:
    name = made.incident("E1", "vendor answers 503")
    end(made, name)
    judge(made, name, "right_cause")

    (one,) = made.database.run_now(confirmed)
    assert (one.id, one.confirmed) == (name, ("provider-outage",))
    assert one.text.startswith("vendor answers 503")


@pytest.mark.parametrize("verdict", ["wrong_cause", "noise"])
def test_what_was_wrong_or_noise_is_not(made: Installation, verdict: str) -> None:
    name = made.incident("E1", "vendor answers 503")
    end(made, name)
    judge(made, name, verdict)

    assert known(made) == []


def test_without_a_persons_word_nothing_is_remembered(made: Installation) -> None:
    name = made.incident("E1", "vendor answers 503")
    made.concluded(name, "cause", "provider-outage")
    end(made, name, "closed")

    assert known(made) == []


def test_while_people_disagree_it_is_not_and_the_newest_word_counts(made: Installation) -> None:
    name = made.incident("E1", "vendor answers 503")
    end(made, name)
    judge(made, name, "right_cause")
    judge(made, name, "wrong_cause", who="U2")
    assert known(made) == []

    judge(made, name, "right_cause", who="U2")
    assert known(made) == [(name, ("provider-outage",))]


def test_an_incident_that_is_open_again_does_not_inform_itself(made: Installation) -> None:
    name = made.incident("E1", "vendor answers 503")
    judge(made, name, "right_cause")

    assert known(made) == []


def test_the_newest_come_first(made: Installation) -> None:
    names = [made.incident(f"E{days}", f"page {days}", days_ago=days) for days in (3, 1, 2)]
    for name in names:
        end(made, name)
        judge(made, name, "right_cause")

    assert [name for name, _ in known(made)] == [names[1], names[2], names[0]]
