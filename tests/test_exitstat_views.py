"""show's differences, list, reasons, and the formats for programs."""
import csv
import io
import contextlib
import json
import os
import pathlib
import pty
import re
import resource
import signal
import subprocess
import time

import jsonschema
import pace
import pytest

from lab import images
from tool import (
    ASAN, COUNTS, GUEST_CYCLES, MODEL, ROWS, SHARED, SRC, STATIC, U64_MAX, check_ok, check_refused,
    loads, run, scope, sums, text_of, validated)

KHZ = 2893202


def grown(rows, by):
    """As many times as much, so that a difference is known."""
    return [(number, name, *(n * by for n in counts)) for number, name, *counts in rows]


@pytest.fixture
def host(tree):
    """A host with VMs of all kinds, each with other multiples of ROWS."""
    tree.put(text_of(grown(ROWS, 10), guest_cycles=10 * GUEST_CYCLES))
    for times, (pid, vm_fd, cmdline) in enumerate([
            (100, 11, "qemu\0-name\0guest=web1,debug-threads=on\0-m\0001G\0"),
            (200, 12, "qemu\0-name\0db one,process=x\0"),
            (300, 5, "firecracker\0--id\0fc-1\0")], 1):
        put_vm(tree, f"{pid}-{vm_fd}", times, vcpus=times)
        put_process(tree, pid, cmdline)
    return tree


# Sequences that are longer than UTF-8's, or mean what is no character; marks of direction, and of no width.
NO_TEXT = [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf7\xbf\xbf\xbf", b"\xed\xa0\x80",
           b"\xc0\x80", b"\xe0\x80\xaf", b"\xff", b"\x80", b"\xe2\x82", "\u202e".encode(), "\u200b".encode(), "\u2028".encode(),
           "\u2066".encode(), "\ufeff".encode(), "\u061c".encode(), "\u00ad".encode(), "\U000e0041".encode(), b"\x85", b"\xc2\x9b"]


@pytest.mark.parametrize("bad", NO_TEXT, ids=repr)
def test_a_name_that_is_no_text(tree, bad, tmp_path):
    """A tenant's choice: everything that leaves the program stays valid UTF-8, and shows what there is."""
    put_vm(tree, "100-11", 1, vcpus=1)
    put_process(tree, 100, b"qemu\0-name\0a" + bad + b"b\0")
    put_vm(tree, "200-12", 1, vcpus=1)
    put_process(tree, 200, b"other\0", comm="plain")
    (tree.path.parent / "proc/200/comm").write_bytes(b"c" + bad + b"d\n")
    tree.put(text_of())
    recording = tmp_path / "recording"
    # Text is decoded strictly here.
    outputs = [tree.run(*words).stdout for words in (
        ["list"], ["list", "--json"], ["list", "--csv"], ["list", "--openmetrics"], ["--vm", "*", "--vcpu", "all", "--json"],
        ["record", "-o", "-", "-d", "0.01", "-n", "2", "--vcpu", "all"])]
    recording.write_text(outputs[-1])
    outputs.append(check_ok(run(ASAN, "report", recording, "--vm", "*", "--json")))
    for output in outputs:
        assert not re.search("[\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e0fff\ud800-\udfff\x80-\x9f]",
                             output)
    assert re.search(r"\ba\?+b\b", outputs[0]) and re.search(r"\bc\?+d\b", outputs[0])


@pytest.mark.parametrize("command,status", [(["sh", "-c", "exit 3"], 3), (["sh", "-c", "kill -TERM $$"], 143), (["true"], 0),
                                            (["/no/such/command"], 127), (["/"], 126)])
@pytest.mark.parametrize("way", ["usual", "SIGCHLD ignored", "stderr closed"])
def test_the_commands_status(tree, way, command, status):
    """Whatever the parent left to us."""
    def prepare():
        if way == "SIGCHLD ignored":
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        if way == "stderr closed":
            os.close(2)
    tree.put(text_of())
    assert tree.run("show", "--", *command, preexec_fn=prepare, program=SHARED).returncode == status


def test_reasons_in_hex(tree):
    tree.put(text_of())
    assert [row["reason"] for row in scope(loads(check_ok(tree.run("--reason", "0x1e", "--json"))))["reasons"]] == [30]
    assert "NPF" in check_ok(run(ASAN, "reasons", "--isa", "svm", "--reason", "0X400")).upper()
    # What only begins so is a name.
    check_refused(tree.run("--reason", "0x1eg"), 1, "no exit reason 0x1eg on vmx")


def put_vm(tree, name, times, vcpus=0):
    tree.put(text_of(grown(ROWS, times), scope="vm", guest_cycles=times * GUEST_CYCLES),
             f"kvm/{name}")
    for nr in range(vcpus):
        tree.put(text_of(grown(ROWS, nr + 1), scope="vcpu", guest_cycles=(nr + 1) * GUEST_CYCLES),
                 f"kvm/{name}/vcpu{nr}")


