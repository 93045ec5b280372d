"""Sample data for the HTML report, the page made of it, and a browser to look at it.

fill() makes the page as `exitstat report --html` does.  screenshot() needs Chromium,
as do the tests, which drive it with Browser.
"""
import base64
import functools
import itertools
import json
import math
import os
import pathlib
import random
import select
import shutil
import signal
import subprocess
import tempfile
import time

import pace

TOP = pathlib.Path(__file__).resolve().parents[3]
TEMPLATE = TOP / "tools/exitstat/page/page.html"
CHART_JS = pathlib.Path("/usr/share/javascript/chart.js/chart.min.js")

PHASES = ["guest", "handle", "user", "wait", "preempted"]
U64_MAX = 2**64 - 1
TSC_KHZ = 2893202
BUCKETS = ([{"from": 0, "below": 256}] +
           [{"from": 1 << i, "below": 2 << i} for i in range(8, 30)] +
           [{"from": 1 << 30, "below": None}])

# Number, name, exits per second of a busy vCPU, and what each takes, in seconds:
# handle, user, wait, preempted.
KINDS = [
    (32, "MSR_WRITE", 5200, 0.9e-6, 0, 0, 0),
    (48, "EPT_VIOLATION", 2600, 6.5e-6, 0, 0, 0.2e-6),
    (1, "EXTERNAL_INTERRUPT", 1900, 2.4e-6, 0, 0, 9e-6),
    (49, "EPT_MISCONFIG", 1300, 3.1e-6, 0, 0, 0),
    (12, "HLT", 900, 1.6e-6, 0, 250e-6, 0),
    (30, "IO_INSTRUCTION", 640, 2.9e-6, 31e-6, 0, 1e-6),
    (52, "PREEMPTION_TIMER", 420, 1.4e-6, 0, 0, 0),
    (10, "CPUID", 160, 0.7e-6, 0, 0, 0),
    (40, "PAUSE_INSTRUCTION", 120, 1.1e-6, 0, 0, 14e-6),
    (7, "INTERRUPT_WINDOW", 75, 0.8e-6, 0, 0, 0),
    (31, "MSR_READ", 50, 0.8e-6, 0, 0, 0),
    (28, "CR_ACCESS", 12, 1.2e-6, 0, 0, 0),
    (54, "WBINVD", 0.4, 140e-6, 0, 0, 0),
    (None, "OTHER", 0.2, 3e-6, 0, 0, 0),
]


def report(scopes, **header):
    last = max((s["t"][-1] for s in scopes if s["t"]), default=0.0)
    return {"schema": "exitstat.report", "version": 1, "tool": "exitstat 0.1",
            "started": "2026-03-14T09:26:53.589Z", "seconds": last,
            "samples": max((len(s["t"]) + 1 for s in scopes), default=0),
            "lost": 0, "skipped_lines": 0, "scopes_left_out": 0, "isa": "vmx", "tsc_khz": TSC_KHZ,
            "clock_khz": TSC_KHZ,
            "host": "kvm7.example.org", "kernel": "6.12.48+deb12-amd64",
            "scopes": scopes, **header}


def finish(scope, label, t, dt, phases, reasons, latency):
    """A scope, with its sums.  reasons: [(nr, name, exits, times)]"""
    rows = []
    for nr, name, exits, times in reasons:
        total = {"exits": sum(n for n in exits if n is not None), **times}
        rows.append({"nr": nr, "name": name, "exits": exits, "total": total})
    rows.sort(key=lambda row: -row["total"]["exits"])
    total = {"exits": sum(row["total"]["exits"] for row in rows)}
    for phase in PHASES:
        total[phase] = math.fsum(v for v in phases[phase] if v is not None)
    return {"scope": scope, "label": label, "t": t, "dt": dt, "phases": phases,
            "reasons": rows, "total": total, "latency": latency}


@functools.lru_cache(None)
def bucket_weights(median):
    middle = math.log2(max(median * TSC_KHZ * 1000, 1))
    weights = [math.exp(-(i + 7.5 - middle)**2 / 1.4) + 2e-4 * math.exp(-abs(i + 4 - middle))
               for i in range(len(BUCKETS))]
    return [weight / sum(weights) for weight in weights], weights.index(max(weights))


