"""Runs all measurements one after the other."""

from __future__ import annotations

import datetime
import os
import platform

from benchmarks import asking, growing_document, save_to_version, server_latency


def main() -> None:
    when = datetime.datetime.now(datetime.UTC).date()
    print(
        f"{when}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.python_version()}\n"
    )
    print("## From a save to its version\n")
    save_to_version.main()
    print("\n## A document that grows\n")
    growing_document.main()
    print("\n## What the editor feels\n")
    server_latency.main()
    print("\n## Asking while a run goes on\n")
    asking.main()


if __name__ == "__main__":
    main()
