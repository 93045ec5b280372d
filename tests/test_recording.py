"""exitstat record, report and diff: what is recorded of a host that changes, and what is made of it.

What is expected is computed here from the files of a debugfs that tree.py makes and changes, or
from recordings that are written line by line.
"""
import contextlib
import errno
import fcntl
import itertools
import json
import os
import pty
import random
import re
import resource
import shutil
import signal
import subprocess
import time

import pytest

import pace
import tool
import tree as trees
from tool import ASAN, COUNTS, SHARED, STATIC, check_ok, check_refused, run, validated

pytestmark = pytest.mark.usefixtures("programs")

INTERVAL = 0.02
KHZ = 2893202


# The oracle: what the files of a debugfs say


def read_stats(path):
    """exit_stats: guest_cycles, and the counts of each reason."""
    lines = [line.split() for line in path.read_text().splitlines()]
    keys = dict(word.split("=") for word in lines[0][1:])
    rows = {None if number == "-" else int(number): list(map(int, counts))
            for number, name, *counts in lines[2:] if name != "TOTAL"}
    return int(keys["guest_cycles"]), rows


def read_latency(path):
    return {(None if number == "-" else int(number), which, int(start)): int(exits)
            for number, _, which, exits, _, start, _ in
            (line.split() for line in path.read_text().splitlines()[2:])}


def state_of(host):
    """Each scope's counters, by VM and vCPU as in the recording."""
    state = {("host",): read_stats(host.kvm / "exit_stats")}
    for vm in host.vms.values():
        who = vm.id, vm.start_time
        state["vm", *who] = read_stats(vm.dir / "vm_exit_stats")
        for vcpu in vm.vcpus:
            state["vcpu", *who, vcpu.number] = read_stats(
                vm.dir / f"vcpu{vcpu.number}/vcpu_exit_stats")
    return state


def subtract(after, before=None):
    before = before or (0, {})
    rows = {number: [(a - b) % 2**64 for a, b in
                     zip(counts, before[1].get(number, [0] * len(COUNTS)))]
            for number, counts in after[1].items()}
    return (after[0] - before[0]) % 2**64, {n: c for n, c in rows.items() if any(c)}


def add(a, b):
    rows = dict(a[1])
    for number, counts in b[1].items():
        rows[number] = [x + y for x, y in zip(counts, rows.get(number, [0] * len(COUNTS)))]
    return a[0] + b[0], rows


# Recording


