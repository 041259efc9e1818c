# SPDX-License-Identifier: Apache-2.0
"""Runs us against real peers: `make interop` (all), `interop/run.py --minutes 15` (what fits), or cases by name.

A peer that cannot be had fails the run and is named, unless FOREGLOW_INTEROP_SKIP (comma separated
case names) allows its absence.
"""

import argparse
import os
import sys
import time
import traceback

import cases
import peers
from stack import Stack


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="cases to run; none = all")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no case after this time")
    arguments = parser.parse_args()
    allowed = {name.strip() for name in os.environ.get("FOREGLOW_INTEROP_SKIP", "").split(",") if name.strip()}
    chosen = [case for case in cases.ALL if not arguments.names or case.__name__ in arguments.names]
    unknown = set(arguments.names) - {case.__name__ for case in cases.ALL}
    if unknown:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(c.__name__ for c in cases.ALL)}")
    (peers.BIN).mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    failed, passed, absent, late = [], [], [], []
    for case in chosen:
        if time.monotonic() - begin > arguments.minutes * 60:
            late.append(case.__name__)
            continue
        started = time.monotonic()
        with Stack(case.__name__) as stack:
            try:
                seen = case(stack)
                passed.append(case.__name__)
                print(f"ok      {case.__name__} ({time.monotonic() - started:.0f} s): {seen}", flush=True)
            except peers.Missing as reason:
                (absent if case.__name__ in allowed else failed).append(case.__name__)
                print(f"absent  {case.__name__}: {reason}", flush=True)
            except Exception:
                failed.append(case.__name__)
                print(f"FAILED  {case.__name__} ({time.monotonic() - started:.0f} s)\n{traceback.format_exc()}\n{stack.tail()}", flush=True)
    if late:
        print(f"not started within {arguments.minutes:g} minutes (run `make interop`): {', '.join(late)}")
    print(f"interop: {len(passed)} passed, {len(failed)} failed, {len(absent)} absent and allowed, {len(late)} not started")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
