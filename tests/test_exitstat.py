"""The exitstat tool: what it prints, what it refuses, and what it says then."""
import errno
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import time

import pytest

import pace
from tool import (
    ASAN, BUILD, COMMANDS, COUNTS, DATA, ENV, GUEST_CYCLES, HEADING, HEADINGS, L1_ROWS, MODEL,
    OLD_ROWS, RECORDS, ROWS, SHARED, SRC, STATIC, Tree, U64_MAX, check_ok, check_refused, loads,
    run, scope, sums, text_of)

pytestmark = pytest.mark.usefixtures("programs")


def ratio(part, whole, scale, decimals):
    # As in C, where both are doubles before they are divided.
    return f"{scale * float(part) / float(whole):.{decimals}f}" if whole else "-"


SYSFS_HEADING = HEADING.replace("debugfs", "sysfs")


def table_of(rows, heading, guest_cycles=None, counts=None):
    """The table that exitstat should print, made in another way."""
    counts = counts or len(rows[0]) - 2
    total = sums(rows) or [0] * counts
    lost = counts >= 5

    def lost_of(row):
        """What handle, user and preempted take, if all are known."""
        return row[1] + row[2] + row[4] if lost else 0

    # Each count wraps as the kernel's do, and so does their sum.
    ordered = sorted(rows, key=lambda r: (-(lost_of(r[2:]) % 2**64), -r[3], -r[2], r[0] is None, r[0]))
    if not any(total[5:]):
        counts = min(counts, 5)
    lines = [["REASON", "NAME", *(["%LOST", "LOST_CYCLES"] if lost else []), "EXITS", "%EXITS",
              "CYCLES/EXIT", "HANDLE_CYCLES", "%HANDLE", *HEADINGS[2:counts]]]
    for number, name, *cells in [*ordered, (None, "TOTAL", *total)]:
        e, c, *more = cells
        lines.append(["-" if number is None else str(number), name,
                      *([ratio(lost_of(cells), lost_of(total), 100, 2), str(lost_of(cells) % 2**64)]
                        if lost else []),
                      str(e % 2**64), ratio(e, total[0], 100, 2), ratio(c, e, 1, 0),
                      str(c % 2**64), ratio(c, total[1], 100, 2),
                      *(str(m % 2**64) for m in more[:counts - 2])])
    widths = [max(map(len, column)) for column in zip(*lines)]
    heading += "\n"
    if guest_cycles is not None:
        times = [guest_cycles, *total[1:5]]
        heading += "vCPU time: " + ", ".join(
            f"{name} {ratio(time, sum(times), 100, 2)} %" for name, time in
            zip(["guest", "handle", "user", "wait", "preempted"], times)) + "\n"
    return heading + "".join(
        " ".join(cell.ljust(width) if i == 1 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(line, widths))) + "\n"
        for line in lines)


def json_of(rows, scope="host", vm=None, isa="vmx", tsc_khz=2893202,
            enabled=True, failed_entries=0, clamped=0, guest_cycles=None,
            counts=None, source="debugfs"):
    """What `exitstat show --json` should say, but for the time."""
    counts = counts or len(rows[0]) - 2

    def counted(cells):
        result = dict(zip(COUNTS, [n % 2**64 for n in cells], strict=False))
        if len(cells) >= 5:
            result["lost_cycles"] = (cells[1] + cells[2] + cells[4]) % 2**64
        return result

    result = {"scope": scope, "failed_entries": failed_entries,
              "clamped": clamped,
              "reasons": [{"reason": number, "name": name, **counted(cells)}
                          for number, name, *cells in rows],
              "total": counted(sums(rows) or [0] * counts)}
    if vm:
        result["vm"] = vm
    if guest_cycles is not None:
        result["guest_cycles"] = guest_cycles
    return {"schema": "exitstat.show", "version": 1, "seconds": None,
            "units": "cycles", "source": source, "isa": isa,
            "tsc_khz": tsc_khz, "clock": "tsc", "enabled": enabled, "scopes": [result]}


# What is printed


@pytest.mark.parametrize("program", [SHARED, STATIC, ASAN],
                         ids=lambda path: path.name)
@pytest.mark.parametrize("command", [[], ["show"]], ids=["", "show"])
@pytest.mark.parametrize("rows", [ROWS, L1_ROWS],
                         ids=["nested", "not nested"])
def test_table(tree, program, command, rows):
    tree.put(text_of(rows))
    out = check_ok(tree.run(*command, program=program))
    assert out == table_of(rows, HEADING, GUEST_CYCLES)
    assert ("L2_" in out) == (rows is ROWS)


@pytest.mark.parametrize("program", [STATIC, ASAN], ids=lambda path: path.name)
def test_first_kernels(tree, program):
    """They have two columns and no guest_cycles."""
    tree.put(text_of(OLD_ROWS))
    assert check_ok(tree.run(program=program)) == table_of(OLD_ROWS, HEADING)
    out = check_ok(tree.run("--json", program=program))
    assert loads(out) == json_of(OLD_ROWS)
    assert "user_cycles" not in out and "guest_cycles" not in out


@pytest.mark.parametrize("without", COUNTS[2:])
def test_each_later_column_may_be_missing(tree, without):
    at = 2 + COUNTS.index(without)
    lines = text_of().splitlines()
    cells = [line.split() for line in lines[1:]]
    tree.put("\n".join([lines[0], *(" ".join(line[:at] + line[at + 1:])
                                    for line in cells)]) + "\n")
    expected = json_of(ROWS, guest_cycles=GUEST_CYCLES)
    for row in *scope(expected)["reasons"], scope(expected)["total"]:
        del row[without]
        # Of what is not known there is no sum.
        if without in ("user_cycles", "preempted_cycles"):
            del row["lost_cycles"]
    assert loads(check_ok(tree.run("--json"))) == expected
    out = check_ok(tree.run()).splitlines()
    # Without one of the phases the shares of all time are not known.
    assert out[1].startswith("vCPU time: ") == without.startswith("l2_")
    heading = next(line for line in out if "REASON" in line).split()
    assert [name for name in HEADINGS if name not in heading] == [
        without.upper()]


@pytest.mark.parametrize("guest_cycles", [0, 2**32 - 1, 2**32, U64_MAX])
def test_guest_cycles(tree, guest_cycles):
    tree.put(text_of(guest_cycles=guest_cycles))
    assert check_ok(tree.run()) == table_of(ROWS, HEADING, guest_cycles)
    assert loads(check_ok(tree.run("--json"))) == json_of(
        ROWS, guest_cycles=guest_cycles)


def test_guest_cycles_of_the_first_columns(tree):
    tree.put(text_of(OLD_ROWS, guest_cycles=5))
    assert check_ok(tree.run()) == table_of(OLD_ROWS, HEADING)
    assert loads(check_ok(tree.run("--json"))) == json_of(
        OLD_ROWS, guest_cycles=5)


def test_one_l2_exit_shows_both_columns(tree):
    rows = [(*row[:7], int(row[0] == 12), 0) for row in ROWS]
    tree.put(text_of(rows))
    assert check_ok(tree.run()) == table_of(rows, HEADING, GUEST_CYCLES)


def test_row_without_exits(tree):
    """The time since accounting was switched on may be all that it has."""
    rows = [(12, "HLT", 0, 0, 0, 77, 0, 0, 0)]
    tree.put(text_of(rows))
    assert check_ok(tree.run()) == table_of(rows, HEADING, GUEST_CYCLES)


def test_table_of_the_manual(tree):
    tree.put(text_of([(10, "CPUID", 10000, 10513702, 0, 0, 0, 0, 0),
                      (12, "HLT", 431, 1700000, 0, 500000000, 0, 0, 0),
                      (30, "IO_INSTRUCTION", 10412, 13992321, 88000123, 0,
                       12345, 0, 0)]))
    out = check_ok(tree.run())
    manual = "".join(page.read_text() for page in (SRC / "man").glob("*.8"))
    assert f"# exitstat\n{out}" in manual.replace("\\-", "-")


def test_order(tree):
    tree.put(text_of())
    names = [line.split()[1]
             for line in check_ok(tree.run()).splitlines()[3:]]
    assert names == ["IO_INSTRUCTION", "CPUID", "EXTERNAL_INTERRUPT", "HLT",
                     "INVALID_STATE", "EXCEPTION_NMI", "OTHER", "TOTAL"]


@pytest.mark.parametrize("program", [STATIC, ASAN], ids=lambda path: path.name)
def test_json(tree, program):
    tree.put(text_of(failed_entries=3, clamped=U64_MAX))
    out = check_ok(tree.run("--json", program=program))
    assert loads(out) == json_of(ROWS, failed_entries=3, clamped=U64_MAX,
                                      guest_cycles=GUEST_CYCLES)
    assert out.endswith("}\n")


