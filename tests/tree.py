"""A debugfs and a procfs as a host with many VMs has them.

    tree.py DIR --vms 1000 --vcpus 4 [--reasons 20] [--isa svm] [--seed N] [--live SEC]

makes DIR/debug, to be given to exitstat with --debugfs, and DIR/proc for --procfs.  The numbers
are invented, but hold together as KVM's do: vCPUs sum up to their VM, VMs and those that ended to
the host; the phases of a vCPU sum up to the time that passed; and the histograms have each exit
once, in the bucket of the time that the exit stats charge for it.

The format is that of kernel/exit_stats.c.  The same seed makes the same files.
"""
import argparse
import itertools
import os
import pathlib
import random
import shutil
import sys
import time

import kvmtext
from kvmtext import COLUMNS

EXITS, HANDLE, USER, WAIT, PREEMPTED, L2_EXITS, L2_HANDLE = range(len(COLUMNS))
TIMES = ("handle", "total")
BUCKETS = 24
BUCKET_SHIFT = 8
U64 = 2**64
TICKS = 100

# Number, name, handle and user cycles of a usual exit, and its part of the lost time.  The most
# usual come first, as a tree with few reasons has the first ones.
REASONS = {
    "vmx": (
        (12, "HLT", 4200, 0, 20), (1, "EXTERNAL_INTERRUPT", 2100, 0, 14),
        (48, "EPT_VIOLATION", 5200, 0, 9), (30, "IO_INSTRUCTION", 4400, 21000, 15),
        (32, "MSR_WRITE", 1300, 0, 12), (10, "CPUID", 1050, 0, 3),
        (49, "EPT_MISCONFIG", 5400, 26000, 10), (52, "PREEMPTION_TIMER", 1500, 0, 6),
        (7, "INTERRUPT_WINDOW", 1200, 0, 2), (31, "MSR_READ", 1250, 0, 2),
        (40, "PAUSE_INSTRUCTION", 3100, 0, 3), (28, "CR_ACCESS", 1400, 0, .5),
        (56, "APIC_WRITE", 1700, 0, 1), (45, "EOI_INDUCED", 1500, 0, 1),
        (0, "EXCEPTION_NMI", 2600, 0, .3), (18, "VMCALL", 1900, 0, .5),
        (29, "DR_ACCESS", 1300, 0, .02), (55, "XSETBV", 2200, 0, .02),
        (None, "OTHER", 9000, 0, .0005), (62, "PML_FULL", 6100, 0, .2),
        (43, "TPR_BELOW_THRESHOLD", 1400, 0, .1), (54, "WBINVD", 90000, 0, .1),
        (8, "NMI_WINDOW", 1500, 0, .01), (15, "RDPMC", 1200, 0, .02),
        (36, "MWAIT_INSTRUCTION", 1000, 0, .02), (39, "MONITOR_INSTRUCTION", 1000, 0, .02),
        (16, "RDTSC", 1100, 0, .05), (51, "RDTSCP", 1100, 0, .05),
        (44, "APIC_ACCESS", 3900, 0, .2), (24, "VMRESUME", 8800, 0, .3),
        (23, "VMREAD", 1500, 0, .1), (25, "VMWRITE", 1500, 0, .1), (20, "VMLAUNCH", 9100, 0, .02),
        (21, "VMPTRLD", 2900, 0, .02), (50, "INVEPT", 5100, 0, .02), (58, "INVPCID", 1700, 0, .02),
        (14, "INVLPG", 1900, 0, .02), (9, "TASK_SWITCH", 21000, 0, .01),
        (46, "GDTR_IDTR", 2100, 0, .01), (74, "BUS_LOCK", 2500, 0, .01),
    ),
    "svm": (
        (0x78, "hlt", 4400, 0, 20), (0x60, "interrupt", 2300, 0, 14), (0x400, "npf", 5600, 25000, 17),
        (0x7b, "io", 4600, 21000, 14), (0x7c, "msr", 1400, 0, 13), (0x72, "cpuid", 1100, 0, 3),
        (0x64, "vintr", 1300, 0, 3), (0x77, "pause", 3300, 0, 3), (0x10, "write_cr0", 1600, 0, .2),
        (0x81, "hypercall", 2000, 0, .5), (0x65, "cr0_sel_write", 1600, 0, .3),
        (0x402, "avic_unaccelerated_access", 1900, 0, 2), (0x401, "avic_incomplete_ipi", 2400, 0, 2),
        (0x61, "nmi", 2900, 0, .1), (0x4e, "PF_excp", 3200, 0, .3), (0x46, "UD_excp", 2800, 0, .1),
        (0x8d, "xsetbv", 2300, 0, .02), (0x27, "read_dr7", 1300, 0, .02), (None, "OTHER", 9000, 0, .0005),
        (0x37, "write_dr7", 1300, 0, .02), (0x74, "iret", 1700, 0, .02), (0x89, "wbinvd", 95000, 0, .1),
        (0x6e, "rdtsc", 1100, 0, .05), (0x87, "rdtscp", 1100, 0, .05), (0x6f, "rdpmc", 1200, 0, .02),
        (0x80, "vmrun", 8200, 0, .3), (0x82, "vmload", 1800, 0, .1), (0x83, "vmsave", 1800, 0, .1),
        (0x84, "stgi", 1300, 0, .1), (0x85, "clgi", 1300, 0, .1), (0x79, "invlpg", 1900, 0, .02),
        (0x7a, "invlpga", 2100, 0, .02), (0x00, "read_cr0", 1500, 0, .02), (0x14, "write_cr4", 1600, 0, .02),
        (0x62, "smi", 5200, 0, .01), (0x51, "UNKNOWN_81", 2000, 0, .01), (0x8a, "monitor", 1000, 0, .02),
        (0x8b, "mwait", 1000, 0, .02), (0x18, "write_cr8", 1300, 0, .02), (0x403, "vmgexit", 4000, 0, .02),
    ),
}

