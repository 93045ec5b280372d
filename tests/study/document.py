"""Writes Documentation/study.md, its charts and its data, from what was recorded.

python3 -m study.document DIRECTORY does it from an older recording.
"""
import lzma
import pathlib
import re
import statistics
import sys
import textwrap

from lab import images

from .recording import Console, Recording, StudyError

DOCUMENTATION = images.TOP / "Documentation"
TEMPLATE = images.TOP / "tests/study/study.md.in"
STEP = 1.0
# Name, and the console's line with which it begins.  A stretch ends where the next begins.
BOOT = (("QEMU and SeaBIOS", "study: qemu begins"),
        ("GRUB: menu", "study: GRUB begins"),
        ("GRUB: loading", "Loading Linux"),
        ("kernel: unpacking", "study: kernel begins"),
        ("kernel: start", "Linux version"),
        ("initramfs", "Run /init as init process"),
        ("userspace", r"systemd\[1\]: systemd \d+"))
# What has no name is a pause.
LATER = (("settling", "study: boot done"),
         ("idle", "study: idle begins"), ("", "study: idle ends"),
         ("CPU", "study: cpu begins"), ("", "study: cpu ends"),
         ("disk reads", "study: disk begins"),
         ("disk writes", "study: disk writes"), ("", "study: disk ends"),
         ("timers", "study: timers begins"), ("", "study: timers ends"),
         ("power-off", "study: power off"))
LOADS = ("CPU", "disk reads", "disk writes", "timers")
# What single operations of the boot make, between two lines of the console.
OPERATIONS = (
    ("GRUB waits for a key", "study: GRUB begins", "Loading Linux"),
    ("GRUB reads the kernel", "Loading Linux", "Loading initial ramdisk"),
    ("GRUB reads the initramfs", "Loading initial ramdisk", "study: kernel begins"),
    ("the kernel unpacks itself", "study: kernel begins", "Linux version"),
    ("early console", "Linux version", r"Console: colour VGA"),
    ("the screen repeats the log", r"console \[tty0\] enabled", r"console \[ttyS0\] enabled"),
    ("the kernel looks for PCI buses", "PCI: Using ACPI for IRQ routing",
     "vgaarb: setting as boot VGA"))
READ, WRITE = 64 << 10, 4 << 10


def number(value):
    return f"{value:,.0f}"


def few(value):
    """A small number with two significant digits, a large one without decimals."""
    return number(value) if value >= 10 else f"{value:.2g}"


def percent(part, whole):
    share = 100 * part / whole if whole else 0
    return f"{share:.1f} %" if share >= 0.1 or not part else "below 0.1 %"


