"""A search as if one phrase of the library had never been written, without indexing anything again."""

from collections.abc import Sequence

from knowledge.ingest import folded
from knowledge.scoring import Corpus, Hits


def without(corpus: Corpus, hits: Hits, phrase: str) -> tuple[Hits, Sequence[str]]:
    """As if this phrase stood nowhere, in whatever case; and the documents it is a page phrase of, or belongs to."""
    wanted = folded(phrase)
    same = {
        name
        for name in dict.fromkeys((*hits.words, *(hits.meaning or ())))
        if corpus.chunks[name].kind == "page" and folded(corpus.chunks[name].text) == wanted
    }
    owners = [p.document for name in sorted(same) for p in corpus.places[name] if p.role in {"page", "borrowed"}]
    meaning = None if hits.meaning is None else {n: s for n, s in hits.meaning.items() if n not in same}
    words = {n: found for n, found in hits.words.items() if n not in same}
    return Hits(words=words, meaning=meaning, past=hits.past), owners
