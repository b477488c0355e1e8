"""``/api/v1`` over real HTTP: what it reads, what it lets people do, and whom it turns away."""

import json
from typing import Any

import httpx
import pytest

from bot.domain.proposal import Principal, VoteResult
from bot.edges.api_models import SAID
from bot.edges.views_json import view_json
from bot.edges.web import refuse_unsafe_bind
from bot.ports import Told, VoteContext
from tests import view_samples
from tests.web_fakes import TOKEN, Site, site

INCIDENT = "inc-7f3a2c"
PROPOSAL = "pr-51c0de"
HASH = view_samples.PLAN.hash


async def get(here: Site, path: str, **headers: str) -> httpx.Response:
    return await here.client.get(f"/api/v1{path}", headers=here.api(**headers))


async def post(here: Site, path: str, body: Any = None, **headers: str) -> httpx.Response:
    return await here.client.post(f"/api/v1{path}", json=body, headers=here.api(**headers))


class TestReading:
    async def test_incidents_and_one_of_them_by_any_of_its_names(self) -> None:
        async with site() as here:
            (listed,) = (await get(here, "/incidents")).json()
            by_id, by_reference = (await get(here, f"/incidents/{INCIDENT}")), (await get(here, "/incidents/Q2PQ7M1"))
        assert (listed["id"], listed["active"], listed["status"]) == (INCIDENT, True, "open")
        assert by_id.json() == by_reference.json()
        assert by_id.json()["proposals"][0]["proposal"]["plan_hash"] == HASH
        assert by_id.json()["diagnosis"]["ranked"][0]["mode"] == "provider-outage"

    @pytest.mark.parametrize(
        "sample",
        [view_samples.received, view_samples.investigating, view_samples.verified, view_samples.made_worse,
         view_samples.observe, view_samples.no_fault, view_samples.inconclusive, view_samples.frozen,
         view_samples.manual, view_samples.resolved, view_samples.hostile],
    )  # fmt: skip
    async def test_every_state_of_an_incident_is_plain_json_and_the_same_each_time(self, sample: Any) -> None:
        view = sample()
        once = json.dumps(view_json(view), allow_nan=False)
        assert once == json.dumps(view_json(sample()), allow_nan=False)
        async with site(view=view) as here:
            assert (await get(here, f"/incidents/{INCIDENT}")).json() == json.loads(once)

    async def test_parts_of_an_incident(self) -> None:
        async with site() as here:
            findings = (await get(here, f"/incidents/{INCIDENT}/findings")).json()
            proposals = (await get(here, f"/incidents/{INCIDENT}/proposals")).json()
            entries = (await get(here, f"/incidents/{INCIDENT}/timeline?after=3")).json()
            open_ones = (await get(here, "/proposals")).json()
            one = (await get(here, f"/proposals/{PROPOSAL}")).json()
        assert findings[0]["id"] == "ev-00000001"
        assert [entry["seq"] for entry in entries] == [4, 5]
        assert proposals == open_ones == [one]

    async def test_an_export_is_a_file_with_a_name_of_ours(self) -> None:
        media = {"md": "text/markdown", "html": "text/html", "json": "application/json", "csv": "text/csv"}
        async with site() as here:
            for form, kind in media.items():
                answer = await get(here, f"/incidents/{INCIDENT}/export?format={form}")
                assert answer.text == f"{INCIDENT} as {form}"
                assert answer.headers["content-type"].startswith(kind)
                assert answer.headers["content-disposition"] == f'attachment; filename="{INCIDENT}.{form}"'
                assert "default-src 'none'" in answer.headers["content-security-policy"]

    async def test_what_is_not_there_says_so_and_what_to_do(self) -> None:
        async with site() as here:
            for path in ("/incidents/inc-none", "/incidents/inc-none/timeline", "/proposals/pr-none", "/nothing"):
                answer = await get(here, path)
                assert answer.status_code == 404, path
                assert all(answer.json()["error"][key] for key in ("what", "where", "fix"))
            for path in ("/incidents/%00", f"/incidents/{INCIDENT}/export?format=exe", "/incidents?limit=0",
                         f"/incidents/{INCIDENT}/timeline?after=-1"):  # fmt: skip
                answer = await get(here, path)
                assert (answer.status_code, set(answer.json())) == (422, {"error"}), path


