"""Run all comparisons and write Documentation/verification.md: make verify.

It takes long, so what one part found is kept in build/verify/results, and --keep takes it from there
if what was tested is still the same.
"""
import argparse
import contextlib
import pathlib
import pickle
import sys
import time

from lab import images
from vm import REASONS, by_reason, minivmm, stats

from . import compare, guest, image, loops, perf, report, selftests, times, tools
from .machine import VerifyMachine

OUTPUT = images.TOP / "Documentation/verification.md"
EMULATORS = {"vmx": "bochs", "svm": "qemu"}
# Each on a machine of its own, and what it consists of.
PARTS = {"loops": ("loops.py",), "guest": ("guest.py", "times.py", "tools.py"),
         "selftests": ("selftests.py",)}
RESULTS = image.VERIFY / "results"
FAILED_ENTRIES = 5
INVALID_STATES = 20
BEGUN = time.time()


def say(machine, what):
    print(f"{time.time() - BEGUN:5.0f} s  {machine.isa}: {what}", flush=True)


class Run:
    """All comparisons on one machine, and what they found."""

    def __init__(self, isa, krel):
        self.isa, self.krel = isa, krel
        self.verdicts = []
        self.found = {}
        self.began = time.time()

    def machine(self, name):
        return VerifyMachine(EMULATORS[self.isa], self.krel,
                             image.VERIFY / f"logs/{self.isa}-{name}")

    def equal(self, what, compared, ours, theirs):
        self.verdicts.append(compare.equal(self.isa, what, compared, ours, theirs))

    @contextlib.contextmanager
    def booted(self, name):
        with self.machine(name) as machine:
            machine.boot()
            machine.mount()
            self.found["versions"] = report.versions(machine)
            yield machine

    def loops(self):
        """What tests/vmm/minivmm makes."""
        with self.booted("loops") as machine:
            say(machine, "loops by the guest's TSC")
            exact = self.isa == "vmx"
            results = loops.measure(machine)
            self.found["loops"] = results
            self.found["cr8"] = loops.cr8(machine)
            machine.reload_kvm("exit_stats_histograms=0")
            without = self.found["without histograms"] = loops.measure(machine)
            machine.reload_kvm()
            for r, how in (results, ""), (without, ", without histograms"):
                self.verdicts.append(compare.judge(
                    self.isa, f"the guest's TSC{how}", f"{len(r)} loops of {loops.N} turns",
                    lambda r: loops.problems(r, exact), r, loops.errors(r, exact)))
            say(machine, "VM-entries that fail")
            self.failing(machine)
            if self.isa == "vmx":
                # Last: it loads kvm_intel with other parameters.
                self.invisible(machine)

    def failing(self, machine):
        recording = perf.Recording(machine)
        step, = minivmm(machine, f"fail-entry:{FAILED_ENTRIES}")
        recording.stop()
        events = recording.events()
        recording.delete()
        nr = REASONS[self.isa].INVALID_STATE
        name = self.names(machine)[nr]
        # perf has no name for SVM's -1, and VMX's reason comes with the flag of a failed entry.
        names = {name, hex(nr), hex(nr | 1 << 31), f"{name}_FAILED_VMENTRY"}
        self.equal("perf, VM-entries that fail", f"{FAILED_ENTRIES} of them",
                   {name: by_reason(machine, step["delta"])[nr]},
                   {name: sum(n for found, n in events.exits.items() if found in names)})
        self.found["failing"] = events.exits

    def names(self, machine):
        return {nr: row["name"] for nr, row in stats(machine).rows.items()}

    def guest(self):
        """What a real guest makes, and before it the distances to perf's tracepoints."""
        with self.booted("guest") as machine:
            # Else KVM lets timers expire early, and waits for the rest of their time where perf
            # cannot see it: after kvm_entry.
            machine.reload_kvm("lapic_timer_advance=0")
            say(machine, "perf, loops of known exits")
            calibration = self.found["calibration"] = times.calibrate(machine)
            self.equal("perf, known exits", f"{sum(calibration.exits.values())} exits by "
                       f"{len(calibration.exits)} reasons, most of them asked for",
                       calibration.exits, calibration.events.exits)
            self.equal("known exits",
                       "CPUID, hypercalls and writes to MSRs, as many as the guest made",
                       *times.asked_for(machine, calibration))
            self.boot_and_load(machine)

    def boot_and_load(self, machine):
        recording = perf.Recording(machine)
        say(machine, "a guest boots")
        vm = guest.Guest(machine, 2)
        vm.boot()
        booted = vm.counters().total
        say(machine, "and works")
        vm.load(3)
        vm.stop()
        recording.stop()
        counters, oracle = vm.counters(), vm.oracle()
        vm.go_on()
        say(machine, "what perf says of it")
        self.compare_perf(vm, booted, recording, counters, oracle)
        self.tools(machine, vm)
        machine.stop_guest()

    def compare_perf(self, vm, booted, recording, counters, oracle):
        self.equal("KVM's own count", "the sum over all reasons", {"exits": counters.total},
                   {"exits": oracle})
        reported = recording.report()
        events = recording.events()
        recording.delete()
        ours = guest.exits(counters)
        self.found["perf"] = (counters, reported, events, booted)
        lost = [f"perf lost {events.lost} events"] if events.lost else []
        lost += ["perf saw exits before the first entry"] if events.early else []
        self.equal("perf, a guest's boot and load: its events",
                   f"{counters.total} exits by {len(ours)} reasons", ours, events.exits)
        self.verdicts[-1].problems += lost
        # The report leaves out what no entry follows, and that is one exit for each vCPU.
        reportable = dict(ours)
        for name in events.last:
            reportable[name] -= 1
        self.equal("perf, a guest's boot and load: its report",
                   f"{reported.total} exits, and the last one of each of {vm.vcpus} vCPUs",
                   {n: e for n, e in reportable.items() if e}, reported.exits)
        if len(events.last) != vm.vcpus or events.samples != counters.total:
            self.verdicts[-1].problems.append(
                f"{len(events.last)} last exits, {events.samples} samples")
        table = times.rows(counters, events, self.found["calibration"])
        self.found["times"] = table
        self.verdicts.append(compare.judge(
            self.isa, "perf, a guest's boot and load: times",
            f"{times.total(table).perf / 1e9:.1f} s from exits to entries",
            lambda t: times.problems(t, self.isa), table, times.errors(table, self.isa)))

    def tools(self, machine, vm):
        say(machine, "kvm_stat")
        found, ours, everything, unnamed = tools.kvm_stat(machine, vm)
        self.equal("kvm_stat, tracepoints", f"{everything} exits by {len(ours)} reasons",
                   {**ours, "all": sum(ours.values())}, {**found, **unnamed, "all": everything})
        self.found["kvm_stat"] = (ours, unnamed)
        say(machine, "bpftrace")
        try:
            found, ours = tools.bpftrace(machine, vm)
            self.equal("bpftrace, count() by exit_reason",
                       f"{sum(found.values())} exits by {len(found)} reasons", ours, found)
        except tools.Refused as err:
            self.verdicts.append(compare.Verdict(self.isa, "bpftrace", [str(err)], "nothing"))
        say(machine, "kvmexit")
        self.kvmexit(machine, vm)
        say(machine, "query-stats")
        theirs, ours, turned = tools.query_stats(machine, vm)
        self.equal("QEMU's query-stats", f"{len(ours)} numbers: 7 arrays of {vm.vcpus} vCPUs and "
                   "their sum", ours, theirs)
        self.found["turned"] = turned

    def kvmexit(self, machine, vm):
        said = self.found["kvmexit"] = []
        try:
            found, ours = tools.kvmexit(machine, vm)
            said.append(f"as Debian has it, it counts {sum(found.values())} of "
                        f"{sum(ours.values())} exits")
            found, ours = tools.kvmexit(machine, vm, repaired=True)
            self.equal("BCC's kvmexit, made to read exit_reason",
                       f"{sum(found.values())} exits by {len(found)} reasons", ours, found)
        except tools.Refused as err:
            said.append(f"it ends: {str(err).strip().splitlines()[-1]}")

    def invisible(self, machine):
        say(machine, "exits that are none of the processor's")
        machine.check("modprobe -r kvm_intel && modprobe kvm_intel unrestricted_guest=0")
        recording = perf.Recording(machine)
        before = stats(machine)
        # A task that preempts it would make KVM begin the emulation anew, with one exit more.
        minivmm(machine, f"invalid-state:{INVALID_STATES}", under="chrt --fifo 1")
        after = stats(machine)
        recording.stop()
        events = recording.events()
        recording.delete()
        ours = guest.exits(after, before)
        name = self.names(machine)[REASONS["vmx"].INVALID_STATE]
        # One more, with the last write of the program.
        self.equal("what perf cannot see: KVM's synthesized exits",
                   f"{INVALID_STATES + 1} for an invalid guest state, in ours only", ours,
                   {**events.exits, name: events.exits.get(name, 0) + INVALID_STATES + 1})

    def selftests(self):
        both = {kind: {} for kind in ("our", "stock")}
        left_out = {}
        for kind, done in both.items():
            left_out = self.run_selftests(kind, done, None)
        differ = [n for n in both["our"] if both["our"][n] != both["stock"].get(n)]
        for _ in range(selftests.AGAIN if differ else 0):
            for kind, done in both.items():
                self.run_selftests(kind, done, differ)
        self.found["selftests"] = (both, left_out)
        ours, stock = ({name: str(selftests.best(results)) for name, results in both[kind].items()}
                       for kind in ("our", "stock"))
        self.verdicts.append(compare.judge(
            self.isa, "the kernel's selftests", f"{len(ours)} programs, on stock modules and on ours",
            lambda r: [f"{n}: {r.get(n)}, on stock modules {stock.get(n)}"
                       for n in sorted(r.keys() | stock.keys()) if r.get(n) != stock.get(n)],
            ours, ({**ours, n: "PLANTED"} for n in ours)))

    def run_selftests(self, kind, done, wanted):
        """Run all or those wanted, on as many machines as it takes; says which are left out."""
        left, left_out = wanted, {}
        while left is None or left:
            with self.machine(f"selftests-{kind}") as machine:
                machine.boot()
                machine.mount()
                if kind == "stock":
                    machine.load_stock_kvm()
                names, left_out = selftests.names(machine)
                say(machine, f"selftests, {kind} modules")
                left = names if left is None else left
                found = selftests.run(machine, left)
                for name, result in found.items():
                    done.setdefault(name, []).append(result)
                left = [n for n in left if n not in found]
        return left_out


