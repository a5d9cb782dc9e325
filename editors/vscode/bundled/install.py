"""Makes an environment and installs the server in it, saying what it does. Run as a task that the author sees.

install.py ENVIRONMENT WHAT [ARGUMENT …]: WHAT is a wheel's path or a requirement, the rest goes to `pip install`.
"""

import subprocess
import sys
import venv
from pathlib import Path

LEAST = (3, 11)


def say(text):
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


def main(environment, what, arguments):
    if sys.version_info < LEAST:
        say(f"This is Python {sys.version.split()[0]}; 3.11 or newer is needed.")
        return 1
    folder = Path(environment)
    say(f"Making the environment {folder} …")
    try:
        venv.create(folder, with_pip=True, upgrade_deps=False)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"It could not be made: {error}")
        say("On Debian and Ubuntu the module for it is a package of its own: python3-venv.")
        return 1
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    say(f"Installing {Path(what).name} and what it needs (PyTorch among it, which is large) …")
    command = [str(python), "-m", "pip", "install", "--upgrade", "--disable-pip-version-check", *arguments, what]
    if (code := subprocess.run(command, check=False).returncode) != 0:
        say("pip did not succeed; what it says above tells why. Nothing else was changed.")
        return code
    say("Looking whether this machine has what training needs …")
    code = subprocess.run([str(python), "-m", "dlm_lsp", "doctor"], check=False).returncode
    say("Done: the server starts by itself." if code == 0 else "Installed, but something is missing, see above.")
    return code


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