def put_process(tree, pid, cmdline, start=1000, comm="qemu-system-x86"):
    path = tree.path.parent / "proc" / str(pid)
    path.mkdir(parents=True, exist_ok=True)
    (path / "cmdline").write_bytes(cmdline if isinstance(cmdline, bytes) else cmdline.encode())
    (path / "comm").write_text(comm + "\n")
    # The 22nd field; the command may have blanks and parentheses.
    (path / "stat").write_text(f"{pid} (a) b ) S {' '.join(['1'] * 18)} {start} 0 0\n")


# VMs


def fnv1a(name):
    """As http://www.isthe.com/chongo/tech/comp/fnv/ has it, of 32 bits."""
    value = 0x811c9dc5
    for byte in name:
        value = (value ^ byte) * 0x01000193 % 2**32
    return f"{value:08x}"


NAMES = [
    (b"qemu\0-name\0plain\0", "plain"), (b"qemu\0-name\0guest=a,debug-threads=on\0", "a"),
    (b"qemu\0-name\0debug-threads=on,guest=b\0", "b"), (b"qemu\0--name\0c\0", "c"),
    (b"qemu\0-name\0a,,b,process=x\0", "a,b"), (b"qemu\0-name\0guest=x=y\0", "x=y"),
    (b"qemu\0-name\0process=x\0", "comm"), (b"qemu\0-name\0\0", "comm"), (b"qemu\0-name", "comm"),
    (b"cloud-hypervisor\0--id=ch\0", "ch"), (b"firecracker\0--id\0fc\0", "fc"), (b"", "comm"),
    (b"qemu\0-name\0" + "dünn".encode() + b"\0", "dünn"), (b"qemu\0-name\0a\xffb\0", "a?b"),
    (b"qemu\0-name\0a\x1b[2J\nb\0", "a?[2J?b"), (b"qemu\0-name\0" + b"n" * 255 + b"\0", "n" * 255),
    (b"qemu\0-name\0" + b"n" * 5000 + b"\0", "n" * 246 + "~" + fnv1a(b"n" * 5000)),
    (b"qemu\0-name\0" + "ü".encode() * 200 + b"\0", "ü" * 123 + "~" + fnv1a("ü".encode() * 200))]


@pytest.mark.parametrize("cmdline, name", NAMES, ids=range(len(NAMES)))
def test_names_of_vms(tree, cmdline, name):
    tree.put(text_of())
    put_vm(tree, "5-6", 1)
    put_process(tree, 5, cmdline, comm="comm")
    out = validated(check_ok(tree.run("list", "--json")))
    assert scope(out)["vm_name"] == name
    # Whatever the locale of a cron job or a service is.
    assert name in check_ok(tree.run("list", program=STATIC, env={"LC_ALL": "C"}, encoding="utf-8"))


def test_process_that_is_gone(tree):
    tree.put(text_of())
    put_vm(tree, "5-6", 1)
    assert "vm_name" not in scope(validated(check_ok(tree.run("list", "--json"))))


@pytest.mark.parametrize("patterns, found", [
    (["100"], ["100-11"]), (["100-11", "300"], ["100-11", "300-5"]), (["*"], ["100-11", "200-12", "300-5"]),
    (["web?"], ["100-11"]), (["db one"], ["200-12"]), (["[fw]*"], ["100-11", "300-5"]), (["*-5"], ["300-5"]),
    (["nobody*"], [])])
def test_patterns_of_vms(host, patterns, found):
    args = [word for pattern in patterns for word in ("--vm", pattern)]
    for command in "show", "list":
        result = host.run(command, *args, "--json")
        assert result.returncode == 0
        assert [s["vm"] for s in validated(result.stdout)["scopes"]] == found
        if not found and command == "show":
            assert "no VM is running" in result.stderr


def test_host_and_vms_and_vcpus(host):
    out = validated(check_ok(host.run("--host", "--vm", "*", "--vcpu", "all", "--json")))
    assert [(s["scope"], s.get("vm"), s.get("vcpu")) for s in out["scopes"]] == [
        ("host", None, None), ("vcpu", "100-11", 0), ("vcpu", "200-12", 0), ("vcpu", "200-12", 1),
        ("vcpu", "300-5", 0), ("vcpu", "300-5", 1), ("vcpu", "300-5", 2)]
    assert [s["total"]["exits"] for s in out["scopes"]] == [
        n * sums(ROWS)[0] for n in (10, 1, 1, 2, 1, 2, 3)]
    out = validated(check_ok(host.run("--vcpu", "1", "--json")))
    assert [(s["vm"], s["vcpu"]) for s in out["scopes"]] == [("200-12", 1), ("300-5", 1)]
    text = check_ok(host.run("--vm", "300", "--vcpu", "2"))
    assert text.startswith("VM 300-5 fc-1 vCPU 2: vmx, TSC")