def state(krel, name):
    """Changes with what is tested, and with what tests it."""
    files = (image.HERE / file for file in (*PARTS[name], "compare.py", "perf.py"))
    return krel + images.digest(images.BUILD / "modules" / krel, images.BUILD / "tests/minivmm",
                                *files)


def part(isa, name, krel, keep):
    """Run a part on one machine, or take what it found before."""
    file = RESULTS / f"{isa}-{name}.pickle"
    if keep and file.exists():
        with open(file, "rb") as saved:
            tested, run = pickle.load(saved)
        if tested == state(krel, name):
            return run
    tested, run = state(krel, name), Run(isa, krel)
    getattr(run, name)()
    RESULTS.mkdir(parents=True, exist_ok=True)
    with open(file, "wb") as saved:
        pickle.dump((tested, run), saved)
    return run


def main():
    parser = argparse.ArgumentParser(prog="verify", description=__doc__.partition("\n")[0])
    parser.add_argument("krel", metavar="KERNEL_RELEASE")
    parser.add_argument("--machines", default="vmx,svm", help="vmx, svm or both (default)")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of loops,guest,selftests")
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    parser.add_argument("--keep", action="store_true", help="run only what was not run before")
    options = parser.parse_args()
    try:
        image.build(options.krel)
    except images.BuildError as err:
        sys.exit(f"verify: {err}")
    runs = [part(isa, name, options.krel, options.keep)
            for isa in options.machines.split(",") for name in options.parts.split(",")]
    options.output.write_text(report.text(runs, options.krel))
    failed = [v for run in runs for v in run.verdicts if not v.holds]
    print(f"{sum(len(run.verdicts) for run in runs)} comparisons, {len(failed)} failed; see "
          f"{options.output}")
    for v in failed:
        print(f"{v.machine}, {v.what}: {'; '.join(v.problems)} ({v.caught} of {v.planted} planted "
              "errors found)", file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
