"""Commands that act, against ``pagerunner serve`` itself: what they print, and what the timeline then says."""

import hashlib
import hmac
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import delete, update

from bot.cli import main
from bot.cli.local import Api
from bot.edges.database import Database
from bot.edges.schema import timeline
from config.settings import load, without_settings
from tests.running import EXAMPLE, ROOT, SIGNING_SECRET, Part, until

UNKNOWN = "PNOBODY"
"""A service that is in no catalogue: it reaches people, and nothing is probed."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server on a data folder, and its settings file."""

    config: Path
    data: Path
    url: str

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(main, [*words, "--config", str(self.config)], prog_name="pagerunner")

    def page(self, number: int) -> str:
        """Page it; returns the incident. Titles that differ in numbers alone would join."""
        title = "Failure " + "".join(chr(ord("a") + int(digit)) for digit in str(number))
        data = {"id": f"Q{number}", "type": "incident", "status": "triggered", "incident_key": f"key-{number}",
                "title": title, "service": {"id": UNKNOWN, "type": "service_reference"}}  # fmt: skip
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        raw = json.dumps({"event": {"id": f"01E{number}", "event_type": "incident.triggered", "occurred_at": now,
                                    "resource_type": "incident", "data": data}}).encode()  # fmt: skip
        signature = hmac.new(SIGNING_SECRET.encode(), raw, hashlib.sha256).hexdigest()
        headers = {"x-pagerduty-signature": f"v1={signature}", "content-type": "application/json"}
        httpx.post(f"{self.url}/webhooks/pagerduty", content=raw, headers=headers, trust_env=False).raise_for_status()
        api = Api(load({}, self.config))
        return str(until(lambda: [i["id"] for i in api.get("/incidents") if i["title"] == title], "it")[0])

    def facts(self, incident: str) -> list[dict[str, Any]]:
        told = Api(load({}, self.config)).get(f"/incidents/{incident}/timeline")
        return [entry["fact"] for entry in told]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home: Path = tmp_path_factory.mktemp("served")
    config = home / "pagerunner.yaml"
    config.write_text(
        f"data: data\ncatalogue: {EXAMPLE / 'catalogue.yaml'}\nport: 0\nembedder: no-model\n"
        f"pagerduty_secrets: [{SIGNING_SECRET}]\ncanary_tokens_per_hour: 0\n"
    )
    part = Part(["-m", "bot", "serve", "--config", str(config)], home / "log", without_settings(os.environ))
    url = part.wait_for(r"listens on (\S+)")[1]
    part.wait_for("Pagerunner is ready")
    yield Served(config=config, data=home / "data", url=url)
    part.stop()


@pytest.mark.parametrize(
    ("command", "kind", "said"),
    [
        ("ack", "incident_acknowledged", "is acknowledged here. PagerDuty is not connected: acknowledge Q1 there"),
        ("escalate", "incident_escalated", "Nobody was paged. PagerDuty is not connected: escalate Q2 there, or call"),
        ("resolve", "incident_resolved", "is resolved here. PagerDuty is not connected: resolve Q3 there, too."),
    ],
)
def test_an_act_says_what_it_really_did_and_is_on_the_timeline(
    served: Served, command: str, kind: str, said: str
) -> None:
    incident = served.page({"ack": 1, "escalate": 2, "resolve": 3}[command])
    done = served.run(command, incident)

    assert (done.exit_code, said in done.output) == (0, True), done.output
    assert kind in [fact["kind"] for fact in served.facts(incident)]


def test_what_the_pager_was_not_told_stands_on_the_card(served: Served) -> None:
    incident = served.page(4)
    served.run("escalate", incident)
    until(lambda: [f for f in served.facts(incident) if f["kind"] == "alarm"], "an alarm")

    shown = served.run("incidents", incident).output
    assert "NOT DELIVERED: PagerDuty was not told: no PagerDuty API key is set" in shown


def test_a_second_time_is_refused_in_sentences_without_field_names(served: Served) -> None:
    incident = served.page(5)
    served.run("ack", incident)
    again = served.run("ack", incident)

    assert again.exit_code == 1
    assert again.output == f"{incident} already is acknowledged. Read the current state and decide again.\n".replace(
        "inc-", "Inc-"
    )


