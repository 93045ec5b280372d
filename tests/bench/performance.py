"""Writes Documentation/performance.md from what the benchmarks measured: bench/performance.py

Takes build/bench.json (bench/cost.py), bench-native.json (bench/native.py), bench-growth.json
(bench/growth.py) and, if it is there, bench-exitstat.json (bench/exitstat.py), and the modules
themselves for the count of instructions.  The figures are all in these files: none stands here.
"""
import argparse
import collections
import html
import json
import math
import os
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cost
from lab import images
from paths import TOP

CASES = {
    "cpuid": "CPUID",
    "hlt": "HLT: halt, sleep, be woken by another thread",
    "tsc_deadline": "write of TSC_DEADLINE, in the fastpath",
    "pio_kernel": "port of KVM's own PIT",
    "pio_user": "port, to the VMM",
}
CONFIGS = {
    "off": "exit_stats=0",
    "on": "exit_stats_histograms=0",
    "hist": "default, with histograms",
    "exitstat_counts": "exitstat by eBPF, counts alone",
    "exitstat": "exitstat by eBPF, on stock modules",
    "exitstat_hist": "exitstat by eBPF, with histograms",
    "reason_details": "exitstat details of that reason",
    "perf_stat": "perf stat, 2 tracepoints",
    "bpf": "BPF tool",
    "perf": "perf kvm stat record",
}
METHODS = {
    "counts": "ours, without histograms",
    "hist": "ours, with histograms",
    "atomics": "atomics in one array",
    "spinlock": "one spinlock",
    "hash": "hash maps",
}
COLOURS = {"off": "#94a3b8", "on": "#15803d", "hist": "#65a30d", "exitstat_counts": "#7dd3fc", "exitstat": "#0369a1",
           "exitstat_hist": "#1e3a8a", "reason_details": "#7c3aed", "perf_stat": "#f59e0b",
           "bpf": "#ea580c", "perf": "#b91c1c", "counts": "#15803d", "atomics": "#f59e0b",
           "spinlock": "#b91c1c", "hash": "#ea580c"}


def number(value):
    """Rounded to whole ones, with thin groups of three."""
    return f"{round(value):,}".replace(",", " ")


def added(value):
    """What is added: with sign; 0 if it rounds to it."""
    return f"{'+' if round(value) > 0 else ''}{number(value)}"


class Chart:
    """Groups of horizontal bars, on a logarithmic scale, as SVG text."""
    WIDTH, LEFT, RIGHT, BAR, GAP = 820, 250, 70, 14, 14

    def __init__(self, title, unit, least):
        self.title, self.unit, self.least = title, unit, least
        self.groups = collections.OrderedDict()

    def add(self, group, name, label, value):
        self.groups.setdefault(group, []).append((name, label, value))

    def draw(self, path):
        values = [value for bars in self.groups.values() for _, _, value in bars]
        decades = math.ceil(math.log10(max(values) / self.least))
        width = self.WIDTH - self.LEFT - self.RIGHT
        top = 46

        def x(value):
            share = math.log10(max(value, self.least) / self.least) / decades
            return self.LEFT + max(2, share * width)

        out, y = [], top
        for group, bars in self.groups.items():
            out.append(f'<text x="12" y="{y + 11}" font-weight="bold">{html.escape(group)}</text>')
            y += 18
            for name, label, value in bars:
                out.append(f'<text x="{self.LEFT - 8}" y="{y + 11}" text-anchor="end">'
                           f'{html.escape(label)}</text>')
                out.append(f'<rect x="{self.LEFT}" y="{y}" width="{x(value) - self.LEFT:.1f}" '
                           f'height="{self.BAR - 2}" fill="{COLOURS[name]}"/>')
                text = number(value) if value >= 10 else f"{value:.1f}"
                out.append(f'<text x="{x(value) + 5:.1f}" y="{y + 11}">{text}</text>')
                y += self.BAR
            y += self.GAP
        lines = []
        for decade in range(decades + 1):
            at = self.LEFT + decade / decades * width
            lines.append(f'<line x1="{at:.1f}" y1="{top - 4}" x2="{at:.1f}" y2="{y}" '
                         'stroke="#e2e8f0"/>')
            lines.append(f'<text x="{at:.1f}" y="{y + 14}" text-anchor="middle" fill="#475569">'
                         f'{number(self.least * 10 ** decade)}</text>')
        height = y + 40
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.WIDTH}" height="{height}" '
            f'viewBox="0 0 {self.WIDTH} {height}" font-family="DejaVu Sans, sans-serif" '
            'font-size="11">\n'
            f'<rect width="{self.WIDTH}" height="{height}" fill="white"/>\n'
            f'<text x="12" y="24" font-size="15" font-weight="bold">{html.escape(self.title)}</text>\n'
            + "\n".join(lines + out)
            + f'\n<text x="{self.LEFT + width / 2}" y="{height - 8}" text-anchor="middle" '
            f'fill="#475569">{html.escape(self.unit)}</text>\n</svg>\n')


