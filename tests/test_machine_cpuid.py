"""On a machine with VMX: the CPUID leaves, read by a guest."""
import struct

import pytest
from vm import (CPUID, EPT_MISCONFIG, IO, LEAF_ALL_CYCLES, LEAF_ALL_EXITS, LEAF_CYCLES, LEAF_EXITS,
                LEAF_INFO, LEAF_SIGNATURE, LEAVES, PARAMETERS, UNDEFINED, Paused, leaf, minivmm,
                registers, stats)

MAX = 0xFFFFFFFF


@pytest.fixture
def parameter(vmx):
    """Set a parameter of kvm for one test."""
    old = {}

    def set_it(name, value):
        old.setdefault(name, vmx.check(f"cat {PARAMETERS}/{name}").strip())
        vmx.check(f"echo {value} >{PARAMETERS}/{name}")

    yield set_it
    for name, value in old.items():
        vmx.check(f"echo {value} >{PARAMETERS}/{name}")


def test_signature_and_info(vmx):
    signature, info = minivmm(vmx, leaf(LEAF_SIGNATURE), leaf(LEAF_INFO))
    assert struct.pack("<4I", *registers(signature)) == b"\xff\xff\xff\x4fKVMExitStats"
    assert registers(info)[:3] == (1, 86, 0)
    assert info["edx"] == int(stats(vmx).keys["tsc_khz"])


def test_leaves_equal_debugfs(vmx):
    vm = Paused(vmx, "vm", "cpuid:1000", "pio-kernel:500", "pause", leaf(LEAF_ALL_EXITS),
                leaf(LEAF_EXITS, CPUID), leaf(LEAF_EXITS, IO), leaf(LEAF_CYCLES, CPUID),
                leaf(LEAF_ALL_CYCLES), "pause")
    before = stats(vmx, vm.dir)
    all_exits, cpuids, ios, cycles, all_cycles = vm.resume()[:5]
    after = stats(vmx, vm.dir)
    vm.kill()
    # Each question is an exit that is already counted, and each step ends with a port write.
    assert registers(all_exits) == (before.total + 1, 0, 0, 0)
    assert registers(cpuids) == (before.exits(CPUID) + 2, 0, 0, 0)
    assert registers(ios) == (before.exits(IO) + 2, 0, 0, 0)
    assert (cycles["eax"], cycles["edx"]) == (all_cycles["eax"], all_cycles["edx"]) == (0, 0)
    assert before.cycles(CPUID) <= cycles["ebx"] << 32 | cycles["ecx"] <= after.cycles(CPUID)
    assert before.total_cycles < all_cycles["ebx"] << 32 | all_cycles["ecx"] <= after.total_cycles


def test_every_exit_number(vmx):
    """All of 0 to 255 and some far off: defined or not is the SDM's table."""
    vm = Paused(vmx, "vm", "cpuid:10", "sweep", "pause")
    seen = stats(vmx, vm.dir)
    replies = vm.steps[1]["replies"]
    vm.kill()
    asked = {(function, index) for function, index, *_ in replies}
    numbers = [*range(256), 444, 0x80000000, MAX]
    assert asked == {(f, n) for f in (LEAF_EXITS, LEAF_CYCLES) for n in numbers}
    for function, index, *answer in replies:
        if index in UNDEFINED or index >= 86:
            assert answer == [0, 0, 0, MAX], (function, index)
        elif index not in seen.rows:
            assert answer == [0, 0, 0, 0], (function, index)
        elif function == LEAF_EXITS:
            assert 0 < answer[0] <= seen.exits(index) and answer[1:] == [0, 0, 0]
        else:
            assert answer[0] == answer[3] == 0
            assert answer[1] << 32 | answer[2] <= seen.cycles(index)


def test_scope(vmx, parameter):
    """Two VMs at once: with scope vm each sees its own exits, with host both see the sum."""
    reads = (leaf(LEAF_EXITS, EPT_MISCONFIG), leaf(LEAF_EXITS, CPUID), leaf(LEAF_INFO), "pause")
    a = Paused(vmx, "a", "mmio:300", "pause", *reads, *reads)
    b = Paused(vmx, "b", "cpuid:400", "pause", *reads, *reads)
    mmio_a, cpuid_a, info_a = a.resume()[:3]
    mmio_b, cpuid_b, info_b = b.resume()[:3]
    assert mmio_a["eax"] == 300 and mmio_b["eax"] == 0
    assert (cpuid_a["eax"], cpuid_b["eax"]) == (2, 402)
    assert info_a["ecx"] == info_b["ecx"] == 0
    parameter("exit_stats_cpuid", "host")
    host = stats(vmx)
    mmio_a, cpuid_a, info_a = a.resume()[:3]
    mmio_b, cpuid_b, info_b = b.resume()[:3]
    assert mmio_a["eax"] == mmio_b["eax"] == host.exits(EPT_MISCONFIG) >= 300
    assert (cpuid_a["eax"], cpuid_b["eax"]) == (host.exits(CPUID) + 2, host.exits(CPUID) + 5)
    assert info_a["ecx"] == info_b["ecx"] == 2
    total = stats(vmx)
    a.kill()
    b.kill()
    assert stats(vmx).total >= total.total


def unanswered(vmx, cpl=0):
    """What a guest sees in all leaves."""
    return [registers(r) for r in minivmm(vmx, *(leaf(f, CPUID, cpl) for f in LEAVES))]


def test_not_answered_is_as_unpatched(vmx, parameter):
    """Off, out of scope, and beside the leaves: the same data, which is the basic leaf's."""
    # Not ours, and out of range too: what an unpatched KVM says to all of these.
    other = registers(minivmm(vmx, leaf(0x4FFFFFFB, CPUID))[0])
    assert unanswered(vmx)[0] != other
    parameter("exit_stats_cpuid", "off")
    assert unanswered(vmx) == [other] * len(LEAVES)
    parameter("exit_stats_cpuid", "vm")
    parameter("exit_stats", "0")
    assert unanswered(vmx) == [other] * len(LEAVES)
    parameter("exit_stats", "1")
    parameter("exit_stats_cpuid_cpl0", "1")
    assert unanswered(vmx, cpl=3) == [other] * len(LEAVES)
    assert registers(minivmm(vmx, leaf(LEAF_INFO))[0])[0] == 1


def test_the_vmms_entry_wins(vmx):
    mine, other = minivmm(vmx, f"--cpuid={LEAF_INFO:#x}=1,2,3,4", leaf(LEAF_INFO),
                          leaf(LEAF_SIGNATURE))
    assert registers(mine) == (1, 2, 3, 4)
    assert other["eax"] == LEAF_ALL_EXITS


def test_queries_are_logged_on_demand(vmx):
    control = "/sys/kernel/debug/dynamic_debug/control"
    minivmm(vmx, leaf(LEAF_EXITS, 44))
    vmx.check(f"echo 'func kvm_exit_stats_cpuid +p' >{control}")
    minivmm(vmx, leaf(LEAF_EXITS, 45))
    vmx.check(f"echo 'func kvm_exit_stats_cpuid -p' >{control}")
    log = vmx.check("dmesg | grep 'exit number' || true")
    assert "leaf 0x4ffffffd exit number 45:" in log and "exit number 44:" not in log
