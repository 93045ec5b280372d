"""exitstat details: which MSR, port, address, call and leaf, against guests that do each a known number of times.

On the kernel's own KVM and beside the series, whose modules are built here and have no BTF.
"""
import json

import jsonschema
import pytest

from tool import SRC
from vm import Paused, reasons

pytestmark = pytest.mark.usefixtures("programs")

SCHEMA = json.loads((SRC / "schema/exitstat.details.json").read_text())


@pytest.fixture(params=["stock", "ours"])
def kvm(request, machine):
    """Each vendor's, with both modules where that boots quickly."""
    if request.param == "ours" and machine.isa == "vmx":
        pytest.skip("SVM has it")
    machine.need_kvm(request.param)
    return machine


def looked_at(machine, reason, *steps, options=""):
    """What details said, and what the guest's steps did."""
    output = machine.check(f"exitstat details {reason} --json {options} -- minivmm {' '.join(steps)}", 240)
    *lines, document = output.splitlines()
    document = json.loads(document)
    jsonschema.validate(document, SCHEMA)
    rows = document["rows"]
    assert document["missed"] == 0
    assert document["total"] == {name: sum(row[name] for row in rows) for name in ("exits", "time_ns")}
    return {(row["key"], row.get("how")): row["exits"] for row in rows}, document


def names(document):
    return {row["key"]: row.get("name") for row in document["rows"]}


def test_msrs(kvm):
    found, document = looked_at(kvm, reasons(kvm).MSR_WRITE, "wrmsr-icr:100", "deadline:50:2000000000")
    assert found["0x830", "write"] == 100 and found["0x6e0", "write"] == 50
    assert names(document)["0x830"] == "X2APIC_ICR" and names(document)["0x6e0"] == "TSC_DEADLINE"
    assert document["key"] == "MSR" and all(row["time_ns"] > 0 for row in document["rows"])


def test_ports(kvm):
    found, document = looked_at(kvm, "io*" if kvm.isa == "vmx" else "io", "pio-kernel:500", "pio-user:300")
    # Each step ends with a write to a port, and so does what comes before all.
    assert found == {("0x40", "read"): 500, ("0xe9", "write"): 300, ("0xf4", "write"): 3}
    assert names(document)["0x40"] == "PIT"


def test_addresses(kvm):
    found, document = looked_at(kvm, reasons(kvm).MMIO, "mmio:200")
    # The guest touches it once before, which VMX has another reason for, and its memory.
    assert found["0x20000000", "write"] == (200 if kvm.isa == "vmx" else 201)
    assert all(name == "memory" for key, name in names(document).items() if key != "0x20000000")


def test_leaves_and_calls(kvm):
    found, _ = looked_at(kvm, "cpuid", "cpuid:1000", "leaf:0x40000000:0", "leaf:7:1")
    assert found == {("0x00000000/0", None): 1000, ("0x40000000/0", None): 1, ("0x00000007/1", None): 1}
    found, document = looked_at(kvm, "vmcall" if kvm.isa == "vmx" else "hypercall", "vmcall:20")
    assert found == {("1", None): 20} and names(document) == {"1": "VAPIC_POLL_IRQ"}


def test_sleep(kvm):
    found, document = looked_at(kvm, "hlt", "hlt:10:20000000")
    assert sum(found.values()) == 10
    # As long as the timer was armed for, nearly.
    khz = float(kvm.check("gawk '/^cpu MHz/ { print $4; exit }' /proc/cpuinfo")) * 1000
    assert document["total"]["time_ns"] == pytest.approx(10 * 20000000 / khz * 1e6, rel=0.2)


def test_userspace(kvm):
    found, document = looked_at(kvm, "userspace", "pio-user:300", "mmio:200", "cpuid:1000")
    assert found == {("2", None): 304, ("6", None): 201}
    assert names(document) == {"2": "IO", "6": "MMIO"}


