"""The emulated machine that tests share: one boot serves many.

A test that needs it takes `machine`; if a test loses it, the next one gets a new
boot.  What the machine said during a test is kept in build/lab/logs/<test>/.
"""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import tool
from lab import images
from lab.machine import Machine

# As the Makefile does, for tests that are run by hand.
KREL = os.environ.get("KREL") or subprocess.run(
    [images.TOP / "kernel/default-release", "6.12"], check=True, capture_output=True,
    text=True).stdout.strip()
os.environ["KREL"] = KREL
EMU = os.environ.get("EMU", "bochs")
LOGS = images.LAB / "logs"
_machines = {}


def running(emulator):
    machine = _machines.get(emulator)
    if machine is None or not machine.alive():
        machine = _machines[emulator] = Machine(emulator, KREL, LOGS / emulator)
        machine.boot()
        machine.check(f"modprobe {machine.vendor_module}")
    return machine


@pytest.fixture(scope="session", autouse=True)
def power_off():
    yield
    with contextlib.ExitStack() as stack:
        for machine in _machines.values():
            stack.enter_context(machine)


def logged(machine, request):
    """Copy what the machine said during one test."""
    files = sorted(machine.dir.glob("*.log"))
    before = {file: file.stat().st_size for file in files}
    yield machine
    if machine.alive():
        # A test that failed may have left some, and they keep KVM's modules loaded.
        machine.run("busybox killall -q -KILL qemu-system-x86_64 minivmm; "
                    "rmmod kvm_exit_stats_test 2>/dev/null; true")
    target = LOGS / re.sub(r"[^\w.-]+", "_", request.node.name)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in files:
        if file.exists():
            with open(file, "rb") as log:
                log.seek(before[file])
                (target / file.name).write_bytes(log.read())


def isa_of_this_cpu():
    flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    return "svm" if "svm" in flags else "vmx"


# What to run each ISA on.
EMULATORS = {
    "bochs": {"vmx": "bochs", "svm": "qemu"},
    "qemu": {"svm": "qemu"},
    "qemu-2cpus": {"svm": "qemu-2cpus"},
    "kvm": {isa_of_this_cpu(): "kvm"},
}[EMU]


def with_isa(isa, request):
    if isa not in EMULATORS:
        pytest.skip(f"EMU={EMU} has no {isa}")
    yield from logged(running(EMULATORS[isa]), request)


@pytest.fixture(params=("vmx", "svm"))
def machine(request):
    """A machine with our modules loaded, first with VMX and then with SVM."""
    yield from with_isa(request.param, request)


@pytest.fixture
def two_cpus(request):
    """A machine with two CPUs."""
    emulator = {"bochs": "qemu-2cpus", "qemu": "qemu-2cpus"}.get(EMU, EMU)
    yield from logged(running(emulator), request)


@pytest.fixture
def own_machine(request):
    """A machine of the test's own, for what cannot be undone; the one that boots quickest."""
    emulator = EMULATORS.get("svm") or EMULATORS["vmx"]
    with Machine(emulator, KREL, LOGS / re.sub(r"[^\w.-]+", "_", request.node.name)) as machine:
        machine.boot()
        machine.check(f"modprobe {machine.vendor_module}")
        yield machine


@pytest.fixture
def vmx(request):
    yield from with_isa("vmx", request)


@pytest.fixture
def svm(request):
    yield from with_isa("svm", request)


@pytest.fixture(scope="session")
def programs():
    """The tool, and the programs of its own that test it."""
    subprocess.run(["make", "-s", "-C", tool.SRC, f"O={tool.BUILD}", "all", "test-programs"], check=True)


@pytest.fixture
def tree(tmp_path, programs):
    """A debugfs and a sysfs for the tool to read, both empty."""
    path = tmp_path / "debug"
    path.mkdir()
    return tool.Tree(path)
