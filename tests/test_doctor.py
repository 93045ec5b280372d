"""exitstat doctor, on a made-up host; on real ones test_machine_bpf.py."""
import json
import os

import pytest

from test_exitstat_views import validated
from tool import SHARED, STATIC, check_ok, check_refused, text_of

BUILD_ID = bytes(range(0xe0, 0xf4))


@pytest.fixture
def host(tree):
    """A stock host of Intel with BTF."""
    put = Put(tree.sysfs)
    put("kernel/btf/vmlinux", "")
    for module in "kvm", "kvm_intel":
        put(f"kernel/btf/{module}", "")
        put(f"module/{module}/initstate", "live")
        put(f"module/{module}/taint", "")
    put("module/kvm/notes/.note.gnu.build-id",
        b"\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0" + BUILD_ID)
    put("module/kvm_intel/parameters/enable_apicv", "Y")
    put("module/kvm/parameters/halt_poll_ns", "200000")
    put("kernel/security/lockdown", "none [integrity] confidentiality")
    for name, text in {"l1tf": "Mitigation: PTE Inversion; VMX: conditional cache flushes, SMT vulnerable",
                       "mds": "Not affected", "meltdown": "Mitigation: PTI"}.items():
        put(f"devices/system/cpu/vulnerabilities/{name}", text)
    put("devices/system/clocksource/clocksource0/current_clocksource", "hpet")
    put("class/dmi/id/sys_vendor", "Vendor")
    put("class/dmi/id/product_name", "Machine 1")
    proc = tree.path.parent / "proc"
    proc.mkdir(exist_ok=True)
    (proc / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A CPU @ 1 GHz\nflags\t\t: fpu nonstop_tsc_s3 hypervisor\n")
    tree.put_file = put
    return tree


class Put:
    def __init__(self, top):
        self.top = top

    def __call__(self, path, content):
        path = self.top / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode() + b"\n" * bool(content))


def examine(host, status=None, **options):
    result = host.run("doctor", "--json", **options)
    document = validated(result.stdout)
    assert document["measured"] is None
    if status is not None:
        assert result.returncode == status, result.stderr
    assert document["can_count"] == (result.returncode == 0) == (result.stderr == "")
    return result, {(fact["group"], fact["name"]): (fact["value"], fact["text"]) for fact in document["facts"]}


def test_what_a_host_is(host):
    _, facts = examine(host)
    assert {key: facts[key][0] for key in facts if key[0] not in ("sources", "kernel")} == {
        ("kvm", "kvm"): "yes", ("kvm", "kvm_intel"): "yes", ("parameters", "enable_apicv"): "Y",
        ("parameters", "halt_poll_ns"): "200000", ("mitigations", "l1tf"): "Mitigation",
        ("machine", "cpu"): "A CPU @ 1 GHz", ("machine", "model"): "Vendor Machine 1", ("machine", "clock"): "hpet"}
    assert facts["kvm", "kvm"][1] == f"has BTF, build ID {BUILD_ID.hex()}"
    assert facts["kvm", "kvm_intel"][1] == "has BTF"
    assert facts["mitigations", "l1tf"][1] == "PTE Inversion; VMX: conditional cache flushes, SMT vulnerable"
    assert facts["kernel", "release"][0] == os.uname().release
    assert facts["kernel", "lockdown"] == ("integrity", "") and facts["kernel", "btf"][0] == "yes"
    assert "virtual machine" in facts["machine", "cpu"][1] and "slow" in facts["machine", "clock"][1]


def test_text_has_all_that_json_has(host):
    _, facts = examine(host)
    lines = host.run("doctor").stdout.splitlines()
    for (_, name), (value, text) in facts.items():
        assert [line.split() for line in lines].count(
            f"{name} {value}{': ' if text else ''}{text}".split()) == 1, name
    # in one screen
    assert len(lines) < 50