def table(head, rows):
    """A table of Markdown's; all columns but the first hold numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


class Study:
    def __init__(self, source):
        def file(name):
            packed = source / f"{name}.xz"
            return packed if packed.exists() else source / name

        self.recording = Recording(file("recording.jsonl"))
        self.console = Console(file("console.txt"), self.recording.started)
        self.zero = self.console.find(BOOT[0][1])
        # Name, begin and end of each stretch, on the recording's clock.
        begins, last = [], self.zero
        for name, pattern in BOOT + LATER:
            last = self.console.find(pattern, last)
            begins.append((name, last))
        begins.append(("", self.console.find("study: qemu ends")))
        self.stretches = [(name, begin, end)
                          for (name, begin), (_, end) in zip(begins, begins[1:])]
        self.edges = {name: (begin, end) for name, begin, end in self.stretches if name}
        self.totals = {name: self.recording.between(*edges) for name, edges in self.edges.items()}
        self.boot_edges = self.zero, self.edges["settling"][0]
        self.boot = self.recording.between(*self.boot_edges)

    @property
    def tsc_hz(self):
        return 1000 * self.recording.header["tsc_khz"]

    def shown(self, names):
        """Stretches for a chart, from QEMU's start."""
        return [(name, begin - self.zero, end - self.zero)
                for name, begin, end in self.stretches if name in names]

    def top(self, total, count=3):
        """The most frequent reasons and their shares."""
        words = [f"{name} {100 * total.reasons[name][0] / total.exits:.0f} %"
                 for name in total.by_exits()[:count]
                 if total.reasons[name][0] >= 0.01 * total.exits]
        return ", ".join(words)

    def lost_share(self, total):
        return percent(total.lost, total.lost + total.guest)

    def boot_table(self):
        rows = []
        for name, total in [*((n, self.totals[n]) for n, _ in BOOT), ("**all**", self.boot)]:
            rows.append((name, f"{total.seconds:.1f}", number(total.exits), number(total.rate),
                         self.lost_share(total), self.top(total)))
        return table(("phase", "seconds", "exits", "exits/s", "lost", "most frequent"), rows)

    def matrix(self, count=8):
        names = self.boot.by_exits()[:count]
        rows = []
        for phase, total in [*((n, self.totals[n]) for n, _ in BOOT), ("**all**", self.boot)]:
            listed = [total.count(n) for n in names]
            rows.append((phase, *map(number, listed), number(total.exits - sum(listed))))
        return table(("phase", *names, "all others"), rows)

    def reasons_table(self, total, edges=None):
        rows = []
        for name in total.by_exits():
            exits = total.count(name)
            if exits < 0.5:
                continue
            lost = total.lost_by(name)
            row = [name, number(exits), f"{100 * exits / total.exits:.2f}", f"{lost:.3f}",
                   f"{100 * lost / total.lost:.2f}", number(self.tsc_hz * lost / exits)]
            if edges:
                row += [number(self.recording.below(name, *edges, share))
                        for share in (0.5, 0.99)]
            rows.append(row)
        head = ["reason", "exits", "% of exits", "seconds lost", "% of lost", "cycles/exit"]
        return table(head + ["half below", "99 % below"] * bool(edges), rows)

    def rates(self, begin, end):
        return [total.rate for _, total in self.recording.steps(begin, end, STEP)]

    def steadiness_table(self):
        rows = []
        for name, edges in [("**the boot**", self.boot_edges),
                            *((n, self.edges[n]) for n, _ in BOOT),
                            *((n, self.edges[n]) for n in ("idle", *LOADS))]:
            rates = self.rates(*edges)
            rows.append((name, number(min(rates)), number(statistics.median(rates)),
                         number(max(rates)),
                         f"{statistics.pstdev(rates) / statistics.fmean(rates):.2f}"))
        return table(("", "lowest", "median", "highest", "standard deviation / mean"), rows)

    def operation(self, name):
        begin, end = next((b, e) for n, b, e in OPERATIONS if n == name)
        begin = self.console.find(begin)
        end = self.console.find(end, begin)
        return self.recording.between(begin, end), self.console.characters(begin, end)

    def operations_table(self):
        rows = []
        for name, _, _ in OPERATIONS:
            total, _ = self.operation(name)
            rows.append((name, f"{total.seconds:.1f}", number(total.exits), number(total.rate),
                         self.top(total)))
        return table(("operation", "seconds", "exits", "exits/s", "most frequent"), rows)

    def per_character(self, reason, begin, end):
        """How a reason's exits grow with the console's characters, second by second: the slope, and
        the correlation."""
        steps = self.recording.steps(begin, end, STEP)
        exits = [total.count(reason) for _, total in steps]
        characters = [self.console.characters(time, time + total.seconds)
                      for time, total in steps]
        return (statistics.linear_regression(characters, exits).slope,
                statistics.correlation(characters, exits))

    def quiet_rate(self):
        """Exits a second in the initramfs while nothing is said and nothing waited for."""
        begin, end = self.edges["initramfs"]
        return statistics.median(
            total.rate for time, total in self.recording.steps(begin, end, STEP)
            if not self.console.characters(time, time + total.seconds) and not total.wait)

    def loads_table(self):
        rows = []
        for name in ("idle", *LOADS):
            total = self.totals[name]
            rows.append((name, f"{total.seconds:.1f}", number(total.exits), number(total.rate),
                         percent(total.guest, total.seconds),
                         *(percent(total.phase(phase), total.seconds)
                           for phase in ("handle", "user", "preempted", "wait")),
                         self.top(total)))
        return table(("", "seconds", "exits", "exits/s", "guest", "handle", "user", "preempted",
                      "wait", "most frequent"), rows)

    def stated(self, what):
        """How many bytes, by the console."""
        return int(self.console.search(f"study: {what} (\\d+) bytes")[1])

    def facts(self):
        """What the text says, by the names in the template."""
        boot, idle, totals = self.boot, self.totals["idle"], self.totals
        per_second = [total for _, total in self.recording.steps(*self.boot_edges, STEP)
                      if total.guest > 0.1 * total.seconds]
        before = self.recording.between(self.zero, self.edges["kernel: start"][0])
        first, second = boot.by_exits()[:2]
        least = [f"{name} ({number(boot.count(name))})" for name in reversed(boot.by_exits())
                 if 0.5 <= boot.count(name) < 1000]
        kernel_mib = self.stated("the kernel has") / (1 << 20)
        low, high = (int(x, 16) for x in self.console.search(
            r"RAMDISK: \[mem 0x(\w+)-0x(\w+)\]").groups())
        early, early_characters = self.operation("early console")
        unpacking, _ = self.operation("the kernel unpacks itself")
        screen, _ = self.operation("the screen repeats the log")
        pci, _ = self.operation("the kernel looks for PCI buses")
        slope, correlation = self.per_character(
            "IO_INSTRUCTION", self.edges["initramfs"][0], self.boot_edges[1])
        reads, writes = self.stated("read") / READ, self.stated("written") / WRITE
        timers = totals["timers"]
        return {
            "kernel": self.recording.header["kernel"], "qemu": self.qemu_command(),
            "boot_exits": number(boot.exits), "boot_seconds": number(boot.seconds),
            "before_kernel": number(before.exits),
            "before_kernel_share": percent(before.exits, boot.exits),
            "slowest_rate": few(min(t.rate for t in per_second)),
            "fastest_rate": number(max(t.rate for t in per_second)),
            "most_frequent": first, "second_frequent": second,
            "most_frequent_share": percent(boot.count(first), boot.exits),
            "most_frequent_lost": percent(boot.lost_by(first), boot.lost),
            "second_frequent_share": percent(boot.count(second), boot.exits),
            "second_frequent_lost": percent(boot.lost_by(second), boot.lost),
            "boot_lost": self.lost_share(boot),
            "boot_table": self.boot_table(), "matrix": self.matrix(),
            "steadiness_table": self.steadiness_table(),
            "operations_table": self.operations_table(),
            "menu_share": percent(totals["GRUB: menu"].exits, boot.exits),
            "per_mib_kernel": number(self.operation("GRUB reads the kernel")[0].exits / kernel_mib),
            "per_mib_initrd": number(self.operation("GRUB reads the initramfs")[0].exits
                                     / ((high + 1 - low) / (1 << 20))),
            "smm_cycles": number(self.tsc_hz * boot.handle_by("EXCEPTION_NMI")
                                 / boot.count("EXCEPTION_NMI")),
            "unpack_seconds": number(unpacking.seconds),
            "unpack_faults": number(unpacking.count("EPT_VIOLATION")),
            "early_per_char": f"{early.count('IO_INSTRUCTION') / early_characters:.1f}",
            "later_io_per_char": f"{slope:.1f}", "later_io_r": f"{correlation:.2f}",
            "vga_replay": number(screen.count("EPT_MISCONFIG")),
            "vga_seconds": f"{screen.seconds:.1f}",
            "pci_exits": number(pci.count("IO_INSTRUCTION")),
            "quiet_rate": number(self.quiet_rate()),
            "boot_reasons": self.reasons_table(boot, self.boot_edges), "least": ", ".join(least),
            "extint_half": number(self.recording.below("EXTERNAL_INTERRUPT", *self.boot_edges,
                                                       0.5)),
            "idle_reasons": self.reasons_table(idle),
            "idle_seconds": number(idle.seconds), "idle_exits": number(idle.exits),
            "idle_rate": number(idle.rate), "idle_wait": percent(idle.wait, idle.seconds),
            "idle_guest": percent(idle.guest, idle.seconds),
            "idle_median": number(statistics.median(self.rates(*self.edges["idle"]))),
            "idle_wakeups": number(idle.count("HLT") / idle.seconds),
            "idle_per_halt": f"{idle.exits / idle.count('HLT'):.1f}",
            "loads_table": self.loads_table(),
            "cpu_rate": number(totals["CPU"].rate),
            "cpu_preempted": percent(totals["CPU"].phase("preempted"), totals["CPU"].seconds),
            "reads": number(reads), "per_read": f"{totals['disk reads'].exits / reads:.1f}",
            "notify_read": f"{totals['disk reads'].count('EPT_MISCONFIG') / reads:.1f}",
            "halt_read": f"{totals['disk reads'].count('HLT') / reads:.1f}",
            "writes": number(writes), "per_write": f"{totals['disk writes'].exits / writes:.1f}",
            "notify_write": f"{totals['disk writes'].count('EPT_MISCONFIG') / writes:.1f}",
            "timers_rate": number(timers.rate),
            "wakeups": number(timers.count("HLT") / timers.seconds),
            "per_wakeup": f"{timers.exits / timers.count('HLT'):.1f}",
            "off_exits": number(totals["power-off"].exits),
            "off_seconds": f"{totals['power-off'].seconds:.1f}",
        }

    @staticmethod
    def qemu_command():
        """As it stands in run-study, the paths of the machine replaced by what they are."""
        text = (images.TOP / "tests/study/run-study").read_text()
        command = re.search(r"^(qemu-system.*?) </dev/null", text, re.S | re.M)[1]
        return command.replace("\n\t", "\n        ")


