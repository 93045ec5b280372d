"""The emulated machine that tests share: one boot serves many.

A test that needs it takes `machine`; if a test loses it, the next one gets a new
boot.  What the machine said during a test is kept in build/lab/logs/<test>/.
"""
import contextlib
import os
import re
import shutil

import pytest

from lab import images
from lab.machine import Machine

KREL = os.environ["KREL"]
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
    target = LOGS / re.sub(r"[^\w.-]+", "_", request.node.name)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in files:
        if file.exists():
            with open(file, "rb") as log:
                log.seek(before[file])
                (target / file.name).write_bytes(log.read())


@pytest.fixture
def machine(request):
    """The machine that EMU names, with our modules loaded."""
    yield from logged(running(EMU), request)


@pytest.fixture
def vmx(machine):
    """The same, where it has VMX, of which the hooks are."""
    if machine.isa != "vmx":
        pytest.skip("exit accounting covers VMX so far")
    yield machine


@pytest.fixture
def svm(request):
    """QEMU's machine, without hooks so far."""
    yield from logged(running("qemu"), request)
