"""The ranker: what it learns from a library alone, what it says, and what happens where it cannot learn."""

from collections.abc import Sequence

import numpy as np
import pytest

from knowledge.features import BY_WORDS, NAMES, standard
from knowledge.ingest import text_digest
from knowledge.lexical_index import LexicalIndex
from knowledge.memories import MOST, Memories
from knowledge.model import Document, Match, PastIncident, Query
from knowledge.phrase_tests import check_phrases
from knowledge.profiles import Asked, Left, Profiles
from knowledge.ranker import FEWEST_DOCUMENTS, learn
from knowledge.retrieval import HybridLibrarian
from knowledge.scoring import SMALL, Corpus, Hits, considered, rank
from tests.knowledge_fakes import ExactStore, document
from tests.ranking_samples import PAGES, SmallEmbedder, library

VAGUE = Query(title="users are being throttled", body="the quota of the minute is gone, x-ratelimit-remaining is zero")


def made(documents: Sequence[Document], *, meaning: bool = True, **more: object) -> HybridLibrarian:
    parts = {"embedder": SmallEmbedder(), "vectors": ExactStore()} if meaning else {}
    librarian = HybridLibrarian(documents, words=LexicalIndex(), **parts, **more)  # type: ignore[arg-type]
    librarian.warm()
    return librarian


@pytest.fixture(scope="module", params=["by meaning and words", "by words alone"])
def librarian(request: pytest.FixtureRequest) -> HybridLibrarian:
    return made(library(), meaning=request.param == "by meaning and words")


def first(librarian: HybridLibrarian, title: str) -> str:
    return librarian.search(Query(title=title)).matches[0].document


def match_of(librarian: HybridLibrarian, name: str, query: Query) -> Match:
    return next(match for match in librarian.search(query, limit=99).matches if match.document == name)


class TestWhatIsLearned:
    def test_weights_come_from_the_library_and_none_speaks_against_being_alike(self) -> None:
        study = made(library())._study
        assert study is not None
        assert study.learned.fused is not None
        assert study.learned.words is not None

        assert study.learned.fused.examples == sum(len(pages) for pages in PAGES.values())
        assert all(weight > 0 for weight in study.learned.fused.values.values())
        assert set(study.learned.fused.values) <= set(NAMES)
        assert set(study.learned.words.values) <= set(BY_WORDS)

    def test_a_page_in_other_words_finds_its_runbook(self, librarian: HybridLibrarian) -> None:
        assert librarian.search(VAGUE).matches[0].document == "rate-limit"
        assert first(librarian, "the assistant keeps calling one function without end, it loops") == "loop"

    def test_the_same_library_ranks_the_same_to_the_last_byte(self) -> None:
        one, other = made(library()), made(tuple(reversed(library())))

        for query in (VAGUE, Query(title="vendor down"), Query(title="")):
            assert repr(made(library()).search(query, limit=99)) == repr(one.search(query, limit=99))
            assert [m.document for m in one.search(query, limit=99).matches] == [
                m.document for m in other.search(query, limit=99).matches
            ]

    def test_a_phrase_that_must_not_be_tried_is_not_an_example(self) -> None:
        librarian = made(library())
        before = librarian._study
        assert before is not None
        untried = {text_digest(PAGES["cost"][0])}

        less = learn(before.lessons, meaning=True, untried=untried)
        assert less.fused is not None
        assert less.fused.examples == len(before.lessons) - 1

        librarian.relearn(untried)
        assert librarian._study is not None
        assert librarian._study.learned == less

    def test_a_change_that_is_taken_back_is_not_learned_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        learned: list[int] = []
        monkeypatch.setattr("knowledge.ranker.lessons", lambda corpus, *_: learned.append(len(corpus.documents)) or ())
        librarian = made(library())
        further = [*library(), document("further", ["the printer is out of paper"])]
        for documents in (further, library(), further, library()):
            librarian.reload(documents)

        assert learned == [len(library()), len(further)]

    def test_a_change_that_is_only_tried_out_keeps_the_weights(self) -> None:
        librarian = made(library())
        before = librarian._study
        librarian.reload(library(heat=document("heat", ["the server room is hot"])), relearn=False)

        assert before is not None
        assert librarian._study is not None
        assert librarian._study.learned is before.learned
        assert first(librarian, "hot server room") == "heat"

    def test_most_phrases_are_found_without_themselves(self) -> None:
        librarian = made(library())
        results = list(check_phrases(librarian, library(), [*PAGES], PAGES))

        assert [result.text for result in results] == [text for pages in PAGES.values() for text in pages]
        assert sum(0 < result.rank <= 3 for result in results) >= 0.6 * len(results)


