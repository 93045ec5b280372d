"""Who runs which test, and the emulated machines that tests share: one boot serves many.

A test that needs a machine takes `machine`; if a test loses it, the next one gets a new one.
All tests of one kind of machine are a group, Bochs' are two, which one of xdist's workers runs from its
first to its last, and then powers the machine off; so are those of a module that share something dear.
What a machine said during a test is kept in build/lab/logs/<test>/.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading

import pytest

import tool
from lab import images
from lab.machine import Machine
from paths import KREL

EMU = os.environ.get("EMU", "bochs")
LOGS = images.LAB / "logs"
# Its machines are its own, beside those of the other workers.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
_machines = {}


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
TWO_CPUS = {"bochs": "qemu-2cpus", "qemu": "qemu-2cpus"}.get(EMU, EMU)
# One that tests may have for themselves: that which boots quickest.
OWN = EMULATORS.get("svm") or EMULATORS["vmx"]


def emulator_of(item):
    """The machine that a test uses, if any."""
    names = item.fixturenames
    if "own_machine" in names:
        return OWN
    if "two_cpus" in names:
        return TWO_CPUS
    # A module may have a fixture of that name that is no emulated machine.
    isa = item.callspec.params.get("machine") if hasattr(item, "callspec") else None
    for each in "vmx", "svm":
        if each in names:
            isa = each
    return EMULATORS.get(isa)


ON_THE_SECOND = ("test_machine_outside", "test_machine_time", "test_machine_tool")


def group_of(item):
    """What the worker that runs this test runs too: "" if that is the same to it."""
    emulator = emulator_of(item)
    if emulator == "bochs":
        # The slowest: two of them, each with about half of the tests.
        return "bochs-2" if item.module.__name__ in ON_THE_SECOND else "bochs"
    if emulator:
        # Those with one and with two CPUs, one after the other.
        return emulator.split("-")[0]
    marker = item.get_closest_marker("together")
    return item.module.__name__ if marker else ""


# The order in which groups begin: those that take the longest first, so that no worker ends up alone.
FIRST = ["bochs", "bochs-2", "qemu", "kvm"]


def order_of(item):
    group = group_of(item)
    marker = item.get_closest_marker("together")
    seconds = marker.kwargs["seconds"] if marker else 0
    return (FIRST.index(group) if group in FIRST else len(FIRST), -seconds, group, emulator_of(item) or "")


# A shell ignores it for what it starts with "&", and so would all that tests interrupt.  The workers
# have it from the first process.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    config.addinivalue_line("markers", "together(seconds): one worker runs all of this module, which "
                                       "takes about so long")
    config.addinivalue_line("markers", "valgrind: what ASan sees, once more with valgrind; make check-valgrind")
    config.addinivalue_line("markers", "whole_demo: all of make demo on Bochs; make check-demo")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items.sort(key=order_of)
    for item in items:
        if group := group_of(item):
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Power a machine off after its last test: an idle one takes a CPU, too."""
    emulator = emulator_of(item)
    if emulator in _machines and (nextitem is None or emulator_of(nextitem) != emulator):
        with _machines.pop(emulator):
            pass


def running(emulator):
    machine = _machines.get(emulator)
    if machine is None or not machine.alive():
        machine = _machines[emulator] = fresh(emulator, f"{emulator}{WORKER}")
    return machine


_saved = {}


def fresh(emulator, name):
    """A machine that nobody has used, with our modules loaded: booted, or as it was saved after a boot."""
    machine = Machine(emulator, KREL, LOGS / name)
    file = LOGS / f"{emulator}{WORKER}.saved"
    if emulator in _saved:
        machine.restore(_saved[emulator], file)
        return machine
    machine.boot()
    machine.reload_kvm()
    # Bochs cannot save what it does not itself ask for, by a window.
    if emulator != "bochs":
        machine.save(file)
        _saved[emulator] = machine
    return machine


@pytest.fixture(scope="session", autouse=True)
def power_off():
    yield
    for machine in _machines.values():
        with machine:
            pass
    for emulator in _saved:
        (LOGS / f"{emulator}{WORKER}.saved").unlink(missing_ok=True)


def logs_of(request):
    return LOGS / re.sub(r"[^\w.-]+", "_", request.node.name)


def logged(machine, request):
    """Copy what the machine said during one test."""
    files = sorted(machine.dir.glob("*.log"))
    before = {file: file.stat().st_size for file in files}
    yield machine
    if machine.alive():
        # A test that failed may have left some, and they keep KVM's modules loaded.
        machine.run("busybox killall -q -KILL qemu-system-x86_64 minivmm; "
                    "rmmod kvm_exit_stats_test 2>/dev/null; true")
    target = logs_of(request)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in files:
        if file.exists():
            with open(file, "rb") as log:
                log.seek(before[file])
                (target / file.name).write_bytes(log.read())


def with_isa(isa, request):
    if isa not in EMULATORS:
        pytest.skip(f"EMU={EMU} has no {isa}")
    machine = running(EMULATORS[isa])
    if not {"stock", "stock_svm"} & set(request.fixturenames):
        machine.need_kvm("ours")
    yield from logged(machine, request)


@pytest.fixture(params=("vmx", "svm"))
def machine(request):
    """A machine with our modules loaded, first with VMX and then with SVM."""
    yield from with_isa(request.param, request)


@pytest.fixture
def two_cpus(request):
    """A machine with two CPUs."""
    machine = running(TWO_CPUS)
    machine.need_kvm("ours")
    yield from logged(machine, request)


@pytest.fixture
def own_machine(request):
    """A machine of the test's own, for what cannot be undone."""
    with fresh(OWN, logs_of(request).name) as machine:
        yield machine


@pytest.fixture
def vmx(request):
    yield from with_isa("vmx", request)


@pytest.fixture
def svm(request):
    yield from with_isa("svm", request)


def make(*arguments):
    """Run make for the tests' own programs, one worker at a time."""
    tool.BUILD.mkdir(exist_ok=True)
    with images.locked(tool.BUILD / "tests.lock"):
        subprocess.run(["make", "-s", f"-j{os.cpu_count()}", f"O={tool.BUILD}", *arguments], check=True)


@pytest.fixture(scope="session")
def programs():
    """The tool, and the programs of its own that test it."""
    make("-C", tool.SRC, "all", "test-programs")


@pytest.fixture(scope="session")
def replay_programs():
    """The targets of fuzzing, to run on files."""
    make("-C", tool.TOP / "tests/fuzz", "replay")


@pytest.fixture
def tree(tmp_path, programs):
    """A debugfs and a sysfs for the tool to read, both empty."""
    path = tmp_path / "debug"
    path.mkdir()
    return tool.Tree(path)
