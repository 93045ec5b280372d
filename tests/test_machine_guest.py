"""A real guest under real QEMU, Debian's cpuid and exitstat in it; and the modules."""
import json
import re

import pytest
from vm import (DEBUGFS, LEAVES, PARAMETERS, Paused, Stats, leaf, minivmm, reasons, registers,
                stats)


# The kernel's selftests of the other ISA.
OTHER_ISA = {"vmx": "svm_", "svm": "vmx_"}


def cpuid_tool(guest, function, index=0):
    """Debian's cpuid, one leaf: eax, ebx, ecx, edx."""
    output = guest.check(f"cpuid -1 -r -l {function:#x} -s {index}")
    return [int(value, 16) for value in re.findall(r"e[abcd]x=(0x[0-9a-f]+)", output)]


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_guest_and_host_agree(machine, cpus):
    if machine.emulator == "bochs" and cpus > 2:
        pytest.skip("takes Bochs minutes")
    nr = reasons(machine)
    guest = machine.guest(options=f"-smp {cpus}")
    pid, vm = machine.guest_pid(), machine.guest_vm()
    first = stats(machine, vm)
    eax, ebx, ecx, edx = cpuid_tool(guest, 0x4FFFFFFD, nr.CPUID)
    inside, = json.loads(guest.check("exitstat guest --json"))["scopes"]
    table = guest.check("exitstat guest")
    machine.check(f"kill -STOP {pid}")
    last = stats(machine, vm)
    oracle = int(machine.check(f"cat {DEBUGFS}/{vm}/exits"))
    by_tool, = json.loads(machine.check(f"exitstat --vm {pid} --json"))["scopes"]
    machine.check(f"kill -CONT {pid}")

    assert last.total == oracle
    assert first.exits(nr.CPUID) <= eax <= last.exits(nr.CPUID) and (ebx, ecx, edx) == (0, 0, 0)
    assert {r["reason"]: r["exits"] for r in by_tool["reasons"]} == \
        {nr: last.exits(nr) for nr in last.rows}
    assert by_tool["total"].items() >= {"exits": last.total,
                                        "handle_cycles": last.total_cycles}.items()
    for row in inside["reasons"]:
        if row["reason"] is not None:
            name = last.rows[row["reason"]]["name"]
            assert row["name"] == name
            assert first.exits(row["reason"]) <= row["exits"] <= last.exits(row["reason"])
            assert name in table
    assert first.total < inside["total"]["exits"] < last.total
    # An idle guest waits most of the time, and waiting is not handling.
    assert last.exits(nr.HLT) > 0 or "hlt" not in table.lower()
    machine.stop_guest()


def test_tool_survives_a_dying_vm(machine):
    """A VM killed while it is read: a whole table or one sentence, and the next read works."""
    for _ in range(3):
        vm = Paused(machine, "vm", "cpuid:10", "pause")
        # As few processes as can be: an emulated machine takes long to start one.
        output = machine.check(
            f"(sleep 0.2; kill -KILL $(cat {vm.files}.pid)) & for i in {{1..20}}; do "
            f"exitstat --vm {vm.dir} 2>/tmp/err; echo \"status $? $(</tmp/err)\"; done; true")
        vm.kill()
        *replies, rest = re.split(r"^status (.*)\n", output, flags=re.M)
        assert rest == "" and len(replies) == 40
        for table, status in zip(replies[::2], replies[1::2]):
            if status == "0 ":
                assert len(re.findall(r" TOTAL .*\n", table)) == 1
            else:
                assert table == "" and re.fullmatch("1 exitstat: .*", status), (table, status)
        output, status = machine.run(f"exitstat --vm {vm.dir}")
        assert status == 1 and re.fullmatch("exitstat: .*\n", output), output
    machine.check("exitstat >/dev/null")


def test_tool_without_permission(machine):
    output, status = machine.run("setpriv --reuid nobody --clear-groups exitstat")
    assert status == 1 and output.count("\n") == 1 and "root" in output, output


