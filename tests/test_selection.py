"""What a user types is what is shown: names, numbers and patterns of VMs, vCPUs and reasons.

What is meant is written down here for each command line; no program decides that.
"""
import json
import os
import subprocess
import time

import pytest

import pace
from kvmtext import COLUMNS
from test_exitstat import text_of
from test_exitstat_views import put_process, put_vm, scope, validated
from test_recording import Writer, host_scope, vm_scope
from tool import ASAN, check_ok, check_refused, run

pytestmark = pytest.mark.usefixtures("programs")

QEMU = "/usr/bin/qemu-system-x86_64"
CMDLINES = {
    3001: ["/usr/bin/kvm", "-id", "100", "-name", "db,debug-threads=on"],
    9000: ["firecracker", "--id", "3001"],
    9100: ["firecracker", "--id=4711"],
    9200: [QEMU, "-name", "guest=win[10]"],
    9300: [QEMU, "-name", "guest=win1"],
    9400: [QEMU, "-name", "guest=2024-01"],
    9500: [QEMU, "-name", "first", "-m", "1", "-name", "second"],
    9600: ["crosvm", "run", "--name=cv1", "-p", "--name=no"],
    9700: ["lkvm", "run", "--name", "kt1", "--params", "--id=5"],
    9800: [QEMU, "-append", "--id=5", "-name", "a\\b"],
    9900: ["/nix/store/x/.qemu-system-x86_64-wrapped", "-name", "guest=nix", "-name", "debug-threads=on"],
    9950: ["/usr/bin/cloud-hypervisor", "--cmdline", "-name x", "--kernel", "--name"],
}


@pytest.fixture
def vms(tree):
    tree.put(text_of())
    for pid, words in CMDLINES.items():
        put_vm(tree, f"{pid}-11", 2, 2)
        put_process(tree, pid, "\0".join(words) + "\0", comm="comm")
    return tree


def shown(result, stderr=None):
    if stderr is None:
        assert result.stderr == ""
    else:
        assert stderr in result.stderr
    assert result.returncode == 0
    return [int(one["vm"].partition("-")[0]) for one in json.loads(result.stdout)["scopes"]]


@pytest.mark.parametrize("pattern, pids", [
    ("db", [3001]), ("100", [3001]), ("4711", [9100]), ("win[10]", [9200]), ("win1", [9300]), ("win*", [9200, 9300]),
    ("win[0-9]*", [9300]), ("2024-01", [9400]), ("second", [9500]), ("cv1", [9600]), ("kt1", [9700]), ("a\\b", [9800]),
    ("nix", [9900]), ("comm", [9950]), ("9000", [9000]), ("9000-11", [9000]), ("97*", [9700])])
def test_which_vm(vms, pattern, pids):
    for command in "show", "list":
        assert shown(vms.run(command, "--vm", pattern, "--json")) == pids


@pytest.mark.parametrize("pattern", ["nosuch", "first", "5", "no", "x", "win", "win[10", "10", "DB", "3001-1", "#2"])
def test_no_such_vm_names_those_that_are(vms, pattern):
    check_refused(vms.run(f"--vm={pattern}"), 1, f"there is no VM {pattern}: choose one of 3001-11 db, 9000-11 3001,")


def test_a_name_wins_and_that_is_said(vms):
    assert shown(vms.run("--vm", "3001", "--json"),
                 "3001 is taken for VM 9000-11 3001, and not for VM 3001-11 db, of which it is the process") == [9000]
    # A number that an operator gave wins against a process, too.
    put_vm(vms, "100-12", 1)
    put_process(vms, 100, "x\0", comm="comm")
    assert shown(vms.run("--vm", "100", "--json"), "and not for VM 100-12 comm") == [3001]
    assert shown(vms.run("--vm", "100-12", "--json")) == [100]


