"""A real guest under real QEMU, Debian's cpuid and exitstat in it; and the modules."""
import json
import re

import pytest
from vm import (CPUID, DEBUGFS, HLT, LEAVES, PARAMETERS, Paused, Stats, leaf, minivmm, registers,
                stats)


# Results on stock modules, to compare with.
_selftests = {}


def cpuid_tool(guest, function, index=0):
    """Debian's cpuid, one leaf: eax, ebx, ecx, edx."""
    output = guest.check(f"cpuid -1 -r -l {function:#x} -s {index}")
    return [int(value, 16) for value in re.findall(r"e[abcd]x=(0x[0-9a-f]+)", output)]


def test_guest_and_host_agree(vmx):
    guest = vmx.guest()
    pid, vm = vmx.guest_pid(), vmx.guest_vm()
    first = stats(vmx, vm)
    eax, ebx, ecx, edx = cpuid_tool(guest, 0x4FFFFFFD, CPUID)
    inside = json.loads(guest.check("exitstat guest --json"))
    table = guest.check("exitstat guest")
    vmx.check(f"kill -STOP {pid}")
    last = stats(vmx, vm)
    oracle = int(vmx.check(f"cat {DEBUGFS}/{vm}/exits"))
    by_tool = json.loads(vmx.check(f"exitstat --vm {pid} --json"))
    vmx.check(f"kill -CONT {pid}")

    assert last.total == oracle
    assert first.exits(CPUID) <= eax <= last.exits(CPUID) and (ebx, ecx, edx) == (0, 0, 0)
    assert {r["reason"]: r["exits"] for r in by_tool["reasons"]} == \
        {nr: last.exits(nr) for nr in last.rows}
    assert by_tool["total"] == {"exits": last.total, "handle_cycles": last.total_cycles}
    for row in inside["reasons"]:
        if row["reason"] is not None:
            name = last.rows[row["reason"]]["name"]
            assert row["name"] == name
            assert first.exits(row["reason"]) <= row["exits"] <= last.exits(row["reason"])
            assert name in table
    assert first.total < inside["total"]["exits"] < last.total
    # An idle guest waits most of the time, and waiting is not handling.
    assert last.exits(HLT) > 0 or "HLT" not in table
    vmx.stop_guest()


def test_tool_survives_a_dying_vm(vmx):
    """A VM killed while it is read: a whole table or one sentence, and the next read works."""
    for _ in range(3):
        vm = Paused(vmx, "vm", "cpuid:10", "pause")
        output = vmx.check(
            f"(sleep 0.2; kill -KILL $(cat {vm.files}.pid)) & for i in $(seq 40); do "
            f"exitstat --vm {vm.dir} >/tmp/out 2>/tmp/err; s=$?; "
            "echo $s $(grep -c TOTAL /tmp/out) $(wc -l </tmp/err) $(wc -c </tmp/out); done; true")
        vm.kill()
        replies = {tuple(line.split()[:3]) for line in output.splitlines()}
        assert replies <= {("0", "1", "0"), ("1", "0", "1")}, output
        assert ("1", "0", "1") in replies
        assert all(line.split()[3] == "0" for line in output.splitlines() if line[0] == "1")
    vmx.check("exitstat >/dev/null")


def test_tool_without_permission(vmx):
    output, status = vmx.run("setpriv --reuid nobody --clear-groups exitstat")
    assert status == 1 and output.count("\n") == 1 and "root" in output, output


def reload(vmx, *parameters):
    vmx.check(f"modprobe -r kvm_intel kvm && modprobe kvm {' '.join(parameters)} && "
              "modprobe kvm_intel")


def test_parameters(vmx):
    reload(vmx, "exit_stats_cpuid=host")
    assert vmx.check(f"cat {PARAMETERS}/exit_stats_cpuid") == "host\n"
    assert stats(vmx).total == 0
    reload(vmx)
    values = vmx.check(f"cd {PARAMETERS}; cat exit_stats exit_stats_cpuid exit_stats_cpuid_cpl0")
    assert values.split() == ["Y", "vm", "N"]