def test_list(host):
    text = check_ok(host.run("list"))
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["VM", "VM_NAME", "VCPUS", "EXITS", "%LOST", "WORST", "GUEST_CYCLES", "HANDLE_CYCLES",
                        "USER_CYCLES", "WAIT_CYCLES", "PREEMPTED_CYCLES"]
    worst = max(ROWS, key=lambda row: row[3] + row[4] + row[6])[1]
    totals = sums(ROWS)
    handle, user, wait, preempted = totals[1:5]
    lost = handle + user + preempted
    assert lines[3] == ["100-11", "web1", "1", str(totals[0]),
                        f"{100 * lost / (lost + GUEST_CYCLES):.2f}", worst, str(GUEST_CYCLES), str(handle),
                        str(user), str(wait), str(preempted)]
    # Who loses most comes first; for programs they are in the order of their numbers.
    assert [line[0] for line in lines[1:]] == ["300-5", "200-12", "100-11"]
    out = validated(check_ok(host.run("list", "--json")))
    assert [s["lost_cycles"] for s in out["scopes"]] == [lost, 2 * lost, 3 * lost]
    assert [s["vcpus"] for s in out["scopes"]] == [1, 2, 3]
    assert [s["worst_reason"] for s in out["scopes"]] == [worst] * 3
    out = validated(check_ok(host.run("list", "--vcpu", "all", "--json")))
    assert [s.get("vcpu") for s in out["scopes"]] == [None, 0, None, 0, 1, None, 0, 1, 2]


def test_list_where_no_vm_runs(tree):
    tree.put(text_of())
    for program in SHARED, STATIC:
        assert check_ok(tree.run("list", program=program)).split() == [
            "VM", "VM_NAME", "VCPUS", "EXITS", "%LOST", "WORST", "GUEST_CYCLES", "HANDLE_CYCLES",
            "USER_CYCLES", "WAIT_CYCLES", "PREEMPTED_CYCLES"]
    assert validated(check_ok(tree.run("list", "--json")))["scopes"] == []


# Which rows and columns


@pytest.mark.parametrize("patterns, found", [
    (["10"], [10]), (["cpuid"], [10]), (["CPUID", "12"], [10, 12]), (["*interrupt"], [1]), (["O*"], [None]),
    (["other"], [None]), (["0"], [0]), (["*"], [0, 1, 10, 12, 30, 33, None]), (["x*"], [])])
def test_reasons_that_are_shown(tree, patterns, found):
    tree.put(text_of())
    args = [word for pattern in patterns for word in ("--reason", pattern)]
    out = scope(validated(check_ok(tree.run(*args, "--json"))))
    assert [row["reason"] for row in out["reasons"]] == found
    assert out["total"]["exits"] == sum(row[2] for row in ROWS if row[0] in found)
    # Shares are of all there is, not of what is shown.
    total = check_ok(tree.run(*args)).splitlines()[-1].split()
    assert total[5] == f"{100 * out['total']['exits'] / sums(ROWS)[0]:.2f}"


def columns_of(text, skip=2):
    return text.splitlines()[skip].split()


def test_columns(tree):
    tree.put(text_of())
    assert columns_of(check_ok(tree.run("-o", "NAME,exits,%EXITS"))) == ["NAME", "EXITS", "%EXITS"]
    assert columns_of(check_ok(tree.run("-o", "handle_ns,CYCLES/EXIT"))) == [
        "HANDLE_CYCLES", "CYCLES/EXIT"]
    more = columns_of(check_ok(tree.run("-o", "+SCOPE,EXITS")))
    assert more == [*columns_of(check_ok(tree.run())), "SCOPE"]
    assert columns_of(check_ok(tree.run("-o", "name,exits", "--csv")), 0) == ["NAME,EXITS"]
    help_text = check_ok(tree.run("--help"))
    names = re.findall(r"^  (\S+) ", help_text[help_text.index("Columns:"):], re.M)
    assert columns_of(check_ok(tree.run("-o", ",".join(names)))) == names


def test_sort(tree):
    tree.put(text_of())
    names = {row[0]: row[1] for row in ROWS}

    def order(*args, where=1, column=1):
        lines = check_ok(tree.run(*args)).splitlines()[3:-1]
        return [line.split()[column] for line in lines]

    assert order("--sort", "exits") == [names[n] for n in (30, 10, 12, 1, 33, 0, None)] or \
        order("--sort", "exits") == [names[n] for n in (30, 10, 1, 12, 33, 0, None)]
    assert order("--sort", "-exits")[0] == "OTHER"
    assert order("--sort", "NAME") == sorted(names.values())
    assert order("--sort", "-NAME") == sorted(names.values(), reverse=True)
    # What has no number is last, either way.
    assert order("--sort", "-REASON") == [names[n] for n in (0, 1, 10, 12, 30, 33, None)]
    assert order("--sort", "REASON") == [names[n] for n in (33, 30, 12, 10, 1, 0, None)]
    rows = scope(validated(check_ok(tree.run("--sort", "user_cycles", "--json"))))["reasons"]
    assert [row["user_cycles"] for row in rows] == sorted((row[4] for row in ROWS), reverse=True)


def test_sort_of_vms(host):
    for args in ["--sort", "EXITS"], ["--sort", "-VM_NAME"]:
        out = validated(check_ok(host.run("list", *args, "--json")))
        lines = check_ok(host.run("list", *args)).splitlines()[1:]
        vms = [s["vm"] for s in out["scopes"]]
        assert vms == [line.split()[0] for line in lines]
        assert vms == (["300-5", "200-12", "100-11"] if "EXITS" in args else ["100-11", "300-5", "200-12"])


