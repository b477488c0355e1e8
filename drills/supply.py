"""Packages and keys at work: what the gateway publishes of both, and when secrets are in the hands of others."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from drills.draws import Floats, generator
from drills.supply_documents import ACTIVE, CREDENTIALS, LOCKED, release
from drills.when import iso

if TYPE_CHECKING:
    from drills.faults import Fault
    from drills.world import World

Json = dict[str, Any]
WINDOW_S = 900.0
STOLEN = "acme-prod"
STARTUP = ("distutils-precedence.pth",)
THIEF_FILE = "litellm_init.pth"
HOME: Mapping[str, tuple[tuple[str, str], ...]] = {
    "acme-prod": (("AS64496 acme-cloud", "eu-1"), ("AS64496 acme-cloud", "eu-2")),
    "beta-prod": (("AS64496 acme-cloud", "eu-1"),),
}
"""Where each key is used from on an ordinary day."""
THIEVES = (("AS64511 bulk-hosting", "ap-3"), ("AS64509 cheap-vps", "us-4"), ("AS64510 residential-proxy", "sa-1"))


def _bad_now(settings: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether another litellm runs than was built."""
    return dict(settings["gateway/packages/litellm"]) != release("litellm", LOCKED["litellm"])


def _usable(settings: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the key that was stolen still opens anything."""
    keys = settings[f"gateway/credentials/{STOLEN}"]
    return bool(keys["active"] == ACTIVE or keys["former"] != "disabled")


def secrets_exposed(faults: "Sequence[Fault]", times: Floats, settings: Mapping[str, Mapping[str, Any]]) -> Floats:
    """1.0 where somebody else can use what is ours."""
    result = np.zeros(len(times))
    for fault in faults:
        if (fault.kind == "bad_package" and _bad_now(settings)) or (fault.kind == "stolen_key" and _usable(settings)):
            result = np.maximum(result, fault.active(times))
    return result


def inventory(world: "World", at: float) -> Json:
    """What is installed at that moment, beside the lock file; what a package was before it was set is not told."""
    world.advance(at)
    packages = []
    for name, version in LOCKED.items():
        keys = world.documents.get(f"gateway/packages/{name}").keys
        locked = release(name, version)
        packages.append(
            {"name": name, "version": keys["release"], "sha256": keys["sha256"], "locked_version": version,
             "locked_sha256": locked["sha256"]}
        )  # fmt: skip
    thief = world.stack.of("bad_package")
    with_file = thief is not None and thief.values["startup"] > 0.0 and _bad_now(world.controls.stack)
    files = [*STARTUP, THIEF_FILE] if with_file else [*STARTUP]
    return {"gateway": "llm-gateway", "at": iso(at), "packages": packages, "startup_files": files}


def keys(world: "World", at: float) -> list[Json]:
    """The last quarter of an hour: uses by the provider's account, uses by ours, and from where."""
    world.advance(at)
    sent = _sent(world, at)
    found = []
    for number, (alias, provider) in enumerate(CREDENTIALS.items()):
        ours = int(sent[number])
        home = HOME[alias]
        parts = _shares(world, alias, at, len(home))
        sources = [
            {"network": network, "region": region, "requests": int(ours * part)}
            for (network, region), part in zip(home, parts, strict=True)
        ]
        stolen = _stolen(world, alias, at)
        if stolen:
            network, region = THIEVES[int(generator(world.seed, "thief").integers(len(THIEVES)))]
            hidden = world.stack.of("stolen_key")
            if hidden is not None and hidden.values["disguised"] > 0.0:
                # Through a machine at the cloud that we use too: the network tells nothing, the count does.
                network, region = home[0]
            sources.append({"network": network, "region": region, "requests": stolen})
        secret = world.documents.get(f"gateway/credentials/{alias}").keys["active"]
        late = 1.0 + 0.01 * float(generator(world.seed, "billed", alias, int(at // 60)).uniform(-1.0, 1.0))
        found.append(
            {"alias": alias, "provider": provider, "secret": secret, "billed": round(ours * late) + stolen,
             "sent": ours, "sources": sources}
        )  # fmt: skip
    return found


def _sent(world: "World", at: float) -> Floats:
    """Calls of the window by provider."""
    rows = world.ledger.before(at, math.ceil(WINDOW_S / 5.0))
    minute = world.ledger.deployments[0][rows][:, 1, :].mean(axis=0)
    calls: Floats = np.array([minute[:2].sum(), minute[2]]) * WINDOW_S / 60.0
    return calls


def _shares(world: "World", alias: str, at: float, count: int) -> list[float]:
    first = float(generator(world.seed, "places", alias, int(at // 300)).uniform(0.4, 0.7)) if count > 1 else 1.0
    return [first, 1.0 - first][:count]


def _stolen(world: "World", alias: str, at: float) -> int:
    """Uses by others in the window; they end with the key."""
    fault = world.stack.of("stolen_key")
    if fault is None or alias != STOLEN:
        return 0
    until = at
    if not _usable(world.controls.stack):
        path = f"gateway/credentials/{STOLEN}"
        until = max(write.at for write in world.documents.writes if write.path == path)
    lasted = min(until, fault.end) - max(at - WINDOW_S, fault.start)
    return max(0, round(fault.values["per_minute"] * lasted / 60.0))


def last_inventory() -> Json:
    """What an assistant would have recorded of the inventory before the incident."""
    packages = {name: [one["release"], one["sha256"]] for name in LOCKED for one in [release(name, LOCKED[name])]}
    return {"packages": packages, "startup_files": list(STARTUP)}


def usual_sources() -> Json:
    """The same of where keys are used from."""
    return {alias: sorted(f"{network} {region}" for network, region in places) for alias, places in HOME.items()}
