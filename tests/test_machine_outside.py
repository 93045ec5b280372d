"""What the accounting shows outside of debugfs: sysfs, QEMU, lockdown; and its KUnit tests."""
import base64
import importlib.machinery
import importlib.util
import json
import operator
import re

import pytest
from lab import images
from lab.machine import Qmp
from kvmtext import file_of
from vm import (DEBUGFS, PHASES, SYSFS, Paused, minivmm, reasons, slots, stats)

COUNTERS = ("exits", *PHASES, "l2_exits", "l2_handle_cycles")


def sysfs(machine, where=""):
    """{file: value} of one of sysfs's directories."""
    lines = machine.check(f"cd {SYSFS}/{where}; grep . $(ls -p | grep -v /)").splitlines()
    return dict(line.split(":", 1) for line in lines)


def test_kunit(machine):
    """The pure parts, on this ISA: the same tests that KUnit runs where a kernel has it."""
    machine.run("dmesg -C; insmod /usr/lib/test-modules/kvm-exit-stats-test.ko; "
                "rmmod kvm_exit_stats_test")
    log = machine.check("dmesg")
    assert re.search(r"ok 1 kvm-exit-stats$", log, re.M), log
    passed = re.findall(r"(not )?ok (\d+) test_\w+( # SKIP.*)?$", log, re.M)
    assert len(passed) == 12 and not any(failed or skipped for failed, _, skipped in passed), log


def test_sysfs_equals_debugfs(machine):
    minivmm(machine, "cpuid:100", "pio-user:50", "hlt:5:20000000")
    host = stats(machine)
    top = sysfs(machine)
    assert {name: top[name] for name in ("isa", "tsc_khz", "enabled", "guest_cycles",
                                         "failed_entries", "clamped")} == \
        {name: host.keys[name] for name in ("isa", "tsc_khz", "enabled", "guest_cycles",
                                            "failed_entries", "clamped")}
    assert top["version"] == "1"
    for number, row in host.rows.items():
        values = sysfs(machine, f"reason-{number}")
        assert values.keys() == {"name", "slot", *COUNTERS}
        assert values["name"] == row["name"]
        assert {name: values[name] for name in COUNTERS} == {name: row[name] for name in COUNTERS}
    # Seen or not, each reason has a directory, and each slot one reason.
    numbers = [number for number in slots(machine).values() if number is not None]
    assert set(host.rows) <= set(numbers) and len(numbers) == len(set(numbers)) > 75
    assert all(not any(c.isspace() for c in sysfs(machine, f"reason-{number}")["name"])
               for number in numbers[::10])


def test_sysfs_is_the_administrators_to_give(machine):
    """Root's alone at first; a group can be let in, and the tool then works without debugfs."""
    nobody = "setpriv --reuid nobody --regid nogroup --clear-groups"
    modes = machine.check(f"stat -c '%a %U' {SYSFS}/[a-z]*[a-z] {SYSFS}/*/* | sort -u")
    assert set(modes.splitlines()) == {"400 root", "755 root"}
    assert machine.check(f"stat -c %a {SYSFS}/isa {SYSFS}/reason-other/exits") == "400\n400\n"
    assert "Permission denied" in machine.run(f"{nobody} cat {SYSFS}/isa")[0]
    output, status = machine.run(f"{nobody} exitstat")
    assert status == 1 and output.count("\n") == 1, output
    minivmm(machine, "cpuid:10")
    machine.check(f"chgrp -R nogroup {SYSFS}; chmod -R g+rX {SYSFS}")
    host = stats(machine)
    output, status = machine.run(f"{nobody} exitstat --json 2>/tmp/err; cat /tmp/err >&2")
    assert status == 0
    told, _, text = output.rpartition("exitstat: ")
    assert SYSFS in text and text.count("\n") == 1
    assert json.loads(told)["scopes"][0]["total"]["exits"] == host.total
    machine.reload_kvm()
    assert "Permission denied" in machine.run(f"{nobody} cat {SYSFS}/isa")[0]