@pytest.mark.parametrize("name, value, says", [
    ("exit_stats_cpuid", "banana", "use off, vm or host"),
    ("exit_stats", "maybe", "use 0 or 1"),
    ("exit_stats_cpuid_cpl0", "7", "use 0 or 1"),
])
def test_wrong_values_are_refused(vmx, name, value, says):
    old = vmx.check(f"cat {PARAMETERS}/{name}")
    vmx.check("dmesg -C; dmesg -n 3")
    output, status = vmx.run(f"echo {value} >{PARAMETERS}/{name}")
    assert status and "Invalid argument" in output
    assert vmx.check(f"cat {PARAMETERS}/{name}") == old
    log = [line for line in vmx.check("dmesg").splitlines() if name in line]
    assert len(log) == 1 and says in log[0] and value in log[0]
    vmx.check("modprobe -r kvm_intel kvm; dmesg -C")
    output, status = vmx.run(f"modprobe kvm {name}={value}")
    assert status and "Invalid argument" in output
    assert says in vmx.check("dmesg")
    vmx.check("modprobe kvm_intel; dmesg -n 5")
    assert minivmm(vmx, "cpuid:1")


@pytest.fixture
def stock(vmx):
    """The machine with Debian's own modules, for one test."""
    directory = "/lib/modules/$(uname -r)/kernel/arch/x86/kvm"
    vmx.check(f"modprobe -r kvm_intel kvm && insmod {directory}/kvm.ko.xz && "
              f"insmod {directory}/kvm-intel.ko.xz", 180)
    yield vmx
    if vmx.alive():
        reload(vmx)


def test_stock_modules_are_told_apart(stock):
    """Debian's own modules: the tool says so, on the host and in a guest, with status 77."""
    assert stock.run(f"test -e {DEBUGFS}/exit_stats")[1] == 1
    # What test_not_answered_is_as_unpatched takes for granted of an unpatched KVM.
    replies = minivmm(stock, leaf(0x4FFFFFFB, CPUID), *(leaf(f, CPUID) for f in LEAVES))
    assert len({registers(reply) for reply in replies}) == 1
    output, status = stock.run("exitstat")
    assert status == 77 and output.startswith("exitstat: ") and output.count("\n") == 1
    guest = stock.guest()
    output, status = guest.run("exitstat guest")
    stock.stop_guest()
    assert status == 77 and output.startswith("exitstat: ") and output.count("\n") == 1, output


def selftests(machine):
    """{KVM selftest: (exit status, number of subtests passed)}"""
    names = machine.check("ls /usr/lib/kvm-selftests").split()
    # With stock modules too, Bochs jumps 20 s ahead in it and the kernel reports a stall.
    names.remove("vmx_preemption_timer_test")
    assert {"kvm_binary_stats_test", "cpuid_test", "vmx_msrs_test"} <= set(names)
    done = {}
    for name in names:
        output, status = machine.run(f"cd /tmp; timeout 120 /usr/lib/kvm-selftests/{name}", 200)
        done[name] = (status, len(re.findall(r"^ok ", output, re.M)))
        print(name, status, output[-300:])
    return done


def test_the_kernels_selftests_on_stock(stock):
    _selftests["stock"] = selftests(stock)


def test_the_kernels_selftests_pass_as_on_stock(vmx):
    if "stock" not in _selftests:
        pytest.skip("nothing to compare with: run the test on stock modules before")
    patched = selftests(vmx)
    assert patched == _selftests["stock"]
    assert patched["kvm_binary_stats_test"][0] == patched["cpuid_test"][0] == 0


def test_svm_machine_boots_and_runs_a_guest(svm):
    """No hooks for SVM yet: the modules load, a guest runs, and the tool says what is missing."""
    output, status = svm.run("exitstat")
    assert status == 77, output
    assert minivmm(svm, "cpuid:1000")[0]["delta"]["exits"] > 1000
    guest = svm.guest()
    output, status = guest.run("exitstat guest")
    assert status == 77, output
    svm.stop_guest()


def test_stats_parser_refuses_a_wrong_total():
    text = "exit_stats version=1\nreason name exits handle_cycles\n10 CPUID 1 5\n- TOTAL 2 5\n"
    with pytest.raises(AssertionError):
        Stats(text)