def table(head, rows):
    right = [" ---: " if i else " --- " for i in range(len(head))]
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(right) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def measured(cases):
    """The configurations that were, in order."""
    return [config for config in CONFIGS
            if any(values.get(config) is not None for values in cases.values())]


def cost_rows(cases):
    configs = measured(cases)
    rows = []
    for name, values in cases.items():
        more = cost.added_of(values)
        rows.append([CASES[name], number(values["stock"]),
                     *(added(more[c]) if c in more else "not measured" for c in configs)])
    return table(["per round trip", "stock", *(CONFIGS[c] for c in configs)], rows)


def goal_rows(bench):
    rows = []
    for goal in bench["goals"]:
        what = f"at most {goal['goal']:.1f}"
        if "share" in goal:
            what += f", 1/{goal['share']} of {CONFIGS[goal['share_of']]}"
        rows.append([f"{CASES[goal['case']]}, {CONFIGS[goal['config']]}", f"{goal['added']:+.1f}", what,
                     "met" if goal["met"] else "**not met**"])
    return table(["", "added", "goal", ""], rows)


def whole_rows(cases):
    configs = ["stock", *measured(cases)]
    rows = []
    for name, values in cases.items():
        rows.append([CASES[name], *(number(values["details"][c]["whole"])
                                    if c in values["details"] else "-" for c in configs)])
    return table(["mean per round trip", "stock", *(CONFIGS[c] for c in configs[1:])], rows)


def watched_text(bench):
    """What the watchers missed, or that they did not."""
    said = []
    for config, found in bench["watchers"].items():
        made = sum(case["exits"] for case in found.values())
        saw = sum(case["saw"] for case in found.values())
        said.append(f"{CONFIGS[config]} saw {number(saw)} of {number(made)} exits")
    return "; ".join(said) + "." if said else ""


def batch_rows(cases):
    rows = []
    for name, values in cases.items():
        for config, found in values["details"].items():
            rows.append([f"{CASES[name]}, {CONFIGS.get(config, config)}", f"{found['min']:.1f}",
                         f"{found['median']:.1f}", str(found["batches"]),
                         str(found["least_batches"])])
    return table(["", "least", "median", "batches", "of them within 1 of the least"], rows)


def cost_chart(cases, path):
    chart = Chart("Added to a round trip between guest and KVM",
                  "instructions more than with Debian's own modules, logarithmic", 1)
    for name, values in cases.items():
        more = cost.added_of(values)
        for config in CONFIGS:
            if config in more:
                chart.add(CASES[name], config, CONFIGS[config], max(0, more[config]))
    chart.draw(path)


def native_rows(native):
    rows = []
    for name, label in METHODS.items():
        row = [label]
        for run in native["runs"]:
            methods = run["methods"]
            cycles = methods[name]["cycles"] - methods["none"]["cycles"]
            ours = methods["counts"]["cycles"] - methods["none"]["cycles"]
            ratio = f"{cycles / ours:.1f}" if ours > 0 else "-"
            row += [f"{cycles:.1f}", f"{methods[name]['ns'] - methods['none']['ns']:.1f}", ratio]
        rows.append(row)
    head = [""]
    for run in native["runs"]:
        threads = f"{run['threads']} CPU{'s' if run['threads'] > 1 else ''}"
        head += [f"{threads}: cycles", "ns", "times ours"]
    return table(head, rows)


def native_chart(native, path):
    chart = Chart("Recording one VM-exit, on a real CPU",
                  "cycles more than two readings of the TSC, logarithmic", 1)
    for run in native["runs"]:
        for name, label in METHODS.items():
            cycles = run["methods"][name]["cycles"] - run["methods"]["none"]["cycles"]
            chart.add(f"{run['threads']} CPU{'s' if run['threads'] > 1 else ''}", name, label,
                      max(0, cycles))
    chart.draw(path)


