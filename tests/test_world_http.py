"""The world over HTTP: both vendors' shapes, the gateway, compare-and-set, and what it keeps to itself."""

import json
from typing import Any

import aiohttp
import pytest

from tests.world_fakes import Client, chat, running

PONG = "Canary 1: reply with the one word pong."
VERSION = {"anthropic-version": "2023-06-01"}
ACME = "/providers/acme-openai/v1"
BETA = "/providers/beta-anthropic/v1"


async def test_an_openai_answer_has_the_vendors_shape_and_headers() -> None:
    async with running() as client:
        await client.make("N34")
        reply = await client.send("POST", f"{ACME}/chat/completions", chat("acme-large", PONG))
        body = await reply.json()
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "pong", "refusal": None}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    for name in ("x-request-id", "openai-processing-ms", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens",
                 "x-ratelimit-reset-tokens", "x-ratelimit-remaining-requests"):  # fmt: skip
        assert name in reply.headers
    assert float(reply.headers["x-sim-elapsed"]) >= float(reply.headers["x-sim-first-byte"]) > 0


async def test_an_openai_stream_ends_with_usage_and_done() -> None:
    async with running() as client:
        await client.make("N34")
        question = chat("acme-large", "Tell me something.", stream=True, stream_options={"include_usage": True})
        question["max_tokens"] = 64
        reply = await client.send("POST", f"{ACME}/chat/completions", question)
        lines = [line[6:] for line in (await reply.text()).split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] > 5
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks[:-1]).startswith("Here is")
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


async def test_a_cut_answer_says_length() -> None:
    async with running() as client:
        await client.make("N34")
        question = chat("acme-large", "Tell me something.") | {"max_tokens": 3}
        body = await (await client.send("POST", f"{ACME}/chat/completions", question)).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 3


async def test_log_probabilities_come_when_asked_for() -> None:
    async with running() as client:
        await client.make("N34")
        question = chat("acme-large", "Tell me something.", logprobs=True, top_logprobs=3)
        body = await (await client.send("POST", f"{ACME}/chat/completions", question)).json()
        other = await (await client.send("POST", f"{ACME}/chat/completions", question)).json()
    tokens = body["choices"][0]["logprobs"]["content"]
    assert all(len(token["top_logprobs"]) == 3 and token["logprob"] < 0 for token in tokens)
    assert all(token["top_logprobs"][0]["logprob"] == token["logprob"] for token in tokens)
    again = other["choices"][0]["logprobs"]["content"]
    assert tokens != again
    assert all(abs(a["logprob"] - b["logprob"]) < 0.2 for a, b in zip(tokens, again, strict=True))


async def test_a_schema_is_filled() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "n": {"type": "integer", "minimum": 2},
              "kind": {"enum": ["a", "b"]}, "tags": {"type": "array", "items": {"type": "string"}}}}  # fmt: skip
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    async with running() as client:
        await client.make("N34")
        question = chat("acme-large", "Give me one.", response_format=shape) | {"max_tokens": 200}
        body = await (await client.send("POST", f"{ACME}/chat/completions", question)).json()
    assert json.loads(body["choices"][0]["message"]["content"]) == {
        "city": "example", "n": 2, "kind": "a", "tags": ["example"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (chat("acme-huge", "hi"), 404, "model_not_found"),
        ({"model": "acme-large"}, 400, None),
        ({"messages": [{"role": "user", "content": "x"}]}, 400, None),
        (chat("acme-large", "hi") | {"max_tokens": 0}, 400, "invalid_value"),
    ],
)
async def test_openai_refusals(body: Any, status: int, code: str | None) -> None:
    async with running() as client:
        await client.make("N34")
        reply = await client.send("POST", f"{ACME}/chat/completions", body)
        error = (await reply.json())["error"]
    assert reply.status == status
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code


async def test_models_are_listed_and_found() -> None:
    async with running() as client:
        await client.make("N34")
        listed = await client.get(f"{ACME}/models")
        assert {"acme-large", "acme-small", "acme-embed"} <= {entry["id"] for entry in listed["data"]}
        assert (await client.get(f"{ACME}/models/acme-small"))["object"] == "model"
        assert (await client.send("GET", f"{ACME}/models/gone")).status == 404
        beta = await (await client.send("GET", f"{BETA}/models", headers=VERSION)).json()
        assert [entry["id"] for entry in beta["data"]] == ["beta-sonnet", "beta-haiku"]


async def test_embeddings_are_stable_to_the_fourth_decimal() -> None:
    async with running() as client:
        await client.make("N34")
        body = {"model": "acme-embed", "input": ["refund policy", "weather"]}
        one, two = [await (await client.send("POST", f"{ACME}/embeddings", body)).json() for _ in range(2)]
    first, again = one["data"][0]["embedding"], two["data"][0]["embedding"]
    assert sum(a * b for a, b in zip(first, again, strict=True)) > 0.9999
    assert sum(a * b for a, b in zip(first, one["data"][1]["embedding"], strict=True)) < 0.5


