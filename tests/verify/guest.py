"""A real guest, and our counters of it while it stands still."""
from vm import DEBUGFS, PHASES, stats

QMP_LINE = 3
# It stands still for seconds, and must not take that for a stall.
CMDLINE = ("console=ttyS0 rdinit=/init quiet mitigations=off nowatchdog "
           "rcupdate.rcu_cpu_stall_suppress=1")
# Time at which the load ends; the loops look at the clock, so that tracing does not lengthen it.
LOAD = """\
end=$(($(date +%s) + {seconds}))
(until [ $(date +%s) -ge $end ]; do usleep 1000; done) &
(until [ $(date +%s) -ge $end ]; do usleep 20000; cpuid -1 -l 0 >/dev/null; done) &
until [ $(date +%s) -ge $end ]; do
dd if=/dev/zero bs=64k count=20 2>/dev/null | cat >/dev/null; head -c 300 /proc/cpuinfo; done
wait"""


class Guest:
    """A guest with a control connection, on all of the machine."""

    def __init__(self, machine, vcpus):
        self.machine = machine
        self.vcpus = vcpus
        machine.check(f"stty -F /dev/ttyS{QMP_LINE} raw -echo")
        machine.lines[QMP_LINE].text = b""
        machine.start_guest(options=f"-smp {vcpus} -chardev serial,id=qmp,path=/dev/ttyS{QMP_LINE} "
                                    f"-mon chardev=qmp,mode=control -append '{CMDLINE}'")
        self.pid = machine.guest_pid()
        self.console = None

    def boot(self):
        self.console = self.machine.await_guest(timeout=600)

    def load(self, seconds):
        """Timers, IPIs, output on the console and busy CPUs."""
        return self.console.check(LOAD.format(seconds=seconds), 600)

    def stop(self):
        """SIGSTOP: no vCPU is in the guest, or in KVM_RUN, afterwards."""
        self.machine.check(f"kill -STOP {self.pid}; while cat /proc/{self.pid}/task/*/status | "
                           "grep ^State: | grep -qv stopped; do :; done")

    def go_on(self):
        self.machine.check(f"kill -CONT {self.pid}")

    def counters(self):
        return stats(self.machine, self.machine.guest_vm())

    def oracle(self):
        """KVM's own count."""
        return int(self.machine.check(f"cat {DEBUGFS}/{self.machine.guest_vm()}/exits"))


def exits(after, before=None):
    """{name: exits} in a window."""
    found = {row["name"]: after.exits(nr) - (before.exits(nr) if before else 0)
             for nr, row in after.rows.items()}
    return {name: n for name, n in found.items() if n}


def time(after, phases=PHASES):
    """{name: cycles from exit to entry}, since the VM began."""
    return {row["name"]: sum(after.value(nr, phase) for phase in phases)
            for nr, row in after.rows.items()}