def test_json_has_the_numbers_order(tree):
    tree.put(text_of(ROWS[::-1]))
    assert loads(check_ok(tree.run("--json"))) == json_of(
        ROWS, guest_cycles=GUEST_CYCLES)


def test_json_is_exact(tree):
    rows = [(1, "EXTERNAL_INTERRUPT", 2**53 + 1, U64_MAX - 2),
            (4294967295, "UNKNOWN_4294967295", 1, 2)]
    tree.put(text_of(rows))
    assert loads(check_ok(tree.run("--json"))) == json_of(rows)


@pytest.mark.parametrize("value", [2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**53 + 1,
                                   2**63 - 1, 2**63, U64_MAX])
@pytest.mark.parametrize("program", [STATIC, ASAN], ids=lambda path: path.name)
def test_large_numbers(tree, program, value):
    rows = [(10, "CPUID", *[value] * 7)]
    tree.put(text_of(rows, guest_cycles=value))
    assert check_ok(tree.run(program=program)) == table_of(rows, HEADING, value)
    out = check_ok(tree.run("--json", program=program))
    assert loads(out) == json_of(rows, guest_cycles=value)
    # What is lost is three of them, which may be one again.
    assert len(re.findall(rf":{value}\b", out)) == 15 + 2 * (3 * value % 2**64 == value)


def test_failed_entries_and_clamped_stand_in_the_heading(tree):
    tree.put(text_of(failed_entries=4, clamped=5, tsc_khz=1000))
    assert check_ok(tree.run()).startswith(
        "host: vmx, TSC 1.000 MHz, failed entries 4, clamped 5, from debugfs\n")


@pytest.mark.parametrize("program", [STATIC, ASAN], ids=lambda path: path.name)
def test_no_exits(tree, program):
    tree.put(text_of([], guest_cycles=0))
    # 0 of 0 is no share, so there is no line with shares.
    assert check_ok(tree.run(program=program)) == table_of(
        [], HEADING.replace(", from", ", no exits so far, from"), counts=7)
    out = check_ok(tree.run("--json", program=program))
    assert loads(out) == json_of([], counts=7, guest_cycles=0)


def test_exits_without_cycles(tree):
    rows = [(12, "HLT", 1, 0)]
    tree.put(text_of(rows))
    assert check_ok(tree.run()) == table_of(
        rows, "host: vmx, TSC 2893.202 MHz, from debugfs")


@pytest.mark.parametrize("program", [STATIC, ASAN], ids=lambda path: path.name)
def test_svm(tree, program):
    rows = [(0x41, "DB_excp", 5, 500, 0, 0, 0, 0, 0),
            (0x72, "cpuid", 3, 300, 0, 0, 0, 0, 0),
            (0x400, "npf", 7, 700, 8, 9, 10, 1, 2),
            (4294967294, "UNKNOWN_4294967294", 1, 2, 3, 4, 5, 0, 0),
            (4294967295, "invalid_guest_state", 1, 20, 0, 0, 0, 1, 20)]
    tree.put(text_of(rows, isa="svm"))
    assert check_ok(tree.run(program=program)) == table_of(
        rows, "host: svm, TSC 2893.202 MHz, from debugfs", GUEST_CYCLES)
    out = check_ok(tree.run("--json", program=program))
    assert loads(out) == json_of(rows, isa="svm",
                                      guest_cycles=GUEST_CYCLES)


def test_sums_that_wrapped_as_the_kernels_do(tree):
    rows = [(10, "CPUID", *[U64_MAX] * 7), (12, "HLT", *[U64_MAX] * 7)]
    tree.put(text_of(rows))
    total = scope(loads(check_ok(tree.run("--json"))))["total"]
    assert total.pop("lost_cycles") == 3 * (U64_MAX - 1) % 2**64
    assert set(total.values()) == {U64_MAX - 1}
    # The shares are those of what was counted, not of what it wrapped to.
    out = check_ok(tree.run())
    assert out == table_of(rows, HEADING, GUEST_CYCLES)
    assert out.count(" 50.00 ") == 6 and out.count(" 100.00 ") == 3


@pytest.mark.parametrize("name", COUNTS)
def test_each_total_is_checked(tree, name):
    for rows in ROWS, [(10, "CPUID", *[U64_MAX] * 7), (12, "HLT", *[2] * 7)]:
        for off in 1, -1, 2**63:
            total = sums(rows)
            total[COUNTS.index(name)] += off
            tree.put(text_of(rows, total=[n % 2**64 for n in total]))
            check_refused(tree.run(program=SHARED), 1,
                          f"TOTAL's {name} are not the sum of the rows")


@pytest.mark.parametrize("args", [[], ["--json"]], ids=["table", "json"])
def test_switched_off(tree, args):
    tree.put(text_of(enabled=0))
    result = tree.run(*args)
    assert result.returncode == 0
    assert re.fullmatch("exitstat: exit accounting is off.*exit_stats\n",
                        result.stderr)
    if args:
        assert loads(result.stdout) == json_of(
            ROWS, enabled=False, guest_cycles=GUEST_CYCLES)
    else:
        assert result.stdout == table_of(ROWS, HEADING, GUEST_CYCLES)


def test_later_kernels(tree):
    """Unknown keys, and columns after those that are known."""
    lines = text_of().splitlines()
    lines[0] = lines[0].replace(" isa=", " epoch= isa=") + " l2=1 note=a=b"
    lines[1] += " l3_exits   wait"
    lines[2:] = [f"{line} {i} -" for i, line in enumerate(lines[2:])]
    tree.put("\n".join(lines) + "\n")
    assert loads(check_ok(tree.run("--json"))) == json_of(
        ROWS, guest_cycles=GUEST_CYCLES)


def test_columns_are_found_by_name(tree):
    head = text_of([], counts=2).splitlines()[0]
    tree.put(head + "\nhandle_cycles reason new name exits\n"
             "500 65 x DB_excp 5\n7 10 - CPUID 1\n507 - - TOTAL 6\n")
    assert loads(check_ok(tree.run("--json"))) == json_of(
        [(10, "CPUID", 1, 7), (65, "DB_excp", 5, 500)])
    tree.put(head + "\nl2_exits wait_cycles name exits x reason handle_cycles\n"
             "1 2 CPUID 3 4 10 5\n1 2 TOTAL 3 4 - 5\n")
    row = {"exits": 3, "handle_cycles": 5, "wait_cycles": 2, "l2_exits": 1}
    out = loads(check_ok(tree.run("--json")))
    assert scope(out)["reasons"] == [{"reason": 10, "name": "CPUID", **row}]
    assert scope(out)["total"] == row


def test_locale_changes_nothing(tree):
    tree.put(text_of())
    plain = check_ok(tree.run())
    for name in run("locale", "-a").stdout.split():
        assert check_ok(tree.run(program=SHARED,
                                 env={"LC_ALL": name})) == plain


def test_a_narrow_terminal_cuts_no_number(tree):
    tree.put(text_of())
    master, slave = os.openpty()
    try:
        import fcntl
        import termios
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 20, 0, 0))
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        assert tree.run("--units", "cycles", program=SHARED, stdout=slave).returncode == 0
        out = os.read(master, 65536).decode()
    finally:
        os.close(master)
        os.close(slave)
    assert out == table_of(ROWS, HEADING, GUEST_CYCLES)


# One VM


@pytest.fixture
def vms(tree):
    tree.put(text_of())
    for i, name in enumerate(["123-4", "12-11", "12-9", "7-3"]):
        tree.put(text_of([(10, "CPUID", i + 1, 10)], scope="vm"), f"kvm/{name}")
    # Neither is a VM, though KVM has files and may have directories there.
    (tree.path / "kvm/exits").write_text("5\n")
    tree.put(text_of(scope="vm"), "kvm/7-x")
    return tree


@pytest.mark.parametrize("vm, name, exits", [
    ("123-4", "123-4", 1), ("123", "123-4", 1), ("12-11", "12-11", 2),
    ("12-9", "12-9", 3), ("7", "7-3", 4)])
def test_vm(vms, vm, name, exits):
    rows = [(10, "CPUID", exits, 10)]
    assert check_ok(vms.run("--vm", vm)) == table_of(
        rows, f"VM {name}: vmx, TSC 2893.202 MHz, from debugfs")
    out = check_ok(vms.run("show", f"--vm={vm}", "--json"))
    assert loads(out) == json_of(rows, scope="vm", vm=name)


@pytest.mark.parametrize("vm", ["1", "1234", "12-1", "12-111", "7-33", "0"])
def test_unknown_vm(vms, vm):
    check_refused(vms.run("--vm", vm), 1, f"there is no VM {vm}:",
                  "choose one of 7-3, 12-9, 12-11, 123-4, or see")