def test_parameters(machine):
    machine.reload_kvm("exit_stats_cpuid=host")
    assert machine.check(f"cat {PARAMETERS}/exit_stats_cpuid") == "host\n"
    assert stats(machine).total == 0
    machine.reload_kvm()
    values = machine.check(f"cd {PARAMETERS}; cat exit_stats exit_stats_cpuid exit_stats_cpuid_cpl0")
    assert values.split() == ["Y", "vm", "N"]


WRONG = [
    ("exit_stats_cpuid", "banana", "use off, vm or host"),
    ("exit_stats", "maybe", "use 0 or 1"),
    ("exit_stats_cpuid_cpl0", "7", "use 0 or 1"),
]


@pytest.mark.parametrize("name, value, says", WRONG)
def test_wrong_values_are_refused(machine, name, value, says):
    old = machine.check(f"cat {PARAMETERS}/{name}")
    machine.check("dmesg -C; dmesg -n 3")
    output, status = machine.run(f"echo {value} >{PARAMETERS}/{name}")
    assert status and "Invalid argument" in output
    assert machine.check(f"cat {PARAMETERS}/{name}") == old
    log = [line for line in machine.check("dmesg").splitlines() if name in line]
    machine.check("dmesg -n 5")
    assert len(log) == 1 and says in log[0] and value in log[0]


def test_wrong_values_are_refused_at_load(machine):
    machine.check(f"modprobe -r {machine.vendor_module} kvm; dmesg -n 3")
    machine.kvm = None
    for name, value, says in WRONG:
        machine.check("dmesg -C")
        output, status = machine.run(f"modprobe kvm {name}={value}")
        assert status and "Invalid argument" in output
        assert says in machine.check("dmesg")
    machine.check("dmesg -n 5")
    machine.reload_kvm()
    assert minivmm(machine, "cpuid:1")


@pytest.fixture
def stock(machine):
    """The machine with its kernel's own modules."""
    machine.need_kvm("stock")
    return machine


def selftests(machine):
    """{KVM selftest: (exit status, number of subtests passed)}"""
    names = machine.check("ls /usr/lib/kvm-selftests").split()
    # With stock modules too, Bochs jumps 20 s ahead in it and the kernel reports a stall.
    names.remove("vmx_preemption_timer_test")
    names = [name for name in names if not name.startswith(OTHER_ISA[machine.isa])]
    assert {"kvm_binary_stats_test", "cpuid_test"} <= set(names)
    done = {}
    for name in names:
        output, status = machine.run(f"cd /tmp; timeout 120 /usr/lib/kvm-selftests/{name}", 200)
        done[name] = (status, len(re.findall(r"^ok ", output, re.M)))
        print(name, status, output[-300:])
    return done


def test_the_kernels_selftests_pass_as_on_stock(machine):
    patched = selftests(machine)
    machine.load_stock_kvm()
    assert patched == selftests(machine)
    assert patched["kvm_binary_stats_test"][0] == patched["cpuid_test"][0] == 0


def test_stock_modules_are_told_apart(stock):
    """The kernel's own modules: the tool says so, on the host and in a guest, with status 77."""
    assert stock.run(f"test -e {DEBUGFS}/exit_stats")[1] == 1
    # What test_not_answered_is_as_unpatched takes for granted of an unpatched KVM.
    replies = minivmm(stock, *(leaf(f, reasons(stock).CPUID) for f in (0x4FFFFFFB, *LEAVES)))
    assert len({registers(reply) for reply in replies}) == 1
    output, status = stock.run("exitstat")
    assert status == 77 and output.startswith("exitstat: ") and output.count("\n") == 1
    guest = stock.guest()
    output, status = guest.run("exitstat guest")
    stock.stop_guest()
    assert status == 77 and output.startswith("exitstat: ") and output.count("\n") == 1, output