def test_as_many_as_are_counted(kvm):
    """In the same time, by the other way: each reason's exits, and the time that they took."""
    source = "bpf" if kvm.kvm[0] == "stock" else "debugfs"
    steps = ("pio-kernel:500", "pio-user:300", "mmio:100", "cpuid:200")
    for reason in reasons(kvm).IO, reasons(kvm).CPUID, reasons(kvm).MMIO:
        output = kvm.check(f"exitstat show --source {source} --units ns --json -- "
                           f"exitstat details {reason} --json -- minivmm {' '.join(steps)} 2>/dev/null", 240)
        details, counted = (json.loads(line) for line in output.splitlines()[-2:])
        row, = (row for row in counted["scopes"][0]["reasons"] if row["reason"] == reason)
        assert details["total"]["exits"] == row["exits"]
        if "lost_ns" in row:
            # Who counts all has the programs in it that look at the details.
            assert 0.3 < details["total"]["time_ns"] / (row["lost_ns"] + row["wait_ns"]) < 1.05


def test_vms_apart(kvm):
    first = Paused(kvm, "first", "cpuid:10", "pause", "cpuid:100", "pause")
    second = Paused(kvm, "second", "cpuid:10", "pause", "cpuid:30", "pause")
    kvm.run("exitstat details cpuid -d 600 -n 1 --json --vm '*' >/tmp/d 2>&1 & echo $! >/tmp/d.pid")
    kvm.check("until grep -q details /proc/$(cat /tmp/d.pid)/cmdline; do sleep 0.1; done; sleep 2")
    first.resume()
    second.resume()
    kvm.check("kill -INT $(cat /tmp/d.pid); while [ -e /proc/$(cat /tmp/d.pid) ]; do sleep 0.1; done")
    document = json.loads(kvm.check("cat /tmp/d; rm /tmp/d /tmp/d.pid"))
    jsonschema.validate(document, SCHEMA)
    assert {row["vm"]: row["exits"] for row in document["rows"]} == {first.dir: 100, second.dir: 30}
    first.kill()
    second.kill()


def test_where_in_the_guest(kvm):
    found = looked_at(kvm, "cpuid", "cpuid:100", options="--rip")[1]["rows"]
    assert [row["exits"] for row in found] == [100] and found[0]["rip"] > 0
    # What has nothing else to tell has that.
    _, document = looked_at(kvm, reasons(kvm).INTERRUPT, "cpuid:2000", options="--rip")
    assert document["key"] in ("RIP", "VECTOR")


def test_nothing_stays_behind(kvm):
    before = int(kvm.check("sleep 0.5; grep -c '[[]bpf[]]' /proc/kallsyms || true"))
    kvm.run("exitstat details cpuid -d 600 >/dev/null 2>&1 & echo $! >/tmp/d.pid")
    kvm.check("until grep -q details /proc/$(cat /tmp/d.pid)/cmdline; do sleep 0.1; done; sleep 2")
    assert int(kvm.check("grep -c '[[]bpf[]]' /proc/kallsyms || true")) > before
    kvm.check("kill -9 $(cat /tmp/d.pid); rm /tmp/d.pid; sleep 1")
    assert int(kvm.check("sleep 0.5; grep -c '[[]bpf[]]' /proc/kallsyms || true")) == before


def test_what_is_missing_is_said(kvm):
    for command, status, words in (
            ("exitstat details nosuch", 1, "there is no exit reason nosuch"),
            ("exitstat details", 2, "REASON is missing"), ("exitstat details '*r*'", 1, "more than one reason: "),
            ("exitstat details xsetbv", 1, "nothing tells exits of"),
            ("exitstat details cpuid --vm nosuch", 1, "there is no VM nosuch"),
            ("exitstat details cpuid --vcpu 0", 2, "invalid option"),
            ("exitstat details cpuid -- false", 1, ""), ("exitstat details cpuid -- nosuch", 127, "cannot run 'nosuch'"),
            ("setpriv --reuid nobody --clear-groups exitstat details cpuid -d 1 -n 1", 1, "run exitstat as root")):
        output, ended = kvm.run(f"{command} 2>&1 >/dev/null")
        assert ended == status and words in output, (command, output)