async def test_an_anthropic_answer_and_its_stream() -> None:
    question = {"model": "beta-sonnet", "max_tokens": 20, "messages": [{"role": "user", "content": PONG}]}
    async with running() as client:
        await client.make("N34")
        reply = await client.send("POST", f"{BETA}/messages", question, VERSION)
        body = await reply.json()
        streamed = await client.send("POST", f"{BETA}/messages", question | {"stream": True}, VERSION)
        kinds = [line[7:] for line in (await streamed.text()).splitlines() if line.startswith("event: ")]
        counted = await (await client.send("POST", f"{BETA}/messages/count_tokens", question, VERSION)).json()
    assert body["content"] == [{"type": "text", "text": "pong"}]
    assert body["stop_reason"] == "end_turn"
    assert "anthropic-ratelimit-tokens-remaining" in reply.headers
    assert int(reply.headers["anthropic-ratelimit-tokens-remaining"]) % 1000 == 0
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert counted["input_tokens"] == body["usage"]["input_tokens"]


async def test_anthropic_wants_its_version_header() -> None:
    question = {"model": "beta-sonnet", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]}
    async with running() as client:
        await client.make("N34")
        reply = await client.send("POST", f"{BETA}/messages", question)
        assert reply.status == 400
        assert (await reply.json())["error"]["type"] == "invalid_request_error"


async def test_the_gateway_serves_routes_and_says_who_answered() -> None:
    async with running() as client:
        await client.make("N34")
        reply = await client.send("POST", "/gateway/v1/chat/completions", chat("chat", PONG))
        body = await reply.json()
        unknown = await client.send("POST", "/gateway/v1/chat/completions", chat("nowhere", PONG))
    assert body["model"] == "acme-large"
    assert reply.headers["x-litellm-model-id"] in ("acme-openai-zone-a", "acme-openai-zone-b")
    assert reply.headers["x-litellm-attempted-fallbacks"] == "0"
    assert "llm_provider-x-ratelimit-remaining-tokens" in reply.headers
    assert unknown.status == 400


async def test_after_a_shift_the_gateway_answers_with_the_other_model() -> None:
    async with running() as client:
        await client.make("N34")
        await put(client, "/gateway/admin/routes/chat", {"weights": {"acme-openai": 0, "beta-anthropic": 100}})
        reply = await client.send("POST", "/gateway/v1/chat/completions", chat("chat", PONG))
        assert (await reply.json())["model"] == "beta-sonnet"
        assert reply.headers["x-litellm-model-id"] == "beta-anthropic-us"


async def test_health_metrics_and_tools_answer() -> None:
    async with running() as client:
        await client.make("N34")
        assert (await client.get("/gateway/health/readiness"))["status"] == "healthy"
        assert (await client.get("/tools/orders/ping"))["status"] == "ok"
        text = await (await client.send("GET", "/gateway/metrics")).text()
    assert 'litellm_deployment_state{service="chat-assistant"' in text


# --- documents -----------------------------------------------------------------------------------------------------


async def put(client: Client, path: str, body: Any) -> aiohttp.ClientResponse:
    """As a careful client does: read, then write under the version read."""
    read = await client.send("GET", path)
    return await client.send("PUT", path, body, {"if-match": read.headers["etag"]})


DOCUMENTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("/gateway/admin/banners/chat", {"text": "slow"}, {"text": 5}),
    ("/gateway/admin/classes/chat/batch", {"admit_percent": 0}, {"admit_percent": 101}),
    ("/gateway/admin/retries", {"max_retries": 1}, {"max_retries": -1}),
    ("/gateway/admin/deployments/acme-openai-zone-a", {"drained": True}, {"drained": "yes"}),
    ("/gateway/admin/canaries", {"suspended": True}, {"suspended": 1}),
    (
        "/gateway/admin/routes/chat",
        {"weights": {"acme-openai": 50, "beta-anthropic": 50}},
        {"weights": {"acme-openai": 90}},
    ),
    ("/gateway/admin/params/chat", {"revision": "r16", "model": "acme-large-2026-08-01"}, {"model": "gpt-9"}),
    ("/gateway/admin/caps/agent", {"max_steps": 25}, {"max_steps": 0}),
    ("/gateway/admin/limits/chat/northwind", {"tokens_per_minute": 1000}, {"tokens_per_minute": "few"}),
    (
        "/gateway/admin/moderation/moderation-text",
        {"on_timeout": "hold", "hold_for_review": True},
        {"on_timeout": "ask"},
    ),
    ("/prompts/support", {"aliases": {"production": 11}}, {"aliases": {"production": 99}}),
    ("/ingestion/support-kb", {"state": "paused"}, {"state": "gone"}),
]


