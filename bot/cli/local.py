"""What commands share: the running server's API if there is one, the database read-only if there is not."""

import getpass
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

from bot.cli import linked
from config.catalogue import Catalogue
from config.settings import ConfigError, Settings, load, load_catalogue

WRONG = 2
INVALID = 422
NO_SERVER = 3

with_config = click.option(
    "--config", type=click.Path(path_type=Path), help="Configuration file; default: PAGERUNNER_CONFIG."
)
with_json = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")


WHERE = "Go to the folder that the server was started in, give its --config, or set PAGERUNNER_DATA."


def fail(text: str, code: int = 1) -> NoReturn:
    """Say what is wrong on standard error, and end."""
    click.echo(text, err=True)
    sys.exit(code)


def settings(config: Path | None = None) -> Settings:
    """The settings, or an end with every problem."""
    try:
        return load(os.environ, config)
    except ConfigError as error:
        fail(str(error), WRONG)


def catalogue(chosen: Settings) -> Catalogue:
    """The catalogue, or an end with every problem."""
    try:
        return load_catalogue(chosen.catalogue)
    except ConfigError as error:
        fail(str(error), WRONG)


def person() -> str:
    """Who sits here, in the characters that a principal may have."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", getpass.getuser())[:64] or "somebody"


class Api:
    """The running server's API, found through the data folder. ``as_linked``: as the person in Slack to whom this
    command line is linked, if it is."""

    def __init__(self, chosen: Settings, *, as_linked: bool = True) -> None:
        try:
            address = (chosen.data / "address").read_text("ascii").strip()
            token = (chosen.data / "token").read_text("ascii").strip()
        except OSError:
            fail(f"No server runs on {chosen.data}; start one with `pagerunner serve`.", NO_SERVER)
        self._base = f"{address}/api/v1"
        self._headers = {
            "authorization": f"Bearer {token}", "x-pagerunner-user": person(), "x-pagerunner-via": "cli",
        }  # fmt: skip
        own = linked.read(chosen.data) if as_linked else None
        if own is not None and own.active:
            self.show(own)

    def show(self, link: linked.Stored) -> None:
        """Prove from now on that this command line is the one of the link."""
        self._headers["x-pagerunner-link"] = f"{link.id}.{link.secret}"

    def get(self, path: str, **query: str) -> Any:
        return self._call("GET", path, None, query).json()

    def raw(self, path: str, **query: str) -> bytes:
        content: bytes = self._call("GET", path, None, query).content
        return content

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("POST", path, body, {}).json()

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, str]) -> Any:
        import httpx  # noqa: PLC0415 - help must not wait for it

        try:
            reply = httpx.request(
                method, self._base + path, json=body, params=dict(query), headers=self._headers, timeout=30,
                trust_env=False,
            )  # fmt: skip
        except httpx.TransportError:
            fail(f"The server at {self._base} does not answer; is it still running?", NO_SERVER)
        if reply.status_code >= 400:
            fail(_problem(reply.status_code, reply.text))
        return reply


def _problem(status: int, text: str) -> str:
    """What is wrong and what to do, as sentences; which field, only if its shape was refused."""
    try:
        error = json.loads(text)["error"]
        what = f"{error['what']} ({error['where']})" if status == INVALID else str(error["what"])
        parts = [part.strip() for part in (what, str(error.get("fix") or "")) if part.strip()]
    except (ValueError, KeyError, TypeError):
        return text[:500]
    return " ".join(part[:1].upper() + part[1:] + ("" if part[-1] in ".!?" else ".") for part in parts)


def say(told: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what an act came to."""
    if as_json:
        show(told)
    else:
        click.echo(told["text"])


def show(data: Any) -> None:
    """Print for a program."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))
