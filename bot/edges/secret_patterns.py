"""What secrets look like: one line a kind. Where a group ``s`` stands, only that part is the secret.

Words that only sound like secrets stay: "api_key: authentication failed" tells a responder something.
"""

import re

_B = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
_NEW = r"(?!\[redacted)"
_DIGIT = r"(?=[^\s\"',;&]{0,256}[0-9])"


_TOKENS: tuple[tuple[str, str], ...] = (
    ("slack", rf"{_B}xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{{10,}}"),
    ("slack", rf"{_B}xapp-[A-Za-z0-9-]{{10,}}"),
    ("slack-webhook", r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<s>[A-Za-z0-9/_-]{16,})"),
    ("anthropic", rf"{_B}sk-ant-[A-Za-z0-9_-]{{16,}}"),
    ("openai", rf"{_B}sk-(?:proj-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{{16,}}"),
    ("stripe", rf"{_B}(?:sk|rk|whsec)_(?:live_|test_)?[A-Za-z0-9]{{16,}}"),
    ("aws", rf"{_B}(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{{16,}}"),
    ("github", rf"{_B}github_pat_[A-Za-z0-9_]{{22,}}"),
    ("github", rf"{_B}gh[pousr]_[A-Za-z0-9]{{36,}}"),
    ("gitlab", rf"{_B}gl(?:pat|ptt|dt|rt|cbt)-[A-Za-z0-9_-]{{20,}}"),
    ("google", rf"{_B}AIza[A-Za-z0-9_-]{{35,}}"),
    ("google", rf"{_B}ya29\.[A-Za-z0-9_-]{{20,}}"),
    ("google", rf"{_B}GOCSPX-[A-Za-z0-9_-]{{20,}}"),
    ("huggingface", rf"{_B}hf_[A-Za-z0-9]{{20,}}"),
    ("npm", rf"{_B}npm_[A-Za-z0-9]{{36,}}"),
    ("pypi", rf"{_B}pypi-[A-Za-z0-9_-]{{32,}}"),
    ("sendgrid", rf"{_B}SG\.[A-Za-z0-9_-]{{16,}}\.[A-Za-z0-9_-]{{16,}}"),
    ("twilio", rf"{_B}SK[0-9a-f]{{32}}(?![0-9a-f])"),
    ("databricks", rf"{_B}dapi[0-9a-f]{{32}}"),
    ("grafana", rf"{_B}gl(?:sa|c)_[A-Za-z0-9_=-]{{20,}}"),
    ("vault", rf"{_B}hv[sbr]\.[A-Za-z0-9_-]{{20,}}"),
    ("groq", rf"{_B}gsk_[A-Za-z0-9]{{20,}}"),
    ("xai", rf"{_B}xai-[A-Za-z0-9]{{20,}}"),
    ("replicate", rf"{_B}r8_[A-Za-z0-9]{{30,}}"),
    ("telegram", rf"{_B}[0-9]{{8,10}}:AA[A-Za-z0-9_-]{{33}}"),
    ("jwt", rf"{_B}eyJ[A-Za-z0-9_-]{{8,}}\.eyJ[A-Za-z0-9_-]{{4,}}(?:\.[A-Za-z0-9_-]+)?"),
    ("pagerduty", r"(?i:token\s+token=)\s*\"?(?P<s>[A-Za-z0-9_+/-]{16,})"),
)

_KEY = (
    r"(?:secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|"
    r"signing[_-]?key|credential)(?:[_-](?:key|id|value|access[_-]key))?[\"']?"
)
_PASSWORD = r"(?:password|passwd|passphrase|pwd)[\"']?"  # noqa: S105 - a pattern
_VALUE = r"[A-Za-z0-9._~+/=!@#$%^&*-]{8,}"
_HEADER = r"(?i:authorization)[\"']?\s*[:=]\s*[\"']?"
_EMPTY = r"(?!null\b|none\b|true\b|false\b)"

_SAID: tuple[tuple[str, str], ...] = (
    ("auth", rf"{_HEADER}(?i:(?:bearer|basic|token|digest|api-?key)\s+)(?P<s>{_NEW}[A-Za-z0-9._~+/=:-]{{8,}})"),
    ("auth", rf"{_HEADER}(?P<s>{_NEW}{_DIGIT}[A-Za-z0-9._~+/=:-]{{8,}})"),
    ("auth", rf"(?i:\b(?:bearer|basic)\s+)(?P<s>{_NEW}(?=[a-z]{{0,256}}[A-Z0-9=])[A-Za-z0-9._~+/=-]{{16,}})"),
    ("cookie", rf"{_B}(?i:(?:set-)?cookie[\"']?\s*:\s*+[\"']?)(?P<s>{_NEW}[^\r\n\"']{{8,}})"),
    ("url-password", rf"://[^\s:/@\"'<>\[]{{0,128}}:(?P<s>{_NEW}[^\s/@\"'<>]{{1,256}})@"),
    ("url-user", rf"{_B}(?i:https?://)(?P<s>{_NEW}[A-Za-z0-9_-]{{16,}})@"),
    ("curl", rf"(?:\s-u|--user)[ =][\"']?[^\s:\"']{{1,64}}:(?P<s>{_NEW}[^\s\"']{{4,}})"),
    ("assigned", rf"(?i:{_PASSWORD}\s*(?:=>|:=|=|:)\s*[\"']?)(?P<s>{_NEW}{_EMPTY}{_VALUE})"),
    ("assigned", rf"(?i:{_KEY}\s*(?:=>|:=|=)\s*[\"']?)(?P<s>{_NEW}{_EMPTY}{_VALUE})"),
    ("assigned", rf"(?i:{_KEY}\s*:\s*[\"']?)(?P<s>{_NEW}{_EMPTY}{_DIGIT}{_VALUE})"),
)  # fmt: skip

KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]{0,8192}?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)"
)
"""A private key, which is meant to be on several lines."""

PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple((kind, re.compile(text)) for kind, text in (*_TOKENS, *_SAID))
