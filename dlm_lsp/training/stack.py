"""Imports torch, transformers and peft so that other threads of the process hardly notice.

What stalls a process while a thread imports the stack (measured on two cores, Python 3.11, torch 2.13) is
not the bytecode: it is one `dlopen` of torch's native library, 200 to 330 ms during which the import
machinery holds the interpreter lock, and full garbage collections over half a million new objects. So the
native library is opened first through a foreign call, which releases the lock (the longest stall falls to
about 40 ms), the collector rests meanwhile, and what was imported is frozen out of its sight.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dlm_lsp.training.protocol import LearnerError
from dlm_lsp.training.quantised import import_package

# In this order, each a piece of its own between two looks at the stop flag.
_MODULES = (
    "torch",
    "torch._dynamo",  # the first optimizer step would import it otherwise
    "transformers.modeling_utils",
    "transformers.tokenization_utils_tokenizers",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
    "peft",
)

_TURN = 0.0005  # seconds that a thread keeps the interpreter at the most while others wait for it


def import_stack(between: Callable[[str, float], None]) -> None:
    """Imports what learning needs; `between(module, fraction)` is called before each piece and may raise."""
    if all(module in sys.modules for module in _MODULES):
        return
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # In a thread of their own, with nothing below on its stack: some modules keep frames in reference cycles, and
    # through a frame its callers, whose variables (a session, a version's bytes) would be frozen with them.
    with collector_resting(), ThreadPoolExecutor(1, "dlm-import") as importer:
        _open_native_library()
        for done, module in enumerate(_MODULES):
            between(module, done / len(_MODULES))
            importer.submit(_imported, module).result()
        from transformers.utils import logging

        logging.disable_progress_bar()
        gc.freeze()  # half a million objects that never die: no later collection looks at them again


def _imported(module: str) -> None:
    """Raises LearnerError for a package that is not installed, or broken: the author can do something about it."""
    try:
        if module == "peft":
            import_package()  # which peft would import without care
        importlib.import_module(module)
    except ImportError as error:
        package = (error.name or module).split(".")[0]
        raise LearnerError(
            f"`{package}` cannot be imported by {sys.executable}: {error}. Install what training needs with "
            f"`{sys.executable} -m pip install torch transformers peft`, then save again; `dlm-lsp doctor` checks it.",
            code="not-installed",
        ) from error


@contextlib.contextmanager
def collector_resting() -> Iterator[None]:
    """No garbage collection inside."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def switching_quickly() -> Iterator[None]:
    """Threads take turns more often inside, so that a busy learner does not keep the editor waiting."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _TURN))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _open_native_library() -> None:
    """Maps torch's native library without holding the interpreter lock.

    Best effort: `import torch` does the rest.
    """
    if "torch" in sys.modules or sys.platform == "win32":
        return
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return
    name = "libtorch_cpu.dylib" if sys.platform == "darwin" else "libtorch_cpu.so"
    library = Path(spec.origin).parent / "lib" / name
    with contextlib.suppress(OSError, AttributeError):
        process = ctypes.CDLL(None)  # unlike `PyDLL` and `import`, its calls release the interpreter lock
        process.dlopen.restype = ctypes.c_void_p
        process.dlopen.argtypes = [ctypes.c_char_p, ctypes.c_int]
        process.dlopen(os.fsencode(library), os.RTLD_NOW | os.RTLD_LOCAL)
