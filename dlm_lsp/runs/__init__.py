"""When to train: snapshots, deltas, debounce, the supervisor and its worker thread. Knows no LSP and no torch."""

__all__: list[str] = []