def test_process_with_several_vms(vms):
    assert check_ok(vms.run("--vm", "12")) == "\n".join(
        table_of([(10, "CPUID", exits, 10)], f"VM {name}: vmx, TSC 2893.202 MHz, from debugfs")
        for name, exits in (("12-9", 3), ("12-11", 2)))


def test_unknown_vm_of_many(tree):
    tree.put(text_of())
    for i in range(1, 101):
        tree.put("", f"kvm/{i}-{2**31 - 1}")
    result = tree.run("--vm", "999")
    check_refused(result, 1, "choose one of 1-2147483647, 2-", " more, or see")
    named, more = re.search(r"of (.*) and (\d+) more", result.stderr).groups()
    assert len(named.split(", ")) + int(more) == 100 and len(result.stderr) < 1300


def test_unknown_vm_where_none_runs(tree):
    tree.put(text_of())
    check_refused(tree.run("--vm", "999"), 1, "no VM is running")


@pytest.mark.parametrize("vm", ["-", "1-", "-1", "1-2-3", "7-x", "../kvm",
                                " 7", "7 ", "7-3/", "1" * 5000, "\u0663"])
def test_what_is_no_vm(vms, vm):
    check_refused(vms.run(f"--vm={vm}"), 1, f"there is no VM {vm}: choose")


def test_empty_vm(vms):
    check_refused(vms.run("--vm="), 2, "not a VM")


def test_vm_that_ends_before_it_is_opened(vms):
    (vms.path / "kvm/7-3/vm_exit_stats").unlink()
    check_refused(vms.run("--vm", "7"), 1, "VM 7 ended")


def test_file_of_the_wrong_scope(vms):
    vms.put(text_of(scope="host"), "kvm/7-3")
    check_refused(vms.run("--vm", "7"), 1, "scope is not vm")
    vms.put(text_of(scope="vm"))
    check_refused(vms.run(), 1, "scope is not host")


# Nothing to read


def test_debugfs_not_mounted(tree):
    check_refused(tree.run(), 1, "mount -t debugfs none", tree.path)
    check_refused(tree.run("--vm", "1"), 1, "mount -t debugfs none", tree.path)
    # Where there is no directory, nothing can be mounted.
    tree.path /= "nowhere"
    check_refused(tree.run(), 1, "there is no directory", tree.path, "--debugfs")


@pytest.mark.parametrize("args", [[], ["--vm", "1"]], ids=["host", "vm"])
def test_kvm_not_loaded(tree, args):
    (tree.path / "tracing").mkdir()
    check_refused(tree.run(*args), 1, "modprobe kvm_intel")


@pytest.mark.parametrize("args", [[], ["--vm", "1"]], ids=["host", "vm"])
def test_kvm_without_exit_accounting(tree, args):
    (tree.path / "kvm/1-2").mkdir(parents=True)
    check_refused(tree.run(*args), 77, "whose KVM has exit accounting")


@pytest.mark.parametrize("args", [[], ["--vm", "7"]], ids=["host", "vm"])
def test_no_permission(vms, args):
    if os.getuid():
        pytest.skip("only root can become another user")
    # The user may read neither the checkout nor what is above the tree.
    vms.path.parent.chmod(0o755)
    program = vms.path.parent / "exitstat"
    shutil.copy(STATIC, program)

    def run_as_nobody():
        return subprocess.run(["./exitstat", *args, "--debugfs", "debug",
                               "--sysfs", "sys"],
                              cwd=vms.path.parent, user=65534, group=65534,
                              extra_groups=[], capture_output=True, text=True)

    check_ok(run_as_nobody())
    vms.path.chmod(0o700)
    check_refused(run_as_nobody(), 1, "no permission", "as root")
    if args:
        # Only debugfs has VMs.
        vms.put_sysfs()
        check_refused(run_as_nobody(), 1, "no permission to read debug/kvm/",
                      "as root")
        return

    # The files of sysfs are root's, until the administrator gives them away.
    vms.put_sysfs()
    for path in vms.totals.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o400)
    check_refused(run_as_nobody(), 1, "no permission to read sys/kernel/kvm/",
                  "no permission for debug/kvm/exit_stats", "as root",
                  "administrator", "chgrp")
    for path in vms.totals.rglob("*"):
        if path.is_file():
            os.chown(path, 0, 65534)
            path.chmod(0o440)
    assert check_ok(run_as_nobody(), sysfs_note(
        "no permission for debug/kvm/exit_stats",
        "sys/kernel/kvm/exit_stats")) == table_of(ROWS, SYSFS_HEADING, GUEST_CYCLES)

    (vms.totals / "reason-30/exits").chmod(0o400)
    check_refused(run_as_nobody(), 1, "no permission", "reason-30/exits")
    vms.totals.chmod(0o700)
    check_refused(run_as_nobody(), 1, "no permission to read",
                  "sys/kernel/kvm/exit_stats")
    vms.totals.parent.chmod(0o700)
    check_refused(run_as_nobody(), 1, "no permission to read",
                  "sys/kernel/kvm/exit_stats")


@pytest.fixture(scope="session")
def failing_io(tmp_path_factory):
    path = tmp_path_factory.mktemp("lib") / "failing_io.so"
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                    "-shared", "-fPIC", "-o", path, DATA / "failing_io.c"],
                   check=True)
    return path


def run_failing(tree, failing_io, *args, **env):
    return tree.run(*args, program=SHARED,
                    env={"LD_PRELOAD": str(failing_io),
                         **{k: str(v) for k, v in env.items()}})


def test_short_and_interrupted_reads(vms, failing_io):
    out = check_ok(run_failing(vms, failing_io))
    assert out == table_of(ROWS, HEADING, GUEST_CYCLES)


def test_lockdown(vms, failing_io):
    for args in [], ["--vm", "7"]:
        check_refused(run_failing(vms, failing_io, *args,
                                  FAIL_OPEN=errno.EPERM), 1,
                      "kernel lockdown may be")


def test_other_errors_of_open(vms, failing_io):
    check_refused(run_failing(vms, failing_io, FAIL_OPEN=errno.EMFILE), 1,
                  "cannot read", "Too many open files")


def test_read_error(vms, failing_io):
    for args in [], ["--vm", "7"]:
        check_refused(run_failing(vms, failing_io, *args, FAIL_READ=errno.EIO),
                      1, "cannot read", "Input/output error")


def test_vm_that_ends_while_it_is_read(vms, failing_io):
    result = run_failing(vms, failing_io, "--vm", "7", FAIL_READ=errno.EIO,
                         FAIL_RENAME=vms.path / "kvm/7-3",
                         FAIL_RENAME_TO=vms.path / "kvm/gone")
    check_refused(result, 1, "VM 7 ended")


def test_what_is_no_file(tree):
    path = tree.path / "kvm/exit_stats"
    path.mkdir(parents=True)
    check_refused(tree.run(), 1, "cannot read")
    path.rmdir()
    os.mkfifo(path)
    check_refused(tree.run(), 1, "cannot read")
    path.unlink()
    path.symlink_to("/dev/zero")
    check_refused(tree.run(), 1, "cannot read")


