"""Reads what the machine recorded: the counters, and the console with a time for each line."""
import bisect
import collections
import dataclasses
import datetime
import json
import lzma
import re

PHASES = ("handle", "user", "wait", "preempted")
OTHER = "OTHER"
# Cycles below which an exit is in the first bucket of exit_latency.
FIRST_BUCKET = 256


class StudyError(Exception):
    """What was recorded is not what was to be recorded."""


@dataclasses.dataclass
class Total:
    """Counts of a stretch of time: seconds, and for each reason exits and the seconds they took."""
    seconds: float = 0
    guest: float = 0
    reasons: dict = dataclasses.field(
        default_factory=lambda: collections.defaultdict(lambda: [0.0] * 5))

    @property
    def exits(self):
        return sum(row[0] for row in self.reasons.values())

    def phase(self, name):
        return sum(row[1 + PHASES.index(name)] for row in self.reasons.values())

    @property
    def lost(self):
        """The time in which the guest wanted to run and did not."""
        return self.phase("handle") + self.phase("user") + self.phase("preempted")

    @property
    def wait(self):
        return self.phase("wait")

    @property
    def rate(self):
        return self.exits / self.seconds

    def count(self, name):
        return self.reasons[name][0] if name in self.reasons else 0

    def handle_by(self, name):
        return self.reasons[name][1]

    def lost_by(self, name):
        row = self.reasons[name]
        return row[1] + row[2] + row[4]

    def by_exits(self):
        return sorted(self.reasons, key=lambda name: -self.reasons[name][0])

    def by_lost(self):
        return sorted(self.reasons, key=lambda name: -self.lost_by(name))


class Recording:
    """The host's counters: they begin with the module, outlive a VM, and here only one VM ran."""

    def __init__(self, path):
        self.names = {}
        # Times of the samples, and at each the absolute counters: guest cycles, and by reason
        # a row of exits and cycles.
        self.times, self.guest, self.rows = [], [], []
        self.latency = []
        self.read(path)

    def read(self, path):
        opener = lzma.open if path.suffix == ".xz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            self.header = json.loads(next(lines))
            if self.header.get("schema") != "exitstat.recording":
                raise StudyError(f"{path} is not a recording of exitstat")
            self.columns = [self.header["counts"].index(name) + 1 for name in (
                "exits", *(f"{phase}_cycles" for phase in PHASES))]
            rows, guest, latency = {}, 0, {}
            vms = set()
            for text in lines:
                sample = json.loads(text)
                if sample.get("lost"):
                    raise StudyError(f"{path}: the recorder lost samples")
                self.names.update(sample.get("names", {}))
                for scope in sample.get("scopes", ()):
                    if scope["scope"] == "vm":
                        vms.add(scope["id"])
                    if scope["scope"] != "host":
                        continue
                    guest = scope.get("guest_cycles", guest)
                    for row in scope.get("reasons", ()):
                        rows[row[0]] = [row[i] for i in self.columns]
                    for number, time, low, exits in scope.get("latency", ()):
                        if time == "total":
                            latency[number, low] = exits
                if "scopes" in sample:
                    self.times.append(sample["t"])
                    self.guest.append(guest)
                    self.rows.append(dict(rows))
                    self.latency.append(dict(latency))
        if len(vms) != 1:
            raise StudyError(f"{path} has {len(vms)} VMs, and not one")

    @property
    def started(self):
        text = self.header["started"].replace("Z", "+00:00")
        return datetime.datetime.fromisoformat(text).timestamp()

    def name(self, number):
        return OTHER if number is None else self.names.get(str(number), f"UNKNOWN_{number}")

    def seconds(self, cycles):
        return cycles / 1000 / self.header["tsc_khz"]

    def interval(self, i):
        """What happened between sample i and the next."""
        total = Total(self.times[i + 1] - self.times[i],
                      self.seconds(self.guest[i + 1] - self.guest[i]))
        for number, row in self.rows[i + 1].items():
            before = self.rows[i].get(number, [0] * 5)
            delta = [b - a for a, b in zip(before, row)]
            if any(delta):
                total.reasons[self.name(number)] = [
                    delta[0], *(self.seconds(cycles) for cycles in delta[1:])]
        return total

    def between(self, begin, end):
        """What happened between two moments.  A moment within a sample's interval divides its
        counts in proportion."""
        sum_ = Total()
        first = max(bisect.bisect_right(self.times, begin) - 1, 0)
        for i in range(first, len(self.times) - 1):
            low, high = max(begin, self.times[i]), min(end, self.times[i + 1])
            if low >= end:
                break
            part = self.interval(i)
            share = (high - low) / part.seconds
            sum_.seconds += high - low
            sum_.guest += share * part.guest
            for name, row in part.reasons.items():
                into = sum_.reasons[name]
                for k, value in enumerate(row):
                    into[k] += share * value
        return sum_

    def steps(self, begin, end, length):
        """Totals of equal steps of time."""
        count = max(1, round((end - begin) / length))
        edges = [begin + (end - begin) * k / count for k in range(count + 1)]
        return [(a, self.between(a, b)) for a, b in zip(edges, edges[1:])]

    def below(self, name, begin, end, share):
        """Below how many cycles, a power of two, so many of a reason's exits took, waiting left
        out."""
        i, j = (min(bisect.bisect_left(self.times, t), len(self.times) - 1) for t in (begin, end))
        buckets = collections.Counter()
        for (number, low), exits in self.latency[j].items():
            if self.name(number) == name:
                buckets[low] += exits - self.latency[i].get((number, low), 0)
        left = share * sum(buckets.values())
        for low in sorted(buckets):
            left -= buckets[low]
            if left <= 0:
                return 2 * low if low else FIRST_BUCKET
        raise StudyError(f"the recording has no histogram of {name}")


class Console:
    """The guest's console: for each line the seconds since the recording's start, its text, and
    how many characters it had with all that a terminal does not show."""

    LINE = re.compile(r"^(\d+\.\d+) (.*)$")
    ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[c()][0-9A-Z]?|[\r\0]")

    def __init__(self, path, started):
        self.lines = []
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
        for text in data.decode(errors="replace").split("\n"):
            match = self.LINE.match(text)
            if match:
                self.lines.append((float(match[1]) - started, self.ESCAPES.sub("", match[2]),
                                   len(match[2]) + 2))

    def search(self, pattern):
        """The first line's match."""
        for _, text, _ in self.lines:
            match = re.search(pattern, text)
            if match:
                return match
        raise StudyError(f"the guest's console has no '{pattern}'")

    def find(self, pattern, after=float("-inf")):
        """When the first line with the pattern came, from a moment on."""
        for time, text, _ in self.lines:
            if time >= after and re.search(pattern, text):
                return time
        raise StudyError(f"the guest's console has no '{pattern}'")

    def characters(self, begin, end):
        """How many were sent to the console, of lines that begin in this time."""
        return sum(length for time, _, length in self.lines if begin <= time < end)
