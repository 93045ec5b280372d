"""Documentation/verification.md, from what one run found."""
import re
import time

from lab import images

from . import image, loops, selftests, times

ISA = {"vmx": "Bochs, an Intel CPU with VMX", "svm": "QEMU's TCG, an AMD CPU with SVM"}
INTRODUCTION = """\
# The numbers against what this project did not write

`make verify` wrote this on {date}; run it again to check. On two emulated machines the kernel's
tracepoints, four tools that use them, QEMU, the guest's own clock, and the kernel's selftests are
compared with the accounting, in the same run of the same guest. The guest is real: Debian's kernel
under QEMU and KVM, with 2 vCPUs on a machine with 1 CPU; it boots, and then sleeps, writes to its
console, runs programs and computes at the same time.

Each comparison is then made again with errors planted in a copy of the accounting's numbers, one by
one: a count 1 too high or too low, a reason too many, two reasons exchanged, a time or a result that
is wrong. It holds only if it found them all.

{verdict}
"""


def versions(machine):
    said = machine.check(
        "uname -r; qemu-system-x86_64 --version | head -1; perf --version; "
        "sed -n 's/^model name.*: //p' /proc/cpuinfo; " +
        machine.chroot("bpftrace --version"))
    kernel, qemu, perf, model, bpftrace = said.splitlines()[:5]
    return {"kernel": kernel, "QEMU in the machine": re.search(r"\((.*)\)", qemu)[1],
            "perf": perf.removeprefix("perf version "), "CPU": model,
            "bpftrace": bpftrace.removeprefix("bpftrace ")}


def emulators():
    done = images.run("dpkg-query", "-W", "-f", "${Package} ${Version}\n", "bochs",
                      "qemu-system-x86")
    return dict(line.split() for line in done.splitlines())


def table(header, rows, left=1, right=0):
    """A Markdown table; the first columns and the last ones are words, the others are numbers."""
    words = [*range(left), *range(len(header) - right, len(header))]
    lines = [header, ["---" if i in words else "---:" for i in range(len(header))], *rows]
    return "\n".join("| " + " | ".join(str(c) for c in line) + " |" for line in lines) + "\n"


def us(ns):
    return f"{ns / 1000:,.1f}".replace(",", " ")


def percent(share):
    return f"{100 * share:+.2f} %"


def count(n):
    return f"{n:,}".replace(",", " ")


def dates(runs):
    """The day of the runs, or from when to when."""
    days = [time.strftime("%-d %B %Y", time.localtime(run.began))
            for run in sorted(runs, key=lambda r: r.began)]
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def text(runs, krel):
    verdicts = [v for run in runs for v in run.verdicts]
    failed = [v for v in verdicts if not v.holds]
    planted = sum(v.planted for v in verdicts)
    verdict = (f"**All {len(verdicts)} comparisons hold**, and found all of "
               f"{count(planted)} planted errors." if not failed else
               f"**{len(failed)} of {len(verdicts)} comparisons fail.**")
    parts = [INTRODUCTION.format(date=dates(runs), verdict=verdict)]
    parts.append(table(
        ("machine", "compared with", "what", "planted errors found", "verdict"),
        [(v.machine, v.what, v.compared, f"{v.caught} of {v.planted}",
          "holds" if v.holds else "**fails**: " + "; ".join(v.problems)) for v in verdicts], 3, 1))
    found = {}
    for run in runs:
        found.setdefault(run.isa, {}).update(run.found)
    parts.append(versions_table(found, krel))
    for section in perf, perf_times, tools, turns, kernels_selftests:
        parts.append(section(found))
    return "\n".join(part for part in parts if part)


def versions_table(found, krel):
    installed = emulators()
    known = {isa: f["versions"] for isa, f in found.items() if "versions" in f}
    if not known:
        return ""
    packages = {"vmx": "bochs", "svm": "qemu-system-x86"}
    rows = [("emulator", *(f"{packages[isa]} {installed[packages[isa]]}" for isa in known))]
    rows += [(what, *(versions[what] for versions in known.values()))
             for what in next(iter(known.values()))]
    rows.append(("kvm_stat", *[f"linux-source {image.version_of(f'linux-image-{krel}')}"] * len(known)))
    rows.append(("BCC", *[image.version_of("bpfcc-tools")] * len(known)))
    return "## Versions\n\n" + table(("", *known), rows, 1 + len(known))


