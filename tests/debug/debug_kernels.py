"""The series under stress on debug kernels, see build-kernel: make check-debug.

kasan   finds memory errors, leaks, undefined behaviour, wrong locking
kcsan   finds data races

Each boots QEMU's machine with SVM, where KUnit runs the series' unit tests, and then
tests/vmm/stress.c.  Not named test_*, so that `make check` leaves it alone: it builds two
kernels.
"""
import collections
import dataclasses
import functools
import pathlib
import re
import shutil

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
KVM = re.compile(r"/(arch/x86|virt)/kvm/")
OURS = re.compile(r"/kvm/exit_stats(_test)?\.[ch]\b")


class DebugMachine(Machine):
    # Reports are looked at when all is done, so that there are all of them.
    trouble = re.compile(rb"Kernel panic|lab: cannot")
    # These kernels patch no code while they run.
    cpus, memory, threads = 2, 2048, "multi"
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
    kcsan: str


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
        watch = "--watch=60" if request.param == "kcsan" else ""
        stress, status = machine.run(f"stress --vms={VMS} {watch}", 1800)
        found = leaks(machine) if request.param == "kasan" else ""
        kcsan = machine.run("cat /sys/kernel/debug/kcsan")[0]
    console = (machine.dir / "console.log").read_text(errors="replace").replace("\r", "")
    # Without the times, that the lines of a report can be compared.
    console = re.sub(r"^\[ *\d+\.\d+\] ?", "", console, flags=re.M)
    for name, text in ("stress", stress), ("kmemleak", found):
        (machine.dir / f"{name}.log").write_text(text)
    return Run(request.param, console, stress, status, found, kcsan)


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
        self.code = {}
        for line in images.run("nm", "-S", vmlinux).splitlines():
            words = line.split()
            if len(words) == 4 and words[2] in "tTwW":
                self.code.setdefault(words[3], []).append((int(words[1], 16), int(words[0], 16)))

    @functools.lru_cache(maxsize=None)
    def source(self, name, offset, size):
        """Files and lines of one frame of a report, those of inlined code too."""
        # Of functions of one name take the one whose size fits; reports may pad it.
        known = sorted((abs(s - int(size, 16)), start) for s, start in self.code.get(name, ()))
        if not known:
            return ""
        # It is a return address: the call is before it.
        address = known[0][1] + int(offset, 16) - 1
        return images.run("addr2line", "-i", "-e", self.vmlinux, f"{address:#x}")


def accesses(race):
    """The stacks of the two accesses, innermost frame first."""
    parts = re.split(r"\n *\n", race)
    return [FRAME.findall(part) for part in parts
            if re.search(r"^(read|write|assert|race at unknown origin).* on cpu \d+:", part, re.M)]


def in_kvm(stack, symbols):
    """The source lines of a stack's innermost frame in KVM; what it calls acts for it."""
    for frame in stack:
        source = symbols.source(*frame)
        if KVM.search(source):
            return source
    return ""


def is_ours(race, symbols):
    return any(OURS.search(in_kvm(stack, symbols)) for stack in accesses(race))


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


def test_no_data_races(run):
    if run.kernel != "kcsan":
        pytest.skip("KCSAN is in the other kernel")
    watched = re.search(r"^setup_watchpoints: (\d+)", run.kcsan, re.M)
    assert int(watched[1]) > 0, "KCSAN watched nothing"
    symbols = Symbols(DEBUG / run.kernel / "vmlinux")
    ours, others = [], collections.Counter()
    for race in RACE.findall(run.console):
        if is_ours(race, symbols):
            ours.append(race)
        else:
            others[race.splitlines()[0]] += 1
    lines = [f"{n:6} {title}\n" for title, n in others.most_common()]
    (DEBUG / "logs" / run.kernel / "other-races.txt").write_text("".join(lines))
    print("Races without exit accounting in them:", "".join(lines), sep="\n")
    assert not ours, f"{len(ours)} races, the first:\n" + "\n\n".join(ours[:3])


@pytest.mark.parametrize("line", (
    "BUG: KASAN: slab-use-after-free in kvm_exit_stats_show+0x1/0x2",
    "WARNING: CPU: 1 PID: 7 at virt/kvm/kvm_main.c:1 kvm_put_kvm+0x1/0x2",
    "WARNING: possible circular locking dependency detected",
    "WARNING: suspicious RCU usage",
    "BUG: sleeping function called from invalid context at mm/slab.c:1",
    "BUG: using smp_processor_id() in preemptible [00000000] code: stress/1",
    "UBSAN: array-index-out-of-bounds in arch/x86/kvm/exit_stats.c:1:2",
    "INFO: task stress:1 blocked for more than 120 seconds.",
    "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "    not ok 4 test_phases",
))
def test_reports_are_seen(line):
    assert reports(f"before\n{line}\nafter") == [f"{line}\nafter"]


def test_races_are_taken_out_and_apart():
    race = ("BUG: KCSAN: data-race in one / two\n\n"
            "write to 0xffff888000fcdcc0 of 8 bytes by task 437 on cpu 0:\n"
            " one+0x42/0x70\n three+0x7/0x10\n\n"
            "read to 0xffff888000fcdcc0 of 8 bytes by task 438 on cpu 1:\n two+0x1/0x2\n\n"
            "value changed: 0x0000000000000000 -> 0x0000000000000008\n\n"
            "Reported by Kernel Concurrency Sanitizer on:\nCPU: 0 UID: 0 PID: 437 Comm: stress")
    line = "=" * 66
    console = f"before\n{line}\n{race}\n{line}\nafter"
    assert RACE.findall(console) == [race]
    assert reports(console) == []
    assert accesses(race) == [[("one", "42", "70"), ("three", "7", "10")], [("two", "1", "2")]]
