"""Fault points: named places where a crash test ends the process. In the product every one of them does nothing."""

from typing import Protocol


class FaultPoint(Protocol):
    """Called with the name of the place, such as ``K10``."""

    def __call__(self, place: str) -> None: ...


def no_fault(place: str) -> None:
    """What the product is wired with."""
