"""Ranking with reasons: by words alone, by both ways, and through every change between them."""

import threading
from collections.abc import Sequence

import pytest

from knowledge.lexical_index import LexicalIndex
from knowledge.model import Document, Match, Query
from knowledge.retrieval import MAX_QUERY, RETRY_S, HybridLibrarian
from knowledge.scoring import UNIFORM_SHARE
from tests.knowledge_fakes import ExactStore, WordHashEmbedder, document

LIMIT_PAGE = "429 Too Many Requests, remaining tokens 0"
OUTAGE = document(
    "provider-outage",
    ["Chat completions failing with 529 overloaded_error", "LLM error rate above 5 percent"],
    sections={"is-it-this": "Model provider is failing: Is it this?\nRequests fail everywhere with server errors"},
    not_pages={LIMIT_PAGE: "rate-limit-exceeded"},
)
LIMIT = document(
    "rate-limit-exceeded", ["RateLimitError spike on the chat route", "token budget of the minute is used up"]
)
AGENT = document("agent-runaway", ["agent repeats the same step for ever"], kinds=("agent", "code"))
TEAM = document("team-only", ["our own moderation queue is long"], services=("voice", "tag:safety"))
DOCUMENTS = (OUTAGE, LIMIT, AGENT, TEAM)


def lexical(documents: Sequence[Document] = DOCUMENTS) -> HybridLibrarian:
    return HybridLibrarian(documents, words=LexicalIndex())


def fused(documents: Sequence[Document] = DOCUMENTS) -> HybridLibrarian:
    librarian = HybridLibrarian(documents, words=LexicalIndex(), embedder=WordHashEmbedder(), vectors=ExactStore())
    librarian.warm()
    return librarian


@pytest.fixture(params=["lexical", "fused"])
def librarian(request: pytest.FixtureRequest) -> HybridLibrarian:
    return lexical() if request.param == "lexical" else fused()


def order(librarian: HybridLibrarian, query: str | Query) -> list[str]:
    asked = Query(title=query) if isinstance(query, str) else query
    return [match.document for match in librarian.search(asked, limit=10).matches]


def match_of(librarian: HybridLibrarian, name: str, query: Query) -> Match:
    return next(match for match in librarian.search(query, limit=10).matches if match.document == name)


def test_the_fitting_runbook_comes_first(librarian: HybridLibrarian) -> None:
    assert order(librarian, "completions fail with 529 overloaded_error")[0] == "provider-outage"
    assert order(librarian, "RateLimitError on chat")[0] == "rate-limit-exceeded"
    assert order(librarian, "the agent repeats one step")[0] == "agent-runaway"


def test_a_page_that_belongs_elsewhere_is_pushed_there_and_says_why(librarian: HybridLibrarian) -> None:
    query = Query(title=LIMIT_PAGE)
    assert order(librarian, query)[0] == "rate-limit-exceeded"

    exclusions = [r for r in match_of(librarian, "provider-outage", query).reasons if r.source == "exclusion"]
    assert [r.contribution < 0 for r in exclusions] == [True]
    assert exclusions[0].text == f"reads more like “{LIMIT_PAGE}”, which belongs to rate-limit-exceeded"


def test_without_that_phrase_it_would_not_have_been() -> None:
    bare = document("provider-outage", [chunk.text for chunk in OUTAGE.chunks] + [LIMIT_PAGE])

    assert order(fused((bare, LIMIT)), LIMIT_PAGE)[0] == "provider-outage"


def test_a_phrase_that_belongs_to_an_unknown_runbook_only_speaks_against() -> None:
    librarian = fused((OUTAGE, AGENT))

    assert "exclusion" in {r.source for r in match_of(librarian, "provider-outage", Query(title=LIMIT_PAGE)).reasons}


def test_reasons_are_words_a_person_can_check() -> None:
    match = match_of(fused(), "provider-outage", Query(title="Chat completions failing with 529 overloaded_error"))
    texts = {reason.source: reason.text for reason in match.reasons}

    assert texts["meaning"] == (
        "close in meaning to the page phrase “Chat completions failing with 529 overloaded_error” (1.00)"
    )
    assert texts["words"].startswith("shares the words 529, completions, overloaded")
    assert match.best_chunk == "provider-outage!page-0"