class TestLeavingOut:
    def test_a_profile_without_a_phrase_is_that_of_a_library_without_it(self) -> None:
        pages = dict(PAGES, cost=PAGES["cost"][1:])
        whole, less = (Corpus.of(document(n, p) for n, p in each.items()) for each in (PAGES, pages))
        embedder, phrase = SmallEmbedder(), PAGES["cost"][0]
        vectors = {c.sha256: embedder.embed([c.text])[0] for c in whole.chunks.values()}
        asked, rows = Asked.of(phrase, embedder.embed([phrase])), range(len(PAGES))
        left = Left(row=list(PAGES).index("cost"), asked=asked)
        one, other = Profiles(whole, vectors), Profiles(less, vectors)

        assert one.whole(asked, rows, left) == pytest.approx(other.whole(asked, rows, None))
        assert one.learned(asked, rows, left) == pytest.approx(other.learned(asked, rows, None), abs=0.03)
        assert one.names(asked, rows, left) == pytest.approx(other.names(asked, rows, None), abs=1e-9)
        for have, want in zip(one.topics(asked, rows, left), other.topics(asked, rows, None), strict=True):
            assert have == pytest.approx(want, abs=0.15)
        assert one.learned(asked, rows, None)[left.row] > one.learned(asked, rows, left)[left.row]

    def test_a_feature_that_hardly_differs_is_not_blown_up(self) -> None:
        values = np.array([[0.50], [0.51], [0.52]])

        assert standard(values, np.array([0.1])).max() == pytest.approx(0.2)


class TestReasons:
    def test_every_place_is_explained_and_the_score_is_the_sum_of_its_reasons(self, librarian: HybridLibrarian) -> None:
        for match in librarian.search(VAGUE, limit=99).matches:
            assert match.score == pytest.approx(sum(reason.contribution for reason in match.reasons))
            assert all(reason.text for reason in match.reasons)

    def test_a_concept_is_named_with_the_words_that_said_it(self, librarian: HybridLibrarian) -> None:
        texts = {reason.source: reason.text for reason in match_of(librarian, "rate-limit", VAGUE).reasons}

        assert "rate limit (“throttled”)" in texts["topics"]
        assert texts["words"].startswith("shares ")

    def test_by_meaning_the_nearest_phrase_is_quoted(self) -> None:
        texts = [r.text for r in match_of(made(library()), "cost", Query(title="the bill is ten times higher")).reasons]

        assert any(text.startswith("close in meaning to the page phrase “bill ten times higher”") for text in texts)

    def test_priors_cover_every_document_and_sum_to_one(self, librarian: HybridLibrarian) -> None:
        priors = librarian.priors(VAGUE)

        assert set(priors) == set(PAGES)
        assert sum(priors.values()) == pytest.approx(1.0)
        assert max(priors, key=lambda name: priors[name]) == "rate-limit"

    @pytest.mark.parametrize("meaning", [True, False])
    def test_not_pages_move_a_wrong_match_down(self, meaning: bool) -> None:
        page = Query(title="vendor refuses calls at peak time")
        stated = document("outage", PAGES["outage"], not_pages={"vendor refuses calls at peak time": "rate-limit"})
        plain, warned = made(library(), meaning=meaning), made(library(outage=stated), meaning=meaning)

        def behind(librarian: HybridLibrarian) -> float:
            return match_of(librarian, "outage", page).score - match_of(librarian, "rate-limit", page).score

        assert behind(warned) < behind(plain) - 0.5
        assert warned.search(page).matches[0].document == "rate-limit"
        told = [r for r in match_of(warned, "outage", page).reasons if r.source == "exclusion"]
        assert "belongs to rate-limit" in told[0].text
        assert told[0].contribution < 0

    def test_a_runbook_of_another_kind_of_service_stands_back(self, librarian: HybridLibrarian) -> None:
        scoped = made(library(loop=document("loop", PAGES["loop"], kinds=("agent",))))
        query = "the agent repeats one step"
        fits, other = (match_of(scoped, "loop", Query(title=query, service_kind=k)).score for k in ("agent", "chat"))

        assert fits > other


