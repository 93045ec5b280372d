"""How exit accounting grows with CPUs, VMs and vCPUs: bench/growth.py, or make bench

On Bochs, as bench/cost.py: instructions to read exit_stats and its like of a VM with 1, 10 and 100
vCPUs, and of a host with 1, 10 and 100 VMs; and the kernel's memory for a vCPU, as charged to its
VM's cgroup.  A table on stdout, and the same in build/bench-growth.json.
"""
import argparse
import json
import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cost
from lab import images
from lab.machine import LostMachine
from kvmtext import file_of
from vm import DEBUGFS, SYSFS, Paused

NUMBERS = (1, 10, 100)
FILES = ("exit_stats", "exit_latency")
READINGS = 20


def read_cost(machine, *files):
    """{file: (instructions, bytes)}, from open() to close()."""
    found = {}
    for line in machine.check(f"readcost {READINGS} {' '.join(files)}", 300).splitlines():
        least, size, name = line.split()
        found[name] = (int(least), int(size))
    return found


def start_vm(machine, name, vcpus, before=""):
    """A VM whose vCPUs all have had exits of some kinds, when minivmm set them up."""
    return Paused(machine, name, f"--vcpus={vcpus}", "cpuid:10", "wrmsr-icr:5", "pause",
                  before=before)


def readings(machine):
    lines = []

    def add(what, number, of, found):
        for name, (least, size) in found.items():
            lines.append({"file": pathlib.PurePath(name).name, "scope": what, "number": number,
                          "of": of, "instructions": least, "bytes": size})

    for vcpus in NUMBERS:
        vm = start_vm(machine, "vm", vcpus)
        for file in FILES:
            add("vm", vcpus, "vCPUs", read_cost(machine, f"{DEBUGFS}/{file_of(vm.dir, file)}"))
            if vcpus == 1:
                add("vcpu", 1, "vCPUs", read_cost(machine, f"{DEBUGFS}/{file_of(f'{vm.dir}/vcpu0', file)}"))
        vm.kill()
    vms = []
    for number in NUMBERS:
        while len(vms) < number:
            vms.append(start_vm(machine, f"vm{len(vms)}", 1))
        for file in FILES:
            add("host", number, "VMs", read_cost(machine, f"{DEBUGFS}/{file_of(kind=file)}"))
        add("host", number, "VMs", read_cost(machine, f"{SYSFS}/reason-10/exits"))
    for vm in vms:
        vm.kill()
    return lines


def charged(machine, vcpus):
    """Bytes of kernel memory that a VM charges to its cgroup."""
    group = "/tmp/cgroup/vm"
    machine.check("mkdir -p /tmp/cgroup; mountpoint -q /tmp/cgroup || "
                  "mount -t cgroup2 cgroup /tmp/cgroup; "
                  f"echo +memory >/tmp/cgroup/cgroup.subtree_control; mkdir -p {group}")
    vm = start_vm(machine, "vm", vcpus, before=f"echo $BASHPID >{group}/cgroup.procs; ")
    found = re.search(r"^kernel (\d+)$", machine.check(f"cat {group}/memory.stat"), re.M)
    vm.kill()
    machine.check(f"until rmdir {group}; do sleep 0.1; done")
    return int(found[1])


def memory(machine):
    """{configuration: bytes for a VM with one vCPU, and for each further one}."""
    found = {}
    for config in ("stock", "on", "hist"):
        cost.load(machine, config)
        one, many = (charged(machine, vcpus) for vcpus in (1, 101))
        found[config] = {"vm": one, "vcpu": (many - one) / 100}
    return found


def main():
    parser = argparse.ArgumentParser(description="Measure how exit accounting grows.")
    parser.add_argument("--modules", type=pathlib.Path, metavar="DIR",
                        help="with kvm.ko and kvm-intel.ko; build/modules/$KREL if not given")
    parser.add_argument("--json", type=pathlib.Path, default=images.BUILD / "bench-growth.json",
                        metavar="FILE")
    args = parser.parse_args()
    krel = cost.default_release()
    try:
        with cost.run_directory() as run_dir:
            cost.build(krel, args.modules or images.BUILD / "modules" / krel, run_dir)
            with cost.CostMachine(krel, run_dir) as machine:
                with images.step("Booting Bochs"):
                    machine.boot()
                with images.step("Measuring memory"):
                    result = {"schema": "exitstat.bench-growth", "version": 1, "kernel": krel,
                              "emulator": cost.version_of_bochs(), "each": READINGS,
                              "memory": memory(machine)}
                with images.step("Measuring readings"):
                    cost.wait_until_idle(machine)
                    result["readings"] = readings(machine)
    except (images.BuildError, LostMachine, OSError) as err:
        sys.exit(f"bench: {err}")
    args.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{'FILE':<14}{'SCOPE':<6}{'WITH':>12}{'INSTRUCTIONS':>14}{'BYTES':>8}")
    for line in result["readings"]:
        print(f"{line['file']:<14}{line['scope']:<6}{line['number']:>6} {line['of']:<5}"
              f"{line['instructions']:>14}{line['bytes']:>8}")
    print(f"\n{'KERNEL MEMORY':<14}{'VM WITH 1 VCPU':>15}{'EACH FURTHER':>14}  bytes")
    for config, sizes in result["memory"].items():
        print(f"{config:<14}{sizes['vm']:>15}{sizes['vcpu']:>14.0f}")


if __name__ == "__main__":
    main()
