"""What is asked of a client after start, if it offers to be asked: to tell changes of settings and of files."""

from __future__ import annotations

import logging

from lsprotocol import types

from dlm_lsp.server.capabilities import ClientFeatures
from dlm_lsp.server.protocol import Ask
from dlm_lsp.server.settings import SECTION

log = logging.getLogger(__name__)


async def register(ask: Ask, features: ClientFeatures) -> None:
    """Registers one by one, so that a refusal costs no more than what was refused."""
    for registration in registrations(features):
        try:
            await ask(types.CLIENT_REGISTER_CAPABILITY, types.RegistrationParams([registration]))
        except Exception as error:
            log.info("the client refused %s: %s", registration.method, error)


def registrations(features: ClientFeatures) -> list[types.Registration]:
    """What a client with these features can be asked for."""
    wanted = []
    if features.register_configuration:
        wanted.append(
            types.Registration(
                id="dlm-configuration",
                method=types.WORKSPACE_DID_CHANGE_CONFIGURATION,
                register_options=types.DidChangeConfigurationRegistrationOptions(section=SECTION),
            )
        )
    if features.register_watched_files:
        wanted.append(
            types.Registration(
                id="dlm-files",
                method=types.WORKSPACE_DID_CHANGE_WATCHED_FILES,
                register_options=types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher("**/*.dlm")]),
            )
        )
    return wanted
