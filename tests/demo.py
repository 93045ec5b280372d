"""The whole path, told on the terminal: demo.py EMULATOR KERNEL_RELEASE

An emulated machine boots Debian's stock kernel with our KVM modules, real QEMU
runs a real Linux guest on it, and both look at what the guest's exits cost.
"""
import json
import re
import signal
import sys
import textwrap
import time

from lab import images
from lab.machine import CommandFailed, LostMachine, Machine

DEBUGFS = "/sys/kernel/debug/kvm"
DYNAMIC_DEBUG = "/sys/kernel/debug/dynamic_debug/control"


class Disagreement(Exception):
    """Guest and host do not say the same."""


def say(text):
    print("\n" + textwrap.fill(" ".join(text.split()), 92), flush=True)


def show(where, shell, command):
    """Run a command, and show it as the terminal would."""
    print(f"\n{where}# {command}", flush=True)
    output = shell.check(command, 120)
    print(output.rstrip("\n"), flush=True)
    return output


def registers(output):
    return {name: int(value, 16) for name, value in re.findall(r"(e[abcd]x)=(0x\w+)", output)}


def agree(what, low, value, high):
    if not low <= value <= high:
        raise Disagreement(f"{what}: the guest read {value}, and the host had {low} before and "
                           f"{high} after")
    print(f"  {what:<28} host before {low:>12}  <=  guest {value:>12}  <=  host after {high:>12}",
          flush=True)


def rows(machine, vm):
    """The host's numbers of a VM, through exitstat."""
    scope, = json.loads(machine.check(f"exitstat --vm {vm} --json"))["scopes"]
    return {row["reason"]: row for row in scope["reasons"]}, scope["total"]


# How long that takes: Bochs emulates some 30 million instructions a second.
HOST_BOOTS = {"bochs": "1 to 3 minutes: GRUB reads the kernel, which unpacks itself and starts"}
GUEST_BOOTS = {"bochs": "half a minute to 2 minutes"}
SOON = "10 to 40 seconds"

# What the story asks for: CPUID, a write to an MSR, and an exit that KVM never makes.
EXITS = {
    "vmx": ("an emulated Intel machine", "the Intel SDM", 10, 32, 3, "INIT"),
    "svm": ("an emulated AMD machine", "the AMD APM", 0x72, 0x7C, 1, "a read of CR1"),
}


def story(machine):
    where, manual, nr_cpuid, nr_msr, nr_unused, unused_name = EXITS[machine.isa]
    version = machine.check("uname -r").strip()
    say(f"""The host is up: Debian's untouched kernel {version}, on {where}.  Its KVM modules are
        ours.""")
    show("host", machine, f"modprobe {machine.vendor_module}; cd /sys/module/kvm/parameters; head exit_stats*")

    say("""No guest has run yet, so nothing has been counted.  Now real QEMU boots Debian's kernel as
        a guest, on real KVM.  Each time the guest leaves to KVM is a VM-exit, and is counted.""")
    with images.step(f"Booting the guest ({GUEST_BOOTS.get(machine.emulator, SOON)})"):
        guest = machine.guest()
    pid, vm = machine.guest_pid(), machine.guest_vm()
    machine.check(f"echo 'func kvm_exit_stats_cpuid +p' >{DYNAMIC_DEBUG}")
    before, before_total = rows(machine, vm)

    say("""In the guest, Debian's cpuid asks KVM.  The exits of this VM so far, all reasons (low half in
        eax, high half in ebx):""")
    exits = registers(show("guest", guest, "cpuid -1 -l 0x4FFFFFFF"))
    say("The cycles that KVM has spent on them (high half in ebx, low half in ecx):")
    cycles = registers(show("guest", guest, "cpuid -1 -l 0x4FFFFFFE"))
    say(f"The exits for one reason: number {nr_cpuid} is CPUID, what these very questions cause.")
    cpuid = registers(show("guest", guest, f"cpuid -1 -l 0x4FFFFFFD -s {nr_cpuid}"))
    say(f"The cycles for another: number {nr_msr} is an access to an MSR.")
    wrmsr = registers(show("guest", guest, f"cpuid -1 -l 0x4FFFFFFC -s {nr_msr}"))
    say(f"""An exit number that {manual} does not define: edx is all ones.  And one that it
        defines ({nr_unused}, {unused_name}) but for which KVM makes no exit: all zeros.""")
    undefined = registers(show("guest", guest, "cpuid -1 -l 0x4FFFFFFD -s 444"))
    unused = registers(show("guest", guest, f"cpuid -1 -l 0x4FFFFFFD -s {nr_unused}"))
    say("All of it as a table; in the guest this needs no privilege:")
    show("guest", guest, "exitstat guest")

    after, after_total = rows(machine, vm)
    say("The host sees the same, in debugfs.  Each VM and each vCPU has such a file too:")
    show("host", machine, f"cat {DEBUGFS}/exit_stats")
    say("The kernel's log of the guest's questions, because this demo switched dynamic debug on:")
    show("host", machine, "dmesg | grep 'cpuid leaf' | head -6")
    say("And the same with exitstat, sorted by time:")
    show("host", machine, "exitstat")

    say("Do guest and host agree?")
    agree("all exits", before_total["exits"], exits["ebx"] << 32 | exits["eax"],
          after_total["exits"])
    agree("all cycles", before_total["handle_cycles"], cycles["ebx"] << 32 | cycles["ecx"],
          after_total["handle_cycles"])
    agree("exits, CPUID", before[nr_cpuid]["exits"], cpuid["ebx"] << 32 | cpuid["eax"],
          after[nr_cpuid]["exits"])
    agree("cycles, MSR", before[nr_msr]["handle_cycles"], wrmsr["ebx"] << 32 | wrmsr["ecx"],
          after[nr_msr]["handle_cycles"])
    if list(undefined.values()) != [0, 0, 0, 0xFFFFFFFF] or any(unused.values()):
        raise Disagreement("exit number 444 must give edx=0xffffffff, and "
                           f"number {nr_unused} zeros")
    machine.check(f"kill -STOP {pid}")
    _, total = rows(machine, vm)
    oracle = int(machine.check(f"cat {DEBUGFS}/{vm}/exits"))
    if total["exits"] != oracle:
        raise Disagreement(f"the sum over reasons is {total['exits']}, and KVM's own count of this "
                           f"VM's exits is {oracle}")
    print(f"  guest stopped: sum over all reasons {total['exits']} == KVM's own count {oracle}")
    machine.check(f"kill -CONT {pid}; echo 'func kvm_exit_stats_cpuid -p' >{DYNAMIC_DEBUG}")
    machine.stop_guest()
    print("\nGuest and host agree.", flush=True)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: demo.py EMULATOR KERNEL_RELEASE")
    emulator, krel = sys.argv[1:]
    # Whoever ends us, the emulator goes too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    try:
        with Machine(emulator, krel, images.LAB / "logs/demo") as machine:
            with images.step(f"Booting the host under {emulator} ({HOST_BOOTS.get(emulator, SOON)})"):
                machine.boot()
            story(machine)
    except (LostMachine, CommandFailed, Disagreement, images.BuildError, ValueError) as err:
        sys.exit(f"demo: {err}")
    except OSError as err:
        sys.exit(f"demo: {err}; run make demo again when that is solved")
    except KeyboardInterrupt:
        sys.exit("demo: interrupted; the emulator is stopped, and make demo starts again")
    print(f"The machine ran for {time.monotonic() - start:.0f} s.  All of this is in "
          "build/demo.log.", flush=True)


if __name__ == "__main__":
    main()