def perf(found):
    lines = []
    for isa, f in found.items():
        if "perf" not in f:
            continue
        counters, reported, events, booted = f["perf"]
        lines.append(f"\n### {ISA[isa]}\n\n{count(counters.total)} exits, {count(booted)} of them "
                     f"until the guest had booted; {events.lost} events lost; the last exits: "
                     f"{' and '.join(events.last)}.\n\n")
        rows = [(row["name"], count(int(row["exits"])), count(events.exits.get(row["name"], 0)),
                 count(reported.exits.get(row["name"], 0)))
                for row in sorted(counters.rows.values(), key=lambda r: -int(r["exits"]))]
        rows.append(("all", count(counters.total), count(sum(events.exits.values())),
                     count(reported.total)))
        lines.append(table(("reason", "ours", "perf's events", "perf's report"), rows))
    if not lines:
        return ""
    return """\
## Counts: perf kvm stat

The recording begins before QEMU is started and ends when QEMU is stopped by a signal, so that no
vCPU is in KVM; ours are read then. A vCPU's counters begin with its first VM-entry, as perf's do.
The buffer is 16 MiB for each CPU, and a lost event fails the comparison.

`perf kvm stat report` pairs each exit with the next entry, so the last exit of each vCPU is not in
it; perf's events have it (`perf script`). Exits that perf cannot see at all are those where no
tracepoint is: the exits that KVM synthesizes for an invalid guest state on VMX, which with
`unrestricted_guest=0` were made on purpose and differ by exactly their number, and a VM-Fail, which
KVM makes only if it has a bug, and which was not seen. VM-entries that fail are seen by both.
""" + "".join(lines)


def perf_times(found):
    lines = []
    for isa, f in found.items():
        if "times" not in f:
            continue
        calibration, rows = f["calibration"], f["times"]
        alone, with_perf, theirs = calibration.cpuid
        distances = ", ".join(f"{name} {ns:.0f}" for name, ns in sorted(calibration.distance.items()))
        lines.append(f"""
### {ISA[isa]}

The distance, in ns for an exit, in a VM that makes simple exits only: {distances}. For all other
reasons CPUID's is taken. (A CPUID exit takes {alone:.0f} ns by our clock without perf and
{with_perf:.0f} with it; perf says {theirs:.0f}.)

""")
        judged = {r.name for r in times.judged(rows)}
        body = [(r.name, count(r.exits), us(r.ours), us(r.perf), percent(r.raw), f"{r.distance:.0f}",
                 percent(r.corrected), "yes" if r.name in judged else "")
                for r in [*sorted(rows, key=lambda r: -r.perf), times.total(rows)]]
        body[-1] = (*body[-1][:-1], "yes")
        lines.append(table(("reason", "exits", "ours, µs", "perf, µs", "ours is more by",
                            "distance, ns", "less the distance", "judged"), body, 1, 1))
    if not lines:
        return ""
    return f"""\
## Times: perf kvm stat

perf's time of an exit is from the tracepoint kvm_exit to the next kvm_entry, in ns of the kernel's
clock, which runs on the TSC. Ours is from the hook after VM-exit to the hook before VM-entry, in TSC
cycles, converted with the TSC's frequency; to be comparable it is the sum of handle, user, wait and
preempted. The tracepoints lie between the hooks, so ours must be more for each reason, without
exception. By how much is measured apart, in another VM, and taken off: KVM's own work between hook
and tracepoint, and the part of the tracepoints' cost that perf's own clock readings leave out. Then
the totals may differ by {100 * times.LIMIT:.0f} %, and so may on VMX each reason with at least \
{times.MIN_EXITS} exits and {100 * times.MIN_SHARE:.0f} % of
the time; on SVM, where the TSC is the clock of the machine that emulates and whatever else it does is
in each time, such a reason may differ by {100 * times.REASON_LIMIT['svm']:.0f} %.

KVM's parameter `lapic_timer_advance` is off in these VMs. By default KVM lets a guest's timer expire
early, and waits for the rest of its time after the tracepoint kvm_entry: that is KVM's time in ours,
and the guest's in perf's. With it, PREEMPTION_TIMER differed by 2.0 %.
""" + "".join(lines)


