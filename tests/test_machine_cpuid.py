"""On machines with VMX and SVM: the CPUID leaves, read by a guest."""
import json
import struct

import pytest
from vm import (LEAF_ALL_CYCLES, LEAF_ALL_EXITS, LEAF_CYCLES, LEAF_EXITS, LEAF_INFO,
                LEAF_SIGNATURE, LEAVES, PARAMETERS, Paused, leaf, minivmm, reasons, registers,
                slots, stats)

MAX = 0xFFFFFFFF
# What the tables of exit reasons leave out: SDM vol. 3, appendix C; APM vol. 2, appendix C.
UNDEFINED = {
    "vmx": lambda nr: nr in {35, 38, 42, 71, 82, 83} or nr >= 86,
    "svm": lambda nr: not (nr < 0xA7 or 0x400 <= nr <= 0x403 or nr == 0xF0000000 or
                           nr >= 0xFFFFFFFC),
}


@pytest.fixture
def parameter(machine):
    """Set a parameter of kvm for one test."""
    old = {}

    def set_it(name, value):
        old.setdefault(name, machine.check(f"cat {PARAMETERS}/{name}").strip())
        machine.check(f"echo {value} >{PARAMETERS}/{name}")

    yield set_it
    for name, value in old.items():
        machine.check(f"echo {value} >{PARAMETERS}/{name}")


def test_signature_and_info(machine):
    signature, info = minivmm(machine, leaf(LEAF_SIGNATURE), leaf(LEAF_INFO))
    assert struct.pack("<4I", *registers(signature)) == b"\xff\xff\xff\x4fKVMExitStats"
    assert registers(info)[:3] == {"vmx": (1, 86, 4), "svm": (1, 0x404, 5)}[machine.isa]
    assert info["edx"] == int(stats(machine).keys["tsc_khz"])


def test_leaves_equal_debugfs(machine):
    nr = reasons(machine)
    vm = Paused(machine, "vm", "cpuid:1000", "pio-kernel:500", "pause", leaf(LEAF_ALL_EXITS),
                leaf(LEAF_EXITS, nr.CPUID), leaf(LEAF_EXITS, nr.IO), leaf(LEAF_CYCLES, nr.CPUID),
                leaf(LEAF_ALL_CYCLES), "pause")
    before = stats(machine, vm.dir)
    all_exits, cpuids, ios, cycles, all_cycles = vm.resume()[:5]
    after = stats(machine, vm.dir)
    vm.kill()
    # Each question is an exit that is already counted, and each step ends with a port write.
    # An interrupt of the host's may come in between.
    more = after.exits(nr.INTERRUPT) - before.exits(nr.INTERRUPT)
    assert registers(all_exits) in [(before.total + 1 + n, 0, 0, 0) for n in range(more + 1)]
    assert registers(cpuids) == (before.exits(nr.CPUID) + 2, 0, 0, 0)
    assert registers(ios) == (before.exits(nr.IO) + 2, 0, 0, 0)
    assert (cycles["eax"], cycles["edx"]) == (all_cycles["eax"], all_cycles["edx"]) == (0, 0)
    assert before.cycles(nr.CPUID) <= cycles["ebx"] << 32 | cycles["ecx"] <= after.cycles(nr.CPUID)
    assert before.total_cycles < all_cycles["ebx"] << 32 | all_cycles["ecx"] <= after.total_cycles


def test_every_exit_number(machine):
    """All of 0 to 255 and some far off: defined or not is the manual's table."""
    vm = Paused(machine, "vm", "cpuid:10", "sweep", "pause")
    seen = stats(machine, vm.dir)
    replies = vm.steps[1]["replies"]
    vm.kill()
    asked = {(function, index) for function, index, *_ in replies}
    assert asked >= {(f, n) for f in (LEAF_EXITS, LEAF_CYCLES)
                     for n in (*range(256), 444, 0x3FF, 0x404, 0x80000000, MAX)}
    if machine.isa == "svm":
        assert (LEAF_EXITS, 0x400) in asked and (LEAF_EXITS, 0x403) in asked
    for function, index, *answer in replies:
        if UNDEFINED[machine.isa](index):
            assert answer == [0, 0, 0, MAX], (function, index)
        elif index not in seen.rows:
            assert answer == [0, 0, 0, 0], (function, index)
        elif function == LEAF_EXITS:
            # The host's interrupts may come after the question.
            least = 1 if index in (reasons(machine).CPUID, reasons(machine).IO) else 0
            assert least <= answer[0] <= seen.exits(index) and answer[1:] == [0, 0, 0]
        else:
            assert answer[0] == answer[3] == 0
            assert answer[1] << 32 | answer[2] <= seen.cycles(index)


def test_scope(machine, parameter):
    """Two VMs at once: with scope vm each sees its own exits, with host both see the sum."""
    nr = reasons(machine)
    reads = (leaf(LEAF_EXITS, nr.MMIO), leaf(LEAF_EXITS, nr.CPUID), leaf(LEAF_INFO), "pause")
    a = Paused(machine, "a", "mmio:300", "pause", *reads, *reads)
    b = Paused(machine, "b", "cpuid:400", "pause", *reads, *reads)
    mmio_a, cpuid_a, info_a = a.resume()[:3]
    mmio_b, cpuid_b, info_b = b.resume()[:3]
    svm = machine.isa == "svm"
    # SVM has one reason for MMIO and for memory that is touched for the first time.
    assert mmio_a["eax"] >= 300 and mmio_b["eax"] < 100
    assert svm or (mmio_a["eax"], mmio_b["eax"]) == (300, 0)
    assert (cpuid_a["eax"], cpuid_b["eax"]) == (2, 402)
    assert info_a["ecx"] == info_b["ecx"] == svm | 4
    parameter("exit_stats_cpuid", "host")
    host = stats(machine)
    mmio_a, cpuid_a, info_a = a.resume()[:3]
    mmio_b, cpuid_b, info_b = b.resume()[:3]
    assert mmio_a["eax"] == mmio_b["eax"] == host.exits(nr.MMIO) >= 300
    assert (cpuid_a["eax"], cpuid_b["eax"]) == (host.exits(nr.CPUID) + 2, host.exits(nr.CPUID) + 5)
    assert info_a["ecx"] == info_b["ecx"] == 2 | svm | 4
    total = stats(machine)
    a.kill()
    b.kill()
    assert stats(machine).total >= total.total