def test_the_one_that_was_meant_stays_the_one(vms, tmp_path):
    """When it ends, another with that number does not come in its place."""
    with subprocess.Popen([str(ASAN), "show", "--vm", "3001", "-d", "0.1", "-n", "100", "--json", "--debugfs", vms.path,
                           "--procfs", vms.path.parent / "proc"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        assert json.loads(process.stdout.readline())["scopes"][0]["vm"] == "9000-11"
        (vms.path / "kvm/9000-11").rename(tmp_path / "gone")
        out, err = process.communicate(timeout=pace.limit(30))
    assert all(json.loads(line)["scopes"][0]["vm"] == "9000-11" for line in out.splitlines())
    assert process.returncode == 1 and "VM 3001 ended" in err


def test_two_of_one_name(vms):
    put_process(vms, 9300, "qemu\0-name\0second\0")
    assert shown(vms.run("--vm", "second", "--json")) == [9300, 9500]


@pytest.mark.parametrize("more", ["", "b", "c" * 5000])
def test_long_names_stay_apart(vms, more):
    """Nobody sees all of them, but each is found by what it is."""
    name = "a" * 255 + more
    put_process(vms, 9300, f"qemu\0-name\0{name}\0")
    put_process(vms, 9200, f"qemu\0-name\0{name}x\0")
    assert shown(vms.run("--vm", name, "--json")) == [9300]
    assert shown(vms.run("--vm", name + "x", "--json")) == [9200]
    names = [one["vm_name"] for one in validated(check_ok(vms.run("list", "--json")))["scopes"]]
    assert len(set(names)) == len(names)


def test_thread_that_made_the_vm(tree):
    """Cloud Hypervisor's, of which the number is that of the VM."""
    tree.put(text_of())
    put_vm(tree, "825-11", 2, 1)
    put_process(tree, 825, "/usr/bin/cloud-hypervisor\0", comm="vmm")
    put_process(tree, 824, "/usr/bin/cloud-hypervisor\0", comm="cloud-hyperviso")
    (tree.path.parent / "proc/825/status").write_text("Name:\tvmm\nUmask:\t0022\nTgid:\t824\nPid:\t825\n")
    for pattern in "824", "825", "825-11", "cloud-hyperviso":
        assert shown(tree.run("--vm", pattern, "--json")) == [825]
    assert check_ok(tree.run("list", "-o", "vm,vm_name,pid", "--csv")).splitlines()[1] == "825-11,cloud-hyperviso,824"
    check_refused(tree.run("--vm", "vmm"), 1, "no VM vmm")


def test_recording_keeps_who_it_is(tree, tmp_path):
    tree.put(text_of())
    put_vm(tree, "825-11", 2, 1)
    for pid in 824, 825:
        put_process(tree, pid, "kvm\0-id\0" "00100\0-name\0web\0")
    (tree.path.parent / "proc/825/status").write_text("Name:\tvmm\nTgid:\t824\n")
    path = tmp_path / "r"
    check_ok(tree.run("record", "-o", path, "-d", "0.01", "-n", "2", "--vm", "*"), f"exitstat: 3 samples in {path}\n")
    for pattern in "824", "825", "00100", "web":
        assert scope(json.loads(check_ok(run(ASAN, "report", path, "--vm", pattern, "--json"))))["vm"] == "825-11"


def test_process_that_is_another(tree):
    """In a container, or as the number went to somebody else: younger than the VM it is not its process."""
    tree.put(text_of())
    put_vm(tree, "825-11", 2, 1)
    time.sleep(1)
    ticks = time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
    made = (tree.path / "kvm/825-11").stat().st_ctime
    past = ticks - (time.time() - made) * os.sysconf("SC_CLK_TCK")
    for start, name in ((past - 100, "other"), (ticks + 100000, "other"), (1000, "other")):
        put_process(tree, 825, "qemu\0-name\0other\0", start=int(start))
        assert check_ok(tree.run("list", "-o", "vm_name", "--csv")).splitlines()[1] == name
    time.sleep(max(0, made + 3.5 - time.time()))
    ticks = time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
    put_process(tree, 825, "qemu\0-name\0other\0", start=int(ticks - 20))
    assert check_ok(tree.run("list", "-o", "vm,vm_name", "--csv")).splitlines()[1] == "825-11,"
    check_refused(tree.run("--vm", "other"), 1, "choose one of 825-11, or see")


def test_vcpu_that_is_not(vms):
    assert scope(json.loads(check_ok(vms.run("--vm", "win1", "--vcpu", "1", "--json"))))["vcpu"] == 1
    check_refused(vms.run("--vm", "win1", "--vcpu", "2"), 1, "there is no vCPU 2")
    check_refused(vms.run("--vcpu", "7"), 1, "there is no vCPU 7")


@pytest.mark.parametrize("pattern, words", [
    ("EPT_VIOLATIONS", ["EPT_VIOLATION:"]), ("VIOLATION", ["EPT_VIOLATION:"]), ("0x400", []), ("999", []),
    ("4294967295", []), ("x", []), ("npf", []), ("EPT VIOLATION", []), ("0x30 ", [])])
def test_reason_that_is_not(tree, tmp_path, pattern, words):
    tree.put(text_of())
    check_refused(tree.run("--reason", pattern), 1, f"there is no exit reason {pattern} on vmx", *words)
    check_refused(tree.run("--reason", "HLT", "--reason", pattern, "--csv"), 1, f"no exit reason {pattern}")
    writer = Writer(counts=COLUMNS)
    writer.sample(0, host_scope([10, *[1] * 7]), full=True)
    writer.sample(1, host_scope([10, *[2] * 7]))
    path = writer.put(tmp_path / "r")
    check_refused(run(ASAN, "report", path, "--reason", pattern), 1, f"no exit reason {pattern}")
    check_refused(run(ASAN, "diff", path, path, "--reason", pattern), 1, f"no exit reason {pattern}")


def test_vm_that_a_recording_has_not(tmp_path):
    writer = Writer(counts=COLUMNS)
    writer.sample(0, host_scope(), vm_scope(1, [10, *[1] * 7]), full=True)
    writer.sample(1, host_scope(), vm_scope(1, [10, *[2] * 7]))
    path = writer.put(tmp_path / "r")
    who = vm_scope(1)
    check_refused(run(ASAN, "report", path, "--vm", who["name"], "--vm", "nosuch"), 1,
                  f"has no VM nosuch; VMs in it are {who['vm']} {who['name']}")
