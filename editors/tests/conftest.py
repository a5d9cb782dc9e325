"""Tests of editors by their screens: a real editor in a real terminal (tmux). `editors/test.sh` runs them."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))  # the terminal that the pictures are taken with
