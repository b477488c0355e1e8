"""P24: does our gateway run what was locked, and nothing that is known to be malicious?

The gateway publishes what is installed, with hashes, beside what its lock file says. That is compared with the lock
file, with what ran when the service was last well, and with the list of releases that nobody may run. All by rule.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from config.http import HttpError
from config.known_bad import Package, canonical, known_bad, packages_of, suspects
from diagnostics import series
from diagnostics.model import INCONCLUSIVE, Evidence, Params, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.subjects import gateway_of

PATH: Final = "/inventory"
NAMED: Final = 4


class DependencyParams(Params):
    """``gateway``: None is the service's own."""

    gateway: str | None = None


class DependencyAudit:
    """P24."""

    spec = ProbeSpec(
        id="P24",
        name="dependency_audit",
        title="What runs is what was locked",
        outcomes={
            "ok": Verdict.NORMAL,
            "known_bad": Verdict.ABNORMAL,
            "tampered": Verdict.ABNORMAL,
            "unlocked": Verdict.ABNORMAL,
        },
        params=DependencyParams,
        unit="packages that should not run",
        expected_s=1.0,
        timeout_s=10.0,
        applies=("gateway",),
    )

    async def run(self, context: ProbeContext, params: DependencyParams) -> Reading:
        """One read of the inventory."""
        gateway = gateway_of(context, params.gateway)
        source = f"GET {gateway.admin} {PATH}"
        try:
            reply = await context.http.request(gateway.admin, "GET", PATH, timeout_s=5.0)
        except HttpError as error:
            return _unknown(f"The inventory of {gateway.name} could not be read: {error}"[:300], source, str(error))
        if reply.status != 200:
            told = f"{gateway.name} publishes no inventory of what it runs (HTTP {reply.status})."
            return _unknown(told, source, reply.text)
        try:
            document = json.loads(reply.text)
            packages = packages_of(document)
        except (ValueError, RecursionError) as error:
            told = f"The inventory of {gateway.name} cannot be read: {str(error).splitlines()[0][:120]}"
            return _unknown(told, source, reply.text)
        key = series.name("dependency.inventory:{gateway}", gateway=gateway.name)
        kept = context.baselines.document(context.service.name, key, before=context.started_at)
        before = kept if isinstance(kept, Mapping) else {}
        found = suspects([_with_last_good(package, before) for package in packages])
        started = _startup(document, before)
        shown = Evidence(source=source, excerpt=f"HTTP {reply.status}\n{_excerpt(found, started, reply.text)}"[:2000])
        common: dict[str, Any] = {
            "evidence": (shown,),
            "details": {
                "suspects": [f"{one.name} {one.version}" for one in found][:20],
                "startup_files": started[:20],
                "list_dated": known_bad().dated.isoformat(),
                series.RECORD_DOCUMENTS: {key: _recorded(packages, document)},
            },
        }
        return _reading(gateway.name, packages, found, started, _moved(packages, before), common)


def _with_last_good(package: Package, before: Mapping[str, Any]) -> Package:
    """Beside the lock file; without one, the hash that the same release had when the service was last well."""
    last = before.get("packages", {}).get(canonical(package.name))
    if package.locked_version or not isinstance(last, list) or len(last) != 2 or last[0] != package.version:
        return package
    return package.model_copy(update={"locked_version": package.version, "locked_sha256": str(last[1])})


def _startup(document: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Files that run at the start of every interpreter and were not there when the service was last well."""
    listed = document.get("startup_files")
    now = sorted(str(name)[:120] for name in listed) if isinstance(listed, list) else []
    known = before.get("startup_files")
    return [name for name in now if name not in known] if isinstance(known, list) else []


def _recorded(packages: Sequence[Package], document: Mapping[str, Any]) -> dict[str, Any]:
    listed = document.get("startup_files")
    names = sorted(str(name)[:120] for name in listed)[:200] if isinstance(listed, list) else []
    return {"packages": {canonical(p.name): [p.version, p.sha256] for p in packages}, "startup_files": names}


def _moved(packages: Sequence[Package], before: Mapping[str, Any]) -> list[str]:
    """Releases other than those of the last good inventory, in words."""
    last = before.get("packages")
    if not isinstance(last, Mapping):
        return []
    return [
        f"{p.name} {last[canonical(p.name)][0]} -> {p.version}"
        for p in packages
        if canonical(p.name) in last and last[canonical(p.name)][0] != p.version
    ]


def _excerpt(found: Sequence[Package], started: Sequence[str], text: str) -> str:
    lines = [one.model_dump_json() for one in found[:NAMED]] + [f"startup file {name}" for name in started[:NAMED]]
    return "\n".join(lines) or text


def _reading(
    name: str, packages: Sequence[Package], found: Sequence[Package], started: Sequence[str], moved: Sequence[str],
    common: Mapping[str, Any],
) -> Reading:  # fmt: skip
    n, value = len(packages), float(len(found))
    if found and found[0].is_bad:
        one = found[0]
        entry = known_bad().entry(one.name, one.version)
        assert entry is not None
        said = f"{name} runs {one.name} {one.version}, a malicious release of {entry.published}: it {entry.note}."
        return Reading(outcome="known_bad", summary=said, value=value, n=n, test="list of bad releases", **common)
    if (found and found[0].is_tampered) or started:
        parts = [f"{one.name} {one.version} has another hash than was locked" for one in found if one.is_tampered]
        parts += [f"{file} runs at every start and was not there before" for file in started]
        said = f"{name} does not run what was built: {'; '.join(parts[:NAMED])}."
        return Reading(outcome="tampered", summary=said, value=value, n=n, test="SHA-256 against the lock", **common)
    if found:
        named = ", ".join(f"{one.name} {one.version} (locked: {one.locked_version})" for one in found[:NAMED])
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        said = f"{name} runs what the lock file does not name: {named}{more}."
        return Reading(outcome="unlocked", summary=said, value=value, n=n, test="versions against the lock", **common)
    told = f"; since it was last well: {', '.join(moved[:NAMED])}" if moved else ""
    said = f"All {n} packages of {name} are what was locked, none is on the list of {known_bad().dated}{told}."
    return Reading(outcome="ok", summary=said, value=0.0, n=n, **common)


def _unknown(summary: str, source: str, text: str) -> Reading:
    return Reading(outcome=INCONCLUSIVE, summary=summary, evidence=(Evidence(source=source, excerpt=text[:600]),))
