"""What the machine tests share: minivmm, debugfs, and numbers from them."""
import json
import re
from types import SimpleNamespace

from kvmtext import file_of

DEBUGFS = "/sys/kernel/debug/kvm"
SYSFS = "/sys/kernel/kvm/exit_stats"
PARAMETERS = "/sys/module/kvm/parameters"
# Basic exit reasons (Intel SDM vol. 3, appendix C), exit codes (AMD APM vol. 2, appendix C).
REASONS = {
    "vmx": SimpleNamespace(INTERRUPT=1, CPUID=10, HLT=12, IO=30, MSR_WRITE=32, INVALID_STATE=33,
                           MMIO=49),
    "svm": SimpleNamespace(INTERRUPT=0x60, CPUID=0x72, HLT=0x78, IO=0x7B, MSR_WRITE=0x7C,
                           INVALID_STATE=0xFFFFFFFF, MMIO=0x400),
}
PHASES = ("handle_cycles", "user_cycles", "wait_cycles", "preempted_cycles")
LEAF_SIGNATURE, LEAF_INFO = 0x4FFFFF00, 0x4FFFFF01
LEAF_CYCLES, LEAF_EXITS, LEAF_ALL_CYCLES, LEAF_ALL_EXITS = 0x4FFFFFFC, 0x4FFFFFFD, 0x4FFFFFFE, 0x4FFFFFFF
LEAVES = (LEAF_SIGNATURE, LEAF_INFO, LEAF_CYCLES, LEAF_EXITS, LEAF_ALL_CYCLES, LEAF_ALL_EXITS)


def minivmm(machine, *arguments, timeout=120, under=""):
    """Run minivmm, under another command, to its end; return what each step reported."""
    output = machine.check(f"{under} minivmm {' '.join(arguments)}", timeout)
    return [json.loads(line) for line in output.splitlines()]


def reasons(machine):
    return REASONS[machine.isa]


def slots(machine):
    """{slot: exit reason}, from sysfs; OTHER's is None."""
    if not machine.slots:
        for line in machine.check(f"cd {SYSFS}; grep . reason-*/slot").splitlines():
            name, slot = re.fullmatch(r"reason-(\w+)/slot:(\d+)", line).groups()
            machine.slots[int(slot)] = None if name == "other" else int(name)
    return machine.slots


def by_reason(machine, values, name="exits"):
    """{exit reason: value} of a step's growth or of absolute values, without zeros."""
    return {slots(machine)[slot]: n
            for slot, n in enumerate(values[f"exit_reason_{name}"]) if n}


def time_sum(values):
    """All cycles of a vCPU that are accounted for."""
    return values["exit_guest_cycles"] + sum(sum(values[f"exit_reason_{p}"]) for p in PHASES)


def leaf(function, index=0, cpl=0):
    return f"leaf:{function:#x}:{index}:{cpl}"


def registers(reply):
    return tuple(reply[r] for r in ("eax", "ebx", "ecx", "edx"))


class Stats:
    """An exit_stats file, parsed by its column names."""

    def __init__(self, text):
        first, header, *rows = text.splitlines()
        self.keys = dict(pair.split("=") for pair in first.split()[1:])
        columns = header.split()
        rows = [dict(zip(columns, row.split(), strict=True)) for row in rows]
        total = rows.pop()
        assert (total["reason"], total["name"]) == ("-", "TOTAL")
        self.rows = {int(row["reason"]): row for row in rows if row["reason"] != "-"}
        self.totals = {name: int(total[name]) for name in columns[2:]}
        self.total = self.totals["exits"]
        self.total_cycles = self.totals["handle_cycles"]
        for name, value in self.totals.items():
            assert value == sum(int(row[name]) for row in rows) % 2**64, name

    def exits(self, nr):
        return self.value(nr, "exits")

    def cycles(self, nr):
        return self.value(nr, "handle_cycles")

    def value(self, nr, column):
        return int(self.rows[nr][column]) if nr in self.rows else 0

    def time(self):
        """All cycles that are accounted for."""
        return int(self.keys["guest_cycles"]) + sum(self.totals[p] for p in PHASES)


def stats(machine, where=""):
    return Stats(machine.check(f"cat {DEBUGFS}/{file_of(where)}"))


class Paused:
    """A minivmm in the background, which waits at each step `pause`."""

    def __init__(self, machine, name, *arguments, before=""):
        self.machine = machine
        self.files = f"/tmp/{name}"
        self.seen = 0
        machine.check(f"rm -f {self.files}.*; mkfifo {self.files}.in; "
                      f"({before}exec minivmm {' '.join(arguments)}) <{self.files}.in >{self.files}.out & "
                      f"disown; echo $! >{self.files}.pid; exec {{fd}}>{self.files}.in; "
                      f"echo $fd >{self.files}.fd")
        self.steps = self.wait()
        self.dir = self.steps[-1]["vm"]

    def wait(self):
        """The steps up to the next pause."""
        self.machine.check(f"until tail -n +{self.seen + 1} {self.files}.out | grep -q pause; do "
                           f"sleep 0.05; kill -0 $(cat {self.files}.pid) || exit 1; done", 120)
        output = self.machine.check(f"tail -n +{self.seen + 1} {self.files}.out")
        self.seen += len(output.splitlines())
        return [json.loads(line) for line in output.splitlines()]

    def resume(self):
        self.machine.check(f"echo >&$(cat {self.files}.fd)")
        return self.wait()

    def kill(self):
        self.machine.run(f"fd=$(cat {self.files}.fd); kill -KILL $(cat {self.files}.pid); "
                         f"while kill -0 $(cat {self.files}.pid); do sleep 0.05; done; exec {{fd}}>&-")
