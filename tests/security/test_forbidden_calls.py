"""What the package's source may not say: read from its syntax, each exception with its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dlm_lsp

PACKAGE = Path(dlm_lsp.__file__).parent

# Modules that run code, start processes or reach out, and builtins that run text.
MODULES = {
    *("cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"),
    *("code", "codeop", "ctypes", "importlib", "jinja2", "multiprocessing", "pty", "runpy", "subprocess"),
    *(
        "ftplib",
        "http",
        "httpx",
        "huggingface_hub",
        "requests",
        "smtplib",
        "socket",
        "ssl",
        "urllib",
        "webbrowser",
        "xmlrpc",
    ),
}
BUILTINS = {"eval", "exec", "compile", "__import__", "breakpoint", "input", "globals"}
# To look at a process by `os.kill(pid, 0)` ends it on Windows: psutil knows the right call of each system.
OF_OS = ("system", "popen", "exec", "spawn", "posix_spawn", "fork", "startfile", "kill")
YAML = {
    "load",
    "load_all",
    "full_load",
    "full_load_all",
    "unsafe_load",
    "unsafe_load_all",
    "Loader",
    "FullLoader",
    "UnsafeLoader",
}

ALLOWED = {
    ("training/hub.py", "subprocess"): "downloads in a process of our own, which can be stopped",
    ("training/hub.py", "subprocess.Popen"): "the same: this interpreter, our own script, no shell",
    ("training/hub_download.py", "huggingface_hub"): "what fetches a base, in that process",
    ("training/rows.py", "jinja2"): "the name of the error that a tokenizer's sandboxed template raises",
    ("training/stack.py", "ctypes"): "opens torch's own library by the path of the installed package",
    ("training/stack.py", "importlib"): "imports a fixed list of modules",
    ("training/stack.py", "importlib.import_module"): "the same",
    (
        "training/quantised.py",
        "importlib",
    ): "finds whether bitsandbytes is installed; imports it without its hub kernels",
    ("training/quantised.py", "importlib.import_module"): "the same",
    ("training/base_files.py", "importlib"): "finds where transformers is installed, without importing it",
    ("cli/doctor.py", "importlib"): "reads versions of installed packages",
    ("training/session.py", "importlib"): "the same",
    (
        "training/pipe.py",
        "subprocess",
    ): "the learner in a process of its own: this interpreter, our module, no shell",
    ("training/pipe.py", "subprocess.Popen"): "the same",
    ("training/child.py", "ctypes"): "asks Linux to end that process with its parent",
    ("runs/hooks.py", "compile"): "the hooks file beside a document, in a trusted workspace with dlm.hooks on",
    ("runs/hooks.py", "exec"): "the same: running the author's own code is what it is for",
    ("runs/hook_thread.py", "ctypes"): "raises an exception in the thread of a hook that has used its time up",
    ("server/serve.py", "importlib"): "finds whether torch is installed, without importing it",
    ("server/documents.py", "urllib"): "takes a file: URI apart; nothing is opened",
    ("store/lock.py", "socket"): "the name of this host",
    ("store/disk.py", "socket"): "listens at a path that only its owner may connect to, and asks whether another does",
    ("store/live.py", "socket"): "the name of that socket's type",
    ("serving/host.py", "socket"): "listens on a loopback address for `dlm-lsp serve`; nothing is connected to",
    ("serving/service.py", "socket"): "the name of that socket's type",
}


def uses() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield from ((place, what) for what in forbidden(node))


def forbidden(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names if alias.name.split(".")[0] in MODULES)
    elif isinstance(node, ast.ImportFrom) and node.module:
        if node.module.split(".")[0] in MODULES:
            yield node.module.split(".")[0]
        if node.module == "yaml" and YAML & {alias.name for alias in node.names}:
            yield "an unsafe yaml loader"
        if node.module == "torch" and "load" in {alias.name for alias in node.names}:
            yield "torch.load by another name"
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        owner, name = node.value.id, node.attr
        if owner == "os" and name.startswith(OF_OS):
            yield f"os.{name}"
        if owner == "yaml" and name in YAML:
            yield f"yaml.{name}"
        if f"{owner}.{name}" in ("importlib.import_module", "subprocess.Popen", "subprocess.run", "subprocess.call"):
            yield f"{owner}.{name}"
    elif isinstance(node, ast.Call):
        yield from forbidden_call(node)


def forbidden_call(node: ast.Call) -> Iterator[str]:
    said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    name = ast.unparse(node.func)
    if name in BUILTINS:
        yield name
    if name == "torch.load" and said.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    if "shell" in said:
        yield "a shell"
    if name.endswith("from_pretrained"):
        if said.get("trust_remote_code") != "False" or said.get("local_files_only") != "True":
            yield "from_pretrained that may run remote code or fetch"
        if "Model" in name and said.get("use_safetensors") != "True":
            yield "from_pretrained that may read a pickle"
    if said.get("trust_remote_code", "False") != "False":
        yield "trust_remote_code"


def test_nothing_in_the_package_runs_text_starts_processes_or_reaches_out() -> None:
    """Exact: a new use needs its reason here, and one that went takes its reason along."""
    assert set(uses()) == set(ALLOWED)


@pytest.mark.parametrize(
    "text",
    [
        "eval('1')",
        "exec(x)",
        "import pickle",
        "from pickle import loads",
        "import urllib.request",
        "os.system('x')",
        "os.execv(a, b)",
        "os.kill(pid, 0)",
        "yaml.load(x)",
        "class L(yaml.Loader): pass",
        "from yaml import unsafe_load",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "from torch import load",
        "AutoModel.from_pretrained(x)",
        "f(trust_remote_code=True)",
        "subprocess.run(x, shell=True)",
        "AutoModelForCausalLM.from_pretrained(x, trust_remote_code=False, local_files_only=True)",
    ],
)
def test_the_test_sees(text: str) -> None:
    assert [what for node in ast.walk(ast.parse(text)) for what in forbidden(node)]
