"""Plumbing against rough senders, over plain sockets. Deadlines are shortened; nothing here measures time."""

import asyncio
import resource
from typing import Any

import pytest

from bot.edges.guard import Limits
from tests.http_fakes import DATA
from tests.web_fakes import pd_signature, serving, site, talk

SHORT = Limits(header_s=0.3, body_s=0.4, keep_alive_s=1)
HEAD = b"POST /x HTTP/1.1\r\nhost: h\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body, and with the peer it believes in."""
    if scope["type"] != "http":
        return
    body = b""
    while (message := await receive()).get("more_body") or message.get("body"):
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    text = f"{len(body)} {scope['client'][0]}".encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(text)).encode())]}
    )
    await send({"type": "http.response.body", "body": text})


class Held:
    """Echoes, but keeps a request for ``/hold`` waiting until it is released."""

    def __init__(self) -> None:
        self.entered, self.release = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/hold":
            self.entered.set()
            await self.release.wait()
        await echo(scope, receive, send)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """One request on an open connection; the head and the body of its answer."""
    writer.write(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(len(b"0 127.0.0.1"))


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


class TestDeadlines:
    async def test_a_silent_connection_is_closed(self) -> None:
        async with serving(echo, SHORT) as port:
            assert await talk(port) == b""

    async def test_a_trickle_of_headers_is_closed(self) -> None:
        async with serving(echo, SHORT) as port:
            pieces = [piece for n in range(8) for piece in (f"x-{n}: y\r\n".encode(), 0.1)]
            assert await talk(port, b"POST / HTTP/1.1\r\n", *pieces) == b""

    async def test_the_header_deadline_is_armed_again_for_each_request_of_a_connection(self) -> None:
        async with serving(echo, SHORT) as port:
            answer = await talk(
                port, b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n", 0.1, b"GET /b HTTP/1.1\r\n", 0.2, b"a: b\r\n"
            )
            assert answer.count(b"HTTP/1.1 200") == 1, "the second request never ended, and the connection did"

    async def test_a_slow_answer_is_not_cut_off_by_the_header_deadline(self) -> None:
        async def slow(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                await asyncio.sleep(0.6)
                await echo(scope, receive, send)

        async with serving(slow, SHORT) as port:
            assert status(await talk(port, b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")) == 200

    async def test_a_trickle_of_body_gets_a_408(self) -> None:
        async with serving(echo, SHORT) as port:
            pieces = [piece for _ in range(3) for piece in (b"x", 0.1)]
            assert status(await talk(port, HEAD + b"content-length: 100000\r\n\r\n", *pieces)) == 408

    async def test_many_slow_senders_do_not_keep_a_genuine_page_out(self) -> None:
        raw = (DATA / "pagerduty" / "01_incident_triggered.json").read_bytes()
        async with site(limits=Limits(connections=60, header_s=30, body_s=30)) as here:
            senders = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(200)]
            for n, (_, writer) in enumerate(senders):
                writer.write(
                    b"POST /webhooks/pagerduty HTTP/1.1\r\nhost: h\r\n"
                    if n % 2
                    else HEAD + b"content-length: 9\r\n\r\nx"
                )
            headers = {"x-pagerduty-signature": pd_signature(raw)}
            answer = await here.client.post("/webhooks/pagerduty", content=raw, headers=headers)
            ready = await here.client.get("/readyz")
            for _, writer in senders:
                writer.close()
        assert (answer.status_code, ready.status_code) == (202, 200)

    async def test_idle_connections_make_room_oldest_first_and_working_ones_do_not(self) -> None:
        held = Held()
        async with serving(held, Limits(connections=3, header_s=30, keep_alive_s=30)) as port:
            oldest = await asyncio.open_connection("127.0.0.1", port)
            assert status(await ask(*oldest)) == 200
            working = asyncio.create_task(talk(port, b"GET /hold HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"))
            await held.entered.wait()
            younger = await asyncio.open_connection("127.0.0.1", port)
            assert status(await ask(*younger)) == 200
            newest = await asyncio.open_connection("127.0.0.1", port)
            assert status(await ask(*newest)) == 200
            assert await _rest(oldest[0]) == b"", "it was closed"
            assert status(await ask(*younger)) == 200
            held.release.set()
            assert status(await working) == 200
            for _, writer in (oldest, younger, newest):
                writer.close()


class TestBodies:
    @pytest.mark.parametrize(
        ("headers", "body", "expected"),
        [
            (b"content-length: -1\r\n", b"", 400),
            (b"content-length: 1e3\r\n", b"", 400),
            (b"content-length: 5\r\ncontent-length: 6\r\n", b"hello", 400),
            (b"content-length: 5\r\ntransfer-encoding: chunked\r\n", b"0\r\n\r\n", 400),
            (b"transfer-encoding: gzip, chunked\r\n", b"0\r\n\r\n", 400),
            (b"content-length: 3\r\ncontent-encoding: gzip\r\n", b"abc", 415),
            (b"content-length: 3\r\ncontent-encoding: br\r\n", b"abc", 415),
            (b"content-length: 3\r\ncontent-encoding: identity\r\n", b"abc", 200),
            (b"content-length: 524289\r\n", b"", 413),
            (b"content-length: 99999999999999999999\r\n", b"", 400),
            (b"transfer-encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n", 200),
            (b"transfer-encoding: chunked\r\n", b"zz\r\nabc\r\n0\r\n\r\n", 400),
            (b"x" * 20_000 + b": y\r\n", b"", 431),
        ],
    )
    async def test_what_is_odd_is_refused(self, headers: bytes, body: bytes, expected: int) -> None:
        async with serving(echo, SHORT) as port:
            answer = await talk(port, HEAD + headers + b"connection: close\r\n\r\n" + body)
        assert status(answer) == expected

    async def test_a_huge_body_is_cut_off_while_it_comes_and_never_kept(self) -> None:
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with serving(echo) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
            sent = 0
            try:
                while sent < 200_000_000:
                    writer.write(piece)
                    await writer.drain()
                    sent += len(piece)
            except ConnectionError:
                pass
            assert sent < 50_000_000, "the connection was closed long before the end"
            assert status(await _rest(reader)) in (0, 413)
            writer.close()
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000

    async def test_a_413_can_be_read_by_a_sender_that_finishes_sending(self) -> None:
        async with site() as here:
            answer = await here.client.post("/webhooks/pagerduty", content=b"x" * 300_000)
        assert answer.status_code == 413

    async def test_all_bodies_together_have_a_limit(self) -> None:
        async with serving(echo, Limits(buffered_bytes=100_000, body_s=5)) as port:
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
            for _, writer in held:
                writer.write(HEAD + b"content-length: 60000\r\n\r\n" + b"x" * 40_000)
                await writer.drain()
            answers = await asyncio.wait_for(asyncio.wait(
                [asyncio.create_task(_rest(reader)) for reader, _ in held], return_when=asyncio.FIRST_COMPLETED), 5,
            )  # fmt: skip
            refused = [task.result() for task in answers[0]]
            for task in answers[1]:
                task.cancel()
            for _, writer in held:
                writer.close()
        assert {status(answer) for answer in refused} == {503}

    async def test_a_sender_that_leaves_in_the_middle_harms_nobody(self) -> None:
        async with serving(echo, SHORT) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"content-length: 50\r\n\r\nabc")
            await writer.drain()
            writer.close()
            assert status(await talk(port, b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")) == 200


class TestOverload:
    async def test_beyond_the_limit_webhooks_come_again_and_health_is_still_answered(self) -> None:
        held = Held()
        async with serving(held, Limits(requests=1)) as port:
            working = asyncio.create_task(talk(port, b"GET /hold HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"))
            await held.entered.wait()
            for path, expected in ((b"/webhooks/pagerduty", 429), (b"/api/v1/incidents", 503), (b"/readyz", 200)):
                answer = await talk(port, b"GET " + path + b" HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
                assert status(answer) == expected
                assert (b"retry-after" in answer) == (expected != 200)
            held.release.set()
            assert status(await working) == 200


class TestOddRequests:
    async def test_methods_and_paths_that_are_not_there(self) -> None:
        table: list[tuple[bytes, set[int]]] = [
            (b"TRACE /healthz", {405}), (b"OPTIONS *", {405, 400}), (b"BREW /healthz", {405}),
            (b"DELETE /healthz", {405}), (b"POST /healthz", {405}), (b"GET /webhooks/pagerduty", {405}),
            (b"GET /..%2f..%2fetc/passwd", {404}), (b"GET /healthz/", {404}), (b"GET //evil.example/healthz", {404}),
            (b"GET /nothing", {404}),
        ]  # fmt: skip
        async with site() as here:
            for line, expected in table:
                answer = await talk(here.port, line + b" HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
                assert status(answer) in expected, line
                assert b"location" not in answer.lower()

    async def test_what_a_sender_says_about_itself_is_not_believed(self) -> None:
        claims = (
            b"host: evil.example\r\nx-forwarded-for: 8.8.8.8\r\nx-forwarded-proto: https\r\nforwarded: for=8.8.8.8\r\n"
        )
        async with serving(echo) as port:
            answer = await talk(port, b"GET / HTTP/1.1\r\n" + claims + b"connection: close\r\n\r\n")
        assert answer.endswith(b"0 127.0.0.1")
        assert b"evil" not in answer

    async def test_answers_tell_no_version_and_are_not_sniffed_framed_or_kept(self) -> None:
        async with site() as here:
            headers = (await here.client.get("/healthz")).headers
        assert "server" not in headers
        assert headers["x-content-type-options"] == "nosniff"
        assert (headers["x-frame-options"], headers["cache-control"]) == ("DENY", "no-store")


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""
