"""What the tests of the tool share: running it, on a debugfs and a sysfs that they write."""
import datetime
import json
import os
import re
import subprocess

import jsonschema
import pace
from kvmtext import COLUMNS, file_of, stats_text
from paths import BUILD, TOP

SRC = TOP / "tools/exitstat"
DATA = TOP / "tests/data/exitstat"
SHARED = BUILD / "exitstat"
STATIC = BUILD / "exitstat-static"
ASAN = BUILD / "exitstat-asan"
MODEL = BUILD / "exitstat.d/exitstat-model"
TEXT = BUILD / "exitstat.d/exitstat-text"
RECORDS = BUILD / "exitstat.d/parse-records"

COMMANDS = ["show", "list", "top", "record", "report", "diff", "guest", "details", "explain",
            "reasons", "attach", "detach", "doctor"]
U64_MAX = 2**64 - 1
# ASan's own status, so that no report of it can pass for an expected error.
ENV = {"PATH": os.environ["PATH"], "ASAN_OPTIONS": "exitcode=99",
       "UBSAN_OPTIONS": "exitcode=99"}

# The first kernels had the first two.
COUNTS = list(COLUMNS)
HEADINGS = ["EXITS", "HANDLE_CYCLES", "USER_CYCLES", "WAIT_CYCLES",
            "PREEMPTED_CYCLES", "L2_EXITS", "L2_HANDLE_CYCLES"]

ROWS = [
    (0, "EXCEPTION_NMI", 7, 9000, 0, 0, 0, 2, 3000),
    (1, "EXTERNAL_INTERRUPT", 431, 1700000, 52000, 0, 890000, 0, 0),
    (10, "CPUID", 10000, 10513702, 0, 0, 0, 4000, 4100500),
    (12, "HLT", 431, 1700000, 0, 500000000, 70, 0, 0),
    (30, "IO_INSTRUCTION", 10412, 13992321, 88000123, 0, 12345, 0, 0),
    (33, "INVALID_STATE", 8, 9000, 0, 0, 0, 0, 0),
    (None, "OTHER", 2, 1500, 1, 2, 3, 1, 700),
]
GUEST_CYCLES = 9876543210
# Without nested guests, and what the first kernels give.
L1_ROWS = [(*row[:7], 0, 0) for row in ROWS]
OLD_ROWS = [row[:4] for row in ROWS]
HEADING = "host: vmx, TSC 2893.202 MHz, from debugfs"


def sums(rows):
    return [sum(column) for column in list(zip(*rows))[2:]]


def text_of(rows=ROWS, counts=None, total=None, end="\n", **keys):
    counts = counts or (len(rows[0]) - 2 if rows else len(COUNTS))
    keys = {"version": 1, "isa": "vmx", "tsc_khz": 2893202, "scope": "host",
            "enabled": 1, "failed_entries": 0, "clamped": 0,
            **({"guest_cycles": GUEST_CYCLES} if counts > 2 else {}), **keys}
    if total is None:
        total = [n % 2**64 for n in sums(rows)] or [0] * counts
    return stats_text(rows, total, keys) + end


class Tree:
    """A debugfs and a sysfs, and exitstat run on them."""

    def __init__(self, path):
        self.path = path
        self.sysfs = path.parent / "sys"
        self.totals = self.sysfs / "kernel/kvm/exit_stats"

    def put(self, text, where="kvm"):
        path = self.path / "kvm" / file_of(where.removeprefix("kvm"))
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, str):
            text = text.encode()
        path.write_bytes(text)
        return path

    def put_sysfs(self, rows=ROWS, unseen=(2, "TRIPLE_FAULT"), **values):
        """The host's totals as KVM shows them in sysfs."""
        values = {"version": 1, "isa": "vmx", "tsc_khz": 2893202, "enabled": 1,
                  "guest_cycles": GUEST_CYCLES, "failed_entries": 0,
                  "clamped": 0, **values}
        reasons = [*rows, (*unseen, *[0] * 7)]
        if not any(number is None for number, *_ in rows):
            reasons.append((None, "OTHER", *[0] * 7))
        for slot, (number, name, *cells) in enumerate(reasons):
            where = "reason-" + ("other" if number is None else str(number))
            values.update({f"{where}/{key}": value for key, value in
                           [("name", name), ("slot", slot),
                            *zip(COUNTS, cells, strict=True)]})
        for name, value in values.items():
            path = self.totals / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")

    def run(self, *args, program=ASAN, **kwargs):
        # Behind the command's name, and before what is not for exitstat.
        command = args[:1] if args and args[0] in COMMANDS else ()
        if command != ("guest",):
            command += ("--debugfs", self.path, "--sysfs", self.sysfs,
                        "--procfs", self.path.parent / "proc")
        return run(program, *command, *args[len(args) and args[0] in COMMANDS:],
                   **kwargs)


def run(*command, env=None, **kwargs):
    kwargs = {"stdout": subprocess.PIPE, **kwargs}
    return subprocess.run([str(arg) for arg in command], text=True, timeout=pace.limit(60),
                          stderr=subprocess.PIPE, env={**ENV, **(env or {})},
                          **kwargs)


def validated(text, schema=None):
    """A document of ours, as its schema has it."""
    document = json.loads(text)
    schema = schema or document["schema"]
    jsonschema.validate(document, json.loads((SRC / f"schema/{schema}.json").read_text()))
    return document


def check_ok(result, stderr=""):
    assert (result.returncode, result.stderr) == (0, stderr)
    return result.stdout


def check_refused(result, status, *words):
    """One line on stderr that has all words, and nothing on stdout."""
    assert result.returncode == status, result.stderr
    assert not result.stdout
    assert re.fullmatch(r"exitstat: [^\n]+\n", result.stderr)
    for word in words:
        assert str(word) in result.stderr


def loads(text):
    """A document, without its time, which is checked to be now."""
    document = json.loads(text)
    check_time(document.pop("time"))
    return document


def scope(document):
    """The only one of a document."""
    assert len(document["scopes"]) == 1
    return document["scopes"][0]


def check_time(text):
    then = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    assert abs((now - then).total_seconds()) < 60
