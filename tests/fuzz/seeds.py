"""What a target of the fuzzer begins with, and the inputs that are kept as tests."""
import hashlib
import itertools
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import kvmtext  # noqa: E402
import tree  # noqa: E402

# Where it stands in a line, common.h's SEPARATOR.
SEPARATOR = b"%%\n"


COMMAND_LINES = (
    "", "-h", "-V", "--json -d 1 -n 3", "--vm 12-3 --vm web* --vcpu all --csv",
    "--reason 10 --reason *io* --units ns --sort -exits -o +vm,vm_name", "--vcpu 7 --openmetrics",
    "--columns reason,name --host", "--textfile /tmp/x --debugfs /a --sysfs /b --procfs /c",
    "-- sleep 1", "a.json b.json", "--output=x --latency --isa svm --html y", "-d1 -n2 a b",
)


def sha(data):
    return hashlib.sha1(data).hexdigest()[:12]


def joined(texts):
    """Texts as one input; each must end with a line feed but for the last."""
    return SEPARATOR.join(text.encode() if isinstance(text, str) else text for text in texts)


def kept(target):
    """Where the inputs of a target are kept."""
    return HERE.parent / "data/exitstat/fuzz" / target.removeprefix("fuzz_")


# What somebody may have chosen who wants to do harm: it ends a script, a cell, a label or a line, is
# a formula, or looks like something else.
HOSTILE = ('a"b,c;d', "=1+1", "+cmd|' !A0", "@x\r\ny", "-1\n# EOF", '\\"} 1', "<\u2028script>&",
           "</script><!--", "\x1b[2J\x7f\x85", "\u202eabc", "e\u0301" * 70, "\U0001f427" * 40, " ")


def hostile_name(words, name):
    """A VM with this name, and what prints it."""
    def stats(scope):
        keys = {"version": 1, "isa": "vmx", "tsc_khz": 1000, "scope": scope, "enabled": 1,
                "failed_entries": 1, "clamped": 2, "guest_cycles": 5}
        return kvmtext.stats_text([(10, "CPUID", 3, 9)], (3, 9), keys) + "\n"

    return joined([words + "\n", "debug/kvm/exit_stats\n" + stats("host"),
                   "debug/kvm/12-3/exit_stats\n" + stats("vm"),
                   b"proc/12/cmdline\nvmm\0--id\0" + name.encode() + b"\0\n"])


class Moments:
    """A small host, at two moments."""

    def __init__(self, path, isa, vms=1, vcpus=1, reasons=3):
        self.tree = tree.Tree(path, vms, vcpus, reasons, isa)

    def texts(self, kind):
        t = self.tree
        for _ in range(2):
            vm = next(iter(t.vms.values()))
            yield [(scope, getattr(t, f"{kind}_text")(scope, counters)) for scope, counters in
                   (("host", t.host), ("vm", vm.counters), ("vcpu", vm.vcpus[0].counters))]
            t.advance(3)


def file_pairs(root, kind, isa):
    first, second = Moments(root / f"{kind}-{isa}", isa).texts(kind)
    for (scope, before), (_, now) in zip(first, second):
        yield f"{isa}-{scope}", joined([before, now])


def files_of(directory):
    for path in sorted(directory.rglob("exit_*")) + sorted(directory.glob("proc/*/*")):
        if path.stat().st_size:
            content = path.read_bytes()
            yield (f"{path.relative_to(directory)}\n".encode() + content
                   + (b"" if content.endswith(b"\n") else b"\n"))


def sysfs_files(counters, t):
    """The host's totals as KVM has them in sysfs."""
    root = "sys/kernel/kvm/exit_stats"
    values = {"version": 1, "isa": t.isa, "tsc_khz": t.tsc_khz, "enabled": 1,
              "guest_cycles": counters.guest_cycles, "failed_entries": 0, "clamped": 0}
    for number, counts in [*counters.rows.items(), (None, [0] * 7)]:
        where = "reason-other" if number is None else f"reason-{number}"
        values[f"{where}/name"] = "OTHER" if number is None else t.names[number]
        values.update({f"{where}/{column}": count for column, count in
                       zip(tree.COLUMNS, counts)})
    return [f"{root}/{name}\n{value}\n" for name, value in values.items()]


def counted(counters):
    """A scope's members of a recording's sample."""
    return {"guest_cycles": counters.guest_cycles, "failed_entries": counters.failed_entries,
            "clamped": counters.clamped,
            "reasons": [[number, *counts] for number, counts in counters.rows.items()],
            "latency": [[number, tree.TIMES[which], tree.bucket_range(bucket)[0], exits]
                        for (number, which), buckets in counters.buckets.items()
                        for bucket, exits in buckets.items()]}


