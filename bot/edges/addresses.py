"""Which addresses a target may have: one parser for its URL, one list of networks that are never connected to.

``ipaddress.is_private`` and ``is_global`` are both wrong for this: they pass carrier-grade NAT, cloud metadata,
NAT64 and 6to4. So the networks are written out.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from config.catalogue import Target

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NEVER: tuple[Network, ...] = tuple(ipaddress.ip_network(net) for net in (
    "0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "100.100.100.200/32", "192.88.99.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "::/128", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "fe80::/10", "fec0::/10",
    "ff00::/8", "fd00:ec2::/32", "fd20:ce::/32",
))  # fmt: skip
"""Link-local and cloud metadata, "this network", multicast, reserved, and IPv6 forms that carry an IPv4 address."""

UNLESS_ALLOWED: tuple[Network, ...] = tuple(ipaddress.ip_network(net) for net in (
    "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "192.0.2.0/24",
    "198.51.100.0/24", "203.0.113.0/24", "::1/128", "fc00::/7", "100::/64", "2001:db8::/32",
))  # fmt: skip
"""Private, loopback, shared and documentation networks: only where the target's ``allow_private`` says so."""

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
)
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")


class BadUrlError(ValueError):
    """A URL or path that this client does not send to; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A target's base URL, taken apart once: what is checked is what is connected to."""

    scheme: str
    host: str
    """Without brackets, lower case."""
    port: int
    base_path: str
    """Without a trailing slash."""

    @property
    def authority(self) -> str:
        """Value of the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"


def endpoint_of(target: Target) -> Endpoint:
    """The endpoint of a target. Raises :class:`BadUrlError` for anything but plain ``scheme://host[:port][/path]``."""
    match = _URL.fullmatch(target.base_url)
    if match is None:
        raise BadUrlError("base_url must be http(s)://host[:port][/path] in ASCII, without user, query or fragment")
    scheme = match["scheme"]
    if scheme == "http" and not target.allow_http:
        raise BadUrlError("base_url is http; use https, or set allow_http on this target")
    port = int(match["port"] or (443 if scheme == "https" else 80))
    if not 0 < port < 65_536:
        raise BadUrlError(f"port {port} does not exist")
    base_path = (match["path"] or "").rstrip("/")
    if base_path:
        checked_path(base_path)
    return Endpoint(scheme=scheme, host=match["host"].strip("[]").lower(), port=port, base_path=base_path)


def checked_path(path: str) -> str:
    """The path, if it is absolute, plain and has no dot segments. Raises :class:`BadUrlError`."""
    if len(path) > 2_048 or _PATH.fullmatch(path) is None:
        raise BadUrlError("path must start with / and hold URL-quoted ASCII only; put ?parameters into query")
    decoded = unquote(path)
    if "\\" in decoded or any(part in (".", "..") for part in decoded.split("/")) or "//" in decoded:
        raise BadUrlError("path must not hold empty or dot segments, or a backslash")
    return path


def networks(target: Target) -> tuple[Network, ...]:
    """The networks of ``allow_private``. Raises :class:`BadUrlError` if one is not written as CIDR."""
    try:
        return tuple(ipaddress.ip_network(net) for net in target.allow_private)
    except ValueError as error:
        raise BadUrlError(f"allow_private: {error}; write networks as in 10.1.2.0/24") from error


def blocked(text: str, allowed: Sequence[Network]) -> str | None:
    """Why this address may not be connected to, or None if it may."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return f"{text} is not an address"
    mapped = getattr(address, "ipv4_mapped", None)
    checked: Address = mapped or address
    own = checked == ipaddress.IPv6Address("::1")
    if not own and any(checked in net for net in NEVER if net.version == checked.version):
        return f"{text} is link-local, metadata, multicast, reserved or carries another address: never connected to"
    if any(checked in net for net in UNLESS_ALLOWED if net.version == checked.version) and not any(
        checked in net for net in allowed if net.version == checked.version
    ):
        return f"{text} is not a public address; list its network in this target's allow_private if it is meant"
    return None


def is_loopback(host: str | None) -> bool:
    """Whether a peer address is this machine. No address: a socket in the file system, which is."""
    if host is None:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def problems(targets: Sequence[Target]) -> list[str]:
    """What is wrong with these targets before anything is sent: one line each, with the target's name."""
    found = []
    for target in targets:
        try:
            endpoint_of(target)
            networks(target)
            for path in target.canary_paths:
                checked_path(path)
        except BadUrlError as error:
            found.append(f"targets.{target.name}: {error}")
    return found
