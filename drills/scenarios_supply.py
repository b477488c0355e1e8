"""Scenarios of what the gateway is made of: a malicious or a broken package, a key in the hands of others."""

from collections.abc import Callable

from drills.company import APPS
from drills.documents import Setting
from drills.faults import Fault
from drills.path import Cure
from drills.scenarios import Change, Draw, Scenario
from drills.supply_documents import LOCKED, release

FOREVER = 1e9
SERVICES = ("chat-assistant", "support-bot", "order-agent")


def f35(draw: Draw) -> Scenario:
    """A package of the gateway reads its secrets, or a key of ours is used by somebody else."""
    onset = draw.before_page(1200, 3300)
    service, what = draw.pick(*SERVICES, name="service"), draw.pick("key", "package", name="what")
    if what == "package":
        return _package(draw, onset, service)
    values = {"per_minute": draw.between(120.0, 900.0, "per_minute"), "disguised": float(draw.between(0.0, 1.0) < 0.4)}
    stolen = Fault(kind="stolen_key", start=onset, end=onset + FOREVER, values=values)
    return draw.make(
        truth=("key-or-supply-chain-compromise",), service=service, onset=onset, ends=onset + FOREVER, faults=(stolen,),
        good=(("rotate_credential", {"credential": "acme-prod", "former": "disabled"}),),
        tempting=("throttle_tenant", "shed_traffic", "shift_traffic"), sli=("errors", "exposed"), figures=values,
    )  # fmt: skip


def _package(draw: Draw, onset: float, service: str) -> Scenario:
    version = draw.pick("1.82.7", "1.82.8", LOCKED["litellm"], name="version")
    keys = release("litellm", version, tampered=True)
    values = {"startup": float(version == LOCKED["litellm"] or draw.between(0.0, 1.0) < 0.5)}
    told = (
        Change(
            at=onset - 40.0, kind="dependency", service="*", summary="gateway image rebuilt", before="build 211",
            after="build 212", actor=draw.pick("renovate", "release-bot"),
        ),
    ) if draw.between(0.0, 1.0) < 0.6 else ()  # fmt: skip
    bad = Fault(kind="bad_package", start=onset, end=onset + FOREVER, values=values)
    return draw.make(
        truth=("key-or-supply-chain-compromise",), service=service, onset=onset, ends=onset + FOREVER, faults=(bad,),
        good=(("pin_dependency", {"package": "litellm"}),), tempting=("rotate_credential", "rollback_release"),
        sli=("errors", "exposed"), settings={"gateway/packages/litellm": Setting(keys=keys)}, changes=told,
        figures=values,
    )  # fmt: skip


BROKEN = {"starlette": "0.50.0", "orjson": "3.11.5", "aiohttp": "3.14.0"}


def d43(draw: Draw) -> Scenario:
    """The gateway's image was rebuilt without its lock file; a newer release of a package fails on some calls."""
    onset, share = draw.before_page(240, 720), draw.between(0.25, 0.9, "share")
    service, package = draw.pick(*SERVICES, name="service"), draw.pick(*sorted(BROKEN), name="package")
    hit = tuple(app.name for app in APPS if app.name == service or draw.between(0.0, 1.0) < 0.6)
    told = (
        Change(
            at=onset - 30.0, kind=draw.pick("dependency", "deploy"), service="*", summary="gateway image rebuilt",
            before="build 211", after="build 212", actor=draw.pick("renovate", "release-bot", "tomas"),
        ),
    ) if draw.between(0.0, 1.0) < 0.6 else ()  # fmt: skip
    path = f"gateway/packages/{package}"
    fault = Fault(
        kind="dependency_crash", start=onset, end=onset + FOREVER, services=hit, values={"share": share},
        cures=(Cure(path=path, key="release", equals=LOCKED[package]),),
    )  # fmt: skip
    return draw.make(
        truth=("dependency-break",), service=service, onset=onset, ends=onset + FOREVER, faults=(fault,),
        good=(("pin_dependency", {"package": package}),),
        tempting=("rollback_release", "shift_traffic", "scale_gateway", "rollback_prompt"), sli=("errors",),
        settings={path: Setting(keys=release(package, BROKEN[package]))}, changes=told, figures={"share": share},
    )  # fmt: skip


SUPPLY_SCENARIOS: dict[str, Callable[[Draw], Scenario]] = {"F35": f35, "D43": d43}
