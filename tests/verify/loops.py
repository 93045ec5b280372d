"""Loops of one kind of exit: our times against the guest's own reading of the TSC."""
import dataclasses
import json

from vm import PHASES, by_reason, minivmm, reasons

N = 5000
DEADLINE = 20_000_000_000


@dataclasses.dataclass
class Loop:
    step: str
    # Of vm.REASONS.
    reason: str
    what: str
    # The guest's instructions in a turn, less the one that exits.
    instructions: int
    arguments: str = ""
    # Each turn goes to userspace.
    to_user: bool = False


LOOPS = (
    Loop("cpuid", "CPUID", "CPUID", 4),
    Loop("vmcall", "VMCALL", "VMCALL, a hypercall that does nothing", 3),
    Loop("pio-kernel", "IO", "IN from KVM's PIT", 2),
    Loop("pio-user", "IO", "OUT to a port of the VMM's", 2, to_user=True),
    Loop("mmio", "MMIO", "a write to MMIO of the VMM's", 2, to_user=True),
    Loop("wrmsr-icr", "MSR_WRITE", "x2APIC ICR, an IPI to nobody", 2),
    Loop("deadline", "MSR_WRITE", "TSC deadline", 10, f":{DEADLINE}"),
)
VMCALL = {"vmx": 18, "svm": 0x81}


@dataclasses.dataclass
class Result:
    loop: Loop
    n: int
    # By the guest's TSC, of a turn.
    turn: float
    # Ours, of a turn: the reason's handle and user, all phases of other reasons.
    handle: float
    user: float
    others: float
    # Exits a turn, with those that the host caused.
    exits: float

    @property
    def rest(self):
        """What an exit takes between our two hooks: the processor, and the guest itself."""
        return (self.turn - self.handle - self.user - self.others) / self.exits

    @property
    def constant(self):
        """The same, without the loop."""
        return self.rest - self.loop.instructions / self.exits


def number(machine, loop):
    return VMCALL[machine.isa] if loop.reason == "VMCALL" else getattr(reasons(machine), loop.reason)


def measure(machine):
    steps = ["cpuid:1"]
    for loop in LOOPS:
        # What is pending from the step before is charged in the loop's first entry.  The next
        # step, of one turn, shows how much that is.
        steps += [f"{loop.step}:{N}{loop.arguments}", "cpuid:1"]
    # To a file: the serial line would take its time between the steps.
    output = machine.check(f"minivmm {' '.join(steps)} >/tmp/loops && cat /tmp/loops", 300)
    done = [json.loads(line) for line in output.splitlines()][1:]
    return [result(machine, loop, *done[2 * i:2 * i + 2]) for i, loop in enumerate(LOOPS)]


def result(machine, loop, step, after):
    nr, io = number(machine, loop), reasons(machine).IO
    rows = {phase: by_reason(machine, step["delta"], phase) for phase in PHASES}
    for phase in PHASES:
        # Each step's last exit is one of I/O, and pending; in a loop of other exits it is all.
        pending = by_reason(machine, after["delta"], phase).get(io, 0)
        rows[phase][io] = rows[phase].get(io, 0) - pending if nr == io else 0
    if not loop.to_user:
        rows["user_cycles"][io] = 0
    times = {phase: rows[phase].get(nr, 0) / N for phase in PHASES}
    everything = sum(sum(rows[phase].values()) for phase in PHASES) / N
    handle, user = times["handle_cycles"], times["user_cycles"]
    # The last exit, a write to a port, is not of the loop.
    exits = step["delta"]["exits"] - 1
    return Result(loop, N, step["guest_tsc"] / N, handle, user, everything - handle - user, exits / N)


def cr8(machine):
    """Writes to CR8 do not exit where the processor has a TPR shadow; returns exits of N."""
    step, = minivmm(machine, f"cr8:{N}", timeout=120)
    name = {"vmx": 28, "svm": 0x18}[machine.isa]
    return by_reason(machine, step["delta"]).get(name, 0)


def problems(results, exact):
    """What is wrong with results; exact where a cycle is an instruction."""
    found = []
    for r in results:
        if not 0 < r.handle < r.turn:
            found.append(f"{r.loop.step}: handle {r.handle:.0f} is not below {r.turn:.0f}")
        if r.rest <= 0:
            found.append(f"{r.loop.step}: ours is more than the guest saw pass")
        if r.exits < 1:
            found.append(f"{r.loop.step}: not each turn exited")
    for to_user in (False, True) if exact else ():
        middle = constant(results, to_user)
        for r in results:
            if r.loop.to_user == to_user and abs(r.constant - middle) > max(3, 0.002 * r.turn):
                found.append(f"{r.loop.step}: outside our hooks {r.constant:.1f} cycles, "
                             f"{middle:.1f} elsewhere")
    return found


def constant(results, to_user):
    """What most of the loops of one kind have in common."""
    constants = sorted(r.constant for r in results if r.loop.to_user == to_user)
    return constants[(len(constants) - 1) // 2]


def errors(results, exact):
    """Results with one time wrong each: by 1 % of a turn, or of all of it where that is vague."""
    for i, r in enumerate(results):
        for factor in (0.99, 1.01) if exact else (2,):
            wrong = dataclasses.replace(r, handle=r.handle + r.turn * (factor - 1))
            yield [*results[:i], wrong, *results[i + 1:]]
