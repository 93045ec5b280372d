"""Where everything is, and which kernel the tests are of."""
import os
import pathlib
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = TOP / "build"


def __getattr__(name):
    """KREL, the kernel's release, as the Makefile chooses it; asked for only where it is wanted."""
    if name != "KREL":
        raise AttributeError(name)
    if "KREL" not in os.environ:
        os.environ["KREL"] = subprocess.run([TOP / "kernel/default-release", "6.12"], check=True,
                                            stdout=subprocess.PIPE, text=True).stdout.strip()
    return os.environ["KREL"]
