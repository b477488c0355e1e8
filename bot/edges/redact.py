"""Secrets out of texts: configured ones in every form they take, others by what they look like.

What is taken out leaves ``[redacted:kind:ab12]``: the same secret leaves the same tag, so that two lines about it can
still be told to be about the same, and nothing of the secret itself remains.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote

from bot.edges.secret_patterns import KEY_BLOCK, PATTERNS

MIN_SECRET = 6
"""A configured value shorter than this is not looked for: it would be found everywhere."""

_BREAK = r"(?:\s|\\[nrt]|\"\s*\+?\s*\"|'\s*'){0,8}"
_BLOB = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{20,}={0,2}")
_WORD = re.compile(r"[!-~]+")
_WRAP = re.compile(r"(?<=[A-Za-z0-9_+/=.-])(?:\\?\r?\n[ \t]*|\\n)(?=[A-Za-z0-9_+/-])")
_CONTINUED = re.compile(r"(?![0-9]{4}-[0-9]{2})(?=[\w+/=.-]*[0-9])(?=[\w+/=.-]*[A-Za-z])[\w+/=.-]{6,}")
"""The rest of a secret on the next line: letters and digits, and not the time of a log line."""

_LINE = 512
"""How much of a line is looked at to find a secret that goes on in the next."""


class Redactor:
    """``secrets`` maps a name, such as ``slack``, to a value; ``key`` makes the tags unguessable."""

    def __init__(self, secrets: Mapping[str, str], key: bytes) -> None:
        self._key = key
        self._exact: dict[str, tuple[str, str]] = {}
        self._broken: list[tuple[re.Pattern[str], str, str]] = []
        for name, value in secrets.items():
            kind = re.sub(r"[^a-z0-9_-]", "-", name.lower())[:32] or "secret"
            for part in {value, value.strip(), *value.split("\n")}:
                if len(part) >= MIN_SECRET:
                    self._learn(kind, part)
        forms = sorted(self._exact, key=len, reverse=True)
        self._forms = re.compile("|".join(map(re.escape, forms))) if forms else None

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        if self._forms is not None:
            text = self._forms.sub(lambda match: self._tag(*self._exact[match[0]]), text)
        for pattern, kind, value in self._broken:
            text = pattern.sub(self._tag(kind, value), text)
        text = KEY_BLOCK.sub(lambda match: self._tag("pem", match[0]), text)
        text = self._unwrapped(text)
        for kind, pattern in PATTERNS:
            text = pattern.sub(lambda match, kind=kind: self._replaced(kind, match), text)  # type: ignore[misc]
        text = _BLOB.sub(self._decoded_blob, text)
        return _WORD.sub(self._decoded_word, text) if "%" in text else text

    def _learn(self, kind: str, value: str) -> None:
        for form in _forms(value):
            if len(form) >= MIN_SECRET:
                self._exact.setdefault(form, (kind, value))
        if 8 <= len(value) <= 256 and not re.search(r"\s", value):
            self._broken.append((re.compile(_BREAK.join(map(re.escape, value))), kind, value))

    def _tag(self, kind: str, value: str) -> str:
        return f"[redacted:{kind}:{hmac.new(self._key, value.encode(), hashlib.sha256).hexdigest()[:4]}]"

    def _unwrapped(self, text: str) -> str:
        """Secrets that a line break cuts in two, from the last to the first so that places stay what they are."""
        for wrap in reversed(list(_WRAP.finditer(text))):
            tail = text[wrap.end() : wrap.end() + _LINE].split("\n", 1)[0]
            if _CONTINUED.match(tail) is None:
                continue
            begin = max(text.rfind("\n", 0, wrap.start()) + 1, wrap.start() - _LINE)
            head = text[begin : wrap.start()]
            for kind, pattern in PATTERNS:
                spans = (m.span("s") if "s" in pattern.groupindex else m.span() for m in pattern.finditer(head + tail))
                cut = next(((a, b) for a, b in spans if a < len(head) < b), None)
                if cut is not None:
                    tag = self._tag(kind, (head + tail)[cut[0] : cut[1]])
                    text = text[: begin + cut[0]] + tag + text[wrap.end() + cut[1] - len(head) :]
                    break
        return text

    def _replaced(self, kind: str, match: re.Match[str]) -> str:
        """Only the group ``s`` is the secret where a pattern names one; what stands before it stays."""
        if "s" not in match.re.groupindex:
            return self._tag(kind, match[0])
        if match["s"].startswith("[redacted:"):
            return match[0]
        start, end = match.start("s") - match.start(), match.end("s") - match.start()
        return match[0][:start] + self._tag(kind, match["s"]) + match[0][end:]

    def _decoded_blob(self, match: re.Match[str]) -> str:
        return self._hidden(_unbase64(match[0]), match[0])

    def _decoded_word(self, match: re.Match[str]) -> str:
        return self._hidden(unquote(match[0]), match[0]) if "%" in match[0] else match[0]

    def _hidden(self, decoded: str, written: str) -> str:
        """A tag if there is a secret in the decoded form, otherwise what was written."""
        if self._forms is not None and (found := self._forms.search(decoded)):
            return self._tag(*self._exact[found[0]])
        for kind, pattern in (("pem", KEY_BLOCK), *PATTERNS):
            if match := pattern.search(decoded):
                return self._tag(kind, match[0])
        return written


def _forms(value: str) -> Iterator[str]:
    """How a value may be written: plain, URL-quoted, JSON-escaped, hexadecimal, base64 anywhere in a longer text."""
    raw = value.encode()
    yield value
    for quoted in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield quoted
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
    yield value.replace("\\", "\\\\").replace('"', '\\"').replace("/", "\\/")
    yield value.replace("\\", "\\\\").replace('"', '\\"')
    yield raw.hex()
    yield raw.hex().upper()
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * offset + raw).decode().rstrip("=")
            # The first and the last character also depend on what stands around the secret.
            inner = encoded[(0, 2, 3)[offset] : len(encoded) - (1 if (offset + len(raw)) % 3 else 0)]
            if len(inner) >= 2 * MIN_SECRET:
                yield inner


def _unbase64(text: str) -> str:
    """The text in a base64 blob, or nothing if it holds none."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        decoded = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return decoded.decode("ascii", "replace")
