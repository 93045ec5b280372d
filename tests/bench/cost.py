"""What exit accounting costs a VM-exit, in instructions: bench/cost.py, or make bench

On Bochs, where a TSC cycle is an instruction, guests make exits of one kind, and the host's TSC tells
how long a round trip takes, from one exit to the next.  A batch is so short that some pass without a
tick of the host's timer, and the least of many batches is the exact cost.

    stock      Debian's own modules
    off        ours, exit_stats=0
    on         ours, exit_stats_histograms=0
    hist       ours, as they are by default
    exitstat   Debian's own, exitstat counts by eBPF; exitstat_counts and _hist: less and more of it
    reason_details  Debian's own, exitstat details looks at this reason's exits
    perf_stat  Debian's own, perf stat counts kvm:kvm_exit and kvm:kvm_entry of the VM
    perf       Debian's own, perf kvm stat record watches the VM
    bpf        Debian's own, bench/exits.bpf.c counts and times the VM's exits by reason

A table on stdout, and the same in build/bench.json.  Each goal is met or not; either way the status
is 0.  Modules to compare, built elsewhere, are named with --modules.
"""
import argparse
import contextlib
import datetime
import fcntl
import json
import lzma
import os
import pathlib
import re
import shutil
import statistics
import sys

# Bytecode beside tests/lab/ would count as a change of it.
sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from lab import images
from lab.machine import LostMachine, Machine
from paths import TOP
from vm import Paused

BENCH = images.BUILD / "bench"
HERE = pathlib.Path(__file__).resolve().parent
# minivmm's steps: for each round trip one exit.
CASES = {
    "cpuid": "cpuid:{}",
    "hlt": "hlt-wake:{}",
    # So far ahead that it does not fire, and near enough for the VMX preemption timer.
    "tsc_deadline": "deadline:{}:1000000000",
    "pio_kernel": "pio-kernel:{}",
    "pio_user": "pio-user:{}",
}
OURS = {"off": "exit_stats=0", "on": "exit_stats_histograms=0", "hist": ""}
WATCHED = ("exitstat_counts", "exitstat", "exitstat_hist", "reason_details", "perf_stat", "perf", "bpf")
CONFIGS = ("stock", *OURS, *WATCHED)
# Round trips of a short and of a long batch; what both have beside them cancels out.  The host's
# timer ticks every 400 000 instructions.
LENGTHS = (10, 40)
# The scheduler does not always take the same way, so for these it is long batches and their median.
MEDIAN = ("hlt",)
MEDIAN_LENGTHS = (10, 1010)
# Round trips of a run that has all in it: ticks, and a tracer that reads what it wrote.
WHOLE = 5000


class CostMachine(Machine):
    """Has no modules of ours where modprobe finds them, but beside."""

    def __init__(self, krel, run_dir):
        super().__init__("bochs", krel, run_dir / "log")
        self.payload = run_dir / "payload.img"

    def bochs(self, port):
        command = super().bochs(port)
        (self.dir / "payload.img").unlink()
        (self.dir / "payload.img").symlink_to(self.payload)
        return command


@contextlib.contextmanager
def run_directory():
    """For payload and logs of this run, so that two may run at once; kept if it fails."""
    path = BENCH / f"run.{os.getpid()}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path)


def build_programs():
    images.run("make", "-s", "-C", TOP / "tests/vmm", f"O={BENCH}", "all")
    images.run("make", "-s", "-C", HERE, f"O={BENCH}", "image")


