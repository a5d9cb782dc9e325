"""What the loop wants of a run that goes on: stop, take in a newer text, or end early. Read at its step boundaries."""

from __future__ import annotations

import threading

from dlm_lsp.document import Document


class Steering:
    """One of each run. The loop's thread writes wishes, the worker's takes them; neither ever waits for the other.

    A text is offered, then handed to the learner, then taken by it; only then the run learns it. There may be a newer
    one on offer while one is handed over.
    """

    def __init__(self, document: Document) -> None:
        self.stop = threading.Event()
        self._lock = threading.Lock()
        self._learns = document
        self._offered: Document | None = None
        self._handed: Document | None = None
        self._finish = False
        self._finishing = False

    # -- the loop's side

    @property
    def learns(self) -> Document:
        """The newest text that the run has taken in."""
        return self._learns

    @property
    def settled(self) -> bool:
        """Whether no other text is on its way to the learner."""
        return self._handed is None

    def offer(self, document: Document) -> None:
        """The run shall go on with `document`, unless a newer one is offered before it is handed over."""
        with self._lock:
            self._offered = document

    def withdraw(self) -> None:
        """Takes an offer back that was not handed over yet."""
        with self._lock:
            self._offered = None

    def finish(self) -> bool:
        """The run shall end at its next step boundary and keep what it has learned; False if it knows that already."""
        with self._lock:
            known, self._finish = self._finish, True
            return not known

    def go_on(self) -> bool:
        """Takes the wish to end early back; False if it came too late, because the run is ending."""
        with self._lock:
            self._finish = False
            return not self._finishing

    # -- the worker's side

    def next_text(self) -> Document | None:
        """The text to hand to the learner now; None if there is none, or the one before was not taken yet."""
        with self._lock:
            if self._handed is not None or self._offered is None:
                return None
            self._handed, self._offered = self._offered, None
            return self._handed

    def took(self, document: Document) -> None:
        """The learner goes on with `document`."""
        with self._lock:
            self._learns, self._handed = document, None

    def finish_requested(self) -> bool:
        """Whether to end at this step boundary; asked there, so that the answer True cannot be taken back."""
        with self._lock:
            self._finishing = self._finish
            return self._finishing
