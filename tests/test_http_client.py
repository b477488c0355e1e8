"""The safe HTTP client against real sockets: what it sends, what it refuses, and how far it says a failure came."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from bot.edges.addresses import blocked, problems
from bot.edges.http import ReadingHttp, SafeHttp, VirtualHttp
from config.catalogue import Catalogue, Target
from config.http import HttpError, Reply
from tests.http_fakes import DATA, NOW, Raw, StillClock, catalogue, local, raw_server, reply


async def failure(client: SafeHttp, *args: Any, **more: Any) -> HttpError:
    with pytest.raises(HttpError) as caught:
        await client.request(*args, **more)
    return caught.value


@asynccontextmanager
async def served(answer: Any, **target: Any) -> AsyncIterator[tuple[Raw, SafeHttp]]:
    """A server that answers so, and a client whose target ``t`` it is."""
    async with raw_server(answer) as server, SafeHttp(catalogue(t=local(server.port, **target)), {}) as client:
        yield server, client


def resolver(*answers: Sequence[str]) -> Any:
    calls: list[str] = []
    pending = [list(answer) for answer in answers]

    async def resolve(host: str, port: int) -> Sequence[str]:
        calls.append(host)
        return pending[min(len(calls), len(pending)) - 1]

    resolve.calls = calls  # type: ignore[attr-defined]
    return resolve


class TestWhatIsSent:
    async def test_a_get_reaches_the_path_below_the_base_and_returns_the_whole_reply(self) -> None:
        async with served(reply(b'{"ok":true}', headers={"X-Request-Id": "r1"})) as (server, client):
            got = await client.request("t", "GET", "/v1/models", query={"q": "a b&c=d/#"})
        assert (got.status, got.body, got.headers["x-request-id"]) == (200, b'{"ok":true}', "r1")
        assert got.elapsed_s >= got.first_byte_s > 0
        line, *headers = server.requests[0].decode().split("\r\n")
        assert line == "GET /base/v1/models?q=a%20b%26c%3Dd%2F%23 HTTP/1.1"
        assert f"host: 127.0.0.1:{server.port}" in headers
        assert "accept-encoding: identity" in headers

    async def test_a_body_is_sent_as_json_with_its_length(self) -> None:
        async with served(reply()) as (server, client):
            await client.request("t", "PUT", "/x", purpose="effect", body={"a": "ü"}, headers={"If-Match": '"3"'})
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert json.loads(body) == {"a": "ü"}
        assert b'if-match: "3"' in head
        assert b"content-type: application/json" in head

    async def test_the_credential_goes_to_its_own_target_only(self) -> None:
        async with raw_server(reply()) as mine, raw_server(reply()) as other:
            both = catalogue(
                mine=local(mine.port, auth_env="KEY", auth_prefix="Bearer "), other=local(other.port)
            )  # fmt: skip
            async with SafeHttp(both, {"KEY": "s3cret-value"}) as client:
                await client.request("mine", "GET", "/")
                await client.request("other", "GET", "/")
                await client.reach("mine")
        assert b"authorization: Bearer s3cret-value\r\n" in mine.requests[0]
        assert b"s3cret" not in other.requests[0]
        assert b"s3cret" not in mine.requests[1], "reach is unauthenticated"

    async def test_a_missing_credential_is_refused_rather_than_left_out(self) -> None:
        async with served(reply(), auth_env="KEY") as (server, client):
            error = await failure(client, "t", "GET", "/")
        assert (error.stage, "KEY" in error.detail, server.requests) == ("refused", True, [])

    async def test_proxies_of_the_environment_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        async with served(reply()) as (_, client):
            assert (await client.request("t", "GET", "/")).status == 200

    async def test_connections_are_reused_but_an_effect_has_one_of_its_own(self) -> None:
        async with served(reply()) as (server, client):
            for _ in range(3):
                await client.request("t", "GET", "/")
            assert server.connections == 1
            for _ in range(2):
                await client.request("t", "PUT", "/x", purpose="effect", body={})
        assert server.connections == 3


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("method", "path", "purpose"),
        [
            ("POST", "/v1/chat", "read"),
            ("PUT", "/v1/chat", "canary"),
            ("DELETE", "/v1/chat", "read"),
            ("POST", "/v1/other", "canary"),
            ("POST", "/v1/chat/", "canary"),
            ("CONNECT", "/", "effect"),
            ("TRACE", "/", "effect"),
        ],
    )
    async def test_a_method_or_path_outside_its_purpose(self, method: str, path: str, purpose: Any) -> None:
        async with served(reply(), canary_paths=["/v1/chat"]) as (server, client):
            error = await failure(client, "t", method, path, purpose=purpose)
        assert error.stage == "refused"
        assert error.surely_not_sent
        assert server.requests == []

    async def test_a_canary_may_post_to_a_declared_path(self) -> None:
        async with served(reply(), canary_paths=["/v1/chat"]) as (_, client):
            assert (await client.request("t", "POST", "/v1/chat", purpose="canary", body={})).status == 200

    @pytest.mark.parametrize(
        "path",
        ["x", "//evil/x", "/a/../b", "/a/..%2fb", "/a/%2e%2e/b", "/a\\b", "/a?b=c", "/a#b", "/a b", "/a\r\nx: y",
         "/ü", "/a/./b", "/" + "a" * 3000, "http://evil/"],
    )  # fmt: skip
    async def test_a_path_that_is_not_plain(self, path: str) -> None:
        async with served(reply()) as (server, client):
            assert (await failure(client, "t", "GET", path)).stage == "refused"
        assert server.requests == []

    @pytest.mark.parametrize(
        "headers",
        [{"Host": "evil"}, {"Authorization": "x"}, {"X-Key": "x"}, {"Content-Length": "3"}, {"x": "a\r\nb: c"},
         {"a b": "c"}, {"x": "é"}, {"Transfer-Encoding": "chunked"}, {"Accept-Encoding": "gzip"}, {"": "x"}],
    )  # fmt: skip
    async def test_a_header_that_is_not_the_callers(self, headers: dict[str, str]) -> None:
        async with served(reply(), auth_header="X-Key") as (server, client):
            assert (await failure(client, "t", "GET", "/", headers=headers)).stage == "refused"
        assert server.requests == []

    async def test_a_target_that_nobody_declared(self) -> None:
        client = SafeHttp(catalogue(), {})
        assert (await failure(client, "http://169.254.169.254", "GET", "/")).stage == "refused"
        with pytest.raises(HttpError):
            await client.reach("nobody")

    @pytest.mark.parametrize(
        "url",
        ["https://user:pw@host/", "https://ho\tst/", "https://host\\@evil/", "https://host/?a=b", "https://host/#a",
         "https://①②⑦.⓪.⓪.①/", "https://bücher.example/", "http://host.example/", "https://host:99999/",
         "https://host:0/", "https://[::1/", "https://host/a/../b", "https:///x", "https://host /x", "https://ho\rst"],
    )  # fmt: skip
    async def test_a_base_url_that_another_parser_could_read_otherwise(self, url: str) -> None:
        target = Target(name="t", base_url=url)
        assert len(problems([target])) == 1
        resolve = resolver(["93.184.216.34"])
        client = SafeHttp(
            Catalogue(targets=(target,), teams=(), services=(), fallback_channel="C"), {}, resolve=resolve
        )
        assert (await failure(client, "t", "GET", "/")).stage == "refused"
        assert resolve.calls == []

    async def test_probes_get_a_client_without_effects(self) -> None:
        async with served(reply()) as (_, client):
            reading = ReadingHttp(client)
            assert (await reading.request("t", "GET", "/")).status == 200
            with pytest.raises(HttpError, match="never change"):
                await reading.request("t", "PUT", "/", purpose="effect")
            assert [step.ok for step in await reading.reach("t")] == [True, True, True]


NEVER = [
    "169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "0.0.0.0", "::", "fe80::1", "fe80::1%eth0", "224.0.0.1", "ff02::1",
    "255.255.255.255", "240.0.0.1", "::127.0.0.1", "2001:0:a9fe:a9fe::1", "not-an-address",
]  # fmt: skip
PRIVATE = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd12::1", "198.18.0.1",
           "::ffff:10.0.0.1"]  # fmt: skip
WIDE = ["0.0.0.0/0", "::/0"]


class TestAddresses:
    @pytest.mark.parametrize("address", NEVER)
    async def test_metadata_and_its_disguises_are_never_connected_to(self, address: str) -> None:
        for allow in ([], WIDE):
            target = {"base_url": "https://metrics.example/", "allow_private": allow}
            async with SafeHttp(catalogue(t=target), {}, resolve=resolver([address])) as client:
                assert (await failure(client, "t", "GET", "/")).stage == "refused"

    @pytest.mark.parametrize("address", PRIVATE)
    async def test_private_networks_need_the_targets_own_permission(self, address: str) -> None:
        assert blocked(address, ()) is not None
        target = {"base_url": "https://metrics.example/"}
        async with SafeHttp(catalogue(t=target), {}, resolve=resolver([address])) as client:
            error = await failure(client, "t", "GET", "/")
        assert (error.stage, "allow_private" in error.detail) == ("refused", True)

    @pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "localhost"])
    async def test_odd_spellings_of_loopback_are_seen_through(self, host: str) -> None:
        async with raw_server(reply()) as server:
            target = {"base_url": f"http://{host}:{server.port}", "allow_http": True}
            async with SafeHttp(catalogue(t=target), {}) as client:
                error = await failure(client, "t", "GET", "/")
        assert error.stage in ("refused", "dns")
        assert server.connections == 0

    async def test_one_bad_address_among_good_ones_refuses_all(self) -> None:
        async with raw_server(reply()) as server:
            target = {
                "base_url": f"http://two.example:{server.port}",
                "allow_http": True,
                "allow_private": ["127.0.0.0/8"],
            }
            for answer in (["127.0.0.1", "169.254.169.254"], ["169.254.169.254", "127.0.0.1"]):
                async with SafeHttp(catalogue(t=target), {}, resolve=resolver(answer)) as client:
                    assert (await failure(client, "t", "GET", "/")).stage == "refused"
        assert server.connections == 0

    async def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to(self) -> None:
        async with raw_server(reply()) as server:
            resolve = resolver(["127.0.0.1"], ["169.254.169.254"])
            target = {
                "base_url": f"http://re.example:{server.port}",
                "allow_http": True,
                "allow_private": ["127.0.0.0/8"],
            }
            async with SafeHttp(catalogue(t=target), {}, resolve=resolve) as client:
                assert (await client.request("t", "GET", "/")).status == 200
                assert resolve.calls == ["re.example"]
                error = await failure(client, "t", "PUT", "/", purpose="effect")
        assert error.stage == "refused", "a new connection is checked anew"
        assert f"host: re.example:{server.port}".encode() in server.requests[0]

    async def test_the_next_checked_address_is_tried_when_one_does_not_answer(self) -> None:
        async with raw_server(reply()) as server:
            target = {
                "base_url": f"http://two.example:{server.port}",
                "allow_http": True,
                "allow_private": ["127.0.0.0/8"],
            }
            async with SafeHttp(catalogue(t=target), {}, resolve=resolver(["127.0.0.9", "127.0.0.1"])) as client:
                assert (await client.request("t", "GET", "/")).status == 200

    def test_a_network_that_is_misspelt_is_told_before_anything_is_sent(self) -> None:
        target = Target(name="t", base_url="https://a.example", allow_private=("10.0.0.1/8",))
        assert problems([target]) == [
            "targets.t: allow_private: 10.0.0.1/8 has host bits set; write networks as in 10.1.2.0/24"
        ]


class TestReplies:
    @pytest.mark.parametrize("place", ["http://169.254.169.254/", "https://other.example/"])
    async def test_a_redirect_is_a_reply_and_not_followed(self, place: str) -> None:
        async with served(reply(status="302 Found", headers={"location": place})) as (server, client):
            got = await client.request("t", "GET", "/")
        assert (got.status, len(server.requests)) == (302, 1)

    @pytest.mark.parametrize("status", ["500 Oops", "429 Slow down", "503 Busy"])
    async def test_nothing_is_ever_sent_twice(self, status: str) -> None:
        async with served(reply(status=status, headers={"retry-after": "0"})) as (server, client):
            got = await client.request("t", "GET", "/")
        assert (got.status, len(server.requests)) == (int(status[:3]), 1)

    async def test_an_endless_reply_is_cut(self) -> None:
        async def endless(_reader: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                await writer.drain()

        async with served(endless) as (_, client):
            error = await failure(client, "t", "GET", "/")
            assert (error.stage, error.surely_not_sent) == ("too_large", False)

    async def test_a_larger_reply_may_be_asked_for_up_to_four_mebibytes(self) -> None:
        async with (
            raw_server(reply(b"x" * 2_000_000)) as server,
            SafeHttp(catalogue(t=local(server.port)), {}) as client,
        ):
            assert (await failure(client, "t", "GET", "/")).stage == "too_large"
            assert len((await client.request("t", "GET", "/", max_bytes=3_000_000)).body) == 2_000_000
        async with (
            raw_server(reply(b"x" * 4_200_000)) as server,
            SafeHttp(catalogue(t=local(server.port)), {}) as client,
        ):
            assert (await failure(client, "t", "GET", "/", max_bytes=10**9)).stage == "too_large"

    async def test_compressed_replies_are_refused_because_none_was_asked_for(self) -> None:
        bomb = reply(b"\x1f\x8b" + b"\0" * 64, headers={"content-encoding": "gzip"})
        async with served(bomb) as (_, client):
            assert (await failure(client, "t", "GET", "/")).stage == "read"

    async def test_the_first_byte_of_a_stream_is_timed_apart_from_the_last(self) -> None:
        go_on = asyncio.Event()

        async def stream(_reader: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
            await writer.drain()
            await go_on.wait()
            writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

        async with served(stream) as (_, client):
            asyncio.get_running_loop().call_later(0.2, go_on.set)
            got = await client.request("t", "GET", "/")
        assert got.body == b"onetwo"
        assert got.first_byte_s < got.elapsed_s


class TestFailures:
    async def test_nobody_listens(self) -> None:
        async with raw_server(reply()) as server:
            port = server.port
        async with SafeHttp(catalogue(t=local(port)), {}) as client:
            error = await failure(client, "t", "GET", "/")
        assert (error.stage, error.surely_not_sent) == ("connect", True)

    async def test_a_name_that_does_not_exist(self) -> None:
        async def nowhere(host: str, port: int) -> Sequence[str]:
            raise OSError("Name or service not known")

        async with SafeHttp(catalogue(t={"base_url": "https://no.example"}), {}, resolve=nowhere) as client:
            error = await failure(client, "t", "GET", "/")
        assert (error.stage, error.surely_not_sent) == ("dns", True)

    async def test_a_resolver_that_hangs(self) -> None:
        async def hanging(host: str, port: int) -> Sequence[str]:
            await asyncio.Event().wait()
            return []

        async with SafeHttp(catalogue(t={"base_url": "https://no.example"}), {}, resolve=hanging) as client:
            assert (await failure(client, "t", "GET", "/", timeout_s=0.1)).stage == "connect"

    async def test_a_server_that_says_nothing(self) -> None:
        async def silent(_reader: Any, _writer: Any) -> None:
            await asyncio.Event().wait()

        async with served(silent) as (_, client):
            error = await failure(client, "t", "GET", "/", timeout_s=0.2)
        assert (error.stage, error.surely_not_sent) == ("timeout", False)

    async def test_a_server_that_trickles(self) -> None:
        async def trickle(_reader: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
            for _ in range(100):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)

        async with served(trickle) as (_, client):
            assert (await failure(client, "t", "GET", "/", timeout_s=0.3)).stage == "timeout"

    @pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", b"SMTP hello\r\n\r\n"])
    async def test_a_server_that_breaks_off_or_speaks_something_else(self, answer: bytes) -> None:
        async def broken(_reader: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            writer.close()

        async with served(broken) as (_, client):
            error = await failure(client, "t", "PUT", "/", purpose="effect", body={})
        assert (error.stage, error.surely_not_sent) == ("read", False)

    async def test_the_client_works_on_after_failures(self) -> None:
        async def silent(_reader: Any, _writer: Any) -> None:
            await asyncio.Event().wait()

        async with raw_server(silent) as bad, raw_server(reply()) as good:
            both = catalogue(bad=local(bad.port), good=local(good.port))
            async with SafeHttp(both, {}, max_connections=2) as client:
                results = await asyncio.gather(
                    *(failure(client, "bad", "GET", "/", timeout_s=0.2) for _ in range(6)),
                    *(client.request("good", "GET", "/") for _ in range(6)),
                )
        assert [r.stage for r in results[:6]].count("timeout") == 2, "the others waited for a connection in vain"
        assert all(isinstance(r, Reply) for r in results[6:])


class TestTls:
    async def test_a_private_authority_is_named_per_target_and_the_host_name_is_checked(self) -> None:
        async with raw_server(reply(), tls=True) as server:
            at = f"https://tls.test:{server.port}"
            here = {"allow_private": ["127.0.0.0/8"], "ca_file": str(DATA / "tls" / "ca.pem")}
            targets = catalogue(
                good={"base_url": at, **here},
                stranger={"base_url": at, "allow_private": ["127.0.0.0/8"]},
                misnamed={"base_url": f"https://other.test:{server.port}", **here},
            )
            async with SafeHttp(targets, {}, resolve=resolver(["127.0.0.1"])) as client:
                assert (await client.request("good", "GET", "/")).status == 200
                for name in ("stranger", "misnamed"):
                    error = await failure(client, name, "GET", "/")
                    assert (error.stage, error.surely_not_sent) == ("tls", True)
                assert [(s.step, s.ok) for s in await client.reach("good")] == [
                    ("dns", True), ("tcp", True), ("tls", True), ("http", True),
                ]  # fmt: skip
                assert [(s.step, s.ok) for s in await client.reach("stranger")][-1] == ("tls", False)

    async def test_a_ca_file_that_is_not_there_is_refused_with_its_reason(self) -> None:
        async with SafeHttp(catalogue(t={"base_url": "https://a.example", "ca_file": "/nowhere.pem"}), {}) as client:
            assert (await failure(client, "t", "GET", "/")).stage == "refused"


class TestReach:
    async def test_every_step_that_works(self) -> None:
        async with served(reply(status="404 Not Found")) as (server, client):
            steps = await client.reach("t")
        assert [(s.step, s.ok) for s in steps] == [("dns", True), ("tcp", True), ("http", True)]
        assert steps[-1].detail == "HTTP 404"
        assert server.requests[0].startswith(b"GET /base/ HTTP/1.1")

    async def test_it_stops_at_the_first_step_that_fails(self) -> None:
        async with raw_server(reply()) as server:
            port = server.port
        async with SafeHttp(catalogue(t=local(port)), {}) as client:
            assert [(s.step, s.ok) for s in await client.reach("t")] == [("dns", True), ("tcp", False)]
        async with SafeHttp(catalogue(t=local(port)), {}, resolve=resolver([])) as client:
            assert [(s.step, s.ok) for s in await client.reach("t")] == [("dns", False)]

    async def test_a_server_that_does_not_speak_http_or_says_nothing(self) -> None:
        async def silent(_reader: Any, _writer: Any) -> None:
            await asyncio.Event().wait()

        for answer in (silent, b"nonsense\r\n\r\n"):
            async with served(answer) as (_, client):
                steps = await client.reach("t", timeout_s=0.3)
            assert (steps[-1].step, steps[-1].ok) == ("http", False)


class TestVirtualTime:
    async def test_durations_are_the_worlds_and_time_passes_by_them(self) -> None:
        headers = {"x-sim-elapsed": "3.5", "x-sim-first-byte": "1.25", "x-request-id": "r"}
        clock = StillClock()
        async with served(reply(b"hi", headers=headers)) as (server, client):
            got = await VirtualHttp(client, clock).request("t", "GET", "/x", headers={"a": "b"})
        assert (got.first_byte_s, got.elapsed_s, got.body) == (1.25, 3.5, b"hi")
        assert not [name for name in got.headers if name.startswith("x-sim-")]
        assert clock.slept == [3.5]
        assert f"x-sim-now: {NOW.timestamp():.6f}".encode() in server.requests[0]

    async def test_a_timeout_is_held_to_virtual_time(self) -> None:
        clock = StillClock()
        async with served(reply(headers={"x-sim-elapsed": "30"})) as (_, client):
            with pytest.raises(HttpError) as caught:
                await VirtualHttp(client, clock).request("t", "GET", "/", timeout_s=8)
            steps = await VirtualHttp(client, clock).reach("t", timeout_s=5)
        assert (caught.value.stage, clock.slept) == ("timeout", [8, 5])
        assert (steps[-1].step, steps[-1].ok, steps[-1].elapsed_s) == ("http", False, 5)

    @pytest.mark.parametrize(("failure_", "step"), [("dns", "dns"), ("connect", "tcp"), ("read", "http")])
    async def test_failures_that_loopback_cannot_have(self, failure_: str, step: str) -> None:
        headers = {"x-sim-elapsed": "2", "x-sim-failure": failure_}
        clock = StillClock()
        async with served(reply(headers=headers)) as (_, client):
            with pytest.raises(HttpError) as caught:
                await VirtualHttp(client, clock).request("t", "GET", "/")
            steps = await VirtualHttp(client, clock).reach("t")
        assert caught.value.stage == failure_
        assert (steps[-1].step, steps[-1].ok) == (step, False)
        assert clock.slept == [2, 2]

    async def test_virtual_time_is_held_while_the_world_is_really_asked(self) -> None:
        inside: list[str] = []

        @contextmanager
        def real() -> Iterator[None]:
            inside.append("in")
            yield
            inside.append("out")

        async with served(reply(headers={"x-sim-elapsed": "1"})) as (_, client):
            http = VirtualHttp(client, StillClock(), real=real)
            await http.request("t", "GET", "/")
            await http.reach("t")
        assert inside == ["in", "out", "in", "out"]

    async def test_an_answer_without_a_duration_takes_no_time(self) -> None:
        clock = StillClock()
        async with served(reply(headers={"x-sim-elapsed": "soon"})) as (_, client):
            assert (await VirtualHttp(client, clock).request("t", "GET", "/")).elapsed_s == 0