def sample(t, seconds, vcpus, **more):
    """All that there is, as in a sample that is full."""
    scopes = [{"scope": "host", **counted(t.host)}]
    for vm in t.vms.values():
        identity = {"vm": vm.id, "name": vm.name, "id": f"{vm.dir.stat().st_ino}.{vm.start_time}"}
        scopes.append({"scope": "vm", **identity, **counted(vm.counters)})
        scopes += [{"scope": "vcpu", **identity, "vcpu": vcpu.number, **counted(vcpu.counters)}
                   for vcpu in vm.vcpus if vcpus]
    return {"t": seconds, "full": True, **more, "scopes": scopes}


def recording_seeds(root):
    for isa in "vmx", "svm":
        for vcpus in False, True:
            t = tree.Tree(root / f"recording-{isa}-{vcpus}", 2, 1, 2, isa)
            lines = [{"schema": "exitstat.recording", "version": 1, "tool": "exitstat 0.1",
                      "started": "2026-11-24T20:00:00.123Z", "interval": 1.0, "source": "debugfs",
                      "isa": isa, "tsc_khz": t.tsc_khz, "host": "h", "kernel": "6.12",
                      "counts": list(tree.COLUMNS)},
                     sample(t, 0, vcpus, names={number: name for number, name in t.names.items()
                                                if number is not None})]
            t.advance(1)
            lines.append(sample(t, 1.000012, vcpus))
            # Without "full" it only has what has changed, which may be all of it.
            t.advance(1)
            lines.append(sample(t, 2.0, vcpus, full=False, lost=2, enabled=False))
            vms = list(t.vms.values())
            t.kill(vms[0])
            t.reuse(vms[1])
            lines.append(sample(t, 3.0, vcpus, full=False, ended=[vm.id for vm in vms]))
            lines.append({"t": 3.5, "end": "SIGINT", "samples": 4, "lost": 2})
            text = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n"
                           for line in lines)
            yield f"{isa}-{vcpus}", text.encode()
            # A second section, behind a line that is torn.
            yield f"{isa}-{vcpus}-torn", (text[:-30] + "\n" + text).encode()
            if isa == "vmx" and not vcpus:
                for vm in vms:
                    text = text.replace(f'"{vm.name}"', json.dumps(HOSTILE[7] + HOSTILE[6]))
                yield "hostile", text.encode()


def shown(t, seconds, ns):
    """What 'exitstat show --json' prints, in short."""
    unit = "ns" if ns else "cycles"
    rows = [{"reason": number, "name": "OTHER" if number is None else t.names[number],
             "exits": counts[tree.EXITS], f"handle_{unit}": counts[tree.HANDLE]}
            for number, counts in t.host.rows.items()]
    document = {"schema": "exitstat.show", "version": 1, "time": "2026-11-24T20:00:00.123Z",
                "seconds": seconds, "units": unit, "isa": t.isa, "tsc_khz": t.tsc_khz,
                "enabled": True, "scopes": [{"scope": "host", "reasons": rows}]}
    return json.dumps(document, separators=(",", ":")) + "\n"


