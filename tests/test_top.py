"""exitstat top, in a real terminal: tmux, whose screen is read back.

The numbers are in a debugfs that the tests write and change while it runs.  Wherever exact numbers
are expected, they are those that were added since the key c, or in one interval.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

import pace
from kvmtext import file_of, latency_text
from tool import ASAN, COUNTS, ENV, MODEL, STATIC, Tree, check_refused, run, text_of

# 1 GHz: a cycle is a nanosecond.
KHZ = 1000000
NUMBERS = {"HLT": 12, "CPUID": 10, "EPT_VIOLATION": 48, "MSR_WRITE": 32, "OTHER": None}
DOWN, UP, LEFT, RIGHT, ENTER, ESCAPE = "Down", "Up", "Left", "Right", "Enter", "Escape"


def replace(path, content):
    """A reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.parent / "new"
    new.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(new, path)


class Host:
    """What KVM counts.  A scope is "" for the host, "<pid>-<fd>", or "<pid>-<fd>/vcpu<N>"."""

    def __init__(self, path):
        self.path = path
        self.kvm = path / "debug/kvm"
        # debugfs has more than that
        (path / "debug/sched").mkdir(parents=True)
        self.histograms = True
        self.rows = {}
        self.guest = {}
        self.buckets = {}
        self.add("")

    def add(self, scope, **keys):
        self.rows[scope] = {"HLT": [5000, 70000, 0, 900000, 100, 0, 0],
                            "CPUID": [3000, 60000, 0, 0, 0, 0, 0]}
        self.guest[scope] = 10**9
        self.buckets[scope] = {}
        self.write(scope, **keys)

    def add_vm(self, vm, name="", vcpus=2, start=1000):
        pid = vm.split("-")[0]
        replace(self.path / f"proc/{pid}/cmdline", f"qemu\0-name\0{name}\0".encode() if name else b"vmm\0")
        replace(self.path / f"proc/{pid}/comm", "vmm\n")
        replace(self.path / f"proc/{pid}/stat", f"{pid} (vmm) S" + " 1" * 18 + f" {start} 0\n")
        for n in range(vcpus):
            self.add(f"{vm}/vcpu{n}")
        self.add(vm)

    def remove_vm(self, vm):
        shutil.rmtree(self.kvm / vm)
        shutil.rmtree(self.path / "proc" / vm.split("-")[0])

    def count(self, scope, reason, exits, handle=0, user=0, wait=0, preempted=0, guest=0):
        row = self.rows[scope].setdefault(reason, [0] * 7)
        for i, more in enumerate([exits, handle, user, wait, preempted]):
            row[i] += more
        self.guest[scope] += guest
        self.write(scope)

    def count_latency(self, scope, reason, which, start, exits):
        buckets = self.buckets[scope].setdefault((reason, which), {})
        buckets[start] = buckets.get(start, 0) + exits
        self.write_latency(scope)

    def write(self, scope, **keys):
        rows = sorted(((NUMBERS[name], name, *counts) for name, counts in self.rows[scope].items()),
                      key=lambda row: (row[0] is None, row[0]))
        replace(self.kvm / file_of(scope),
                text_of(rows, counts=len(COUNTS), tsc_khz=KHZ, scope=kind(scope),
                        guest_cycles=self.guest[scope], **keys))
        self.write_latency(scope)

    def write_latency(self, scope):
        if not self.histograms:
            return
        rows = [(NUMBERS[name], name, which, exits, max(buckets) + 1, start,
                 {0: 256, 2**30: None}.get(start, 2 * start))
                for (name, which), buckets in sorted(self.buckets[scope].items())
                for start, exits in sorted(buckets.items())]
        keys = {"version": 1, "isa": "vmx", "tsc_khz": KHZ, "scope": kind(scope), "enabled": 1}
        replace(self.kvm / file_of(scope, "exit_latency"), latency_text(rows, keys))


def kind(scope):
    return "host" if not scope else "vcpu" if "/" in scope else "vm"