class Recorder:
    """exitstat record, running."""

    def __init__(self, host, path, *options, program=ASAN, interval=INTERVAL, **kwargs):
        self.path = path
        self.process = subprocess.Popen(
            [str(arg) for arg in (program, "record", "-o", path, "-d", interval, *options,
                                  "--debugfs", host.debugfs, "--procfs", host.procfs)],
            stderr=subprocess.PIPE, text=True, env=tool.ENV, **kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def lines(self, path=None):
        path = path or self.path
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def wait(self, samples=2, path=None):
        """Until what is in the tree now was certainly read and written."""
        wait_for(lambda base=self.lines(path): self.lines(path) >= base + samples,
                 lambda: self.process.poll() is None)

    def stop(self, sent=signal.SIGINT):
        self.process.send_signal(sent)
        return self.result()

    def result(self):
        stderr = self.process.communicate(timeout=pace.limit(20))[1]
        return self.process.returncode, stderr


def wait_for(condition, alive=lambda: True):
    deadline = pace.Deadline(20)
    while not condition():
        assert alive() and not deadline.over()
        time.sleep(0.005)


def load(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def samples_of(path):
    return [line for line in load(path) if "scopes" in line]


def replay(path):
    """The counters at the end of a recording, by who they are, and their histograms."""
    state, latency = {}, {}
    for line in samples_of(path):
        for vm in line.get("ended", []):
            for key in [key for key in state if vm in key]:
                del state[key], latency[key]
        if line.get("full"):
            state, latency = {}, {}
        for scope in line["scopes"]:
            who = [scope["scope"]]
            if who != ["host"]:
                who += [scope["vm"], int(scope["id"].split(".")[1])]
            if "vcpu" in scope:
                who.append(scope["vcpu"])
            rows = state.get(tuple(who), (0, {}))[1]
            rows.update({number: counts for number, *counts in scope["reasons"]})
            state[tuple(who)] = scope["guest_cycles"], rows
            latency.setdefault(tuple(who), {}).update(
                {(number, which, start): exits
                 for number, which, start, exits in scope.get("latency", [])})
    return state, latency


@pytest.fixture
def host(tmp_path):
    return trees.Tree(tmp_path / "tree", vms=3, vcpus=2, reasons=8)


def report(path, *options, program=ASAN, stderr=""):
    """What each scope counted, by who it is, and how long that was."""
    document = json.loads(check_ok(run(program, "report", path, "--json", *options), stderr))
    assert document["schema"] == "exitstat.show"
    return document["seconds"], [
        ((scope["scope"], *([scope["vm"]] if "vm" in scope else []),
          *([scope["vcpu"]] if "vcpu" in scope else [])),
         (scope.get("guest_cycles"),
          {row["reason"]: [row[name] for name in COUNTS if name in row]
           for row in scope["reasons"]}))
        for scope in document["scopes"]]


def test_what_happens_is_recorded(host, tmp_path):
    """VMs run, begin, end, and one comes again with another's pid."""
    path = tmp_path / "recording"
    first, second, third = list(host.vms.values())
    with Recorder(host, path, "--vcpu", "all", "--latency") as recorder:
        recorder.wait()
        before = state_of(host)
        for _ in range(3):
            host.advance(0.05)
            recorder.wait()
        host.advance(0.05)
        new = host.start()
        host.advance(0.05)
        recorder.wait()
        last = state_of(host)
        host.kill(first)
        recorder.wait()
        again = host.reuse(second)
        host.advance(0.05)
        recorder.wait()
        host.advance(0.05)
        after = state_of(host)
        assert recorder.stop() == (0, f"exitstat: {recorder.lines() - 2} samples in {path}\n")

    state, latency = replay(path)
    assert {key: value[0] for key, value in state.items()} == {
        key: value[0] for key, value in after.items()}
    for key, (_, rows) in after.items():
        assert {n: c for n, c in state[key][1].items() if any(c)} == rows
    assert latency["host",] == read_latency(host.kvm / "exit_latency")
    assert latency["vm", third.id, third.start_time] == read_latency(third.dir / "vm_exit_latency")
    assert not latency["vcpu", third.id, third.start_time, 0]

    # Of each that ended what was last seen of it.
    after.update({key: last[key] for key in last if key not in after})
    # The one that has another's pid and file descriptor is told apart.
    def shown(key):
        vm = f"{key[1]}#2" if key[1:3] == (again.id, again.start_time) else key[1]
        return (key[0], vm, *key[3:])

    expected = sorted((shown(key) if len(key) > 1 else key,
                       subtract(after[key], before.get(key))) for key in after)
    everything = ["--host", "--vm", "*"]
    found = report(path, *everything)[1] + report(path, "--vcpu", "all")[1]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert [who for who, _ in report(path, "--vm", second.id)[1]] == [
        ("vm", second.id), ("vm", f"{second.id}#2")]
    assert [who for who, _ in report(path, "--vm", f"{second.id}#2")[1]] == [("vm", f"{second.id}#2")]
    assert report(path, "--vm", new.name)[1] == [
        (("vm", new.id), subtract(after["vm", new.id, new.start_time]))]
    seconds = report(path)[0]
    assert seconds == pytest.approx(samples_of(path)[-1]["t"], abs=1e-5)
    assert report(path, program=STATIC) == report(path)


def test_lines_are_what_the_format_says(host, tmp_path):
    path = tmp_path / "recording"
    host.vms.popitem()
    with Recorder(host, path) as recorder:
        recorder.wait(4)
        host.advance(0.05)
        recorder.wait(4)
        recorder.stop()
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    header, *samples, end = load(path)
    assert header == {
        "schema": "exitstat.recording", "version": 1, "tool": header["tool"],
        "started": header["started"], "interval": INTERVAL, "source": "debugfs", "isa": "vmx",
        "tsc_khz": host.tsc_khz, "clock": "tsc", "host": os.uname().nodename, "kernel": os.uname().release,
        "counts": COUNTS, "facts": header["facts"]}
    tool.check_time(header["started"])
    assert [sample["t"] for sample in samples] == sorted(sample["t"] for sample in samples)
    assert samples[0]["t"] == 0 and samples[0]["full"]
    assert not any("full" in sample or "lost" in sample for sample in samples[1:])
    assert samples[0]["names"] == {str(n): name for n, name in host.names.items() if n is not None}
    assert not any("names" in sample for sample in samples[1:])
    # Nothing is written of what did not change.
    changed = [len(sample["scopes"]) for sample in samples[1:]]
    assert changed.count(0) >= len(changed) - 3
    assert end == {"t": end["t"], "end": "SIGINT", "samples": len(samples), "lost": 0}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(host, tmp_path, sent):
    path = tmp_path / "recording"
    # No time comes for another sample but the one at the end.
    with Recorder(host, path, interval=1000) as recorder:
        recorder.wait(2)
        before = state_of(host)
        host.advance(0.05)
        assert recorder.stop(sent) == (0, f"exitstat: 2 samples in {path}\n")
    assert load(path)[-1]["end"] == sent.name
    assert report(path)[1] == [(("host",), subtract(state_of(host)["host",], before["host",]))]


def test_count(host, tmp_path):
    path = tmp_path / "recording"
    with Recorder(host, path, "-n", 3) as recorder:
        assert recorder.result() == (0, f"exitstat: 4 samples in {path}\n")
    assert load(path)[-1]["end"] == "count"


def test_killed(host, tmp_path):
    path = tmp_path / "recording"
    with Recorder(host, path) as recorder:
        recorder.wait()
        before = state_of(host)
        host.advance(0.05)
        recorder.wait()
        recorder.stop(signal.SIGKILL)
    assert "end" not in load(path)[-1]
    assert report(path)[1] == [(("host",), subtract(state_of(host)["host",], before["host",]))]


def test_selected_vms(host, tmp_path):
    path = tmp_path / "recording"
    vm, other, *_ = host.vms.values()
    with Recorder(host, path, "--vm", vm.id, "--vcpu", 1) as recorder:
        recorder.wait()
        assert {(s["scope"], s.get("vm"), s.get("vcpu"))
                for s in samples_of(path)[0]["scopes"]} == {
            ("host", None, None), ("vm", vm.id, None), ("vcpu", vm.id, 1)}
        # It is no error that it ends.
        host.kill(vm)
        recorder.wait()
        assert recorder.stop()[0] == 0
    assert [line["ended"] for line in samples_of(path) if "ended" in line] == [[vm.id]]
    check_refused(run(ASAN, "report", path, "--vm", other.id), 1, vm.id)
    check_refused(run(ASAN, "record", "-o", tmp_path / "no", "--vm", "1-1", "--debugfs",
                      host.debugfs, "--procfs", host.procfs), 1, "1-1")
    assert not (tmp_path / "no").exists()


# Where to


def record(host, path, *options, **kwargs):
    return run(ASAN, "record", "-o", path, "-n", 1, "-d", 0.01, "--debugfs", host.debugfs,
               "--procfs", host.procfs, *options, **kwargs)


def test_where_to(host, tmp_path):
    # perf has such a name, too.
    (tmp_path / "here").mkdir()
    result = run(ASAN, "record", "-n", 1, "-d", 0.01, "--debugfs", host.debugfs, "--procfs", host.procfs,
                 cwd=tmp_path / "here")
    assert (result.returncode, result.stderr) == (0, "exitstat: 2 samples in exitstat.jsonl\n")
    assert len(samples_of(tmp_path / "here/exitstat.jsonl")) == 2
    check_refused(record(host, tmp_path / "no/recording"), 1, os.strerror(errno.ENOENT))
    check_refused(record(host, tmp_path), 1, "neither a file nor a pipe")
    check_refused(record(host, "/dev/null"), 1, "neither a file nor a pipe")
    controller, terminal = pty.openpty()
    result = record(host, "-", stdout=terminal)
    assert result.returncode == 2 and "terminal" in result.stderr
    os.close(controller)
    os.close(terminal)
    # Nothing is left behind where there is nothing to record.
    check_refused(run(ASAN, "record", "-o", tmp_path / "x", "--debugfs", tmp_path), 1, "kvm")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("content", [
    b"precious", b"\n", b"{}\n", b'{"schema":"exitstat.show","version":1}\n', b"\0" * 100,
    b'{"schema":"exitstat.recording","version":2,"tool":"exitstat 9"}\n'])
def test_another_file_stays(host, tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    check_refused(record(host, path), 1, path, "name another file")
    assert path.read_bytes() == content


def test_symbolic_link(host, tmp_path):
    (tmp_path / "link").symlink_to("target")
    assert record(host, tmp_path / "link").returncode == 0
    assert len(load(tmp_path / "target")) == 4


def test_no_two_write_to_one_file(host, tmp_path):
    with Recorder(host, tmp_path / "recording") as recorder:
        recorder.wait()
        check_refused(record(host, tmp_path / "recording"), 1, "another exitstat records")
        recorder.stop()


@pytest.mark.parametrize("keep", [0, 1, 300, "all but one byte"])
@pytest.mark.parametrize("where", ["file", "stdout", "stdout, appended to"])
def test_truncated_while_it_is_written(host, tmp_path, keep, where):
    """As logrotate's copytruncate does: what comes after it is a recording, and it is said once."""
    path = tmp_path / "recording"
    with contextlib.ExitStack() as stack:
        if where == "file":
            recorder = stack.enter_context(Recorder(host, path))
        else:
            out = stack.enter_context(path.open("ab" if "app" in where else "wb"))
            recorder = stack.enter_context(Recorder(host, "-", stdout=out))
            recorder.path = path
        recorder.wait()
        os.truncate(path, path.stat().st_size - 1 if keep == "all but one byte" else keep)
        host.advance(0.05)
        recorder.wait(3)
        before = state_of(host)["host",]
        host.advance(0.05)
        recorder.wait()
        status, stderr = recorder.stop()
    assert status == 0 and stderr.count("was truncated") == 1, stderr
    assert b"\0" not in path.read_bytes()
    # The section that began then is whole.
    text = path.read_text()
    last = tmp_path / "last"
    last.write_text(text[text.rindex('{"schema"'):])
    assert replay(last)[0]["host",] == state_of(host)["host",] != before
    assert check_ok(run(ASAN, "report", last, "--json"))
    # And the whole of it is read, whatever stands before.
    assert run(ASAN, "report", path, "--json").returncode == 0


@pytest.mark.parametrize("how", ["removed", "replaced by a recording", "replaced by a file", "with its directory"])
def test_removed_while_it_is_written(host, tmp_path, how):
    directory = tmp_path / "dir"
    directory.mkdir()
    path, other = directory / "recording", tmp_path / "other"
    if how == "replaced by a recording":
        assert record(host, other).returncode == 0
    if how == "replaced by a file":
        other.write_text("notes\n")
    with Recorder(host, path) as recorder:
        recorder.wait()
        if how == "with its directory":
            shutil.rmtree(directory)
            time.sleep(5 * INTERVAL)
            directory.mkdir()
        elif other.exists():
            other.replace(path)
        else:
            path.unlink()
        if how == "replaced by a file":
            time.sleep(10 * INTERVAL)
            path.unlink()
        wait_for(path.exists)
        recorder.wait()
        host.advance(0.05)
        recorder.wait()
        status, stderr = recorder.stop()
    assert stderr.count("the recording goes on in a new file") == 1
    lost = how in ("with its directory", "replaced by a file")
    assert status == lost, stderr
    assert stderr.count("was removed: ") == (2 if lost else 1)
    assert replay(path)[0]["host",] == state_of(host)["host",]
    assert run(ASAN, "report", path, "--json").returncode == 0


@pytest.mark.parametrize("tear", [0, 1, 40, None])
def test_append(host, tmp_path, tear):
    """What is between two runs belongs to neither."""
    path = tmp_path / "recording"
    vm = next(iter(host.vms.values()))
    total = (0, {})
    for _ in range(2):
        with Recorder(host, path) as recorder:
            recorder.wait()
            before = state_of(host)
            host.advance(0.05)
            recorder.wait(4)
            if tear is None:
                recorder.stop()
            else:
                recorder.stop(signal.SIGKILL)
        total = add(total, subtract(state_of(host)["vm", vm.id, vm.start_time],
                                    before["vm", vm.id, vm.start_time]))
        host.advance(0.05)
        if tear:
            # As when the machine crashed; of lines that have nothing new.
            path.write_bytes(path.read_bytes()[:-tear])
    skipped = 2 if tear == 40 else 0
    stderr = skipped and f"exitstat: {path}: lines that were skipped as they are damaged: {skipped}\n"
    assert report(path, "--vm", vm.id, stderr=stderr or "")[1] == [(("vm", vm.id), total)]
    assert path.read_text().count("schema") == 2


@pytest.mark.parametrize("length", [1, 20, 31, 45, 200])
def test_append_to_a_torn_header(host, tmp_path, length):
    """The disk was full at the very beginning."""
    path = tmp_path / "recording"
    assert record(host, tmp_path / "whole").returncode == 0
    path.write_bytes((tmp_path / "whole").read_bytes()[:length])
    assert record(host, path).returncode == 0
    assert path.read_bytes()[length:length + 2] == b"\n{"
    report(path, stderr=f"exitstat: {path}: lines that were skipped as they are damaged: 1\n")


def test_rotation(host, tmp_path):
    """Each file is whole, and together they miss nothing."""
    path = tmp_path / "recording"
    olds = [tmp_path / f"recording.{n}" for n in range(3)]
    with Recorder(host, path) as recorder:
        recorder.wait()
        before = state_of(host)["host",]
        # Without a rename there is nothing to do.
        recorder.process.send_signal(signal.SIGHUP)
        recorder.wait()
        assert len(load(path)) == recorder.lines() and path.read_text().count("schema") == 1
        for n, old in enumerate(olds):
            host.advance(0.05)
            path.rename(old)
            if n == 1:
                # As logrotate may be told to.
                path.touch(0o640)
            recorder.process.send_signal(signal.SIGHUP)
            wait_for(path.exists)
            recorder.wait()
        host.advance(0.05)
        status, stderr = recorder.stop()
        assert status == 0
        assert stderr == "".join(
            f"exitstat: {len(samples_of(file))} samples in {path}\n" for file in [*olds, path])
    total = (0, {})
    for file in [*olds, path]:
        total = add(total, report(file)[1][0][1])
        assert load(file)[-1]["end"] == ("SIGINT" if file == path else "SIGHUP")
    assert total == subtract(state_of(host)["host",], before)


def test_terminal_is_closed(host, tmp_path):
    """Then SIGHUP ends it, and else it does not."""
    path = tmp_path / "recording"
    pid, controller = pty.fork()
    if not pid:
        os.execve(ASAN, [str(arg) for arg in (
            ASAN, "record", "-o", path, "-d", INTERVAL, "--debugfs", host.debugfs, "--procfs",
            host.procfs)], tool.ENV)
    try:
        wait_for(lambda: path.exists() and len(samples_of(path)) > 1)
        path.rename(tmp_path / "old")
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: path.exists() and len(samples_of(path)) > 1)
        os.close(controller)
        wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0])
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    assert load(tmp_path / "old")[-1]["end"] == load(path)[-1]["end"] == "SIGHUP"


