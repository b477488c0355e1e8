"""Further scenarios at the providers: one model is overloaded, a key is revoked, a model is retired."""

from collections.abc import Callable

from drills.company import ACME_LARGE, ACME_SMALL
from drills.faults import Fault
from drills.scenario import Change, Draw, Scenario

FOREVER = 1e9
SECOND = ("shift_traffic", {"to": "beta-anthropic"})


def s02(draw: Draw) -> Scenario:
    """One model of the first provider is overloaded; its others are well."""
    onset, share = draw.before_page(150, 420), draw.between(0.2, 0.6, "share")
    ends = onset + draw.between(30, 120, "minutes") * 60
    return draw.make(
        truth=("provider-outage",),
        service=draw.pick("chat-assistant", "support-bot", "code-assistant", name="service"), onset=onset, ends=ends,
        faults=(Fault(kind="overload", start=onset, end=ends, models=(ACME_LARGE,), values={"share": share}),),
        good=(("clamp_retries", {}), ("shed_traffic", {}), SECOND),
        tempting=("rollback_prompt", "rollback_model_config", "scale_gateway"), sli=("errors",),
        status_lag_s=draw.between(5, 60, "status_lag_min") * 60, figures={"share": share},
    )  # fmt: skip


def s07(draw: Draw) -> Scenario:
    """The provider's key was replaced, and a part of the calls still goes out with the revoked one."""
    onset, share = draw.before_page(120, 360), draw.between(0.25, 1.0, "share")
    ends = onset + draw.between(120, 240, "minutes") * 60
    told = Change(
        at=onset - draw.between(0, 90), kind="secret", service="*", summary="secret acme-api-key: rotated",
        before="version 6", after="version 7", actor=draw.pick("tomas", "priya", "secrets-bot"),
    )  # fmt: skip
    fault = Fault(kind="key_revoked", start=onset, end=ends, models=(ACME_LARGE, ACME_SMALL), values={"share": share})
    return draw.make(
        truth=("credential-failure",),
        service=draw.pick("chat-assistant", "support-bot", "order-agent", name="service"), onset=onset,
        ends=ends, faults=(fault,), good=(SECOND, ("manual", {})),
        tempting=("rollback_prompt", "rollback_model_config", "scale_gateway"), sli=("errors",),
        changes=(told,) if draw.between(0.0, 1.0) < 0.6 else (), figures={"share": share},
    )  # fmt: skip


def s08(draw: Draw) -> Scenario:
    """The provider has retired the model's alias that the routes ask for; its dated snapshot is still served."""
    onset = draw.before_page(120, 360)
    return draw.make(
        truth=("model-retired",), service=draw.pick("chat-assistant", "support-bot", "code-assistant", name="service"),
        onset=onset, ends=onset + FOREVER, faults=(Fault(kind="model_gone", start=onset, end=onset + FOREVER),),
        good=(("rollback_model_config", {}), SECOND),
        tempting=("rollback_prompt", "scale_gateway", "rollback_release"), sli=("errors",), figures={},
    )  # fmt: skip


VENDOR: dict[str, Callable[[Draw], Scenario]] = {"S02": s02, "S07": s07, "S08": s08}