def packed(root):
    """As logrotate and people have them: whole, cut off, and two in a row."""
    data = next(iter(recording_seeds(root / "packed")))[1]
    for name, words in ("gz", ["gzip", "-n"]), ("xz", ["xz"]), ("zst", ["zstd", "-q"]):
        text = subprocess.run([*words, "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
        yield name, text
        yield f"{name}-cut", text[:len(text) * 2 // 3]
        yield f"{name}-twice", text + text


def diff_seeds(root):
    options = itertools.cycle(["", "--json", "--csv", "--openmetrics", "--units=ns",
                               "--vm=* --sort=exits", "--reason=*io* --json"])
    recordings = [data for _, data in recording_seeds(root)]
    for number, (before, now) in enumerate(zip(recordings, recordings[1:])):
        yield f"recording-{number}", joined([next(options) + "\n" + before.decode(), now])
    for isa in "vmx", "svm":
        for seconds, ns in (None, False), (2.5, False), (None, True), (2.5, True):
            t = tree.Tree(root / f"diff-{isa}-{seconds}-{ns}", 1, 1, 3, isa)
            before = shown(t, seconds, ns)
            t.advance(5)
            now = shown(t, seconds, ns)
            for n, texts in enumerate(([before, now], [before + now, now], [before, recordings[0]])):
                first, second = texts
                yield f"{isa}-{seconds}-{ns}-{n}", joined([next(options) + "\n" + first, second])


def scan_seeds(root):
    for number, (name, words) in enumerate(zip(HOSTILE, itertools.cycle(
            ("vm=* csv", "vm=* csv", "list csv", "list csv", "list openmetrics", "vm=* openmetrics",
             "list json", "vm=* json", "vm=*", "list", "list", "list csv columns=vm_name")))):
        yield f"hostile-{number}", hostile_name(words, name)
    for number, words in enumerate(("list csv", "list prometheus", "vm=* json", "list")):
        yield f"hostile-all-{number}", hostile_name(words, "".join(HOSTILE[:6]))
    options = ["", "list", "list json", "list vcpus csv sort=%lost", "vm=web* json latency",
               "vcpus openmetrics", "host vm=* vcpu=0 csv columns=+vm,vm_name,pid", "prometheus ns",
               "list prometheus", "reason=*IO* sort=exits ns", "list ns openmetrics"]
    for number, words in enumerate(options):
        moments = tree.Tree(root / f"scan-{number}", 2 - number % 2, 1, 1 + number % 2,
                            ("vmx", "svm")[number % 3 == 2])
        before = list(files_of(moments.path))
        vm = next(iter(moments.vms.values()))
        if number % 3 == 0:
            gone = f"-{vm.dir.relative_to(moments.path)}\n"
            moments.reuse(vm)
        else:
            gone = "x\n"
        moments.advance(2)
        yield f"scan-{number}", joined([words + "\n", *before, "then\n", gone,
                                        *files_of(moments.path)])
    moments = tree.Tree(root / "sysfs", 1, 1, 1)
    yield "sysfs", joined(["json\n", *sysfs_files(moments.host, moments)])
    # Names of all kinds of VMMs.
    moments = tree.Tree(root / "names", 10, 1, 1)
    for number, vm in enumerate(moments.vms.values()):
        files = [path for path in files_of(moments.path)
                 if path.startswith((b"debug/kvm/exit_stats", f"proc/{vm.pid}/".encode()))
                 or path.startswith(f"debug/kvm/{vm.id}/vm_exit_stats".encode())]
        words = ("list json", "list", "list csv", "list openmetrics")[number % 4]
        yield f"name-{number}", joined([words + "\n", *files])


def seeds(target):
    """Names and inputs."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="exitstat-seeds-"))
    try:
        if target in ("fuzz_stats", "fuzz_latency"):
            for isa in "vmx", "svm":
                yield from file_pairs(root, target.removeprefix("fuzz_"), isa)
            # A reason twice, and more than a line may have.
            first = next(file_pairs(root / "same", target.removeprefix("fuzz_"), isa))[1]
            rows = first[:first.index(SEPARATOR)].splitlines(keepends=True)
            number, name, *cells = rows[2].decode().split()
            again = (rows[2] if target == "fuzz_latency" else
                     f"{number} {name}{' 0' * len(cells)}\n".encode())
            yield "hostile-same", b"".join([*rows[:3], again, *rows[3:]])
            words = " ".join(f"k{n}=" for n in range(300))
            title = f"exit_{target.removeprefix('fuzz_')}"
            yield "hostile-keys", f"{title} version=1 isa=vmx scope=host {words}\n".encode()
            yield "hostile-columns", (f"{title} version=1 isa=vmx tsc_khz=1 scope=host enabled=1"
                                      f" failed_entries=0 clamped=0\nreason name {words}\n").encode()
        elif target == "fuzz_recording":
            yield from recording_seeds(root)
        elif target == "fuzz_report":
            options = ("--html", "", "--json --units=ns", "--csv --vm=web*", "--openmetrics",
                       "--vcpu=all --sort=exits", "--host --vm=* --json")
            for number, (name, data) in enumerate(recording_seeds(root)):
                yield name, joined([options[number % len(options)] + "\n"]) + data
                yield f"{name}-html", b"--html\n" + data
            for name, data in packed(root):
                yield name, b"\n" + data
                yield f"{name}-html", b"--html\n" + data
        elif target == "fuzz_diff":
            yield from diff_seeds(root)
            for name, data in packed(root):
                yield name, joined([b"\n" + data, data])
        elif target == "fuzz_scan":
            yield from scan_seeds(root)
        elif target == "fuzz_process":
            for vm in tree.Tree(root / "tree", 10, 1, 1).vms.values():
                status = f"Name:\t{vm.comm}\nTgid:\t{vm.pid - 1}\nPid:\t{vm.pid}\n".encode()
                yield vm.id, joined([*((vm.proc / name).read_bytes() + b"\n"
                                       for name in ("cmdline", "comm", "stat")), status])
            for words in (["kvm", "-id", "100", "-name", "a"], ["crosvm", "run", "--name=a", "-p", "--id=b"],
                          ["qemu", "-append", "-name", "-name", "guest=a,,b,process=c"]):
                yield f"words-{sha(repr(words).encode())}", joined(["\0".join(words) + "\0\n"])
        elif target == "fuzz_options":
            for words in COMMAND_LINES:
                # Which command it is for is told by the length.
                for padding in range(3):
                    text = "\n".join(["exitstat", *words.split()]) + padding * "\n"
                    yield f"{sha(text.encode())}", text.encode()
    finally:
        shutil.rmtree(root)