def test_process_that_made_the_vm_ends(host, tmp_path):
    """Another one may hold the VM, and then it is still the same."""
    path = tmp_path / "recording"
    vm, *_ = host.vms.values()
    with Recorder(host, path, "--vcpu", "all") as recorder:
        recorder.wait()
        before = state_of(host)["vm", vm.id, vm.start_time]
        host.advance(0.05)
        recorder.wait()
        shutil.rmtree(vm.proc)
        host.advance(0.05)
        recorder.wait()
        recorder.stop()
    assert not any("ended" in sample for sample in samples_of(path))
    assert report(path, "--vm", vm.id)[1] == [
        (("vm", vm.id), subtract(state_of(host)["vm", vm.id, vm.start_time], before))]


def test_rotation_that_fails(host, tmp_path):
    directory = tmp_path / "log"
    directory.mkdir()
    path = directory / "recording"
    with Recorder(host, path) as recorder:
        recorder.wait()
        directory.rename(tmp_path / "moved")
        recorder.process.send_signal(signal.SIGHUP)
        recorder.wait(3, tmp_path / "moved/recording")
        status, stderr = recorder.stop()
    assert status == 0
    assert "goes on in the old file" in stderr
    assert load(tmp_path / "moved/recording")[-1]["end"] == "SIGINT"


# What goes wrong on the way


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a file system")
@pytest.mark.parametrize("when", ["later", "at once"])
def test_full_disk(host, tmp_path, when):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], check=True)
    try:
        path, filler = disk / "recording", disk / "filler"
        if when == "at once":
            fill(filler)
            result = record(host, path)
            assert result.returncode == 1 and os.strerror(errno.ENOSPC) in result.stderr
            filler.unlink()
            assert record(host, path).returncode == 0
            return
        with Recorder(host, path) as recorder:
            recorder.wait()
            before = state_of(host)["host",]
            host.advance(0.05)
            fill(filler)
            # Lines need room only when something changed.
            for _ in range(20):
                host.advance(0.01)
                time.sleep(0.03)
            filler.unlink()
            recorder.wait()
            host.advance(0.05)
            status, stderr = recorder.stop()
        shutil.copy(path, tmp_path)
    finally:
        subprocess.run(["umount", disk], check=True)
    path = tmp_path / "recording"
    lost = sum(sample.get("lost", 0) for sample in whole_samples(path))
    assert lost > 0 and status == 1
    messages = stderr.splitlines()
    assert messages[0].endswith("No space left on device: samples are being lost")
    assert messages[1].endswith(f"after {lost} samples were lost")
    assert messages[2].endswith(f"and {lost} were lost")
    assert len(messages) == 3
    # Nothing is missing in the sums.
    result = run(ASAN, "report", path, "--json")
    assert f"samples that were lost while it was recorded: {lost}\n" in result.stderr
    rows = json.loads(result.stdout)["scopes"][0]["reasons"]
    assert {row["reason"]: [row[name] for name in COUNTS] for row in rows} == subtract(
        state_of(host)["host",], before)[1]


def fill(path):
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        for size in 4096, 64, 1:
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def whole_samples(path):
    for line in path.read_text().splitlines():
        with contextlib.suppress(ValueError):
            if "scopes" in json.loads(line):
                yield json.loads(line)


def test_largest_file_size(host, tmp_path):
    """As the shell's ulimit -f sets it, which also sends a signal."""
    path = tmp_path / "recording"
    limit = 20000
    with Recorder(host, path, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (limit, limit))) as recorder:
        while path.stat().st_size < limit if path.exists() else True:
            host.advance(0.01)
            time.sleep(0.01)
        time.sleep(0.2)
        status, stderr = recorder.stop()
    assert status == 1
    assert stderr.count("samples are being lost") == 1
    assert path.stat().st_size == limit
    assert "were lost" in stderr.splitlines()[-1]
    assert run(ASAN, "report", path).returncode == 0


def test_modules_are_exchanged(host, tmp_path):
    path = tmp_path / "recording"
    with Recorder(host, path) as recorder:
        recorder.wait()
        before = state_of(host)["host",]
        host.advance(0.05)
        recorder.wait()
        first = subtract(state_of(host)["host",], before)
        host.kvm.rename(tmp_path / "away")
        time.sleep(0.2)
        # The new one counts from 0 on.
        for vm in list(host.vms):
            del host.vms[vm]
        host.ended = trees.Counters()
        host.kvm.mkdir()
        vm = host.start()
        host.advance(0.01)
        recorder.wait()
        host.advance(0.01)
        status, stderr = recorder.stop()
    last = state_of(host)
    lost = sum(sample.get("lost", 0) for sample in samples_of(path))
    messages = stderr.splitlines()
    assert status == 1 and lost > 0 and len(messages) == 3
    assert messages[0].startswith("exitstat: samples are being lost: debugfs is not mounted on")
    assert messages[1].endswith(f"can be read again, after {lost} samples were lost")
    lost_note = f"exitstat: {path}: samples that were lost while it was recorded: {lost}\n"
    assert report(path, stderr=lost_note)[1] == [(("host",), add(first, last["host",]))]
    assert report(path, "--vm", vm.id, stderr=lost_note)[1] == [
        (("vm", vm.id), last["vm", vm.id, vm.start_time])]


def test_a_vm_that_came_again_is_another(tmp_path):
    """In every format, and its rates are those of the time in which it was there."""
    writer = Writer(counts=COUNTS, tsc_khz=1000000)
    hosts = [host_scope([10, *[n] * 7], guest_cycles=n) for n in range(1, 6)]
    life = [vm_scope(3, [10, n * 1000, n * 10**9, 0, 0, 0, 0, 0], guest_cycles=0) for n in range(3)]
    writer.sample(0, hosts[0], life[0], full=True)
    writer.sample(1, hosts[1], life[1])
    writer.sample(2, hosts[2], ended=[life[0]["vm"]])
    # Half a second of its own, and then a whole one.
    writer.sample(3, hosts[3], {**life[1], "id": "77.78", "reasons": [[10, 250, 5 * 10**8, 0, 0, 0, 0, 0]]})
    writer.sample(4, hosts[4], {**life[1], "id": "77.78", "reasons": [[10, 750, 15 * 10**8, 0, 0, 0, 0, 0]]})
    path, vm = writer.put(tmp_path / "r"), life[0]["vm"]
    for name, seconds, exits in (vm, 1, 1000), (f"{vm}#2", 1.5, 750):
        out = json.loads(check_ok(run(ASAN, "report", path, "--vm", "*", "--json")))
        found = [one for one in out["scopes"] if one["vm"] == name]
        assert [one["seconds"] for one in found] == [seconds] and found[0]["total"]["exits"] == exits
        table = check_ok(run(ASAN, "report", path, "--vm", "*", "-o", "vm,exits,exits/s,seconds", "--csv"))
        assert f"{name},{exits},{exits / seconds:.1f},{seconds:.3f}" in table.splitlines()
        assert f'vm="{name}",' in check_ok(run(ASAN, "report", path, "--vm", "*", "--openmetrics"))
    metrics = check_ok(run(ASAN, "report", path, "--vm", "*", "--openmetrics")).splitlines()
    series = [line.rsplit(" ", 1)[0] for line in metrics if not line.startswith("#")]
    assert len(set(series)) == len(series)
    check_ok(run(ASAN, "report", path, "--html", tmp_path / "page"))
    labels = [one["label"] for one in data_of(tmp_path / "page")["scopes"]]
    assert len(set(labels)) == 3
    check_refused(run(ASAN, "report", path, "--vm", f"{vm}#3"), 1, f"has no VM {vm}#3")
    # diff reads that again.
    out = tmp_path / "show"
    out.write_text(check_ok(run(ASAN, "report", path, "--vm", "*", "--json")))
    rows = check_ok(run(ASAN, "diff", out, out, "--vm", f"{vm}#2", "--csv")).splitlines()
    assert rows[1].split(",")[4] == "500.0"


