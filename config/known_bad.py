"""Package releases that are known to be malicious: a data file with a date, for whoever looks and whoever acts."""

import re
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from config import strict_yaml

FILE = Path(__file__).with_name("known_bad_packages.yaml")
_DASHES = re.compile(r"[-_.]+")


class KnownBad(BaseModel):
    """One package and the releases of it that nobody may run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    versions: tuple[Annotated[str, BeforeValidator(str)], ...] = Field(min_length=1)
    published: date
    note: str = Field(min_length=1, max_length=300)


class KnownBadList(BaseModel):
    """All of them, and when the list was last looked through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dated: date
    packages: tuple[KnownBad, ...]

    def entry(self, name: str, version: str) -> KnownBad | None:
        """The entry that names this release; ``_`` and ``-`` and the case of a name make no difference."""
        wanted = canonical(name)
        return next((p for p in self.packages if canonical(p.name) == wanted and version in p.versions), None)


def canonical(name: str) -> str:
    """A package's name as indexes compare it."""
    return _DASHES.sub("-", name).lower()


@lru_cache(maxsize=4)
def known_bad(path: Path = FILE) -> KnownBadList:
    """The list. Raises :class:`config.strict_yaml.YamlError` or :class:`ValueError` for a file that is not one."""
    return KnownBadList.model_validate(strict_yaml.load(path.read_text(encoding="utf-8")).value)


class Package(BaseModel):
    """One package as a gateway's inventory lists it, beside what its lock file says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(min_length=1, max_length=100)
    version: str = Field(min_length=1, max_length=60)
    sha256: str = Field(default="", max_length=80)
    locked_version: str = Field(default="", max_length=60)
    locked_sha256: str = Field(default="", max_length=80)

    @property
    def is_bad(self) -> bool:
        """Whether this release is on the list."""
        return known_bad().entry(self.name, self.version) is not None

    @property
    def is_tampered(self) -> bool:
        """Whether it calls itself what the lock file names and is something else."""
        both = self.sha256 and self.locked_sha256
        return bool(both and self.version == self.locked_version and self.sha256 != self.locked_sha256)

    @property
    def is_unlocked(self) -> bool:
        """Whether another release runs than the lock file names."""
        return bool(self.locked_version) and self.version != self.locked_version

    @property
    def is_suspect(self) -> bool:
        """Whether anything of the three holds."""
        return self.is_bad or self.is_tampered or self.is_unlocked


MOST_PACKAGES = 3000


def packages_of(inventory: Any) -> tuple[Package, ...]:
    """The packages of an inventory. Raises :class:`ValueError` for what is not one: half a list would look healthy."""
    listed = inventory.get("packages") if isinstance(inventory, dict) else None
    if not isinstance(listed, list) or not listed or len(listed) > MOST_PACKAGES:
        raise ValueError(f"an inventory has a list of 1 to {MOST_PACKAGES} packages")
    return tuple(Package.model_validate(item) for item in listed)


def suspects(packages: Sequence[Package]) -> tuple[Package, ...]:
    """What should not run, the worst first."""
    found = [package for package in packages if package.is_suspect]
    return tuple(sorted(found, key=lambda p: (not p.is_bad, not p.is_tampered, p.name)))
