"""References are counted against what exists, and an invented one is found."""

from dataclasses import replace
from datetime import date

import pytest

from bot.cited import Registries, counted
from bot.wiring import actions, open_shelf, specs
from config.catalogue import Catalogue
from diagnostics.model import Hypothesis
from drills.score import cited
from tests.view_samples import provider_outage, verified


@pytest.fixture(scope="module")
def known(catalogue: Catalogue) -> Registries:
    library = open_shelf([], actions(), catalogue, date(2026, 11, 22))
    return Registries(library=library, probes=frozenset(specs()), actions=frozenset(actions()), catalogue=catalogue)


def test_an_account_that_rests_on_what_exists_invents_nothing(known: Registries) -> None:
    told = counted(verified(), known)

    assert told["citations"] > 5
    assert told["entities"] > 5
    assert (told["hallucinated_citations"], told["hallucinated_entities"]) == (0, 0)


def test_an_invented_citation_counts(known: Registries) -> None:
    view = provider_outage()
    assert view.diagnosis is not None
    first = view.diagnosis.ranked[0]
    argument = replace(first.arguments[0], finding_id="ev-deadbeef")
    made_up = replace(first, arguments=(argument, *first.arguments[1:]))
    view = replace(view, diagnosis=replace(view.diagnosis, ranked=(made_up, *view.diagnosis.ranked[1:])))

    told = counted(view, known)

    assert told["hallucinated_citations"] >= 1
    assert cited({"citations": told})["hallucinated_citation_rate"] > 0


def test_an_invented_cause_counts(known: Registries) -> None:
    view = provider_outage()
    assert view.diagnosis is not None
    invented = Hypothesis(mode="solar-flare", title="Solar flare", probability=0.01)
    view = replace(view, diagnosis=replace(view.diagnosis, ranked=(*view.diagnosis.ranked, invented)))

    told = counted(view, known)

    assert told["hallucinated_entities"] == 1
    assert cited({"citations": told})["hallucinated_entity_rate"] > 0
