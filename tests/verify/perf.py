"""perf kvm stat, beside the accounting in the same run.

Its report pairs each kvm_exit with the next kvm_entry of the same thread.  So it leaves out the
last exit of each vCPU; perf script shows these events one by one, and with them all exits.
"""
import dataclasses
import re

FILE = "/tmp/perf.data"
# Of buffer for each CPU, 16 MiB: nothing may be lost.
PAGES = 4096
EVENTS = r"""
function ns(time,  part) { split(time, part, "."); return part[1] * 1000000000 + part[2] }
/kvm:kvm_exit: / {
	match($0, /reason (.*) rip/, word)
	gsub(" ", "_", word[1])
	exits[word[1]]++
	# As the report does, nothing of a thread before its first entry.
	if ($1 in seen) { pending[$1] = word[1]; since[$1] = ns($2) }
	else early++
}
/kvm:kvm_entry: / {
	seen[$1] = 1
	if ($1 in pending) {
		pairs[pending[$1]]++
		time[pending[$1]] += ns($2) - since[$1]
		delete pending[$1]
	}
}
END {
	for (name in exits)
		printf "exits %s %d %d %.0f\n", name, exits[name], pairs[name], time[name]
	for (tid in pending) print "last", pending[tid]
	print "early", early + 0
}
"""


@dataclasses.dataclass
class Report:
    """perf kvm stat report: by reason, how many exits and their time in ns."""
    exits: dict
    ns: dict
    total: int
    total_ns: float


@dataclasses.dataclass
class Events:
    """The events themselves."""
    exits: dict
    pairs: dict
    ns: dict
    # The reasons of the exits that no entry follows, and how many no entry precedes.
    last: list
    early: int
    # What perf says of itself.
    samples: int
    lost: int


class Recording:
    """All of the machine's KVM events, from begin to stop()."""

    def __init__(self, machine):
        self.machine = machine
        machine.check(
            f"rm -f {FILE} /tmp/perf.control /tmp/perf.ack; mkfifo /tmp/perf.control /tmp/perf.ack; "
            f"perf kvm stat record -a -m {PAGES} -D -1 "
            "--control=fifo:/tmp/perf.control,/tmp/perf.ack "
            f"-o {FILE} >/tmp/perf.log 2>&1 & echo $! >/tmp/perf.pid; disown; "
            "exec 7<>/tmp/perf.control 8<>/tmp/perf.ack; echo enable >&7; read -t 60 -u 8 x; "
            "echo $x | grep -q ack", 120)

    def stop(self):
        self.machine.check("echo stop >&7; while [ -e /proc/$(cat /tmp/perf.pid) ]; do sleep 0.1; "
                           "done; exec 7>&- 8>&-", 120)

    def report(self):
        # On a terminal it wants one with a screen.
        text = self.machine.check(f"perf kvm -i {FILE} stat report 2>&1 | cat", 300)
        return parse_report(text)

    def events(self):
        m = self.machine
        m.check(f"cat >/tmp/events.awk <<'END'\n{EVENTS}\nEND")
        text = m.check(f"perf script -i {FILE} --ns -F tid,time,event,trace 2>/dev/null | "
                       "gawk -f /tmp/events.awk", 600)
        return parse_events(text, m.check(f"perf report -i {FILE} --stats 2>&1", 300))

    def delete(self):
        self.machine.check(f"rm -f {FILE}")


def parse_report(text):
    rows = re.findall(r"^ *(\S.*?) +(\d+) +\d+\.\d+% +\d+\.\d+% +[\d.]+us +[\d.]+us +([\d.]+)us",
                      text, re.M)
    total = re.search(r"^Total Samples:(\d+), Total events handled time:([\d.]+)us", text, re.M)
    if not rows or not total or "lost" in text.lower():
        raise ValueError(f"perf's report is not what was expected:\n{text}")
    names = [name.replace(" ", "_") for name, _, _ in rows]
    return Report(exits={name: int(row[1]) for name, row in zip(names, rows)},
                  ns={name: int(row[1]) * float(row[2]) * 1000 for name, row in zip(names, rows)},
                  total=int(total[1]), total_ns=float(total[2]) * 1000)


def parse_events(text, statistics):
    found = Events({}, {}, {}, [], 0, 0, 0)
    for line in text.splitlines():
        what, *words = line.split()
        if what == "exits":
            name, exits, pairs, ns = words
            found.exits[name] = int(exits)
            found.pairs[name] = int(pairs)
            found.ns[name] = int(ns)
        elif what == "last":
            found.last.append(words[0])
        else:
            found.early = int(words[0])
    per_event = re.search(r"^kvm:kvm_exit stats:\n *SAMPLE events: +(\d+)", statistics, re.M)
    found.samples = int(per_event[1])
    found.lost = sum(int(n) for n in re.findall(r"LOST\w* events: +(\d+)", statistics))
    return found