def disassembly_rows():
    import test_disassembly as disassembly

    rows = []
    for module, name, _ in disassembly.HOOKED:
        try:
            function = disassembly.Function(module, name)
        except TypeError:
            sys.exit(f"bench: {disassembly.MODULES}/{module}.ko has no {name}(): it is not this "
                     "tree's; run make modules, and measure again")
        on, off = function.reachable(True), function.reachable(False)
        ours = [function.instructions[a][0] for a in on - off]
        left = [a for a in off if a in function.sites]
        rows.append([f"{module}.ko, {name}()", str(len(ours)), str(ours.count("rdtsc")),
                     str(sum("lock" in m for m in ours)), str(len(left))])
    return table(["", "instructions while it is on", "of them RDTSC", "locked", "left when it is off"],
                 rows)


SCOPES = {"vcpu": "a vCPU", "vm": "a VM", "host": "the host"}


def reading_rows(growth):
    rows = []
    for line in growth["readings"]:
        rows.append([f"{line['file']} of {SCOPES[line['scope']]}", f"{line['number']} {line['of']}",
                     number(line["instructions"]), number(line["bytes"])])
    return table(["", "with", "instructions", "bytes"], rows)


def memory_rows(growth):
    stock = growth["memory"]["stock"]
    rows = [["Debian's own modules", number(stock["vm"]), "", number(stock["vcpu"]), ""]]
    for config in ("on", "hist"):
        sizes = growth["memory"][config]
        rows.append([CONFIGS[config], number(sizes["vm"]), added(sizes["vm"] - stock["vm"]),
                     number(sizes["vcpu"]), added(sizes["vcpu"] - stock["vcpu"])])
    return table(["bytes", "VM with one vCPU", "", "each further vCPU", ""], rows)


def size_rows(native):
    sizes = native["runs"][0]["sizeof"]
    rows = [["struct kvm_exit_counts", number(sizes["counts"]), "each vCPU and each possible CPU"],
            ["struct kvm_exit_clock", number(sizes["clock"]), "each vCPU"],
            ["struct kvm_exit_hist", number(sizes["hist"]),
             "each vCPU and each possible CPU, with histograms"]]
    return table(["", "bytes", "one for"], rows)


def tool_rows(tool):
    rows = []
    for line in tool["results"]:
        value = line["measured"]
        rows.append([line["case"].strip(), f"{number(value) if value >= 100 else f'{value:.2f}'} "
                     f"{line['unit']}", "" if line["goal"] is None else f"< {line['goal']:g}",
                     {None: "", True: "met", False: "**not met**"}[line["met"]]])
    return table(["", "measured", "goal", ""], rows)


def goals_text(goals):
    missed = sum(not goal["met"] for goal in goals)
    if not goals:
        return "No goal could be looked at."
    return f"Of {len(goals)} goals {missed or 'all'} are {'not ' if missed else ''}met."


