"""Workspace trust, which LSP has no standard for: what the client says of it. A workspace's settings cannot."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)

WORKSPACE_TRUST = "dlm/workspaceTrust"


def trusted_at_start(options: Any) -> bool:
    """Whether `initializationOptions` leave the workspace trusted: a client that says nothing has opened what its user
    wanted; anything but true, once said, does not count as trust.
    """
    said = options.get("workspaceTrusted") if isinstance(options, dict) else None
    return said is None or said is True


def told_trust(params: Any) -> bool | None:
    """What the notification `{trusted}` says; None for what is no such thing, which changes nothing."""
    said = params.get("trusted") if isinstance(params, dict) else None
    if isinstance(said, bool):
        log.info("the workspace is %s", "trusted" if said else "not trusted: nothing is trained, loaded or written")
        return said
    log.warning("%s without `trusted: true` or `trusted: false` is dropped", WORKSPACE_TRUST)
    return None
