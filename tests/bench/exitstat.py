"""What exitstat costs: bench/exitstat.py, or make bench

A table on stdout, and the same in build/bench-exitstat.json.  Each figure has a goal that it met or
not; either way the status is 0, as another machine's figures say nothing about a change.  The
instruction counts, by callgrind, are nearly the same each time and on each machine, so they show a
change that the times hide.

The files are made by tests/tree.py, on a tmpfs.  In debugfs itself each reading has the kernel add
up a VM's vCPUs and print them, which these figures do not have.
"""
import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import platform
import pty
import re
import select
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from paths import BUILD, TOP  # noqa: E402

SPAWN = BUILD / "bench/spawn"
VMS = 1000
VCPUS = 4
MAX_RSS = 32
# Processes that ran before have the program and its files in memory.
WARM_UP = 3


def build_spawn():
    SPAWN.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", SPAWN,
                    TOP / "tests/bench/spawn.c"], check=True)


@contextlib.contextmanager
def tree_of(vms):
    """The options for a host with so many VMs.

    Made by another process, as what Python has in its memory may not count as the program's.
    """
    shm = pathlib.Path("/dev/shm")
    path = pathlib.Path(tempfile.mkdtemp(prefix="exitstat-bench-",
                                         dir=shm if os.access(shm, os.W_OK) else None))
    try:
        subprocess.run([sys.executable, "-B", TOP / "tests/tree.py", path / "tree", "--vms", str(vms),
                        "--vcpus", str(VCPUS)], check=True, stdout=subprocess.DEVNULL)
        yield ["--debugfs", f"{path}/tree/debug", "--procfs", f"{path}/tree/proc"]
    finally:
        shutil.rmtree(path)


class Results:
    def __init__(self, program):
        self.program = program
        self.lines = []

    def add(self, what, value, unit, goal=None, **more):
        self.lines.append({"case": what, "measured": value, "unit": unit, "goal": goal,
                           "met": None if goal is None else value < goal, **more})
        line = self.lines[-1]
        shown = f"{value:,}".replace(",", " ") if isinstance(value, int) else f"{value:.2f}"
        print("{:<46} {:>13} {:<5} {:>9} {}".format(
            what, shown, unit, "" if goal is None else f"< {goal:g}",
            {None: "", True: "met", False: "NOT MET"}[line["met"]]), flush=True)


def spawn(times, command):
    done = subprocess.run([SPAWN, str(times + WARM_UP), *map(str, command)], check=False,
                          stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("bench: it ended early")
    out = done.stdout
    return [[int(word) for word in line.split()] for line in out.splitlines()][WARM_UP:]


def measure(results, what, command, times, goal):
    runs = spawn(times, [results.program, *command])
    wall, user, system, rss = zip(*runs)
    ms = 1e-6
    results.add(what, statistics.median(wall) * ms, "ms", goal, runs=times,
                fastest=min(wall) * ms, slowest=max(wall) * ms,
                user_ms=statistics.median(user) * ms, system_ms=statistics.median(system) * ms)
    results.add("  its memory", max(rss) / 1024, "MiB", MAX_RSS)


def count_instructions(results, what, command):
    """In user mode.  Valgrind's own are not among them."""
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", results.program,
         *command],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    results.add(what, int(re.search(r"Collected : (\d+)", done.stderr)[1]), "instr")


def cpu_time(pid):
    """In seconds: what the scheduler has counted so far, of all its threads."""
    return sum(int(path.read_text().split()[0])
               for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def read_until(terminal, end):
    """What the program draws until then.  Somebody has to take it."""
    drawn = b""
    while (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                drawn += os.read(terminal, 65536)
            except OSError:
                # It has ended.
                break
    return drawn


def measure_top(results, what, key, options, seconds, goal):
    pid, terminal = pty.fork()
    if not pid:
        os.environ["TERM"] = "xterm-256color"
        os.execv(results.program, ["exitstat", "top", "-d", "1", *options])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))

    # It starts and shows what it is to show; what that costs it does not take again.
    drawn = read_until(terminal, time.monotonic() + 1)
    os.write(terminal, key)
    drawn += read_until(terminal, time.monotonic() + 2)
    before, start = cpu_time(pid), time.monotonic()
    drawn += read_until(terminal, start + seconds)
    cpu, wall = cpu_time(pid) - before, time.monotonic() - start

    os.write(terminal, b"q")
    end = time.monotonic() + 5
    read_until(terminal, end)
    # The terminal is closed a moment before the process has ended.
    while not (ended := os.wait4(pid, os.WNOHANG))[0] and time.monotonic() < end:
        time.sleep(.01)
    _, status, usage = ended
    if not ended[0]:
        os.kill(pid, 9)
        os.wait4(pid, 0)
        sys.exit("bench: exitstat top does not end with q")
    os.close(terminal)
    if status:
        sys.exit(f"bench: exitstat top ended with status {status:#x}:\n"
                 + drawn.decode(errors="replace"))
    results.add(what, 100 * cpu / wall, "%", goal, seconds=wall, cpu_seconds=cpu, bytes_drawn=len(drawn))
    # Of this one the starter's memory, which is Python's, may be a part.
    results.add("  its memory", usage.ru_maxrss / 1024, "MiB", MAX_RSS)


def main():
    parser = argparse.ArgumentParser(description="Measure exitstat.")
    parser.add_argument("--top-seconds", type=float, default=30, metavar="SEC")
    parser.add_argument("--json", type=pathlib.Path, default=BUILD / "bench-exitstat.json",
                        metavar="FILE")
    parser.add_argument("--program", type=pathlib.Path, default=BUILD / "exitstat", metavar="FILE",
                        help="another exitstat, to compare it")
    args = parser.parse_args()
    build_spawn()

    results = Results(args.program)
    print("{:<46} {:>13} {:<5} {:>9}".format("CASE", "MEASURED", "", "GOAL"))
    with tree_of(1) as options:
        measure(results, "show, 1 VM", ["show", *options], 201, 10)
        count_instructions(results, "  instructions", ["show", *options])

    with tree_of(VMS) as options:
        many = f"{VMS} VMs of {VCPUS}"
        for what, command, goal in (
                ("show (the host)", ["show"], 20), ("list", ["list"], 300),
                ("list --vcpu all", ["list", "--vcpu", "all"], None),
                ("show --vm '*' --json", ["show", "--vm", "*", "--json"], None),
                ("show --vm '*' --csv", ["show", "--vm", "*", "--csv"], None),
                ("show --vm '*' --openmetrics", ["show", "--vm", "*", "--openmetrics"], None)):
            measure(results, f"{what}, {many}", [*command, *options], 21, goal)
            count_instructions(results, "  instructions", [*command, *options])

    with tree_of(100) as options:
        for key, view, goal in ((b"1", "host", 1), (b"2", "VMs", 1), (b"23", "a VM's vCPUs", None)):
            measure_top(results, f"top -d 1, 100 VMs, CPU time, view of {view}", key, options,
                        args.top_seconds, goal)

    args.json.write_text(json.dumps(
        {"schema": "exitstat.bench", "version": 1, "machine": platform.machine(),
         "kernel": platform.release(), "cpus": os.cpu_count(), "results": results.lines},
        indent=1) + "\n")
    missed = [line["case"].strip() for line in results.lines if line["met"] is False]
    print(f"not met: {', '.join(missed)}" if missed else "All goals are met.")
    print("On a tmpfs: in debugfs itself the kernel's own time comes on top.")


if __name__ == "__main__":
    main()
