"""Runs all measurements one after the other."""

from __future__ import annotations

import datetime
import os
import platform

from benchmarks import asking, growing_document, server_latency
from benchmarks.speed import beside_bare


def main() -> None:
    when = datetime.datetime.now(datetime.UTC).date()
    print(
        f"{when}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.python_version()}\n"
    )
    print("## From a save to its version\n")
    beside_bare.main()
    print("\n## A document that grows\n")
    growing_document.main()
    print("\n## What the editor feels\n")
    server_latency.main()
    print("\n## Asking while a run goes on\n")
    asking.main()


if __name__ == "__main__":
    main()
