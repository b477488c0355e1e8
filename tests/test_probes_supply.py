"""P24 and P24k against a gateway on a real socket."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from config.catalogue import Catalogue
from diagnostics import series
from diagnostics.model import INCONCLUSIVE, AnyProbe, ProbeContext, Reading
from diagnostics.probes.dependencies import DependencyAudit
from diagnostics.probes.keys import KeyAudit
from tests.provider_fakes import (
    CATALOGUE,
    NOW,
    Company,
    KeptBaselines,
    LocalHttp,
    NoChanges,
    Served,
    StillClock,
    company_open,
)

CLEAN = {"name": "starlette", "version": "0.49.3", "sha256": "a1", "locked_version": "0.49.3", "locked_sha256": "a1"}
LITELLM = {"name": "litellm", "version": "1.82.6", "sha256": "b1", "locked_version": "1.82.6", "locked_sha256": "b1"}
CATALOGUE_ = Catalogue.model_validate(CATALOGUE)
GATEWAY = CATALOGUE_.gateways[0]
INVENTORY = series.name("dependency.inventory:{gateway}", gateway=GATEWAY.name)
SOURCES = series.name("key.sources:{gateway}", gateway=GATEWAY.name)


def key(billed: int, sent: int, *sources: tuple[str, str, int], alias: str = "acme-prod") -> dict[str, Any]:
    listed = [{"network": network, "region": region, "requests": n} for network, region, n in sources]
    return {"alias": alias, "provider": "acme-openai", "billed": billed, "sent": sent, "sources": listed}


class Stage:
    def __init__(self, company: Company, http: LocalHttp) -> None:
        self.company, self.http, self.baselines = company, http, KeptBaselines()

    def plays(self, path: str, document: Any, status: int = 200) -> None:
        body = document if isinstance(document, str) else json.dumps(document)
        self.company.play(GATEWAY.admin, path, Served(status=status, body=body))

    async def ask(self, probe: AnyProbe) -> Reading:
        context = ProbeContext(
            service=CATALOGUE_.services[0], catalogue=CATALOGUE_, http=self.http, clock=StillClock(),
            baselines=self.baselines, changes=NoChanges(), started_at=NOW,
        )  # fmt: skip
        return await probe.run(context, probe.spec.params.model_validate({}))

    async def dependencies(self, *packages: dict[str, Any], files: list[str] | None = None) -> Reading:
        self.plays("/inventory", {"packages": list(packages), "startup_files": files or []})
        return await self.ask(DependencyAudit())

    async def keys(self, *keys: dict[str, Any]) -> Reading:
        self.plays("/keys", {"keys": list(keys)})
        return await self.ask(KeyAudit())


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with company_open() as (company, http):
        yield Stage(company, http)


async def test_what_was_locked_is_ok_and_is_recorded(stage: Stage) -> None:
    reading = await stage.dependencies(CLEAN, LITELLM, files=["a.pth"])

    assert (reading.outcome, reading.n) == ("ok", 2)
    kept = reading.details[series.RECORD_DOCUMENTS][INVENTORY]
    assert kept["packages"] == {"starlette": ["0.49.3", "a1"], "litellm": ["1.82.6", "b1"]}
    assert kept["startup_files"] == ["a.pth"]
    assert series.known(INVENTORY)


async def test_a_locked_upgrade_is_told_and_is_no_abnormality(stage: Stage) -> None:
    stage.baselines.documents[INVENTORY] = {"packages": {"starlette": ["0.49.1", "a0"]}, "startup_files": []}
    reading = await stage.dependencies(CLEAN)

    assert reading.outcome == "ok"
    assert "since it was last well: starlette 0.49.1 -> 0.49.3" in reading.summary


async def test_a_release_on_the_list_is_known_bad_even_where_it_is_locked(stage: Stage) -> None:
    bad = {**LITELLM, "version": "1.82.8", "locked_version": "1.82.8"}
    reading = await stage.dependencies({**CLEAN, "version": "0.50.0"}, bad)

    assert reading.outcome == "known_bad"
    assert "litellm 1.82.8, a malicious release of 2026-03-24" in reading.summary
    assert reading.details["suspects"] == ["litellm 1.82.8", "starlette 0.50.0"]
    assert reading.p_value is None


async def test_the_same_version_with_another_hash_is_tampered(stage: Stage) -> None:
    reading = await stage.dependencies(CLEAN, {**LITELLM, "sha256": "ff"})

    assert reading.outcome == "tampered"
    assert "litellm 1.82.6 has another hash than was locked" in reading.summary


async def test_a_new_startup_file_is_tampered_and_one_that_was_there_is_not(stage: Stage) -> None:
    stage.baselines.documents[INVENTORY] = {"packages": {}, "startup_files": ["old.pth"]}

    assert (await stage.dependencies(CLEAN, files=["old.pth"])).outcome == "ok"
    reading = await stage.dependencies(CLEAN, files=["old.pth", "x_init.pth"])
    assert reading.outcome == "tampered"
    assert "x_init.pth runs at every start" in reading.summary


async def test_without_a_lock_the_last_good_hash_of_the_same_version_speaks(stage: Stage) -> None:
    bare = {"name": "starlette", "version": "0.49.3", "sha256": "ff"}
    assert (await stage.dependencies(bare)).outcome == "ok"
    stage.baselines.documents[INVENTORY] = {"packages": {"starlette": ["0.49.3", "a1"]}, "startup_files": []}
    assert (await stage.dependencies(bare)).outcome == "tampered"
    assert (await stage.dependencies({**bare, "version": "0.50.0"})).outcome == "ok"


async def test_another_release_than_locked_is_unlocked(stage: Stage) -> None:
    reading = await stage.dependencies({**CLEAN, "version": "0.50.0", "sha256": "ff"}, LITELLM)

    assert (reading.outcome, reading.value) == ("unlocked", 1.0)
    assert "starlette 0.50.0 (locked: 0.49.3)" in reading.summary


@pytest.mark.parametrize(
    ("path", "probe"), [("/inventory", DependencyAudit()), ("/keys", KeyAudit())], ids=["packages", "keys"]
)
async def test_what_is_not_published_or_cannot_be_read_is_never_health(
    stage: Stage, path: str, probe: AnyProbe
) -> None:
    for body, status in (("nothing here", 404), ("{", 200), ('{"packages": [1], "keys": [1]}', 200), ("[]", 200)):
        stage.plays(path, body, status)
        assert (await stage.ask(probe)).outcome == INCONCLUSIVE
    stage.http._company.failing[GATEWAY.admin] = "connect"
    assert (await stage.ask(probe)).outcome == INCONCLUSIVE


async def test_use_that_is_all_ours_is_ok_and_its_sources_are_recorded(stage: Stage) -> None:
    reading = await stage.keys(key(1010, 1000, ("AS1 ours", "eu-1", 600), ("AS1 ours", "eu-2", 410)))

    assert reading.outcome == "ok"
    assert "not on record yet" in reading.summary
    assert reading.details[series.RECORD_DOCUMENTS][SOURCES] == {"acme-prod": ["AS1 ours eu-1", "AS1 ours eu-2"]}
    assert series.known(SOURCES)


async def test_ten_times_the_load_of_our_own_is_no_theft(stage: Stage) -> None:
    stage.baselines.documents[SOURCES] = {"acme-prod": ["AS1 ours eu-1"]}
    assert (await stage.keys(key(50_300, 50_000, ("AS1 ours", "eu-1", 50_300)))).outcome == "ok"


async def test_use_from_elsewhere_names_where(stage: Stage) -> None:
    stage.baselines.documents[SOURCES] = {"acme-prod": ["AS1 ours eu-1"]}
    reading = await stage.keys(key(1030, 1000, ("AS1 ours", "eu-1", 1000), ("AS9 hosting", "ap-3", 30)))

    assert reading.outcome == "unknown_source"
    assert "used 30 times from where it was never used before: AS9 hosting ap-3 (30)" in reading.summary


async def test_more_uses_than_ours_are_somebody_elses_wherever_they_come_from(stage: Stage) -> None:
    stage.baselines.documents[SOURCES] = {"acme-prod": ["AS1 ours eu-1"]}
    reading = await stage.keys(key(1500, 1000, ("AS1 ours", "eu-1", 1500)))

    assert reading.outcome == "beyond_ours"
    assert reading.value == pytest.approx(1 / 3)
    assert reading.p_value is None


async def test_counts_that_differ_by_their_windows_are_the_same(stage: Stage) -> None:
    assert (await stage.keys(key(1040, 1000, ("AS1 ours", "eu-1", 1040)))).outcome == "ok"
    assert (await stage.keys(key(12, 0))).outcome == "ok"


async def test_keys_that_nobody_uses_say_nothing(stage: Stage) -> None:
    assert (await stage.keys(key(0, 0))).outcome == INCONCLUSIVE