def test_rates_of_a_vm_that_came_late(tmp_path):
    """As of one that was always there, if that is how often it exits."""
    def vm(exits, vcpus):
        return vm_scope(3, [10, exits, exits * 1000, 0, 0, 0, 0, 0], guest_cycles=vcpus * exits * 10**6 - exits * 1000)

    for vcpus, late in (1, 0.5), (4, 0.9), (4, 0):
        always = Writer(counts=COUNTS, tsc_khz=1000000)
        comes = Writer(counts=COUNTS, tsc_khz=1000000)
        for t in range(10):
            always.sample(t, host_scope([10, *[t] * 7]), vm(1000 * t, vcpus), **({} if t else {"full": True}))
            scopes = [vm(round(1000 * (t - 5 - late)), vcpus)] if t > 5 + late else []
            comes.sample(t, host_scope([10, *[t] * 7]), *scopes, **({} if t else {"full": True}))
        a, b = always.put(tmp_path / "a"), comes.put(tmp_path / "b")
        line = check_ok(run(ASAN, "diff", a, b, "--vm", "*", "--csv")).splitlines()[1].split(",")
        assert line[4:6] == ["1000.0", "1000.0"]


def test_recordings_carry_their_host(host, tmp_path):
    """What doctor tells of it is in the header, the report and the page, and diff says what differs."""
    def recorded(name, **parameters):
        sysfs = tmp_path / f"sys-{name}"
        for parameter, value in parameters.items():
            path = sysfs / "module/kvm/parameters" / parameter
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
        (sysfs / "module/kvm_intel/parameters").mkdir(parents=True)
        path = sysfs / "devices/system/cpu/vulnerabilities/spectre_v2"
        path.parent.mkdir(parents=True)
        path.write_text("Mitigation: Retpolines; STIBP: disabled\n")
        assert record(host, tmp_path / name, "--sysfs", sysfs).returncode == 0
        return tmp_path / name, sysfs

    a, sysfs = recorded("a", halt_poll_ns=200000, nx_huge_pages="N")
    b, _ = recorded("b", halt_poll_ns=0, nx_huge_pages="N")
    facts = load(a)[0]["facts"]
    doctor = json.loads(run(ASAN, "doctor", "--json", "--sysfs", sysfs, "--debugfs", host.debugfs, "--procfs",
                            host.procfs).stdout)["facts"]
    for fact in doctor:
        if fact["group"] in ("parameters", "machine"):
            assert facts[f"{fact['group']}.{fact['name']}"] == fact["value"]
    assert facts["parameters.halt_poll_ns"] == "200000"
    assert facts["mitigations.spectre_v2"] == "Mitigation: Retpolines; STIBP: disabled"
    result = run(ASAN, "report", a, "--json")
    assert validated(result.stdout)["facts"] == facts
    assert "halt_poll_ns 200000" in run(ASAN, "report", a).stdout.split("TOTAL")[1]
    check_ok(run(ASAN, "report", a, "--html", tmp_path / "page"))
    assert data_of(tmp_path / "page")["facts"] == facts
    out = check_ok(run(ASAN, "diff", a, b))
    assert "differs: parameters.halt_poll_ns: 200000, in B 0\n" in out and out.count("differs: ") == 1
    assert validated(check_ok(run(ASAN, "diff", a, b, "--json")))["differs"] == [
        {"name": "parameters.halt_poll_ns", "a": "200000", "b": "0"}]
    assert "differs" not in check_ok(run(ASAN, "diff", a, a))


def test_two_hosts_are_named(tmp_path):
    writer = Writer(counts=COUNTS)
    writer.sample(0, host_scope([10, *[1] * 7]), full=True)
    writer.sample(1, host_scope([10, *[2] * 7]))
    writer.out.append(json.dumps({**writer.header, "host": "second"}))
    writer.sample(0, host_scope([10, *[1] * 7]), full=True)
    writer.sample(1, host_scope([10, *[2] * 7]))
    path = writer.put(tmp_path / "r")
    for args in ["report", path], ["report", path, "--html", tmp_path / "page"]:
        result = run(ASAN, *args)
        assert result.returncode == 0 and " and on second: " in result.stderr


def test_many_short_lives(tmp_path):
    """The work for a VM does not grow with how many there were."""
    def user_seconds(nr):
        writer = Writer(counts=COUNTS)
        writer.sample(0, host_scope([10, *[1] * 7]), full=True)
        for i in range(1, nr + 1):
            ended = {"ended": [vm_scope(i - 1)["vm"]]} if i > 1 else {}
            writer.sample(i, vm_scope(i, [10, *[1] * 7]), **ended)
        path = writer.put(tmp_path / "r")
        with open(tmp_path / "out", "wb") as out, subprocess.Popen(
                [str(SHARED), "report", path, "--vm", "*", "--csv"], stdout=out) as process:
            usage = os.wait4(process.pid, 0)[2]
        assert len((tmp_path / "out").read_bytes().splitlines()) == nr + 1
        return usage.ru_utime

    # Once more is 16 times where it is a square, and 4 times where it is not.
    ratios = [user_seconds(32000) / user_seconds(8000) for _ in range(3)]
    assert min(ratios) < 8
    assert user_seconds(70000) > 0


def test_other_modules_after_a_loss(host, tmp_path):
    """Each section tells its own samples and losses, and none is told twice."""
    path = tmp_path / "recording"
    with Recorder(host, path) as recorder:
        recorder.wait()
        recorder.wait()
        host.kvm.rename(tmp_path / "away")
        time.sleep(0.2)
        host.tsc_khz += 1000000
        (tmp_path / "away").rename(host.kvm)
        host.advance(0.05)
        recorder.wait()
        status, stderr = recorder.stop()
    lines = load(path)
    ends = [line for line in lines if "end" in line]
    sections = [[]]
    for line in lines:
        sections[-1].append(line)
        if "end" in line:
            sections.append([])
    counted = [sum("scopes" in line for line in section) for section in sections if section]
    assert [end["samples"] for end in ends] == counted and len(ends) == 2
    assert ends[0]["end"] == "KVM" and not ends[0]["lost"] and ends[1]["lost"]
    lost = sum(sample.get("lost", 0) for sample in samples_of(path))
    assert lost == ends[1]["lost"]
    assert status == 1 and f"{sum(counted)} samples in {path}, and {lost} were lost" in stderr
    assert f"lost while it was recorded: {lost}\n" in run(ASAN, "report", path).stderr


def test_other_modules_begin_a_section(host, tmp_path):
    """Those count other things, so that no difference makes sense."""
    path = tmp_path / "recording"
    with Recorder(host, path) as recorder:
        recorder.wait()
        host.tsc_khz += 1000
        host.advance(0.05)
        recorder.wait()
        assert recorder.stop()[0] == 0
    headers = [line for line in load(path) if "schema" in line]
    assert [header["tsc_khz"] for header in headers] == [host.tsc_khz - 1000, host.tsc_khz]
    assert [sample["t"] for sample in samples_of(path) if "full" in sample] == [0, 0]


def test_accounting_is_off(host, tmp_path):
    path = tmp_path / "recording"
    host.enabled = 0
    host.advance(0.01)
    result = record(host, path)
    assert result.returncode == 0
    assert "exit accounting is off" in result.stderr.splitlines()[0]
    assert not any(sample["enabled"] for sample in samples_of(path))
    report(path, stderr=f"exitstat: {path}: samples at which exit accounting was off: 2\n")


def test_sysfs_has_the_host_alone(tree, tmp_path):
    path = tmp_path / "recording"
    tree.put_sysfs()
    result = tree.run("record", "-o", path, "-n", 1, "-d", 0.01)
    assert result.returncode == 0 and "sys" in result.stderr.splitlines()[0]
    assert len(result.stderr.splitlines()) == 2
    assert load(path)[0]["source"] == "sysfs"
    assert [scope["scope"] for scope in samples_of(path)[0]["scopes"]] == ["host"]
    # Rows of 0 are none.
    assert {row[0] for row in samples_of(path)[0]["scopes"][0]["reasons"]} == {
        number for number, *_ in tool.ROWS}
    assert tree.run("record", "-o", tmp_path / "no", "--vm", "*").returncode == 1
    assert not (tmp_path / "no").exists()


# Pipes


def test_stdout(host, tmp_path):
    result = record(host, "-")
    assert result.returncode == 0 and result.stderr == "exitstat: 2 samples in stdout\n"
    (tmp_path / "recording").write_text(result.stdout)
    report(tmp_path / "recording")
    with open(tmp_path / "recording", "rb") as file:
        check_ok(run(ASAN, "report", "-", stdin=file))
    piped = subprocess.run([ASAN, "report", "/dev/stdin"], input=result.stdout.encode(),
                           capture_output=True, env=tool.ENV)
    assert piped.returncode == 0, piped.stderr


def test_full_device(host):
    with open("/dev/full", "w") as full:
        result = record(host, "-", stdout=full)
    assert result.returncode == 1
    assert result.stderr == f"exitstat: cannot write to stdout: {os.strerror(errno.ENOSPC)}\n"