def tools(found):
    said = []
    for isa, f in found.items():
        if "kvm_stat" not in f:
            continue
        ours, unnamed = f["kvm_stat"]
        names = f"its table lacks {len(unnamed)} of {len(ours)} reasons that were seen, which are " \
                "compared as their sum only" if unnamed else "its table has all reasons that were seen"
        said.append(f"- kvm_stat, {isa}: {names}.")
        said += [f"- kvmexit, {isa}: {line}." for line in f["kvmexit"]]
        if f["turned"]:
            said.append(f"- query-stats, {isa}: QEMU lists the arrays "
                        + ("from the last element to the first." if True in f["turned"] else
                           "in their order."))
    if not said:
        return ""
    return """\
## Counts: other tools

Each watched from one standstill of the guest to the next, in a window of its own with the guest at
work in between; ours is the difference of the VM's exit_stats. kvm_stat is the kernel's own, a perf
event for each reason with a filter; Debian 12 has it in linux-source only. kvmexit is BCC's and for
Intel's reasons only. It reads the tracepoint's first argument for the reason, which since Linux 5.16
is the vCPU: so it counts nothing, and was made to take the tracepoint's field exit_reason, as it does
where the kernel has no raw tracepoints. query-stats is asked through QMP.

""" + "\n".join(said) + "\n"


def turns(found):
    lines = []
    for isa, f in found.items():
        if "loops" not in f:
            continue
        rows = [(r.loop.what, f"{r.turn:.1f}", f"{r.handle:.1f}", f"{r.user:.1f}", f"{r.others:.1f}",
                 f"{r.exits:.4f}", f"{r.rest:.1f}", r.loop.instructions, f"{r.constant:.1f}",
                 f"{w.constant:.1f}") for r, w in zip(f["loops"], f["without histograms"])]
        lines.append(f"\n### {ISA[isa]}\n\n" + table(
            ("loop", "guest's TSC", "our handle", "our user", "of other reasons", "exits",
             "between the readings", "the loop", "constant", "without histograms"), rows) +
            f"\nOf {loops.N} writes to CR8, {f['cr8']} exited: the processor has a TPR shadow, or KVM "
            "intercepts CR8 only while an interrupt waits for it.\n")
        if isa == "vmx":
            more, plain = (loops.constant(f[key], True) - loops.constant(f[key], False)
                           for key in ("loops", "without histograms"))
            lines.append(f"""
Through userspace the constant is {more:.0f} instructions more: the hook before VM-entry reads the TSC
first and does its sums afterwards, and for an exit with phases these are more; without histograms it
is {plain:.0f} more. These instructions are the accounting's own, and are in the guest's time, not in
handle.
""")
    if not lines:
        return ""
    return f"""\
## Loops: the guest's own TSC

A guest of tests/vmm/minivmm makes {loops.N} exits of one kind, and reads its TSC before and after:
cycles of a turn of the loop. Less our handle and user cycles of that reason, and all times of other
exits in the loop, which the host's interrupts cause, what is left is what lies between our two
readings of the TSC: the rest of the hook before VM-entry, KVM's assembly around VM-entry and VM-exit,
and the guest itself. On Bochs a cycle is an instruction, so it must be the same constant for all
loops that KVM handles, and the same for all that go to userspace, once the loop's own instructions
are taken off. On QEMU a cycle is time, a VM-exit makes the emulator forget what it has translated,
and it must be more than 0.
""" + "".join(lines)


def kernels_selftests(found):
    tables = {isa: f["selftests"] for isa, f in found.items() if "selftests" in f}
    if not tables:
        return ""
    isas = list(tables)
    missing = "".join(f"**Not run on {isa} this time**; a choice of them is, in `make check`.\n\n"
                      for isa in found if isa not in tables)
    rows = []
    for name in sorted({n for (both, _) in tables.values() for n in both["our"]}):
        cells = []
        for isa in isas:
            both, left_out = tables[isa]
            cells += [selftests.words(both[kind][name]) if name in both[kind]
                      else left_out.get(name, "")
                      for kind in ("stock", "our")]
        rows.append((name, *cells))
    left = "\n".join(f"- {name}, {isa}: {why}" for isa, (_, left_out) in tables.items()
                     for name, why in sorted(left_out.items()))
    header = ["selftest", *(f"{isa}, {kind}" for isa in isas for kind in ("stock", "our"))]
    return f"""\
## The kernel's KVM selftests

All of tools/testing/selftests/kvm of the kernel's source, on Debian's modules and on ours: the same
must pass, skip and fail, with the same number of subtests. A test may take {selftests.TIMEOUT} s. \
Some depend on time,
which passes unevenly where a CPU is emulated: those that differ are run {selftests.AGAIN} times more, on either
modules, and the best result counts. Those that never pass on stock modules do so because the
machine is emulated, or has no such hardware.

{missing}{table(header, rows, len(header))}
Left out:

{left}
"""
