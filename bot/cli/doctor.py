"""``pagerunner doctor``: everything that a start needs, looked at for real, with what to do about each problem."""

import asyncio
import difflib
import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.local import show
from bot.cli.manifest import manifest_scopes
from config import strict_yaml
from config.catalogue import Catalogue
from config.library import GitSource
from config.settings import PREFIX, SECRET_LISTS, SECRETS, ConfigError, Settings, load, load_catalogue

if TYPE_CHECKING:
    from bot.edges.checks import Check
    from bot.edges.checks_clock import Reading
    from bot.edges.checks_pagerduty import PagerAccess
    from bot.edges.checks_slack import SlackAccess

OWN_VARIABLES = frozenset({"PAGERUNNER_CONFIG", "PAGERUNNER_CONTRACTS"})
"""Variables of ours that are no settings."""
MARKS = {"ok": "ok         ", "problem": "PROBLEM    ", "not checked": "not checked"}


@click.command(name="doctor")
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file; default: PAGERUNNER_CONFIG.")
@click.option("--address", default="", help="Our public address, such as https://pagerunner.example.com, to find the "
              "PagerDuty webhook that must point to it.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Ask nobody on the network.")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def command(config: Path | None, address: str, offline: bool, as_json: bool) -> None:
    """Check everything that a start needs, and say what to do about each problem. Changes and posts nothing.

    Exit codes: 0 nothing is wrong, 1 there are problems, 2 the settings or the catalogue cannot be used.
    """
    doctor = Doctor(config, address.rstrip("/"), offline=offline)
    checks = doctor.examine()
    problems = [check for check in checks if check.state == "problem"]
    if as_json:
        show({"ok": not problems, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            _print(check)
        left = sum(check.state == "not checked" for check in checks)
        click.echo(f"\n{len(checks)} checks: {len(problems)} problems, {left} not checked")
    if doctor.unusable:
        raise SystemExit(2)
    if problems:
        raise SystemExit(1)


def _print(check: "Check") -> None:
    from bot.domain.untrusted import line  # noqa: PLC0415

    click.echo(f"{MARKS[check.state]}  {line(check.name, 80)}: {line(check.detail, 1_000)}")
    if check.fix:
        click.echo(f"{'':13}-> {line(check.fix, 600)}")


class Doctor:
    """Looks at one installation."""

    def __init__(self, config: Path | None, address: str, *, offline: bool) -> None:
        self._config = config or (
            Path(os.environ["PAGERUNNER_CONFIG"]) if os.environ.get("PAGERUNNER_CONFIG") else None
        )
        self._address = address
        self._offline = offline
        self.unusable = False
        """Whether settings or catalogue cannot be used at all."""

    def examine(self) -> "list[Check]":
        """Every check, in the order in which a start would meet them."""
        from bot.edges import checks  # noqa: PLC0415 - help must not wait for it

        found: list[Check] = []
        settings = self._settings(found)
        if settings is None:
            found += _strange_variables(os.environ, None)
            found += [checks.sqlite(), checks.embedder(None)]
            found.append(checks.not_checked("everything else", "the settings must load first"))
            return found
        catalogue = self._catalogue(settings, found)
        found += _strange_variables(os.environ, catalogue, _token_variables(settings, catalogue))
        found += self._machine(settings)
        found += _content(settings, catalogue)
        if self._offline:
            found.append(checks.not_checked("Slack, PagerDuty, GitHub, targets and clock", "--offline"))
        else:
            found += asyncio.run(_network(settings, catalogue, self._address))
        return found

    def _settings(self, found: "list[Check]") -> Settings | None:
        from bot.edges.checks import ok, problem  # noqa: PLC0415

        try:
            settings = load(os.environ, self._config)
        except ConfigError as error:
            self.unusable = True
            found += [problem("settings", told, "correct it; `pagerunner init` writes an example with every key")
                      for told in error.problems]  # fmt: skip
            return None
        where = str(self._config) if self._config else "the environment and defaults (no PAGERUNNER_CONFIG)"
        found.append(ok("settings", where))
        if self._config is not None:
            found += _private(self._config)
        return settings

    def _catalogue(self, settings: Settings, found: "list[Check]") -> Catalogue | None:
        from bot.edges.checks import ok, problem  # noqa: PLC0415

        try:
            catalogue = load_catalogue(settings.catalogue)
        except ConfigError as error:
            self.unusable = True
            found += [problem("catalogue", told, "correct it, and run this again") for told in error.problems]
            return None
        acting = [service.name for service in catalogue.services if service.mode == "act"]
        told = f"{settings.catalogue}: {len(catalogue.services)} services of {len(catalogue.teams)} teams; "
        found.append(ok("catalogue", told + (f"in mode act: {', '.join(acting)}" if acting else "all in mode observe")))
        return catalogue

    def _machine(self, settings: Settings) -> "list[Check]":
        from bot.edges import checks  # noqa: PLC0415

        running = checks.running(settings.data)
        serving = running.state == "ok" and "answers" in running.detail
        return [
            checks.data_folder(settings.data), running,
            checks.listening(settings.host, settings.port, trust_network=settings.trust_network, serving=serving),
            checks.database(settings.data / "pagerunner.sqlite"), checks.sqlite(),
            checks.search_index(settings.data / "index"), checks.embedder(settings.embedder),
        ]  # fmt: skip


def _strange_variables(
    environ: Mapping[str, str], catalogue: Catalogue | None, tokens: AbstractSet[str] = frozenset()
) -> "list[Check]":
    """A misspelt variable would be ignored without a word."""
    from bot.edges.checks import problem  # noqa: PLC0415

    known = {f"{PREFIX}{key.upper()}" for key in Settings.model_fields} | OWN_VARIABLES
    known |= {target.auth_env for target in catalogue.targets} if catalogue else set()
    known |= tokens
    found = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            fix = f"did you mean {near[0]}?" if near else "remove it"
            found.append(problem("environment", f"{name} is not a setting, and is ignored", fix))
    return found


def _token_variables(settings: Settings, catalogue: Catalogue | None) -> set[str]:
    """The variables that runbook libraries name."""
    from bot.cli.libraries import sources  # noqa: PLC0415

    return {one.at.token_env for one in sources(settings, catalogue) if isinstance(one.at, GitSource)}


def _private(path: Path) -> "list[Check]":
    """A settings file that holds secrets must be readable by its owner alone."""
    from bot.edges.checks import problem  # noqa: PLC0415

    value = strict_yaml.load(path.read_text("utf-8")).value
    held = [key for key in (*SECRETS, *SECRET_LISTS) if isinstance(value, dict) and value.get(key)]
    if held and path.stat().st_mode & 0o077:
        return [
            problem("settings file", f"{path} holds {', '.join(held)}, and others can read it", f"chmod 600 {path}")
        ]
    return []


def _content(settings: Settings, catalogue: Catalogue | None) -> "list[Check]":
    """What people wrote: declared actions, runbooks, golden sets."""
    from bot.cli.libraries import repositories  # noqa: PLC0415
    from bot.edges.checks import not_checked  # noqa: PLC0415
    from bot.edges.checks_libraries import libraries  # noqa: PLC0415
    from bot.edges.checks_targets import golden_sets  # noqa: PLC0415
    from bot.edges.clock import SystemClock  # noqa: PLC0415

    if catalogue is None:
        return [not_checked("declared actions, runbooks, golden sets", "the catalogue must load first")]
    found = libraries(repositories(settings, catalogue), os.environ, SystemClock().now())
    return [*found, *_runbooks(settings, catalogue), golden_sets(catalogue, settings.catalogue.parent)]


def _runbooks(settings: Settings, catalogue: Catalogue) -> "list[Check]":
    """The declared actions, and the runbooks that may use them."""
    from bot.cli.libraries import folders  # noqa: PLC0415
    from bot.edges.checks import not_checked, ok, problem  # noqa: PLC0415
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.wiring import actions, open_shelf  # noqa: PLC0415
    from runbooks.actions.http_action_file import InvalidDeclarationError, load_http_actions  # noqa: PLC0415

    path, targets = settings.http_actions, [target.name for target in catalogue.targets]
    try:
        declared = load_http_actions(path.read_text("utf-8"), str(path), targets=targets) if path else ()
    except (InvalidDeclarationError, OSError, UnicodeDecodeError) as error:
        told = str(error).splitlines() if isinstance(error, InvalidDeclarationError) else [f"{path}: {error}"]
        return [*(problem("declared actions", line, "correct it, or the setting 'http_actions'") for line in told),
                not_checked("runbooks", "the declared actions must load first")]  # fmt: skip
    shelf = open_shelf(folders(settings, catalogue), actions(declared), catalogue, SystemClock().now().date())
    wrong = [one for one in shelf.problems if one.severity == "error"]
    remarks = sum(one.severity == "warning" for one in shelf.problems)
    found = [ok("declared actions", f"{len(declared)} in {path}" if path else "none are declared")]
    fix = "`pagerunner runbooks lint` shows all; until it is mended, the runbook is not used"
    found += [problem("runbooks", str(one), fix) for one in wrong]
    if not wrong:
        more = f", {remarks} remarks (`pagerunner runbooks lint`)" if remarks else ""
        found.append(ok("runbooks", f"{len(shelf.all())} are in use{more}"))
    return found


async def _network(settings: Settings, catalogue: Catalogue | None, address: str) -> "list[Check]":
    """Slack, PagerDuty, GitHub and the targets, at the same time; then the clock, by what they all said."""
    from bot.cli.libraries import repositories as known_to_git  # noqa: PLC0415
    from bot.edges.checks import not_checked  # noqa: PLC0415
    from bot.edges.checks_clock import clock  # noqa: PLC0415
    from bot.edges.checks_github import github  # noqa: PLC0415
    from bot.edges.checks_libraries import repositories  # noqa: PLC0415
    from bot.edges.checks_pagerduty import PagerAccess, pagerduty  # noqa: PLC0415

    access = PagerAccess(
        api=settings.pagerduty_api, api_key=settings.pagerduty_api_key.get_secret_value(),
        author=settings.pagerduty_from, secrets=sum(bool(s.get_secret_value()) for s in settings.pagerduty_secrets),
        address=address,
    )  # fmt: skip
    token = settings.github_token.get_secret_value()
    answers = await asyncio.gather(
        _slack(settings, catalogue, access), pagerduty(access, catalogue),
        github(settings.github_api, token, catalogue), _targets(catalogue),
    )  # fmt: skip
    found = [check for checks, _ in answers for check in checks]
    found += await repositories(known_to_git(settings, catalogue))
    if catalogue is None:
        found.append(not_checked("targets and providers", "the catalogue must load first"))
    elif not settings.oauth:  # With several workspaces, it was asked in each.
        from bot.edges.checks_on_call import on_call  # noqa: PLC0415

        found += await on_call(access, None if settings.slack == "off" else _slack_access(settings), catalogue)
    return [*found, clock([told for _, readings in answers for told in readings])]


async def _slack(
    settings: Settings, catalogue: Catalogue | None, pager: "PagerAccess"
) -> "tuple[list[Check], list[Reading]]":  # fmt: skip
    from bot.edges.checks import not_checked  # noqa: PLC0415

    if settings.slack == "off":
        why = "it is switched off: cards are in `pagerunner incidents`, and `pagerunner approve` decides"
        return [not_checked("Slack", why, "set 'slack' to socket; docs/slack-and-pagerduty.md tells how")], []
    from bot.edges.checks_slack import slack  # noqa: PLC0415

    if settings.oauth:
        from bot.cli.doctor_installs import workspaces  # noqa: PLC0415

        return await workspaces(settings, catalogue, _slack_access(settings), pager)
    return await slack(_slack_access(settings), catalogue)


def _slack_access(settings: Settings) -> "SlackAccess":
    from bot.edges.checks_slack import SlackAccess  # noqa: PLC0415

    return SlackAccess(
        mode=settings.slack, api=settings.slack_api, bot_token=settings.slack_bot_token.get_secret_value(),
        app_token=settings.slack_app_token.get_secret_value(), team=settings.slack_team, scopes=manifest_scopes(),
        pager=bool(settings.pagerduty_api_key.get_secret_value()),
    )  # fmt: skip


async def _targets(catalogue: Catalogue | None) -> "tuple[list[Check], list[Reading]]":
    if catalogue is None:
        return [], []
    from bot.edges.checks_targets import credentials, secrets_of, targets  # noqa: PLC0415

    reached, readings = await targets(catalogue, secrets_of(catalogue, os.environ))
    return [credentials(catalogue, os.environ), *reached], readings