def test_reader_goes(host, tmp_path):
    read, write = os.pipe()
    with Recorder(host, "-", stdout=write) as recorder:
        os.close(write)
        os.read(read, 100)
        os.close(read)
        status, stderr = recorder.result()
    assert status == 1 and "Broken pipe" in stderr


def test_reader_stands_still(host, tmp_path):
    """A full pipe waits for its reader, but not when it is to end."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 16384)
    with Recorder(host, "-", stdout=write) as recorder:
        os.close(write)
        for _ in range(40):
            host.advance(0.01)
            time.sleep(0.02)
        assert recorder.process.poll() is None
        start = time.monotonic()
        status, stderr = recorder.stop()
        assert time.monotonic() - start < 10
        assert status == 1 and "were lost" in stderr
    os.close(read)


def test_fifo(host, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with subprocess.Popen(["cat", tmp_path / "fifo"], stdout=subprocess.PIPE) as cat:
        fd = os.open(tmp_path / "fifo", os.O_RDWR)
        result = record(host, tmp_path / "fifo")
        os.close(fd)
        assert result.returncode == 0
        out = cat.communicate()[0]
    assert len(out.splitlines()) == 4


@pytest.mark.parametrize("first", ["record", "report"])
def test_fifo_between_two(host, tmp_path, first):
    """Whoever comes first waits for the other."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    commands = {"record": [ASAN, "record", "-o", fifo, "-n", "2", "-d", "0.01", "--debugfs", host.debugfs,
                           "--procfs", host.procfs],
                "report": [ASAN, "report", fifo]}
    running = {}
    for name in sorted(commands, key=lambda name: name != first):
        running[name] = subprocess.Popen(list(map(str, commands[name])), stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True)
        time.sleep(0.3)
    out, err = running["report"].communicate(timeout=pace.limit(30))
    assert running["report"].returncode == 0, err
    assert out.startswith(f"recording {fifo}, host: vmx")
    waited = running["record"].communicate(timeout=pace.limit(30))[1]
    assert running["record"].returncode == 0
    assert ("waiting for somebody to read" in waited) == (first == "record")


def test_fifo_that_nobody_reads(host, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with subprocess.Popen([str(ASAN), "record", "-o", tmp_path / "fifo", "--debugfs", host.debugfs, "--procfs",
                           host.procfs], stderr=subprocess.PIPE, text=True) as process:
        assert "waiting" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert "nobody reads" in process.communicate(timeout=pace.limit(30))[1]
    assert process.returncode == 1


# Recordings that are written here


class Writer:
    """A recording of a host and VMs, and what a report of it should have."""

    def __init__(self, counts=("exits", "handle_cycles"), isa="vmx", tsc_khz=KHZ, interval=1.0,
                 started="2026-11-24T20:00:00.000Z", version=1):
        self.header = {"schema": "exitstat.recording", "version": version, "tool": "exitstat 0.1",
                       "started": started, "interval": interval, "isa": isa, "tsc_khz": tsc_khz,
                       "host": "a<b>&\"c\u2028", "kernel": "6.12", "counts": list(counts)}
        self.out = [json.dumps(self.header)]

    def sample(self, t, *scopes, **members):
        self.out.append(json.dumps({"t": t, "scopes": scopes, **members}))

    def put(self, path):
        path.write_text("\n".join(self.out) + "\n")
        return path


def host_scope(*rows, **members):
    return {"scope": "host", "reasons": rows, **members}


def vm_scope(number, *rows, start=1, **members):
    return {"scope": "vm", "vm": f"{number}-11", "name": f"vm{number}", "id": f"{number}.{start}",
            "reasons": rows, **members}


def rows_of(path, *options, stderr=""):
    return [rows for _, (_, rows) in report(path, *options, stderr=stderr)[1]]


def skipped(path, nr):
    return f"exitstat: {path}: lines that were skipped as they are damaged: {nr}\n"


def test_first_sample_is_where_it_begins(tmp_path):
    writer = Writer()
    writer.sample(0, host_scope([10, 100, 1000]), vm_scope(1, [10, 90, 900]), full=True)
    writer.sample(1, host_scope([10, 110, 1100], [12, 5, 50]), vm_scope(2, [10, 7, 70]))
    writer.sample(2, vm_scope(1, [10, 93, 930]), ended=["2-11"])
    # The same number, but another one; and the host as before.
    writer.sample(3, vm_scope(2, [12, 1, 10], start=2))
    path = writer.put(tmp_path / "r")
    assert rows_of(path) == [{10: [10, 100], 12: [5, 50]}]
    assert rows_of(path, "--vm", "*") == [{10: [3, 30]}, {10: [7, 70]}, {12: [1, 10]}]


def test_counters_that_go_back(tmp_path):
    """KVM was loaded anew: then they count whole.  And they wrap, which is not that."""
    writer = Writer()
    writer.sample(0, host_scope([10, 2**64 - 5, 100], [12, 50, 500]), full=True)
    writer.sample(1, host_scope([10, 5, 200]))
    writer.sample(2, host_scope([10, 7, 70], [12, 0, 0]))
    writer.sample(3, host_scope([10, 8, 80]))
    assert rows_of(writer.put(tmp_path / "r")) == [{10: [10 + 7 + 1, 100 + 70 + 10]}]


def test_what_a_later_version_may_add(tmp_path):
    writer = Writer(counts=["exits", "new_count", "handle_cycles"])
    writer.header["new"] = {"a": [1]}
    writer.out[0] = json.dumps(writer.header)
    writer.sample(0, host_scope([10, 1, 5, 10, 99]), {"scope": "cell", "reasons": 5}, full=True)
    writer.out.append('{"note":"a line of another kind"}')
    writer.out.append("")
    writer.sample(1, host_scope([10, 2, 6, 20, 99], new={}), new=[[]])
    assert rows_of(writer.put(tmp_path / "r")) == [{10: [1, 10]}]


DAMAGED = [
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[[10,150,',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[[10,150,1500]]}]} x',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[[10,150,1500]]}]}{"t":1.6}',
    b"\0", b"null", b"[]", b"7", b'"t"', b"{", b"\xff\xfe", b"[" * 100000,
    b'{"a":' * 100000, b'{"scopes":[]}', b'{"t":"1","scopes":[]}', b'{"t":-1,"scopes":[]}',
    b'{"t":NaN,"scopes":[]}', b'{"t":1e300,"scopes":[]}', b'{"t":1.5,"scopes":{}}',
    b'{"t":0.5,"scopes":[{"scope":"host","reasons":[[10,150,1500]]}]}',
    b'{"t":1.5,"scopes":[7]}', b'{"t":1.5,"scopes":[{}]}',
    b'{"t":1.5,"scopes":[{"scope":"host"}]}',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[[10,150]]}]}',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[["10",150,1500]]}]}',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[[10,-150,1500]]}]}',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[[10,1.5,1500]]}]}',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[[4294967296,150,1500]]}]}',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[[10,150,1500],[10,150,1500]]}]}',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[]},{"scope":"host","reasons":[]}]}',
    b'{"t":1.5,"scopes":[{"scope":"vm","vm":"../x","id":"1.1","reasons":[]}]}',
    b'{"t":1.5,"scopes":[{"scope":"vm","vm":"1-11","id":"x","reasons":[]}]}',
    b'{"t":1.5,"scopes":[{"scope":"vm","vm":"%s-11","id":"1.1","reasons":[]}]}' % (b"1" * 100),
    b'{"t":1.5,"scopes":[{"scope":"vcpu","vm":"1-11","id":"1.1","reasons":[]}]}',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[],"latency":[[10,"total",512]]}]}',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[],"latency":[[10,"x",512,1]]}]}',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[],"guest_cycles":"1"}]}',
    b'{"t":1.5,"scopes":[],"names":{"10":"\\u001b[31m"}}',
    b'{"t":1.5,"scopes":[],"names":{"ten":"CPUID"}}', b'{"t":1.5,"scopes":[],"ended":[7]}',
    b'{"t":1.5,"scopes":[],"lost":-1}',
    b'{"t":1.5,"scopes":[{"scope":"host","reasons":[' + b"[1,0,0]," * 3000 + b"[2,0,0]]}]}",
    b'{"schema":"exitstat.show","version":1}',
]


def test_damaged_lines(tmp_path):
    """One after the other, and what is around them counts."""
    path = tmp_path / "r"
    writer = Writer()
    writer.sample(0, host_scope([10, 100, 1000]), full=True)
    writer.sample(1, host_scope([10, 110, 1100]))
    before = "\n".join(writer.out).encode() + b"\n"
    after = json.dumps({"t": 2, "scopes": [host_scope([10, 130, 1300])]}).encode() + b"\n"
    for line in DAMAGED:
        path.write_bytes(before + line + b"\n" + after)
        assert rows_of(path, stderr=skipped(path, 1)) == [{10: [30, 300]}], line
    path.write_bytes(before + b"\n".join(DAMAGED) + b"\n" + after)
    assert rows_of(path, stderr=skipped(path, len(DAMAGED))) == [{10: [30, 300]}]