def test_a_section_is_named_by_its_reference() -> None:
    match = match_of(fused(), "provider-outage", Query(title="requests fail everywhere with server errors, is it this"))

    assert any("close in meaning to provider-outage#is-it-this" in reason.text for reason in match.reasons)


def test_the_score_is_the_sum_of_its_reasons(librarian: HybridLibrarian) -> None:
    for match in librarian.search(Query(title="429 requests", service_kind="chat"), limit=10).matches:
        assert match.score == pytest.approx(sum(reason.contribution for reason in match.reasons))


def test_a_runbook_of_another_kind_of_service_stands_back(librarian: HybridLibrarian) -> None:
    agent = match_of(librarian, "agent-runaway", Query(title="same step again", service="x", service_kind="agent"))
    chat = match_of(librarian, "agent-runaway", Query(title="same step again", service="x", service_kind="chat"))

    assert agent.score > chat.score
    assert "is about agent, code, and this service is chat" in {reason.text for reason in chat.reasons}


def test_a_runbook_of_other_services_stands_back(librarian: HybridLibrarian) -> None:
    def score(**known: object) -> float:
        return match_of(librarian, "team-only", Query(title="queue is long", **known)).score  # type: ignore[arg-type]

    assert score(service="voice") == score(service="x", service_tags=("safety",)) == score()
    assert score(service="chat") < score(service="voice")


def test_priors_cover_every_document_sum_to_one_and_never_vanish(librarian: HybridLibrarian) -> None:
    priors = librarian.priors(Query(title="completions fail with 529 overloaded_error"))

    assert set(priors) == {document.id for document in DOCUMENTS}
    assert sum(priors.values()) == pytest.approx(1.0)
    assert min(priors.values()) >= UNIFORM_SHARE / len(DOCUMENTS)
    assert max(priors, key=lambda name: priors[name]) == "provider-outage"


def test_a_page_that_says_nothing_has_nearly_even_priors(librarian: HybridLibrarian) -> None:
    priors = librarian.priors(Query(title="zzz"))

    assert max(priors.values()) < 0.5


def test_no_documents_no_matches(librarian: HybridLibrarian) -> None:
    librarian.reload(())

    assert librarian.search(Query(title="anything")).matches == ()
    assert librarian.priors(Query(title="anything")) == {}


def test_an_empty_page_is_answered(librarian: HybridLibrarian) -> None:
    assert len(librarian.search(Query(title=""), limit=10).matches) == len(DOCUMENTS)


def test_the_same_question_has_the_same_answer(librarian: HybridLibrarian) -> None:
    query = Query(title="429 on chat", body="tokens used up")
    first = librarian.search(query)
    librarian.reload(DOCUMENTS)

    assert librarian.search(query) == first


def test_addresses_ids_and_times_in_a_page_change_nothing() -> None:
    noise = (
        "https://grafana.example/d/529-overloaded 2026-11-22T09:00:00Z "
        "123e4567-e89b-12d3-a456-426614174000 0123456789abcdef0123"
    )
    plain, noisy = Query(title="token budget used up"), Query(title="token budget used up", body=noise)

    assert match_of(fused(), "rate-limit-exceeded", noisy).score == pytest.approx(
        match_of(fused(), "rate-limit-exceeded", plain).score
    )


def test_a_page_with_a_whole_log_in_it_is_still_found(librarian: HybridLibrarian) -> None:
    log = "\n\n".join(f"line {n} of something that ran normally and took its time" for n in range(5_000))

    assert len(log) > MAX_QUERY
    assert (
        order(librarian, Query(title="completions failing with 529 overloaded_error", body=log))[0] == "provider-outage"
    )


def test_a_runbook_stuffed_with_words_does_not_win_every_page() -> None:
    everything = " ".join(chunk.text for doc in DOCUMENTS for chunk in doc.chunks)
    stuffed = document("stuffed", [everything], sections={"a": everything})
    for librarian in (lexical((*DOCUMENTS, stuffed)), fused((*DOCUMENTS, stuffed))):
        assert order(librarian, "completions failing with 529 overloaded_error")[0] == "provider-outage"
        assert order(librarian, "RateLimitError spike on the chat route")[0] == "rate-limit-exceeded"


