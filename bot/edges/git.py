"""Runs the ``git`` program: no shell, no prompt, no hook, no submodule, no filter, bounded in time, memory and disk.

The program and no library: only it knows how people here reach their repositories (keys, agents, credential helpers,
proxies, certificates), and its bounds can be set from outside. Its global configuration is the operator's and is kept;
what a repository says is never run.
"""

import base64
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.library import Transport

MAX_PACK = 300_000_000
"""Bytes of one file that Git may write: a whole repository without its history."""
MAX_MEMORY = 3_000_000_000
MAX_CPU_S = 300
MAX_OUTPUT = 32_000_000
LOCAL_S, NETWORK_S = 60.0, 180.0
_MAX_TOLD = 600

_LIMITED = """
import os, resource, sys
file_bytes, memory, cpu = map(int, sys.argv[1:4])
os.umask(0o077)
for what, most in ((resource.RLIMIT_FSIZE, file_bytes), (resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, cpu)):
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))
os.execvp(sys.argv[4], sys.argv[4:])
"""
"""Sets the bounds and becomes Git: between fork and exec of a process with threads, no Python may run safely. Python
ignores the signal of a file that grew too large, and so does Git then: it reports the write that failed."""

_KEPT = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK",
    "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_EXEC_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "CURL_CA_BUNDLE", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
})  # fmt: skip
"""Everything else stays here: tokens of ours, and variables with which a hook of Git would lead it elsewhere."""

_SETTINGS = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.symlinks=false", "core.bigFileThreshold=1m",
    "gc.auto=0", "maintenance.auto=false", "fetch.unpackLimit=1", "fetch.writeCommitGraph=false",
    "fetch.recurseSubmodules=false", "submodule.recurse=false", "fetch.prune=false", "fetch.parallel=1",
    "pack.threads=1", "pack.windowMemory=100m", "transfer.bundleURI=false", "transfer.advertiseObjectInfo=false",
    "filter.lfs.smudge=", "filter.lfs.process=", "filter.lfs.required=false", "http.followRedirects=false",
    "http.lowSpeedLimit=1000", "http.lowSpeedTime=30", "credential.interactive=false", "protocol.version=2",
)  # fmt: skip


class GitError(Exception):
    """What Git cannot do here: what, where and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What Git answered."""

    code: int
    output: bytes
    told: str
    """Its own words about what went wrong, on one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A repository elsewhere, and how it may be reached."""

    address: str
    transport: Transport
    token: str = ""
    """Sent to this https address alone, in a header, never in the arguments, which other users can see."""


def local(folder: Path, *words: str, given: bytes = b"") -> Done:
    """A command on a repository of this machine, found from ``folder`` as Git does. Raises :class:`GitError`."""
    return _run(["-C", str(folder), *words], _environment(), given=given, seconds=LOCAL_S)


def remote(repository: Path | None, to: Remote, *words: str, most: int = MAX_PACK, seconds: float = NETWORK_S) -> Done:
    """A command that reaches ``to``, in the bare ``repository`` if there is one. Raises :class:`GitError`."""
    allowed = ["-c", "protocol.allow=never", "-c", f"protocol.{to.transport}.allow=always"]
    where = [f"--git-dir={repository}"] if repository else []
    return _run([*where, *allowed, *words], {**_environment(), **_header(to)}, seconds=seconds, most=most)


def one_line(text: str, most: int = _MAX_TOLD) -> str:
    """Text of a program, of which nothing can be taken for a line or a command of a terminal."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.split())[:most]


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1",
            "GIT_LFS_SKIP_SMUDGE": "1", "GIT_ADVICE": "0"}  # fmt: skip


def _header(to: Remote) -> Mapping[str, str]:
    """The token as configuration in the environment, which only this user and root can read."""
    if not to.token:
        return {}
    scheme, _, rest = to.address.partition("://")
    user, _, place = rest.rpartition("@")
    known = base64.b64encode(f"{user or 'x-access-token'}:{to.token}".encode()).decode()
    return {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": f"http.{scheme}://{place}.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {known}", "GIT_CONFIG_KEY_1": "credential.helper",
            "GIT_CONFIG_VALUE_1": ""}  # fmt: skip


def _run(words: Sequence[str], environment: Mapping[str, str], *, given: bytes = b"", seconds: float,
         most: int = MAX_PACK) -> Done:  # fmt: skip
    settings = [part for one in _SETTINGS for part in ("-c", one)]
    limits = [str(most), str(MAX_MEMORY), str(MAX_CPU_S)]
    command = [sys.executable, "-I", "-S", "-c", _LIMITED, *limits, "git", "--no-replace-objects", *settings, *words]
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as told:
        asked.write(given)
        asked.seek(0)
        # A session of its own: nobody can be asked at a terminal, and what Git starts ends with it.
        process = subprocess.Popen(
            command, stdin=asked, stdout=output, stderr=told, env=dict(environment), start_new_session=True
        )
        try:
            code = process.wait(timeout=seconds)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise GitError(f"git {_verb(words)} did not answer within {seconds:g} s") from error
            raise
        output.seek(0)
        told.seek(0)
        answer, said = output.read(MAX_OUTPUT + 1), told.read(20_000).decode("utf-8", "replace")
    if "FileNotFoundError: [Errno 2] No such file or directory" in said and "execvp" in said:
        raise GitError("git is not installed, and runbooks in Git repositories need it: install it")
    if len(answer) > MAX_OUTPUT:
        raise GitError(f"git {_verb(words)} said more than {MAX_OUTPUT:,} bytes")
    return Done(code=code, output=answer, told=one_line(said))


def _verb(words: Sequence[str]) -> str:
    """The Git command among the words, for messages."""
    skip = False
    for word in words:
        if skip or word in ("-C", "-c"):
            skip = not skip
        elif not word.startswith("-"):
            return word
    return "command"
