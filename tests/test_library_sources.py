"""Where runbook libraries may come from: what Git must not be given is refused before Git sees it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bot.cli.libraries import folders, sources
from config.catalogue import Catalogue
from config.library import GitSource, file_link, library_name, transport
from config.settings import ConfigError, load

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("address", "how", "name"),
    [
        ("https://github.com/acme/Run_Books.git", "https", "run_books"),
        ("https://oauth2@gitlab.example/sre/oncall", "https", "oncall"),
        ("git@github.com:acme/oncall.git", "ssh", "oncall"),
        ("ssh://git@git.example:2222/sre/oncall.git", "ssh", "oncall"),
        ("/srv/git/oncall.git", "file", "oncall"),
        ("../oncall", "file", "oncall"),
        ("file:///srv/git/oncall.git", "file", "oncall"),
    ],
)
def test_addresses_that_git_is_given(address: str, how: str, name: str) -> None:
    assert transport(address) == how
    assert library_name(GitSource(git=address)) == name


@pytest.mark.parametrize(
    "address",
    [
        "", "-x", "--upload-pack=touch /tmp/x", "--upload-pack=x", "ext::sh -c touch%20/tmp/x", "ext::sh", "fd::17",
        "http://git.example/x", "git://git.example/x", "ftp://x/y", "https://u:password@git.example/x",
        "https://ghp_0123456789012345678901234567890123@github.com/x", "host:-x", "-oProxyCommand=x@host:y",
        "ssh://-oProxyCommand=touch/x", "ssh://host/-x", "https://host", "https://host/x?y", "https://host/x#y",
        "https://ho st/x", "https://host/x\n", "https://host\u00a0/x", "file://server/share", "host::x", "a:b:c\tx",
    ],
)  # fmt: skip
def test_addresses_that_git_is_not_given(address: str) -> None:
    with pytest.raises(ValidationError):
        GitSource(git=address)


@pytest.mark.parametrize("path", ["..", "../x", "a/../../b", "/etc", "a/.git/b", ".GIT", "a\\b", "a\nb", "x" * 501])
def test_paths_that_lead_out_of_a_repository_are_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="below the top of the repository"):
        GitSource(git="/srv/x", path=path)


@pytest.mark.parametrize(("path", "kept"), [("", ""), ("./a//b/", "a/b"), ("docs/run books", "docs/run books")])
def test_paths_are_kept_plain(path: str, kept: str) -> None:
    assert GitSource(git="/srv/x", path=path).path == kept


@pytest.mark.parametrize("revision", ["main", "v1.4.2", "release/2026-11", "refs/tags/v1", "HEAD", "20261122"])
def test_branches_and_tags(revision: str) -> None:
    assert not GitSource(git="/srv/x", revision=revision).pinned


@pytest.mark.parametrize(
    "revision",
    ["", "-x", "--exec=x", "a..b", "a b", "main^{commit}", "HEAD~1", "main:path", "a.lock", "/a", "a//b", "@{-1}",
     "abc1234", SHA[:39]],
)  # fmt: skip
def test_what_is_no_branch_tag_or_whole_commit_is_refused(revision: str) -> None:
    with pytest.raises(ValidationError):
        GitSource(git="/srv/x", revision=revision)


def test_a_whole_commit_id_is_pinned() -> None:
    assert GitSource(git="/srv/x", revision=SHA.upper()).pinned
    assert GitSource(git="/srv/x", revision=SHA).revision == SHA


def test_a_token_goes_to_https_alone() -> None:
    assert GitSource(git="https://git.example/x", token_env="BOOKS_TOKEN").token_env == "BOOKS_TOKEN"
    with pytest.raises(ValidationError, match="https addresses only"):
        GitSource(git="git@git.example:x", token_env="BOOKS_TOKEN")


@pytest.mark.parametrize(
    ("address", "link", "expected"),
    [
        ("git@github.com:acme/oncall.git", "", f"https://github.com/acme/oncall/blob/{SHA}/docs/a%20b.md"),
        ("https://gitlab.example/a/b/c", "", f"https://gitlab.example/a/b/c/-/blob/{SHA}/docs/a%20b.md"),
        ("https://git.example/x", "", ""),
        ("/srv/x", "https://w.example/{commit}?f={file}", f"https://w.example/{SHA}?f=docs/a%20b.md"),
    ],
)
def test_a_file_has_an_address_where_its_host_is_known_or_declared(address: str, link: str, expected: str) -> None:
    assert file_link(GitSource(git=address, link=link), SHA, "docs/a b.md") == expected


@pytest.mark.parametrize("link", ["javascript:x{commit}{file}", "https://x/{file}", "https://x/{commit}{file}{0.x}"])
def test_a_link_that_could_be_something_else_is_refused(link: str) -> None:
    with pytest.raises(ValidationError, match="commit"):
        GitSource(git="/srv/x", link=link)


def settings(folder: Path, text: str) -> Path:
    path = folder / "pagerunner.yaml"
    path.write_text(text, "utf-8")
    return path


def test_a_mistake_is_told_with_its_place_and_without_what_may_be_a_secret(tmp_path: Path) -> None:
    path = settings(tmp_path, "runbooks:\n  - books\n  - {git: 'https://u:hunter2@h/x', revison: main}\n")
    with pytest.raises(ConfigError) as caught:
        load({}, path)

    advice = "a password or token does not belong into an address; name an environment variable with 'token_env'"
    assert caught.value.problems == [
        f"{path}:3:6: runbooks.1.git: {advice}",
        f"{path}:3:36: runbooks.1.revison: unknown key; remove it or correct its spelling",
    ]


def test_libraries_stand_from_the_most_general_to_the_most_special_under_names_of_their_own(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    chosen = load({}, settings(tmp_path, "runbooks: [a/oncall, {git: b/oncall.git, path: docs}, built-in]\n"))
    teams = tuple(
        team.model_copy(update={"runbooks": at})
        for team, at in zip(catalogue.teams, ("own", "", GitSource(git="team.git")), strict=True)
    )
    declared = catalogue.model_copy(update={"teams": teams})
    beside = chosen.model_copy(update={"catalogue": tmp_path / "catalogue.yaml"})

    found = sources(beside, declared)

    assert [(one.name, one.team) for one in found] == [
        ("oncall", ""), ("oncall-2", ""), ("built-in-2", ""), ("assist", "assist"), ("creator", "creator"),
    ]  # fmt: skip
    company, own = found[1].at, found[4].at
    assert isinstance(company, GitSource)
    assert isinstance(own, GitSource)
    assert (company.git, own.git) == (str(tmp_path / "b" / "oncall.git"), str(tmp_path / "team.git"))
    assert [folder.team for folder in folders(beside, declared)] == ["", "", "", "assist", "creator"]