class TestActing:
    async def test_a_vote_is_cast_on_the_whole_hash_by_the_named_local_person(self) -> None:
        async with site() as here:
            body = {"plan_hash": HASH, "decision": "approve", "reason": "agreed"}
            headers = {"x-pagerunner-user": "ana", "x-pagerunner-via": "cli"}
            answer = await post(here, f"/proposals/{PROPOSAL}/votes", body, **headers)
        assert (answer.status_code, answer.json()["result"]) == (200, "approved")
        who = Principal(id="local:ana", name="ana", via="cli")
        assert here.desk.calls == [("vote", PROPOSAL, HASH, "approve", who, VoteContext(), "agreed")]

    async def test_every_outcome_of_a_vote_has_a_status_and_words(self) -> None:
        async with site() as here:
            for result in VoteResult:
                here.desk.result = result
                answer = await post(here, f"/proposals/{PROPOSAL}/votes", {"plan_hash": HASH, "decision": "reject"})
                assert answer.status_code == SAID[result][0]
                assert answer.json()["result"] == result.value
                if answer.status_code == 200:
                    assert answer.json()["text"]
                else:
                    assert all(answer.json()["error"][key] for key in ("what", "where", "fix"))

    ACTS: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
        (f"/proposals/{PROPOSAL}/edit", {"params": {"percent": "50"}}, ("edit", PROPOSAL, {"percent": "50"})),
        (f"/proposals/{PROPOSAL}/another", None, ("another", PROPOSAL)),
        (f"/proposals/{PROPOSAL}/done", None, ("done", PROPOSAL)),
        (f"/incidents/{INCIDENT}/acknowledge", None, ("command", INCIDENT, "acknowledge")),
        (f"/incidents/{INCIDENT}/escalate", None, ("command", INCIDENT, "escalate")),
        (f"/incidents/{INCIDENT}/resolve", None, ("command", INCIDENT, "resolve")),
        (f"/incidents/{INCIDENT}/close", None, ("command", INCIDENT, "close")),
        (f"/incidents/{INCIDENT}/hint", {"text": "vendor says"}, ("hint", INCIDENT, "vendor says")),
        (f"/incidents/{INCIDENT}/note", {"text": "n"}, ("note", INCIDENT, "note_added", "n")),
        (f"/incidents/{INCIDENT}/note", {"text": "n", "kind": "person_did"}, ("note", INCIDENT, "person_did", "n")),
        ("/freeze", {"service": "*", "reason": "storm"}, ("freeze", "*", True, "storm")),
        ("/unfreeze", {"service": "chat-assistant", "reason": "over"}, ("freeze", "chat-assistant", False, "over")),
    )

    async def test_each_act_reaches_the_desk_once(self) -> None:
        async with site(local_user="root") as here:
            for path, body, call in self.ACTS:
                here.desk.calls.clear()
                here.desk.told = Told(ok=True, text="Done.")
                answer = await post(here, path, body)
                assert (answer.status_code, answer.json()) == (200, {"ok": True, "text": "Done."}), path
                assert here.desk.calls == [(*call, Principal(id="local:root", name="root", via="api"))]
                here.desk.told = Told(ok=False, text="It is closed; reopen it in PagerDuty.")
                answer = await post(here, path, body)
                assert answer.status_code == 409
                assert answer.json()["error"]["what"] == "It is closed; reopen it in PagerDuty."

    UNFIT: tuple[tuple[str, Any], ...] = (
        (f"/proposals/{PROPOSAL}/votes", {"plan_hash": HASH[:16], "decision": "approve"}),
        (f"/proposals/{PROPOSAL}/votes", {"plan_hash": HASH, "decision": "maybe"}),
        (f"/proposals/{PROPOSAL}/votes", {"plan_hash": HASH, "decision": "approve", "force": True}),
        (f"/proposals/{PROPOSAL}/votes", None),
        (f"/proposals/{PROPOSAL}/edit", {"params": {"percent": 50}}),
        (f"/incidents/{INCIDENT}/hint", {"text": ""}),
        (f"/incidents/{INCIDENT}/hint", {"text": "x" * 4_001}),
        (f"/incidents/{INCIDENT}/note", {"text": "x", "kind": "effect_applied"}),
        (f"/incidents/{INCIDENT}/delete", None),
        ("/freeze", {"service": "../x", "reason": "y"}),
    )

    async def test_what_does_not_fit_is_refused_with_its_place(self) -> None:
        async with site() as here:
            for path, body in self.UNFIT:
                answer = await post(here, path, body)
                assert (answer.status_code, here.desk.calls) == (422, []), (path, body)
                assert answer.json()["error"]["where"]

    async def test_broken_json_never_becomes_a_crash(self) -> None:
        url = f"/api/v1/incidents/{INCIDENT}/hint"
        async with site() as here:
            for raw in (
                b"{",
                b"[" * 100_000,
                b'{"text":"a","text":"b"}',
                b'{"text":NaN}',
                b'{"text":"\\ud800"}',
                b"\xff",
            ):
                headers = here.api(**{"content-type": "application/json"})
                answer = await here.client.post(url, content=raw, headers=headers)
                assert (answer.status_code, set(answer.json())) == (400, {"error"}), raw[:20]
            answer = await here.client.post(
                url, content=b'{"text":"a"}', headers=here.api(**{"content-type": "text/plain"})
            )
            assert answer.status_code == 415
        assert here.desk.calls == []

    async def test_storage_down_is_a_503_and_says_that_nothing_changed(self) -> None:
        async with site() as here:
            here.desk.down = True
            answer = await post(here, f"/incidents/{INCIDENT}/acknowledge")
        assert answer.status_code == 503
        assert "nothing was changed" in answer.json()["error"]["what"]


