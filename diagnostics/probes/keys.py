"""P24k: are our provider keys used by us alone?

The gateway publishes, for each key, how often the provider says it was used and from where, and how often the gateway
itself has used it. Use beyond our own, or from a network or region that was never ours, is somebody else. More load of
our own raises both numbers, so a surge is not taken for a theft.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from config.http import HttpError
from diagnostics import series, statistics
from diagnostics.model import INCONCLUSIVE, Evidence, Params, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.subjects import gateway_of

PATH: Final = "/keys"
LATE: Final = 0.05
"""Share by which two honest counts of the same calls may differ: their windows do not end at the same moment."""
LEAST: Final = 20
"""Uses that nobody here has made, at least, before they are called somebody else's."""
SURELY: Final = 1e-6
"""Two counts of the same calls are no sample: what differs by more than their windows explain is a fact."""
NAMED: Final = 3


class _Source(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    network: str = Field(min_length=1, max_length=80)
    region: str = Field(default="", max_length=40)
    requests: int = Field(ge=0)

    @property
    def place(self) -> str:
        return f"{self.network} {self.region}".strip()


class _Key(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    alias: str = Field(min_length=1, max_length=80)
    billed: int = Field(ge=0)
    """Uses in the window by the provider's account."""
    sent: int = Field(ge=0)
    """Uses in the window by our own."""
    sources: tuple[_Source, ...] = Field(default=(), max_length=200)

    @property
    def beyond(self) -> int:
        return self.billed - self.sent

    @property
    def p_value(self) -> float:
        """Chance that so many are beyond ours, if only counting differs."""
        return statistics.exceedances(max(self.beyond, 0), max(self.billed, 1), share=LATE)


_KEYS: Final = TypeAdapter(tuple[_Key, ...])


class KeyParams(Params):
    """``gateway``: None is the service's own."""

    gateway: str | None = None


class KeyAudit:
    """P24k."""

    spec = ProbeSpec(
        id="P24k",
        name="key_audit",
        title="Our provider keys are used by us alone",
        outcomes={"ok": Verdict.NORMAL, "unknown_source": Verdict.ABNORMAL, "beyond_ours": Verdict.ABNORMAL},
        params=KeyParams,
        unit="share of a key's uses that are not ours",
        expected_s=1.0,
        timeout_s=10.0,
        applies=("gateway",),
    )

    async def run(self, context: ProbeContext, params: KeyParams) -> Reading:
        """One read of the usage by key."""
        gateway = gateway_of(context, params.gateway)
        source = f"GET {gateway.admin} {PATH}"
        try:
            reply = await context.http.request(gateway.admin, "GET", PATH, timeout_s=5.0)
        except HttpError as error:
            return _unknown(f"Key usage of {gateway.name} could not be read: {error}"[:300], source, str(error))
        if reply.status != 200:
            told = f"{gateway.name} publishes no usage by key (HTTP {reply.status})."
            return _unknown(told, source, reply.text)
        try:
            keys = _KEYS.validate_python(json.loads(reply.text)["keys"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            told = f"Key usage of {gateway.name} cannot be read: {str(error).splitlines()[0][:120]}"
            return _unknown(told, source, reply.text)
        name = series.name("key.sources:{gateway}", gateway=gateway.name)
        kept = context.baselines.document(context.service.name, name, before=context.started_at)
        known: Mapping[str, Any] | None = kept if isinstance(kept, Mapping) else None
        common: dict[str, Any] = {
            "evidence": (Evidence(source=source, excerpt=f"HTTP {reply.status}\n{reply.text}"[:2000]),),
            "details": {
                "keys": {key.alias: {"billed": key.billed, "sent": key.sent} for key in keys[:50]},
                series.RECORD_DOCUMENTS: {
                    name: {key.alias: sorted({one.place for one in key.sources}) for key in keys}
                },
            },
        }
        return _reading(keys, known, common)


def _strange(key: _Key, known: Mapping[str, Any] | None) -> list[_Source]:
    """Sources that were never this key's; nothing where no source of it is on record."""
    places = known.get(key.alias) if known is not None else None
    if not isinstance(places, list) or not places:
        return []
    found = [one for one in key.sources if one.requests > 0 and one.place not in places]
    return sorted(found, key=lambda one: -one.requests)


def _reading(keys: Sequence[_Key], known: Mapping[str, Any] | None, common: Mapping[str, Any]) -> Reading:
    for key in keys:
        strange = _strange(key, known)
        if strange:
            uses = sum(one.requests for one in strange)
            named = ", ".join(f"{one.place} ({one.requests})" for one in strange[:NAMED])
            said = f"Key {key.alias} was used {uses} times from where it was never used before: {named}."
            return Reading(
                outcome="unknown_source", summary=said, value=uses / max(key.billed, 1), baseline=0.0, n=key.billed,
                test="sources on record", **common,
            )  # fmt: skip
    for key in keys:
        if key.beyond >= LEAST and key.p_value <= SURELY:
            said = f"The provider counts {key.billed} uses of key {key.alias}, our gateway has made {key.sent} of them."
            return Reading(
                outcome="beyond_ours", summary=said, value=key.beyond / key.billed, baseline=LATE, n=key.billed,
                test="two counts of the same calls", **common,
            )  # fmt: skip
    uses = sum(key.billed for key in keys)
    if not keys or uses == 0:
        return Reading(outcome=INCONCLUSIVE, summary="No use of any key is listed.", **common)
    told = "from where they always come" if known is not None else "where from they usually come is not on record yet"
    said = f"{uses} uses of {len(keys)} keys are our gateway's own, {told}."
    return Reading(outcome="ok", summary=said, value=0.0, n=uses, **common)


def _unknown(summary: str, source: str, text: str) -> Reading:
    return Reading(outcome=INCONCLUSIVE, summary=summary, evidence=(Evidence(source=source, excerpt=text[:600]),))
