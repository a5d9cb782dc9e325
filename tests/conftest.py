"""What holds for every test: the log is as it was, whatever the test before did with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """A server or a command that runs in this process sets levels, which would silence the tests after it."""
    loggers = [logging.getLogger(), *map(logging.getLogger, ("dlm_lsp", "pygls"))]
    before = [(logger, logger.level, logger.propagate, logger.disabled) for logger in loggers]
    yield
    for logger, level, propagate, disabled in before:
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagate, disabled
    logging.disable(logging.NOTSET)