# What KVM of Linux 6.12 has in these directories besides, as listing them takes time.
VCPU_STATS = """halt_successful_poll halt_attempted_poll halt_poll_invalid halt_wakeup
    halt_poll_success_ns halt_poll_fail_ns halt_wait_ns halt_poll_success_hist halt_poll_fail_hist
    halt_wait_hist blocking pf_taken pf_fixed pf_emulate pf_spurious pf_fast pf_mmio_spte_created
    pf_guest tlb_flush invlpg exits io_exits mmio_exits signal_exits irq_window_exits
    nmi_window_exits l1d_flush halt_exits request_irq_exits irq_exits host_state_reload fpu_reload
    insn_emulation insn_emulation_fail hypercalls irq_injections nmi_injections req_event nested_run
    directed_yield_attempted directed_yield_successful preemption_reported preemption_other
    guest_mode notify_window_exits""".split()
VM_STATS = """remote_tlb_flush_requests remote_tlb_flush mmu_shadow_zapped mmu_pte_write
    mmu_pde_zapped mmu_flooded mmu_recycled mmu_cache_miss mmu_unsync pages_4k pages_2m pages_1g
    nx_lpage_splits max_mmu_rmap_size max_mmu_page_hash_collisions""".split()
VM_FILES = (*VM_STATS, *VCPU_STATS, "mmu_rmaps_stat")
VCPU_FILES = ("pid", "guest_mode", "tsc-offset", "lapic_timer_advance_ns", "tsc-scaling-ratio",
              "tsc-scaling-ratio-frac-bits")

# One exit in so many is SLOW_FACTOR times as slow as usual; and of these one in so many is
# preempted on its way.
SLOW_EVERY = 64
SLOW_FACTOR = 16
PREEMPTED_EVERY = 4
PREEMPTED_CYCLES = 300000


def bucket_of(cycles):
    return min((cycles >> BUCKET_SHIFT).bit_length(), BUCKETS - 1)


def bucket_range(bucket):
    """From how many cycles, and below how many; the last bucket has no end."""
    end = 1 << bucket + BUCKET_SHIFT
    return end // 2 if bucket else 0, None if bucket == BUCKETS - 1 else end


