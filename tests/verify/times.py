"""Our times against perf's, each by its own definition.

perf   from the tracepoint kvm_exit to the tracepoint kvm_entry
ours   from the hook after VM-exit to the hook before VM-entry: handle, user, wait and preempted

The tracepoints are between the hooks.  So ours is perf's and, for each exit, what lies between
hook and clock reading: KVM's own work there, and the part of the tracepoints' cost that comes
before kvm_exit's clock reading and after kvm_entry's.  calibrate() measures this distance in
another VM, which makes simple exits only; what was measured there is then taken off here.
"""
import dataclasses

from vm import PHASES, minivmm, stats

from . import guest, perf

# A spinning guest exits for the host's interrupts only.
CALIBRATION = ("cpuid:3000", "vmcall:3000", "pio-kernel:3000", "mmio:1000", "wrmsr-icr:3000",
               "spin:{spin}")
# Of the total; and of a reason that has so many exits and such a share of the time.
LIMIT, MIN_EXITS, MIN_SHARE = 0.02, 200, 0.01
REASON_LIMIT = {"vmx": 0.02, "svm": 0.10}


@dataclasses.dataclass
class Row:
    name: str
    exits: int
    ours: float
    perf: float
    # Of an exit, ns.
    distance: float

    @property
    def raw(self):
        return self.ours / self.perf - 1

    @property
    def corrected(self):
        return (self.ours - self.exits * self.distance) / self.perf - 1


@dataclasses.dataclass
class Calibration:
    # {name: ns between the hooks and perf's clock, of an exit}; cpuid's, for all other reasons.
    distance: dict
    default: float
    exits: dict
    events: perf.Events
    # Of a CPUID exit, ns: ours without perf, ours with it, perf's.
    cpuid: tuple


def between(before, after, khz):
    """{name: (exits, ns)} that the host's totals grew."""
    found = {}
    for nr, row in after.rows.items():
        exits = after.exits(nr) - before.exits(nr)
        cycles = sum(after.value(nr, p) - before.value(nr, p) for p in PHASES)
        if exits:
            found[row["name"]] = exits, cycles * 1e6 / khz
    return found


def cpuid_name(machine):
    return {"vmx": "CPUID", "svm": "cpuid"}[machine.isa]


def calibrate(machine):
    khz = int(stats(machine).keys["tsc_khz"])
    steps = [step.format(spin=khz * 2000) for step in CALIBRATION]

    def run():
        before = stats(machine)
        minivmm(machine, *steps, timeout=300)
        return between(before, stats(machine), khz)

    alone = run()
    recording = perf.Recording(machine)
    with_perf = run()
    recording.stop()
    events = recording.events()
    recording.delete()
    distance = {}
    for name, (_, ns) in with_perf.items():
        pairs = events.pairs.get(name, 0)
        if pairs >= MIN_EXITS:
            distance[name] = (ns - events.ns[name]) / pairs
    name = cpuid_name(machine)
    return Calibration(distance, distance[name], {n: e for n, (e, _) in with_perf.items()}, events,
                       (alone[name][1] / alone[name][0], with_perf[name][1] / with_perf[name][0],
                        events.ns[name] / events.pairs[name]))


def asked_for(machine, calibration):
    """Our counts of the steps that make exits of their own reason only, and what they made."""
    asked = {"CPUID": 3000, "VMCALL": 3000, "MSR_WRITE": 3000} if machine.isa == "vmx" else \
        {"cpuid": 3000, "hypercall": 3000, "msr": 3000}
    return {name: calibration.exits.get(name, 0) for name in asked}, asked


def rows(counters, events, calibration):
    khz = int(counters.keys["tsc_khz"])
    return [Row(name, events.pairs[name], cycles * 1e6 / khz, events.ns[name],
                calibration.distance.get(name, calibration.default))
            for name, cycles in guest.time(counters).items() if events.pairs.get(name)]


def total(table):
    exits = sum(r.exits for r in table)
    return Row("TOTAL", exits, sum(r.ours for r in table), sum(r.perf for r in table),
               sum(r.exits * r.distance for r in table) / exits)


def judged(table):
    """The reasons that are big enough for a verdict of their own."""
    everything = total(table).perf
    return [r for r in table if r.exits >= MIN_EXITS and r.perf >= MIN_SHARE * everything]


def problems(table, isa):
    """What is wrong with a table of times."""
    found = [f"{r.name}: ours {r.ours:.0f} ns is less than perf's {r.perf:.0f}"
             for r in table if r.ours < r.perf]
    whole = total(table)
    if abs(whole.corrected) > LIMIT:
        found.append(f"the total differs by {100 * whole.corrected:+.2f} %")
    for r in judged(table):
        if abs(r.corrected) > REASON_LIMIT[isa]:
            found.append(f"{r.name} differs by {100 * r.corrected:+.2f} %")
    return found


def errors(table, isa):
    """Copies with an error: the total 5 % off, either way; each big reason by twice its limit."""
    for factor in 0.95, 1.05:
        yield [dataclasses.replace(r, ours=r.ours * factor) for r in table]
    for one in judged(table):
        for sign in -1, 1:
            factor = 1 + sign * 2.5 * REASON_LIMIT[isa]
            yield [dataclasses.replace(r, ours=r.ours * factor) if r is one else r for r in table]
