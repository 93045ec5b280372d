"""Files that exitstat replaces, --textfile and --html: nothing that is not its own is lost, and nothing left behind."""
import os
import random
import signal
import subprocess
import sys
import threading

import pace
import pytest

from test_exitstat_views import put_process, put_vm
from tool import ASAN, ENV, SHARED, check_ok, check_refused, run, text_of

RECORDING = b'{"schema":"exitstat.recording","version":1}\n'
OURS = {"--textfile": b"# HELP exitstat_host_exits_total Old.\n",
        "--html": b"<!DOCTYPE html>\n<!-- SPDX-License-Identifier: GPL-2.0 -->\nold\n"}
WRITTEN = {"--textfile": b"# ", "--html": b"<!DOCTYPE html>\n"}


@pytest.fixture
def host(tree):
    tree.put(text_of())
    put_vm(tree, "100-11", 1, vcpus=1)
    put_process(tree, 100, "qemu\0-name\0web1\0")
    return tree


@pytest.fixture(params=["show --textfile", "list --textfile", "report --html"])
def writer(request, host, tmp_path):
    """What writes a file, as a function of that file; and the option."""
    command, option = request.param.split()
    recording = tmp_path / "recording"
    if command == "report":
        assert host.run("record", "-o", recording, "-d", "0.01", "-n", "3").returncode == 0

    def write(file, program=ASAN, **kwargs):
        if command == "report":
            return run(program, "report", recording, option, file, **kwargs)
        return host.run(command, option, file, program=program, **kwargs)
    write.option, write.recording = option, recording
    return write


@pytest.mark.parametrize("content", [
    RECORDING, b"notes\n", b"\x7fELF", b"\0" * 5000, b"#!/bin/sh\n", b"<!DOCTYPE html>\n<html>\n", b"# HELP node_cpu x\n", b"\n",
    OURS["--textfile"], OURS["--html"]])
def test_others_files_stay(writer, tmp_path, content):
    file = tmp_path / "file"
    file.write_bytes(content)
    if content == OURS[writer.option]:
        check_ok(writer(file))
        assert file.read_bytes().startswith(WRITTEN[writer.option])
    else:
        check_refused(writer(file), 1, "exists and is not", "name another file")
        assert file.read_bytes() == content
    assert {path.name for path in tmp_path.glob("file*")} == {"file"}


def test_the_input_stays(writer):
    if writer.option == "--html":
        before = writer.recording.read_bytes()
        check_refused(writer(writer.recording), 1, "is not a page")
        assert writer.recording.read_bytes() == before


def test_owner_and_mode_stay(writer, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(OURS[writer.option])
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 65534, 65534)
    before = file.stat()
    check_ok(writer(file))
    after = file.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino


def test_links_are_followed(writer, tmp_path):
    (tmp_path / "dir").mkdir()
    target, link, second = tmp_path / "dir/target", tmp_path / "link", tmp_path / "second"
    target.write_bytes(b"")
    link.symlink_to("dir/target")
    second.symlink_to(link)
    check_ok(writer(second))
    assert second.is_symlink() and link.is_symlink() and target.read_bytes().startswith(WRITTEN[writer.option])
    target.unlink()
    check_refused(writer(link), 1, "is a link to a file that is not there")
    assert os.listdir(tmp_path / "dir") == []


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_stdout(writer, tmp_path, name):
    """Whatever it is: a pipe, a file, and one to which others append."""
    assert check_ok(writer(name)).encode().startswith(WRITTEN[writer.option])
    file = tmp_path / "out"
    for mode, content in ("wb", b""), ("ab", b"before\n"):
        file.write_bytes(content)
        with file.open(mode) as out:
            assert writer(name, stdout=out).returncode == 0
        assert file.read_bytes().startswith(content + WRITTEN[writer.option])
    assert not os.path.lexists("-")


def test_what_is_no_regular_file(writer, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    check_refused(writer(fifo), 1, "cannot write", "No such device")
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    while True:
        result = writer(fifo)
        if not result.returncode:
            break
    reader.join(pace.limit(30))
    assert read[0].startswith(WRITTEN[writer.option]) and fifo.is_fifo()
    check_refused(writer(tmp_path), 1, "cannot write", "Is a directory")
    check_refused(writer("/dev/full"), 1, "cannot write /dev/full", "No space left")
    check_ok(writer("/dev/null"))
    assert not os.path.isfile("/dev/null")


@pytest.mark.parametrize("number, way", [
    (signal.SIGTERM, "usual"), (signal.SIGINT, "usual"), (signal.SIGHUP, "usual"), (signal.SIGKILL, "usual"),
    (signal.SIGTERM, "no proc"), (signal.SIGINT, "no proc"), (signal.SIGHUP, "no proc")])
def test_no_signal_leaves_anything(host, tmp_path, number, way):
    """Without /proc a file has a name from the beginning, as on file systems that have none without one."""
    (tmp_path / "dir").mkdir()
    file = tmp_path / "dir/file"
    chance = random.Random(1)
    command = [SHARED, "show", "--vm", "*", "--textfile", file, "--debugfs", host.path, "--sysfs", host.sysfs,
               "--procfs", host.path.parent / "proc"]
    if way == "no proc":
        if os.geteuid():
            pytest.skip("only root can take /proc away")
        command = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh", *command]
        done = subprocess.run([str(word) for word in command], env=ENV, stderr=subprocess.PIPE, text=True, check=False)
        if "mount" in done.stderr or "unshare" in done.stderr:
            pytest.skip("nothing may be mounted here")
        assert done.returncode == 0 and file.read_bytes().startswith(b"# ")
    for _ in range(40):
        process = subprocess.Popen([str(word) for word in command], env=ENV, stderr=subprocess.DEVNULL)
        try:
            process.wait(chance.random() * 0.02)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        process.wait(pace.limit(60))
    assert set(os.listdir(tmp_path / "dir")) <= {"file"}
    assert not file.exists() or file.read_bytes().startswith(b"# ")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_file(writer, tmp_path):
    """Who cannot keep its owner does not take it."""
    file = tmp_path / "file"
    file.write_bytes(OURS[writer.option])
    for path in [tmp_path, *tmp_path.parents[:3]]:
        path.chmod(path.stat().st_mode | 0o5)
    tmp_path.chmod(0o777)
    # Everybody may read the recording.
    if writer.recording.exists():
        writer.recording.chmod(0o644)
    check_refused(writer(file, program=SHARED, user=65534, group=65534, extra_groups=[]), 1, "another user's")
    assert file.read_bytes() == OURS[writer.option]
