"""Checks of runbook libraries in Git: as they were last loaded, and whether their repositories answer now."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.edges.checks import Check, ok, problem
from bot.edges.git import GitError
from bot.edges.git_library import GitLibrary
from bot.edges.library_sync import age, age_s, standing


def libraries(those: Sequence[GitLibrary], environ: Mapping[str, str], now: datetime) -> list[Check]:
    """How each stands on this disk; asks nobody."""
    found = []
    for library in those:
        name, stands = f"runbook library {library.name}", standing(library, now)
        token = library.source.token_env
        if token and not environ.get(token):
            found.append(problem(name, f"{token} is not set", "set it to a token that may read the repository"))
        if stands.trouble:
            found.append(problem(name, stands.trouble, "mend it, then `pagerunner runbooks sync`"))
            continue
        since = age_s(stands.state, now)
        looked = f", looked up {age(since)} ago" if since is not None else ""
        found.append(ok(name, f"{stands.address} at {stands.state.commit[:12]} of {stands.revision}{looked}"))
        if stands.state.left_out:
            fix = "write them as plain Markdown files in the repository"
            found.append(problem(name, f"left out: {'; '.join(stands.state.left_out[:5])}", fix))
    return found


async def repositories(those: Sequence[GitLibrary]) -> list[Check]:
    """Whether the repositories answer, and have what is configured. Fetches nothing."""
    return list(await asyncio.gather(*(asyncio.to_thread(_look, library) for library in those)))


def _look(library: GitLibrary) -> Check:
    name = f"repository of {library.name}"
    if library.source.pinned:
        return ok(name, "not asked: a commit stays as it is")
    try:
        resolved = library.look()
    except GitError as error:
        fix = "check the address, the network and who may read it; what was loaded last stays in use"
        return problem(name, str(error), fix)
    return ok(name, f"{library.source.revision} is {resolved.commit[:12]}")
