"""Where a runbook library comes from: a folder, or a Git repository pinned to a revision. Declares; reads nothing."""

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationInfo,
    field_validator,
)

Transport = Literal["https", "ssh", "file"]
DEFAULT_REVISION = "HEAD"
_USER, _HOST = r"[A-Za-z0-9_][A-Za-z0-9_.-]*", r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_SCP = re.compile(rf"(?:{_USER}@)?{_HOST}:(?!-)[^:\s][^\s]*")
_NETWORK = re.compile(rf"(?:{_USER}@)?(?:{_HOST}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?")
_ADVICE = "write https://HOST/REPOSITORY.git, ssh://USER@HOST/REPOSITORY.git, USER@HOST:REPOSITORY.git or a path"
_LONGEST_USER = 32
"""Longer ones are tokens."""
_BLANKS = re.compile(r"[\x00-\x20\x7f-\xa0]")
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
"""A whole commit id, which always means the same files."""


def transport(address: str) -> Transport:
    """How Git reaches this address. Raises :class:`ValueError` for one that it must not be asked to reach."""
    if not address or _BLANKS.search(address):
        raise ValueError(f"a repository address has no blanks; {_ADVICE}")
    if address.startswith("-") or "::" in address:
        raise ValueError(f"Git would read this as an option or a command, not as a repository; {_ADVICE}")
    scheme, separator, rest = address.partition("://")
    if separator:
        return _of_url(scheme.lower(), rest)
    if _SCP.fullmatch(address) and "/" not in address.partition(":")[0]:
        return "ssh"
    if ":" in address.partition("/")[0]:
        raise ValueError(f"this is no address that Git can be given safely; {_ADVICE}")
    return "file"


def _of_url(scheme: str, rest: str) -> Transport:
    """The messages repeat nothing of the address: somebody may have put a password into it."""
    if scheme == "file":
        if not rest.startswith("/"):
            raise ValueError("write file:///PATH with three slashes; it is a path on this machine")
        return "file"
    if scheme == "http":
        raise ValueError("http:// lets anybody on the way change what a runbook does; use https:// or ssh://")
    if scheme not in ("https", "ssh"):
        raise ValueError(f"only https, ssh and file addresses are used; {_ADVICE}")
    place, _, path = rest.partition("/")
    user = place.rpartition("@")[0]
    if ":" in user or len(user) > _LONGEST_USER:
        raise ValueError(
            "a password or token does not belong into an address; name an environment variable with 'token_env'"
        )
    if not _NETWORK.fullmatch(place) or not path or path.startswith("-") or "?" in path or "#" in path:
        raise ValueError(f"this is no address of a repository; {_ADVICE}")
    return "https" if scheme == "https" else "ssh"


def _address(value: str) -> str:
    transport(value)
    return value


def checked_revision(value: str) -> str:
    """A branch, a tag or a whole commit id, as ``git check-ref-format`` has it. Raises :class:`ValueError`."""
    if COMMIT.fullmatch(value.lower()):
        return value.lower()
    parts = value.split("/")
    wrong = (".." in value or "@{" in value or value.endswith(".") or value.startswith("-")
             or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts))  # fmt: skip
    if wrong or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._/+@=-]{0,199}", value):
        raise ValueError("name a branch, a tag or a whole commit id, such as main, v1.4 or 40 hexadecimal digits")
    if re.fullmatch(r"[0-9a-f]{7,39}", value) and not value.isdecimal():
        raise ValueError("this looks like a commit id cut short; write all 40 digits, so that it means one commit only")
    return value


def _inside(value: str) -> str:
    """A folder below the top of a repository, with forward slashes and nothing that leads out of it."""
    parts = [part for part in value.split("/") if part not in ("", ".")]
    if value.startswith("/") or "\\" in value or ".." in parts or any(part.lower() == ".git" for part in parts):
        raise ValueError("name a folder below the top of the repository, such as docs/runbooks")
    if any(not char.isprintable() for char in value) or len(value) > 500:
        raise ValueError("name a folder below the top of the repository, in printable characters")
    return "/".join(parts)


def _link(value: str) -> str:
    """A page of the repository's host that shows a file at a commit."""
    if value and not (re.match(r"https?://", value) and "{commit}" in value and "{file}" in value
                      and not re.search(r"[{}]", value.replace("{commit}", "").replace("{file}", ""))
                      and not _BLANKS.search(value)):  # fmt: skip
        raise ValueError("write an address with {commit} and {file} in it")
    return value


