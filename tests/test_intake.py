"""Deliveries over real HTTP: what is accepted, what is refused, and that nothing is answered before it is committed."""

import asyncio
import json
import logging
from datetime import timedelta
from typing import Any

import pytest

from bot.domain import codec
from bot.domain.signature import SigningSecret
from bot.edges.slack_http import SlackReply, SlackRequest
from bot.edges.web import ReadyCheck
from diagnostics.model import Change
from tests.http_fakes import DATA, NOW
from tests.web_fakes import PD_SECRET, TOKEN, Site, pd_signature, site, slack_headers

TRIGGERED = (DATA / "pagerduty" / "01_incident_triggered.json").read_bytes()
NOTE = (DATA / "pagerduty" / "07_incident_annotated.json").read_bytes()


async def page(here: Site, raw: bytes = TRIGGERED, **headers: str) -> Any:
    signed = {"x-pagerduty-signature": pd_signature(raw), "content-type": "application/json", **headers}
    return await here.client.post("/webhooks/pagerduty", content=raw, headers=signed)


class TestPagerDuty:
    async def test_a_genuine_delivery_is_committed_and_then_accepted(self) -> None:
        async with site() as here:
            answer = await page(here)
        assert (answer.status_code, answer.json()) == (202, {"accepted": True, "new": True})
        (row,) = here.inbox.rows.values()
        assert (row.key, row.source, row.body) == ("pagerduty:01GX0000000000000000007919", "pagerduty", TRIGGERED)
        assert row.received_at == NOW
        assert here.accepted == [row]

    async def test_a_request_without_a_usable_signature_is_refused(self) -> None:
        async with site() as here:
            for signature in (None, "", "v2=" + "0" * 64, "v1=" + "A" * 64, "v1=" + "0" * 63, "v1"):
                headers = {} if signature is None else {"x-pagerduty-signature": signature}
                answer = await here.client.post("/webhooks/pagerduty", content=TRIGGERED, headers=headers)
                assert (answer.status_code, answer.content, here.inbox.rows) == (400, b"", {}), signature

    async def test_a_wrong_key_is_answered_503_and_counted_so_that_the_sender_keeps_its_queue(self) -> None:
        async with site() as here:
            answer = await page(here, **{"x-pagerduty-signature": pd_signature(TRIGGERED, "other")})
            assert (answer.status_code, here.inbox.rows) == (503, {})
            assert here.figure("pd_signature_mismatch_total") == 1
        async with site(pagerduty_secrets=()) as here:
            assert (await page(here)).status_code == 503, "nothing is believed while no secret is configured"

    @pytest.mark.parametrize("form", ["{bad}, {good}", "{good},{bad}", " {good} ", "{bad},\t{good},v9=x"])
    async def test_any_one_signature_of_a_rotation_will_do(self, form: str) -> None:
        header = form.format(good=pd_signature(TRIGGERED), bad="v1=" + "0" * 64).strip()
        secrets = (SigningSecret(value="older"), SigningSecret(value=PD_SECRET))
        async with site(pagerduty_secrets=secrets) as here:
            assert (await page(here, **{"x-pagerduty-signature": header})).status_code == 202

    async def test_a_thousand_signatures_are_refused(self) -> None:
        header = ",".join(["v1=" + "0" * 64] * 150)
        async with site() as here:
            assert (await page(here, **{"x-pagerduty-signature": header})).status_code == 400

    async def test_the_signature_is_over_the_raw_bytes(self) -> None:
        again = json.dumps(json.loads(TRIGGERED), sort_keys=True).encode()
        async with site() as here:
            assert (await page(here, again, **{"x-pagerduty-signature": pd_signature(TRIGGERED)})).status_code == 503

    async def test_a_replay_under_another_delivery_id_is_known(self) -> None:
        async with site() as here:
            first = await page(here, **{"x-webhook-id": "w1"})
            here.clock._now += timedelta(days=8)
            second = await page(here, **{"x-webhook-id": "w2"})
        assert [first.json()["new"], second.json()["new"]] == [True, False]
        assert (second.status_code, len(here.inbox.rows), len(here.accepted)) == (202, 1, 1)

    async def test_whatever_is_signed_is_kept_and_never_refused(self) -> None:
        bodies = [
            b"", b"not json", b"[]", b"null", b'{"event":null}', b'{"event":{"id":7,"event_type":"x"}}', b"\xff\xfe",
            b"[" * 10_000, b'{"event":{"id":"E1","event_type":"incident.triggered","data":NaN}}',
        ]  # fmt: skip
        async with site() as here:
            for raw in bodies:
                assert (await page(here, raw)).status_code == 202, raw[:20]
            assert [row.body for row in here.inbox.rows.values()] == bodies
            assert all(key.startswith("pagerduty:sha256:") for key in here.inbox.rows)
            assert here.figure("quarantined_total", source="pagerduty") == len(bodies)

    async def test_what_pagerduty_never_sends_is_refused_before_it_is_buffered(self) -> None:
        raw = b"x" * 263_168
        async with site() as here:
            assert (await page(here, raw)).status_code == 413
            assert (await page(here, b"x" * 262_144)).status_code == 202

    async def test_while_storage_is_down_the_sender_comes_again_and_nothing_is_lost(self) -> None:
        async with site() as here:
            here.inbox.down = True
            refused = await page(here)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert here.accepted == []
            here.inbox.down = False
            assert (await page(here)).json() == {"accepted": True, "new": True}

    async def test_under_load_notes_come_again_later_and_pages_never_do(self) -> None:
        async with site(shed_above=3) as here:
            here.inbox.open.clear()
            bodies = [TRIGGERED.replace(b"7919", f"{7000 + n}".encode()) for n in range(4)]
            waiting = [asyncio.create_task(page(here, raw)) for raw in bodies]
            while here.inbox.waiting < 4:  # noqa: ASYNC110 - the inbox counts, it does not signal
                await asyncio.sleep(0.01)
            assert (await page(here, NOTE)).status_code == 429
            assert here.figure("requests_denied_total", surface="pagerduty", reason="overload") == 1
            here.inbox.open.set()
            assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {202}
            assert (await page(here, NOTE)).status_code == 202

    async def test_a_failure_to_start_work_does_not_take_back_the_202(self) -> None:
        def broken(_: Any) -> None:
            raise RuntimeError("queue")

        async with site(on_accept=broken) as here:
            assert (await page(here)).status_code == 202

    async def test_a_refusal_is_logged_without_a_byte_of_the_body(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            async with site() as here:
                await here.client.post(
                    "/webhooks/pagerduty", content=b"very private", headers={"x-forwarded-for": "1.2.3.4"}
                )
        (record,) = [r for r in caplog.records if r.name == "pagerunner.web"]
        assert "private" not in caplog.text
        assert record.__dict__["peer"] == "127.0.0.1", "the peer's address, not what it claims"


class TestChanges:
    CHANGE: dict[str, Any] = {  # noqa: RUF012
        "id": "deploy-481", "at": "2026-11-22T09:58:00+01:00", "kind": "prompt", "service": "chat-assistant",
        "summary": "Prompt chat 13", "before": "12", "after": "13", "actor": "ci",
    }  # fmt: skip

    async def tell(self, here: Site, body: Any, token: str = TOKEN, **headers: str) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await here.client.post("/changes", content=raw, headers={"authorization": f"Bearer {token}", **headers})

    async def test_a_change_is_committed_once_for_its_id(self) -> None:
        async with site() as here:
            answers = [await self.tell(here, self.CHANGE) for _ in range(2)]
        assert [(a.status_code, a.json()["new"]) for a in answers] == [(202, True), (202, False)]
        row = here.inbox.rows["changes:deploy-481"]
        assert row.source == "changes"
        assert codec.load(Change, json.loads(row.body)) == Change(
            id="deploy-481", at=NOW - timedelta(hours=1, minutes=2), kind="prompt", service="chat-assistant",
            summary="Prompt chat 13", before="12", after="13", actor="ci",
        )  # fmt: skip

    async def test_it_needs_a_token_for_changes(self) -> None:
        async with site(change_tokens=("ci-token",)) as here:
            assert (await self.tell(here, self.CHANGE, "ci-token")).status_code == 202
            assert (await self.tell(here, self.CHANGE, TOKEN)).status_code == 202
            for token in ("x", "wrong", "ci-token2"):
                assert (await self.tell(here, self.CHANGE, token)).status_code == 401
            assert (await here.client.post("/changes", json=self.CHANGE)).status_code == 401
            assert (
                await here.client.get("/api/v1/incidents", headers={"authorization": "Bearer ci-token"})
            ).status_code == 401

    WRONG: tuple[tuple[dict[str, Any], str, str], ...] = (
        ({"id": ""}, "id", "1 to 128"),
        ({"id": "a b"}, "id", "1 to 128"),
        ({"id": 7}, "id", "must be text"),
        ({"kind": "magic"}, "kind", "magic"),
        ({"service": "chat-asistant"}, "service", "chat-asistant"),
        ({"service": "../x"}, "service", "name or *"),
        ({"at": "yesterday"}, "at", "not a time"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "at", "not a time"),
        ({"at": "2026-11-22T10:00:00"}, "at", "offset"),
        ({"at": "2026-11-22T10:06:00Z"}, "at", "future"),
        ({"summary": " "}, "summary", "missing"),
        ({"sumary": "x"}, "sumary", "no such field"),
    )

    async def test_what_is_wrong_is_told_before_anything_is_committed(self) -> None:
        async with site(services=frozenset({"chat-assistant"})) as here:
            for change, where, said in self.WRONG:
                answer = await self.tell(here, {**self.CHANGE, **change})
                assert answer.status_code == 422, change
                error = answer.json()["error"]
                assert error["where"] == where
                assert said in error["what"]
                assert error["fix"]
            assert here.inbox.rows == {}

    async def test_broken_json_is_told_and_not_stored(self) -> None:
        broken = [b"", b"x", b"[]", b'{"id":"a","id":"b"}', b'{"id":NaN}', b'{"id":"\\ud800"}', b"[" * 100_000]
        async with site() as here:
            for raw in broken:
                assert (await self.tell(here, raw)).status_code == 422, raw[:20]
            assert here.inbox.rows == {}

    async def test_the_nearest_service_is_suggested_and_a_star_means_all(self) -> None:
        async with site(services=frozenset({"chat-assistant"})) as here:
            answer = await self.tell(here, {**self.CHANGE, "service": "chat-asistant"})
            assert "did you mean 'chat-assistant'?" in answer.json()["error"]["fix"]
            assert (await self.tell(here, {**self.CHANGE, "service": "*"})).status_code == 202

    async def test_secrets_and_hidden_characters_do_not_reach_the_store(self) -> None:
        def redact(text: str) -> str:
            return text.replace("hunter2", "[redacted]")

        async with site(redact=redact) as here:
            await self.tell(here, {**self.CHANGE, "summary": "pw hunter2\u202e", "after": "a\nb" + "x" * 9_000})
        body = here.inbox.rows["changes:deploy-481"].body.decode()
        assert "hunter2" not in body
        assert "\u202e" not in body
        assert len(body) < 2_000

    async def test_a_foreign_site_cannot_tell_changes(self) -> None:
        async with site() as here:
            assert (await self.tell(here, self.CHANGE, origin="https://evil.example")).status_code == 403

    async def test_storage_down_is_a_503(self) -> None:
        async with site() as here:
            here.inbox.down = True
            answer = await self.tell(here, self.CHANGE)
        assert answer.status_code == 503
        assert set(answer.json()["error"]) == {"what", "where", "fix"}


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


class TestSlack:
    RAW = b"payload=%7B%22type%22%3A%22block_actions%22%7D"

    async def test_a_genuine_request_reaches_the_handler_raw_and_without_bolts_own_headers(self) -> None:
        seen: list[SlackRequest] = []

        async def handler(request: SlackRequest) -> SlackReply:
            seen.append(request)
            return SlackReply(status=200, headers={"content-type": "text/plain"}, body=b"hi")

        async with site(slack_handler=handler) as here:
            headers = {
                **slack_headers(self.RAW), "content-type": "application/x-www-form-urlencoded",
                "X-Slack-Bolt-Lazy-Only": "1", "x-slack-bolt-lazy-function-name": "run", "x-slack-retry-num": "1",
            }  # fmt: skip
            answer = await here.client.post("/slack/events", content=self.RAW, headers=headers)
        assert (answer.status_code, answer.content) == (200, b"hi")
        assert seen[0].raw == self.RAW
        assert not [name for name in seen[0].headers if name.startswith("x-slack-bolt-")]
        assert seen[0].headers["x-slack-retry-num"] == "1", "a retry may be the first delivery that arrives"

    async def _refused(self, *requests: tuple[bytes, Any], status: int = 401) -> None:
        calls: list[SlackRequest] = []

        async def handler(request: SlackRequest) -> SlackReply:
            calls.append(request)
            return SlackReply()

        async with site(slack_handler=handler) as here:
            for raw, headers in requests:
                answer = await here.client.post("/slack/events", content=raw, headers=headers)
                assert (answer.status_code, answer.content, calls) == (status, b"", []), (raw[:20], headers)

    async def test_a_signature_by_another_secret_or_over_other_bytes(self) -> None:
        other = slack_headers(self.RAW, secret="other")
        await self._refused((self.RAW, other), (self.RAW + b" ", slack_headers(self.RAW)), (self.RAW, {}))

    async def test_five_minutes_either_way(self) -> None:
        async def handler(_: SlackRequest) -> SlackReply:
            return SlackReply()

        async with site(slack_handler=handler) as here:
            for seconds, status in ((-301, 401), (301, 401), (-299, 200), (299, 200)):
                headers = slack_headers(self.RAW, at=NOW.timestamp() + seconds)
                answer = await here.client.post("/slack/events", content=self.RAW, headers=headers)
                assert answer.status_code == status, seconds

    async def test_a_timestamp_that_is_not_ten_digits(self) -> None:
        stamps = ["abc", "", "+179999999", "179_999999", "1" * 5_000, "17999999990", "-1799999999", "\u00b2799999999"]
        await self._refused(*((self.RAW, _encoded(slack_headers(self.RAW, at=stamp))) for stamp in stamps))

    async def test_a_signature_of_another_form(self) -> None:
        stamp = slack_headers(self.RAW)["x-slack-request-timestamp"].encode()
        forms = [b"v0=\xc3\xa9", b"v1=" + b"0" * 64, b"v0=" + b"A" * 64, b"", b"v0="]
        await self._refused(
            *((self.RAW, [(b"x-slack-request-timestamp", stamp), (b"x-slack-signature", form)]) for form in forms)
        )

    async def test_a_header_that_is_there_twice(self) -> None:
        good = list(slack_headers(self.RAW).items())
        for name in ("x-slack-signature", "x-slack-request-timestamp"):
            extra = (name, "1799999999")
            await self._refused((self.RAW, [extra, *good]), (self.RAW, [*good, extra]), status=400)

    async def test_nothing_is_parsed_before_it_is_verified(self) -> None:
        bodies = [
            b"{not json",
            b"[" * 200_000,
            b"[1,2]",
            b"payload=%5B1%5D",
            b"ssl_check=1",
            b'{"type":"url_verification"}',
        ]
        await self._refused(*((raw, {"content-type": "application/json"}) for raw in bodies))

    async def test_secrets_rotate(self) -> None:
        async def handler(_: SlackRequest) -> SlackReply:
            return SlackReply()

        secrets = (
            SigningSecret(value="new"), SigningSecret(value="old", not_after=NOW + timedelta(hours=1)),
            SigningSecret(value="revoked", not_after=NOW),
        )  # fmt: skip
        async with site(slack_handler=handler, slack_secrets=secrets) as here:
            statuses = [
                (
                    await here.client.post("/slack/events", content=self.RAW, headers=slack_headers(self.RAW, secret=s))
                ).status_code
                for s in ("old", "new", "revoked", "")
            ]
        assert statuses == [200, 200, 401, 401]

    async def test_without_a_handler_there_is_no_such_path(self) -> None:
        async with site() as here:
            answer = await here.client.post("/slack/events", content=self.RAW, headers=slack_headers(self.RAW))
        assert answer.status_code == 404


class TestHealth:
    async def test_alive_and_ready(self) -> None:
        async def fine() -> str:
            return ""

        async with site(ready_checks=(ReadyCheck(name="storage", check=fine),)) as here:
            assert (await here.client.get("/healthz")).json() == {"status": "ok"}
            answer = await here.client.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (200, True)

    async def test_not_ready_says_why_and_what_is_optional_does_not_count(self) -> None:
        async def down() -> str:
            return "the database cannot commit: disk full"

        async def broken() -> str:
            raise RuntimeError("secret detail")

        async with site(ready_checks=(ReadyCheck(name="storage", check=down),)) as here:
            answer = await here.client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["checks"]["storage"]["reason"] == "the database cannot commit: disk full"
        async with site(ready_checks=(ReadyCheck(name="search", check=down, required=False),)) as here:
            assert (await here.client.get("/readyz")).status_code == 200
        async with site(ready_checks=(ReadyCheck(name="odd", check=broken),)) as here:
            answer = await here.client.get("/readyz")
        assert (answer.status_code, "secret detail" in answer.text) == (503, False)

    async def test_figures_can_be_scraped(self) -> None:
        async with site() as here:
            await page(here)
            answer = await here.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'pagerunner_deliveries_total{new="true",source="pagerduty"} 1.0' in answer.text
