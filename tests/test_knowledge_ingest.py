"""A runbook becomes chunks that fit the embedder and can be cited."""

from knowledge.ingest import MAX_CHUNK, MAX_CHUNKS_A_DOCUMENT, document, pieces, text_digest
from knowledge.model import Document
from runbooks.parse import parse
from tests.runbooks_fakes import FRONT, WHOLE


def ingested(text: str, file: str = "provider-outage.md") -> Document:
    runbook = parse(text.encode(), file).runbook
    assert runbook is not None
    return document(runbook)


def test_every_section_and_page_phrase_is_a_chunk() -> None:
    doc = ingested(WHOLE)
    kinds = {chunk.id: chunk.kind for chunk in doc.chunks}

    assert kinds == {
        "provider-outage!page-0": "page",
        "provider-outage!page-1": "page",
        "provider-outage!page-2": "page",
        "provider-outage!page-3": "page",
        "provider-outage#model-provider-is-failing": "section",
        "provider-outage#is-it-this": "section",
        "provider-outage#1-fail-over-to-the-second-provider": "section",
        "provider-outage#afterwards": "section",
    }
    assert doc.chunks[0].text == "Model provider is failing"


def test_a_chunk_carries_its_heading_its_anchor_and_its_digest() -> None:
    chunk = next(c for c in ingested(WHOLE).chunks if c.section == "is-it-this")

    assert chunk.text == "Model provider is failing: Is it this?\nLook at the canary."
    assert chunk.sha256 == text_digest(chunk.text)
    assert chunk.document == "provider-outage"


def test_what_the_runbook_says_of_itself_is_carried() -> None:
    doc = ingested(WHOLE.replace("severity: sev1", "kinds: [chat]").replace('["*"]', "[chat]"))

    assert (doc.title, doc.services, doc.kinds, doc.executable) == (
        "Model provider is failing",
        ("chat",),
        ("chat",),
        True,
    )
    assert doc.not_pages == {"429 Too Many Requests, remaining tokens 0": "rate-limit-exceeded"}


def test_blocks_and_markup_are_not_indexed() -> None:
    doc = ingested(FRONT + "# A\n- **bold** and `code` and [a link](https://x.example)\n\n```bash\nls -l\n```\n")
    (section,) = [chunk for chunk in doc.chunks if chunk.kind == "section"]

    assert section.text == "Model provider is failing: A\nbold and code and a link\nls -l"


def test_plain_markdown_is_indexed() -> None:
    doc = ingested("# Reset the GPU box\nHold the button.\n", "reset.md")

    assert [chunk.id for chunk in doc.chunks] == ["reset!page-0", "reset#reset-the-gpu-box"]
    assert not doc.executable


def test_a_long_section_becomes_several_chunks_that_fit() -> None:
    doc = ingested(FRONT + "# A\n" + "A sentence about tokens. " * 200)
    parts = [chunk for chunk in doc.chunks if chunk.kind == "section"]

    assert len(parts) > 3
    assert all(len(chunk.text) <= MAX_CHUNK + 1 for chunk in parts)
    assert {chunk.section for chunk in parts} == {"a"}
    assert parts[1].id == "provider-outage#a~1"


def test_a_document_has_a_bounded_number_of_chunks() -> None:
    doc = ingested(FRONT + "# A\n" + "\n\n".join("word " * 200 for _ in range(900)))

    assert len(doc.chunks) == MAX_CHUNKS_A_DOCUMENT


def test_pieces_lose_nothing_and_fit() -> None:
    text = "One. Two is longer; three.\n\nFour " + "x" * 50
    parts = list(pieces(text, 20))

    assert all(len(part) <= 20 for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert list(pieces("   ")) == []
