"""What recording a VM-exit costs this CPU: bench/native.py, or make bench

Runs tests/bench/native.c, which says what it compares, with one thread and with two.  A table on
stdout, and the same in build/bench-native.json.
"""
import argparse
import json
import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cost
from lab import images

ROUNDS = 1001


def build(krel):
    header = images.BUILD / f"modules/src-{krel}/arch/x86/include/asm/kvm_host.h"
    images.run("make", "-s", "-C", cost.HERE, f"O={cost.BENCH}", f"KVM_HOST_H={header}", "native")
    return cost.BENCH / "native/native"


def cpu_name():
    found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else "unknown"


def main():
    parser = argparse.ArgumentParser(description="Measure what recording a VM-exit costs this CPU.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--json", type=pathlib.Path, default=images.BUILD / "bench-native.json",
                        metavar="FILE")
    args = parser.parse_args()
    cost.BENCH.mkdir(parents=True, exist_ok=True)
    try:
        program = build(cost.default_release())
        runs = [json.loads(images.run(program, threads, args.rounds)) for threads in (1, 2)]
    except images.BuildError as err:
        sys.exit(f"bench: {err}")
    args.json.write_text(json.dumps({"schema": "exitstat.bench-native", "version": 1,
                                     "cpu": cpu_name(), "runs": runs}, indent=1) + "\n")
    print(f"{'THREADS':<9}{'METHOD':<10}{'CYCLES':>8}{'ADDED':>8}{'NS ADDED':>10}{'ROUNDS':>8}")
    for run in runs:
        none = run["methods"]["none"]
        for name, found in run["methods"].items():
            print(f"{run['threads']:<9}{name:<10}{found['cycles']:>8.1f}"
                  f"{found['cycles'] - none['cycles']:>8.1f}{found['ns'] - none['ns']:>10.2f}"
                  f"{found['rounds']:>8}")


if __name__ == "__main__":
    main()
