"""make study: python3 -m study KERNEL_RELEASE

Boots an emulated machine, records a real guest's whole life on it, and writes
Documentation/study.md from that.
"""
import signal
import sys
import time

from lab import images
from lab.machine import CommandFailed, LostMachine

from . import document, guest, machine
from .recording import StudyError


def record(krel):
    with machine.StudyMachine("bochs", krel, guest.STUDY / "logs") as study_machine:
        with images.step("Booting the host under bochs (under a minute)"):
            study_machine.boot()
        print("Recording the guest: its boot takes some minutes, its loads a few more. It says:",
              flush=True)
        study_machine.study()
        study_machine.shutdown()
        study_machine.fetch(guest.STUDY / "out")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python3 -m study KERNEL_RELEASE")
    krel = sys.argv[1]
    # Whoever ends us, the emulator goes too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    try:
        guest.build(krel)
        images.run("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o",
                   guest.STUDY / "stamp", guest.HERE / "stamp.c")
        record(krel)
        with images.step("Writing Documentation/study.md"):
            document.write(guest.STUDY / "out")
    except (LostMachine, CommandFailed, StudyError, images.BuildError, ValueError) as err:
        sys.exit(f"study: {err}")
    except OSError as err:
        sys.exit(f"study: {err}; run make study again when that is solved")
    except KeyboardInterrupt:
        sys.exit("study: interrupted; the emulator is stopped, and make study starts again")
    print(f"The study took {time.monotonic() - start:.0f} s.", flush=True)


if __name__ == "__main__":
    main()
