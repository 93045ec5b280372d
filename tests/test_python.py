"""The tests' own Python: no name that is unknown or unused."""
import subprocess

from paths import TOP


def test_pyflakes():
    done = subprocess.run(["pyflakes3", *sorted((TOP / "tests").rglob("*.py"))], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode, done.stdout) == (0, "")
