"""The JSON Schema for editors: current, valid, true of every runbook there is, and strict about what lint refuses."""

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from bot.wiring import LIBRARY, actions, specs
from runbooks.json_schema import schema
from tests.conftest import ROOT
from tests.runbook_cli_fakes import run

SCHEMA = schema(specs(), {name: action.spec for name, action in actions().items()})
FILES = sorted(LIBRARY.glob("*.md"))


class _Texts(yaml.SafeLoader):
    """As an editor reads YAML, with dates as the text that was written."""


_Texts.yaml_implicit_resolvers = {
    key: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for key, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(text: str) -> Any:
    return yaml.load(text, Loader=_Texts)


def errors(value: Any, part: str = "") -> list[str]:
    whole = {**SCHEMA, "$ref": f"#/$defs/{part}"} if part else SCHEMA
    if part:
        whole = {"$schema": SCHEMA["$schema"], "$defs": SCHEMA["$defs"], "$ref": f"#/$defs/{part}"}
    return [error.message for error in Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(value)]


def blocks(text: str, word: str) -> list[str]:
    return [part.split("\n```", maxsplit=1)[0] for part in text.split(f"```{word}\n")[1:]]


def test_it_is_a_valid_schema_and_the_shipped_file_is_current() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    shipped = (ROOT / "runbooks" / "schema.json").read_text("utf-8")
    assert json.loads(shipped) == SCHEMA, "run: pagerunner runbooks schema > runbooks/schema.json"
    assert run("schema").stdout == shipped


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_runbook_of_the_library_fits(file: Any) -> None:
    text = file.read_text("utf-8")

    assert errors(read(text.split("---\n")[1])) == []
    for word in ("probe", "action"):
        for block in blocks(text, word):
            assert errors(read(block), word) == [], block


@pytest.mark.parametrize(
    "front",
    ["owner: a", "title: x\nowner: a\nreview_every: 90", "title: x\nowner: a\nevidence: {egres: {ok: usual}}",
     "title: x\nowner: a\nevidence: {egress: {okay: usual}}", "title: x\nowner: a\nevidence: {egress: {ok: always}}",
     "title: x\nowner: a\npage: [y]", "title: x\nowner: a\nreviewed: yesterday", "title: x\nowner: a\nkinds: [cat]"],
)  # fmt: skip
def test_what_lint_refuses_in_front_matter_is_marked(front: str) -> None:
    assert errors(read(front))


@pytest.mark.parametrize(
    ("part", "block"),
    [("probe", "egres:"), ("probe", "provider_canary: {m: 1}"), ("probe", "provider_canary: {n: 10000}"),
     ("action", "verify: egress is ok within 5m"), ("action", "clamp_retries: {}\nshed_traffic: {}"),
     ("action", "clamp_retries: {}\nverify: egress is okay within 5m"), ("action", "shift_traffic: {from: a}"),
     ("action", "clamp_retries: {max_retries: $service.gatway}")],
)  # fmt: skip
def test_what_lint_refuses_in_a_block_is_marked(part: str, block: str) -> None:
    assert errors(read(block), part)


def test_a_parameter_may_be_the_services_own() -> None:
    assert errors(read("clamp_retries: {gateway: $service.gateway, max_retries: 1}\nlease: 5m"), "action") == []
    assert errors(read("egress"), "probe") == []
