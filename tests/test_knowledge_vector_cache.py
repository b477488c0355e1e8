"""Vectors on disk: what is known is not computed again, and a file that cannot be used is done without."""

from pathlib import Path

import pytest

from knowledge.vector_cache import CachingEmbedder
from tests.ranking_samples import SmallEmbedder


def test_what_was_computed_once_is_read_by_the_next_command(tmp_path: Path) -> None:
    first, second = SmallEmbedder(), SmallEmbedder()
    made = CachingEmbedder(first, tmp_path / "new" / "v.sqlite").embed(["a hot server", "late trains", "a hot server"])

    again = CachingEmbedder(second, tmp_path / "new" / "v.sqlite").embed(["late trains", "new words", "a hot server"])

    assert first.embedded == ["a hot server", "late trains"]
    assert second.embedded == ["new words"]
    assert again[0] == pytest.approx(made[1], abs=1e-7)
    assert again[2] == pytest.approx(made[0], abs=1e-7)
    assert b"server" not in (tmp_path / "new" / "v.sqlite").read_bytes()


def test_another_model_has_its_own_vectors(tmp_path: Path) -> None:
    CachingEmbedder(SmallEmbedder(), tmp_path / "v.sqlite").embed(["late trains"])
    other = SmallEmbedder("another-model")
    CachingEmbedder(other, tmp_path / "v.sqlite").embed(["late trains"])

    assert other.embedded == ["late trains"]


@pytest.mark.parametrize("where", ["broken", "folder"])
def test_a_file_that_cannot_be_used_is_done_without(tmp_path: Path, where: str) -> None:
    (tmp_path / "broken").write_text("not a database, and long enough to be read as one" * 20)
    (tmp_path / "folder").mkdir()

    assert len(CachingEmbedder(SmallEmbedder(), tmp_path / where).embed(["late trains"])) == 1