def test_qemus_query_stats(machine):
    """Unmodified QEMU serves the counters, with arrays, and they are what debugfs has."""
    line = 3
    machine.check(f"stty -F /dev/ttyS{line} raw -echo")
    machine.lines[line].text = b""
    machine.start_guest(options=f"-smp 2 -chardev serial,id=qmp,path=/dev/ttyS{line} "
                                "-mon chardev=qmp,mode=control")
    qmp = Qmp(machine.lines[line])
    guest = machine.await_guest()
    guest.check("cat /proc/cpuinfo")
    schemas = qmp.execute("query-stats-schemas", provider="kvm")
    schema = {s["name"]: s for target in schemas if target["target"] == "vcpu"
              for s in target["stats"]}
    qmp.execute("stop")
    vm = machine.guest_vm()
    replies = qmp.execute("query-stats", target="vcpu", providers=[{"provider": "kvm"}])
    assert len(replies) == 2
    values = [{s["name"]: s["value"] for s in reply["stats"]} for reply in replies]
    vcpus = [stats(machine, f"{vm}/vcpu{i}") for i in range(2)]
    by_total = operator.attrgetter("total")
    for values, vcpu in zip(sorted(values, key=lambda v: v["exits"]), sorted(vcpus, key=by_total)):
        assert sum(values["exit_reason_exits"]) == values["exits"] == vcpu.total
        assert values["exit_guest_cycles"] == int(vcpu.keys["guest_cycles"])
        arrays = [values[f"exit_reason_{name}"] for name in COUNTERS]
        expected = [[vcpu.value(slots(machine).get(slot), name) for slot in range(len(array))]
                    for name, array in zip(COUNTERS, arrays)]
        # Debian 12's QEMU lists the elements of any array from the last to the first.
        assert arrays in (expected, [array[::-1] for array in expected])
        assert any(arrays[0])
    assert schema["exit_reason_exits"]["type"] == "cumulative"
    assert schema["exit_reason_wait_cycles"].get("unit") == "cycles"
    assert schema["exit_guest_cycles"].get("unit") == "cycles"
    qmp.execute("cont")
    assert guest.check("echo alive") == "alive\n"
    # Paused and resumed: the sums still hold.
    qmp.execute("stop")
    whole = stats(machine, vm)
    assert whole.total == int(machine.check(f"cat {DEBUGFS}/{vm}/exits"))
    machine.stop_guest()


def test_no_debugfs_file_shows_an_array_as_one_number(machine):
    vm = Paused(machine, "vm", "cpuid:10", "pause")
    files = machine.check(f"ls {DEBUGFS} {DEBUGFS}/{vm.dir}").split()
    vm.kill()
    assert "exits" in files and "halt_wait_ns" in files
    # Neither a part of one, nor a counter that a write would clear.
    assert [name for name in files if "exit_" in name and not name.endswith((
        "exit_stats", "exit_latency", "_exits"))] == []


def test_the_kernels_own_kvm_stat(machine, tmp_path):
    """It takes each file of KVM's directory for a number, in VMs' directories, too.  From its source, on a copy of ours."""
    vm = Paused(machine, "vm", "--vcpus=2", "cpuid:100", "pio-user:50", "pause")
    listing = machine.check(f"cd {DEBUGFS}; for f in * {vm.dir}/*; do [ -f $f ] && echo $f $(base64 -w0 <$f); done; true")
    exits = int(machine.check(f"cat {DEBUGFS}/{vm.dir}/exits"))
    vm.kill()
    for name, content in (line.partition(" ")[::2] for line in listing.splitlines()):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(base64.b64decode(content))
    source = images.BUILD / f"linux-{images.source(machine.krel)}/tools/kvm/kvm_stat/kvm_stat"
    loader = importlib.machinery.SourceFileLoader("kvm_stat", str(source))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("kvm_stat", loader))
    # Nothing is written beside it.
    exec(compile(source.read_text(), source, "exec"), module.__dict__)
    module.PATH_DEBUGFS_KVM = str(tmp_path)
    module.ARCH = module.ArchX86({})
    for pid in 0, int(vm.dir.split("-")[0]):
        provider = module.DebugfsProvider(pid, None, True)
        values = provider.read()
        assert values["exits"] == exits
        # Nothing of ours stands in its table, where the largest number is on top.
        assert not [key for key, value in values.items() if "exit_" in key and value and not key.endswith("_exits")]