class Screen:
    """exitstat in a terminal of its own."""

    def __init__(self, path, command, size=(80, 24), env=None, term="tmux-256color"):
        self.path = path
        self.tmux = ["tmux", "-u", "-f", "/dev/null", "-S", path / "tmux"]
        words = " ".join(f"'{word}'" for word in command)
        term = "unset TERM" if term is None else f"TERM='{term}'; export TERM"
        # The shell's last words are for the tests; it stays, so that the screen does.
        # A job of its own, as in an interactive shell, which can be stopped.
        script = (f"cd '{path}'; stty -g >before; {term}\n"
                  f"sh -c 'echo $$ >pid; exec \"$@\"' sh {words} 2>errors; echo $? >status.new\n"
                  "while kill -0 $(cat pid) 2>/dev/null; do\n"
                  "    echo STOPPED; until [ -e go ]; do sleep .02; done; rm go\n"
                  "    fg >/dev/null; echo $? >status.new\n"
                  "done\n"
                  "stty -g >after; echo THE END; mv status.new status; exec sleep 600")
        (path / "script").write_text(script)
        subprocess.run(
            [*self.tmux, "set", "-g", "default-terminal", "tmux-256color", ";",
             "set", "-g", "escape-time", "0", ";",
             "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), "bash", "-m", path / "script"],
            check=True, env={**ENV, "LC_ALL": "C.UTF-8", "TZ": "UTC", **(env or {})})

    def keys(self, *keys):
        for key in keys:
            subprocess.run([*self.tmux, "send-keys", key], check=True)

    def type(self, text):
        subprocess.run([*self.tmux, "send-keys", "-l", text], check=True)

    def resize(self, columns, lines):
        subprocess.run([*self.tmux, "resize-window", "-x", str(columns), "-y", str(lines)], check=True)

    def capture(self, *options):
        return subprocess.run([*self.tmux, "capture-pane", "-p", *options], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.split("\n")[:-1]

    def wait(self, condition, seconds=10):
        """The lines of the screen, once condition is true of them."""
        deadline = pace.Deadline(seconds)
        while True:
            lines = self.capture()
            result = condition(lines)
            if result:
                return lines
            if deadline.over():
                errors = self.path / "errors"
                raise AssertionError("the screen is:\n" + "\n".join(lines) + "\n"
                                     + (errors.read_text() if errors.exists() else ""))
            time.sleep(0.03)

    def wait_for(self, *texts):
        return self.wait(lambda lines: all(text in "\n".join(lines) for text in texts))

    def wait_without(self, text):
        return self.wait(lambda lines: text not in "\n".join(lines))

    def wait_rows(self, expected):
        """Until the columns named in expected, each a list, are as there from the top."""
        def as_expected(lines):
            table = rows(lines)
            return table is not None and all(
                [row.get(column) for row in table] == cells for column, cells in expected.items())
        return self.wait(as_expected)

    def start_since(self):
        """Show what is counted from now on."""
        self.keys("c")
        self.wait_for("SINCE ")

    @property
    def pid(self):
        return int((self.path / "pid").read_text())

    def wait_end(self):
        status = self.path / "status"
        pace.wait_until(status.exists, 10, 0.03, told=lambda: "\n".join(self.capture()))
        return int(status.read_text())

    def check_restored(self, shows=True):
        """The terminal is as it was before, and unless it cannot do that shows what it showed then."""
        assert (self.path / "before").read_text() == (self.path / "after").read_text()
        lines = self.wait_for("THE END")
        assert not shows or not any("TSC " in line for line in lines)
        cursor = subprocess.run([*self.tmux, "display", "-p", "#{cursor_flag} #{alternate_on} #{keypad_flag}"],
                                check=True, text=True, stdout=subprocess.PIPE).stdout
        assert cursor.split() == ["1", "0", "0"]

    def quit(self, **kwargs):
        self.keys("q")
        assert self.wait_end() == 0
        assert (self.path / "errors").read_text() == ""
        self.check_restored(**kwargs)

    def close(self):
        subprocess.run([*self.tmux, "kill-server"], check=False, stderr=subprocess.DEVNULL)


def rows(lines):
    """The table as dicts, whose cells must have no blanks; None if there is none."""
    for i, line in enumerate(lines):
        headings = line.split()
        if "EXITS" in headings:
            cells = [re.sub(r"^\+", " ", line).split() for line in lines[i + 1:-1] if line.strip()]
            return [dict(zip(headings, row)) for row in cells]
    return None


@pytest.fixture
def host(tmp_path, programs):
    host = Host(tmp_path)
    host.add_vm("100-11", "web")
    host.add_vm("200-12", "db")
    return host


@pytest.fixture
def top(host, tmp_path):
    with contextlib.ExitStack() as stack:
        def start(*options, program=ASAN, command="top", where=True, begins=True, **kwargs):
            if where:
                options = [*options, "--debugfs", tmp_path / "debug", "--procfs", tmp_path / "proc",
                           "--sysfs", tmp_path / "sys"]
            screen = Screen(tmp_path, [program, command, *options], **kwargs)
            stack.callback(screen.close)
            if begins:
                # Before that the keys are still the terminal's.
                screen.wait_for("TSC ")
            return screen
        yield start


FAST = "-d", "0.2", "--units", "cycles"
# Messages with paths fit into a line.
WIDE = 250, 24


def test_views_and_ways_between_them(host, top):
    screen = top(*FAST)
    screen.wait_for("host: exits by reason", "vmx, TSC 1000.000 MHz", "exits/s")
    screen.start_since()
    host.count("", "HLT", 7, 70, guest=1000)
    host.count("", "CPUID", 8, 90, guest=1000)
    host.count("100-11", "HLT", 3, 30, user=10, guest=60)
    host.count("200-12", "CPUID", 4, 20, guest=100)
    host.count("100-11/vcpu0", "HLT", 1, 10)
    host.count("100-11/vcpu1", "HLT", 2, 20)

    screen.wait_rows({"REASON": ["10", "12"], "NAME": ["CPUID", "HLT"], "EXITS": ["8", "7"],
                      "%EXITS": ["53.33", "46.67"], "CYCLES/EXIT": ["11", "10"],
                      "%HANDLE": ["56.25", "43.75"]})
    screen.keys("2")
    screen.wait_rows({"VM": ["100-11", "200-12"], "VM_NAME": ["web", "db"], "VCPUS": ["2", "2"],
                      "EXITS": ["3", "4"], "LOST_CYCLES": ["40", "20"], "%LOST": ["40.00", "16.67"]})
    screen.keys(ENTER)
    screen.wait_for("VM 100-11 web: exits by reason")
    screen.wait_rows({"NAME": ["HLT"], "EXITS": ["3"]})
    screen.keys("3")
    screen.wait_for("VM 100-11 web: vCPUs")
    screen.wait_rows({"VCPU": ["1", "0"], "EXITS": ["2", "1"]})
    screen.keys(DOWN, RIGHT)
    screen.wait_for("VM 100-11 web vCPU 0: exits by reason")
    screen.wait_rows({"NAME": ["HLT"], "EXITS": ["1"]})

    # and back the same way
    screen.keys(ESCAPE)
    screen.wait_for("VM 100-11 web: vCPUs")
    screen.keys("BSpace")
    screen.wait_for("VM 100-11 web: exits by reason")
    screen.keys(LEFT)
    screen.wait_for("host: VMs, 2")
    screen.keys(DOWN, "p")
    screen.wait_for("VM 200-12 db: vCPUs")
    screen.keys(ESCAPE)
    screen.wait_for("host: VMs, 2")
    for title in "VM 200-12 db: exits by reason", "VM 200-12 db: vCPUs", "host: exits by reason", "host: VMs, 2":
        screen.keys("Tab")
        screen.wait_for(title)
    screen.keys("h")
    screen.wait_for("host: exits by reason")
    screen.quit()


def test_phases(host, top):
    screen = top(*FAST)
    screen.wait_for("exits/s")
    screen.start_since()
    host.count("", "HLT", 10, 100, 200, 300, 150, guest=250)
    lines = screen.wait_for("guest 25.0 %  handle 10.0 %  user 20.0 %  wait 30.0 %  preempted 15.0 %")
    assert "lost 64.29 %" in lines[1]
    assert re.fullmatch("g{20}h{8}u{16}w{24}p{12}", lines[3])
    screen.quit()


def test_interval(host, top):
    screen = top("-d", "1", "--units", "cycles")
    screen.wait_for("No exits.")
    host.count("", "HLT", 12345, 777)
    lines = screen.wait_rows({"NAME": ["HLT"], "EXITS": ["12345"]})
    seconds = float(re.search(r"in ([\d.]+) s", lines[1])[1])
    for rate in (rows(lines)[0]["EXITS/S"], re.search(r"([\d.]+) exits/s", lines[1])[1]):
        assert float(rate) == pytest.approx(12345 / seconds, rel=0.01)
    # and not again in the next one
    screen.wait_for("No exits.")
    for key, seconds in ("-", 0.5), ("-", 0.2), ("+", 0.5), ("+", 1), ("+", 2):
        screen.keys(key)
        screen.wait_for(f"an interval of {seconds} s")
    screen.quit()


def test_first_numbers_of_vcpus_are_differences(host, top):
    """vCPUs are only read while their VM is open; the first reading is not what they counted."""
    screen = top("-d", "1")
    screen.keys("2", ENTER, "3")
    screen.wait_rows({"VCPU": ["0", "1"], "EXITS": ["0", "0"]})
    host.count("100-11/vcpu1", "HLT", 5)
    screen.wait_rows({"VCPU": ["0", "1"], "EXITS": ["0", "5"]})
    screen.quit()


def test_sort(host, top):
    screen = top(*FAST, "--sort", "-NAME")
    screen.wait_for("exits/s")
    screen.start_since()
    host.count("", "HLT", 100, 300, user=5)
    host.count("", "CPUID", 300, 200, user=70)
    host.count("", "MSR_WRITE", 200, 100, user=6)
    screen.wait_rows({"NAME": ["MSR_WRITE", "HLT", "CPUID"]})
    # names from A, numbers from the largest
    screen.keys("r")
    screen.wait_rows({"NAME": ["CPUID", "HLT", "MSR_WRITE"]})
    screen.keys("<")
    screen.wait_rows({"NAME": ["MSR_WRITE", "HLT", "CPUID"]})
    screen.keys("<", "r")
    screen.wait_rows({"NAME": ["CPUID", "HLT", "MSR_WRITE"]})
    screen.keys(">", ">", ">")
    screen.wait_rows({"NAME": ["CPUID", "MSR_WRITE", "HLT"]})
    heading = next(line for line in screen.capture("-e") if "EXITS/S" in line)
    # The heading's colours, and those of the column that sorts.
    assert re.search(r"\x1b\[[\d;]*46m *EXITS/S\x1b\[[\d;]*47m", heading)
    # A column that there is no room for comes when it sorts.
    screen.keys(*[">"] * 7)
    screen.wait_rows({"NAME": ["CPUID", "MSR_WRITE", "HLT"], "USER_CYCLES": ["70", "6", "5"]})
    screen.quit()


def test_cursor_follows(host, top):
    """What the user has chosen stays chosen wherever it is sorted; on the first line nothing is."""
    screen = top(*FAST)
    screen.wait_for("exits/s")
    screen.start_since()
    host.count("", "HLT", 1, 300)
    host.count("", "CPUID", 1, 200)
    host.count("", "MSR_WRITE", 1, 100)
    screen.wait_rows({"NAME": ["HLT", "CPUID", "MSR_WRITE"]})

    def cursor():
        lines = [line for line in screen.capture("-e") if "\x1b[30m\x1b[46m" in line and "EXITS/S" not in line]
        return re.sub(r"\x1b\[[\d;]*m", "", lines[0]).split()[1]
    assert cursor() == "HLT"
    host.count("", "MSR_WRITE", 1, 1000)
    screen.wait_rows({"NAME": ["MSR_WRITE", "HLT", "CPUID"]})
    assert cursor() == "MSR_WRITE"
    screen.keys("End")
    screen.wait(lambda lines: cursor() == "CPUID")
    host.count("", "CPUID", 1, 5000)
    screen.wait_rows({"NAME": ["CPUID", "MSR_WRITE", "HLT"]})
    assert cursor() == "CPUID"
    for key, name in (DOWN, "MSR_WRITE"), ("NPage", "HLT"), ("PPage", "CPUID"), ("j", "MSR_WRITE"), (UP, "CPUID"):
        screen.keys(key)
        screen.wait(lambda lines: cursor() == name)
    screen.quit()


def test_many_lines_scroll(host, top):
    for n in range(300, 340):
        host.add_vm(f"{n}-7", f"vm{n}", vcpus=0)
    screen = top(*FAST, "--sort", "VM")
    screen.keys("2")
    screen.wait_for("VMs, 42", "100-11")
    names = [f"vm{n}" for n in range(300, 340)]
    screen.keys("End")
    screen.wait_rows({"VM_NAME": names[-18:]})
    screen.keys("PPage")
    screen.wait_rows({"VM_NAME": names[-19:-1]})
    screen.resize(80, 30)
    screen.wait(lambda lines: len(rows(lines)) == 24)
    screen.keys("Home")
    screen.wait_rows({"VM_NAME": ["web", "db", *names[:22]]})
    screen.quit()


def test_filter(host, top):
    screen = top(*FAST)
    screen.wait_for("exits/s")
    screen.start_since()
    for reason in "HLT", "CPUID", "EPT_VIOLATION", "MSR_WRITE":
        host.count("", reason, 1, 10)
    screen.wait_rows({"NAME": ["CPUID", "HLT", "MSR_WRITE", "EPT_VIOLATION"]})
    screen.keys("/")
    screen.type("t")
    screen.wait_rows({"NAME": ["HLT", "MSR_WRITE", "EPT_VIOLATION"]})
    screen.type("_")
    screen.wait_rows({"NAME": ["EPT_VIOLATION"]})
    screen.keys("BSpace")
    screen.wait_rows({"NAME": ["HLT", "MSR_WRITE", "EPT_VIOLATION"]})
    screen.keys(ENTER)
    screen.wait_for('FILTER "t"', "q quit")
    # The header still tells of all.
    host.count("", "CPUID", 1, 10)
    screen.keys(ESCAPE)
    screen.wait_rows({"NAME": ["CPUID", "HLT", "MSR_WRITE", "EPT_VIOLATION"]})
    screen.keys("/")
    screen.type("32")
    screen.wait_rows({"NAME": ["MSR_WRITE"]})
    screen.keys(ESCAPE, "2", "/")
    screen.type("WE")
    screen.wait_rows({"VM_NAME": ["web"]})
    screen.wait_for("VMs, 1 of 2")
    screen.type("qü")
    screen.wait_for("Nothing has what the filter says", 'FILTER "WEqü"', "/WEqü")
    screen.keys("BSpace", "BSpace", "BSpace", "BSpace", "BSpace")
    screen.type("200-")
    screen.wait_rows({"VM_NAME": ["db"]})
    screen.keys(ENTER, ENTER)
    screen.wait_for("VM 200-12 db: exits by reason")
    screen.quit()


def test_freeze(host, top):
    screen = top(*FAST)
    screen.wait_for("exits/s")
    screen.start_since()
    host.count("", "HLT", 7, 100)
    host.count("", "CPUID", 9, 50)
    screen.wait_rows({"EXITS": ["7", "9"]})
    screen.keys("Space")
    before = screen.wait_for("FROZEN")
    host.count("", "HLT", 1)
    host.count("100-11", "HLT", 1)
    # It goes on reading, and shows none of that.
    host.write("", enabled=0)
    time.sleep(0.6)
    assert screen.capture() == before
    screen.keys("r")
    screen.wait_rows({"EXITS": ["9", "7"]})
    screen.keys("u", "u")
    screen.wait_for("NS/EXIT")
    screen.keys("Space")
    screen.wait_rows({"EXITS": ["9", "8"]})
    screen.wait_without("FROZEN")
    screen.wait_for("ACCOUNTING OFF")
    screen.quit()


def test_baseline(host, top):
    screen = top(*FAST)
    screen.wait_for("exits/s")
    screen.start_since()
    for expected in "3", "6", "9":
        host.count("", "HLT", 3)
        host.count("100-11/vcpu1", "HLT", 3)
        screen.wait_rows({"EXITS": [expected]})
    # Of everything, even of what was not shown then.
    screen.keys("2", ENTER, "3")
    screen.wait_rows({"VCPU": ["0", "1"], "EXITS": ["0", "9"]})
    screen.keys("1", "c")
    screen.wait_for("No exits.")
    host.count("", "HLT", 2)
    screen.wait_rows({"EXITS": ["2"]})
    screen.keys("C")
    screen.wait_without("SINCE")
    screen.wait_for("No exits.")
    screen.quit()


def test_nothing_is_below_more_than_the_longest(host, top):
    """A bucket's end says less than its longest exit does."""
    screen = top("-d", "0.2")
    screen.wait_for("exits/s")
    screen.start_since()
    host.count("", "HLT", 10, 10)
    screen.wait_rows({"NAME": ["HLT"]})
    screen.keys("l")
    screen.wait_for("12 HLT")
    host.count_latency("", "HLT", "handle", 4096, 10)
    screen.wait_for("handle: half below 4.1 µs, 99 % below 4.1 µs, the longest ever 4.1 µs")
    screen.quit()


def test_histogram(host, top):
    for start, exits in (0, 1000), (512, 1000), (2**30, 1000):
        host.count_latency("", "HLT", "handle", start, exits)
    host.count_latency("100-11/vcpu1", "CPUID", "total", 4096, 5)
    screen = top("-d", "0.2")
    screen.wait_for("exits/s")
    screen.start_since()
    host.count("", "HLT", 1000, 10)
    host.count("", "CPUID", 3, 5)
    screen.wait_rows({"NAME": ["HLT", "CPUID"]})
    screen.keys("l")
    screen.wait_for("12 HLT", "No exit of this reason has ended")
    host.count_latency("", "HLT", "handle", 512, 100)
    host.count_latency("", "HLT", "handle", 1024, 50)
    host.count_latency("", "HLT", "handle", 4096, 1)
    host.count_latency("", "HLT", "total", 2**20, 25)
    host.count_latency("", "HLT", "total", 2**30, 100)
    lines = screen.wait_for("4.1 µs - 8.2 µs", "131 µs")
    table = [line for line in lines if " - " in line or line.split()[:1] == ["from"]]
    assert [re.sub(" +", " ", line).strip() for line in table[:4]] == [
        "512 ns - 1.0 µs 100 ################# 0", "1.0 µs - 2.0 µs 50 ######### 0", "2.0 µs - 4.1 µs 0 0",
        "4.1 µs - 8.2 µs 1 # 0"]
    screen.wait_for("handle: half below 1.0 µs, 99 % below 2.0 µs, the longest ever 1.1 s",
                    "total: half below -, 99 % below -, the longest ever 1.1 s")
    # There are more lines than fit.
    screen.resize(80, 40)
    table = [line.split() for line in screen.wait_for("from 1.1 s") if " - " in line or line.split()[:1] == ["from"]]
    assert len(table) == 30 - 9 + 1
    assert table[11][:6] == ["1.0", "ms", "-", "2.1", "ms", "0"] and table[11][6] == "25"
    assert table[-1][:5] == ["from", "1.1", "s", "0", "100"]
    screen.keys("u", "u")
    screen.wait_for("512 - 1024", "from 1073741824")
    screen.keys(DOWN)
    screen.wait_for("10 CPUID", "No exit of this reason has ended")
    screen.keys(ESCAPE)
    screen.wait_for("host: exits by reason", "EXITS/S")

    # those of one vCPU, which are only read now
    screen.keys("C", "2", ENTER, "3", DOWN, ENTER)
    screen.wait_for("vCPU 1: exits by reason")
    screen.start_since()
    host.count("100-11/vcpu1", "CPUID", 3, 5)
    host.count_latency("100-11/vcpu1", "CPUID", "total", 4096, 3)
    screen.wait_rows({"NAME": ["CPUID"], "EXITS": ["3"]})
    screen.keys(ENTER)
    lines = screen.wait_for("10 CPUID", "4096 - 8192")
    assert next(line for line in lines if "4096" in line).split()[3:5] == ["0", "3"]
    screen.quit()


def test_histogram_of_intervals(host, top):
    host.count_latency("100-11", "HLT", "handle", 512, 777)
    screen = top("-d", "1")
    screen.keys("2", ENTER)
    screen.wait_for("VM 100-11 web: exits by reason", "No exits.")
    host.count("100-11", "HLT", 1)
    screen.wait_rows({"NAME": ["HLT"]})
    screen.keys("l")
    screen.wait_for("12 HLT", "No exit of this reason has ended")
    host.count_latency("100-11", "HLT", "handle", 512, 5)
    lines = screen.wait_for("512 ns - 1.0 µs")
    assert lines[5].split()[5:7] == ["5", "#" * 17]
    screen.wait_for("No exit of this reason has ended")
    screen.quit()


def test_no_histograms(host, top):
    host.histograms = False
    for path in host.path.glob("**/*exit_latency"):
        path.unlink()
    screen = top(*FAST)
    screen.start_since()
    host.count("", "HLT", 5)
    screen.wait_rows({"EXITS": ["5"]})
    screen.keys("l")
    screen.wait_for("There are no histograms here")
    screen.quit()


def test_explanation(host, top):
    """What the reason at the cursor means, from the table and from its details."""
    screen = top(*FAST)
    screen.start_since()
    host.count("", "CPUID", 300, 200)
    host.count("", "HLT", 100, 300)
    screen.wait_for("exits/s", "CPUID")
    screen.keys(DOWN, "e")
    lines = screen.wait_for("exit number", "of vmx", "What", "Causes", "Then", "Any key goes back.")
    chosen = lines[0].split(",")[0]
    assert chosen in NUMBERS
    screen.resize(120, 40)
    screen.wait(lambda lines: len(lines) == 40 and chosen in lines[0])
    screen.keys("x")
    screen.wait_for("exits/s", "e explain")
    screen.keys("2", "e")
    screen.wait_for("choose a reason first")
    # Where there is no eBPF or no right to it, that is said, and nothing changes.
    screen.keys("1", "d")
    screen.wait(lambda lines: "what its exits are for" in lines[1] or lines[-1].strip() and "q quit" not in lines[-1])
    screen.keys(ESCAPE)
    screen.quit()


def test_help(host, top):
    screen = top(*FAST)
    screen.wait_for("exits/s")
    screen.keys("?")
    lines = screen.wait_for("exitstat top: keys", "Any key goes back")
    for word in "freeze", "filter", "intervals", "vCPUs", "quit", "back", "sort":
        assert word in "\n".join(lines)
    screen.keys("x")
    screen.wait_for("host: exits by reason")
    screen.keys("?")
    screen.wait_for("exitstat top: keys")
    screen.quit()


def test_resize(host, top):
    screen = top(*FAST)
    screen.keys("2")
    screen.wait_for("host: VMs, 2", "exits/s")
    for size in (40, 10), (200, 50), (20, 5), (2, 1), (80, 3), (1, 40), (80, 24):
        screen.resize(*size)
        screen.wait(lambda lines: len(lines) == size[1])
        for key in "1", "l", "l", "?", "?", "2", ENTER, "3", "2", "2":
            screen.keys(key)
        if size == (40, 10):
            screen.wait_for("100-11", "200-12", "%LOST", "q quit")
        if size == (200, 50):
            screen.wait_for("100-11", "PREEMPTED_CYCLES", "c clear", "u units")
        assert all(len(line) <= size[0] for line in screen.capture())
    screen.wait_for("host: VMs, 2", "100-11")
    screen.quit()


def test_resize_and_back(host, top):
    """All has moved then, also where the size is the same by the time that it is looked at."""
    screen = top(*FAST)
    screen.keys("1")
    screen.wait_for("host: ", "q quit")
    before = screen.capture()[-1]
    terminal = subprocess.run([*screen.tmux, "display", "-p", "#{pane_tty}"], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()
    # What a terminal does to its lines, nobody tells ncurses.
    with open(terminal, "w") as file:
        file.write("\x1b7\x1b[24;5Hmoved\x1b8")
    screen.wait(lambda lines: "moved" in lines[-1])
    os.kill(screen.pid, signal.SIGWINCH)
    screen.wait(lambda lines: lines[-1] == before)
    screen.quit()


COLORS = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d|10\d)(?:;\d+)*m")


def test_colors(host, top):
    screen = top(*FAST)
    screen.wait_for("exits/s")
    assert COLORS.search("\n".join(screen.capture("-e")))
    screen.quit()


@pytest.mark.parametrize("env, term", [({"NO_COLOR": "1"}, "tmux-256color"), ({}, "vt220")])
def test_no_colors(env, term, host, top):
    screen = top(*FAST, env=env, term=term)
    screen.wait_for("exits/s")
    screen.start_since()
    host.count("", "HLT", 3, 10)
    screen.wait_rows({"EXITS": ["3"]})
    text = "\n".join(screen.capture("-e"))
    assert not COLORS.search(text)
    # The cursor and the column that sorts are marked nevertheless.
    assert len(re.findall(r"\x1b\[[\d;]*7m", text)) >= 2
    # A vt220 has one screen only.
    screen.quit(shows=term != "vt220")


@pytest.mark.parametrize("term, words", [("dumb", ["TERM=dumb"]), (None, ["TERM="]), ("", ["TERM="]),
                                         ("no-such-terminal", ["no-such-terminal"])])
def test_wrong_terminal(term, words, host, top):
    screen = top(term=term, begins=False)
    assert screen.wait_end() == 1
    screen.check_restored()
    errors = (screen.path / "errors").read_text()
    assert re.fullmatch(r"exitstat: [^\n]+\n", errors)
    for word in words:
        assert word in errors


@pytest.mark.parametrize("program", [ASAN, STATIC])
def test_no_terminal(program, host):
    check_refused(run(program, "top", "--debugfs", host.path / "debug", stdin=subprocess.DEVNULL), 1,
                  "needs a terminal", "exitstat show -d 1")


def test_errors_at_the_start(host, top):
    shutil.rmtree(host.kvm)
    host.kvm.mkdir()
    screen = top(begins=False)
    assert screen.wait_end() == 77
    assert re.fullmatch("exitstat: there is no [^\n]+\n", (screen.path / "errors").read_text())
    assert not any(line.startswith("exitstat on") for line in screen.capture())


def test_usage(host):
    check_refused(run(ASAN, "top", "--sort", "NOTHING"), 2, "NOTHING")
    check_refused(run(ASAN, "guest", "--top", "--json"), 2, "--top")
    assert "%LOST" in run(ASAN, "top", "--help").stdout


def test_vm_that_dies(host, top):
    screen = top(*FAST)
    for keys in [ENTER], [ENTER, "3"], [ENTER, "3", ENTER]:
        screen.keys("2", *keys)
        screen.wait_for("VM 100-11 web")
        host.remove_vm("100-11")
        screen.wait_for("host: VMs, 1", "VM 100-11 web has ended", "200-12")
        # until a key is pressed
        screen.keys("Home")
        screen.wait_without("has ended")
        host.add_vm("100-11", "web")
        screen.wait_for("host: VMs, 2")
    # None is open any more.
    screen.keys("1", "3")
    screen.wait_for("first choose a VM")
    screen.quit()


def test_vcpu_that_is_removed(host, top):
    screen = top(*FAST)
    screen.keys("2", ENTER, "3", DOWN, ENTER)
    screen.wait_for("VM 100-11 web vCPU 1: exits")
    shutil.rmtree(host.kvm / "100-11/vcpu1")
    screen.wait_for("VM 100-11 web: vCPUs", "vCPU 1 is gone")
    screen.quit()


def test_pid_reuse(host, top):
    """The same <pid>-<fd> with other counters is another VM: all it has counted is new."""
    screen = top("-d", "1", "--units", "cycles", "--sort", "VM")
    screen.keys("2")
    screen.wait_rows({"VM": ["100-11", "200-12"], "EXITS": ["0", "0"]})
    # Its directory is made before the old one goes, as another inode.
    host.kvm.joinpath("100-11").rename(host.path / "gone")
    host.add_vm("100-11", "web", start=2000)
    host.rows["100-11"] = {"HLT": [17, 100, 0, 0, 0, 0, 0]}
    host.write("100-11")
    seen = screen.wait(lambda lines: rows(lines) and rows(lines)[0].get("EXITS") in ("17", "8000"))
    assert any(re.match(r"\+100-11 +web", line) for line in seen)
    screen.wait(lambda lines: any(re.match(r" 100-11 +web", line) for line in lines))
    # One that is open then has ended.
    screen.keys(ENTER)
    screen.wait_for("VM 100-11 web: exits by reason")
    host.kvm.joinpath("100-11").rename(host.path / "gone too")
    host.add_vm("100-11", "web", start=3000)
    screen.wait_for("VM 100-11 web has ended", "host: VMs, 2")
    screen.quit()


def test_new_vm_since_baseline(host, top):
    screen = top(*FAST, "--sort", "VM")
    screen.keys("2")
    screen.start_since()
    host.add_vm("300-5", "late")
    lines = screen.wait_rows({"VM": ["100-11", "200-12", "300-5"], "EXITS": ["0", "0", "8000"]})
    assert any(re.match(r"\+300-5 +late", line) for line in lines)
    screen.quit()


def test_utf8_names(host, top):
    """Names are cut by columns, of which some characters take two or none."""
    host.add_vm("300-7", "数据库服务器" * 8)
    host.add_vm("301-7", "bücher-e\u0301toile")
    host.add_vm("302-7", "raw\udcff".encode(errors="surrogateescape").decode("latin-1")[:4])
    screen = top(*FAST, "--sort", "VM")
    screen.keys("2")
    lines = screen.wait_for("数据库服务器数据库服务器…", "bücher-e\u0301toile")
    line = next(line for line in lines if "300-7" in line)
    name = re.search(r"数\S+", line)[0]
    # 26 of 80 columns, in whole characters of two columns and the mark
    assert name == ("数据库服务器" * 3)[:12] + "…"
    # The column that follows is where it is in all lines.
    ends = {len(line.replace("\u0301", "").encode("utf-16-le")) // 2 + sum("\u4e00" <= c <= "\u9fff" for c in line)
            for line in lines if re.match(r" \d+-\d", line)}
    assert len(ends) == 1
    screen.keys("/")
    screen.type("器数")
    screen.wait_for("VMs, 1 of 5", "/器数")
    screen.keys(ESCAPE)
    screen.wait_for("VMs, 5")
    screen.quit()


@pytest.mark.parametrize("program", [ASAN, STATIC])
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_restore_the_terminal(program, number, status, host, top):
    screen = top(*FAST[:2], program=program)
    screen.wait_for("TSC 1000.000 MHz")
    os.kill(screen.pid, number)
    assert screen.wait_end() == status
    screen.check_restored()
    # bash's own words about a job that was killed go elsewhere
    assert "exitstat" not in (screen.path / "errors").read_text()


@pytest.mark.parametrize("program", [ASAN, STATIC])
def test_stop_and_continue(program, host, top):
    screen = top(*FAST[:2], program=program)
    screen.wait_for("TSC 1000.000 MHz")
    os.kill(screen.pid, signal.SIGTSTP)
    stat = pathlib.Path(f"/proc/{screen.pid}/stat")
    pace.wait_until(lambda: stat.read_text().split(")")[1].split()[0] == "T", 10)
    lines = screen.wait_for("STOPPED")
    assert "TSC 1000.000 MHz" not in "\n".join(lines)
    screen.resize(100, 30)
    host.count("", "HLT", 10)
    (screen.path / "go").touch()
    screen.wait(lambda lines: "TSC 1000.000 MHz" in lines[0] and len(lines) == 30 and "q" in lines[-1])
    screen.quit()


def test_kvm_goes_and_comes(host, top):
    screen = top(*FAST, size=WIDE)
    screen.keys("2")
    screen.wait_for("host: VMs, 2")
    host.kvm.rename(host.path / "gone")
    screen.wait_for("NO NEW NUMBERS", "modprobe", "host: VMs, 2")
    # with other counters, as after a reload
    host.add("")
    host.rows[""]["HLT"][0] = 50
    host.write("")
    screen.wait_for("host: VMs, 0", "No VM is running")
    screen.wait_without("NO NEW NUMBERS")
    screen.quit()


def test_damaged_file_is_said_and_read_again(host, top):
    screen = top(*FAST, size=WIDE)
    screen.wait_for("exits/s")
    replace(host.kvm / "exit_stats", "exit_stats version=1\n")
    screen.wait_for("NO NEW NUMBERS", "this is not whole output")
    host.write("")
    screen.wait_without("NO NEW NUMBERS")
    screen.quit()


def test_reads_only_what_is_shown(host, top):
    """What nobody looks at may be damaged, or take long."""
    for path in (host.kvm / "200-12/vcpu0/vcpu_exit_stats", host.kvm / "200-12/vm_exit_latency", host.kvm / "exit_latency",
                 host.kvm / "100-11/vcpu0/vcpu_exit_latency"):
        replace(path, "nothing\n")
    screen = top(*FAST, size=WIDE)
    screen.keys("2", ENTER, "3", ENTER, "2")
    screen.wait_for("host: VMs, 2", "exits/s")
    time.sleep(0.5)
    assert "NO NEW NUMBERS" not in "\n".join(screen.capture())
    screen.keys(DOWN, ENTER)
    screen.wait_for("NO NEW NUMBERS", "200-12/vcpu0/vcpu_exit_stats, line 1")
    screen.keys("1")
    screen.wait_without("NO NEW NUMBERS")
    # Nor are VMs, in the view of the host.
    replace(host.kvm / "200-12/vm_exit_stats", "nothing\n")
    time.sleep(0.5)
    assert "NO NEW NUMBERS" not in "\n".join(screen.capture())
    screen.quit()


def test_without_debugfs(host, top, tmp_path):
    """The host's totals in sysfs are enough for its view."""
    shutil.rmtree(tmp_path / "debug")
    tree = Tree(tmp_path / "debug")
    tree.put_sysfs()
    screen = top("-d", "0.2", size=WIDE)
    screen.wait_for("host: exits by reason", "TSC 2893.202 MHz", "exits/s")
    for key in "2", "3":
        screen.keys(key)
        screen.wait_for("VMs need debugfs and root: it is not mounted on")
    screen.start_since()
    (tree.totals / "reason-10/exits").write_text("10042\n")
    screen.wait_rows({"NAME": ["CPUID"], "EXITS": ["42"]})
    screen.keys("l")
    screen.wait_for("Histograms are in debugfs only")
    screen.quit()


def test_named_vms(host, top):
    screen = top(*FAST, "--vm", "w*", "--vm", "200")
    screen.wait_for("host: VMs, 2")
    host.remove_vm("200-12")
    screen.wait_for("host: VMs, 1")
    host.add_vm("300-7", "other")
    host.add_vm("301-7", "w2")
    screen.wait_for("host: VMs, 2", "w2")
    screen.quit()


@pytest.mark.parametrize("options, title", [
    (["--vm", "web"], "VM 100-11 web: exits by reason"), (["--vm", "100", "--vcpu", "1"], "VM 100-11 web: vCPUs"),
    (["--vcpu", "all"], "host: VMs, 2")])
def test_begins_with_what_was_named(options, title, host, top):
    screen = top(*FAST, *options)
    screen.wait_for(title, "exits/s")
    if "1" in options:
        screen.wait_rows({"VCPU": ["1"]})
    screen.quit()


def test_named_vm_that_is_not_there(host, top):
    screen = top("--vm", "12345", begins=False)
    assert screen.wait_end() == 1
    assert "there is no VM 12345" in (screen.path / "errors").read_text()


def test_reasons_and_columns(host, top):
    screen = top(*FAST, "--reason", "c*", "--columns", "NAME,EXITS,VM,VCPUS", "--sort", "EXITS")
    screen.start_since()
    host.count("", "HLT", 5)
    host.count("", "CPUID", 3)
    lines = screen.wait_rows({"NAME": ["CPUID"], "EXITS": ["3"]})
    assert lines[4].split() == ["NAME", "EXITS", "VM"]
    screen.keys("2")
    lines = screen.wait_for("100-11")
    assert lines[4].split() == ["EXITS", "VM", "VCPUS"]
    screen.quit()


def test_count(host, top):
    screen = top("-d", "0.1", "-n", "3", begins=False)
    assert screen.wait_end() == 0
    screen.check_restored()


def test_guest(host, top, tmp_path):
    model = tmp_path / "model"
    model.write_text("hypervisor0 KVMKVMKVM\nleaves 1\ntop 0x4fffffff\nabi 1\nend 86\nkhz 1000000\n"
                     "row 10 100 1000\nrow 12 50 7000\nrow 48 9 10 1\n")
    screen = top("-d", "0.2", "--top", program=MODEL, command="guest", where=False, env={"CPUID_MODEL": str(model)})
    lines = screen.wait_for("this VM: exits by reason", "CPUID", "handle ", "other times are not known here")
    assert "PREEMPTED" not in "\n".join(lines)
    # Each reading is itself an exit, and each of these makes one of reason 48.
    screen.wait(lambda lines: [row["NAME"] for row in rows(lines)] == ["CPUID", "EPT_VIOLATION"])
    screen.keys("2")
    screen.wait_for("a guest sees only what its host tells")
    screen.keys("l")
    screen.wait_for("a guest cannot see how long single exits took")
    screen.start_since()
    screen.quit()


def test_plain(host, top):
    """What the static program has, without ncurses."""
    screen = top("-d", "0.2", program=STATIC)
    screen.wait_for("host: vmx, TSC 1000.000 MHz", "no exits", "by LOST_CYCLES")
    screen.keys("c")
    screen.wait_for("SINCE")
    host.count("", "HLT", 70, 500)
    host.count("", "CPUID", 80, 400)
    lines = screen.wait(lambda lines: any(line.split()[:2] == ["10", "CPUID"] and "80" in line.split() for line in lines))
    names = [line.split()[1] for line in lines if re.match(r" +\d+ [A-Z]", line)]
    assert names == ["HLT", "CPUID"]

    def order():
        return [line.split()[1] for line in screen.capture() if re.match(r" +\d+ [A-Z]", line)]
    screen.keys("s", "s")
    screen.wait(lambda lines: "by EXITS |" in lines[-1] and order() == ["CPUID", "HLT"])
    screen.keys("r")
    screen.wait(lambda lines: "by EXITS, reversed" in lines[-1] and order() == ["HLT", "CPUID"])
    screen.keys("Space")
    screen.wait_for("FROZEN")
    host.count("", "HLT", 1)
    time.sleep(0.5)
    assert any(line.split()[:2] == ["12", "HLT"] and "70" in line.split() for line in screen.capture())
    screen.keys("Space")
    screen.wait(lambda lines: any(line.split()[:2] == ["12", "HLT"] and "71" in line.split() for line in lines))
    for size in (40, 10), (10, 2), (120, 30):
        screen.resize(*size)
        screen.wait(lambda lines: len(lines) == size[1] and (size[1] < 10 or "TSC" in lines[0]))
        assert all(len(line) <= size[0] for line in screen.capture())
    host.kvm.rename(host.path / "gone")
    screen.wait_for("modprobe")
    screen.quit()


def test_plain_of_vms(host, top):
    screen = top("-d", "0.2", "--vm", "*", program=STATIC)
    screen.wait_for("VM 100-11 web:", "VM 200-12 db:", "TOTAL")
    screen.keys("c")
    screen.wait_for("SINCE")
    host.count("200-12", "HLT", 13, 10)
    screen.wait(lambda lines: any(line.split()[:2] == ["12", "HLT"] and "13" in line.split() for line in lines))
    host.remove_vm("100-11")
    screen.wait(lambda lines: "VM 200-12 db:" in lines[0] and "VM 100-11" not in "".join(lines))
    screen.quit()
