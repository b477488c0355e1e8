"""What PagerDuty remembers: incidents of the past with their alerts, first log entry and notes. Only reads."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.edges.pagerduty_session import Session
from bot.ports import RetryLater, Undeliverable

PAGE = 100
WINDOW = timedelta(days=3)
"""Asked for at a time: PagerDuty gives at most 10,000 incidents for one question."""
MOST_OFFSET = 9_900
WAITS = 8
LONGEST_WAIT_S = 120.0
Json = Mapping[str, Any]
CHANNEL = ("details", "body", "summary", "subject", "description", "contexts")
"""Of what a log entry says of its channel: the rest are keys of integrations and addresses."""


class PagerDutyHistory:
    """Blocks. ``wait`` sleeps, ``tell`` says why it takes longer. Raises :class:`Undeliverable`, and
    :class:`RetryLater` when it was asked to wait too often."""

    def __init__(
        self, api_key: str, base_url: str, *, wait: Callable[[float], None], tell: Callable[[str], None],
        backoff_s: float = 0.5,
    ) -> None:  # fmt: skip
        self._session = Session(api_key, "", base_url, reading=True, backoff_s=backoff_s)
        self._wait = wait
        self._tell = tell

    def incidents(self, since: datetime, until: datetime, services: Sequence[str] = ()) -> Iterator[Json]:
        """Every incident that was created then, oldest first, each once."""
        seen: set[str] = set()
        start = since
        while start < until:
            end = min(start + WINDOW, until)
            for one in self._between(start, end, services):
                identifier = str(one.get("id") or "")
                if identifier and identifier not in seen:
                    seen.add(identifier)
                    yield one
            start = end

    def record(self, incident: Json) -> dict[str, Any]:
        """All that is kept of one incident, as plain JSON."""
        path = f"/incidents/{incident['id']}"
        alerts = self._optional(f"{path}/alerts", "alerts", {"limit": 25})
        notes = self._optional(f"{path}/notes", "notes", {})
        entry = _mapping(incident.get("first_trigger_log_entry")).get("id")
        first = self._optional(f"/log_entries/{entry}", "log_entry", {"include[]": "channels"}) if entry else {}
        channel = _mapping(_mapping(first).get("channel"))
        return {
            "incident": dict(incident), "alerts": alerts if isinstance(alerts, list) else [],
            "notes": notes if isinstance(notes, list) else [],
            "channel": {key: channel[key] for key in CHANNEL if channel.get(key)},
        }  # fmt: skip

    def _between(self, start: datetime, end: datetime, services: Sequence[str]) -> Iterator[Json]:
        offset = 0
        while True:
            query: dict[str, Any] = {
                "since": start.isoformat(), "until": end.isoformat(), "limit": PAGE, "offset": offset,
                "sort_by": "created_at:asc", "time_zone": "UTC",
            }  # fmt: skip
            if services:
                query["service_ids"] = list(services)
            page = _mapping(self._get("/incidents", query))
            yield from (one for one in page.get("incidents") or () if isinstance(one, dict))
            offset += PAGE
            if not page.get("more"):
                return
            if offset > MOST_OFFSET:
                self._tell(f"more than 10,000 incidents between {start:%Y-%m-%d} and {end:%Y-%m-%d}: the rest of them "
                           "is left out; name a --service")  # fmt: skip
                return

    def _optional(self, path: str, key: str, query: Json) -> Any:
        """What an account's plan, or the key, may not let us read."""
        try:
            return _mapping(self._get(path, query)).get(key)
        except Undeliverable as error:
            if "answered 401" in str(error):
                raise
            return None

    def _get(self, path: str, query: Json) -> Any:
        for tried in range(WAITS + 1):
            try:
                return self._session.ask(lambda session: session.jget(path, params=dict(query)))
            except RetryLater as later:
                if tried == WAITS:
                    raise
                seconds = min(later.after_s * (1 + tried), LONGEST_WAIT_S)
                self._tell(f"{later.reason}; waiting {seconds:.0f} s")
                self._wait(seconds)
        raise AssertionError("unreachable")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