@pytest.mark.parametrize("cycles", [1, 1000, 2**53 + 1, U64_MAX // 2])
def test_units(tree, cycles):
    tree.put(text_of([(10, "CPUID", 2, *[cycles] * 4, 0, 0)], guest_cycles=cycles))
    ns = cycles * 10**6 // KHZ
    out = scope(validated(check_ok(tree.run("--units", "ns", "--json"))))
    assert "handle_cycles" not in out["total"]
    assert {out["total"][f"{name}_ns"] for name in ("handle", "user", "wait", "preempted")} == {
        out["guest_ns"]} == {ns}
    text = check_ok(tree.run("--units", "ns"))
    assert columns_of(text)[2:8] == ["%LOST", "LOST_NS", "EXITS", "%EXITS", "NS/EXIT", "HANDLE_NS"]
    assert out["total"]["lost_ns"] == 3 * cycles % 2**64 * 10**6 // KHZ
    assert text.splitlines()[-1].split()[6:8] == [f"{cycles * 1e6 / KHZ / 2:.0f}", str(ns)]
    assert check_ok(tree.run("--units", "cycles")) == check_ok(tree.run())


@pytest.mark.parametrize("ns, shown", [
    (0, "0"), (1, "1 ns"), (999, "999 ns"), (1000, "1.00 µs"), (9994, "9.99 µs"), (9996, "10.0 µs"),
    (99949, "99.9 µs"), (99960, "100 µs"), (999499, "999 µs"), (999600, "1.00 ms"), (12345678, "12.3 ms"),
    (999600000, "1.00 s"), (3 * 10**12, "3000 s")])
def test_times_for_people(tree, ns, shown):
    tree.put(text_of([(10, "CPUID", 1, ns, 0, 0, 0, 0, 0)], tsc_khz=1000000))
    line = check_ok(tree.run("--units", "auto", "-o", "handle_ns")).splitlines()[-1]
    assert line.strip() == shown


@pytest.mark.parametrize("exits, shown", [
    (99999, "99999"), (100000, "100 k"), (999499, "999 k"), (999600, "1.00 M"), (12345678, "12.3 M"), (U64_MAX, "18.4 E")])
def test_numbers_for_people(tree, exits, shown):
    tree.put(text_of([(4294967295, "UNKNOWN", exits, 1, 0, 0, 0, 0, 0)]))
    lines = check_ok(tree.run("--units", "auto", "-o", "reason,exits")).splitlines()
    # What is no count stays what it is.
    assert lines[-2].split() == ["4294967295", *shown.split()]


def test_units_on_a_terminal(tree):
    """People get what they can read; programs, and who asks for it, what is exact."""
    tree.put(text_of())
    controller, terminal = pty.openpty()
    with subprocess.Popen([str(ASAN), "--debugfs", tree.path], stdout=terminal) as process:
        os.close(terminal)
        out = b""
        with contextlib.suppress(OSError):
            while part := os.read(controller, 4096):
                out += part
    os.close(controller)
    assert process.returncode == 0
    lines = out.decode().replace("\r", "").splitlines()
    assert lines[2].split()[:6] == ["REASON", "NAME", "%LOST", "LOST", "EXITS", "%EXITS"] and "TIME/EXIT" in lines[2]
    auto = check_ok(tree.run("--units", "auto")).splitlines()
    assert [line.split() for line in lines] == [line.split() for line in auto]
    assert (check_ok(tree.run("--units", "auto", "--csv", "-o", "handle_ns"))
            == check_ok(tree.run("--units", "ns", "--csv", "-o", "handle_ns")))
    assert "LOST_CYCLES" in check_ok(tree.run())


def test_units_where_the_tsc_is_unknown(tree):
    tree.put(text_of(tsc_khz=0))
    check_refused(tree.run("--units", "ns"), 1, "--units cycles")
    check_ok(tree.run())


# Differences


def changing(tree, texts, *args, **kwargs):
    """The tool with -d, while its file takes one text after another."""
    tree.put(texts[0])
    command = [str(a) for a in (ASAN, *args, "--debugfs", tree.path, "--procfs", tree.path.parent / "proc")]
    tool = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)
    documents = []
    for text in [*texts[1:], None]:
        documents.append(tool.stdout.readline())
        if text:
            # As a whole, as the kernel does it.
            path = tree.path / "kvm/new"
            path.write_text(text)
            path.rename(tree.path / "kvm/exit_stats")
    out, err = tool.communicate(timeout=pace.limit(30))
    return documents, out, err, tool.returncode


def test_differences(tree):
    """What is printed after a change is that change, once, and then nothing."""
    first, second = (text_of(grown(ROWS, n), guest_cycles=n * GUEST_CYCLES) for n in (1, 3))
    documents, rest, err, status = changing(tree, [first, second], "-d", "0.3", "-n", "4", "--json")
    assert (status, err) == (0, "")
    documents = [scope(validated(text)) for text in [*documents, *rest.splitlines()]]
    assert len(documents) == 4
    changes = [d for d in documents if d["total"]["exits"]]
    assert len(changes) == 1
    assert {row["reason"]: [row[c] for c in COUNTS] for row in changes[0]["reasons"]} == {
        number: [2 * n for n in counts] for number, _, *counts in ROWS}
    assert changes[0]["guest_cycles"] == 2 * GUEST_CYCLES


def test_differences_have_a_beat(tree):
    tree.put(text_of())
    start = time.monotonic()
    lines = check_ok(tree.run("-d", "0.2", "-n", "5", "--json")).splitlines()
    elapsed = time.monotonic() - start
    assert 1 <= elapsed < pace.limit(5)
    assert len(lines) == 5
    # A busy machine may be late for a beat, and the next interval is then the shorter one.
    seconds = [validated(line)["seconds"] for line in lines]
    assert min(seconds) > 0 and 0.8 < sum(seconds) < elapsed
    table = check_ok(tree.run("-d", "0.05", "-n", "2"))
    assert len(re.findall(r"^host: .*, 0\.\d+ s until 20.*Z, no exits, from debugfs$", table, re.M)) == 2
    assert "EXITS/S" in table


def test_differences_as_csv(tree):
    tree.put(text_of())
    text = check_ok(tree.run("-d", "0.05", "-n", "2", "--csv"))
    assert text.count("TIME,SECONDS") == 1


@pytest.mark.parametrize("command", ["show", "list"])
def test_readings_that_fail_are_no_end(tree, command):
    """As of top and record: KVM's modules may be exchanged."""
    tree.put(text_of())
    put_vm(tree, "1-2", 2)
    with subprocess.Popen([str(ASAN), command, "-d", "0.1", "--json", "--debugfs", tree.path, "--procfs",
                           tree.path.parent / "proc"], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        assert loads(process.stdout.readline())["seconds"]
        (tree.path / "kvm").rename(tree.path / "away")
        assert "nothing is shown until the counters can be read again:" in process.stderr.readline()
        time.sleep(0.3)
        (tree.path / "away").rename(tree.path / "kvm")
        assert re.search(r"can be read again, after \d+ readings failed", process.stderr.readline())
        # Of no span that nobody has seen.
        seconds = loads(process.stdout.readline())["seconds"]
        assert seconds < pace.limit(0.3)
        process.terminate()
    result = tree.run(command, "-d", "0.02", "-n", "2", "--debugfs", tree.path / "no")
    check_refused(result, 1, "there is no directory")


def test_named_vm_that_ends_is_an_end(tree, tmp_path):
    tree.put(text_of())
    put_vm(tree, "1-2", 2)
    with subprocess.Popen([str(ASAN), "--vm", "1-2", "-d", "0.1", "--debugfs", tree.path, "--procfs",
                           tree.path.parent / "proc"], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        (tree.path / "kvm/1-2").rename(tmp_path / "gone")
        assert process.communicate(timeout=pace.limit(30))[1].startswith("exitstat: VM 1-2 ended")
    assert process.returncode == 1


def test_stdout_is_closed(tree, tmp_path):
    """Who writes to a file needs none."""
    tree.put(text_of())
    for args, status in ((["show", "--textfile", tmp_path / "m"], 0), (["show"], 1), (["--version"], 1),
                         (["record", "-o", tmp_path / "r", "-d", "0.01", "-n", "1"], 0)):
        result = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *map(str, [
            ASAN, *args, *(["--debugfs", tree.path] if args[0] != "--version" else [])])], stderr=subprocess.PIPE,
            text=True, check=False)
        assert result.returncode == status, result
    assert (tmp_path / "m").read_text() and (tmp_path / "r").read_text()


def test_difference_that_wraps(tree):
    first, second = (text_of([(10, "CPUID", 5, n, 0, 0, 0, 0, 0)]) for n in (U64_MAX - 9, 90))
    documents, rest, _, _ = changing(tree, [first, second], "-d", "0.2", "-n", "3", "--json")
    totals = [scope(loads(text))["total"]["handle_cycles"] for text in [*documents, *rest.splitlines()]]
    assert sorted(totals) == [0, 0, 100]


def test_kvm_that_is_loaded_anew(tree):
    documents, rest, err, status = changing(
        tree, [text_of(grown(ROWS, 5)), text_of()], "-d", "0.2", "-n", "3", "--json")
    assert status == 0
    assert err.count("KVM was loaded anew") == 1
    exits = [scope(loads(text))["total"]["exits"] for text in [*documents, *rest.splitlines()]]
    assert sorted(exits) == [0, 0, sums(ROWS)[0]]


def during(host, change, *args):
    """The VMs' differences over a command that changes the tree."""
    script = host.path.parent / "change"
    script.write_text("#!/bin/sh\nset -e\n" + change)
    script.chmod(0o755)
    return host.run(*args, "--", script)


def test_command(host):
    new = host.path.parent / "new"
    new.write_text(text_of(grown(ROWS, 14), guest_cycles=10 * GUEST_CYCLES))
    result = during(host, f"echo hello; mv {new} {host.path}/kvm/exit_stats; exit 7")
    assert (result.returncode, result.stderr) == (7, "")
    assert result.stdout.startswith("hello\nhost: vmx")
    assert result.stdout.splitlines()[-1].split()[4] == str(4 * sums(ROWS)[0])


@pytest.mark.parametrize("command, status", [
    (["true"], 0), (["false"], 1), (["sh", "-c", "exit 77"], 77), (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
    (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL)])
def test_status_of_the_command(host, command, status):
    result = host.run("--", *command)
    assert (result.returncode, result.stderr) == (status, "")
    assert result.stdout.startswith("host: ")


def test_command_that_cannot_run(host):
    check_refused(host.run("--", "/nowhere/at-all"), 127, "cannot run '/nowhere/at-all'")
    check_refused(host.run("--", "/"), 126, "cannot run '/'")


def test_command_that_is_interrupted(host):
    """^C is for the command; what happened until then is shown."""
    tool = subprocess.Popen([ASAN, "--debugfs", host.path, "--", "sh", "-c", "echo go; exec sleep 60"], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert tool.stdout.readline() == "go\n"
    os.killpg(tool.pid, signal.SIGINT)
    out, err = tool.communicate(timeout=pace.limit(30))
    assert (tool.returncode, err) == (128 + signal.SIGINT, "")
    assert out.startswith("host: ")


def test_vm_that_begins_counts_whole(host):
    (host.path / "kvm/300-5").rename(host.path.parent / "later")
    result = during(host, f"mv {host.path.parent}/later {host.path}/kvm/300-5", "--vm", "*", "--json")
    scopes = {s["vm"]: s["total"]["exits"] for s in validated(check_ok(result))["scopes"]}
    assert scopes == {"100-11": 0, "200-12": 0, "300-5": 3 * sums(ROWS)[0]}


def test_vm_that_ends_is_left_out(host):
    change = f"rm -r {host.path}/kvm/200-12"
    scopes = validated(check_ok(during(host, change, "--vm", "*", "--json")))["scopes"]
    assert [s["vm"] for s in scopes] == ["100-11", "300-5"]


def test_named_vm_that_ends(host):
    result = during(host, f"rm -r {host.path}/kvm/200-12", "--vm", "200")
    check_refused(result, 1, "VM 200 ended")


@pytest.mark.parametrize("how", ["inode", "start", "counters"])
def test_process_id_that_comes_again(host, how):
    """Another VM with the same <pid>-<fd> has nothing to do with the first."""
    old = host.path / "kvm/200-12/vm_exit_stats"
    more = host.path.parent / "more"
    more.write_text(text_of(grown(ROWS, 1 if how == "counters" else 7), scope="vm", guest_cycles=1))
    change = f"cp {more} {old}\n"
    if how == "inode":
        # As with debugfs, whose inodes do not come again.
        change = f"mkdir {more}.dir; cp {more} {more}.dir/exit_stats; rm -r {old.parent}; mv {more}.dir {old.parent}\n"
    if how == "start":
        put_process(host, 201, "", start=5000)
        change += f"cp {host.path.parent}/proc/201/stat {host.path.parent}/proc/200/stat\n"
    out = validated(check_ok(during(host, change, "--vm", "200", "--json")))
    assert scope(out)["total"]["exits"] == (1 if how == "counters" else 7) * sums(ROWS)[0]
    assert ", new" in check_ok(during(host, change, "--vm", "200")) or how != "inode"


def test_vm_that_is_gone_while_it_is_listed(host):
    """The directory is there, and its files are not any more."""
    (host.path / "kvm/200-12/vm_exit_stats").unlink()
    for command in "show", "list":
        out = validated(check_ok(host.run(command, "--vm", "*", "--json")))
        assert [s["vm"] for s in out["scopes"]] == ["100-11", "300-5"]


def test_vms_that_come_and_go_all_the_time(host):
    """No error and no half VM, however the reading and the changes meet."""
    stop = host.path.parent / "stop"
    churn = subprocess.Popen(
        ["sh", "-c", f"cd {host.path}/kvm; cp -r 300-5 ../copy; until [ -e {stop} ]; do "
         "cp -r ../copy 400-1; mv 400-1 500-1; rm -r 500-1; done"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(60):
            # cp makes a file and fills it, which the kernel never does.
            result = host.run("list", "--vm", "500-*", "--vm", "100", "--vcpu", "all", "--json", program=SHARED)
            out = validated(check_ok(result))
            assert {s["exits"] // sums(ROWS)[0] for s in out["scopes"]} <= {1, 2, 3}
            assert out["scopes"][0]["vm"] == "100-11"
    finally:
        stop.touch()
        churn.wait()


# Formats


def test_csv(host):
    put_process(host, 200, 'qemu\0-name\0guest==a,,"b"\0')
    text = check_ok(host.run("--host", "--vm", "*", "--csv"))
    rows = list(csv.DictReader(io.StringIO(text), strict=True))
    assert len(rows) == 4 * len(ROWS)
    assert {None} not in [set(row) for row in rows]
    assert sum(int(row["EXITS"]) for row in rows if row["SCOPE"] == "host") == 10 * sums(ROWS)[0]
    assert {row["VM_NAME"] for row in rows} == {"", "web1", "'=a,\"b\"", "fc-1"}
    for row, (number, name, *counts) in zip([r for r in rows if r["VM"] == "100-11"],
                                            sorted(ROWS, key=lambda r: (-r[3], -r[2])), strict=True):
        assert row["REASON"] == ("" if number is None else str(number))
        assert row["NAME"] == name
        assert [int(row[c.upper()]) for c in COUNTS] == counts
    rows = list(csv.DictReader(io.StringIO(check_ok(host.run("list", "--csv"))), strict=True))
    assert [row["VCPUS"] for row in rows] == ["1", "2", "3"]


@pytest.fixture(scope="session")
def promtool():
    """Debian's promtool; Debian 12's package would also start a server."""
    package, = images.packages("promtool")
    target = images.LAB / "unpacked" / package
    images.unpack(package, target, 300 << 20)
    return target / "usr/bin/promtool"


METRICS = [["show"], ["show", "--host", "--vm", "*", "--vcpu", "all"], ["list", "--vcpu", "all"],
           ["show", "--units", "cycles"], ["show", "-d", "0.1", "-n", "1"], ["reasons"],
           ["show", "--vm", "nobody*"]]


@pytest.mark.parametrize("args", METRICS, ids=" ".join)
def test_openmetrics(host, promtool, args):
    put_process(host, 200, 'qemu\0-name\0a\\b"c\0')
    out = (run(ASAN, *args, "--openmetrics") if args == ["reasons"] else
           host.run(*args, "--openmetrics"))
    assert out.returncode == 0
    assert out.stdout.endswith("# EOF\n") and out.stdout.count("# EOF") == 1
    checked = run(promtool, "check", "metrics", input=out.stdout)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    check_openmetrics(out.stdout)


def check_openmetrics(text):
    """Rules of OpenMetrics 1.0 that promtool, which reads another format, does not know."""
    families, family = {}, None
    for line in text.splitlines():
        if line == "# EOF":
            continue
        if line.startswith("#"):
            kind, name, value = line[2:].split(" ", 2)
            assert kind in ("TYPE", "HELP")
            if name != family:
                assert name not in families, f"{name} stands in two places"
                family, families[name] = name, {}
            assert kind not in families[name]
            families[name][kind] = value
            continue
        name = re.match(r"[a-z0-9_]+", line)[0]
        # A gauge's and an unknown's samples have the family's name.
        assert name == family
        assert families[name].get("TYPE", "gauge") == "gauge"


def samples(text):
    return {(m[1], *sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m[2] or ""))): float(m[3])
            for m in re.finditer(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.M)}


def test_values_of_metrics(host):
    got = samples(check_ok(host.run("--host", "--vm", "*", "--openmetrics")))
    for scope_name, times, labels in [("host", 10, []), ("vm", 2, [("vm", "200-12"), ("vm_name", "db one")])]:
        for number, name, *counts in ROWS:
            key = sorted([("isa", "vmx"), ("reason", "other" if number is None else str(number)),
                          ("name", name), *labels])
            assert got[(f"exitstat_{scope_name}_exits_total", *key)] == counts[0] * times
            assert got[(f"exitstat_{scope_name}_user_seconds_total", *key)] == pytest.approx(
                counts[2] * times / (KHZ * 1e3), abs=1e-9)
    assert got[("exitstat_tsc_hertz",)] == KHZ * 1e3


def test_textfile(host, promtool, tmp_path):
    target = tmp_path / "exitstat.prom"
    os.umask(0o022)
    assert check_ok(host.run("--host", "--vm", "*", "--textfile", target)) == ""
    text = target.read_text()
    assert oct(target.stat().st_mode & 0o777) == "0o644"
    assert "# TYPE exitstat_vm_exits_total counter\n" in text
    checked = run(promtool, "check", "metrics", input=text)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    metrics = check_ok(host.run("--host", "--vm", "*", "--openmetrics"))
    assert samples(text) == samples(metrics)
    # It is replaced by another file, so that nobody sees half of it.
    inode = target.stat().st_ino
    check_ok(host.run("--textfile", target))
    assert target.stat().st_ino != inode
    assert [p.name for p in tmp_path.glob("exitstat*")] == ["exitstat.prom"]


def test_textfile_that_cannot_be_written(host, tmp_path):
    target = tmp_path / "exitstat.prom"
    old = "# HELP exitstat_host_exits_total Old.\n"
    target.write_text(old)
    check_refused(host.run("--textfile", tmp_path / "nowhere/x"), 1, "cannot write", "No such file")
    result = host.run("--textfile", target, program=SHARED, preexec_fn=small_files)
    check_refused(result, 1, f"cannot write {target}", "File too large")
    assert target.read_text() == old
    assert [p.name for p in tmp_path.glob("exitstat*")] == ["exitstat.prom"]
    # Nothing is known, so nothing is written: what was there is older, not wrong.
    (host.path / "kvm/exit_stats").write_text("damaged\n")
    check_refused(host.run("--textfile", target), 1, "line 1")
    assert target.read_text() == old


def small_files():
    """For a process whose files can have 100 bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


# Schemas


def test_schema_of_recordings_and_differences(host):
    recording = host.path.parent / "recording.jsonl"
    result = host.run("record", "-o", recording, "-d", "0.05", "-n", "3", "--vcpu", "all", "--latency")
    assert result.returncode == 0
    lines = recording.read_text().splitlines()
    assert len(lines) == 6
    for line in lines:
        validated(line, "exitstat.recording")
    for schema in (SRC / "schema").iterdir():
        jsonschema.Draft202012Validator.check_schema(json.loads(schema.read_text()))
    snapshot = host.path.parent / "snapshot.json"
    snapshot.write_text(check_ok(host.run("--json")))
    for path in recording, snapshot:
        out = validated(check_ok(run(ASAN, "diff", "--json", path, path)))
        assert {"a", "b", "total"} <= set(out)
    check_ok(run(ASAN, "report", recording, "--json"))


def test_schemas_refuse_what_is_wrong(tree):
    """Or they would say nothing."""
    tree.put(text_of())
    good = json.loads(check_ok(tree.run("--json")))
    for change in ({"version": 2}, {"schema": "x"}, {"time": "today"}, {"seconds": 0}, {"units": "s"},
                   {"scopes": [{**scope(good), "total": {"exits": -1}}]},
                   {"scopes": [{**scope(good), "reasons": [{"reason": "10", "name": "CPUID", "exits": 1}]}]}):
        with pytest.raises(jsonschema.ValidationError):
            validated(json.dumps({**good, **change}), "exitstat.show")


# reasons


@pytest.mark.parametrize("isa", ["vmx", "svm"])
def test_reasons(isa):
    out = validated(check_ok(run(ASAN, "reasons", "--isa", isa, "--json")))
    numbers = [row["reason"] for row in out["reasons"]]
    assert numbers == sorted(set(numbers))
    undefined = {row["reason"] for row in out["reasons"] if row["defined"] == "no"}
    if isa == "vmx":
        # From the SDM.
        assert numbers == list(range(86))
        assert undefined == {35, 38, 42, 71, 82, 83}
    else:
        assert not undefined
    header = subprocess.run(["gcc", "-E", "-include", f"asm/{isa}.h", "-x", "c", "-"], check=True, text=True,
                            input=f"{isa.upper()}_EXIT_REASONS\n", capture_output=True).stdout
    names = [name.replace(" ", "_") for name in re.findall(r'"([^"]+)"', header.splitlines()[-1])]
    assert len(names) > 60
    # The kernel also has names for what SVM's guests write into a GHCB.
    names = {name for name in names if not name.startswith("vmgexit_")}
    assert {row["name"] for row in out["reasons"]} - {None} == names
    table = [line.split() for line in check_ok(run(STATIC, "reasons", "--isa", isa)).splitlines()]
    assert table[0] == ["REASON", "HEX", "NAME", "DEFINED"]
    assert [(int(line[0]), int(line[1], 16)) for line in table[1:]] == [(n, n) for n in numbers]


def test_reasons_that_match():
    out = check_ok(run(ASAN, "reasons", "--isa", "vmx", "--reason", "*msr*", "--csv"))
    assert [line.split(",")[2] for line in out.split()[1:]] == ["MSR_READ", "MSR_WRITE", "MSR_LOAD_FAIL"]


def test_reasons_without_isa():
    out = validated(check_ok(run(ASAN, "reasons", "--json")))
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    assert out["isa"] == ("svm" if "AuthenticAMD" in flags or "HygonGenuine" in flags else "vmx")


# In a guest


def test_guest_differences(tmp_path, programs):
    """Our own CPUID exits are all that happens in the model."""
    model = tmp_path / "model"
    model.write_text("hypervisor0 KVMKVMKVM\nleaves 1\ntop 1342177279\nabi 1\nend 86\nsvm 0\nhost 0\n"
                     "khz 2893202\nrow 1 50 5000\nrow 10 100 100000\n")
    for args in ["-d", "0.1", "-n", "2"], ["--", "true"]:
        result = run(MODEL, "guest", "--json", *args, env={"CPUID_MODEL": str(model)})
        documents = [validated(line, "exitstat.show") for line in check_ok(result).splitlines()]
        for document in documents:
            rows = scope(document)["reasons"]
            assert [row["name"] for row in rows] == ["CPUID"]
            assert 100 < rows[0]["exits"] < 400


@pytest.mark.parametrize("host,words", [(0, "this VM was moved"), (1, "KVM was loaded anew")])
def test_guest_that_is_moved(tmp_path, programs, host, words):
    """Its counters begin anew on another host, and then no difference is one: not 2^64 less something."""
    model = tmp_path / "model"
    model.write_text(f"hypervisor0 KVMKVMKVM\nleaves 1\ntop 1342177279\nabi 1\nend 86\nsvm 0\nhost {host}\n"
                     "khz 2893202\ngeneration 7\nmove 150\nrow 1 50000 5000000\nrow 10 100000 100000000\n")
    result = run(MODEL, "guest", "--json", "-d", "0.1", "-n", "2", env={"CPUID_MODEL": str(model)})
    assert result.returncode == 0 and result.stderr.count(words) == 1
    documents = [validated(line, "exitstat.show") for line in result.stdout.splitlines()]
    for document in documents:
        assert [row["name"] for row in scope(document)["reasons"]] == ["CPUID"]
        assert 0 < scope(document)["total"]["exits"] < 1000
