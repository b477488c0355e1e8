"""Imports point one way, and importing does nothing: no network, no files, no environment, nothing heavy for help."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from bot.cli import _COMMANDS
from tests.conftest import ROOT

PACKAGES = ("bot", "runbooks", "diagnostics", "knowledge", "config", "drills")
IMPORT_ALL = """
import json, os, pkgutil, socket, sys, threading

def refuse(*_, **__):
    raise AssertionError("a socket was opened by an import")

for name in ("connect", "connect_ex", "bind", "listen", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.create_connection = refuse

assert set(os.environ) <= {"LC_CTYPE"}, sorted(os.environ)
before = dict(os.environ)
threads = threading.active_count()
imported = []
for package in sys.argv[1:]:
    module = __import__(package)
    for found in pkgutil.walk_packages(module.__path__, package + "."):
        if not found.name.endswith("__main__"):
            __import__(found.name)
            imported.append(found.name)
ours = {key: value for key, value in os.environ.items() if before.get(key) != value}
print(json.dumps({"imported": imported, "environment": ours, "threads": threading.active_count() - threads}))
"""
HELP = """
import contextlib, io, json, sys
from bot.cli import main

for words in json.loads(sys.argv[1]):
    before, out = set(sys.modules), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([*words, "--help"], prog_name="pagerunner")
    new = sorted({name.split(".")[0] for name in set(sys.modules) - before})
    print(json.dumps({"of": " ".join(words), "new": new, "help": out.getvalue()}))
"""
HEAVY = ("torch", "sentence_transformers", "chromadb", "langgraph", "dbos", "scipy", "numpy", "fastapi", "slack_bolt",
         "sqlalchemy", "httpx", "aiohttp", "uvicorn", "pdpyras", "apscheduler", "rich")  # fmt: skip


def isolated(code: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python with an empty environment, writing no bytecode and reading no user site."""
    command = [sys.executable, "-B", "-s", "-c", code, *arguments]
    return subprocess.run(command, env={}, cwd=cwd, capture_output=True, text=True, check=False)


def test_every_module_can_be_imported_without_network_or_environment_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = isolated(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{IMPORT_ALL}", *PACKAGES, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    files = {
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    assert {name for name in files if not name.endswith("__main__")} - set(PACKAGES) <= set(told["imported"])
    assert list(tmp_path.iterdir()) == []
    assert told["threads"] == 0
    assert not [key for key in told["environment"] if key.startswith("PAGERUNNER")]


def test_nothing_is_printed_by_an_import(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nimport bot.wiring, bot.cli, drills, knowledge, config"
    done = isolated(code, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_help_waits_for_anything_heavy() -> None:
    lines = isolated(HELP, json.dumps([[], *([name] for name in _COMMANDS)])).stdout.splitlines()
    told = {json.loads(line)["of"]: json.loads(line) for line in lines}
    assert set(told) == {"", *_COMMANDS}
    assert {name: one["new"] for name, one in told.items() if set(one["new"]) & set(HEAVY)} == {}
    assert all(one["help"].startswith("Usage: pagerunner") for one in told.values())
    assert "Commands:" in told[""]["help"]


def test_imports_point_one_way() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "0 broken" in done.stdout


def test_the_rules_of_the_architecture_are_all_written_down() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert ["bot | drills", "knowledge", "runbooks | diagnostics", "config"] in layers
    inside = next(found for found in layers if "domain" in found)
    assert inside.index("domain") > inside.index("ports") > inside.index("flow") > inside.index("wiring")
    core = next(contract for contract in contracts if "sqlalchemy" in contract.get("forbidden_modules", ()))
    assert {"bot.domain", "bot.flow", "bot.triage.nodes", "diagnostics.differential"} <= set(core["source_modules"])


def test_nobody_has_a_mock_or_a_drawer_for_leftovers() -> None:
    names = {path.stem for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py")}
    assert names.isdisjoint({"utils", "util", "helpers", "common", "misc", "manager"})
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path.name != Path(__file__).name]
    assert [path.name for path in tests if "unittest.mock" in path.read_text("utf-8")] == []