def spread(rng, exits, median):
    """So many exits, in buckets around a median of so many seconds."""
    counts = [0] * len(BUCKETS)
    weights, mode = bucket_weights(median)
    left = exits
    for i, weight in enumerate(weights):
        share = min(left, int(exits * weight + rng.random()))
        counts[i] += share
        left -= share
    counts[mode] += left
    return counts


def vcpu(rng, label, t, dt, load, kinds=KINDS, gaps=(), latency=True):
    """A vCPU.  load(t) is how busy it is (1: fully) and how often preempted (0: not)."""
    phases = {phase: [] for phase in PHASES}
    exits = {kind[0]: [] for kind in kinds}
    times = {kind[0]: dict.fromkeys(PHASES[1:], 0.0) for kind in kinds}
    histograms = {kind[0]: {"total": [], "handle": []} for kind in kinds}
    for i, (end, length) in enumerate(zip(t, dt)):
        if i in gaps:
            for values in itertools.chain(phases.values(), exits.values(),
                                          *(h.values() for h in histograms.values())):
                values.append(None)
            continue
        busy, contended = load(end)
        spent = dict.fromkeys(PHASES, 0.0)
        for nr, name, rate, handle, user, wait, preempted in kinds:
            rate *= max(1.2 - busy, 0.1) * 1.3 if name == "HLT" else busy
            n = int(rate * length * rng.uniform(0.7, 1.3) + rng.random())
            exits[nr].append(n)
            for phase, each in (("handle", handle), ("user", user), ("wait", wait),
                                ("preempted", preempted * (1 + 25 * contended))):
                took = n * each * rng.uniform(0.8, 1.25)
                times[nr][phase] += took
                spent[phase] += took
            histograms[nr]["handle"].append(spread(rng, n, handle))
            histograms[nr]["total"].append(spread(rng, n, handle + user))
        # HLT takes what is left of an idle vCPU.
        idle = max(0, length * (1 - busy) - spent["wait"])
        if 12 in times:
            times[12]["wait"] += idle
            spent["wait"] += idle
        spent["guest"] = max(0, length - math.fsum(spent.values()))
        for phase in PHASES:
            phases[phase].append(round(spent[phase], 9))
    return finish("vcpu", label, t, dt, phases,
                  [(k[0], k[1], exits[k[0]], times[k[0]]) for k in kinds],
                  {"buckets": BUCKETS,
                   "reasons": [{"nr": k[0], "name": k[1], **histograms[k[0]]}
                               for k in kinds]} if latency else None)


def add(a, b):
    """The sum of two numbers, lists or objects of the same shape; null is nothing."""
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, dict):
        return {key: add(a[key], b[key]) for key in a}
    if isinstance(a, list):
        return [add(x, y) for x, y in zip(a, b)]
    return a + b


def merge(scope, label, parts):
    """What a VM or a host has of its vCPUs: all on the same intervals."""
    first = parts[0]
    phases = first["phases"]
    reasons = {r["nr"]: r for r in first["reasons"]}
    latency = first["latency"]
    histograms = {r["nr"]: r for r in latency["reasons"]} if latency else {}
    for part in parts[1:]:
        phases = add(phases, part["phases"])
        for r in part["reasons"]:
            old = reasons[r["nr"]]
            reasons[r["nr"]] = {**r, "exits": add(old["exits"], r["exits"]),
                                "total": add(old["total"], r["total"])}
        for r in part["latency"]["reasons"] if latency else ():
            old = histograms[r["nr"]]
            histograms[r["nr"]] = {**r, "total": add(old["total"], r["total"]),
                                   "handle": add(old["handle"], r["handle"])}
    return finish(scope, label, first["t"], first["dt"], phases,
                  [(r["nr"], r["name"], r["exits"],
                    {p: r["total"][p] for p in PHASES[1:]}) for r in reasons.values()],
                  {"buckets": BUCKETS, "reasons": list(histograms.values())}
                  if latency else None)