class TestWhoMay:
    async def test_nobody_without_the_token(self) -> None:
        async with site() as here:
            for header in (None, "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x"):
                headers = {} if header is None else {"authorization": header}
                answer = await here.client.get("/api/v1/incidents", headers=headers)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), header
            twice = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer x")]
            assert (await here.client.get("/api/v1/incidents", headers=twice)).status_code == 401
            assert here.figure("requests_denied_total", surface="api", reason="no_token") == 7
        async with site(api_token="") as here:
            assert (
                await here.client.get("/api/v1/incidents", headers={"authorization": "Bearer "[:-1]})
            ).status_code == 401

    async def test_no_other_site_even_with_the_token(self) -> None:
        foreign: list[dict[str, str]] = [
            {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1.evil.example"},
            {"origin": "http://[broken"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
        ]  # fmt: skip
        async with site() as here:
            for headers in foreign:
                assert (await post(here, f"/incidents/{INCIDENT}/acknowledge", **headers)).status_code == 403, headers
                assert (await get(here, "/incidents", **headers)).status_code == 403
            assert here.desk.calls == []

    async def test_our_own_pages_and_declared_origins_may(self) -> None:
        async with site(allowed_origins=frozenset({"https://oncall.example.com"})) as here:
            own = [{"origin": f"http://127.0.0.1:{here.port}", "sec-fetch-site": "same-origin"},
                   {"origin": "http://localhost:8080"}, {"origin": "https://oncall.example.com"}]  # fmt: skip
            for headers in own:
                assert (await get(here, "/incidents", **headers)).status_code == 200, headers

    async def test_a_name_is_plain(self) -> None:
        async with site() as here:
            for name in ["", "a b", "../x", "ana\u00e9", "x" * 64, "-ana", "slack:T1/U1"]:
                headers = [
                    (b"authorization", f"Bearer {TOKEN}".encode()),
                    (b"x-pagerunner-user", name.encode("latin-1")),
                ]
                answer = await here.client.post(f"/api/v1/incidents/{INCIDENT}/acknowledge", headers=headers)
                assert (answer.status_code, here.desk.calls) == (400, []), name

    async def test_reading_changes_nothing_and_acting_is_never_a_get(self) -> None:
        async with site() as here:
            schema = (await here.client.get("/api/v1/openapi.json")).json()
            for path, operations in schema["paths"].items():
                if "post" in operations:
                    filled = path.replace("{proposal_id}", PROPOSAL).replace("{incident_id}", INCIDENT)
                    filled = filled.replace("{command}", "acknowledge")
                    for method in ("GET", "HEAD"):
                        answer = await here.client.request(method, filled, headers=here.api())
                        if "get" not in operations:
                            assert answer.status_code in (404, 405), (method, filled)
            assert here.desk.calls == []

    async def test_the_published_schema_is_what_is_answered(self) -> None:
        async with site() as here:
            schema = (await here.client.get("/api/v1/openapi.json")).json()
        answer = schema["paths"]["/api/v1/incidents/{incident_id}"]["get"]["responses"]
        assert answer["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/ViewOut")
        assert answer["404"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorOut")
        assert set(view_json(view_samples.verified())) == set(schema["components"]["schemas"]["ViewOut"]["properties"])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.9"])
def test_this_machine_may_be_bound_without_authentication(host: str) -> None:
    refuse_unsafe_bind(host, has_auth=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.5", "oncall.example"])
def test_other_addresses_need_authentication(host: str) -> None:
    with pytest.raises(ValueError, match="without authentication"):
        refuse_unsafe_bind(host, has_auth=False)
    refuse_unsafe_bind(host, has_auth=True)
