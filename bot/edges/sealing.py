"""Tokens that lie in the database are sealed: whoever copies the file alone cannot use them."""

import base64
import hashlib
import os
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class CannotOpen(Exception):
    """It was sealed with a key that is not here."""


class Seal:
    """Seals with the first key; opens what any of them sealed, so that keys can be replaced."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(_stretched(key))) for key in keys])

    def close(self, text: str) -> bytes:
        """The text, sealed."""
        return self._fernet.encrypt(text.encode())

    def stamp(self, text: str, now: datetime) -> str:
        """The text, sealed together with the time."""
        return self._fernet.encrypt_at_time(text.encode(), int(now.timestamp())).decode()

    def younger(self, sealed: str, age: timedelta, now: datetime) -> bool:
        """Whether we stamped this, not longer ago than ``age``."""
        if not sealed.isascii():
            return False
        try:
            self._fernet.decrypt_at_time(sealed, int(age.total_seconds()), int(now.timestamp()))
        except InvalidToken:
            return False
        return True

    def open(self, sealed: bytes) -> str:
        """The text again. Raises :class:`CannotOpen`."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken as error:
            raise CannotOpen from error


def key_of(path: Path) -> str:
    """The installation's own key, made at first use, readable by its owner alone."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return path.read_text("ascii")
    key = secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key)
    return key


def _stretched(key: str) -> bytes:
    """32 bytes of a key of any length. Keys are random, not passwords: one hash is enough."""
    return hashlib.sha256(b"pagerunner slack tokens\x00" + key.encode()).digest()
