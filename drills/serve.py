"""Running the world's server in this process."""

import asyncio
import contextlib
import json
import signal

from aiohttp import web

from drills.server import application


def serve(host: str, port: int, token: str, *, tell_token: bool) -> int:
    """Serve until SIGINT or SIGTERM. The first line on stdout says where, as JSON."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(host, port, token, tell_token))
    return 0


async def _serve(host: str, port: int, token: str, tell_token: bool) -> None:
    runner = web.AppRunner(application(token), access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=512)
    await site.start()
    place = runner.addresses[0]
    told = {"listening": f"http://{place[0]}:{place[1]}"}
    if tell_token:
        told["referee_token"] = token
    print(json.dumps(told), flush=True)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    try:
        await over.wait()
    finally:
        await runner.cleanup()
