"""The keys that are not as everywhere: Enter asks, Alt-Enter or a backslash before Enter begins a new line."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent


def bindings(stop: Callable[[], object]) -> KeyBindings:
    """Ctrl-C calls `stop`."""
    keys = KeyBindings()

    # What is typed while something is written above the prompt comes through the terminal's own line editing, which
    # makes a line feed of Enter.
    @keys.add("enter")
    @keys.add("c-j")
    def ask(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.current_line_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("escape", "c-j")
    def begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def interrupt(event: KeyPressEvent) -> None:
        stop()

    return keys