def slot_of(number):
    """The order of rows: by number, with OTHER (None) as the last."""
    return (number is None, number)


class Counters:
    """What is counted of a vCPU, a VM or the host."""

    def __init__(self):
        self.guest_cycles = 0
        self.failed_entries = 0
        self.clamped = 0
        # by number: the columns
        self.rows = {}
        # by number and time: exits in each bucket, and the longest time
        self.buckets = {}
        self.longest = {}

    def add(self, more):
        self.guest_cycles += more.guest_cycles
        self.failed_entries += more.failed_entries
        self.clamped += more.clamped
        for number, counts in more.rows.items():
            mine = self.rows.get(number)
            self.rows[number] = ([a + b for a, b in zip(mine, counts)] if mine else list(counts))
        for key, buckets in more.buckets.items():
            mine = self.buckets.setdefault(key, {})
            for bucket, exits in buckets.items():
                mine[bucket] = mine.get(bucket, 0) + exits
        for key, cycles in more.longest.items():
            self.longest[key] = max(self.longest.get(key, 0), cycles)

    def put_in_bucket(self, number, time, cycles, exits):
        if not exits:
            return
        key = number, time
        buckets = self.buckets.setdefault(key, {})
        bucket = bucket_of(cycles)
        buckets[bucket] = buckets.get(bucket, 0) + exits
        self.longest[key] = max(self.longest.get(key, 0), cycles)

    def total(self):
        return [sum(column) for column in zip(*self.rows.values())] or [0] * len(COLUMNS)

    @classmethod
    def sum(cls, parts):
        result = cls()
        for part in parts:
            result.add(part)
        return result


class Vcpu:
    """One vCPU, and how it spends its time."""

    def __init__(self, number, rng, tree, nested):
        self.number = number
        self.counters = Counters()
        self.rng = rng
        self.tree = tree
        self.nested = nested
        lost = rng.choice((.002, .01, .03, .08, .2)) * rng.uniform(.7, 1.3)
        self.idle = rng.choice((0, .1, .5, .9, .97))
        weights = [weight * rng.uniform(.3, 1.7) for *_, weight in tree.reasons]
        # Exits per second of each reason, so that all of them lose that much time.
        self.rates = []
        for (_, _, handle, user, _), weight in zip(tree.reasons, weights):
            cycles = (handle * (1 + (SLOW_FACTOR - 1) / SLOW_EVERY) + user
                      + PREEMPTED_CYCLES / SLOW_EVERY / PREEMPTED_EVERY)
            self.rates.append(lost * weight / sum(weights) * tree.tsc_khz * 1000 / cycles)

    def _exits(self, number, exits, handle, user):
        """So many exits: what they cost, and in the histograms."""
        counters = self.counters
        slow = exits // SLOW_EVERY
        preempted = slow // PREEMPTED_EVERY
        usual = exits - slow
        l2_exits = usual // 3 if self.nested else 0
        counts = [exits, (usual + SLOW_FACTOR * slow) * handle, exits * user, 0,
                  preempted * PREEMPTED_CYCLES, l2_exits, l2_exits * handle]

        counters.put_in_bucket(number, 0, handle, usual)
        counters.put_in_bucket(number, 0, SLOW_FACTOR * handle, slow)
        counters.put_in_bucket(number, 1, handle + user, usual)
        counters.put_in_bucket(number, 1, SLOW_FACTOR * handle + user, slow - preempted)
        counters.put_in_bucket(number, 1, SLOW_FACTOR * handle + user + PREEMPTED_CYCLES, preempted)

        row = counters.rows.setdefault(number, [0] * len(COLUMNS))
        for column, count in enumerate(counts):
            row[column] += count
        return sum(counts[HANDLE:L2_EXITS])

    def advance(self, seconds, cycles):
        rng = self.rng
        load = rng.uniform(.6, 1.4)
        spent = 0
        for (number, _, handle, user, _), rate in zip(self.tree.reasons, self.rates):
            exits = int(rate * load * seconds + rng.random())
            if exits:
                spent += self._exits(number, exits, int(handle * rng.uniform(.9, 1.1)), user)
        rest = cycles - spent
        assert rest >= 0
        halt = self.counters.rows.get(self.tree.reasons[0][0])
        wait = int(rest * self.idle) if halt else 0
        if wait:
            halt[WAIT] += wait
        self.counters.guest_cycles += rest - wait
        if rng.random() < .001:
            self.counters.clamped += 1


