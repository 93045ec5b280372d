"""report and diff of what logrotate, people and pipes make of recordings.

What compresses are gzip, xz and zstd, and what is expected is what the same command says of the
file that they were given.
"""
import contextlib
import gzip
import os
import pty
import re
import shutil
import subprocess

import pytest

from test_exitstat import text_of
from test_recording import Writer, host_scope, vm_scope
from tool import ASAN, COUNTS, SHARED, STATIC, check_ok, check_refused, run

pytestmark = pytest.mark.usefixtures("programs")

COMPRESSORS = {"gz": ["gzip", "-n"], "xz": ["xz"], "zst": ["zstd", "-q"]}
NAMES = {"gz": "gzip", "xz": "xz", "zst": "zstd"}
CATS = {"gz": "zcat", "xz": "xzcat", "zst": "zstdcat"}


@pytest.fixture
def recording(tmp_path):
    writer = Writer(counts=COUNTS)
    writer.sample(0, host_scope([10, *[1] * 7], guest_cycles=1), vm_scope(1, [10, *[1] * 7]), full=True)
    for i in range(1, 3000):
        writer.sample(i, host_scope([10, *[1 + i] * 7], guest_cycles=i), vm_scope(1, [10, *[1 + i * i] * 7]))
    return writer.put(tmp_path / "recording")