def realistic(seconds=300, seed=1):
    """A host with three VMs: a busy one, one that is preempted for a while, and one
    that starts late.  A sample was lost on the way."""
    rng = random.Random(seed)
    t = [float(i + 1) for i in range(seconds)]
    dt = [1.0] * seconds
    scopes = []
    vms = [
        ("2411-13", "web1", 2, lambda s: (0.55 + 0.3 * math.sin(s / 25), 0.05), 0),
        ("2898-13", "build", 2, lambda s: (0.95, 1.0 if seconds * .5 < s < seconds * .7
                                           else 0.02), 0),
        ("3120-11", "db-replica", 1, lambda s: (0.25 + 0.2 * (s % 60 < 8), 0.1),
         seconds // 4),
    ]
    for vm, name, nr_vcpus, load, begins in vms:
        gaps = set(range(begins)) | {seconds * 5 // 6, seconds * 5 // 6 + 1}
        parts = [vcpu(rng, f"VM {vm} {name} vCPU {i}", t, dt, load, gaps=gaps)
                 for i in range(nr_vcpus)]
        scopes += [merge("vm", f"VM {vm} {name}", parts), *parts]
    host = merge("host", "host", [s for s in scopes if s["scope"] == "vm"])
    return report([host, *scopes], lost=2)


HOSTILE = [
    "<script>window.pwned = 1</script>",
    "\"><img src=x onerror=\"window.pwned = 1\">",
    "</script><script>window.pwned = 1</script>",
    "<!--<script>", "]]>", "'; window.pwned = 1; '", "${window.pwned = 1}",
    "\u202egnp.exe", "\u2028\u2029\u0000\u0007\u001b[31m", "émoji 🐧 漢字", "&lt;b&gt;",
    "javascript:window.pwned=1", "x" * 5000, "界" * 700, "", "__proto__",
]


def hostile(seconds=12):
    """Whatever a user may call a VM, in every place where a string may be."""
    rng = random.Random(2)
    t = [float(i + 1) for i in range(seconds)]
    kinds = [(1000 + i, name, 100 + i, 1e-6, 1e-6, 0, 0)
             for i, name in enumerate(HOSTILE)]
    scopes = [vcpu(rng, f"VM 1-{i} {name}", t, [1.0] * seconds,
                   lambda s: (0.9, 0), kinds) for i, name in enumerate(HOSTILE)]
    return report(scopes, **{key: HOSTILE[i] for i, key in enumerate(
        ("host", "kernel", "tool", "started", "isa"))})


def many(intervals, nr_reasons, nr_scopes, latency=True, interval=1.0, seed=3):
    """Large, but of the simplest kind: every number is drawn."""
    rng = random.Random(seed)
    t = [interval * (i + 1) for i in range(intervals)]
    kinds = [(i, f"REASON_{i}", 5000 / (i + 1), 1e-6, 1e-6, 0, 0)
             for i in range(nr_reasons)]
    return report([vcpu(rng, f"VM {1000 + i}-11 tenant-{i}", t, [interval] * intervals,
                        lambda s: (rng.uniform(0.3, 1), 0.1), kinds, latency=latency)
                   for i in range(nr_scopes)])


def huge():
    """Counters at the end of their range, which no double holds."""
    t = [1.0, 2.0, 3.0]
    counts = [U64_MAX // 3, U64_MAX // 2, 1]
    cells = [[U64_MAX // 7] * len(BUCKETS)] * 3
    seconds = U64_MAX / TSC_KHZ / 1000
    return report([finish(
        "host", "host", t, [1.0] * 3, {phase: [seconds, 0, 1e-9] for phase in PHASES},
        [(2**32 - 1, "FAILED_ENTRY", counts, dict.fromkeys(PHASES[1:], seconds)),
         (None, "OTHER", counts, dict.fromkeys(PHASES[1:], 0))],
        {"buckets": BUCKETS, "reasons": [{"nr": None, "name": "OTHER", "total": cells,
                                          "handle": cells}]})])


def silent(intervals=5):
    """A scope of which nothing is known, and one in which nothing happens."""
    t = [float(i + 1) for i in range(intervals)]
    none, zero = [None] * intervals, [0] * intervals
    unknown = finish("vm", "VM 1-1 unknown", t, [1.0] * intervals,
                     {phase: none for phase in PHASES},
                     [(10, "CPUID", none, dict.fromkeys(PHASES[1:], 0))],
                     {"buckets": BUCKETS, "reasons": [
                         {"nr": 10, "name": "CPUID", "total": none, "handle": none}]})
    idle = finish("vm", "VM 2-1 idle", t, [1.0] * intervals,
                  {phase: zero for phase in PHASES}, [], None)
    return report([unknown, idle])


def few_phases():
    """What a kernel gives that counts no time but handle."""
    data = many(4, 3, 1)
    scope = data["scopes"][0]
    for phase in ("guest", "user", "wait", "preempted"):
        scope["phases"][phase] = [None] * 4
        scope["total"][phase] = None
        for reason in scope["reasons"]:
            if phase in reason["total"]:
                reason["total"][phase] = None
    return data


def no_intervals():
    return report([finish("host", "host", [], [], {phase: [] for phase in PHASES}, [],
                          None)])


def fill(data):
    """The page, as the program writes it."""
    page = TEMPLATE.read_text()
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    for placeholder, content in (("/*EXITSTAT_CHART_JS*/", CHART_JS.read_text()),
                                 ("/*EXITSTAT_DATA*/null", text)):
        head, found, tail = page.partition(placeholder)
        assert found, placeholder
        page = head + content + tail
    return page


class Browser:
    """Headless Chromium, and one tab of it, over the pipe of its DevTools protocol."""

    def __init__(self, width=1280, height=900):
        self.profile = tempfile.mkdtemp(prefix="exitstat-chromium-")
        self.events, self.buffer, self.last_id = [], b"", 0
        to_browser, self.stdin = os.pipe()
        self.stdout, from_browser = os.pipe()
        # Chromium wants the pipes as its descriptors 3 and 4.
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3</dev/fd/{to_browser} 4>/dev/fd/{from_browser}',
             "sh", "chromium", "--headless", "--no-sandbox", "--disable-gpu",
             "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--disable-extensions",
             "--disable-crash-reporter", "--disable-breakpad",
             "--hide-scrollbars", "--force-color-profile=srgb",
             f"--user-data-dir={self.profile}", "--remote-debugging-pipe",
             "about:blank"],
            pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)
        self.session = None
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.call("Target.attachToTarget", targetId=target,
                                     flatten=True)["sessionId"]
            for domain in "Page", "Runtime", "Network", "Log":
                self.call(f"{domain}.enable")
            self.size(width, height)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.stdin)
        os.close(self.stdout)
        # Its children may take a moment more to go.
        for _ in range(20):
            shutil.rmtree(self.profile, ignore_errors=True)
            if not os.path.exists(self.profile):
                break
            time.sleep(0.1)

    def _message(self, deadline):
        while b"\0" not in self.buffer:
            left = deadline.left()
            if left <= 0 or not select.select([self.stdout], [], [], left)[0]:
                raise TimeoutError("Chromium does not answer")
            data = os.read(self.stdout, 1 << 20)
            if not data:
                raise RuntimeError(f"Chromium ended: status {self.process.wait()}")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, timeout=60, **params):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        text = memoryview(json.dumps(message).encode() + b"\0")
        while text:
            text = text[os.write(self.stdin, text):]
        deadline = pace.Deadline(timeout)
        while True:
            answer = self._message(deadline)
            if answer.get("id") == self.last_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def size(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=mobile)

    def dark(self, dark=True):
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def js(self, expression):
        """The value of an expression in the page, awaited if it is a promise."""
        result = self.call("Runtime.evaluate", expression=expression,
                           awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    def wait_for(self, expression, timeout=60):
        pace.wait_until(lambda: self.js(expression), timeout, 0.02, told=lambda: expression)

    def open(self, path, ready="window.exitstatReady === true"):
        self.events.clear()
        self.call("Page.navigate", url=pathlib.Path(path).resolve().as_uri())
        self.wait_for(ready)

    def png(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))


def screenshot(html, png, width=1280, height=900, dark=False, prepare=None):
    """Take a picture of the page in the file html.  With a height of None it is all of
    the page.  prepare is JavaScript to run before, for instance to choose a scope."""
    with Browser(width, height or 900) as browser:
        browser.dark(dark)
        browser.open(html)
        if prepare:
            browser.js(prepare)
        if height is None:
            browser.size(width, browser.js("document.documentElement.scrollHeight"))
        # Charts follow a change of size in the next frame or two.
        browser.js("new Promise(r => setTimeout(r, 200))")
        browser.png(png)