class Vm:
    """One VM; its directories are self.dir and self.proc."""

    def __init__(self, tree, pid, fd, start_time, index, vcpus):
        rng = random.Random(f"{tree.seed} {index}")
        self.id = f"{pid}-{fd}"
        self.pid = pid
        self.fd = fd
        # in clock ticks since boot, as in /proc/<pid>/stat
        self.start_time = start_time
        self.dir = tree.kvm / self.id
        self.proc = tree.proc / str(pid)
        self.name, self.comm, self.cmdline = describe_process(index, rng)
        self.vcpus = [Vcpu(n, random.Random(rng.random()), tree, index % 10 == 7)
                      for n in range(vcpus)]

    @property
    def counters(self):
        return Counters.sum(vcpu.counters for vcpu in self.vcpus)


def describe_process(index, rng):
    """What an operator calls a VM, its process's comm, and its command line."""
    qemu = ["/usr/bin/qemu-system-x86_64"]
    machine = ["-machine", "pc-q35-7.2,usb=off", "-accel", "kvm", "-m", "4096", "-smp", "4",
               "-uuid", "%08x-0000-4000-8000-%012x" % (rng.getrandbits(32), index),
               "-nodefaults", "-display", "none"]
    kind = index % 10
    if kind < 4:
        name = f"web{index}"
        return name, "qemu-system-x86", [*qemu, "-name", f"guest={name},debug-threads=on", *machine]
    if kind == 4:
        name = f"db{index}"
        return name, "qemu-system-x86", [*qemu, *machine, "-name", name]
    if kind == 5:
        # QEMU takes a comma in a value if it is doubled.
        return (f"shop,{index} bücher", "qemu-system-x86",
                [*qemu, "-name", f"debug-threads=on,guest=shop,,{index} bücher", *machine])
    if kind == 6:
        return "qemu-system-x86", "qemu-system-x86", [*qemu, *machine]
    if kind == 7:
        name = f"fc-{index}"
        return name, "firecracker", ["/usr/bin/firecracker", "--id", name, "--api-sock",
                                     f"/run/{name}.sock"]
    if kind == 8:
        # It has no option that names the VM.
        return "cloud-hyperviso", "cloud-hyperviso", [
            "/usr/bin/cloud-hypervisor", "--api-socket", f"/run/ch-{index}.sock", "--cpus",
            "boot=4", "--memory", "size=4G", "--kernel", "/boot/vmlinuz"]
    return "my vmm) 1", "my vmm) 1", ["./my vmm) 1", "--disk", f"{index}.img"]