def draw(study, target):
    # Only here, so that the text alone needs no matplotlib.
    from . import charts  # pylint: disable=import-outside-toplevel

    # The same reasons, so the same colours, in both.
    names = study.recording.between(study.zero, study.edges["power-off"][1]).by_exits()
    names = names[:len(charts.COLORS)]
    for what, edges, step, stretches in (
            ("boot", study.boot_edges, STEP / 2, study.shown([n for n, _ in BOOT])),
            ("loads", (study.boot_edges[1], study.edges["power-off"][1]), STEP,
             study.shown([n for n, _ in LATER if n]))):
        steps = [(time - study.zero, total)
                 for time, total in study.recording.steps(*edges, step)]
        charts.rates(target / f"{what}-rate.svg", steps, names, stretches)
        charts.times(target / f"{what}-time.svg", steps, stretches)
    charts.shares(target / "boot-shares.svg", study.boot)


def wrapped(text):
    """Numbers are of any length: break the lines of paragraphs and lists anew."""
    blocks = []
    for block in text.split("\n\n"):
        if block[0] in "#|!<" or block.startswith("    "):
            blocks.append(block)
            continue
        parts = re.split(r"\n(?=- )", block)
        blocks.append("\n".join(
            textwrap.fill(" ".join(part.split()), 98, break_long_words=False,
                          break_on_hyphens=False,
                          subsequent_indent="  " if part.startswith("- ") else "")
            for part in parts))
    return "\n\n".join(blocks).rstrip("\n") + "\n"


def keep(source, target):
    """Pack the data that the page is made from."""
    for name in "recording.jsonl", "console.txt":
        if (source / name).exists():
            data = (source / name).read_bytes()
            (target / f"{name}.xz").write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def page(study):
    return wrapped(TEMPLATE.read_text().format_map(study.facts()))


def write(source):
    study = Study(source)
    target = DOCUMENTATION / "study"
    target.mkdir(exist_ok=True)
    (DOCUMENTATION / "study.md").write_text(page(study))
    draw(study, target)
    keep(source, target)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python3 -m study.document DIRECTORY")
    try:
        write(pathlib.Path(sys.argv[1]))
    except (StudyError, OSError) as err:
        sys.exit(f"study: {err}")