def test_damaged_header(tmp_path):
    """What follows neither belongs to the section before, nor can be read."""
    path = tmp_path / "r"
    writer = Writer()
    writer.sample(0, host_scope([10, 100, 1000]), full=True)
    writer.sample(5, host_scope([10, 110, 1100]))
    writer.out.append('{"schema":"exitstat.recording","version":1,"isa":"vmx"}')
    writer.sample(0, host_scope([10, 500, 5000]), full=True)
    writer.sample(6, host_scope([10, 600, 6000]))
    assert rows_of(writer.put(path), stderr=skipped(path, 3)) == [{10: [10, 100]}]
    # Torn, it is known by the times, which begin again.
    writer.out[3] = writer.out[3][:-10]
    assert rows_of(writer.put(path), stderr=skipped(path, 1)) == [{10: [110, 1100]}]


def test_nothing_is_known_before_a_full_sample(tmp_path):
    path = tmp_path / "r"
    writer = Writer()
    writer.sample(1, host_scope([10, 100, 1000]))
    writer.sample(2, host_scope([10, 100, 1000], [12, 9, 90]), full=True)
    writer.sample(3, host_scope([12, 10, 100]))
    assert rows_of(writer.put(path), stderr=skipped(path, 1)) == [{12: [1, 10]}]


def test_every_tear(tmp_path):
    """Truncate it at every byte of its last two lines."""
    path = tmp_path / "r"
    writer = Writer()
    writer.sample(0, host_scope([1, 1, 1]), full=True)
    writer.sample(1, host_scope([1, 2, 2]))
    writer.sample(2, host_scope([1, 4, 4]))
    writer.out.append('{"t":3,"end":"SIGINT","samples":3,"lost":0}')
    whole = writer.put(path).read_bytes()
    lines = whole.splitlines(keepends=True)
    for length in range(len(whole) - len(lines[-1]) - len(lines[-2]), len(whole) + 1):
        path.write_bytes(whole[:length])
        at = len(whole) - len(lines[-1])
        torn = length not in (at - len(lines[-2]), at - 1, at, len(whole) - 1, len(whole))
        exits = 3 if length >= at - 1 else 1
        result = run(ASAN if length % 8 == 0 else SHARED, "report", path, "--csv", "-o", "exits")
        assert (result.returncode, result.stdout) == (0, f"EXITS\n{exits}\n"), length
        assert result.stderr == (skipped(path, 1) if torn else "")


def test_names_cannot_harm_a_terminal(tmp_path):
    writer = Writer()
    evil = "\x1b]0;x\x07\u009b\u202a<b>"
    writer.sample(0, host_scope([10, 1, 1]), {**vm_scope(1, [10, 1, 1]), "name": evil}, full=True)
    writer.sample(1, {**vm_scope(1, [10, 2, 2]), "name": evil})
    out = check_ok(run(ASAN, "report", writer.put(tmp_path / "r"), "--vm", "*"))
    assert not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f]", out)


def test_unknown_reason_has_a_name(tmp_path):
    writer = Writer()
    writer.sample(0, host_scope([10, 1, 1], [999, 1, 1], [None, 1, 1], [48, 1, 1]), full=True,
                  names={"48": "FROM_THE_FILE"})
    writer.sample(1, host_scope([10, 2, 4], [999, 2, 3], [None, 2, 2], [48, 2, 5]))
    out = check_ok(run(ASAN, "report", writer.put(tmp_path / "r"), "--columns", "name"))
    assert out.split()[-6:] == ["NAME", "FROM_THE_FILE", "CPUID", "UNKNOWN_999", "OTHER", "TOTAL"]


@pytest.mark.parametrize("content,words", [
    ("", "is empty"), ("\n\n", "is empty"), ("hello\n", "is not a recording"),
    ('{"schema":"exitstat.show","version":1}\n', "is not a recording"),
    ("x" * 100 + "\0", "is not a recording"), (Writer().out[0], "has no samples"),
    (Writer(version=2).out[0], "update exitstat"),
    (Writer(version=2**64 - 1).out[0], "update exitstat"),
    (Writer().out[0] + '\n{"t":0,"full":true,"scopes":[]}', "first sample alone")])
def test_nothing_to_report(tmp_path, content, words):
    path = tmp_path / "r"
    path.write_text(content)
    check_refused(run(ASAN, "report", path), 1, path, words)
    check_refused(run(ASAN, "report", path, "--html", tmp_path / "page"), 1, path, words)
    assert not (tmp_path / "page").exists()


def test_what_is_no_file(tmp_path):
    check_refused(run(ASAN, "report", tmp_path / "no"), 1, os.strerror(errno.ENOENT))
    check_refused(run(ASAN, "report", tmp_path), 1)
    check_refused(run(ASAN, "report", "/dev/zero"), 1, "is not a file")
    check_refused(run(ASAN, "report"), 2, "the file is missing")
    check_refused(run(ASAN, "report", "a", "b"), 2, "unexpected argument 'b'")
    check_refused(run(ASAN, "diff", "a"), 2, "a file is missing")


def test_what_is_not_in_it(tmp_path):
    writer = Writer()
    writer.sample(0, host_scope([10, 1, 1]), full=True)
    writer.sample(1, host_scope([10, 2, 2]))
    path = writer.put(tmp_path / "r")
    check_refused(run(ASAN, "report", path, "--vm", "web1"), 1, "has no VMs")
    check_refused(run(ASAN, "report", path, "--vcpu", "all"), 1, "has no vCPUs")


def test_two_hosts_are_not_added_up(tmp_path):
    path = tmp_path / "r"
    writer, other = Writer(), Writer(isa="svm")
    writer.sample(0, host_scope([10, 1, 1]), full=True)
    writer.sample(1, host_scope([10, 2, 2]))
    writer.out += other.out
    check_refused(run(ASAN, "report", writer.put(path)), 1, "vmx", "svm")


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def test_memory_is_bounded(tmp_path):
    """Lines without end, and ever more VMs and reasons."""
    path = tmp_path / "r"
    writer = Writer()
    writer.sample(0, host_scope([10, 1, 1]), full=True)
    with open(path, "w") as file:
        file.write("\n".join(writer.out) + "\n")
        file.write("x" * (40 << 20) + "\n")
        for n in range(15):
            file.write(json.dumps({"t": n + 1, "scopes": [
                vm_scope(n * 5000 + i, [i % 7, 1, 1]) for i in range(5000)]}) + "\n")
        file.write(json.dumps({"t": 100, "scopes": [host_scope([10, 3, 3])]}) + "\n")
    result = run(SHARED, "report", path, preexec_fn=limit_memory)
    assert result.returncode == 0
    assert result.stderr == skipped(path, 1 + 15 - 13)
    assert " 2 100.00 " in result.stdout
    page = tmp_path / "page.html"
    assert run(SHARED, "report", path, "--html", page, preexec_fn=limit_memory).returncode == 0
    data = data_of(page)
    assert len(data["scopes"]) == 201 and data["scopes_left_out"] == 65000 - 200


def test_memory_of_one_line_is_bounded(tmp_path):
    path = tmp_path / "r"
    writer = Writer()
    writer.sample(0, host_scope([10, 1, 1]), full=True)
    for piece in "{},", "[],", '{"a":[{}]},', "0,":
        nr = (15 << 20) // len(piece)
        writer.out.append('{"t":1,"scopes":[' + piece * nr + "0]}")
    # In a name they are none.
    writer.sample(1, {**vm_scope(1, [1, 1, 1]), "name": '"{' * 60})
    writer.sample(2, host_scope([10, 3, 3]))
    result = run(SHARED, "report", writer.put(path), preexec_fn=limit_memory)
    assert (result.returncode, result.stderr) == (0, skipped(path, 4))
    assert " 2 100.00 " in result.stdout
    path.write_text("{}" * (10 << 20))
    check_refused(run(SHARED, "diff", path, path, preexec_fn=limit_memory), 1, path)


def test_random_damage(tmp_path):
    """Whatever is in a file, it is read to its end."""
    assert_random = random.Random(1)
    host = trees.Tree(tmp_path / "tree", vms=2, vcpus=1, reasons=4)
    record(host, tmp_path / "whole", "--latency", "--vcpu", "all")
    whole = (tmp_path / "whole").read_bytes()
    path = tmp_path / "r"
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(assert_random.randrange(1, 8)):
            at = assert_random.randrange(len(data))
            data[at:at + assert_random.choice([0, 1, 1, 30])] = assert_random.choice(
                [b"", b"\n", b"\0", b"9", b"-", b"[", b"]", b"{", b'"', b"\xff", b"null", whole])
        path.write_bytes(data)
        result = run(ASAN, "report", path, "--vm", "*", "--host")
        assert result.returncode in (0, 1), result.stderr
        assert "ERROR" not in result.stderr


# The page


def data_of(path):
    """What the page has to show."""
    text = path.read_text()
    assert "EXITSTAT_" not in text
    start = text.index("const data = ") + len("const data = ")
    data, end = json.JSONDecoder().raw_decode(text, start)
    assert text[end:end + 2] == ";\n"
    assert not set("<>&\u2028") & set(text[start:end])
    assert data["schema"] == "exitstat.report" and data["version"] == 1
    return data


