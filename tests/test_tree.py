"""tests/tree.py: what it makes is what KVM would, and holds together."""
import json
import os
import re
import subprocess
import sys

import pytest

import pace
import tree as trees
from kvmtext import file_of
from paths import BUILD, TOP
from tree import COLUMNS, EXITS, HANDLE, PREEMPTED, TIMES, U64, USER, WAIT, Tree

EXITSTAT = BUILD / "exitstat-asan"
ENV = {"PATH": os.environ["PATH"], "ASAN_OPTIONS": "exitcode=99", "UBSAN_OPTIONS": "exitcode=99"}


@pytest.fixture(params=("vmx", "svm"))
def tree(request, tmp_path):
    return Tree(tmp_path / "tree", vms=11, vcpus=3, reasons=20, isa=request.param, seed=7)


def exitstat(tree, *args):
    done = subprocess.run([EXITSTAT, *args, "--debugfs", tree.debugfs, "--procfs", tree.procfs],
                          env=ENV, capture_output=True, text=True, timeout=pace.limit(60), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def document(tree, *args):
    return json.loads(exitstat(tree, *args, "--json"))["scopes"]


def read_stats(path):
    """Header, and rows by number, of exit_stats; read in another way than it was written."""
    title, columns, *lines = path.read_text().splitlines()
    word, *pairs = title.split(" ")
    assert word == "exit_stats"
    assert columns.split() == ["reason", "name", *COLUMNS]
    # printf's "%6s %-26s" and " %16llu" for each column
    for line in lines:
        assert re.fullmatch(r" *(\d+|-) \S+ *( +\d+){7}", line) and line[6] == " "
        assert len(line) == len(columns) or max(map(len, line.split()[2:])) > 16
    rows = {}
    for number, _, *counts in map(str.split, lines[:-1]):
        number = None if number == "-" else int(number)
        assert number not in rows
        rows[number] = [int(count) for count in counts]
        assert any(rows[number])
    assert list(rows) == sorted(rows, key=lambda number: (number is None, number))
    number, name, *total = lines[-1].split()
    assert (number, name) == ("-", "TOTAL")
    assert [int(count) for count in total] == [
        sum(column) % U64 for column in zip(*rows.values())] or not rows
    return dict(pair.split("=") for pair in pairs), rows


def read_latency(path):
    """Exits by number, time and bucket's beginning; and the longest by number and time."""
    title, columns, *lines = path.read_text().splitlines()
    assert title.startswith("exit_latency version=1 ")
    assert columns.split() == ["reason", "name", "time", "exits", "max_cycles", "from_cycles",
                               "below_cycles"]
    buckets, longest = {}, {}
    for number, _, time, exits, most, start, end in map(str.split, lines):
        number = None if number == "-" else int(number)
        start, end = int(start), None if end == "-" else int(end)
        assert time in TIMES and int(exits)
        assert (start, end) in [(0, 256), (1 << 30, None)] or (
            end == 2 * start and start.bit_count() == 1 and 256 <= start < 1 << 30)
        assert (number, time, start) not in buckets
        buckets[number, time, start] = int(exits)
        longest[number, time] = int(most)
    return buckets, longest


def added(parts):
    rows = {}
    for part in parts:
        for number, counts in part.items():
            rows[number] = [a + b for a, b in zip(rows.get(number, [0] * 7), counts)]
    return {number: [count % U64 for count in counts] for number, counts in rows.items()}


def check_scope(directory, scope):
    """exit_stats and exit_latency tell of the same exits."""
    prefix = "" if scope == "host" else f"{scope}_"
    keys, rows = read_stats(directory / f"{prefix}exit_stats")
    assert keys["scope"] == scope
    buckets, longest = read_latency(directory / f"{prefix}exit_latency")
    for number, counts in rows.items():
        for time, cycles in (("handle", counts[HANDLE]),
                             ("total", counts[HANDLE] + counts[USER] + counts[PREEMPTED])):
            mine = {start: exits for (n, t, start), exits in buckets.items()
                    if (n, t) == (number, time)}
            assert sum(mine.values()) == counts[EXITS]
            most = longest[number, time]
            assert (sum(start * exits for start, exits in mine.items()) <= cycles
                    <= sum(min(2 * start or 256, most) * exits for start, exits in mine.items()))
    assert {number for number, *_ in buckets} == set(rows)
    return keys, rows


def check_sums(tree, ended=None):
    """vCPUs sum up to their VM, and VMs and those that ended to the host."""
    vms = []
    for vm in tree.vms.values():
        keys, rows = check_scope(vm.dir, "vm")
        parts = [check_scope(vm.dir / f"vcpu{vcpu.number}", "vcpu") for vcpu in vm.vcpus]
        assert rows == added([rows for _, rows in parts])
        for key in "guest_cycles", "clamped", "failed_entries":
            assert int(keys[key]) == sum(int(part[key]) for part, _ in parts)
        vms.append(rows)
    keys, rows = check_scope(tree.kvm, "host")
    assert rows == added([*vms, tree.ended.rows if ended is None else ended])
    return rows


def test_files(tree):
    assert {path.name for path in tree.kvm.iterdir() if path.is_dir()} == set(tree.vms)
    for vm in tree.vms.values():
        assert {path.name for path in vm.dir.iterdir() if path.is_dir()} == {
            f"vcpu{n}" for n in range(3)}
    check_sums(tree)


def test_the_tool_accepts_all_of_it(tree):
    host, = document(tree)
    assert host["scope"] == "host"
    for scope in [host, *document(tree, "--vm", "*"), *document(tree, "--vcpu", "all")]:
        where = "/".join([scope.get("vm", ""), *([f"vcpu{scope['vcpu']}"] if "vcpu" in scope else [])])
        keys, rows = read_stats(tree.kvm / file_of(where))
        assert scope["guest_cycles"] == int(keys["guest_cycles"])
        assert {row["reason"]: [row[name] for name in COLUMNS]
                for row in scope["reasons"]} == rows
    assert len(document(tree, "list")) == 11
    assert len(document(tree, "list", "--vcpu", "all")) == 11 + 33


def test_the_kernels_names(tree):
    """But for those that have none."""
    known = {line.split()[0]: line.split()[2] for line in subprocess.run(
        [EXITSTAT, "reasons", "--isa", tree.isa], env=ENV, capture_output=True, text=True,
        check=True).stdout.splitlines()[1:]}
    for number, name, *_ in trees.REASONS[tree.isa]:
        if number is None:
            assert name == "OTHER"
        else:
            assert name in (known[str(number)], f"UNKNOWN_{number}")


def test_names_of_vms(tree):
    assert {scope["vm"]: scope["vm_name"] for scope in document(tree, "list")} == {
        vm.id: vm.name for vm in tree.vms.values()}
    assert len({vm.comm for vm in tree.vms.values()}) == 4
    for vm in tree.vms.values():
        assert (vm.proc / "comm").read_text() == vm.comm + "\n"
        assert (vm.proc / "stat").read_text().rpartition(") ")[2].split()[19] == str(vm.start_time)


def files(tree):
    return {path.relative_to(tree.path): path.read_bytes()
            for path in tree.path.rglob("*") if path.is_file()}


def live(tree):
    tree.advance(1.5)
    vms = list(tree.vms.values())
    tree.kill(vms[1])
    tree.reuse(vms[2])
    tree.start()
    tree.advance(.25)


def test_the_same_seed_makes_the_same(tmp_path):
    first, second, other = (Tree(tmp_path / name, 5, 2, seed=seed)
                            for name, seed in (("first", 3), ("second", 3), ("other", 4)))
    assert files(first) == files(second)
    live(first)
    live(second)
    assert files(first) == files(second)
    assert files(first) != files(other)


@pytest.mark.parametrize("seconds", [.001, 1, 3600])
def test_advance(tree, seconds):
    before = {vm.id: [read_stats(vm.dir / f"vcpu{n}/vcpu_exit_stats") for n in range(3)]
              for vm in tree.vms.values()}
    host = check_sums(tree)
    tree.advance(seconds)
    now = check_sums(tree)
    assert now != host
    for number, counts in host.items():
        # Modulo 2^64, as with the kernel.
        assert all((b - a) % U64 < U64 / 2 for a, b in zip(counts, now[number]))

    # All time of a vCPU is in one of the phases.
    for vm in tree.vms.values():
        for n, (old_keys, old_rows) in enumerate(before[vm.id]):
            keys, rows = read_stats(vm.dir / f"vcpu{n}/vcpu_exit_stats")
            spent = sum(sum(row[HANDLE:PREEMPTED + 1]) for row in rows.values())
            spent -= sum(sum(row[HANDLE:PREEMPTED + 1]) for row in old_rows.values())
            spent += int(keys["guest_cycles"]) - int(old_keys["guest_cycles"])
            assert spent == int(seconds * tree.tsc_khz * 1000)
            assert all(row[WAIT] == 0 for number, row in rows.items()
                       if number != tree.reasons[0][0])


def test_a_step_has_a_millisecond(tree):
    with pytest.raises(ValueError):
        tree.advance(.0005)


def test_kill(tree):
    host = check_sums(tree)
    vm = list(tree.vms.values())[4]
    tree.kill(vm)
    assert vm.id not in tree.vms and not vm.dir.exists() and not vm.proc.exists()
    # The host has counted it, and what was counted stays.
    assert check_sums(tree) == host
    tree.advance(1)
    check_sums(tree)
    assert vm.id not in {scope["vm"] for scope in document(tree, "list")}


def test_start(tree):
    host = check_sums(tree)
    vm = tree.start(vcpus=2)
    assert len(tree.vms) == 12 and vm.dir.is_dir() and vm.proc.is_dir()
    assert read_stats(vm.dir / "vm_exit_stats")[1] == {}
    assert check_sums(tree) == host
    new, = document(tree, "list", "--vm", vm.id)
    assert (new["exits"], new["vcpus"], new["vm_name"]) == (0, 2, vm.name)
    tree.advance(1)
    check_sums(tree)
    assert document(tree, "list", "--vm", vm.id)[0]["exits"] > 0


def test_reuse(tree):
    old = list(tree.vms.values())[3]
    inode = old.dir.stat().st_ino
    inodes = {vm.dir.stat().st_ino for vm in tree.vms.values()}
    host = check_sums(tree)
    new = tree.reuse(old)
    assert (new.id, new.dir, new.proc) == (old.id, old.dir, old.proc)
    assert new is tree.vms[old.id] and len(tree.vms) == 11
    assert new.start_time > old.start_time and new.name != old.name
    # It is told apart as debugfs tells it apart.
    assert new.dir.stat().st_ino not in inodes and new.dir.stat().st_ino != inode
    assert read_stats(new.dir / "vm_exit_stats")[1] == {}
    assert check_sums(tree) == host


def test_no_inode_comes_again(tree):
    seen = {vm.dir.stat().st_ino for vm in tree.vms.values()}
    for _ in range(20):
        vm = tree.reuse(next(iter(tree.vms.values())))
        inode = vm.dir.stat().st_ino
        assert inode not in seen
        seen.add(inode)


def test_counters_wrap(tree):
    vm = next(iter(tree.vms.values()))
    next(iter(vm.vcpus[0].counters.rows.values()))[HANDLE] = U64 - 5
    vm.vcpus[0].counters.guest_cycles = U64 - 1
    tree.advance(10)
    keys, rows = read_stats(vm.dir / "vcpu0/vcpu_exit_stats")
    assert int(keys["guest_cycles"]) < U64 / 2
    assert all(count < U64 for row in rows.values() for count in row)
    exitstat(tree, "--vcpu", "all")


@pytest.mark.parametrize("reasons", [1, 40])
def test_few_and_many_reasons(tmp_path, reasons):
    for isa in trees.REASONS:
        made = Tree(tmp_path / isa, 1, 2, reasons, isa)
        assert 1 <= len(check_sums(made)) <= reasons
        exitstat(made)


def test_command(tmp_path):
    command = [sys.executable, "-B", TOP / "tests/tree.py", tmp_path / "tree", "--vms", "3",
               "--vcpus", "2", "--isa", "svm", "--seed", "9"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == (f"exitstat list --debugfs {tmp_path}/tree/debug"
                           f" --procfs {tmp_path}/tree/proc\n")
    assert files(Tree(tmp_path / "same", 3, 2, isa="svm", seed=9)) == {
        path.relative_to(tmp_path / "tree"): path.read_bytes()
        for path in (tmp_path / "tree").rglob("*") if path.is_file()}
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert re.fullmatch(r"tree\.py: .+exists.+\n", again.stderr)