def build_payload(krel, modules, run_dir):
    """As tests/lab/images.py's, without what is not measured."""
    tree, staging = run_dir / "payload", run_dir / "staging"
    shutil.copytree(images.kernel_dir(krel) / "lib/modules", staging / "lib/modules", symlinks=True)
    images.run("/sbin/depmod", "-b", staging, krel)
    lib = tree / "usr/lib/modules" / krel
    lib.mkdir(parents=True)
    for file in (staging / "lib/modules" / krel).glob("modules.*"):
        shutil.copy2(file, lib)
    shutil.rmtree(staging)
    for name in ("usr/bin", "usr/lib/bench/stock", "usr/lib/bench/ours", "usr/sbin"):
        (tree / name).mkdir(parents=True)
    for name in ("kvm", "kvm-intel"):
        shutil.copy2(modules / f"{name}.ko", tree / "usr/lib/bench/ours")
        debian = next(path for path in images.kernel_dir(krel).rglob(f"{name}.ko*"))
        packed = debian.read_bytes()
        target = tree / f"usr/lib/bench/stock/{name}.ko"
        target.write_bytes(lzma.decompress(packed) if debian.suffix == ".xz" else packed)
        # The same code, and BTF for those who ask it; debug information would take long to load.
        images.run("strip", "-g", target)
    for program in sorted(p for p in (BENCH / "tests").iterdir() if p.is_file()):
        shutil.copy2(program, tree / "usr/bin")
    shutil.copy2(images.BUILD / "exitstat", tree / "usr/bin")
    shutil.copy2(images.HERE / "lab-init", tree / "usr/sbin")
    images.squashfs(tree, run_dir / "payload.img")
    shutil.rmtree(tree)