def check_sums(data):
    """The intervals of each scope are all of its total."""
    for scope in data["scopes"]:
        nr = len(scope["t"])
        assert nr <= 962 and scope["t"] == sorted(scope["t"])
        assert {len(values) for values in (scope["dt"], *scope["phases"].values(),
                                           *(r["exits"] for r in scope["reasons"]))} == {nr}
        assert sum(n or 0 for r in scope["reasons"] for n in r["exits"]) == scope["total"]["exits"]
        for reason in scope["reasons"]:
            assert sum(n or 0 for n in reason["exits"]) == reason["total"]["exits"]
        assert [r["total"]["exits"] for r in scope["reasons"]] == sorted(
            (r["total"]["exits"] for r in scope["reasons"]), reverse=True)
        for phase, values in scope["phases"].items():
            if scope["total"][phase] is not None:
                assert sum(v or 0 for v in values) == pytest.approx(
                    scope["total"][phase], rel=1e-4, abs=1e-9)


def test_page(host, tmp_path):
    path, page = tmp_path / "recording", tmp_path / "page.html"
    vm = list(host.vms.values())[0]
    with Recorder(host, path, "--vcpu", "all", "--latency") as recorder:
        recorder.wait()
        for _ in range(5):
            host.advance(0.05)
            recorder.wait()
        host.kill(vm)
        recorder.wait()
        recorder.stop()
    assert check_ok(run(ASAN, "report", path, "--html", page)) == ""
    data = data_of(page)
    check_sums(data)
    samples = samples_of(path)
    header = load(path)[0]
    assert {key: data[key] for key in (
        "started", "isa", "tsc_khz", "host", "kernel", "samples", "lost", "skipped_lines",
        "scopes_left_out")} == {
        **{key: header[key] for key in ("started", "isa", "tsc_khz", "host", "kernel")},
        "samples": len(samples), "lost": 0, "skipped_lines": 0, "scopes_left_out": 0}
    assert data["seconds"] == pytest.approx(samples[-1]["t"], abs=1e-5)
    assert sorted(scope["label"] for scope in data["scopes"]) == sorted([
        "host", *(f"VM {v.id} {v.name}" for v in [vm, *host.vms.values()]),
        *(f"VM {v.id} {v.name} vCPU {n}" for v in [vm, *host.vms.values()] for n in range(2))])

    scopes = {scope["label"]: scope for scope in data["scopes"]}
    assert scopes["host"]["t"] == [sample["t"] for sample in samples[1:]]
    expected = report(path)[1][0][1]
    total = scopes["host"]["total"]
    assert total["guest"] == pytest.approx(expected[0] / host.tsc_khz / 1000)
    for n, phase in enumerate(["handle", "user", "wait", "preempted"], 1):
        assert total[phase] == pytest.approx(
            sum(counts[n] for counts in expected[1].values()) / host.tsc_khz / 1000)
    assert {reason["nr"]: reason["total"]["exits"] for reason in scopes["host"]["reasons"]} == {
        number: counts[0] for number, counts in expected[1].items()}
    # Of a VM that ended nothing is known any more.
    gone = scopes[f"VM {vm.id} {vm.name}"]
    assert gone["phases"]["guest"][0] is not None and gone["phases"]["guest"][-1] is None
    assert gone["reasons"][0]["exits"][-1] is None

    for scope in data["scopes"]:
        if scope["scope"] == "vcpu":
            assert scope["latency"] is None
            continue
        buckets = scope["latency"]["buckets"]
        assert [b["from"] for b in buckets] == [0, *(2**n for n in range(8, 31))]
        assert [b["below"] for b in buckets] == [*(2**n for n in range(8, 31)), None]
        # In the histograms is each exit once.
        exits = {reason["nr"]: reason["total"]["exits"] for reason in scope["reasons"]}
        for reason in scope["latency"]["reasons"]:
            for which in "total", "handle":
                assert sum(sum(interval) for interval in reason[which] if interval) == exits[
                    reason["nr"]]


def test_page_needs_nothing_else(tmp_path):
    writer = Writer(counts=COUNTS)
    evil = "</script><script>alert(1)</script><!--"
    writer.sample(0, host_scope([10, *[1] * 7], guest_cycles=1),
                  {**vm_scope(1, [10, *[1] * 7]), "name": evil}, full=True)
    writer.sample(1, host_scope([10, *[2] * 7], guest_cycles=5))
    path, page = writer.put(tmp_path / "r"), tmp_path / "page.html"
    page.write_text("")
    check_ok(run(ASAN, "report", "--html", page, path))
    text = page.read_text()
    assert "alert(1)</script>" not in text
    assert evil in [scope["label"] for scope in data_of(page)["scopes"]][1]
    assert not re.search(r"(src|href)=(?!.data:)|@import|url\(", re.sub(r"<script>.*?</script>", "", text,
                                                               flags=re.S))
    with open("/usr/share/javascript/chart.js/chart.min.js") as file:
        assert file.read() in text
    check_refused(run(STATIC, "report", path, "--html", tmp_path / "x"), 1, "exitstat-static")
    check_refused(run(ASAN, "report", path, "--html", tmp_path / "no/x"), 1, "no/x")
    check_refused(run(ASAN, "report", path, "--html", tmp_path / "x", "--json"), 2, "--html")
    check_refused(run(ASAN, "report", "-", "--html", tmp_path / "x"), 1, "stdin is empty")
    assert not list(tmp_path.glob("x*")) and not list(tmp_path.glob("page.html?*"))


