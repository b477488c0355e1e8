"""Checkpoints in a file of their own, signed: a row that we did not write is refused before it is decoded."""

import hashlib
import hmac
import os
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

_TAG = "+hs256"


class CheckpointRejected(Exception):
    """A checkpoint row is unsigned, altered, or of another incident."""


def signing_key(path: Path) -> bytes:
    """The installation's key, made at first use, readable by its owner alone."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return bytes.fromhex(path.read_text("ascii"))
    key = secrets.token_bytes(32)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.hex())
    return key


def signed_serde(key: bytes) -> Any:
    """LangGraph's serialiser for plain JSON types only, with a MAC over every value."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer  # noqa: PLC0415 - heavy; only investigations need it

    class Signed(JsonPlusSerializer):
        def __init__(self) -> None:
            super().__init__(allowed_msgpack_modules=[])

        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            kind, data = super().dumps_typed(obj)
            return kind + _TAG, _mac(key, kind, data) + data

        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            kind, signed = data
            if not kind.endswith(_TAG):
                raise CheckpointRejected("unsigned checkpoint rejected")
            kind, mac, content = kind.removesuffix(_TAG), signed[:32], signed[32:]
            if not hmac.compare_digest(mac, _mac(key, kind, content)):
                raise CheckpointRejected("checkpoint with a wrong signature rejected")
            return super().loads_typed((kind, content))

    return Signed()


@asynccontextmanager
async def open_saver(path: Path, key: bytes) -> "AsyncIterator[BaseCheckpointSaver[Any]]":
    """The checkpoint file, ready to use."""
    import aiosqlite  # noqa: PLC0415
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver  # noqa: PLC0415

    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    async with aiosqlite.connect(path) as connection:
        # Enough for a killed process. After a power cut an investigation may go back a step: findings stand elsewhere.
        await connection.execute("PRAGMA synchronous=NORMAL")
        saver = AsyncSqliteSaver(connection, serde=signed_serde(key))
        await saver.setup()
        yield saver


async def forget(saver: "BaseCheckpointSaver[Any]", closed: Collection[str]) -> None:
    """Take out the investigations of these incidents: what they found stands elsewhere."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver  # noqa: PLC0415

    assert isinstance(saver, AsyncSqliteSaver)
    async with saver.conn.execute("SELECT DISTINCT thread_id FROM checkpoints") as rows:
        threads = [str(row[0]) async for row in rows]
    for thread in threads:
        if thread.rsplit(":", 1)[0] in closed:
            await saver.adelete_thread(thread)


def _mac(key: bytes, kind: str, data: bytes) -> bytes:
    return hmac.new(key, kind.encode() + b"\0" + data, hashlib.sha256).digest()
