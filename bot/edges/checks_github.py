"""Whether follow-ups can become issues: the token, and each team's repository. Reads, and creates nothing."""

import json
from datetime import UTC, datetime
from typing import Any

from bot.edges.checks import Check, listed, not_checked, ok, problem
from bot.edges.checks_clock import Reading, reading
from bot.edges.github import HEADERS, KEY, TARGET, client, refusal
from bot.edges.http import SafeHttp
from bot.ports import Undeliverable
from config.catalogue import Catalogue
from config.http import HttpError, Reply

NAME = "GitHub"
FIX = (
    f"set {KEY} to a fine-grained token of these repositories with Issues: read and write (GitHub: Settings > "
    "Developer settings)"
)
CLASSIC = ("repo", "public_repo")
"""Scopes of a classic token with one of which issues can be written."""


async def github(api: str, token: str, catalogue: Catalogue | None) -> tuple[list[Check], list[Reading]]:
    """The token, and one check for each repository."""
    teams = [team for team in catalogue.teams if team.github_repository] if catalogue else []
    if not token:
        if not teams:
            why = "not used: no token is set and no team names a repository, so follow-ups stay on the timeline"
            return [ok(NAME, why)], []
        named = listed([team.name for team in teams])
        return [problem(NAME, f"{named} name repositories for follow-ups, and no token is set", FIX)], []
    async with client(api, token) as http:
        told = await _get(http, "/rate_limit")
        if isinstance(told, Check):
            return [told], []
        clock = reading("GitHub", told.headers, datetime.now(UTC))
        clocks = [clock] if clock else []
        if told.status != 200:
            return [_refused(NAME, told, "")], clocks
        scopes = told.headers.get("x-oauth-scopes")
        checks = [_token(scopes)]
        if not teams:
            fix = "set github_repository of a team in the catalogue, as owner/name"
            return [*checks, not_checked(f"{NAME} repositories", "no team names one", fix)], clocks
        for repository in dict.fromkeys(team.github_repository for team in teams):
            checks.append(await _repository(http, repository))
    return checks, clocks


def _token(scopes: str | None) -> Check:
    if scopes is None:
        return ok(NAME, "the token is accepted")
    held = [scope.strip() for scope in scopes.split(",")]
    if not set(held) & set(CLASSIC):
        return problem(NAME, f"the token has the scopes {scopes or 'none'}, with which no issue can be written", FIX)
    return ok(NAME, f"the token is accepted, with the scopes {scopes}")


async def _repository(http: SafeHttp, repository: str) -> Check:
    name = f"{NAME} {repository}"
    told = await _get(http, f"/repos/{repository}")
    if isinstance(told, Check):
        return told
    if told.status != 200:
        return _refused(name, told, repository)
    about = _object(told)
    if about.get("archived"):
        return problem(name, "it is archived: nobody can write issues", "name another one as github_repository")
    if about.get("has_issues") is False:
        return problem(name, "its issues are switched off", "switch them on in its settings, or name another one")
    shared = ", which everybody can read: issues are redacted for the company, not for the public"
    public = shared if about.get("private") is False else ""
    return ok(name, f"it can be read{public}; whether the token may write issues, only the first one shows")


def _refused(name: str, reply: Reply, repository: str) -> Check:
    why = refusal(reply, repository or "any repository")
    if isinstance(why, Undeliverable):
        return problem(name, str(why), FIX)
    return not_checked(name, why.reason, "try again later")


async def _get(http: SafeHttp, path: str) -> Reply | Check:
    try:
        return await http.request(TARGET, "GET", path, headers=HEADERS)
    except HttpError as error:
        detail = f"cannot be reached ({error.stage}: {error.detail})"
        return problem(NAME, detail, "check 'github_api' (Enterprise: https://HOST/api/v3) and the network")


def _object(reply: Reply) -> dict[str, Any]:
    try:
        value = json.loads(reply.text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
