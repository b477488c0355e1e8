"""Makes the PDF and the Word document in a process of its own, whose time and memory are bounded: an incident may be
long, and the server must go on answering. Run by ``drafting.py``: reads a JSON export on standard input, and writes the
documents, or why there is none, as one JSON object on standard output.
"""

import base64
import json
import resource
import sys
from typing import Any

CPU_S = 60
MEMORY = 1_500 * 1024 * 1024
"""Of address space. The longest incidents that are measured need 300 MiB in all."""


def made(view: Any, form: str) -> dict[str, str]:
    """The document, or what is wrong with it."""
    from bot.edges.export import Export  # noqa: PLC0415 - after the limits are set
    from bot.edges.typesetting import TypesettingError  # noqa: PLC0415

    try:
        return {"content": base64.b64encode(Export(str).export(view, form)).decode()}  # type: ignore[arg-type]
    except (TypesettingError, MemoryError, RecursionError) as error:
        return {"problem": f"{type(error).__name__}: {error}"[:300]}


def main() -> None:
    """One export in, the forms named as arguments out."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    whole = json.loads(sys.stdin.buffer.read())
    from bot.domain import codec  # noqa: PLC0415
    from bot.domain.view import IncidentView  # noqa: PLC0415

    view = codec.load(IncidentView, whole["view"])
    json.dump({form: made(view, form) for form in sys.argv[1:]}, sys.stdout)


if __name__ == "__main__":
    main()
