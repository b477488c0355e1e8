"""What every test may use: the example catalogue, a real database, and a clock that tests move."""

import asyncio
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.edges.database import Database
from config.catalogue import Catalogue
from config.settings import load_catalogue

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until a test, or a sleeper, moves it."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue(ROOT / "config" / "example" / "catalogue.yaml")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "pagerunner.sqlite")
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What a shell starts in its background ignores the signal, and hands that on to what it starts itself."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