def test_acts_are_printed_as_json_where_that_is_asked_for(served: Served) -> None:
    incident = served.page(6)
    for words in (("ack", incident), ("escalate", incident), ("resolve", incident),
                  ("freeze", "support-bot", "--reason", "test"), ("unfreeze", "support-bot")):  # fmt: skip
        done = served.run(*words, "--json")
        told = json.loads(done.output)
        assert (done.exit_code, told["ok"], bool(told["text"])) == (0, True, True)


def test_unfreeze_allows_what_freeze_stopped(served: Served) -> None:
    incident = served.page(7)
    assert "frozen" in served.run("freeze", "--reason", "release day").output
    assert "release day" in served.run("incidents", incident).output
    assert "allowed again" in served.run("unfreeze").output
    assert "release day" not in served.run("incidents", incident).output


def test_what_is_done_here_is_recorded_as_done_by_way_of_the_command_line(served: Served) -> None:
    headers = Api(load({}, served.config))._headers

    assert headers["x-pagerunner-via"] == "cli"


def test_a_server_on_a_taken_port_says_so_without_a_traceback(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        environment = {**without_settings(os.environ), "PAGERUNNER_DATA": str(tmp_path / "data"),
                       "PAGERUNNER_PORT": str(port), "PAGERUNNER_CATALOGUE": str(EXAMPLE / "catalogue.yaml"),
                       "PAGERUNNER_EMBEDDER": str(tmp_path / "none")}  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "bot", "serve"], env=environment, cwd=ROOT, capture_output=True,
                              text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in done.stderr
    assert "PAGERUNNER_PORT" in done.stderr
    assert "Traceback" not in done.stderr


# --- audit verify ----------------------------------------------------------------------------------------------------


@pytest.fixture
def chain(served: Served, tmp_path: Path) -> Path:
    """A copy of the server's database, with some entries."""
    served.run("ack", served.page(int(time.time() * 1000) % 1_000_000 + 100))
    copy = tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(served.data / "pagerunner.sqlite")) as source, closing(sqlite3.connect(copy)) as made:
        source.backup(made)
    return copy


def verify(path: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["audit", "verify", "--database", str(path), *more])


def change(path: Path, statement: Any) -> None:
    database = Database(path)
    database.open()
    database.run_now(lambda c: c.execute(statement))
    database.close()


def head(path: Path) -> str:
    return str(json.loads(verify(path, "--json").output)["head"])


def test_a_chain_that_holds_is_said_to_hold(chain: Path) -> None:
    done = verify(chain, "--head", head(chain))

    assert (done.exit_code, "the chain holds; head " in done.output) == (0, True), done.output


def test_an_altered_entry_is_named(chain: Path) -> None:
    change(chain, update(timeline).where(timeline.c.seq == 2).values(actor="somebody else"))
    done = verify(chain)

    assert (done.exit_code, "entry 2 was altered" in done.output) == (1, True)


def test_an_entry_that_was_taken_out_is_missed(chain: Path) -> None:
    change(chain, delete(timeline).where(timeline.c.seq == 2))

    assert "entry 2 is missing" in verify(chain).output


def test_an_end_that_was_cut_off_is_noticed_by_the_head_that_was_kept(chain: Path) -> None:
    kept = head(chain)
    change(chain, delete(timeline).where(timeline.c.seq > 2))
    done = verify(chain, "--head", kept)

    assert (done.exit_code, "the end of the timeline was cut off" in done.output) == (1, True)


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_a_file_that_is_no_database_of_ours_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.sqlite"
    path.write_bytes(content)
    done = verify(path)

    assert done.exit_code == 1
    assert "this is no database of Pagerunner" in done.output
    assert "sqlalche.me" not in done.output


def test_where_there_is_no_database_its_name_and_what_to_do_are_said(tmp_path: Path) -> None:
    wrong = verify(tmp_path / "none.sqlite")
    assert (wrong.exit_code, "there is no database here" in wrong.output) == (2, True)
    (tmp_path / "pagerunner.yaml").write_text(f"data: data\ncatalogue: {EXAMPLE / 'catalogue.yaml'}\n")
    for words in (("incidents",), ("incidents", "inc-1"), ("export", "inc-1"), ("audit", "verify")):
        done = CliRunner().invoke(main, [*words, "--config", str(tmp_path / "pagerunner.yaml")])
        assert done.exit_code == 3, words
        assert f"{tmp_path / 'data' / 'pagerunner.sqlite'}: there is no database here" in done.output
        assert "--config" in done.output