class GitSource(BaseModel):
    """A library in a Git repository. A commit id stays as it is; a branch or tag is looked up again and again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    git: Annotated[str, StringConstraints(max_length=1_000), AfterValidator(_address)]
    """``https://``, ``ssh://``, ``user@host:path``, ``file://`` or a path on this machine."""
    revision: Annotated[str, AfterValidator(checked_revision)] = DEFAULT_REVISION
    """Branch, tag or whole commit id; ``HEAD`` is the repository's default branch."""
    path: Annotated[str, AfterValidator(_inside)] = ""
    """The folder with the runbooks; empty: the whole repository."""
    name: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9._-]{0,62})?$")
    """What the library is called; empty: as its repository, or as its team."""
    token_env: str = Field(default="", pattern=r"^([A-Z_][A-Z0-9_]{0,99})?$")
    """Environment variable with a token for an https address; empty: Git's own credential helpers."""
    link: Annotated[str, AfterValidator(_link)] = ""
    """Address of a file at a commit, with ``{commit}`` and ``{file}``; empty: known for GitHub and GitLab."""

    @field_validator("token_env")
    @classmethod
    def _only_over_https(cls, value: str, info: ValidationInfo) -> str:
        address = str(info.data.get("git", "https://"))
        if value and not address.lower().startswith("https://"):
            raise ValueError("a token is sent to https addresses only; for ssh, use a key")
        return value

    @property
    def pinned(self) -> bool:
        """Whether the revision always means the same files."""
        return COMMIT.fullmatch(self.revision) is not None

    def beside(self, folder: Path) -> "GitSource":
        """The same, with a path on this machine taken relative to ``folder``."""
        if transport(self.git) != "file" or "://" in self.git:
            return self
        return self.model_copy(update={"git": str((folder / self.git).absolute())})


FOLDER, REPOSITORY = "folder", "repository"
"""The two kinds, which pydantic puts into the places of mistakes."""


def _kind(value: object) -> str:
    return REPOSITORY if isinstance(value, dict | GitSource) else FOLDER


CompanyLibrary = Annotated[
    Annotated[Path, Tag(FOLDER)] | Annotated[GitSource, Tag(REPOSITORY)], Discriminator(_kind)
]  # fmt: skip
TeamLibrary = Annotated[
    Annotated[str, Tag(FOLDER)] | Annotated[GitSource, Tag(REPOSITORY)], Discriminator(_kind)
]  # fmt: skip


class LibrarySource(BaseModel):
    """A library as it is configured: where it comes from, what it is called, and whose it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    team: str = ""
    """The team whose own it is; empty: the company's."""
    at: Path | GitSource


def library_name(at: Path | GitSource, otherwise: str = "company") -> str:
    """What a library without a name is called: as its repository or folder."""
    if isinstance(at, GitSource) and at.name:
        return at.name
    last = PurePosixPath(urlsplit(at.git).path if "://" in at.git else at.git.rpartition(":")[2]).name \
        if isinstance(at, GitSource) else at.name  # fmt: skip
    plain = re.sub(r"[^a-z0-9._-]+", "-", last.lower().removesuffix(".git")).strip("-._")
    return plain[:60] or otherwise


def file_link(source: GitSource, commit: str, file: str) -> str:
    """Where people read a file as it was at a commit; empty if that is not known."""
    template = source.link or _known_host(source.git)
    return template.replace("{commit}", commit).replace("{file}", _quoted(file)) if template else ""


def _known_host(address: str) -> str:
    found = re.fullmatch(rf"(?:https|ssh)://(?:{_USER}@)?({_HOST})/(.+)", address) or (
        re.fullmatch(rf"(?:{_USER}@)?({_HOST}):(.+)", address) if "://" not in address else None
    )
    if found is None:
        return ""
    host, path = found[1].lower(), found[2].strip("/").removesuffix(".git")
    if host == "github.com":
        return f"https://{host}/{path}/blob/{{commit}}/{{file}}"
    if host == "gitlab.com" or host.startswith("gitlab."):
        return f"https://{host}/{path}/-/blob/{{commit}}/{{file}}"
    return ""


def _quoted(file: str) -> str:
    return "".join(char if re.fullmatch(r"[A-Za-z0-9._/~-]", char) else "".join(f"%{byte:02X}" for byte in
                   char.encode("utf-8", "replace")) for char in file)  # fmt: skip
