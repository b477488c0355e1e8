"""What the figures were measured on, and references of the same minute: on a noisy machine only ratios can be read."""

import hashlib
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bot.bench.figures import percentile

ROOT = Path(__file__).resolve().parent.parent.parent
COMMITS = 400
HASHES = 60_000


def facts() -> list[tuple[str, str]]:
    """Date, commit and machine."""
    return [
        ("Date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("Commit", commit()),
        ("Machine", f"{os.cpu_count()} cores, {_memory_gib():.0f} GiB, {platform.system()} {platform.machine()}"),
        ("Python", platform.python_version()),
        ("SQLite", sqlite3.sqlite_version),
    ]


def references() -> str:
    """Simple things measured now. The first, on an idle 2-core machine of 2025: about 60 ms."""
    return (
        f"{HASHES:,} hashes of 2 kB {1000 * hashing():.0f} ms, bare interpreter start {1000 * interpreter():.0f} ms, "
        f"plain SQLite {commits():.0f} commits/s, load {os.getloadavg()[0]:.1f}"
    )


def hashing() -> float:
    """Seconds for a fixed piece of work on one core: how much of a core there is for us."""
    began = time.perf_counter()
    for _ in range(HASHES):
        hashlib.sha256(b"x" * 2_000).digest()
    return time.perf_counter() - began


def interpreter() -> float:
    """Seconds to start Python and end it: the median of five."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
        times.append(time.perf_counter() - began)
    return percentile(times, 0.5)


def commits() -> float:
    """Durable single-row commits a second that plain SQLite makes here (WAL, synchronous FULL)."""
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "plain.sqlite", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, body BLOB)")
        body = b"x" * 2_000
        began = time.perf_counter()
        for _ in range(COMMITS):
            connection.execute("INSERT INTO row (body) VALUES (?)", (body,))
        elapsed = time.perf_counter() - began
        connection.close()
    return COMMITS / elapsed


def commit() -> str:
    """The commit of the working tree, and whether it was changed since."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + (" and uncommitted changes" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown: not a git working tree"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True)  # noqa: S607
    return done.stdout.strip()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
