"""Checkpoints: resumed after a crash, refused when somebody else wrote them."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bot.triage.checkpoint import CheckpointRejected, open_saver, signed_serde, signing_key

KEY = b"k" * 32


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.key"

    assert signing_key(path) == signing_key(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_plain_data_survives_the_round_trip() -> None:
    serde = signed_serde(KEY)
    value = {"incident": "inc-1", "number": 1, "priors": {"a": 0.5}, "calls": [{"probe": "x", "params": {}}]}

    assert serde.loads_typed(serde.dumps_typed(value)) == value


def test_a_crafted_row_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    import ormsgpack

    marker = tmp_path / "pwned"
    evil = ormsgpack.packb(ormsgpack.Ext(1, ormsgpack.packb(("os", "system", [f"touch {marker}"]))))
    for kind, data in (("msgpack", evil), ("msgpack+hs256", b"\0" * 32 + evil), ("pickle", b"x"), ("json", b"{}")):
        with pytest.raises(CheckpointRejected):
            signed_serde(KEY).loads_typed((kind, data))
    assert not marker.exists()


def test_another_installations_row_is_refused() -> None:
    with pytest.raises(CheckpointRejected):
        signed_serde(KEY).loads_typed(signed_serde(b"x" * 32).dumps_typed({"a": 1}))


async def test_the_file_is_private_and_tampering_is_noticed(tmp_path: Path) -> None:
    from typing import TypedDict

    from langgraph.graph import END, START, StateGraph

    class Tiny(TypedDict):
        x: int

    path = tmp_path / "checkpoints.sqlite"
    config = {"configurable": {"thread_id": "inc-1:1"}}
    async with open_saver(path, KEY) as saver:
        graph = StateGraph(Tiny)
        graph.add_node("one", lambda state: {"x": state["x"] + 1})
        graph.add_edge(START, "one")
        graph.add_edge("one", END)
        compiled = graph.compile(checkpointer=saver)
        await compiled.ainvoke({"x": 1}, config, durability="sync")
        assert (await compiled.aget_state(config)).values == {"x": 2}
    assert path.stat().st_mode & 0o777 == 0o600

    with sqlite3.connect(path) as connection:
        connection.execute("update checkpoints set checkpoint = zeroblob(40)")
    connection.close()
    async with open_saver(path, KEY) as saver:
        with pytest.raises(CheckpointRejected):
            await graph.compile(checkpointer=saver).aget_state(config)


def test_without_strict_checkpoints_an_investigation_refuses_to_start() -> None:
    code = "from bot.triage.graph import GraphTriage\nGraphTriage(None, None)"
    environment = {k: v for k, v in os.environ.items() if k != "LANGGRAPH_STRICT_MSGPACK"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "LANGGRAPH_STRICT_MSGPACK=true must be set" in done.stderr
