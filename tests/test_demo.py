"""make demo's program: it ends well, and when interrupted it leaves nothing behind."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
from docs import TOP, environment

KREL = os.environ["KREL"]
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


def until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    return condition()


def booting_demo():
    """A demo whose emulator has started."""
    demo = subprocess.Popen([sys.executable, TOP / "tests/demo.py", EMU, KREL], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert until(emulators, 60)
    return demo


@pytest.mark.parametrize("emulator", sorted({EMU, "qemu"}))
def test_demo(emulator):
    run = subprocess.run(["make", "-s", "demo"], cwd=TOP, text=True,
                         env=environment(EMU=emulator, KREL=KREL), stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=900, check=False)
    assert run.returncode == 0, run.stdout
    assert "Guest and host agree." in run.stdout.splitlines()[-2]
    assert not emulators()
    if emulator != "bochs":
        return
    # The README shows parts of it, with numbers that differ each time.
    shown = re.findall(r"^    ((?:guest|host)# .*|Do guest.*|Guest and host agree\.)$",
                       (TOP / "README.md").read_text(), re.M)
    assert len(shown) == 5
    assert not [line for line in shown if line not in run.stdout.splitlines()]


def test_interrupted_demo_leaves_nothing():
    demo = booting_demo()
    demo.send_signal(signal.SIGINT)
    output = demo.communicate(timeout=60)[0]
    assert demo.returncode == 1
    assert output.splitlines()[-1].startswith("demo: interrupted"), output
    assert not emulators()


def test_killed_demo_leaves_no_emulator():
    demo = booting_demo()
    demo.kill()
    demo.communicate()
    assert until(lambda: not emulators(), 20)


def test_unknown_emulator_is_a_sentence():
    run = subprocess.run([sys.executable, TOP / "tests/demo.py", "banana", KREL], text=True,
                         capture_output=True, check=False)
    assert run.returncode == 1
    assert run.stderr == "demo: EMU=banana: use one of bochs, qemu, qemu-2cpus, kvm\n"