class TestGoingBackAndForth:
    def setup_method(self) -> None:
        self.embedder = WordHashEmbedder()
        self.store = ExactStore()
        self.librarian = HybridLibrarian(
            DOCUMENTS, words=LexicalIndex(), embedder=self.embedder, vectors=self.store
        )  # fmt: skip

    def answer(self) -> tuple[str, str]:
        result = self.librarian.search(Query(title="529 overloaded_error"))
        assert result.matches[0].document == "provider-outage"
        return result.mode, result.notice

    def test_before_it_is_warm_words_answer_and_say_so(self) -> None:
        assert self.answer() == ("lexical", "meaning search is warming up")
        assert self.embedder.embedded == []

        assert self.librarian.warm() == ""
        assert self.answer() == ("fused", "")

    def test_without_a_model_words_answer_and_say_so(self) -> None:
        librarian = HybridLibrarian(DOCUMENTS, words=LexicalIndex())
        notice = "searched by words alone: meaning search is off"

        assert librarian.warm() == notice
        assert librarian.search(Query(title="529")).notice == notice

    @pytest.mark.parametrize("part", ["embedder", "store"])
    def test_a_model_or_index_that_cannot_be_used_is_said_and_retried(self, part: str) -> None:
        getattr(self, part).broken = "model not found"
        notice = "meaning search unavailable: model not found; searched by words alone"
        assert self.librarian.warm() == notice
        assert self.answer() == ("lexical", notice)
        assert self.store.closed == 1

        getattr(self, part).broken = ""
        assert self.librarian.warm() == ""
        assert self.answer() == ("fused", "")

    @pytest.mark.parametrize("part", ["embedder", "store"])
    def test_a_failure_while_searching_falls_back_to_words_in_the_same_answer(self, part: str) -> None:
        self.librarian.warm()
        getattr(self, part).broken = "disk gone"

        mode, notice = self.answer()
        assert mode == "lexical"
        assert "disk gone" in notice

    def test_after_a_failure_meaning_comes_back_by_itself_some_minutes_later(self) -> None:
        self.librarian.warm()
        self.store.broken = "disk gone"
        assert self.answer()[0] == "lexical"

        self.librarian.retry(1000.0)
        self.store.broken = ""
        self.librarian.retry(1000.0 + RETRY_S - 1)
        assert self.answer()[0] == "lexical"
        self.librarian.retry(1000.0 + RETRY_S)
        assert self.answer() == ("fused", "")

    def test_a_reload_embeds_only_what_is_new(self) -> None:
        self.librarian.warm()
        self.embedder.embedded.clear()

        self.librarian.reload((*DOCUMENTS, document("new-one", ["a brand new phrase"])))
        assert self.embedder.embedded == ["a brand new phrase"]
        assert order(self.librarian, "brand new phrase")[0] == "new-one"

    def test_a_reload_forgets_what_is_gone(self) -> None:
        self.librarian.warm()
        self.librarian.reload((LIMIT, AGENT))

        assert set(order(self.librarian, "529 overloaded_error")) == {"rate-limit-exceeded", "agent-runaway"}
        assert set(self.store.held) == {chunk.id for doc in (LIMIT, AGENT) for chunk in doc.chunks}

    def test_a_reload_before_it_is_warm_embeds_nothing(self) -> None:
        self.librarian.reload((LIMIT,))

        assert self.embedder.embedded == []
        assert order(self.librarian, "RateLimitError") == ["rate-limit-exceeded"]

    def test_searches_from_other_threads_always_answer_while_documents_change(self) -> None:
        failures: list[str] = []
        done = threading.Event()

        def search() -> None:
            n = 0
            while not done.is_set():
                n += 1
                matches = self.librarian.search(Query(title=f"529 overloaded_error {n}")).matches
                if not matches:
                    failures.append(f"no answer to {n}")

        threads = [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        self.librarian.warm()
        for n in range(10):
            self.librarian.reload((*DOCUMENTS, document("new", [f"phrase {n}"])))
        done.set()
        for thread in threads:
            thread.join()

        assert failures == []
