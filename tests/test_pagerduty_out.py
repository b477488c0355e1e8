"""What we tell and ask PagerDuty, against a stateful stand-in that is held to the published schema."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from bot.edges.pagerduty_out import NoPager, PagerDuty
from bot.ports import Responder, RetryLater, Undeliverable
from tests.pagerduty_fakes import KEY, PagerDutyState, pagerduty, published_schema

REF = "Q2PQ7M1"


def client(url: str, key: str = KEY, **more: Any) -> PagerDuty:
    return PagerDuty(key, **{"from_email": "oncall@example.com", "base_url": url, "backoff_s": 0.001, **more})


def last(state: PagerDutyState) -> tuple[str, str, Any]:
    method, path, _, body = state.requests[-1]
    return method, path, body


class TestWhatIsSaid:
    async def test_a_note_is_added(self) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            await client(url).note(REF, "Diagnosis: provider outage")
        assert [note["content"] for note in state.notes] == ["Diagnosis: provider outage"]
        assert state.requests[-1][2]["From"] == "oncall@example.com"

    async def test_a_note_is_cut_and_holds_no_secret(self) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            await client(url, redact=lambda text: text.replace("hunter2", "***")).note(REF, "hunter2 " + "x" * 30_000)
        (note,) = state.notes
        assert note["content"].startswith("*** x")
        assert len(note["content"]) == 25_000

    async def test_a_click_is_followed_in_the_persons_name(self) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            await client(url).set_status(REF, "acknowledged", "ana@example.com")
            assert last(state) == (
                "PUT", f"/incidents/{REF}", {"incident": {"type": "incident_reference", "status": "acknowledged"}}
            )  # fmt: skip
            assert state.requests[-1][2]["From"] == "ana@example.com"
            await client(url).set_status(REF, "resolved", "Ana\u202e Ruiz")
        assert state.incident["status"] == "resolved"
        assert state.requests[-1][2]["From"] == "oncall@example.com"
        assert last(state)[2]["incident"]["resolution"] == "Resolved by Ana\ufffd Ruiz through Pagerunner"

    async def test_without_a_key_nobody_knows_who_is_on_call(self) -> None:
        with pytest.raises(Undeliverable, match="no PagerDuty API key"):
            await NoPager().on_call("PEPASSIST")

    async def test_escalation_goes_one_level_up_from_where_it_is_and_stops_at_the_top(self) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            pager = client(url)
            for level in (2, 3):
                await pager.escalate(REF, await pager.next_level(REF), "ana@example.com")
                assert last(state)[2]["incident"]["escalation_level"] == level
            with pytest.raises(Undeliverable, match="last level"):
                await pager.next_level(REF)
        assert state.incident["assignments"][0]["assignee"]["id"] == "PCHI"

    async def test_an_address_that_is_none_is_not_put_into_a_header(self) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            await client(url).set_status(REF, "acknowledged", "a@b.c\r\nX: y")
        assert state.requests[-1][2]["From"] == "oncall@example.com"


class TestWhatIsAsked:
    async def test_details_hold_body_alerts_fields_and_links(self) -> None:
        state = PagerDutyState()
        state.alerts = [{
            "id": "PA1", "type": "alert", "summary": "529 rate", "severity": "critical", "status": "triggered",
            "body": {"type": "alert_body", "details": {"error": "overloaded_error", "region": "eu-1"},
                     "contexts": [{"type": "link", "href": "https://grafana.example/d/1", "text": "Board"}]},
        }]  # fmt: skip
        state.fields = [{"id": "PF1", "type": "field_value", "name": "env", "display_name": "Environment",
                         "data_type": "string", "field_type": "single_value", "value": "production"}]  # fmt: skip
        async with pagerduty(state) as url:
            text = await client(url).details(REF)
        assert text.split("\n") == [
            "details.runbook: none yet", "Alert: 529 rate", "Severity: critical",
            "Link: Board https://grafana.example/d/1", "details.error: overloaded_error", "details.region: eu-1",
            "Environment: production",
        ]  # fmt: skip
        assert all(body is None for _, _, _, body in state.requests)

    async def test_a_plan_without_custom_fields_still_has_details(self) -> None:
        state = PagerDutyState(fields_forbidden=True)
        async with pagerduty(state) as url:
            assert await client(url).details(REF) == "details.runbook: none yet"

    async def test_details_are_bounded_cleaned_and_without_secrets(self) -> None:
        state = PagerDutyState()
        state.incident["body"]["details"] = {"a": "hunter2\u202e", **{f"k{n}": "x" * 400 for n in range(90)}}
        async with pagerduty(state) as url:
            text = await client(url, redact=lambda value: value.replace("hunter2", "***")).details(REF)
        assert text.startswith("details.a: ***\ufffd\n")
        assert len(text) == 8_192


class TestFailures:
    async def test_the_rate_limit_is_tried_thrice_and_then_left_to_the_outbox(self) -> None:
        state = PagerDutyState(failures=[(429, {"ratelimit-reset": "7"})] * 3)
        async with pagerduty(state) as url:
            with pytest.raises(RetryLater) as caught:
                await client(url).note(REF, "x")
        assert (caught.value.after_s, len(state.requests), state.notes) == (7.0, 3, [])

    async def test_a_short_rate_limit_is_waited_out(self) -> None:
        state = PagerDutyState(failures=[(429, {})] * 2)
        async with pagerduty(state) as url:
            await client(url).note(REF, "x")
        assert len(state.notes) == 1

    @pytest.mark.parametrize(
        ("headers", "after_s"),
        [({"retry-after": "0"}, 1.0), ({"retry-after": "86400"}, 300.0), ({"retry-after": "abc"}, 30.0),
         ({"retry-after": "nan"}, 30.0), ({}, 30.0)],
    )  # fmt: skip
    async def test_what_it_asks_to_wait_is_clamped(self, headers: dict[str, str], after_s: float) -> None:
        state = PagerDutyState(failures=[(429, headers)] * 3)
        async with pagerduty(state) as url:
            with pytest.raises(RetryLater) as caught:
                await client(url).note(REF, "x")
        assert caught.value.after_s == after_s

    async def test_a_server_error_is_for_later_and_asked_once(self) -> None:
        state = PagerDutyState(failures=[(503, {})])
        async with pagerduty(state) as url:
            with pytest.raises(RetryLater):
                await client(url).note(REF, "x")
        assert len(state.requests) == 1

    @pytest.mark.parametrize(
        ("more", "ref", "said"),
        [
            ({"key": "revoked-key"}, REF, "PAGERUNNER_PAGERDUTY_API_KEY"),
            ({"from_email": ""}, REF, "PAGERUNNER_PAGERDUTY_FROM"),
            ({}, "QOTHER", "no such incident"),
            ({}, "../users", "not a PagerDuty incident id"),
            ({}, "", "not a PagerDuty incident id"),
        ],
    )
    async def test_what_cannot_succeed_is_for_a_person_and_says_what_to_do(
        self, more: Any, ref: str, said: str
    ) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            with pytest.raises(Undeliverable, match=said) as caught:
                await client(url, **more).note(ref, "x")
        assert KEY not in str(caught.value)

    async def test_out_of_reach_is_for_later_even_for_an_escalation_that_was_not_sent(self) -> None:
        async with pagerduty(PagerDutyState()) as url:
            gone = url
        for act in (client(gone).note(REF, "x"), client(gone).escalate(REF, 2, "a@b.c"),
                    client(gone).details(REF)):  # fmt: skip
            with pytest.raises(RetryLater):
                await act

    async def test_an_escalation_without_an_answer_is_asked_again_and_skips_nobody(self) -> None:
        state = PagerDutyState()

        def drop(request: web.Request, _body: str, _answer: Any) -> None:
            if request.method == "PUT" and request.transport is not None:
                request.transport.abort()

        async with pagerduty(state, drop) as url:
            with pytest.raises(RetryLater):
                await client(url).escalate(REF, 2, "a@b.c")
            await client(url).escalate(REF, 2, "a@b.c")
            with pytest.raises(RetryLater):
                await client(url).set_status(REF, "acknowledged", "a@b.c")
        assert [body["incident"].get("escalation_level") for m, _, _, body in state.requests if m == "PUT"] == [2, None]

    async def test_it_works_on_after_failures_and_in_parallel(self) -> None:
        state = PagerDutyState(failures=[(503, {})])
        async with pagerduty(state) as url:
            pager = client(url)
            results = await asyncio.gather(*(pager.note(REF, str(n)) for n in range(5)), return_exceptions=True)
        assert sum(isinstance(result, RetryLater) for result in results) == 1
        assert len(state.notes) == 4

    async def test_proxies_of_the_environment_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        state = PagerDutyState()
        async with pagerduty(state) as url:
            await client(url).note(REF, "x")
        assert len(state.notes) == 1

    def test_the_key_is_sent_in_the_clear_to_this_machine_only(self) -> None:
        with pytest.raises(ValueError, match="must be https"):
            PagerDuty(KEY, base_url="http://api.pagerduty.example")


class TestWithoutAKey:
    async def test_nothing_is_said_and_a_click_is_told_so(self) -> None:
        await NoPager().note(REF, "x")
        assert await NoPager().details(REF) == ""
        with pytest.raises(Undeliverable, match="in PagerDuty itself"):
            await NoPager().set_status(REF, "acknowledged", "ana@example.com")


def test_pdpyras_is_imported_when_first_needed_and_its_warning_is_known() -> None:
    code = (
        "import sys, bot.edges.pagerduty_session as p; assert 'pdpyras' not in sys.modules; p._pdpyras(); "
        "assert 'pdpyras' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@dataclass
class Contract:
    """Holds requests and answers to the published schema."""

    schema: Any
    checked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __call__(self, request: web.Request, body: str, answer: web.StreamResponse) -> None:
        from openapi_core.datatypes import RequestParameters
        from openapi_core.testing import MockRequest, MockResponse
        from werkzeug.datastructures import Headers, ImmutableMultiDict

        assert isinstance(answer, web.Response)
        asked = MockRequest(
            "https://api.pagerduty.com", request.method.lower(), request.path, data=body.encode() or None,
            content_type="application/json",
        )  # fmt: skip
        asked.parameters = RequestParameters(
            query=ImmutableMultiDict(list(request.query.items())), header=Headers(dict(request.headers))
        )
        told = MockResponse(bytes(answer.body or b""), status_code=answer.status, content_type="application/json")  # type: ignore[arg-type]
        for check in (lambda: self.schema.validate_request(asked), lambda: self.schema.validate_response(asked, told)):
            try:
                check()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding about the contract
                self.wrong.append(f"{request.method} {request.path}: {error!r} {getattr(error, '__cause__', '')!r}")
        self.checked.append(f"{request.method} {answer.status}")


class TestContract:
    async def test_both_sides_keep_to_the_published_schema(self, capsys: pytest.CaptureFixture[str]) -> None:
        schema = published_schema()
        if schema is None:
            with capsys.disabled():
                print("\nNOT RUN: PagerDuty's published schema; set PAGERUNNER_CONTRACTS to a folder that holds it")
            return
        contract, state = Contract(schema), PagerDutyState()
        state.alerts = [{"id": "PA1", "type": "alert", "summary": "a", "severity": "critical", "status": "triggered",
                         "body": {"type": "alert_body", "details": {"a": "b"}}}]  # fmt: skip
        async with pagerduty(state, contract) as url:
            pager = client(url)
            await pager.note(REF, "n")
            await pager.details(REF)
            await pager.set_status(REF, "acknowledged", "ana@example.com")
            await pager.escalate(REF, await pager.next_level(REF), "ana@example.com")
            await pager.snooze(REF, 1_800, "ana@example.com")
            await pager.request(REF, await pager.find("Ben Okafor"), "help", "ana@example.com")
            await pager.set_priority(REF, "P2", "ana@example.com")
            await pager.assign(REF, await pager.find("Ben Okafor"), "ana@example.com")
            # Not to a policy: the schema calls the id of that reference read-only, though it is what is to be written.
            await pager.publish(REF, "We work on it.", "ana@example.com")
            await pager.set_status(REF, "resolved", "ana@example.com")
            with pytest.raises(Undeliverable):
                await client(url, "wrong").note(REF, "n")
        assert contract.wrong == []
        assert len(contract.checked) == 22

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda state: state.incident.update(status="sleeping"),
            lambda state: state.incident.update(incident_number="4821"),
            lambda state: state.alerts.append({"type": "alert", "severity": "meh"}),
        ],
    )
    async def test_the_check_itself_catches_a_stand_in_that_is_wrong(
        self, spoil: Callable[[PagerDutyState], None]
    ) -> None:
        schema = published_schema()
        if schema is None:
            return
        contract, state = Contract(schema), PagerDutyState()
        spoil(state)
        async with pagerduty(state, contract) as url:
            await client(url).details(REF)
        assert contract.wrong

    async def test_who_is_on_call_is_asked_as_published(self) -> None:
        """The published answer knows no users in full, which ``include[]`` asks for: that alone is different."""
        schema = published_schema()
        if schema is None:
            return
        contract, state = Contract(schema), PagerDutyState(rotas={"PEPASSIST": [{"user": "PANA"}]})
        async with pagerduty(state, contract) as url:
            assert [one.email for one in await client(url).on_call("PEPASSIST")] == ["ana@example.com"]
        assert [one for one in contract.wrong if "is not one of ['user_reference']" not in one] == []

    async def test_the_check_itself_catches_a_request_that_is_wrong(self) -> None:
        schema = published_schema()
        if schema is None:
            return
        contract = Contract(schema)
        async with pagerduty(PagerDutyState(), contract) as url:
            wrong = {"incident": {"status": "sleeping"}}
            await client(url)._call(lambda session: session.rput(f"/incidents/{REF}", json=wrong))
        assert contract.wrong


class TestResponders:
    async def test_they_are_found_by_name_address_and_id(self) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            pager = client(url)
            for who in ("Ben Okafor", "ben okafor", "@Ben", "ben@example.com", "PBEN01"):
                state.users["PBEN01"] = state.users.pop("PBEN", state.users.get("PBEN01", ("", "")))
                found = await pager.find(who)
                assert (found.id, found.kind, found.name) == ("PBEN01", "user", "Ben Okafor"), who
            policy = await pager.find("Assist")
        assert (policy.id, policy.kind) == ("PEP1", "escalation_policy")

    async def test_nobody_is_guessed_at(self) -> None:
        async with pagerduty(PagerDutyState()) as url:
            with pytest.raises(Undeliverable, match="several called Ruiz: Ana Ruiz, Eva Ruiz"):
                await client(url).find("Ruiz")
            with pytest.raises(Undeliverable, match="knows no person"):
                await client(url).find("PNOBODY1")
            with pytest.raises(Undeliverable, match="knows no person"):
                await client(url).find("../incidents")

    async def test_a_request_is_made_in_a_users_name_and_once(self) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            pager = client(url, redact=lambda text: text.replace("hunter2", "***"))
            for _ in range(2):
                await pager.request(REF, await pager.find("Ben Okafor"), "help, hunter2", "ana@example.com")
        asked = [body for method, path, _, body in state.requests if path.endswith("/responder_requests")]
        assert [(body["requester_id"], body["message"]) for body in asked] == [("PANA", "help, ***")]

    async def test_without_a_user_to_ask_in_whose_name_it_says_what_to_set(self) -> None:
        async with pagerduty(PagerDutyState()) as url:
            pager = client(url, from_email="nobody@example.com")
            with pytest.raises(Undeliverable, match="PAGERUNNER_PAGERDUTY_FROM"):
                await pager.request(REF, await pager.find("Ben Okafor"), "help", "Ana")

    async def test_an_incident_is_snoozed(self) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            await client(url).snooze(REF, 1_800, "Ana")
        assert last(state) == ("POST", f"/incidents/{REF}/snooze", {"duration": 1_800})

    async def test_without_a_key_nothing_is_pretended(self) -> None:
        responder = Responder(id="PBEN", kind="user", name="Ben")
        for refused in (
            NoPager().find("Ben"),
            NoPager().request(REF, responder, "x", "y"),
            NoPager().snooze(REF, 60, "y"),
        ):
            with pytest.raises(Undeliverable, match="no PagerDuty API key is set"):
                await refused


class TestActs:
    async def test_the_account_says_which_priorities_there_are(self) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            assert await client(url).priorities() == ["P1", "P2", "P3"]
            state.priorities.clear()
            assert await client(url).priorities() == []

    async def test_a_priority_is_set_by_its_name_and_an_unknown_one_is_refused_with_the_list(self) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            await client(url).set_priority(REF, "p2", "ana@example.com")
            assert last(state)[2] == {
                "incident": {"type": "incident_reference", "priority": {"id": "PPRIO2", "type": "priority_reference"}}
            }
            assert state.requests[-1][2]["From"] == "ana@example.com"
            with pytest.raises(Undeliverable, match="no priority P9; there are: P1, P2, P3"):
                await client(url).set_priority(REF, "P9", "Ana")
            state.priorities.clear()
            with pytest.raises(Undeliverable, match="the account has none: switch them on"):
                await client(url).set_priority(REF, "P1", "Ana")
        assert state.incident["priority"]["summary"] == "P2"

    async def test_it_is_assigned_to_a_person_or_a_policy_and_nobody_who_has_it_is_paged_again(self) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            pager = client(url)
            for _ in range(2):
                await pager.assign(REF, await pager.find("Ben Okafor"), "Ana")
            await pager.assign(REF, await pager.find("Assist"), "Ana")
        changes = [body["incident"] for method, _, _, body in state.requests if method == "PUT"]
        assert [set(one) - {"type"} for one in changes] == [{"assignments"}, {"escalation_policy"}]
        assert state.incident["assignments"][0]["assignee"]["summary"] == "Ben Okafor"

    async def test_a_status_update_is_published_as_it_was_written_and_once(self) -> None:
        state, begun = PagerDutyState(), datetime(2026, 11, 22, 12, 4, tzinfo=UTC)
        async with pagerduty(state) as url:
            pager = client(url)
            text = "We work on it.\nNext update: by 12:30 UTC."
            await pager.publish(REF, text, "ana@example.com")
            await pager.publish(REF, text, "ana@example.com", since=begun)
            await pager.publish(REF, "It is over.", "ana@example.com", since=begun)
        assert [one["message"] for one in state.updates] == [text, "It is over."]

    async def test_an_update_holds_no_secret(self) -> None:
        state = PagerDutyState()
        async with pagerduty(state) as url:
            await client(url, redact=lambda text: text.replace("hunter2", "***")).publish(REF, "key hunter2", "Ana")
        assert state.updates[0]["message"] == "key ***"

    async def test_without_a_key_each_says_where_to_do_it(self) -> None:
        ben, pager = Responder(id="PBEN", kind="user", name="Ben"), NoPager()
        for act in (pager.priorities(), pager.set_priority(REF, "P1", ""), pager.assign(REF, ben, ""),
                    pager.publish(REF, "x", "")):  # fmt: skip
            with pytest.raises(Undeliverable, match="in PagerDuty itself"):
                await act