class TestWhereItCannotLearn:
    @pytest.mark.parametrize("count", [1, 3, FEWEST_DOCUMENTS - 1])
    def test_few_runbooks_are_ranked_by_the_fixed_fusion(self, count: int) -> None:
        librarian = made(library()[:count])
        corpus = Corpus.of(library()[:count])
        answer = librarian.search(VAGUE, limit=99)

        assert answer.mode == "fused"
        text = f"{VAGUE.title}\n{VAGUE.body}"
        assert answer.matches == rank(corpus, VAGUE, librarian._hits(text, SmallEmbedder().embed([text])))

    def test_few_phrases_are_ranked_by_the_fixed_fusion(self) -> None:
        librarian = made([document(name, pages[:2]) for name, pages in PAGES.items()])

        assert {r.source for r in librarian.search(VAGUE).matches[0].reasons} <= {"meaning", "words"}
        assert first(librarian, "JSONDecodeError in a parser") == "format"

    def test_plain_documents_without_phrases_are_ranked_too(self) -> None:
        docs = [document(n, [], sections={"a": ". ".join(pages)}) for n, pages in PAGES.items()]

        assert first(made(docs), "JSONDecodeError in a parser") == "format"

    def test_a_model_that_fails_later_leaves_the_weights_for_words(self) -> None:
        embedder = SmallEmbedder()
        librarian = HybridLibrarian(library(), words=LexicalIndex(), embedder=embedder, vectors=ExactStore())
        librarian.warm()
        embedder.broken = "model gone"

        answer = librarian.search(VAGUE)
        assert (answer.mode, answer.matches[0].document) == ("lexical", "rate-limit")
        assert "topics" in {reason.source for reason in answer.matches[0].reasons}

    def test_a_model_that_was_never_there_leaves_the_weights_for_words(self) -> None:
        embedder = SmallEmbedder()
        embedder.broken = "model not found"
        librarian = HybridLibrarian(library(), words=LexicalIndex(), embedder=embedder, vectors=ExactStore())

        assert "model not found" in librarian.warm()
        assert "topics" in {reason.source for reason in librarian.search(VAGUE).matches[0].reasons}

    def test_before_it_has_learned_the_fixed_fusion_answers(self) -> None:
        librarian = HybridLibrarian(library(), words=LexicalIndex())

        assert {r.source for r in librarian.search(VAGUE).matches[0].reasons} <= {"words"}

    def test_a_large_library_is_not_walked_through_for_a_page(self) -> None:
        docs = [document(f"other-{n}", [f"something else number{n}"]) for n in range(SMALL + 50)]
        corpus = Corpus.of([*library(), *docs])
        hits = Hits(words={"cost!page-0": (3.0, ["bill"])})

        assert considered(corpus, hits) == ("cost",)
        assert [match.document for match in rank(corpus, Query(title="bill"), hits)] == ["cost"]

    @pytest.mark.parametrize("meaning", [True, False])
    def test_of_a_large_library_everything_is_ranked_and_the_rest_stands_at_the_end(self, meaning: bool) -> None:
        docs = [*library(), *(document(f"other-{n}", [f"something else {n}th"]) for n in range(2 * SMALL))]
        librarian = made(docs, meaning=meaning)
        answer, priors = librarian.search(VAGUE, limit=999), librarian.priors(VAGUE)

        assert answer.matches[0].document == "rate-limit"
        assert sorted(match.document for match in answer.matches) == sorted(priors) == sorted(d.id for d in docs)
        assert sum(priors.values()) == pytest.approx(1.0)
        assert [match.score for match in answer.matches] == sorted((m.score for m in answer.matches), reverse=True)
        assert answer.matches[-1].reasons[0].text == "neither its words nor its meaning are among the nearest"


class TestPastIncidents:
    SEEN = PastIncident(id="INC-7", text="blue screen in the lobby kiosk", confirmed=("leak",))

    def test_a_confirmed_incident_lifts_its_runbook_and_says_so(self) -> None:
        query = Query(title="blue screen at the lobby kiosk again")
        plain, remembering = made(library()), made(library(), incidents=[self.SEEN])

        assert match_of(remembering, "leak", query).score > match_of(plain, "leak", query).score + 1
        reasons = [r.text for r in match_of(remembering, "leak", query).reasons if r.source == "past"]
        assert reasons[0].startswith("like INC-7, for which this was confirmed (0.")

    def test_it_can_be_told_later_and_forgotten(self) -> None:
        librarian, query = made(library()), Query(title="blue screen in the lobby")
        librarian.remember([self.SEEN])
        assert "past" in {r.source for r in match_of(librarian, "leak", query).reasons}

        librarian.remember([])
        assert "past" not in {r.source for r in match_of(librarian, "leak", query).reasons}

    def test_few_runbooks_remember_too(self) -> None:
        few = made(library()[:4], incidents=[self.SEEN])

        assert few.search(Query(title="blue screen in the lobby kiosk")).matches[0].document == "leak"

    def test_an_incident_of_an_unknown_runbook_is_no_candidate(self) -> None:
        stray = PastIncident(id="INC-8", text="blue screen", confirmed=("gone",))

        assert {m.document for m in made(library(), incidents=[stray]).search(Query(title="blue screen")).matches} <= {
            *PAGES
        }

    def test_the_newest_are_kept_and_only_new_ones_are_embedded(self) -> None:
        many = [PastIncident(id=str(n), text=f"text {n}", confirmed=("leak",)) for n in range(MOST + 5)]
        embedder = SmallEmbedder()
        before, after = Memories(many[:3]), Memories(many[1:4])
        before.warm(embedder)
        embedder.embedded.clear()
        after.warm(embedder, before)

        assert embedder.embedded == ["text 3"]
        assert len(Memories(many).incidents) == MOST
