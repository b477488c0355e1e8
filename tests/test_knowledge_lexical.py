"""The index of words: what it finds, what it says matched, and that no text is ever query syntax."""

import sqlite3
import threading

import pytest

from knowledge.lexical_index import LexicalIndex, entities, words
from knowledge.model import Chunk

TEXTS = {
    "outage": "Chat completions failing with 529 overloaded_error",
    "limit": "429 Too Many Requests, x-ratelimit-remaining-tokens is 0",
    "slow": "Time to first token above eight seconds",
    "key": "AuthenticationError: invalid api key",
}


@pytest.fixture
def index() -> LexicalIndex:
    index = LexicalIndex()
    index.replace([Chunk(id=i, document=i, section="", kind="page", text=text) for i, text in TEXTS.items()])
    return index


def found(index: LexicalIndex, text: str) -> list[str]:
    return [name for name, _, _ in index.search(text, 10)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("overloaded", "outage"),
        ("we see completion failures", "outage"),
        ("429s", "limit"),
        ("HTTP 429", "limit"),
        ("OverloadedError from the API", "outage"),
        ("authentication_error", "key"),
        ("tokens are slow, seconds", "slow"),
    ],
)
def test_the_fitting_chunk_comes_first(index: LexicalIndex, query: str, first: str) -> None:
    assert found(index, query)[0] == first


def test_the_words_of_the_chunk_that_matched_are_named(index: LexicalIndex) -> None:
    (_, score, matched), *_ = index.search("failed completion: 529", 5)

    assert score > 0
    assert set(matched) == {"completions", "failing", "529"}


def test_an_entity_weighs_more_than_a_word() -> None:
    index = LexicalIndex()
    texts = {"a": "status 529 from upstream", "b": "upstream slow from upstream"}
    index.replace([Chunk(id=i, document=i, section="", kind="page", text=t) for i, t in texts.items()])

    assert found(index, "529 slow") == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        '"',
        "AND",
        "a OR b",
        "NEAR(a b)",
        "words:x",
        "^x*",
        "x -y",
        "(((",
        "'; DROP TABLE chunk; --",
        "\0",
        "😀",
        " ",
        "",
    ],
)
def test_no_text_is_query_syntax(index: LexicalIndex, text: str) -> None:
    index.search(text, 10)

    assert found(index, f"{text} overloaded") == ["outage"] or "outage" in found(index, f"{text} overloaded")


def test_a_query_without_words_finds_nothing(index: LexicalIndex) -> None:
    assert index.search("the of and", 10) == []
    assert index.search("overloaded", 0) == []


def test_a_huge_query_is_cut_and_answered(index: LexicalIndex) -> None:
    assert found(index, "overloaded " + " ".join(f"w{n}" for n in range(20_000)))[0] == "outage"


def test_replace_makes_it_the_whole_index(index: LexicalIndex) -> None:
    index.replace([Chunk(id="new", document="new", section="", kind="page", text="brand new")])

    assert found(index, "overloaded") == []
    assert found(index, "brand") == ["new"]


def test_marks_in_a_text_cannot_forge_matched_words() -> None:
    index = LexicalIndex()
    index.replace([Chunk(id="a", document="a", section="", kind="page", text="\x02forged\x03 overloaded")])

    assert list(index.search("overloaded", 1)[0][2]) == ["overloaded"]


def test_it_can_be_searched_from_other_threads_while_it_is_replaced(index: LexicalIndex) -> None:
    chunks = [Chunk(id=str(n), document=str(n), section="", kind="page", text=f"overloaded {n}") for n in range(50)]
    errors: list[sqlite3.Error] = []

    def search() -> None:
        try:
            for _ in range(50):
                index.search("overloaded", 5)
        except sqlite3.Error as error:
            errors.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        index.replace(chunks)
    for thread in threads:
        thread.join()

    assert errors == []


def test_entities_are_what_machines_name() -> None:
    text = (
        "HTTP 529 RateLimitError insufficient_quota retry-after x-ratelimit-remaining-tokens 99.5 429% v2.503 JSONError"
    )

    assert entities(text) == [
        "529", "RateLimitError", "insufficient_quota", "retry-after", "x-ratelimit-remaining-tokens", "JSONError",
    ]  # fmt: skip


def test_words_leave_out_what_says_nothing() -> None:
    assert words("The model is NOT answering; a 5xx from OverloadedError") == [
        "model", "answering", "5xx", "overloaded", "error",
    ]  # fmt: skip