@pytest.mark.parametrize("nr", [900, 959, 960, 961, 5000])
def test_page_of_many_samples(tmp_path, nr):
    """Neighbours are put together; with jitter, and hours in which nothing was recorded."""
    rng = random.Random(nr)
    path, page = tmp_path / "r", tmp_path / "page.html"
    writer = Writer(counts=COUNTS)
    row, guest, seconds, lines = [0] * 7, 0, 0, []
    for section, length in enumerate([nr // 2, nr - nr // 2]):
        if section:
            writer.out += Writer(counts=COUNTS, started="2026-11-24T22:00:00.000Z").out
        for n in range(length + 1):
            last = n + rng.uniform(0, .05) if n else 0
            exits = rng.randrange(2000)
            row = [a + b for a, b in zip(row, [exits, exits * 2000, 3, 4, 5, 6, 7])]
            guest += rng.randrange(10**9)
            lines.append((exits, last))
            writer.sample(last, host_scope([10, *row], guest_cycles=guest),
                          **({} if n else {"full": True}))
        seconds += last
    data = (check_ok(run(SHARED, "report", writer.put(path), "--html", page)), data_of(page))[1]
    check_sums(data)
    scope, = data["scopes"]
    assert data["samples"] == nr + 2 and data["seconds"] == pytest.approx(seconds)
    known = [(dt, exits) for dt, exits in zip(scope["dt"], scope["reasons"][0]["exits"])
             if exits is not None]
    assert sum(dt for dt, _ in known) == pytest.approx(seconds, abs=1e-3)
    assert len(known) == nr if nr < 959 else 300 < len(known) < 960
    assert scope["total"]["exits"] == sum(exits for exits, t in lines if t)
    # Between the sections is an interval of which nothing is known.
    gap, = [i for i, exits in enumerate(scope["reasons"][0]["exits"]) if exits is None]
    assert scope["t"][gap] == 7200
    assert scope["dt"][gap] == pytest.approx(7200 - scope["t"][gap - 1], abs=1e-5)
    assert scope["phases"]["guest"][gap] is None
    before = itertools.pairwise([0, *scope["t"]])
    assert [b - a for a, b in before] == pytest.approx(scope["dt"], abs=2e-3)


def test_page_when_the_clock_was_set_back(tmp_path):
    path, page = tmp_path / "r", tmp_path / "page.html"
    writer = Writer()
    for started in "2026-11-24T20:00:00.000Z", "2001-01-01T00:00:00.000Z", "nonsense":
        writer.out += Writer(started=started).out
        writer.sample(0, host_scope([10, 1, 1]), full=True)
        writer.sample(10, host_scope([10, 2, 2]))
    check_ok(run(ASAN, "report", writer.put(path), "--html", page))
    scope, = data_of(page)["scopes"]
    assert scope["t"] == [10, 20, 30] and scope["total"]["exits"] == 3


# Comparing


def by_reason(path):
    return report(path)[1][0][1][1]


def test_diff_of_recordings(tmp_path):
    rng = random.Random(3)
    paths, rows, seconds = [tmp_path / "a", tmp_path / "b"], [], [10.0, 4.0]
    for path, length, reasons in zip(paths, seconds, [[1, 10, 12, 30], [1, 10, 12, 48]]):
        writer = Writer()
        start = [[n, rng.randrange(10**6), rng.randrange(10**9)] for n in reasons]
        writer.sample(0, host_scope(*start), full=True)
        end = [[n, e + rng.randrange(1, 10**5), h + rng.randrange(10**7)] for n, e, h in start]
        writer.sample(length, host_scope(*end))
        writer.put(path)
        rows.append({n: (e2 - e1, h2 - h1) for (n, e1, h1), (_, e2, h2) in zip(start, end)})
    document = json.loads(check_ok(run(ASAN, "diff", *paths, "--json")))
    assert document["schema"] == "exitstat.diff" and document["units"] == "cycles"
    assert [document[side]["seconds"] for side in "ab"] == seconds

    found = {row["reason"]: row for row in document["reasons"]}
    assert set(found) == set(rows[0]) | set(rows[1])
    for number, row in found.items():
        (e1, h1), (e2, h2) = (side.get(number, (0, 0)) for side in rows)
        check_diff(row, e1, h1, e2, h2, *seconds)
    (e1, h1), (e2, h2) = (map(sum, zip(*side.values())) for side in rows)
    check_diff(document["total"], e1, h1, e2, h2, *seconds)

    def change(number):
        return abs(rows[1].get(number, (0, 0))[1] / seconds[1]
                   - rows[0].get(number, (0, 0))[1] / seconds[0])
    order = sorted(found, key=change, reverse=True)
    assert [row["reason"] for row in document["reasons"]] == order
    table = check_ok(run(ASAN, "diff", *paths)).splitlines()
    assert table[0].startswith(f"A: {paths[0]}, host: vmx") and table[0].endswith("10.000 s")
    assert [line.split()[0] for line in table[3:]] == [*map(str, order), "-"]
    assert "EXITS/S_A" in table[2] and "EXITS_DIFF" not in table[2]

    csv = check_ok(run(ASAN, "diff", *paths, "--csv", "--sort", "-reason")).splitlines()
    assert [line.split(",")[0] for line in csv[1:]] == sorted(map(str, order), key=int)
    metrics = check_ok(run(ASAN, "diff", *paths, "--openmetrics"))
    assert metrics.endswith("# EOF\n")
    assert (f'exitstat_diff_exits{{recording="b",isa="vmx",reason="10",name="CPUID"}} '
            f"{rows[1][10][0]}\n") in metrics
    only = json.loads(check_ok(run(ASAN, "diff", "--json", *paths, "--reason", "cpuid")))
    assert [row["reason"] for row in only["reasons"]] == [10]
    assert only["total"]["a"]["exits"] == rows[0][10][0]
    ns = json.loads(check_ok(run(ASAN, "diff", "--json", *paths, "--units", "ns")))
    assert ns["total"]["a"]["handle_ns"] == pytest.approx(
        sum(h for _, h in rows[0].values()) * 1e6 / KHZ, abs=1)


def check_diff(row, e1, h1, e2, h2, s1, s2):
    for side, e, h, s in ("a", e1, h1, s1), ("b", e2, h2, s2):
        assert row[side] == {
            "exits": e, "handle_cycles": h, "exits_per_second": pytest.approx(e / s, abs=1e-5),
            "handle_cycles_per_second": pytest.approx(h / s, abs=1e-5),
            "cycles_per_exit": pytest.approx(h / e, abs=1e-5) if e else None}
    assert row["exits_change_percent"] == (
        pytest.approx(100 * (e2 / s2 / (e1 / s1) - 1), abs=1e-2) if e1 else None)
    assert row["handle_change_percent"] == (
        pytest.approx(100 * (h2 / s2 / (h1 / s1) - 1), abs=1e-2) if h1 else None)
    if e1 and e2 and h1:
        assert row["per_exit_change_percent"] == pytest.approx(
            100 * (h2 / e2 / (h1 / e1) - 1), abs=1e-2)


def show(host, path, *options):
    path.write_text(check_ok(run(ASAN, "show", "--json", "--debugfs", host.debugfs, "--procfs",
                                 host.procfs, *options)))
    return path


def test_diff_of_counters_read_twice(host, tmp_path):
    before = state_of(host)["host",]
    a = show(host, tmp_path / "a")
    host.advance(0.5)
    b = show(host, tmp_path / "b")
    expected = subtract(state_of(host)["host",], before)[1]
    lines = [line.split() for line in check_ok(run(ASAN, "diff", a, b)).splitlines()[2:]]
    at = lines[0].index("EXITS_DIFF"), lines[0].index("HANDLE_CYCLES_DIFF")
    assert {int(line[0]): [int(line[i]) for i in at] for line in lines[1:-1]} == {
        number: counts[:2] for number, counts in expected.items()}
    # The other way round they are not the same counters, later.
    assert "EXITS_DIFF" not in check_ok(run(ASAN, "diff", b, a))
    # In ns, it is known how many cycles that is.
    ns = show(host, tmp_path / "ns", "--units", "ns")
    document = json.loads(check_ok(run(ASAN, "diff", "--json", b, ns)))
    assert document["units"] == "ns"
    assert abs(document["total"]["handle_change_percent"]) < 0.01


def test_diff_of_vms(host, tmp_path):
    vm, *_ = host.vms.values()
    a, b = tmp_path / "a", tmp_path / "b"
    for path in a, b:
        with Recorder(host, path) as recorder:
            recorder.wait()
            host.advance(0.05)
            recorder.wait()
            recorder.stop()
    document = json.loads(check_ok(run(ASAN, "diff", "--json", "--vm", vm.id, a, b)))
    expected = [sum(counts[0] for counts in report(path, "--vm", vm.id)[1][0][1][1].values())
                for path in (a, b)]
    assert [document["total"][side]["exits"] for side in "ab"] == expected
    assert document["a"] == {**document["a"], "scope": "vm", "vm": vm.id, "vm_name": vm.name}
    document = json.loads(check_ok(run(ASAN, "diff", "--json", "--vm", "*", a, b)))
    assert document["a"]["scopes"] == 3
    assert document["total"]["a"]["exits"] == sum(
        counts[0] for _, (_, rows) in report(a, "--vm", "*")[1] for counts in rows.values())
    # A document of VMs alone is taken by its first.
    vms = show(host, tmp_path / "vms", "--vm", "*")
    first = json.loads(vms.read_text())["scopes"][0]
    document = json.loads(check_ok(run(ASAN, "diff", "--json", vms, vms)))
    assert document["a"]["vm"] == first["vm"]
    # A recording and a document go together.
    assert check_ok(run(ASAN, "diff", a, show(host, tmp_path / "s")))


def test_diff_of_intervals(host, tmp_path):
    """Documents of several intervals are added up."""
    path = show(host, tmp_path / "a", "-d", 0.01, "-n", 3)
    document = json.loads(check_ok(run(ASAN, "diff", "--json", path, path)))
    assert document["a"]["seconds"] == pytest.approx(
        sum(json.loads(line)["seconds"] for line in path.read_text().splitlines()), abs=1e-5)


def test_diff_refuses(host, tmp_path):
    a = show(host, tmp_path / "a")
    svm = trees.Tree(tmp_path / "svm", vms=1, isa="svm")
    b = show(svm, tmp_path / "b")
    check_refused(run(ASAN, "diff", a, b), 1, "vmx", "svm")
    check_refused(run(ASAN, "diff", a, tmp_path / "no"), 1, "no", os.strerror(errno.ENOENT))
    check_refused(run(ASAN, "diff", a, tmp_path), 1, "is not a file")
    for content in ("", "x", "{}", "[]", '{"schema":"exitstat.show"}',
                    a.read_text()[:-5], a.read_text() + "x",
                    a.read_text().replace("exitstat.show", "exitstat.list"),
                    a.read_text().replace('"exits":', '"exits":-'), "{\"a\":" * 10000):
        (tmp_path / "x").write_text(content)
        check_refused(run(ASAN, "diff", a, tmp_path / "x"), 1, tmp_path / "x")
    (tmp_path / "x").write_text(a.read_text().replace('"version":1', '"version":2'))
    check_refused(run(ASAN, "diff", a, tmp_path / "x"), 1, "update exitstat")
    check_refused(run(ASAN, "diff", a, a, "--vm", "1-1"), 1, a, "has no VM 1-1")
    check_refused(run(ASAN, "diff", a, a, "--vm", "x*"), 1, "nothing that these options mean")
    check_refused(run(ASAN, "diff", a, a, "--reason", "EPT_VIOLATIONS"), 1, "EPT_VIOLATION:")
    check_refused(run(ASAN, "diff", "-", "-"), 2, "stdin")


@pytest.mark.valgrind
@pytest.mark.parametrize("command", [
    ["record", "-o", "TMP/new", "-n", "2", "-d", "0.01", "--vcpu", "all", "--latency", "TREE"],
    ["report", "TMP/recording"], ["report", "TMP/recording", "--vm", "*", "--json"],
    ["report", "TMP/torn"], ["report", "TMP/recording", "--html", "TMP/page"],
    ["diff", "TMP/recording", "TMP/torn"], ["diff", "TMP/recording", "TMP/show", "--json"]],
    ids=lambda command: " ".join(command[:3]))
def test_memory_with_valgrind(host, tmp_path, command):
    path = tmp_path / "recording"
    record(host, path, "--vcpu", "all", "--latency")
    host.advance(0.05)
    record(host, path, "--vcpu", "all", "--latency")
    (tmp_path / "torn").write_bytes(path.read_bytes()[:-200])
    show(host, tmp_path / "show")
    args = [word.replace("TMP", str(tmp_path)) for word in command]
    if args[-1] == "TREE":
        args[-1:] = ["--debugfs", host.debugfs, "--procfs", host.procfs]
    result = run("valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
                 "--errors-for-leak-kinds=all", "--track-fds=no", SHARED, *args)
    assert result.returncode == 0, result.stderr
    assert "==" not in result.stderr