def test_stock_modules_do_not_mix_with_ours(machine):
    """Neither vendor module loads beside the other kvm.ko, whose struct kvm_vcpu has another size."""
    vendor = machine.vendor_module
    file = f"{vendor.replace('_', '-')}.ko"
    stock, ours = (f"/lib/modules/$(uname -r)/{where}" for where in ("kernel/arch/x86/kvm", "updates"))
    machine.kvm = None
    machine.check(f"rmmod {vendor}; dmesg -C; lsmod | grep -q '^kvm '")
    output, status = machine.run(f"insmod {stock}/{file}*")
    assert status and "Unknown symbol" in output, output
    assert f"{vendor}: Unknown symbol kvm_init" in machine.check("dmesg")
    machine.check(f"rmmod kvm; insmod {stock}/kvm.ko*; dmesg -C")
    output, status = machine.run(f"insmod {ours}/{file}")
    assert status and "Unknown symbol" in output, output
    machine.reload_kvm()
    assert minivmm(machine, "cpuid:1")


def test_a_file_that_is_open_when_its_vm_ends(machine):
    """It keeps nothing alive that the vendor module would have to end."""
    vm = Paused(machine, "vm", "--vcpus=2", "cpuid:10", "pause")
    machine.check(f"exec 19<{DEBUGFS}/{vm.dir}/mmu_rmaps_stat")
    names = "vm_exit_stats", "vm_exit_latency", "vcpu0/vcpu_exit_stats", "vcpu1/vcpu_exit_latency"
    for fd, name in enumerate(names, 20):
        machine.check(f"exec {fd}<{DEBUGFS}/{vm.dir}/{name}; read -r word <&{fd}; [ \"$word\" ]")
    vm.kill()
    machine.check(f"for i in $(seq 100); do [ -d {DEBUGFS}/{vm.dir} ] || break; sleep 0.05; done; rmmod {machine.vendor_module}")
    for fd, _ in enumerate(names, 20):
        assert machine.run(f"cat <&{fd}")[1] != 0
        machine.check(f"exec {fd}<&-")
    machine.check("exec 19<&-")
    machine.reload_kvm()
    assert minivmm(machine, "cpuid:1")
    assert not machine.run("dmesg | grep 'BUG:\\|BUG \\|Oops:\\|Objects remaining'")[0]


def test_a_stats_fd_that_is_the_last_of_its_vm(machine):
    """It holds the module that must end the VM.  Linux 6.1's VMs do that themselves."""
    machine.check("rm -f /tmp/fifo /tmp/said; mkfifo /tmp/fifo; (lastfd </tmp/fifo >/tmp/said 2>&1; echo $? >/tmp/status) & disown; "
                  "exec 9>/tmp/fifo; until grep -q ready /tmp/said; do sleep 0.1; done")
    output, status = machine.run(f"rmmod {machine.vendor_module}")
    assert status and "in use" in output, output
    machine.check("exec 9>&-; until [ -e /tmp/status ]; do sleep 0.1; done; [ $(cat /tmp/status) = 0 ]; "
                  f"rm /tmp/fifo /tmp/said /tmp/status; rmmod {machine.vendor_module}")
    machine.reload_kvm()
    assert not machine.run("dmesg | grep 'BUG:\\|BUG \\|Oops:\\|Objects remaining'")[0]


def our_selftest(machine):
    """The exit status of the selftest that the series adds, and what it says."""
    if machine.run("test -e /usr/lib/our-selftests/exit_stats_test")[1]:
        pytest.skip("only the newest kernel's series adds a selftest")
    output, status = machine.run("/usr/lib/our-selftests/exit_stats_test", 200)
    return status, output


def test_our_selftest_fails_on_stock(stock):
    # 254 is KVM's selftests' for a failed assertion.
    status, output = our_selftest(stock)
    assert status == 254, output
    assert "KVMExitStats" in output


def test_our_selftest(machine):
    status, output = our_selftest(machine)
    assert status == 0, output


def test_stats_parser_refuses_a_wrong_total():
    text = "exit_stats version=1\nreason name exits handle_cycles\n10 CPUID 1 5\n- TOTAL 2 5\n"
    with pytest.raises(AssertionError):
        Stats(text)
