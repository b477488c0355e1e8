"""The list of concepts, and what it finds in a text."""

import pytest
import yaml

from bot.wiring import LIBRARY
from knowledge import concepts


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("429 Too Many Requests", "rate limit"),
        ("rate-limited since noon", "rate limit"),
        ("x-ratelimit-remaining-tokens is 0", "rate limit"),
        ("RateLimitError on chat", "rate limit"),
        ("rate_limit_exceeded", "rate limit"),
        ("insufficient_quota since midnight", "quota"),
        ("Qdrant lost a shard", "vector store"),
        ("JSONDecodeError: Expecting value", "output format"),
        ("ContextWindowExceededError", "long input"),
    ],
)
def test_one_thing_under_its_many_names(text: str, concept: str) -> None:
    assert concept in concepts.spoken_of(text)


def test_it_says_which_words_said_so() -> None:
    assert concepts.spoken_of("Searches time out")["time out"] == "time out"


@pytest.mark.parametrize("text", ["", "zzz", "5000 tokens", "downtown", "the toolbar"])
def test_what_only_looks_like_a_term_is_none(text: str) -> None:
    assert not {"server error", "outage", "rate limit"} & set(concepts.spoken_of(text))


def test_the_list_is_well_formed_and_names_no_runbook() -> None:
    table = yaml.safe_load(concepts.TABLE.read_text("utf-8"))
    runbooks = {path.stem for path in LIBRARY.glob("*.md")}

    assert not runbooks & set(table)
    for concept, terms in table.items():
        assert len(terms) == len(set(terms)), concept
        for term in terms:
            assert isinstance(term, str), (concept, term)
            assert term == term.lower().strip(), (concept, term)
            assert term not in runbooks, (concept, term)
            # An open end after one or two letters would take any word.
            assert not term.endswith("*") or len(term) > 3, (concept, term)