def test_a_host_that_counts(host):
    """What KVM shows is there or not, and switched off or not."""
    host.put(text_of())
    host.put_sysfs()
    _, facts = examine(host, 0)
    assert facts["sources", "debugfs"][0] == facts["sources", "sysfs"][0] == "yes"
    host.put(text_of(enabled=0))
    _, facts = examine(host, 0)
    assert facts["sources", "debugfs"] == ("off", "echo 1 > /sys/module/kvm/parameters/exit_stats")
    host.put("damaged")
    _, facts = examine(host, 0)
    assert facts["sources", "debugfs"][0] == "no" and "not whole" in facts["sources", "debugfs"][1]


def test_a_host_without_kvm(tree):
    """Nothing is there, and nothing is made up."""
    result, facts = examine(tree)
    assert result.returncode in (1, 77)
    assert result.stderr.startswith("exitstat: no exits can be counted here: ") and result.stderr.count("\n") == 1
    assert facts["kvm", "vendor"][0] == facts["kvm", "kvm"][0] == "no" and facts["kernel", "btf"][0] == "no"
    assert {value for (group, _), (value, _) in facts.items() if group == "sources"} == {"no"}
    assert not [key for key in facts if key[0] in ("parameters", "mitigations", "machine")]


@pytest.mark.parametrize("change,words", [
    ({"module/kvm_pvm/initstate": "live"}, "PVM"), ({"kernel/btf/vmlinux": None}, "no BTF"),
    ({"kernel/btf/kvm_intel": None}, "without BTF"), ({"module/kvm_intel/initstate": None}, "has BTF")])
def test_why_there_is_no_ebpf(host, change, words):
    for path, text in change.items():
        if text:
            host.put_file(path, text)
        else:
            (host.sysfs / path).unlink()
    if "kvm_pvm" in str(change):
        for name in "initstate", "taint":
            (host.sysfs / "module/kvm_intel" / name).unlink()
        (host.sysfs / "module/kvm_intel/parameters/enable_apicv").unlink()
        (host.sysfs / "module/kvm_intel/parameters").rmdir()
        (host.sysfs / "module/kvm_intel").rmdir()
    _, facts = examine(host)
    if words == "has BTF":
        # Built in: its types are the kernel's own.
        assert facts["kvm", "kvm_intel"] == ("yes", "built into the kernel")
        assert "without BTF" not in facts["sources", "bpf"][1]
    else:
        assert facts["sources", "bpf"][0] == "no" and words in facts["sources", "bpf"][1]


@pytest.mark.parametrize("content", [
    b"\x1b[2Jevil\x07\n", b"x" * 5000, b"", b"\n\n", b"\xff\xfe\0\0", b" \t \n", b": ;:;\n"])
def test_files_may_hold_anything(host, content):
    """What firmware and others wrote goes to a terminal, and is not trusted."""
    for path in ("class/dmi/id/product_name", "module/kvm/version", "module/kvm/taint",
                 "module/kvm/notes/.note.gnu.build-id", "module/kvm/parameters/halt_poll_ns",
                 "devices/system/cpu/vulnerabilities/mds", "kernel/security/lockdown",
                 "devices/system/clocksource/clocksource0/current_clocksource"):
        host.put_file(path, content)
    (host.path.parent / "proc/cpuinfo").write_bytes(b"model name" + content + b"flags" + content + b"flags\t: " + content)
    examine(host)
    text = host.run("doctor").stdout
    assert not [c for c in text if c != "\n" and (ord(c) < 32 or 0x7f <= ord(c) < 0xa0)]
    assert max(map(len, text.splitlines())) < 450


def test_other_formats_are_refused(host):
    check_refused(host.run("doctor", "--csv"), 2, "invalid option", "--csv")
    check_refused(host.run("doctor", "a"), 2, "unexpected argument", "a")
    check_refused(host.run("doctor", "--sysfs", "x" * 5000), 2, "too long")


def test_the_static_program_knows_as_much(host):
    """But for eBPF."""
    host.put(text_of())
    texts = [host.run("doctor", "--json", program=program) for program in (SHARED, STATIC)]
    documents = [json.loads(check_ok(text)) for text in texts]
    facts = [[fact for fact in document["facts"] if fact["name"] != "bpf"] for document in documents]
    assert facts[0] == facts[1]
    assert any("without eBPF" in fact["text"] for fact in documents[1]["facts"] if fact["name"] == "bpf")