TEXT = """\
# What exit accounting costs

Each table is generated from a measurement, and above it stands the command that makes it again.
`make bench` runs all of them and writes this page. Kernel: Debian's {kernel}; emulator:
{emulator}; {date}.

## A round trip between guest and KVM

    /usr/bin/python3 tests/bench/cost.py

On Bochs with `clock: sync=none` a cycle of the TSC is an instruction, and runs can be repeated, so
that the figures are **instructions**: exact, and the same on each machine, but they know nothing of
caches and of how many instructions a CPU does at once. For that see the next section. *stock* are
Debian's own modules, and the other columns are what is added to them. Mitigations are off.

{cost}

![Added to a round trip](performance/cost.svg)

- *perf stat*: `perf stat -e kvm:kvm_exit,kvm:kvm_entry -p` the VMM: two counters, no reasons and no
  time.
- *BPF tool*: `tests/bench/exits.bpf.c`, loaded with libbpf and attached to the same two tracepoints:
  it counts exits by reason and adds up the time from exit to entry, as much as a BPF tool for exit
  reasons does that also tells their time. It is compiled beforehand, so clang and kernel headers,
  which BCC needs on the host, have no part in it.
- *perf kvm stat record*: `perf kvm stat record -p` the VMM, to a tmpfs.

That they did their work: {watched} (perf pairs exits with entries, so it leaves out the last one of
a vCPU.) A figure is the difference of two batches, {short} and
{long} round trips long, each the least of {batches}: such batches pass without a tick of the host's timer.
HLT's round trip goes through the scheduler twice, which does not always take the same way: there it
is {hlt_short} and {hlt_long}, and the median, good to a few tens and with the ticks in it. So the figures leave out what a tracer costs outside of the
vCPU's path, as when perf reads and writes what was recorded; the means at the end of this page have
it.

{goals_text} An exit that goes to userspace has two times, with it and without, so that histograms have two
buckets to find; and a twenty-fifth of what perf stat adds is less than the 44 instructions that such an
exit was to take at most. The end of HLT's wait is charged out of line, with interrupts off, and
what the scheduler does meanwhile varies by more than the goal.

{goals}

## Recording one exit on a real CPU

    /usr/bin/python3 tests/bench/native.py

The hooks as they are in `kernel/exit_stats.h`, compiled for a process, beside the obvious other ways
to record the same: how often, for how long, per exit reason. On {cpu}, beyond two readings of the TSC,
which all of them need; medians of rounds that take turns.

{native}

![Recording one VM-exit](performance/native.svg)

What `tests/bench/shim/` replaces: a static key is a constant, so the NOP of its site is not there;
each thread is a CPU and sets its own `gs`, and `this_cpu_add()` is the same one instruction as in the
kernel; LFENCE stands in the place of VM-entry and VM-exit, that neither side overlaps with the other;
the slow paths, for an exit longer than all before it, are not taken. A round only counts if no
thread lost its CPU, and all ran at the same time. The cache is warm, which after a guest it is not.
Ours keeps each number twice, for the vCPU and for the CPU; the others keep it once, for the host
(*hash maps*: by thread).

## The instructions themselves

    /usr/bin/python3 -m pytest -s tests/test_disassembly.py

Read from the modules. Inline code of histograms and the calls of slow paths are among them, so fewer
are executed.

{disassembly}

## How it grows

    /usr/bin/python3 tests/bench/growth.py

Instructions from `open()` to `close()`, the least of {readings_each} readings. On a host with one CPU; a
host's own numbers grow with its possible CPUs, and not with its VMs.

{readings}

Kernel memory that a VM is charged for, as its cgroup tells:

{memory}

And the sizes of the structures. The host's are for each possible CPU, once:

{sizes}
{tool}
## Means and batches

Whole runs of {whole} round trips, with the host's timer ticks, and with perf that reads what it wrote
on the one CPU that there is:

{whole_rows}

Least and median of the batches:

{batch_rows}
"""
TOOL = """
## exitstat, the tool

    /usr/bin/python3 tests/bench/exitstat.py

{rows}

Its instructions are counted by callgrind.
"""


def load(name, command):
    path = images.BUILD / name
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        sys.exit(f"bench: there is no {path}: run tests/bench/{command} first")


def main():
    parser = argparse.ArgumentParser(description="Write Documentation/performance.md.")
    parser.add_argument("--output", type=pathlib.Path, default=TOP / "Documentation", metavar="DIR")
    args = parser.parse_args()
    bench = load("bench.json", "cost.py")
    native = load("bench-native.json", "native.py")
    growth = load("bench-growth.json", "growth.py")
    tool = images.BUILD / "bench-exitstat.json"
    os.environ["KREL"] = bench["kernel"]

    cases = bench["cases"]
    if any(values.get("stock") is None for values in cases.values()):
        sys.exit("bench: build/bench.json has no figures of stock: run tests/bench/cost.py without "
                 "--configs")
    page = TEXT.format(
        kernel=bench["kernel"], emulator=bench["emulator"], date=bench["date"][:10],
        cost=cost_rows(cases), goals=goal_rows(bench), goals_text=goals_text(bench["goals"]),
        short=cost.LENGTHS[0], long=cost.LENGTHS[1], hlt_short=cost.MEDIAN_LENGTHS[0],
        hlt_long=cost.MEDIAN_LENGTHS[1], batches=next(iter(cases.values()))["batches"],
        native=native_rows(native), cpu=native["cpu"], disassembly=disassembly_rows(),
        readings=reading_rows(growth), readings_each=growth["each"], memory=memory_rows(growth),
        sizes=size_rows(native), whole=number(cost.WHOLE), whole_rows=whole_rows(cases),
        batch_rows=batch_rows(cases), watched=watched_text(bench),
        tool=TOOL.format(rows=tool_rows(json.loads(tool.read_text()))) if tool.exists() else "")
    cost_chart(cases, args.output / "performance/cost.svg")
    native_chart(native, args.output / "performance/native.svg")
    (args.output / "performance.md").write_text(page)
    print(f"Wrote {args.output / 'performance.md'}")


if __name__ == "__main__":
    main()
