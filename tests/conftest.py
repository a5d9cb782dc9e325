"""What holds for every test: illegal states are errors, examples the same, log and signals as they were before."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest

from dlm_lsp.runs import states

# The same examples every time, so that a failure is the doing of the change at hand; `make explore` looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# Under `nohup` this would be inherited by every server and command that a test starts, and then it ends nothing.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A run that goes from one state to another which cannot follow it is an error here, and in every server of a test.
states.STRICT = True
os.environ["DLM_STRICT_STATES"] = "1"


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


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A command that ran in this process has left its handlers behind, which would end the tests."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
