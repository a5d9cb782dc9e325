"""The format's two ways to write a moment: naive UTC seconds (manifest, index), aware UTC (`dlm.lock`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

Seconds = Annotated[float, Field(ge=0, le=253_402_300_799, allow_inf_nan=False)]
"""Seconds since the epoch, up to the year 9999."""


def naive(seconds: float) -> datetime:
    """The naive UTC second of `seconds` since the epoch, as the manifest and the replay index hold it."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=0)


def to_naive(moment: datetime) -> datetime:
    """`moment` as naive UTC without microseconds; a naive one is taken to be UTC already. Raises ValueError."""
    if moment.tzinfo is not None:
        try:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        except OverflowError as error:
            raise ValueError(f"{moment} is out of range in UTC") from error
    return moment.replace(microsecond=0)


def zulu(seconds: float) -> str:
    """Aware UTC with microseconds and `Z`, such as `2026-01-02T03:04:05.678901Z` (dlm.lock)."""
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="microseconds") + "Z"


def stamp(seconds: float) -> str:
    """A moment for file names, such as `20260102T030405`."""
    return naive(seconds).strftime("%Y%m%dT%H%M%S")


def readable(seconds: float) -> str:
    """A moment for sentences, such as `2026-01-02 03:04:05 UTC`; never raises on a foreign number."""
    try:
        return f"{naive(seconds):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return f"{seconds} s after the epoch"
