"""The file that makes a command line act as a person in Slack: in their own configuration folder, for them alone.

Not in the data folder: whoever reads the API token there must not find this beside it.
"""

import hashlib
import json
import os
import stat
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import click


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A link as its own command line keeps it."""

    id: str
    secret: str
    active: bool
    """Whether the person who typed the code was confirmed here."""


def path(data: Path) -> Path:
    """Where the link to the server of this data folder is kept."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    name = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:16]
    return base / "pagerunner" / "links" / f"{name}.json"


def read(data: Path) -> Stored | None:
    """The link, if there is one. Ends where others could have read or written it: it may be theirs."""
    file = path(data)
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        _refuse(file, f"cannot be read: {error.strerror}")
    with os.fdopen(descriptor, encoding="utf-8") as opened:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            _refuse(file, "others can read or write it")
        try:
            return Stored(**json.load(opened))
        except (ValueError, TypeError):
            _refuse(file, "it is no link of ours")


def write(data: Path, link: Stored) -> None:
    """Keep it, readable by its owner alone from the first byte."""
    file = path(data)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        json.dump(asdict(link), opened)
    new.replace(file)


def remove(data: Path) -> None:
    """Forget it here."""
    path(data).unlink(missing_ok=True)


def _refuse(file: Path, why: str) -> NoReturn:
    text = (
        f"{file}: {why}. Nothing was done. Remove the file, end the link in Slack with /oncall unlink, and link again."
    )
    click.echo(text, err=True)
    sys.exit(1)
