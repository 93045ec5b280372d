"""The inputs that fuzzing has found, each through the target that it was found with.

The targets are those of tests/fuzz, built without libFuzzer: what they check is all that this does.
'make fuzz' looks for new inputs.
"""
import os
import subprocess

import pace
import pytest
from paths import BUILD, TOP

FUZZ = TOP / "tests/fuzz"
KEPT = TOP / "tests/data/exitstat/fuzz"
REPLAY = BUILD / "fuzz/replay"
TARGETS = sorted(path.stem for path in FUZZ.glob("fuzz_*.c"))
ENV = {"PATH": os.environ["PATH"], "ASAN_OPTIONS": "exitcode=99", "UBSAN_OPTIONS": "exitcode=99"}


pytestmark = [pytest.mark.usefixtures("replay_programs"), pytest.mark.together(seconds=20)]


def kept(target):
    return sorted((KEPT / target.removeprefix("fuzz_")).iterdir())


def replay(target, paths, tmp_path):
    return subprocess.run([REPLAY / target, *paths], env={**ENV, "TMPDIR": str(tmp_path)},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=pace.limit(120), check=False)


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs(target, tmp_path):
    paths = kept(target)
    assert paths
    done = replay(target, paths, tmp_path)
    # The last path is the one that it ends with.
    assert done.returncode == 0, "\n".join(done.stdout.splitlines()[-30:])
    assert done.stdout.splitlines() == [str(path) for path in paths]
    assert not list(tmp_path.iterdir())


def test_no_other_inputs():
    """What no target reads would never be run."""
    assert sorted(path.name for path in KEPT.iterdir()) == [
        target.removeprefix("fuzz_") for target in TARGETS]


def test_they_are_few():
    files = [path for path in KEPT.rglob("*") if path.is_file()]
    assert len(files) < 200
    assert sum(path.stat().st_size for path in files) < 500000


def test_a_failure_is_seen(tmp_path):
    done = replay("fuzz_stats", [tmp_path / "no such file"], tmp_path)
    assert done.returncode != 0
    assert "this does not hold" in done.stdout
