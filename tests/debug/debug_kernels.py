"""The series under stress on debug kernels, see build-kernel: make check-debug.

kasan   finds memory errors, leaks, undefined behaviour, wrong locking
kcsan   finds data races

Each boots QEMU's machine with SVM, where KUnit runs the series' unit tests, and then
tests/vmm/stress.c.  Not named test_*, so that `make check` leaves it alone: it builds two
kernels.
"""
import dataclasses
import pathlib
import re
import shutil
import subprocess

import pytest
from lab import images
from lab.machine import Machine

HERE = pathlib.Path(__file__).resolve().parent
DEBUG = images.BUILD / "debug"
KERNELS = ("kasan", "kcsan")
VMS = 200
# What the kernel says when a check of its own fails; KCSAN's reports are looked at one by one.
TROUBLE = re.compile(
    r"BUG: (?!KCSAN: )|KASAN:|WARNING:|UBSAN:|INFO: |possible circular|possible recursive|"
    r"suspicious RCU|inconsistent lock|sleeping function|Oops|general protection|"
    r"kmemleak: .*new suspected|DEBUG_LOCKS|lockdep.*turn(ed|ing) off|use-after-free|refcount_t|"
    r"list_(add|del) corruption|Kernel panic|Kernel memory leak detector disabled|\bnot ok\b")
RACE = re.compile(r"^=+\n(BUG: KCSAN: .*?)\n=+$", re.S | re.M)
FRAME = re.compile(r"\b([\w.]+)\+0x([0-9a-f]+)/0x([0-9a-f]+)")
OURS = re.compile(r"/exit_stats(_test)?\.[ch]\b")


class DebugMachine(Machine):
    # Reports are looked at when all is done, so that there are all of them.
    trouble = re.compile(rb"Kernel panic|lab: cannot")
    cpus, memory = 4, 2048
    disks = ()
    initrd = DEBUG / "initrd"

    def __init__(self, kernel):
        super().__init__("qemu", "", DEBUG / "logs" / kernel,
                         "ignore_loglevel rcupdate.rcu_cpu_stall_timeout=120")
        self.kernel = kernel

    def boot(self):
        super().boot()
        # Its shell would prompt.
        self.shell.send("PS1= PS2=\n")
        self.check(":")

    def vmlinuz(self):
        return DEBUG / self.kernel / "arch/x86/boot/bzImage"


@dataclasses.dataclass
class Run:
    """What one kernel said to all of it."""
    kernel: str
    console: str
    stress: str
    status: int
    leaks: str


def build_initrd():
    with images.work_dir("debug") as tree:
        images.busybox(tree)
        shutil.copy2(DEBUG / "stress", tree / "bin")
        shutil.copy2(HERE / "init", tree)
        images.cpio(tree, DebugMachine.initrd)


def leaks(machine):
    """What kmemleak finds.  It needs two looks: what is new only now may be in a register."""
    return machine.check("cd /sys/kernel/debug; echo scan >kmemleak; sleep 6; "
                         "echo scan >kmemleak; cat kmemleak", 300)


@pytest.fixture(scope="module", params=KERNELS)
def run(request):
    build_initrd()
    with DebugMachine(request.param) as machine:
        machine.boot()
        stress, status = machine.run(f"stress --vms={VMS}", 1800)
        found = leaks(machine) if request.param == "kasan" else ""
        machine.check("dmesg >/dev/null")
    console = (machine.dir / "console.log").read_text(errors="replace").replace("\r", "")
    # Without the times, that the lines of a report can be compared.
    console = re.sub(r"^\[ *\d+\.\d+\] ?", "", console, flags=re.M)
    for name, text in ("stress", stress), ("kmemleak", found):
        (machine.dir / f"{name}.log").write_text(text)
    return Run(request.param, console, stress, status, found)


def reports(console):
    """Each place where the kernel complains, with the lines that follow."""
    lines = RACE.sub("", console).splitlines()
    found, end = [], 0
    for i, line in enumerate(lines):
        if i >= end and TROUBLE.search(line):
            end = i + 40
            found.append("\n".join(lines[i:end]))
    return found


class Symbols:
    """Names the source lines of a kernel's code."""

    def __init__(self, vmlinux):
        self.vmlinux = vmlinux
        self.known = {}
        self.address = {}
        for line in images.run("nm", "-S", vmlinux).splitlines():
            words = line.split()
            if len(words) == 4 and words[2] in "tTwW":
                self.address.setdefault((words[3], int(words[1], 16)), int(words[0], 16))

    def source(self, frame):
        """The files and lines of one frame of a report, inlined ones included."""
        name, offset, size = frame[0], int(frame[1], 16), int(frame[2], 16)
        # A symbol's size may be padded in reports.
        start = self.address.get((name, size)) or next(
            (a for (n, s), a in self.address.items() if n == name and s <= size), None)
        if start is None:
            return ""
        # It is a return address: the call is before it.
        address = start + offset - 1
        if address not in self.known:
            self.known[address] = subprocess.run(
                ["addr2line", "-i", "-e", str(self.vmlinux), f"{address:#x}"],
                capture_output=True, text=True, check=True).stdout
        return self.known[address]


def accesses(race):
    """The frames that race, without those of KCSAN and of the memory functions above them."""
    found = []
    for part in re.split(r"\n\n", race):
        frames = FRAME.findall(part)
        if re.search(r"^(read|write|read-write|assert|race at).*:", part, re.M) and frames:
            found.append(frames[0])
    return found


def test_unit_tests_pass(run):
    if "KVM_EXIT_STATS_KUNIT_TEST=y" not in (DEBUG / run.kernel / ".config").read_text():
        pytest.skip("the series has no unit tests")
    assert re.search(r"^ok \d+ kvm-exit-stats$", run.console, re.M), \
        "the console has no result of the unit tests, or they failed"


def test_stress_finds_nothing_missing(run):
    assert run.status == 0, run.stress
    print(run.stress)


def test_the_kernel_reports_nothing(run):
    found = reports(run.console)
    assert not found, f"{len(found)} reports, the first:\n" + "\n\n".join(found[:3])


def test_nothing_leaks(run):
    if run.kernel != "kasan":
        pytest.skip("kmemleak is in the other kernel")
    assert run.leaks == ""