class Tree:
    """All files below a directory, which must not exist or be empty.

    vms has the VMs that run, by <pid>-<fd>.  What changes is in the files at once.
    """

    def __init__(self, path, vms=0, vcpus=4, reasons=20, isa="vmx", seed=1, tsc_khz=2893202):
        if not 1 <= reasons <= len(REASONS[isa]):
            raise ValueError(f"there are 1 to {len(REASONS[isa])} reasons of {isa}")
        self.path = pathlib.Path(path)
        self.debugfs = self.path / "debug"
        self.procfs = self.proc = self.path / "proc"
        self.kvm = self.debugfs / "kvm"
        # Here files are written before they are moved, as a reader must see whole ones.
        self.new = self.path / "new"
        self.isa = isa
        self.seed = seed
        self.tsc_khz = tsc_khz
        self.enabled = 1
        self.reasons = REASONS[isa][:reasons]
        self.names = {number: name for number, name, *_ in self.reasons}
        self.default_vcpus = vcpus
        self.rng = random.Random(seed)
        # since boot
        self.seconds = 40 * 24 * 3600.0
        self.index = itertools.count()
        # those that were ever used
        self.pids = set()
        self.inodes = set()
        self.vms = {}
        # what VMs counted that are gone
        self.ended = Counters()

        for directory in self.kvm, self.proc, self.new:
            directory.mkdir(parents=True)
        self._make_empty(self.kvm, VM_FILES)
        # On a host that has run for a while not all that was counted belongs to a VM of now.
        gone = self._new_vm(self._free_pid(), 11, vcpus)
        self._run(gone)
        self.ended.add(gone.counters)
        for pid in sorted(self._free_pid() for _ in range(vms)):
            vm = self._new_vm(pid, self.rng.randrange(9, 40), vcpus)
            self._run(vm)
            self._put_vm(vm)
        self._write_host()

    # what happens on the host

    def advance(self, seconds):
        """Let time pass, a millisecond or more: no exit takes longer than the time that passed."""
        if seconds < .001:
            raise ValueError("a step must have a millisecond")
        self.seconds += seconds
        for vm in self.vms.values():
            for vcpu in vm.vcpus:
                vcpu.advance(seconds, self._cycles(seconds))
            self._write_vm(vm)
        self._write_host()

    def start(self, vcpus=None, pid=None, fd=11):
        """A VM begins, with no exits yet."""
        vm = self._new_vm(pid or self._free_pid(), fd, vcpus or self.default_vcpus)
        vm.start_time = int(self.seconds * TICKS)
        self._put_vm(vm)
        return vm

    def kill(self, vm):
        """A VM ends.  What it counted stays in the host's counters."""
        del self.vms[vm.id]
        self.ended.add(vm.counters)
        shutil.rmtree(vm.proc)
        shutil.rmtree(vm.dir)

    def reuse(self, vm):
        """A VM ends, and the next one gets its pid and its file descriptor."""
        self.kill(vm)
        # No two processes have begun in the same tick.
        self.seconds += 2 / TICKS
        return self.start(len(vm.vcpus), vm.pid, vm.fd)

    @property
    def host(self):
        return Counters.sum([self.ended, *(vm.counters for vm in self.vms.values())])

    # how that is made

    def _cycles(self, seconds):
        return int(seconds * self.tsc_khz * 1000)

    def _free_pid(self):
        while True:
            pid = self.rng.randrange(1000, 4194304)
            if pid not in self.pids:
                self.pids.add(pid)
                return pid

    def _new_vm(self, pid, fd, vcpus):
        return Vm(self, pid, fd, 0, next(self.index), vcpus)

    def _run(self, vm):
        """Give a VM a past."""
        seconds = self.rng.uniform(600, 30 * 24 * 3600)
        vm.start_time = int((self.seconds - seconds) * TICKS)
        for vcpu in vm.vcpus:
            vcpu.advance(seconds, self._cycles(seconds))

    def _put_vm(self, vm):
        assert vm.id not in self.vms
        self.vms[vm.id] = vm
        self._put_process(vm)
        # In debugfs no inode ever comes again, while other filesystems begin with those that were
        # given back.
        new = self.new / "vm"
        for n in itertools.count():
            new.mkdir()
            if new.stat().st_ino not in self.inodes:
                break
            new.rename(self.new / f"used-{vm.id}-{n}")
        self.inodes.add(new.stat().st_ino)
        self._make_empty(new, VM_FILES)
        for vcpu in vm.vcpus:
            (new / f"vcpu{vcpu.number}").mkdir()
            self._make_empty(new / f"vcpu{vcpu.number}", VCPU_FILES)
        self._write_vm(vm, new)
        new.rename(vm.dir)

    def _put_process(self, vm):
        new = self.new / "process"
        new.mkdir()
        words = [word.encode() for word in vm.cmdline]
        (new / "cmdline").write_bytes(b"\0".join(words) + b"\0")
        (new / "comm").write_text(vm.comm + "\n")
        # 52 fields; the start time is the 22nd.
        fields = ["S", 1, vm.pid, vm.pid, 0, -1, 4194560, 8000, 0, 12, 0, 90000, 40000, 0, 0, 20, 0,
                  len(vm.vcpus) + 3, 0, vm.start_time, 5368709120, 262144, U64 - 1, *[0] * 12, 17,
                  *[0] * 14]
        (new / "stat").write_text(f"{vm.pid} ({vm.comm}) " + " ".join(map(str, fields)) + "\n")
        new.rename(vm.proc)

    @staticmethod
    def _make_empty(directory, names):
        for name in names:
            os.close(os.open(directory / name, os.O_WRONLY | os.O_CREAT, 0o444))

    def _write(self, path, text):
        new = self.new / "file"
        with open(new, "w", encoding="ascii") as file:
            file.write(text)
        os.replace(new, path)

    def _write_scope(self, directory, scope, counters):
        prefix = "" if scope == "host" else f"{scope}_"
        self._write(directory / f"{prefix}exit_stats", self.stats_text(scope, counters))
        self._write(directory / f"{prefix}exit_latency", self.latency_text(scope, counters))

    def _write_vm(self, vm, directory=None):
        directory = directory or vm.dir
        for vcpu in vm.vcpus:
            self._write_scope(directory / f"vcpu{vcpu.number}", "vcpu", vcpu.counters)
        self._write_scope(directory, "vm", vm.counters)

    def _write_host(self):
        self._write_scope(self.kvm, "host", self.host)

    def stats_text(self, scope, counters):
        keys = {"version": 1, "isa": self.isa, "tsc_khz": self.tsc_khz, "scope": scope, "enabled": self.enabled,
                "failed_entries": counters.failed_entries % U64, "clamped": counters.clamped % U64,
                "guest_cycles": counters.guest_cycles % U64}
        rows = [(number, self.names[number], *(count % U64 for count in counters.rows[number]))
                for number in sorted(counters.rows, key=slot_of)]
        return kvmtext.stats_text(rows, [count % U64 for count in counters.total()], keys) + "\n"

    def latency_text(self, scope, counters):
        keys = {"version": 1, "isa": self.isa, "tsc_khz": self.tsc_khz, "scope": scope, "enabled": self.enabled}
        rows = [(number, self.names[number], TIMES[which], exits % U64, counters.longest[number, which],
                 *bucket_range(bucket))
                for number, which in sorted(counters.buckets, key=lambda key: (slot_of(key[0]), key[1]))
                for bucket, exits in sorted(counters.buckets[number, which].items())]
        return kvmtext.latency_text(rows, keys)