def test_nested(machine):
    """A guest in a guest: what exits from there is counted apart, and is part of the whole."""
    nr = reasons(machine)
    vendor = machine.vendor_module
    # The guest's modules are its kernel's own: nothing of ours is needed there.
    machine.check(
        "unpacked() { case $1 in *.xz) busybox xzcat $1;; *) cat $1;; esac; }; "
        "rm -rf /tmp/l1; mkdir -p /tmp/l1/m /tmp/l1/bin; cd /tmp/l1; "
        "d=/lib/modules/$(uname -r)/kernel/arch/x86/kvm; "
        f"k=$(echo $d/kvm.ko*) v=$(echo $d/{vendor.replace('_', '-')}.ko*); "
        "for m in $(modinfo -F depends $v $k | tr , '\\n' | "
        "grep -vx kvm | sort -u); do f=$(modinfo -n $m); "
        "unpacked $f >m/0-$m.ko; done; unpacked $k >m/1.ko; unpacked $v >m/2.ko; cp /usr/bin/minivmm bin; "
        "busybox find . | busybox cpio -o -H newc >/tmp/l1.cpio 2>/dev/null; "
        "cat /boot/guest-initrd /tmp/l1.cpio >/tmp/l1.initrd; cd /; rm -r /tmp/l1 /tmp/l1.cpio", 120)
    guest = machine.guest(options="-m 256 -initrd /tmp/l1.initrd", timeout=400)
    vm = machine.guest_vm()
    guest.check("for m in /m/*.ko; do insmod $m || exit 1; done", 240)
    machine.check("rm /tmp/l1.initrd")
    before = stats(machine, vm)
    report = guest.check("minivmm cpuid:1000 pio-kernel:300", 400)
    after = stats(machine, vm)
    machine.stop_guest()
    l1 = [json.loads(line)["delta"]["exits"] for line in report.splitlines()]
    assert min(l1) > 300

    def grown(reason, column):
        return after.value(reason, column) - before.value(reason, column)

    # Each exit that L1 saw of L2 was one of the processor, from L2.
    assert before.totals["l2_exits"] == 0
    assert grown(nr.CPUID, "l2_exits") >= 1000 and grown(nr.IO, "l2_exits") >= 301
    assert grown(nr.CPUID, "l2_exits") < 1100
    for number in after.rows:
        assert after.value(number, "l2_exits") <= after.exits(number)
        assert after.value(number, "l2_handle_cycles") <= after.cycles(number)
    assert grown(nr.CPUID, "l2_handle_cycles") > 0
    # L1's own: VMRESUME and the like, or VMRUN, never come from L2 here.
    entries = {"vmx": "VMRESUME", "svm": "vmrun"}[machine.isa]
    number = next(nr for nr, row in after.rows.items() if row["name"] == entries)
    assert grown(number, "exits") > 1300 and grown(number, "l2_exits") == 0


@pytest.mark.parametrize("level", ["integrity", "confidentiality"])
def test_lockdown(own_machine, level):
    """With the modules loaded before: all that cannot be written stays readable."""
    machine = own_machine
    if machine.run("mount -t securityfs securityfs /sys/kernel/security; "
                   "test -e /sys/kernel/security/lockdown")[1]:
        pytest.skip("this machine's kernel has no lockdown")
    machine.check(f"echo {level} >/sys/kernel/security/lockdown")
    assert f"[{level}]" in machine.check("cat /sys/kernel/security/lockdown")
    vm = Paused(machine, "vm", "cpuid:100", "stats", "pause")
    # It is in force: KVM's other counters, which can be written, are refused.
    output, status = machine.run(f"cat {DEBUGFS}/{vm.dir}/exits")
    assert status and "not permitted" in output
    for where in "", f"{vm.dir}/", f"{vm.dir}/vcpu0/":
        assert stats(machine, where).total > 100
        assert "handle" in machine.check(f"cat {DEBUGFS}/{file_of(where, 'exit_latency')}")
    assert int(sysfs(machine, f"reason-{reasons(machine).CPUID}")["exits"]) >= 100
    assert vm.steps[1]["stats"]["exit_reason_exits"]
    assert f"{vm.dir}" in machine.check(f"exitstat --vm {vm.dir} --json")
    vm.kill()
    assert minivmm(machine, "cpuid:10")
    # And KVM's modules must be signed.
    machine.check(f"modprobe -r {machine.vendor_module} kvm")
    output, status = machine.run("modprobe kvm")
    assert status and ("not permitted" in output or "rejected" in output), output