@pytest.mark.parametrize(("path", "good", "bad"), DOCUMENTS, ids=[path for path, _, _ in DOCUMENTS])
async def test_documents_are_changed_by_compare_and_set(path: str, good: Any, bad: Any) -> None:
    async with running() as client:
        await client.make("N34")
        before = await client.send("GET", path)
        version = (await before.json())["version"]
        assert before.headers["etag"] == f'"{version}"'
        assert (await client.send("PUT", path, good)).status == 428
        assert (await client.send("PUT", path, good, {"if-match": '"999"'})).status == 412
        assert (await client.send("PUT", path, bad, {"if-match": before.headers["etag"]})).status == 422
        assert (await client.send("PUT", path, {"nonsense": 1}, {"if-match": before.headers["etag"]})).status == 422
        done = await client.send("PUT", path, good, {"if-match": before.headers["etag"]})
        assert done.status == 200
        now = await client.get(path)
        assert now["version"] == version + 1 == (await done.json())["version"]
        assert all(now[key] == value for key, value in good.items())
        assert (await client.send("PUT", path, good, {"if-match": before.headers["etag"]})).status == 412


async def test_unknown_documents_are_not_found() -> None:
    async with running() as client:
        await client.make("N34")
        for path in ("/gateway/admin/routes/nowhere", "/prompts/none", "/ingestion/other", "/prompts/chat/versions/99"):
            assert (await client.send("GET", path)).status == 404


async def test_writing_the_same_again_changes_nothing() -> None:
    async with running() as client:
        await client.make("N34")
        first = await (await put(client, "/gateway/admin/retries", {"max_retries": 1})).json()
        second = await (await put(client, "/gateway/admin/retries", {"max_retries": 1})).json()
        assert first == second
        assert len((await client.referee("GET", "/state"))["writes"]) == 1


async def test_a_prompt_version_says_which_one_it_is() -> None:
    async with running() as client:
        await client.make("S15")
        document = await client.get("/prompts/support")
        assert document["aliases"] == {"production": 13}
        texts = [(await client.get(f"/prompts/support/versions/{v['version']}"))["text"] for v in document["versions"]]
    assert texts[-1].startswith("[prompt support v13]")
    assert "{{tone}}" in texts[-1]
    assert not any("{{" in text for text in texts[:-1])


# --- what it keeps to itself ---------------------------------------------------------------------------------------


async def test_without_a_world_and_without_the_token_there_is_nothing() -> None:
    async with running() as client:
        assert (await client.send("GET", "/gateway/health/readiness")).status == 404
        for token in ("", "wrong"):
            reply = await client.send("POST", "/referee/worlds", {"scenario": "S01"}, {"x-referee-token": token})
            assert reply.status == 404


async def test_nothing_outside_the_referee_tells_the_answer() -> None:
    async with running() as client:
        born = await client.make("S15")
        paths = ["/", "/scenario", "/gateway/admin", "/prompts/support", "/ingestion/support-kb", "/status/acme-openai",
                 "/gateway/admin/deployments", "/status/acme-openai/api/v2/summary.json"]  # fmt: skip
        texts = [await (await client.send("GET", path)).text() for path in paths]
    whole = json.dumps(born) + "".join(texts)
    for secret in ("S15", "prompt-regression", "truth", "tempting", "good"):
        assert secret not in whole.replace("goods", "")


async def test_a_new_world_replaces_the_old_one() -> None:
    async with running() as client:
        await client.make("S15")
        await client.make("N33")
        assert (await client.get("/prompts/support"))["aliases"] == {"production": 12}


async def test_bad_queries_are_bad_data() -> None:
    async with running() as client:
        await client.make("N34")
        reply = await client.send("GET", "/prometheus/api/v1/query?query=sum(")
        told = await reply.json()
        assert reply.status == 400
        assert told["errorType"] == "bad_data"
        assert "1:5: parse error" in told["error"]
        wide = "/prometheus/api/v1/query_range?query=up&start=0&end=90000000&step=15"
        assert (await client.send("GET", wide)).status == 400


async def test_a_range_query_answers_the_visible_past() -> None:
    async with running() as client:
        born = await client.make("N34")
        end = born["page_at"]
        path = f"/prometheus/api/v1/query_range?query=app_users_active&start={end - 3600}&end={end}&step=60"
        data = (await client.get(path))["data"]
    assert data["resultType"] == "matrix"
    assert len(data["result"]) == 8
    assert all(len(series["values"]) == 61 for series in data["result"])
