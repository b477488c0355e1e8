"""The process itself: how soon it accepts pages, what it occupies, and how soon help answers."""

import subprocess
import time

from bot.bench.figures import Figure, percentile, spread
from bot.bench.machine import interpreter
from bot.bench.pages import page
from bot.bench.stage import Server, pagerunner, stage

STARTS = 5
HELPS = 9
SETTLES_S = 10.0
ENDED_WITHIN_S = 90.0


def starts() -> list[Figure]:
    """Process start to the 202 of a signed page: the first time on an empty data folder, then on what it left."""
    taken, worked, ready = [], [], []
    with stage() as made:
        for number in range(STARTS):
            server = Server(made)
            taken.append(server.until_accepting(page(7, number, number, 0, mark="at the start")))
            worked.append(server.worked_s())
            ready.append(server.until_ready())
            server.stop()
    bare = interpreter()
    detail = (
        f"{spread(taken, 's')}, the first on an empty folder {taken[0]:.2f} s; {percentile(worked, 0.5):.2f} s of a "
        f"core, {percentile(taken, 0.5) / bare:.0f} times a bare interpreter's start; everything loaded after "
        f"{spread(ready, 's')}"
    )
    what = "Process start to accepting webhooks: median"
    return [Figure(what=what, value=percentile(taken, 0.5), unit="s", must=3.0, detail=detail)]


def memory() -> list[Figure]:
    """Resident memory of a server that has warmed up, investigated, and rests."""
    with stage() as made:
        made.break_world("S01")
        server = Server(made)
        server.until_accepting(page(6, 0, 0, 0))
        at_start, _ = server.resident_mib()
        server.until_ready()
        server.until_warm()
        _until_investigated(server)
        time.sleep(SETTLES_S)
        now, most = server.resident_mib()
    detail = f"after warm-up and an investigation; {at_start:.0f} MiB when it took its first page, {most:.0f} at most"
    return [Figure(what="Resident memory, idle and warm", value=now, unit="MiB", must=900, detail=detail)]


def helps() -> list[Figure]:
    """``pagerunner --help``."""
    times = []
    for _ in range(HELPS):
        began = time.perf_counter()
        subprocess.run([*pagerunner(), "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    detail = f"{spread(times, 's')}; {percentile(times, 0.5) / interpreter():.1f} times a bare interpreter's start"
    return [Figure(what="pagerunner --help: median", value=percentile(times, 0.5), unit="s", must=0.4, detail=detail)]


def _until_investigated(server: Server) -> None:
    last = time.monotonic() + ENDED_WITHIN_S
    while time.monotonic() < last:
        for incident in server.get("/incidents"):
            timeline = server.get(f"/incidents/{incident['id']}/timeline")
            if any(entry["fact"]["kind"] == "investigation_ended" for entry in timeline):
                return
        time.sleep(0.5)
    raise TimeoutError(f"no investigation ended within {ENDED_WITHIN_S:.0f} s")
