"""kvm_stat, bpftrace, BCC's kvmexit and QEMU's query-stats, beside the accounting."""
import ast
import re

from test_machine_outside import COUNTERS, Qmp
from vm import slots, stats

from . import guest, image

OUTPUT = "/tmp/tool.out"
READY_SECONDS = 90
# The shell ignores SIGINT for what it starts in the background.
START = "{command} </dev/null >{output} 2>&1 & echo $! >/tmp/tool.pid; disown"


class Refused(Exception):
    """The tool does not run here; says why in its own words."""


class Window:
    """A tool that watches from a standstill of the guest to the next one."""

    def __init__(self, machine, vm, command, ready, seconds):
        self.machine = machine
        vm.stop()
        self.before = vm.counters()
        machine.check(f"rm -f {OUTPUT} /tmp/tool.log; " + START.format(
            command=machine.chroot("exec env --default-signal=INT " + command), output=OUTPUT))
        status = machine.run(f"(for i in $(seq {READY_SECONDS}); do {ready} && exit 0; sleep 1; "
                             "kill -0 $(cat /tmp/tool.pid) || exit 1; done; exit 2)", 900)[1]
        if status:
            vm.go_on()
            said = machine.run(f"cat {OUTPUT}; kill -KILL $(cat /tmp/tool.pid) 2>/dev/null && "
                               f"echo it was not ready after {READY_SECONDS} s of the machine")[0]
            raise Refused(said.strip() or "it ended and said nothing")
        vm.go_on()
        vm.load(seconds)
        vm.stop()
        self.after = vm.counters()
        # kvm_stat looks every second.
        machine.check("sleep 3; kill -INT $(cat /tmp/tool.pid); "
                      "while [ -e /proc/$(cat /tmp/tool.pid) ]; do sleep 0.1; done", 300)
        vm.go_on()
        self.output = machine.check(f"cat {OUTPUT}")
        self.exits = guest.exits(self.after, self.before)

    def by_number(self):
        return {nr: self.after.exits(nr) - self.before.exits(nr) for nr in self.after.rows
                if self.after.exits(nr) != self.before.exits(nr)}


def kvm_stat(machine, vm, seconds=3):
    """Its counts by reason, ours, its count of all, and which of ours it has no name for."""
    window = Window(machine, vm, "kvm_stat -t -f kvm_exit -L /tmp/tool.log -c -s 1",
                    "[ -e /tmp/tool.log ]", seconds)
    header, *rows = machine.check("cat /tmp/tool.log").splitlines()
    names = header.split(",")[1:]
    totals = [sum(int(row.split(",")[1 + i]) for row in rows) for i in range(len(names))]
    numbers = reasons_of_kvm_stat(machine)
    found, everything = {}, None
    for name, n in zip(names, totals):
        if name == "kvm_exit":
            everything = n
        elif n:
            found[numbers[re.fullmatch(r"kvm_exit\((.*)\)", name)[1]]] = n
    ours = window.by_number()
    unnamed = {nr: n for nr, n in ours.items() if nr not in numbers.values()}
    return found, ours, everything, unnamed


def reasons_of_kvm_stat(machine):
    """Its own table of reasons."""
    tree = ast.parse((image.VERIFY / "kvm_stat").read_text())
    name = f"{machine.isa.upper()}_EXIT_REASONS"
    node, = (n for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == name)
    return ast.literal_eval(node.value)


def bpftrace(machine, vm, seconds=3):
    program = ("BEGIN { printf(\"ready\\n\"); } "
               "tracepoint:kvm:kvm_exit { @[args->exit_reason] = count(); }")
    window = Window(machine, vm, f"bpftrace -e '{program}'",
                    f"grep -q ready {OUTPUT} && sleep 2", seconds)
    found = {int(nr) & 0xFFFFFFFF: int(n)
             for nr, n in re.findall(r"^@\[(-?\d+)\]: (\d+)$", window.output, re.M)}
    return found, window.by_number()


def kvmexit(machine, vm, seconds=3, repaired=False):
    """BCC's: as Debian has it, or repaired."""
    tool = "/usr/sbin/kvmexit-bpfcc"
    if repaired:
        # Since Linux 5.16 kvm_exit's first argument is the vCPU, and no longer the reason.  The
        # tool knows another way, which it takes without raw tracepoints.
        machine.check(f"sed s/BPF.support_raw_tracepoint_in_module.*:/False:/ "
                      f"{image.MOUNT}{tool} >/tmp/kvmexit")
        tool = "/tmp/kvmexit"
    window = Window(machine, vm, f"python3 -u {tool} -p {vm.pid}",
                    f"grep -q ^Display {OUTPUT} && sleep 1", seconds)
    found = {name: int(n) for name, n in re.findall(r"^([A-Z_]+) +(\d+) *$", window.output, re.M)}
    return found, window.exits


def query_stats(machine, vm):
    """For each vCPU and array QEMU's values and debugfs's; and whether QEMU turned them round."""
    qmp = Qmp(machine, guest.QMP_LINE)
    qmp.execute("stop")
    replies = qmp.execute("query-stats", target="vcpu", providers=[{"provider": "kvm"}])
    ours = [stats(machine, f"{machine.guest_vm()}/vcpu{i}") for i in range(vm.vcpus)]
    qmp.execute("cont")
    replies = sorted(({s["name"]: s["value"] for s in reply["stats"]} for reply in replies),
                     key=lambda values: values["exits"])
    ours.sort(key=lambda vcpu: vcpu.total)
    theirs, expected, turned = {}, {}, set()
    for i, (values, vcpu) in enumerate(zip(replies, ours, strict=True)):
        theirs[f"vCPU {i} exits"], expected[f"vCPU {i} exits"] = values["exits"], vcpu.total
        for name in COUNTERS:
            array = values[f"exit_reason_{name}"]
            wanted = [vcpu.value(slots(machine).get(slot), name) for slot in range(len(array))]
            if wanted != wanted[::-1]:
                turned.add(array == wanted[::-1])
                if array == wanted[::-1]:
                    array = array[::-1]
            for slot, value in enumerate(wanted):
                if value or array[slot]:
                    expected[f"vCPU {i} {name} slot {slot}"] = value
                    theirs[f"vCPU {i} {name} slot {slot}"] = array[slot]
    return theirs, expected, turned
