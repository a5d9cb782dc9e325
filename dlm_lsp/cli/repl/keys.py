"""The keys that are not as everywhere: Enter asks, Alt-Enter or a backslash before Enter begins a new line."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

_TWICE = "(Ctrl-C again, Ctrl-D or /quit leaves)"


def bindings(interrupt: Callable[[], bool], say: Callable[[str], None]) -> KeyBindings:
    """Ctrl-C calls `interrupt`, which says whether there was an answer to end; else it clears the line, then leaves."""
    keys = KeyBindings()
    about_to_leave = False

    @keys.add("enter")
    def ask(event: KeyPressEvent) -> None:
        nonlocal about_to_leave
        about_to_leave = False
        buffer = event.current_buffer
        if buffer.document.current_line_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def stop(event: KeyPressEvent) -> None:
        nonlocal about_to_leave
        if interrupt():
            return
        if event.current_buffer.text:
            event.current_buffer.reset()
        elif about_to_leave:
            event.app.exit(exception=EOFError)
        else:
            about_to_leave = True
            say(_TWICE)

    return keys