def compress(kind, data):
    return subprocess.run([*COMPRESSORS[kind], "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


def told(path, *options, **kwargs):
    """What a report says, without the file's name."""
    return check_ok(run(ASAN, "report", path, "--vm", "*", "--host", "--json", *options, **kwargs))


@pytest.fixture(params=sorted(COMPRESSORS))
def kind(request):
    if not shutil.which(COMPRESSORS[request.param][0]):
        pytest.fail(f"there is no {COMPRESSORS[request.param][0]}: see packages.txt")
    return request.param


def test_compressed(recording, tmp_path, kind):
    packed = tmp_path / f"recording.{kind}"
    packed.write_bytes(compress(kind, recording.read_bytes()))
    assert told(packed) == told(recording)
    # Whatever it is called.
    assert told(packed.rename(tmp_path / "x")) == told(recording)
    assert run(ASAN, "diff", tmp_path / "x", recording, "--json").stdout == run(
        ASAN, "diff", recording, recording, "--json").stdout
    pages = []
    for path in tmp_path / "x", recording:
        check_ok(run(ASAN, "report", path, "--html", tmp_path / "page"))
        pages.append((tmp_path / "page").read_text())
    assert pages[0] == pages[1]


def test_compressed_show(tree, tmp_path, kind):
    """diff reads what show printed as well."""
    tree.put(text_of())
    plain, packed = tmp_path / "show", tmp_path / "packed"
    plain.write_text(check_ok(tree.run("--json")))
    packed.write_bytes(compress(kind, plain.read_bytes()))
    assert run(ASAN, "diff", packed, plain, "--csv").stdout == run(ASAN, "diff", plain, plain, "--csv").stdout != ""


def test_several_streams(recording, tmp_path, kind):
    """Pieces that were compressed one by one are one file, as with cat."""
    data = recording.read_bytes()
    cut = data.index(b"\n", len(data) // 2) + 1
    (tmp_path / "x").write_bytes(compress(kind, data[:cut]) + compress(kind, data[cut:]))
    assert told(tmp_path / "x") == told(recording)


@pytest.mark.parametrize("tear", [0.5, 0.98])
def test_torn(recording, tmp_path, kind, tear):
    """What is there is shown, and that there is less is said once."""
    packed = compress(kind, recording.read_bytes())
    path = tmp_path / "torn"
    path.write_bytes(packed[:int(len(packed) * tear)])
    result = run(ASAN, "report", path)
    assert result.stderr.count("its compressed data ends early") == 1
    # xz and zstd have blocks, of which none is told in part.
    assert result.returncode == (0 if "has no samples" not in result.stderr and "is empty" not in result.stderr else 1)


def test_damaged(recording, tmp_path, kind):
    packed = bytearray(compress(kind, recording.read_bytes()))
    for at in range(10, len(packed), max(1, len(packed) // 40)):
        damaged = bytearray(packed)
        damaged[at] ^= 0x55
        (tmp_path / "x").write_bytes(damaged)
        for command in ["report", tmp_path / "x"], ["diff", tmp_path / "x", recording]:
            result = run(ASAN, *command)
            assert result.returncode in (0, 1)
            assert result.returncode == 0 or result.stderr


def test_something_behind(recording, tmp_path, kind):
    (tmp_path / "x").write_bytes(compress(kind, recording.read_bytes()) + b"garbage" * 10)
    result = run(ASAN, "report", tmp_path / "x", "--json")
    assert "has something else behind it" in result.stderr and result.returncode == 0
    assert result.stdout == check_ok(run(ASAN, "report", recording, "--json"))


def test_only_the_beginning(tmp_path, kind):
    packed = compress(kind, b"")
    for length in range(len(packed) + 1):
        (tmp_path / "x").write_bytes(packed[:length])
        assert run(ASAN, "report", tmp_path / "x").returncode == 1
        assert run(ASAN, "diff", tmp_path / "x", tmp_path / "x").returncode == 1


def test_static_program_says_what_to_do(recording, tmp_path, kind):
    packed = tmp_path / "x"
    packed.write_bytes(compress(kind, recording.read_bytes()))
    result = run(STATIC, "report", packed)
    check_refused(result, 1, NAMES[kind], CATS[kind])
    with subprocess.Popen([CATS[kind]], stdin=packed.open(), stdout=subprocess.PIPE) as cat:
        assert check_ok(run(STATIC, "report", "-", "--json", stdin=cat.stdout)) == check_ok(
            run(SHARED, "report", recording, "--json"))


def test_memory_does_not_grow(tmp_path):
    """A bomb: 1 GiB of blanks in 1 MiB."""
    path = tmp_path / "bomb"
    with gzip.open(path, "wb", 1) as file:
        for _ in range(1024):
            file.write(b" " * (1 << 20))
    for command in "report", "diff":
        result = subprocess.run(["sh", "-c", 'ulimit -v 200000; exec "$@"', "sh", SHARED, command,
                                 *[path] * (2 if command == "diff" else 1)], stderr=subprocess.PIPE, text=True,
                                check=False)
        assert result.returncode == 1 and ("is not a recording" in result.stderr or "too large" in result.stderr)


def test_pipes(recording, tmp_path):
    """report and diff, - and a FIFO, and a page, which needs two readings."""
    def piped(*args):
        with subprocess.Popen(["cat", recording], stdout=subprocess.PIPE) as cat:
            return run(ASAN, *args, stdin=cat.stdout)

    expected = check_ok(run(ASAN, "report", recording, "--json"))
    assert check_ok(piped("report", "-", "--json")) == expected
    assert piped("diff", "-", recording, "--csv").stdout == run(ASAN, "diff", recording, recording, "--csv").stdout
    check_ok(run(ASAN, "report", recording, "--html", tmp_path / "page"))
    check_ok(piped("report", "-", "--html", tmp_path / "piped"))
    assert (tmp_path / "piped").read_text() == (tmp_path / "page").read_text()
    with recording.open() as file:
        check_ok(run(ASAN, "report", "-", "--html", tmp_path / "stdin", stdin=file))
    assert (tmp_path / "stdin").read_text() == (tmp_path / "page").read_text()
    os.mkfifo(tmp_path / "fifo")
    for args in ["report", tmp_path / "fifo", "--json"], ["report", tmp_path / "fifo", "--html", "-"]:
        with subprocess.Popen(["dd", f"if={recording}", f"of={tmp_path / 'fifo'}", "status=none"]):
            assert len(check_ok(run(ASAN, *args))) > 500
    # What another program reads first stays read.
    with recording.open("rb") as file:
        os.lseek(file.fileno(), len(recording.read_bytes().splitlines(keepends=True)[0]), os.SEEK_SET)
        check_refused(run(ASAN, "report", "-", "--html", tmp_path / "x", stdin=file), 1, "stdin")


def test_progress_is_a_line_that_goes_away(tmp_path):
    """On a terminal, and only there."""
    writer = Writer(counts=COUNTS)
    scopes = [vm_scope(n, [10, *[1] * 7]) for n in range(1, 300)]
    writer.sample(0, host_scope([10, *[1] * 7]), *scopes, full=True)
    for i in range(1, 300):
        writer.sample(i, host_scope([10, *[1 + i] * 7]), *scopes)
    path = writer.put(tmp_path / "r")
    words = ["report", path, "--html", tmp_path / "page"]
    controller, terminal = pty.openpty()
    with subprocess.Popen([str(ASAN), *words], stderr=terminal) as process:
        os.close(terminal)
        text = b""
        # The terminal is gone with the process.
        with contextlib.suppress(OSError):
            while part := os.read(controller, 4096):
                text += part
    os.close(controller)
    assert process.returncode == 0
    lines = text.decode().replace("\x1b[K", "").split("\r")
    assert lines[0] == lines[-1] == "" and all(re.fullmatch(r"(reading: \d+ %)?", line) for line in lines)
    shown = [int(line.split()[1]) for line in lines if line]
    assert shown == sorted(shown) and shown[0] < 60 and shown[-1] <= 100
    assert check_ok(run(ASAN, *words)) == ""