def build(krel, modules, run_dir):
    images.images_dir(krel).mkdir(parents=True, exist_ok=True)
    with open(images.LAB / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        images.root(krel)
        images.initrd(krel)
        build_programs()
    build_payload(krel, modules, run_dir)


def load(machine, config):
    """Load the modules that a configuration is about."""
    which = "ours" if config in OURS else "stock"
    machine.check("! lsmod | grep -q ^kvm_intel || rmmod kvm_intel kvm; modprobe irqbypass; "
                  f"cd /usr/lib/bench/{which}; insmod kvm.ko {OURS.get(config, '')} && "
                  "insmod kvm-intel.ko", 300)


def wait_until_idle(machine):
    """Its one CPU, but for the looks at it; what goes on after boot would double everything."""
    for _ in range(60):
        before, after = (
            [int(word) for word in line.split()[1:9]]
            for line in machine.check("grep ^cpu0 /proc/stat; sleep 1; grep ^cpu0 /proc/stat",
                                      120).splitlines())
        idle, total = after[3] - before[3], sum(after) - sum(before)
        if total and idle / total > 0.9:
            return
    sys.exit("bench: the machine does not become idle")


def lengths_of(case):
    return MEDIAN_LENGTHS if case in MEDIAN else LENGTHS


def steps_of(case, batches):
    """For a shell: a serial line would be too long for all of them."""
    short, long = (CASES[case].format(n) for n in lengths_of(case))
    return [f"$(for i in $(seq {batches}); do echo {short} {long}; done)",
            CASES[case].format(WHOLE)]


def run_alone(machine, steps):
    """[(TSC, exits)] of each step."""
    # Without the arrays, that would take a serial line long; and sed only after minivmm.
    output = machine.check(
        f"minivmm {' '.join(steps)} >/tmp/out && "
        "sed -E 's/.*,\"tsc\":([0-9]+),.*\"exits\":([0-9]+).*/\\1 \\2/' /tmp/out", 600)
    return [tuple(map(int, line.split())) for line in output.splitlines()]


# Counting by eBPF, by how much is counted.
LEVELS = {"exitstat_counts": "counts", "exitstat": "times", "exitstat_hist": "histograms"}
WATCH = {
    **{config: (f"exitstat record --source bpf --level {level} -d 1 -o {{file}}",
                "exitstat report {file} --csv -o EXITS; rm {file}") for config, level in LEVELS.items()},
    "reason_details": ("exitstat details {reason} -d 3600 --json", "cat {log}"),
    "perf_stat": ("perf stat -e kvm:kvm_exit,kvm:kvm_entry -p {pid}", "cat {log}"),
    "perf": ("perf kvm stat record -o {file} -p {pid}",
             "perf kvm -i {file} stat report 2>&1; ls -l {file}; rm {file}"),
    "bpf": ("exits-bpf {pid}", "cat {log}"),
}


def run_watched(machine, steps, config):
    """The same, with somebody watching; and what that one has seen."""
    vm = Paused(machine, "vm", "pause", *steps, "pause")
    pid = machine.check(f"cat {vm.files}.pid").strip()
    names = {"pid": pid, "file": "/tmp/watch.data", "log": "/tmp/watch.log",
             "reason": "CPUID" if "cpuid" in steps[0] else "IO_INSTRUCTION"}
    start, report = (text.format(**names) for text in WATCH[config])
    machine.check(f"{start} >{names['log']} 2>&1 & disown; echo $! >/tmp/watch.pid; sleep 3; "
                  f"kill -0 $(cat /tmp/watch.pid) || cat {names['log']}", 120)
    wait_until_idle(machine)
    # It may take minutes, and says nothing.
    machine.check(f"echo >&$(cat {vm.files}.fd)")
    machine.check(f"until tail -n +2 {vm.files}.out | grep -q pause; do sleep 0.5; "
                  f"kill -0 $(cat {vm.files}.pid) || exit 1; done", 900)
    output = machine.check(f"tail -n +2 {vm.files}.out")
    machine.check("kill -INT $(cat /tmp/watch.pid); "
                  "while kill -0 $(cat /tmp/watch.pid) 2>/dev/null; do sleep 0.2; done", 300)
    seen = machine.check(report, 300)
    vm.kill()
    done = [json.loads(line) for line in output.splitlines()]
    return [(step["tsc"], step["delta"]["exits"]) for step in done if "tsc" in step], seen


# What a watcher says of the exits that it saw.
SEEN = {
    **dict.fromkeys(LEVELS, r"^(\d+)$"),
    "reason_details": r'"total":\{"exits":(\d+)',
    "perf_stat": r"^ *([\d,]+) +kvm:kvm_exit",
    "perf": r"^Total Samples:(\d+)",
    "bpf": r"^reason \d+: (\d+) exits",
}


def exits_seen(config, text):
    return sum(int(n.replace(",", "")) for n in re.findall(SEEN[config], text, re.M))


def measure(machine, case, config, batches):
    steps = steps_of(case, batches)
    seen = None
    if config in WATCH:
        found, seen = run_watched(machine, steps, config)
    else:
        found = run_alone(machine, steps)
    *found, whole = found
    shorts, longs = found[::2], found[1::2]
    short, long = lengths_of(case)
    trips = long - short
    least = sorted(shorts)[len(shorts) // 2 if case in MEDIAN else 0]
    values = sorted((tsc - least[0]) / trips for tsc, _ in longs)
    median = statistics.median(values)
    return {"value": median if case in MEDIAN else values[0],
            "min": values[0], "median": median, "batches": batches,
            "exits_per_round_trip": (min(longs)[1] - least[1]) / trips,
            "least_batches": sum(1 for value in values if value < values[0] + 1),
            "whole": (whole[0] - least[0]) / (WHOLE - short), "seen": seen,
            "exits": sum(exits for _, exits in found) + whole[1]}


# What counting by eBPF may add: to exits that KVM handles, and to those that go to the VMM.
EBPF_GOALS = {"cpuid": 360, "pio_kernel": 360, "pio_user": 850}
# What each may add to stock: instructions, or a share of what another one adds.
GOALS = (
    ("off", lambda case, added: 4, "<= 4"),
    ("on", lambda case, added: 44 if case == "pio_user" else 32, ""),
    ("hist", lambda case, added: added["on"] + 16 if "on" in added else None, "on + 16"),
    ("exitstat_counts", lambda case, added: 150, ""),
    ("exitstat", lambda case, added: EBPF_GOALS.get(case), ""),
    ("exitstat_hist", lambda case, added: added["exitstat"] + 45 if "exitstat" in added else None, "exitstat + 45"),
)
SHARES = (("on", "perf", 90), ("on", "perf_stat", 25))


def added_of(values):
    stock = values.get("stock")
    if stock is None:
        return {}
    return {config: values[config] - stock for config in CONFIGS
            if values.get(config) is not None and config != "stock"}


def print_table(cases, configs):
    print(f"\nInstructions per round trip, least of {next(iter(cases.values()))['batches']} batches "
          f"of each length (median: {', '.join(MEDIAN)}),\nand what is added to stock:\n")
    print(f"{'CASE':<14}" + "".join(f"{config:>17}" for config in configs))
    for case, values in cases.items():
        added = added_of(values)
        line = f"{case:<14}"
        for config in configs:
            value = values[config]
            text = "-" if value is None else f"{value:.1f}"
            if config in added:
                text += f" ({added[config]:+.1f})"
            line += f"{text:>17}"
        print(line)


def goals_of(cases):
    found = []
    for case, values in cases.items():
        added = added_of(values)
        for config, limit, _ in GOALS:
            if config in added and (most := limit(case, added)) is not None:
                # To the instruction; what is left are batches whose ends differ by one.
                found.append({"case": case, "config": config, "added": added[config],
                              "goal": most, "met": round(added[config] - most) <= 0})
        for config, other, share in SHARES:
            if config in added and other in added:
                found.append({"case": case, "config": config, "added": added[config],
                              "goal": added[other] / share, "share_of": other, "share": share,
                              "met": added[config] <= added[other] / share})
    return found


def print_goals(goals):
    if goals:
        print(f"\n{'CASE':<14}{'CONFIG':<8}{'ADDED':>8}  {'GOAL':<34}")
    for goal in goals:
        what = f"<= {goal['goal']:.1f}"
        if "share" in goal:
            what += f", 1/{goal['share']} of {goal['share_of']}"
        print(f"{goal['case']:<14}{goal['config']:<8}{goal['added']:>+8.1f}  {what:<34}"
              f"{'met' if goal['met'] else 'NOT MET'}")


def subset(text, known, what):
    names = text.split(",")
    for name in names:
        if name not in known:
            sys.exit(f"bench: there is no {what} {name}: use some of {','.join(known)}")
    return [name for name in known if name in names]


def default_release():
    return os.environ.get("KREL") or images.run(TOP / "kernel/default-release", "6.12").strip()


def version_of_bochs():
    # Its own --help says no more than a number that Debian does not change.
    return images.run("dpkg-query", "-W", "-f", "bochs ${Version}", "bochs")


def run(args, krel, run_dir):
    configs = subset(args.configs, CONFIGS, "configuration")
    names = subset(args.cases, CASES, "case")
    result = {
        "schema": "exitstat.bench", "version": 1,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "kernel": krel, "emulator": f"{version_of_bochs()}, clock: sync=none",
        "unit": "instructions per round trip", "goals": [], "watchers": {},
        "cases": {name: {**{config: None for config in configs}, "batches": args.batches,
                         "details": {}} for name in names},
    }
    with CostMachine(krel, run_dir) as machine:
        with images.step("Booting Bochs"):
            machine.boot()
        loaded = None
        for config in configs:
            if (wanted := config if config in OURS else "stock") != loaded:
                with images.step(f"Loading KVM's modules: {wanted}"):
                    load(machine, config)
                    wait_until_idle(machine)
                # A halted vCPU that polls would keep the thread that wakes it from its CPU.
                machine.check("echo 0 >/sys/module/kvm/parameters/halt_poll_ns")
                loaded = wanted
            for name in names:
                with images.step(f"Measuring {name}, {config}"):
                    found = measure(machine, name, config, args.batches)
                seen = found.pop("seen")
                if seen is not None:
                    result["watchers"].setdefault(config, {})[name] = {
                        "said": seen, "saw": exits_seen(config, seen), "exits": found["exits"]}
                result["cases"][name][config] = found["value"]
                result["cases"][name]["details"][config] = found
    result["goals"] = goals_of({name: {c: values[c] for c in configs}
                                for name, values in result["cases"].items()})
    args.json.write_text(json.dumps(result, indent=1) + "\n")
    print_table(result["cases"], configs)
    print_goals(result["goals"])
    return result


def main():
    parser = argparse.ArgumentParser(description="Measure what exit accounting costs a VM-exit.")
    parser.add_argument("--modules", type=pathlib.Path, metavar="DIR",
                        help="with kvm.ko and kvm-intel.ko; build/modules/$KREL if not given")
    parser.add_argument("--configs", default=",".join(CONFIGS), metavar="NAME,...",
                        help="some of %(default)s")
    parser.add_argument("--cases", default=",".join(CASES), metavar="NAME,...",
                        help="some of %(default)s")
    parser.add_argument("--batches", type=int, default=40, metavar="N")
    parser.add_argument("--json", type=pathlib.Path, default=images.BUILD / "bench.json",
                        metavar="FILE")
    args = parser.parse_args()
    krel = default_release()
    modules = args.modules or images.BUILD / "modules" / krel
    try:
        with run_directory() as run_dir:
            build(krel, modules, run_dir)
            run(args, krel, run_dir)
    except (images.BuildError, LostMachine, OSError) as err:
        sys.exit(f"bench: {err}")


if __name__ == "__main__":
    main()
