"""Says which Python runs it, and whether the server and torch are there. Imports neither; any Python can read it."""

import json
import sys


def version(distribution, module):
    """The installed version, None when the module is not there, "?" when it is and has no metadata."""
    from importlib import util

    try:
        if util.find_spec(module) is None:
            return None
    except (ImportError, ValueError):
        return None
    try:
        from importlib import metadata

        return metadata.version(distribution)
    except Exception:
        return "?"


if __name__ == "__main__":
    sys.path.pop(0)  # this script's own folder
    found = {
        "python": sys.executable,
        "pythonVersion": ".".join(str(part) for part in sys.version_info[:3]),
        "server": version("dlm-language-server", "dlm_lsp"),
        "torch": version("torch", "torch"),
    }
    sys.stdout.write(json.dumps(found) + "\n")