def test_long_paths(tmp_path):
    for length in 3900, 4095, 4096, 100000:
        path = "/" + "a/" * (length // 2)
        for args in [["--debugfs", path, "--sysfs", "/proc"],
                     ["--debugfs", "/proc/x", "--sysfs", path],
                     ["--debugfs", path, "--vm", "1-2"]]:
            check_refused(run(ASAN, *args), 2 if length > 4000 else 1)
    # The longest that is taken leaves room for all that stands below it.
    tree = Tree(tmp_path / "x")
    rest = 4096 - 128 - len(str(tmp_path)) - 1
    parts = (rest - 1) // 100
    tree.sysfs = tmp_path / (("a" * 99 + "/") * parts
                             + "a" * (rest - 100 * parts))
    tree.totals = tmp_path / "sys/kernel/kvm/exit_stats"
    tree.put_sysfs([(2**32 - 1, "invalid_guest_state", *range(1, 8))])
    here = os.open(tmp_path, os.O_RDONLY)
    for name in tree.sysfs.relative_to(tmp_path).parts[:-1]:
        os.mkdir(name, dir_fd=here)
        there = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    os.symlink(tmp_path / "sys", tree.sysfs.name, dir_fd=here)
    os.close(here)
    out = tree.run("--json")
    assert out.returncode == 0, out.stderr
    assert scope(json.loads(out.stdout))["total"]["l2_handle_cycles"] == 7
    tree.sysfs = str(tree.sysfs) + "a"
    check_refused(tree.run("--json"), 2, "too long")


# sysfs instead of debugfs


def sysfs_note(why, where):
    return (f"exitstat: debugfs cannot be read ({why}), showing the host's "
            f"totals from {where}\n")


@pytest.fixture
def sysfs(tree):
    """Totals in sysfs, and no debugfs: its directory is empty."""
    tree.put_sysfs()
    tree.note = sysfs_note(f"it is not mounted on {tree.path}", tree.totals)
    return tree


@pytest.mark.parametrize("program", [SHARED, STATIC, ASAN],
                         ids=lambda path: path.name)
def test_sysfs(sysfs, program):
    assert check_ok(sysfs.run(program=program), sysfs.note) == table_of(
        ROWS, SYSFS_HEADING, GUEST_CYCLES)
    out = check_ok(sysfs.run("show", "--json", program=program), sysfs.note)
    assert loads(out) == json_of(ROWS, guest_cycles=GUEST_CYCLES, source="sysfs")


def test_sysfs_says_the_same_as_debugfs(sysfs):
    values = {"failed_entries": 3, "clamped": U64_MAX, "enabled": 0,
              "guest_cycles": 2**64 - 2, "tsc_khz": 2**32 - 1}
    sysfs.put_sysfs(**values)
    for args in [], ["--json"]:
        first = sysfs.run(*args)
        assert first.stderr.startswith(sysfs.note)
        sysfs.put(text_of(**values))
        second = sysfs.run(*args)
        (sysfs.path / "kvm/exit_stats").unlink()
        (sysfs.path / "kvm").rmdir()
        assert first.returncode == second.returncode == 0
        assert re.sub('"time":"[^"]*"', "", first.stdout).replace("sysfs", "debugfs") == re.sub(
            '"time":"[^"]*"', "", second.stdout)
        assert first.stderr == sysfs.note + second.stderr
        assert "accounting is off" in second.stderr


def test_debugfs_comes_first(sysfs):
    sysfs.put(text_of(OLD_ROWS))
    assert check_ok(sysfs.run()) == table_of(OLD_ROWS, HEADING)
    # What is damaged there is no reason to look elsewhere.
    sysfs.put("nonsense\n")
    check_refused(sysfs.run(), 1, sysfs.path, "line 1")


def test_sysfs_svm(sysfs):
    shutil.rmtree(sysfs.totals)
    rows = [(0x41, "DB_excp", 5, 500, 0, 0, 0, 0, 0),
            (0x400, "npf", 7, 700, 8, 9, 10, 0, 0),
            (4294967295, "invalid_guest_state", 1, 20, 0, 0, 0, 0, 0)]
    sysfs.put_sysfs(rows, unseen=(0x7c, "msr"), isa="svm")
    assert check_ok(sysfs.run(), sysfs.note) == table_of(
        rows, "host: svm, TSC 2893.202 MHz, from sysfs", GUEST_CYCLES)
    out = check_ok(sysfs.run("--json"), sysfs.note)
    assert loads(out) == json_of(rows, isa="svm", source="sysfs",
                                 guest_cycles=GUEST_CYCLES)


@pytest.mark.parametrize("value", [2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**53 + 1,
                                   2**63 - 1, 2**63, U64_MAX])
def test_sysfs_large_numbers(sysfs, value):
    shutil.rmtree(sysfs.totals)
    rows = [(10, "CPUID", *[value] * 7), (12, "HLT", *[2**32 + 1] * 7)]
    sysfs.put_sysfs(rows, guest_cycles=value)
    assert check_ok(sysfs.run(), sysfs.note) == table_of(rows, SYSFS_HEADING, value)
    out = check_ok(sysfs.run("--json"), sysfs.note)
    assert loads(out) == json_of(rows, guest_cycles=value, source="sysfs")
    assert f'"exits":{(value + 2**32 + 1) % 2**64}' in out


def test_sysfs_without_exits(sysfs):
    shutil.rmtree(sysfs.totals)
    sysfs.put_sysfs([], guest_cycles=0)
    assert check_ok(sysfs.run(), sysfs.note) == table_of(
        [], SYSFS_HEADING.replace(", from", ", no exits so far, from"), counts=7)


def test_sysfs_of_later_kernels(sysfs):
    """Files and directories that nobody knows yet."""
    (sysfs.totals / "epoch").write_bytes(b"\0")
    (sysfs.totals / "cpu0").mkdir()
    (sysfs.totals / "reason-10/l3_exits").mkdir()
    assert check_ok(sysfs.run(), sysfs.note) == table_of(
        ROWS, SYSFS_HEADING, GUEST_CYCLES)


def test_sysfs_for_each_trouble_with_debugfs(sysfs, failing_io):
    (sysfs.path / "tracing").mkdir()
    file = sysfs.path / "kvm/exit_stats"
    assert check_ok(sysfs.run(), sysfs_note(
        f"there is no {file}", sysfs.totals))
    (sysfs.path / "kvm").mkdir()
    assert check_ok(sysfs.run(), sysfs_note(
        f"there is no {file}", sysfs.totals))
    sysfs.put(text_of())
    for error, why in (errno.EPERM, f"the kernel forbids {file}"), \
            (errno.EACCES, f"no permission for {file}"):
        assert check_ok(run_failing(sysfs, failing_io, FAIL_OPEN=error),
                        sysfs_note(why, sysfs.totals)) == table_of(
                            ROWS, SYSFS_HEADING, GUEST_CYCLES)
    # These are errors of the machine, not a lack of permission.
    for error in errno.EMFILE, errno.EIO:
        check_refused(run_failing(sysfs, failing_io, FAIL_OPEN=error), 1,
                      f"cannot read {file}")


def test_sysfs_has_no_vms(sysfs):
    check_refused(sysfs.run("--vm", "1"), 1, "mount -t debugfs none")
    (sysfs.path / "tracing").mkdir()
    check_refused(sysfs.run("--vm", "1-2"), 1, "modprobe kvm_intel")
    (sysfs.path / "kvm").mkdir()
    check_refused(sysfs.run("--vm", "1-2"), 77, "whose KVM has exit accounting")


def test_neither_debugfs_nor_sysfs(tree):
    """sysfs may have a kvm, but of a KVM without exit accounting."""
    tree.totals.parent.mkdir(parents=True)
    check_refused(tree.run(), 1, "mount -t debugfs none", tree.path)
    (tree.path / "kvm").mkdir()
    check_refused(tree.run(), 77, "whose KVM has exit accounting")
    tree.totals.parent.rmdir()
    tree.totals.parent.write_text("")
    check_refused(tree.run(), 77, "whose KVM has exit accounting")


FILES = ["version", "isa", "tsc_khz", "enabled", "guest_cycles",
         "failed_entries", "clamped",
         *(f"reason-{which}/{name}" for which in ("10", "2", "other")
           for name in ["name", *COUNTS])]
BAD = {"empty": b"", "newline": b"\n", "two newlines": b"1\n\n",
       "no newline": b"1", "two lines": b"1\n1\n", "NUL": b"\0\n",
       "NUL after": b"1\0\n", "NUL at the end": b"1\n\0",
       "blank": b" 1\n", "blank after": b"1 \n", "words": b"a b\n",
       "carriage return": b"1\r\n", "escape": b"\x1b[2J\n",
       "binary": random.Random(2).randbytes(500) + b"\n",
       "Latin-1": b"\xcf\n", "long": b"1" * 64 + b"\n",
       "page": b"a" * 4095 + b"\n", "oversized": b"0" * 100000 + b"1\n"}
BAD_NUMBER = {"negative": b"-1\n", "signed": b"+1\n", "fraction": b"1.0\n",
              "hexadecimal": b"0x1\n", "word": b"abc\n",
              "too large": b"18446744073709551616\n", "comma": b"1,000\n"}
BAD_NAME = {"number": b"5\n", "dash": b"-\n", "tab": b"A\tB\n"}


@pytest.mark.parametrize("name", FILES)
def test_sysfs_damaged(sysfs, name):
    path = sysfs.totals / name
    good = path.read_bytes()
    word = name.endswith(("name", "isa"))
    for what, bad in {**BAD, **(BAD_NAME if word else BAD_NUMBER)}.items():
        if (name, what) == ("isa", "number"):
            continue
        path.write_bytes(bad)
        result = sysfs.run(program=SHARED)
        check_refused(result, 1, f"{path}: ")
        assert result.stderr[:-1].isprintable(), what
    path.write_bytes(BAD["binary"])
    check_refused(sysfs.run(), 1, f"{path}: ")
    path.write_bytes(BAD["oversized"])
    check_refused(sysfs.run(), 1, f"{path}: File too large")
    path.unlink()
    check_refused(sysfs.run(), 1, f"{path}: the file is missing")
    path.mkdir()
    check_refused(sysfs.run(), 1, f"cannot read {path}")
    path.rmdir()
    os.mkfifo(path)
    check_refused(sysfs.run(), 1, f"cannot read {path}")
    path.unlink()
    path.symlink_to("/dev/zero")
    check_refused(sysfs.run(), 1, f"cannot read {path}")
    path.unlink()
    path.write_bytes(good)
    check_ok(sysfs.run(), sysfs.note)


@pytest.mark.parametrize("name, value", [
    ("version", 0), ("tsc_khz", 2**32), ("enabled", 2), ("isa", "x" * 16),
    ("isa", "a-b"), ("reason-10/name", "X" * 64)])
def test_sysfs_values_out_of_range(sysfs, name, value):
    (sysfs.totals / name).write_text(f"{value}\n")
    check_refused(sysfs.run(), 1, f"{sysfs.totals / name}: ")


def test_sysfs_newer_version(sysfs):
    shutil.rmtree(sysfs.totals)
    sysfs.totals.mkdir()
    (sysfs.totals / "version").write_text("2\n")
    check_refused(sysfs.run(), 1, f"{sysfs.totals}/version", "format version 2",
                  "update exitstat")


@pytest.mark.parametrize("name", [
    "", "x", "-1", "+1", "010", "0x10", " 10", "10 ", "4294967296", "Other",
    "99999999999999999999", "1" * 200, "other2", "1\n", "\u0663"])
def test_sysfs_what_is_no_reason(sysfs, name):
    (sysfs.totals / "reason-10").rename(sysfs.totals / f"reason-{name}")
    result = sysfs.run()
    check_refused(result, 1, sysfs.totals)
    assert result.stderr[:-1].isprintable()


def test_sysfs_half_made(sysfs):
    """KVM makes the directory of OTHER last."""
    shutil.rmtree(sysfs.totals / "reason-other")
    check_refused(sysfs.run(), 1, "reason-other is missing")
    for path in sysfs.totals.glob("reason-*"):
        shutil.rmtree(path)
    check_refused(sysfs.run(), 1, "reason-other is missing")


def test_sysfs_reason_that_is_a_file(sysfs):
    (sysfs.totals / "reason-3").write_text("1\n")
    check_refused(sysfs.run(), 1, f"cannot read {sysfs.totals}/reason-3/")


def test_sysfs_that_is_no_directory(sysfs):
    shutil.rmtree(sysfs.totals)
    sysfs.totals.write_text("1\n")
    check_refused(sysfs.run(), 1, f"cannot read {sysfs.totals}:")
    sysfs.totals.unlink()
    sysfs.totals.mkdir()
    check_refused(sysfs.run(), 1, f"{sysfs.totals}/version: ", "missing")


def test_sysfs_short_and_interrupted_reads(sysfs, failing_io):
    (sysfs.totals / "guest_cycles").write_text(f"{U64_MAX}\n")
    assert check_ok(run_failing(sysfs, failing_io, FAIL_NAME="guest_cycles"),
                    sysfs.note) == table_of(ROWS, SYSFS_HEADING, U64_MAX)


@pytest.mark.parametrize("name", ["version", "clamped", "name",
                                  "l2_handle_cycles"])
def test_sysfs_errors(sysfs, failing_io, name):
    for failure in {"FAIL_OPEN": errno.EIO}, \
            {"FAIL_READ": errno.EIO, "FAIL_AFTER": 0}:
        check_refused(run_failing(sysfs, failing_io, FAIL_NAME=name, **failure),
                      1, "cannot read", f"/{name}: Input/output error")


@pytest.mark.parametrize("name", ["version", "isa", "clamped", "name", "exits",
                                  "l2_handle_cycles"])
@pytest.mark.parametrize("again", [False, True], ids=["gone", "back again"])
def test_sysfs_that_ends_while_it_is_read(sysfs, failing_io, name, again):
    """The module kvm may be removed, and even be loaded again."""
    first, second, link = (sysfs.sysfs / n for n in ("first", "second", "link"))
    shutil.move(sysfs.totals, first)
    shutil.copytree(first, second)
    # sysfs gives ENOENT to those who open, and ENODEV to those who read.
    for failure in {"FAIL_OPEN": errno.ENOENT}, \
            {"FAIL_READ": errno.ENODEV, "FAIL_AFTER": 0}, \
            {"FAIL_READ": errno.ENODEV, "FAIL_AFTER": 1}:
        sysfs.totals.unlink(missing_ok=True)
        sysfs.totals.symlink_to(first)
        if again:
            link.symlink_to(second)
            rename = {"FAIL_RENAME": link, "FAIL_RENAME_TO": sysfs.totals}
        else:
            rename = {"FAIL_RENAME": sysfs.totals, "FAIL_RENAME_TO": link}
        result = run_failing(sysfs, failing_io, FAIL_NAME=name, **failure,
                             **rename)
        check_refused(result, 1, f"{sysfs.totals} ended while it was read")
        assert link.is_symlink() != again
        link.unlink(missing_ok=True)


@pytest.mark.parametrize("after", [0, 1, 8, 12])
def test_sysfs_list_that_ends_early(sysfs, failing_io, after):
    """A directory that is removed may end its list without an error."""
    # The first three entries are those of debugfs's empty directory.
    result = run_failing(sysfs, failing_io, FAIL_READDIR=after + 3,
                         FAIL_RENAME=sysfs.totals,
                         FAIL_RENAME_TO=sysfs.totals.with_name("old"))
    check_refused(result, 1, f"{sysfs.totals} ended while it was read")
    sysfs.totals.with_name("old").rename(sysfs.totals)
    check_refused(run_failing(sysfs, failing_io, FAIL_READDIR=after + 3,
                              FAIL_READDIR_ERRNO=errno.EIO), 1,
                  f"cannot read {sysfs.totals}: Input/output error")


# Damaged files


def lines_with(number, line):
    """The text with one line, counted from 1, replaced."""
    lines = text_of().splitlines()
    lines[number - 1] = line
    return "\n".join(lines) + "\n"


HEAD, COLUMNS = text_of().splitlines()[:2]
KEYS = re.findall(r" (\w+)=", HEAD)
NEEDED_COLUMNS = COLUMNS.split()[:4]
SECOND_ROW = text_of().splitlines()[3]
LAST = len(text_of().splitlines())
DAMAGED = {
    "empty": "",
    "one newline": "\n",
    "no newline at the end": text_of(end=""),
    "a line too many": text_of() + "\n",
    "a row after TOTAL": text_of() + "48 EPT_VIOLATION 0 0 0 0 0 0 0\n",
    "twice": text_of() * 2,
    "NUL": text_of().replace("CPUID", "CPU\0D"),
    "NUL at the end": text_of() + "\0",
    "tab": text_of().replace("10 CPUID", "10\tCPUID"),
    "carriage returns": text_of().replace("\n", "\r\n"),
    "UTF-8": text_of().replace("CPUID", "CPU\u00cfD"),
    "Latin-1": text_of().encode().replace(b"CPUID", b"CPU\xcfD"),
    "escape": text_of().replace("CPUID", "\x1b[2JD"),
    "random bytes": random.Random(1).randbytes(1000),
    "no exit_stats": text_of().replace("exit_stats ", ""),
    "another word": text_of().replace("exit_stats ", "exit_state "),
    "no columns": lines_with(2, ""),
    "columns twice": lines_with(3, COLUMNS),
    "no TOTAL": lines_with(LAST, text_of().splitlines()[-2]),
    "empty row": lines_with(4, ""),
    "spaces": lines_with(4, "   "),
    "name missing": lines_with(4, SECOND_ROW.replace("EXTERNAL_INTERRUPT", "")),
    "name of two words": lines_with(4, SECOND_ROW.replace("L_", "L ")),
    "number in the name": lines_with(4, SECOND_ROW.replace("PT ", "PT 5 ")),
    "number as the name": text_of([(1, "5", 1, 1)]),
    "cell missing": lines_with(4, SECOND_ROW.rsplit(" ", 1)[0]),
    "cell too many": lines_with(4, SECOND_ROW + " 0"),
    "row twice": lines_with(4, text_of().splitlines()[2]),
    "OTHER twice": text_of([*OLD_ROWS, (None, "OTHER", 0, 0)]),
    "number twice": text_of([*OLD_ROWS, (10, "CPUID_TOO", 0, 0)]),
    "row without a number": text_of([(None, "CPUID", 1, 1)]),
    "reason too large": text_of([(2**32, "X", 1, 1)]),
    "negative reason": text_of([(-1, "X", 1, 1)]),
    "hexadecimal reason": text_of([("0x1", "X", 1, 1)]),
    "exits too large": text_of([(1, "X", 2**64, 1)], total=(0, 1)),
    "exits much too large": text_of([(1, "X", 10**40, 1)], total=(0, 1)),
    "cycles too large": text_of([(1, "X", 1, 2**64)], total=(1, 0)),
    "negative exits": text_of([(1, "X", -1, 1)], total=(U64_MAX, 1)),
    "signed exits": text_of([(1, "X", "+1", 1)], total=(1, 1)),
    "fraction": text_of([(1, "X", "1.0", 1)], total=(1, 1)),
    "wrong total of exits": text_of(OLD_ROWS, total=(1, 27925523)),
    "wrong total of cycles": text_of(OLD_ROWS, total=(21291, 1)),
    **{f"{kind} {name}": text_of(
        [(1, "X", *[1] * i, value, *[1] * (6 - i))], total=[1] * 7)
       for i, name in enumerate(COUNTS) for kind, value in
       {"negative": -1, "no number as": "x", "large": 2**64}.items()},
    "large guest_cycles": text_of(guest_cycles=2**64),
    "negative guest_cycles": text_of(guest_cycles=-1),
    "long name": text_of([(1, "X" * 64, 1, 1)]),
    "long name of words": text_of([(1, "X " * 32 + "X", 1, 1)]),
    "many words": text_of([(1, "X " * 500, 1, 1)]),
    "many columns": text_of([], counts=2).replace("handle_cycles",
                                                  "handle_cycles" + " x" * 500),
    "word not key=value": text_of().replace(" isa=", " novalue isa="),
    "empty key": text_of().replace(" isa=", " =1 isa="),
    "isa of two words": text_of(isa="vmx,svm"),
    "long isa": text_of(isa="x" * 16),
    "enabled=2": text_of(enabled=2),
    "version=0": text_of(version=0),
    "version=x": text_of(version="x"),
    "large tsc_khz": text_of(tsc_khz=2**32),
    "scope of nobody": text_of(scope="guest"),
    **{f"no {key}": text_of().replace(f" {key}=", f" x{key}=")
       for key in KEYS if key != "guest_cycles"},
    **{f"empty {key}": text_of(**{key: ""}) for key in KEYS},
    **{f"two {key}": text_of().replace("\n", f" {key}=1\n", 1)
       for key in KEYS},
    **{f"no column {name}": text_of().replace(name, "x" + name)
       for name in NEEDED_COLUMNS[1:]},
    "no column reason": text_of().replace("reason", "number"),
    **{f"two columns {name}": "".join(
        f"{line} {word}\n" for line, word in
        zip(text_of([]).splitlines(), ["x=1", name, end]))
       for name, end in zip(COLUMNS.split(), ["-", "TOTAL", *["0"] * 7])},
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged(tree, text):
    path = tree.put(text)
    check_refused(tree.run(), 1, path, "line ")


def test_damaged_files_are_not_valid_for_another_reason():
    """Each of the texts above differs from one that is accepted."""
    assert parse([text_of().encode(), text_of(OLD_ROWS).encode()]) == [
        "9876543210 21291 27925523 88052124 500000002 902418 4003 4104200",
        "- 21291 27925523 - - - - -"]
    assert all(text_of() != text for text in DAMAGED.values())


def test_file_without_end(tree):
    path = tree.put("")
    with open(path, "wb") as file:
        file.truncate(2**40)
    check_refused(tree.run(), 1, "File too large")


def test_large_file(tree):
    rows = [(i, f"UNKNOWN_{i}", i, 2 * i) for i in range(1, 5000)]
    tree.put(text_of(rows))
    assert loads(check_ok(tree.run("--json"))) == json_of(rows)


def test_newer_version(tree):
    tree.put("exit_stats version=2 and=what ever\nfollows\0")
    check_refused(tree.run(), 1)
    tree.put("exit_stats version=2 and all that follows\n")
    check_refused(tree.run(), 1, "format version 2", "update exitstat")


def test_every_prefix(tree):
    """Through the program, since what matters is its status and output."""
    text = text_of([(10, "CPUID", 5, 50), (None, "OTHER", 2, 20)])
    # Without the padding, to have fewer of them.
    text = re.sub(" +", " ", text).encode()
    for end in range(len(text)):
        tree.put(text[:end])
        check_refused(tree.run(program=SHARED), 1, "exit_stats")
    tree.put(text)
    check_ok(tree.run(program=SHARED))


# Many damaged files, with the parser alone


def parse(texts):
    records = b"".join(struct.pack("=I", len(t)) + t for t in texts)
    result = subprocess.run([RECORDS], input=records, capture_output=True,
                            env=ENV, timeout=pace.limit(30))
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode().splitlines()


def model_of_parser(text):
    """What should come of a text, said in another way than in C."""
    if not re.fullmatch(rb"([ -~]*\n)+", text):
        return "no"
    head, *lines = [re.findall("[^ ]+", line)
                    for line in text.decode().split("\n")[:-1]]
    if len(lines) < 2 or not head or head[0] != "exit_stats":
        return "no"
    pairs = [word.partition("=") for word in head[1:]]
    if not all(key and equals for key, equals, _ in pairs):
        return "no"
    number = {"version": (1, 1), "tsc_khz": (0, 2**32 - 1), "enabled": (0, 1),
              "failed_entries": (0, U64_MAX), "clamped": (0, U64_MAX),
              "guest_cycles": (0, U64_MAX)}
    guest_cycles = "-"
    for key in [*number, "isa", "scope"]:
        values = [value for k, _, value in pairs if k == key]
        if key == "guest_cycles":
            if not values:
                continue
            guest_cycles = values[0]
        if len(values) != 1:
            return "no"
        if key == "isa" and not re.fullmatch("[a-zA-Z0-9]{1,15}", values[0]):
            return "no"
        if key == "scope" and values[0] != "host":
            return "no"
        if key in number:
            low, high = number[key]
            if (not re.fullmatch("[0-9]+", values[0])
                    or not low <= int(values[0]) <= high):
                return "no"
    columns, *rows = lines
    if any(columns.count(name) > 1 for name in COLUMNS.split()):
        return "no"
    if not all(name in columns for name in NEEDED_COLUMNS):
        return "no"
    known = [name for name in COUNTS if name in columns]
    seen, sums = set(), [0] * len(known)
    for i, row in enumerate(rows):
        if len(row) != len(columns):
            return "no"
        cells = dict(zip(columns, row))
        if len(cells["name"]) > 63 or not cells["name"][0].isalpha():
            return "no"
        counts = [cells[name] for name in known]
        if not all(re.fullmatch("[0-9]+", c) and int(c) <= U64_MAX
                   for c in counts):
            return "no"
        counts = [int(c) for c in counts]
        if cells["reason"] == "-":
            if cells["name"] == "TOTAL":
                if i != len(rows) - 1 or counts != [s % 2**64 for s in sums]:
                    return "no"
                counts = dict(zip(known, counts))
                if guest_cycles != "-":
                    guest_cycles = int(guest_cycles)
                return " ".join(str(word) for word in [
                    guest_cycles, *(counts.get(name, "-") for name in COUNTS)])
            if cells["name"] != "OTHER":
                return "no"
            key = "OTHER"
        elif (re.fullmatch("[0-9]+", cells["reason"])
              and int(cells["reason"]) < 2**32):
            key = int(cells["reason"])
        else:
            return "no"
        if key in seen:
            return "no"
        seen.add(key)
        sums = [s + c for s, c in zip(sums, counts)]
    return "no"


def mutate(rng, text):
    """A few changes of the kind that leaves most of the text as it was."""
    text = bytearray(text)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(text) + 1)
        size = rng.choice([1, 1, 2, 5, 20, 85])
        kind = rng.randrange(6)
        if kind == 0:
            del text[at:at + size]
        elif kind == 1:
            text[at:at] = rng.choice([b" ", b"\n", b"0", b"1", b"-", b"=", b"\0",
                                      b"TOTAL", b" x=1", b"9" * 20, b"\xff"])
        elif kind == 2:
            start = rng.randrange(len(text) + 1)
            text[at:at] = text[start:start + size]
        elif kind == 3 and at < len(text):
            text[at] ^= 1 << rng.randrange(8)
        elif kind == 4 and at < len(text):
            text[at] = rng.choice(b" 0123456789-=\nabcAZ_")
        else:
            lines = bytes(text).split(b"\n")
            i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
            text = bytearray(b"\n".join(lines))
    return bytes(text)


def test_random_damage():
    """The parser against the model of it, for some seconds."""
    rng = random.Random(20261124)
    seeds = [text_of().encode(), text_of([]).encode(),
             text_of(OLD_ROWS).encode(),
             text_of([(65, "DB_excp", 1, U64_MAX), (66, "nmi", 1, 2),
                      (None, "OTHER", 1, 1)], isa="svm").encode(),
             b"exit_stats clamped=0 failed_entries=0 version=1 isa=v tsc_khz=0"
             b" scope=host enabled=1 x=\nname exits handle_cycles reason y\n"
             b"A 1 1 1 1\nTOTAL 1 1 - 1\n"]
    end = time.monotonic() + 8
    accepted = done = 0
    while time.monotonic() < end:
        texts = [mutate(rng, rng.choice(seeds)) for _ in range(500)]
        for text, got in zip(texts, parse(texts), strict=True):
            assert got == model_of_parser(text), text
            accepted += got != "no"
        done += len(texts)
    # Both kinds must have been there, or nothing was tested.
    assert 0 < accepted < done


def test_damaged_files_in_the_model():
    """The model itself refuses what the program must refuse."""
    for text in DAMAGED.values():
        text = text if isinstance(text, bytes) else text.encode()
        assert model_of_parser(text) == "no", text


# Command line and output


@pytest.mark.parametrize("args, word", [
    (["--nonsense"], "'--nonsense'"), (["-x"], "'-x'"), (["-Vx", "-x"], None),
    (["show", "-x"], "'-x'"), (["guest", "--vm", "1"], "'--vm'"),
    (["guest", "--debugfs=/"], "'--debugfs=/'"), (["--vm"], "'--vm'"),
    (["--debugfs"], "'--debugfs'"), (["--sysfs"], "'--sysfs'"),
    (["guest", "--sysfs=/"], "'--sysfs=/'"), (["--json=1"], "'--json=1'"),
    (["show", "x"], "'x'"), (["guest", "x"], "'x'"), (["show", "show"], "'show'"),
    (["--json", "guest"], "'guest'"), (["x"], "'x'"), ([""], "''"),
    (["sho"], "'sho'"), (["list", "--", "-x"], "'-x'"), (["-"], "'-'"),
    (["host"], "'host'"), (["show", "--"], "'--'"), (["-d"], "'-d'"),
    *((["-d", text], f"'{text}'") for text in
      ("", "x", "0", "-1", "1x", "nan", "inf", "1e99", "0.0001", "1,5")),
    *((["-d", "1", "-n", text], f"'{text}'") for text in
      ("", "x", "0", "-1", "1.5", "99999999999999999999")),
    (["-n", "1"], "'-n'"), (["-d", "1", "--", "true"], "'-d'"),
    (["--json", "--csv"], "'--csv'"), (["--units", "s"], "'s'"),
    (["--openmetrics", "--json"], "'--json'"), (["--vcpu", "x"], "'x'"),
    (["--vcpu", ""], "''"), (["--vcpu", "-1"], "'-1'"), (["--reason="], "''"),
    (["--vcpu", "4294967296"], "'4294967296'"), (["--sort", "x"], "'x'"),
    (["--sort", ""], "''"), (["--sort", "--exits"], "'-exits'"),
    (["-o", ""], "''"), (["-o", "+"], "''"), (["-o", "EXITS,"], "''"),
    (["-o", "EXITS,x"], "'x'"), (["-o", ",".join(["EXITS"] * 99)], "columns"),
    (["--json", "-o", "EXITS"], "'--columns'"),
    (["--textfile", "x", "--json"], "'x'"),
    (["--textfile", "x", "-d", "1"], "'--textfile'"),
    (["list", "--host"], "'--host'"), (["list", "--reason", "1"], "'--reason'"),
    (["reasons", "--isa", "arm"], "'arm'"), (["reasons", "--vm", "1"], "'--vm'"),
    (["guest", "--vcpu", "0"], "'--vcpu'"), (["report"], "file is missing"),
    (["diff", "x"], "file is missing"), (["diff", "x", "y", "z"], "'z'")])
def test_usage_errors(args, word):
    result = run(ASAN, *args)
    if word is None:
        # -V comes first, and is all that is done.
        assert (result.returncode, result.stdout) == (0, "exitstat 0.1\n")
        return
    check_refused(result, 2, word)
    assert "--help'" in result.stderr or "columns" in result.stderr


@pytest.mark.parametrize("program", [STATIC, ASAN], ids=lambda path: path.name)
@pytest.mark.parametrize("command", [[], ["--json"], *([name] for name in
                                                   COMMANDS)], ids=" ".join)
@pytest.mark.parametrize("option", ["-h", "--help", "-V", "--version"])
def test_help_and_version(program, command, option):
    out = check_ok(run(program, *command, option))
    if option in ("-V", "--version"):
        assert out == "exitstat 0.1\n"
        return
    assert out.startswith("Usage: exitstat")
    assert "-h, --help" in out and "-V, --version" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_help_names_all_commands():
    out = check_ok(run(ASAN, "--help"))
    assert re.findall(r"^  (\w+) ", out, re.M) == COMMANDS


@pytest.mark.parametrize("args", [[], ["--json"], ["--help"], ["--version"]],
                         ids=" ".join)
@pytest.mark.parametrize("size", [1, 2000], ids=["small", "large"])
def test_full_disk(tree, args, size):
    tree.put(text_of([(i, "X", 1, 1) for i in range(size)]))
    with open("/dev/full", "w") as full:
        result = tree.run(*args, stdout=full)
    assert result.returncode == 1
    assert result.stderr == ("exitstat: cannot write to stdout: "
                             "No space left on device\n")


@pytest.mark.parametrize("args", ["", "--json", "--help"])
def test_closed_stdout(tree, args):
    tree.put(text_of())
    result = run("sh", "-c", f'"$0" {args} --debugfs "$1" >&-', ASAN,
                 tree.path)
    check_refused(result, 1, "cannot write to stdout: Bad file descriptor")


def test_reader_that_goes(tree):
    tree.put(text_of([(i, "X", 1, 1) for i in range(5000)]))
    for args in [], ["--json"]:
        read, write = os.pipe()
        os.close(read)
        result = tree.run(*args, program=SHARED, stdout=write)
        os.close(write)
        assert (result.returncode, result.stderr) == (-signal.SIGPIPE, "")


@pytest.mark.valgrind
def test_valgrind(vms):
    for args, status in ([], 0), (["--json"], 0), (["--vm", "7"], 0), \
            (["--vm", "12"], 0), (["--vm", "1"], 1), (["--help"], 0), (["-x"], 2):
        result = run("valgrind", "-q", "--error-exitcode=99",
                     "--leak-check=full", "--errors-for-leak-kinds=all",
                     "--show-leak-kinds=all", SHARED, *args,
                     *([] if args in (["-x"], ["--help"])
                       else ["--debugfs", vms.path]))
        assert result.returncode == status, result.stderr
    vms.put(text_of(total=(1,) * len(COUNTS)))
    result = run("valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
                 "--errors-for-leak-kinds=all", SHARED, "--debugfs", vms.path)
    assert result.returncode == 1, result.stderr


@pytest.mark.valgrind
def test_valgrind_sysfs(sysfs):
    def check(status):
        result = run("valgrind", "-q", "--error-exitcode=99",
                     "--leak-check=full", "--errors-for-leak-kinds=all",
                     SHARED, "--json", "--debugfs", sysfs.path,
                     "--sysfs", sysfs.sysfs)
        assert result.returncode == status, result.stderr

    check(0)
    (sysfs.totals / "reason-30/exits").write_bytes(BAD["binary"])
    check(1)
    (sysfs.totals / "isa").unlink()
    check(1)


# In a guest


@pytest.mark.parametrize("program", [SHARED, STATIC, ASAN],
                         ids=lambda path: path.name)
def test_guest_on_this_machine(program):
    result = run(program, "guest", "--json")
    if result.returncode == 0:
        out = loads(result.stdout)
        assert scope(out)["reasons"] and scope(out)["total"]["exits"] > 0
        return
    check_refused(result, 77)
    assert re.search("does not offer exit accounting|is not a VM|is not KVM",
                     result.stderr)


class Guest:
    """exitstat guest on a model of the host behind CPUID."""

    def __init__(self, path):
        self.path = path

    def run(self, *lines, args=("--json",), **settings):
        settings = {"hypervisor0": "KVMKVMKVM", "leaves": 1,
                    "top": 0x4fffffff, "abi": 1, "end": 86, "svm": 0, "host": 0, "khz": 2893202, **settings}
        self.path.write_text("".join(
            f"{line}\n" for line in
            [*(f"{k} {v}" for k, v in settings.items() if v != ""), *lines]))
        return run(MODEL, "guest", *args, env={"CPUID_MODEL": str(self.path)})


@pytest.fixture
def guest(tmp_path):
    return Guest(tmp_path / "model")


# What the model has added to CPUID's row when it is read: the exits of features,
# signature, information, total and of the row itself, and, one exit later, the
# cycles of all but the last.
CPUID_EXITS = 5
CPUID_CYCLES = 6000


def test_guest_json(guest):
    result = guest.run("row 0 5 600", "row 10 100 100000",
                       f"row 84 {2**40 + 3} {2**50 + 7}", "row 85 0 0",
                       "other 3 2000")
    out = loads(check_ok(result))
    rows = [(0, "EXCEPTION_NMI", 5, 600),
            (10, "CPUID", 100 + CPUID_EXITS, 100000 + CPUID_CYCLES),
            (84, "UNKNOWN_84", 2**40 + 3, 2**50 + 7),
            # less the cycles of the query between the total and CPUID's row
            (None, "OTHER", 3, 1000)]
    assert out == json_of(rows, scope="vm", failed_entries=None, clamped=None, source="cpuid")


def test_guest_table(guest):
    result = guest.run("row 0 5 600", "row 10 100 100000", args=[])
    rows = [(0, "EXCEPTION_NMI", 5, 600),
            (10, "CPUID", 100 + CPUID_EXITS, 100000 + CPUID_CYCLES)]
    assert check_ok(result) == table_of(rows, "this VM: vmx, TSC 2893.202 MHz, from cpuid")


def test_guest_scope_host(guest):
    assert check_ok(guest.run("row 10 0 0", host=1, args=[])).startswith(
        "host: vmx, ")
    out = loads(check_ok(guest.run("row 10 0 0", host=1)))
    assert scope(out)["scope"] == "host" and "vm" not in scope(out)


def test_guest_without_other(guest):
    """Our own exits must not become an OTHER, nor those of another vCPU."""
    for noise in 0, 1, 1000:
        out = loads(check_ok(guest.run(
            "row 1 10 1000 %d" % noise, "row 10 5 500", "other 0 0")))
        assert [row["name"] for row in scope(out)["reasons"]] == [
            "EXTERNAL_INTERRUPT", "CPUID"]
        assert scope(out)["total"]["exits"] == sum(row["exits"]
                                            for row in scope(out)["reasons"])


def test_guest_other_is_a_lower_bound(guest):
    for noise in 0, 1, 3, 100:
        out = loads(check_ok(guest.run(
            f"row 1 10 1000 {noise}", "row 10 5 500", "other 50 100000")))
        other = [row["exits"] for row in scope(out)["reasons"]
                 if row["reason"] is None]
        assert other == ([50] if not noise else other)
        assert sum(other) <= 50
        assert scope(out)["total"]["exits"] == sum(row["exits"]
                                            for row in scope(out)["reasons"])


def test_guest_svm(guest):
    """All below the end, and what KVM has as -1 and -2."""
    lines = [f"row {0x41} 7 700", f"row {0x72} 100 0", f"row {0x400} 9 900",
             f"row {0x403} 1 100", f"row {0xfffffffe} 4 {2**32 + 400}",
             f"row {0xffffffff} {2**33} 3", "other 1 5000"]
    out = loads(check_ok(guest.run(*lines, svm=1, end=0x404)))
    rows = [(0x41, "DB_excp", 7, 700),
            (0x72, "cpuid", 100 + CPUID_EXITS, CPUID_CYCLES),
            (0x400, "npf", 9, 900), (0x403, "vmgexit", 1, 100),
            (0xfffffffe, "UNKNOWN_4294967294", 4, 2**32 + 400),
            (0xffffffff, "invalid_guest_state", 2**33, 3),
            (None, "OTHER", 1, 4000)]
    assert out == json_of(rows, scope="vm", isa="svm", failed_entries=None, source="cpuid",
                          clamped=None)
    assert check_ok(guest.run(*lines, svm=1, end=0x404, args=[])) == table_of(
        rows, "this VM: svm, TSC 2893.202 MHz, from cpuid")


def test_guest_svm_numbers(guest):
    """Each number that SVM defines is asked for once, and has no blank."""
    numbers = [*range(0xa6), *range(0x400, 0x404), 0xfffffffe, 0xffffffff]
    out = loads(check_ok(guest.run(
        *(f"row {n} {n % 1000 + 1} 1" for n in numbers), svm=1, end=0x404)))
    assert [row["reason"] for row in scope(out)["reasons"]] == numbers
    assert all(row["exits"] == row["reason"] % 1000 + 1
               for row in scope(out)["reasons"] if row["reason"] != 0x72)
    assert not any(" " in row["name"] for row in scope(out)["reasons"])


def test_guest_svm_end(guest):
    """What stands above the end is asked for only where it is -1 or -2."""
    for end, names in (0x400, ["cpuid", "invalid_guest_state", "OTHER"]), \
            (0x404, ["cpuid", "npf", "invalid_guest_state"]), \
            (0xffffffff, ["cpuid", "npf", "invalid_guest_state"]):
        out = loads(check_ok(guest.run(
            f"row {0x72} 5 0", f"row {0x400} 9 9000", f"row {0xffffffff} 1 1",
            svm=1, end=end)))
        assert [row["name"] for row in scope(out)["reasons"]] == names


@pytest.mark.parametrize("value", [2**31, 2**32 - 1, 2**32, 2**32 + 1,
                                   2**53 + 1, 2**63, U64_MAX - 1, U64_MAX])
@pytest.mark.parametrize("svm", [0, 1])
def test_guest_large_numbers(guest, value, svm):
    """Rows of any size, and totals that wrap with the row CPUID or without."""
    out = loads(check_ok(guest.run(
        f"row 1 {value} {value}", f"row 2 1 {value}",
        f"row {0x72 if svm else 10} 0 0", svm=svm,
        end=0x404 if svm else 86)))
    assert [row["handle_cycles"] for row in scope(out)["reasons"][:2]] == [value] * 2
    assert scope(out)["reasons"][0]["exits"] == value
    assert scope(out)["total"] == {
        "exits": (value + 1 + CPUID_EXITS) % 2**64,
        "handle_cycles": (2 * value + CPUID_CYCLES) % 2**64}
    assert [row["reason"] for row in scope(out)["reasons"]] == [1, 2,
                                                         0x72 if svm else 10]


@pytest.mark.parametrize("other", [1, 2**32, 2**62])
def test_guest_other_where_sums_have_wrapped(guest, other):
    out = loads(check_ok(guest.run(
        f"row 1 {U64_MAX} {U64_MAX}", "row 10 0 0",
        f"other {other} {other + 1000}")))
    assert scope(out)["reasons"][-1] == {"reason": None, "name": "OTHER",
                                  "exits": other, "handle_cycles": other}


def test_guest_other_hypervisors(guest):
    check_refused(guest.run(hypervisor0=""), 77, "not a VM")
    check_refused(guest.run(leaves=0), 77, "does not offer exit accounting")
    # Hyper-V's leaves come first where KVM offers both.
    check_refused(guest.run(leaves=0, hypervisor0="Microsoft_Hv",
                            hypervisor1="KVMKVMKVM"), 77,
                  "does not offer exit accounting")
    check_refused(guest.run(top=0x40000001), 77,
                  "does not offer exit accounting")
    check_refused(guest.run(leaves=0, hypervisor0="XenVMMXenVMM"), 77,
                  "not KVM but 'XenVMMXenVMM'")
    check_refused(guest.run(leaves=0, hypervisor0="\x1b[2J\x07"), 77,
                  "not KVM but '?[2J?'")


def test_guest_versions(guest):
    check_refused(guest.run(abi=2), 1, "version 2", "update exitstat")
    check_refused(guest.run(abi=0), 1, "damaged")
    check_refused(guest.run(end=0), 1, "damaged")


@pytest.mark.parametrize("nr", [1, 2, 3, 4, 5, 6, 7, 8, 50, 150])
def test_guest_cpuid_faults(guest, nr):
    check_refused(guest.run("row 10 5 5", "row 0 1 1", fault=nr), 1,
                  "CPUID faults")


def test_guest_cpuid_faults_while_it_looks_for_the_reason(guest):
    check_refused(guest.run(leaves=0, fault=3), 1, "CPUID faults")


# Sources


def test_names_are_those_of_the_kernel(guest):
    """Every name of the headers' macros, against a preprocessor's view."""
    header = subprocess.run(
        ["gcc", "-E", "-dM", "-include", "asm/vmx.h", "-x", "c", "/dev/null"],
        check=True, capture_output=True, text=True).stdout
    numbers = {name: int(value) for name, value in re.findall(
        r"#define EXIT_REASON_(\w+)\s+(\d+)\n", header)}
    names = re.findall(r'EXIT_REASON_(\w+), "(\w+)"', header)
    assert len(names) > 60
    out = loads(check_ok(guest.run(
        *(f"row {numbers[macro]} 1 1" for macro, _ in names))))
    assert {row["reason"]: row["name"] for row in scope(out)["reasons"]} == {
        numbers[macro]: name for macro, name in names}


def test_clang_format():
    files = [*SRC.rglob("*.[ch]"), *DATA.glob("*.c")]
    assert len(files) > 10
    result = run("clang-format", "--style=file", "--dry-run", "--Werror", *files)
    assert result.returncode == 0, result.stderr


def test_static_program_is_static():
    assert "INTERP" not in check_ok(run("readelf", "-lW", STATIC))


def test_install(tmp_path):
    run("make", "-C", SRC, f"O={BUILD}", f"DESTDIR={tmp_path}", "PREFIX=/usr",
        "install")
    assert check_ok(run(tmp_path / "usr/bin/exitstat", "-V")) == "exitstat 0.1\n"
    pages = {page.name for page in (tmp_path / "usr/share/man/man8").iterdir()}
    assert pages == {"exitstat.8", *(f"exitstat-{c}.8" for c in COMMANDS)}
