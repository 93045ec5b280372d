"""What the machine tests share: minivmm, debugfs, and numbers from them."""
import json

DEBUGFS = "/sys/kernel/debug/kvm"
PARAMETERS = "/sys/module/kvm/parameters"
# Basic exit reasons, Intel SDM vol. 3, appendix C.
EXTERNAL_INTERRUPT, CPUID, HLT, IO, MSR_WRITE, INVALID_STATE, EPT_MISCONFIG = 1, 10, 12, 30, 32, 33, 49
# The SDM's appendix C has no such numbers below 86, and none from there up.
UNDEFINED = {35, 38, 42, 71, 82, 83}
LEAF_SIGNATURE, LEAF_INFO = 0x4FFFFF00, 0x4FFFFF01
LEAF_CYCLES, LEAF_EXITS, LEAF_ALL_CYCLES, LEAF_ALL_EXITS = 0x4FFFFFFC, 0x4FFFFFFD, 0x4FFFFFFE, 0x4FFFFFFF
LEAVES = (LEAF_SIGNATURE, LEAF_INFO, LEAF_CYCLES, LEAF_EXITS, LEAF_ALL_CYCLES, LEAF_ALL_EXITS)


def minivmm(machine, *arguments, timeout=120):
    """Run minivmm to its end; return what each step reported."""
    output = machine.check(f"minivmm {' '.join(arguments)}", timeout)
    return [json.loads(line) for line in output.splitlines()]


def exits(values):
    """{exit reason: exits} of a step's growth or of absolute values."""
    return {nr: n for nr, n in enumerate(values["exit_reason_exits"]) if n}


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
        self.total = int(total["exits"])
        self.total_cycles = int(total["handle_cycles"])
        assert self.total == sum(int(row["exits"]) for row in rows)
        assert self.total_cycles == sum(int(row["handle_cycles"]) for row in rows)

    def exits(self, nr):
        return int(self.rows[nr]["exits"]) if nr in self.rows else 0

    def cycles(self, nr):
        return int(self.rows[nr]["handle_cycles"]) if nr in self.rows else 0


def stats(machine, where=""):
    return Stats(machine.check(f"cat {DEBUGFS}/{where}/exit_stats"))


class Paused:
    """A minivmm in the background, which waits at each step `pause`."""

    def __init__(self, machine, name, *arguments):
        self.machine = machine
        self.files = f"/tmp/{name}"
        self.seen = 0
        machine.check(f"rm -f {self.files}.*; mkfifo {self.files}.in; "
                      f"minivmm {' '.join(arguments)} <{self.files}.in >{self.files}.out & "
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