def live(tree, seconds):
    """Let time pass as it does, and now and then a VM end and another begin."""
    beat = time.monotonic()
    while True:
        beat += seconds
        time.sleep(max(0, beat - time.monotonic()))
        chance = tree.rng.random()
        if chance < .05 and tree.vms:
            tree.kill(tree.rng.choice(list(tree.vms.values())))
        if .03 < chance < .08:
            tree.start()
        tree.advance(seconds)


def main():
    parser = argparse.ArgumentParser(description="Make a debugfs and a procfs of a host with VMs.")
    parser.add_argument("dir", help="where to; it must not exist, or be empty")
    parser.add_argument("--vms", type=int, default=10, metavar="N")
    parser.add_argument("--vcpus", type=int, default=4, metavar="N", help="of each VM")
    parser.add_argument("--reasons", type=int, default=20, metavar="N", help="of exits, at most")
    parser.add_argument("--isa", choices=sorted(REASONS), default="vmx")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--live", type=float, metavar="SEC",
                        help="then let the VMs run, in steps of SEC seconds, until Ctrl-C")
    args = parser.parse_args()
    try:
        tree = Tree(args.dir, args.vms, args.vcpus, args.reasons, args.isa, args.seed)
    except (OSError, ValueError) as error:
        sys.exit(f"tree.py: {error}")
    print(f"exitstat list --debugfs {tree.debugfs} --procfs {tree.procfs}", flush=True)
    if args.live:
        try:
            live(tree, args.live)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