def unanswered(machine, cpl=0):
    """What a guest sees in all leaves."""
    questions = [leaf(function, reasons(machine).CPUID, cpl) for function in LEAVES]
    return [registers(reply) for reply in minivmm(machine, *questions)]


def test_not_answered_is_as_unpatched(machine, parameter):
    """Off, out of scope, and beside the leaves: the same data, on VMX the basic leaf's."""
    # Not ours, and out of range too: what an unpatched KVM says to all of these.
    other = registers(minivmm(machine, leaf(0x4FFFFEFF, reasons(machine).CPUID))[0])
    assert unanswered(machine)[0] != other
    parameter("exit_stats_cpuid", "off")
    assert unanswered(machine) == [other] * len(LEAVES)
    parameter("exit_stats_cpuid", "vm")
    parameter("exit_stats", "0")
    assert unanswered(machine) == [other] * len(LEAVES)
    parameter("exit_stats", "1")
    parameter("exit_stats_cpuid_cpl0", "1")
    assert unanswered(machine, cpl=3) == [other] * len(LEAVES)
    assert registers(minivmm(machine, leaf(LEAF_INFO))[0])[0] == 1


def test_leaves_between_are_zeros(machine):
    """They are in the range that the signature's leaf has, so they are no basic leaf's data."""
    questions = [leaf(function) for function in (0x4FFFFF02, 0x4FFFFF80, 0x4FFFFFFB)]
    assert [registers(reply) for reply in minivmm(machine, *questions)] == [(0, 0, 0, 0)] * 3


def test_generation(machine, parameter):
    """The same while a VM lives, another one in the next, and that of the host goes with the module."""
    def ask(scope):
        parameter("exit_stats_cpuid", scope)
        info, *both = minivmm(machine, "--vcpus=2", leaf(LEAF_INFO), leaf(LEAF_INFO, 1), f"{leaf(LEAF_INFO, 1)}@1")
        assert info["ecx"] & 4
        assert both[0]["ecx"] == both[0]["edx"] == 0 and registers(both[0]) == registers(both[1])
        return registers(both[0])[:2]

    assert len({ask("vm") for _ in range(3)}) == 3
    before = ask("host")
    assert ask("host") == before
    machine.reload_kvm()
    assert ask("host") != before


def test_the_vmms_entry_wins(machine):
    mine, other = minivmm(machine, f"--cpuid={LEAF_INFO:#x}=1,2,3,4", leaf(LEAF_INFO),
                          leaf(LEAF_SIGNATURE))
    assert registers(mine) == (1, 2, 3, 4)
    assert other["eax"] == LEAF_ALL_EXITS


def test_queries_are_logged_on_demand(machine):
    control = "/sys/kernel/debug/dynamic_debug/control"
    machine.check("dmesg -C")
    minivmm(machine, leaf(LEAF_EXITS, 44))
    machine.check(f"echo 'func kvm_exit_stats_cpuid +p' >{control}")
    minivmm(machine, leaf(LEAF_EXITS, 45))
    machine.check(f"echo 'func kvm_exit_stats_cpuid -p' >{control}")
    log = machine.check("dmesg | grep 'exit number' || true")
    assert "leaf 0x4ffffffd exit number 45:" in log and "exit number 44:" not in log


# Column of enum kvm_exit_column, and the leaves that show it.
@pytest.mark.parametrize("column, name, one, total", [
    (0, "exits", LEAF_EXITS, LEAF_ALL_EXITS), (1, "handle_cycles", LEAF_CYCLES, LEAF_ALL_CYCLES)])
@pytest.mark.parametrize("preset", [2**32 - 3, 2**64 - 2**33])
def test_64_bit_halves(machine, column, name, one, total, preset):
    """Counters preset near 2^32 and 2^64, then counted on: leaves, debugfs and exitstat agree."""
    nr = reasons(machine).CPUID
    slot = {number: slot for slot, number in slots(machine).items()}[nr]
    machine.check("insmod /usr/lib/test-modules/exit_stats_preset.ko")
    vm = Paused(machine, "vm", f"preset:{column}:{slot}:{preset}", "cpuid:10", "pause",
                leaf(one, nr), leaf(total), "pause")
    before = stats(machine, vm.dir)
    by_tool, = json.loads(machine.check(f"exitstat --vm {vm.dir} --json"))["scopes"]
    one, total = vm.resume()[:2]
    after = stats(machine, vm.dir)
    vm.kill()
    assert before.value(nr, name) - preset == 10 if column == 0 else before.value(nr, name) > preset
    assert {row["reason"]: row[name] for row in by_tool["reasons"]}[nr] == before.value(nr, name)
    assert by_tool["total"][name] == before.totals[name]
    low = "eax" if column == 0 else "ecx"
    for reply, first, last in ((one, before.value(nr, name), after.value(nr, name)),
                               (total, before.totals[name], after.totals[name])):
        assert first <= reply["ebx"] << 32 | reply[low] <= last
    assert after.value(nr, name) > 2**32
