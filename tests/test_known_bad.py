"""The list of malicious releases, and what an inventory says against a lock file."""

from datetime import date
from pathlib import Path

import pytest

from config.known_bad import Package, known_bad, packages_of, suspects


def package(name: str, version: str = "1.0", sha: str = "aa", locked: str = "1.0", locked_sha: str = "aa") -> Package:
    return Package(name=name, version=version, sha256=sha, locked_version=locked, locked_sha256=locked_sha)


def test_the_list_has_a_date_and_knows_names_however_they_are_written() -> None:
    listed = known_bad()

    assert listed.dated >= date(2026, 11, 23)
    assert listed.entry("LiteLLM", "1.82.8") is not None
    assert listed.entry("litellm", "1.82.6") is None


@pytest.mark.parametrize(
    "text",
    [
        "dated: 2026-11-23\npackages: [{name: x, versions: [], published: 2026-01-01, note: y}]",
        "packages: []",
        "dated: 2026-11-23\npackages: [{name: x, versions: [1.0], published: soon, note: y}]",
        "dated: 2026-11-23\npackages: [{name: x, versions: [1.0], published: 2026-01-01, note: y, more: 1}]",
    ],
)
def test_a_list_that_is_not_one_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "list.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match="validation error"):
        known_bad(file)


def test_a_version_that_looks_like_a_number_stays_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    file.write_text(
        'dated: 2026-11-23\npackages: [{name: x, versions: ["1.10"], published: 2026-01-01, note: y}]', encoding="utf-8"
    )

    assert known_bad(file).entry("x", "1.10") is not None
    assert known_bad(file).entry("x", "1.1") is None


def test_the_worst_comes_first() -> None:
    found = suspects(
        [
            package("fine"), package("newer", version="1.1"), package("swapped", sha="bb"),
            package("litellm", version="1.82.8", locked="1.82.8"),
        ]
    )  # fmt: skip

    assert [one.name for one in found] == ["litellm", "swapped", "newer"]


def test_without_a_lock_only_the_list_speaks() -> None:
    assert not package("any", locked="", locked_sha="").is_suspect
    assert package("litellm", version="1.82.7", locked="", locked_sha="").is_suspect


@pytest.mark.parametrize(
    "document", [None, [], {}, {"packages": []}, {"packages": [{"name": "x"}]}, {"packages": ["x"]}]
)
def test_half_an_inventory_is_none(document: object) -> None:
    with pytest.raises(ValueError, match=r"inventory has a list|validation error"):
        packages_of(document)
