"""What the client declared to understand: nothing that it did not declare is ever sent to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lsprotocol import types
from pygls.capabilities import get_capability


@dataclass(frozen=True, slots=True)
class ClientFeatures:
    """The declared capabilities that this server asks about. Experimental ones are in docs/protocol.md."""

    progress: bool = False
    configuration: bool = False
    register_configuration: bool = False
    register_watched_files: bool = False
    relative_watchers: bool = False
    create_files: bool = False
    lens_refresh: bool = False
    hint_refresh: bool = False
    hint_tooltips: bool = False
    related_information: bool = False
    diagnostic_data: bool = False
    code_action_literals: bool = False
    markdown_hover: bool = False
    server_status: bool = False
    training_status: bool = False
    training_progress: bool = False
    asks_itself: bool = False
    section_states: bool = False
    symbol_trees: bool = False
    fold_limit: int | None = None
    snippets: bool = False
    markdown_completion: bool = False
    link_tooltips: bool = False
    lazy_symbols: bool = False
    apply_edit: bool = False
    document_changes: bool = False


Features = Callable[[], ClientFeatures]
"""Those of the client, once it has declared them; none before."""


def features_of(capabilities: types.ClientCapabilities) -> ClientFeatures:
    """Reads them once, at initialize."""
    formats = get_capability(capabilities, "text_document.hover.content_format") or ()
    documented = get_capability(capabilities, "text_document.completion.completion_item.documentation_format") or ()
    resolved_later = get_capability(capabilities, "workspace.symbol.resolve_support.properties") or ()
    experimental = _table(capabilities.experimental)
    ours = _table(experimental.get("dlm"))
    return ClientFeatures(
        progress=bool(get_capability(capabilities, "window.work_done_progress")),
        configuration=bool(get_capability(capabilities, "workspace.configuration")),
        register_configuration=bool(
            get_capability(capabilities, "workspace.did_change_configuration.dynamic_registration")
        ),
        register_watched_files=bool(
            get_capability(capabilities, "workspace.did_change_watched_files.dynamic_registration")
        ),
        relative_watchers=bool(
            get_capability(capabilities, "workspace.did_change_watched_files.dynamic_registration")
            and get_capability(capabilities, "workspace.did_change_watched_files.relative_pattern_support")
        ),
        create_files=bool(get_capability(capabilities, "workspace.workspace_edit.document_changes"))
        and types.ResourceOperationKind.Create
        in (get_capability(capabilities, "workspace.workspace_edit.resource_operations") or ()),
        lens_refresh=bool(get_capability(capabilities, "workspace.code_lens.refresh_support")),
        hint_refresh=bool(get_capability(capabilities, "workspace.inlay_hint.refresh_support")),
        hint_tooltips="tooltip"
        in (get_capability(capabilities, "text_document.inlay_hint.resolve_support.properties") or ()),
        related_information=bool(get_capability(capabilities, "text_document.publish_diagnostics.related_information")),
        diagnostic_data=bool(get_capability(capabilities, "text_document.publish_diagnostics.data_support")),
        code_action_literals=bool(
            get_capability(capabilities, "text_document.code_action.code_action_literal_support")
        ),
        markdown_hover=types.MarkupKind.Markdown in formats,
        server_status=experimental.get("serverStatusNotification") is True,
        training_status=ours.get("trainingStatus") is True,
        training_progress=ours.get("trainingProgress") is True,
        asks_itself=ours.get("ask") is True,
        section_states=ours.get("sectionStates") is True,
        symbol_trees=bool(
            get_capability(capabilities, "text_document.document_symbol.hierarchical_document_symbol_support")
        ),
        fold_limit=get_capability(capabilities, "text_document.folding_range.range_limit"),
        markdown_completion=types.MarkupKind.Markdown in documented,
        link_tooltips=bool(get_capability(capabilities, "text_document.document_link.tooltip_support")),
        lazy_symbols="location.range" in resolved_later,
        apply_edit=bool(get_capability(capabilities, "workspace.apply_edit")),
        document_changes=bool(get_capability(capabilities, "workspace.workspace_edit.document_changes")),
        snippets=bool(get_capability(capabilities, "text_document.completion.completion_item.snippet_support")),
    )


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
