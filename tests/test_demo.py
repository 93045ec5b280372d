"""make demo's program: it ends well, and when interrupted it leaves nothing behind."""
import os
import pathlib
import re
import signal
import subprocess
import sys

import demo
import pace
import pytest
from docs import environment
from paths import KREL, TOP

pytestmark = pytest.mark.together(seconds=60)
EMU = os.environ.get("EMU", "bochs")


def emulators():
    """Process IDs of the emulators that the demo started."""
    found = []
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(proc / "cwd") == str(TOP / "build/lab/logs/demo"):
                found.append(int(proc.name))
        except OSError:
            pass
    return found


def booting_demo():
    """A demo whose emulator has started."""
    process = subprocess.Popen([sys.executable, TOP / "tests/demo.py", EMU, KREL], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    pace.wait_until(emulators, 60)
    return process


def check_told(output):
    """The README shows parts of it, with numbers that differ each time."""
    shown = re.findall(r"^    ((?:guest|host)# .*|Do guest.*|Guest and host agree\.)$",
                       (TOP / "README.md").read_text(), re.M)
    assert len(shown) == 5
    assert not [line for line in shown if line not in output.splitlines()]


def test_story(machine, capsys):
    """What the demo does with a machine that has booted."""
    machine.check(f"modprobe -r {machine.vendor_module} kvm")
    machine.kvm = None
    demo.story(machine)
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == "Guest and host agree."
    if machine.isa == "vmx":
        check_told(told)


@pytest.mark.parametrize("emulator", [pytest.param("bochs", marks=pytest.mark.whole_demo), "qemu"])
def test_demo(emulator):
    run = subprocess.run(["make", "-s", "demo"], cwd=TOP, text=True,
                         env=environment(EMU=emulator, KREL=KREL), stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=pace.limit(900), check=False)
    assert run.returncode == 0, run.stdout
    assert "Guest and host agree." in run.stdout.splitlines()[-2]
    assert not emulators()
    if emulator == "bochs":
        check_told(run.stdout)


def test_interrupted_demo_leaves_nothing():
    process = booting_demo()
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=pace.limit(60))[0]
    assert process.returncode == 1
    assert output.splitlines()[-1].startswith("demo: interrupted"), output
    assert not emulators()


def test_killed_demo_leaves_no_emulator():
    process = booting_demo()
    process.kill()
    process.communicate()
    pace.wait_until(lambda: not emulators(), 20)


def test_unknown_emulator_is_a_sentence():
    run = subprocess.run([sys.executable, TOP / "tests/demo.py", "banana", KREL], text=True,
                         capture_output=True, check=False)
    assert run.returncode == 1
    assert run.stderr == "demo: EMU=banana: use one of bochs, qemu, qemu-2cpus, kvm\n"
