"""Runs the measures of speed one after the other, and shows each figure beside its target."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
from importlib import import_module

from benchmarks.speed.table import Row, show

MEASURES = (
    "beside_bare",
    "overhead",
    "flops",
    "growth",
    "first_save",
    "hover",
    "start",
    "resident",
    "first_token",
    "plans",
)
ELSEWHERE = ("beside_original", "beside_trl")  # these make an environment of their own first


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("measures", nargs="*", default=MEASURES, metavar="MEASURE", help=", ".join(MEASURES))
    parser.add_argument("--others", action="store_true", help="the original tool and TRL, too (they are installed)")
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it runs")
    options = parser.parse_args()
    wanted = [*options.measures, *(ELSEWHERE if options.others else ())]
    if unknown := set(wanted) - {*MEASURES, *ELSEWHERE}:
        parser.error(f"there is no measure {', '.join(sorted(unknown))}")
    found: list[Row] = []
    for name in wanted:
        sys.stderr.write(f"{name} …\n")
        found += import_module(f"benchmarks.speed.{name}").rows(options.quick)
    today = datetime.datetime.now(datetime.UTC).date()
    print(f"{today}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    print(show(found))


if __name__ == "__main__":
    main()
