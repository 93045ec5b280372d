"""The page of `exitstat report --html`, in Chromium: what it draws, says and refuses."""
import http.server
import json
import math
import random
import re
import threading

import pytest

from data.exitstat import report_data as R

# One Chromium for all.
pytestmark = pytest.mark.together(seconds=60)

CHARTS = ["exits", "phases", "heat", "bycount", "bytime"]
UNITS = {"s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


@pytest.fixture(scope="module")
def browser():
    with R.Browser() as browser:
        yield browser


@pytest.fixture(autouse=True)
def as_new(browser):
    browser.size(1280, 900)
    browser.dark(False)


@pytest.fixture(scope="module")
def realistic():
    return R.realistic(90)


@pytest.fixture
def show(browser, tmp_path):
    """Open a page with some data, and check that it is quiet and fetches nothing."""
    def show(data):
        path = tmp_path / "report.html"
        path.write_text(R.fill(data), encoding="utf-8")
        browser.open(path)
        return path
    yield show
    assert complaints(browser) == []
    asked = [e["params"]["request"]["url"] for e in browser.events
             if e["method"] == "Network.requestWillBeSent"]
    # The icon is an empty data: URL, so that no browser asks for another.
    assert [url for url in asked if url != "data:,"] == [
        (tmp_path / "report.html").as_uri()] * len(seen(browser, "Page.frameNavigated"))


def seen(browser, method):
    return [e for e in browser.events if e["method"] == method]


def complaints(browser):
    return [e["params"] for e in browser.events if e["method"] in
            ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")]


def choose(browser, select, value):
    browser.js(f"""(s => {{ s.value = {json.dumps(value)};
        s.dispatchEvent(new Event("change")) }})(document.getElementById("{select}"))""")
    assert browser.js(f"document.getElementById('{select}').value") == str(value)


def text(browser, id):
    return browser.js(f"document.getElementById('{id}').textContent")


def figures(browser):
    return browser.js("""Object.fromEntries([...document.querySelectorAll("#figures dd")]
        .map(e => [e.id.slice(7), e.textContent]))""")


def table(browser, id="reasons"):
    return browser.js(f"""[...document.querySelectorAll("#{id} tr")]
        .map(r => [...r.cells].map(c => c.textContent))""")


# Of a copy, as Chromium warns of canvases that are read often.
PIXELS = """const image = c => {
    const copy = document.createElement("canvas");
    copy.width = c.width;
    copy.height = c.height;
    const to = copy.getContext("2d", { willReadFrequently: true });
    to.drawImage(c, 0, 0);
    return to.getImageData(0, 0, c.width, c.height).data;
};"""


def colours(browser, id):
    """Opaque colours that at least 20 pixels of a canvas have."""
    return set(browser.js(f"""(c => {{
        {PIXELS}
        const seen = new Map();
        for (const p of new Uint32Array(image(c).buffer))
            if (p >>> 24 === 255)
                seen.set(p, (seen.get(p) || 0) + 1);
        return [...seen].filter(([, n]) => n >= 20).map(([p]) => "#" +
            [p, p >>> 8, p >>> 16].map(v => (v & 255).toString(16).padStart(2, "0")).join(""));
    }})(document.getElementById("{id}"))"""))


def pixels(browser, id, places):
    """The pixels of a chart at places on its axes."""
    return browser.js(f"""(c => {{
        {PIXELS}
        const s = Chart.getChart(c).scales, d = image(c);
        return {json.dumps(places)}.map(([x, y]) => {{
            const at = 4 * (Math.floor(s.y.getPixelForValue(y)) * c.width +
                            Math.floor(s.x.getPixelForValue(x)));
            return [...d.slice(at, at + 4)];
        }});
    }})(document.getElementById("{id}"))""")


def hover(browser, id, x, y):
    """Move the mouse over a chart, to a place on its axes."""
    left, top = browser.js(f"""(c => {{
        c.scrollIntoView({{block: "center"}});
        const box = c.getBoundingClientRect(), s = Chart.getChart(c).scales;
        return [box.left + s.x.getPixelForValue({x}), box.top + s.y.getPixelForValue({y})];
    }})(document.getElementById("{id}"))""")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=left, y=top)
    settle(browser)


def settle(browser):
    """Charts follow the mouse and the window in the next frames."""
    browser.js("new Promise(r => setTimeout(() => requestAnimationFrame(r), 50))")


def check_widths(browser):
    """Nothing but tables need be scrolled sideways, on a desk or on a phone."""
    for width in 1280, 360:
        browser.size(width, 800, mobile=width < 600)
        settle(browser)
        assert browser.js("document.documentElement.scrollWidth") <= width


def number(shown):
    """A number as shown, and how far it may be off: half a unit of its last digit."""
    value, _, unit = shown.partition(" ")
    value = value.replace(",", "")
    mantissa, _, exponent = value.partition("e")
    scale = UNITS.get(unit, 0.01 if unit == "%" else 1)
    digits = len(mantissa.partition(".")[2])
    return float(value) * scale, 0.501 * 10.0**(int(exponent or 0) - digits) * scale


def check(shown, expected):
    if expected is None:
        assert shown == "–"
        return
    if shown == "< 0.01":
        assert 0 < expected < 0.01
        return
    value, off = number(shown)
    assert abs(value - expected) <= off + 1e-12 * abs(expected), (shown, expected)


def known_seconds(scope):
    """The length of the intervals of which something is known."""
    return sum(d for i, d in enumerate(scope["dt"])
               if scope["phases"]["guest"][i] is not None)


def expected_figures(scope):
    total = {phase: scope["total"][phase] for phase in R.PHASES}
    time = sum(total.values())
    lost = total["handle"] + total["user"] + total["preempted"]
    rates = [sum(r["exits"][i] for r in scope["reasons"]) / d
             for i, d in enumerate(scope["dt"]) if scope["phases"]["guest"][i] is not None]
    return {"exits": scope["total"]["exits"],
            "average": scope["total"]["exits"] / known_seconds(scope), "peak": max(rates),
            **{phase: value / time for phase, value in total.items()},
            "lost": lost / (lost + total["guest"])}


@pytest.mark.parametrize("dark", [False, True])
def test_charts_are_drawn(browser, show, realistic, dark):
    browser.dark(dark)
    show(realistic)
    for chart in CHARTS:
        # Above four are more than text, axes and grid can have.
        assert len(colours(browser, chart)) > 4, chart
        assert len(browser.js(f"document.getElementById('{chart}').ariaLabel")) > 40
    assert colours(browser, "phases") >= {"#009e73", "#e69f00", "#56b4e9", "#d55e00",
                                          "#4a525c" if dark else "#cfd3d8"}
    assert browser.js("getComputedStyle(document.body).backgroundColor") == (
        "rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
    assert browser.js("document.documentElement.dataset.ready") == "1"


def test_header(browser, show, realistic):
    show({**realistic, "skipped_lines": 1})
    assert text(browser, "title") == "VM-exits of kvm7.example.org"
    assert text(browser, "header") == (
        "Linux 6.12.48+deb12-amd64 · Intel VMX · TSC 2893.202 MHz · began 2026-03-14 09:26:53 "
        "UTC · 1:30 (90 s) · 91 samples · exitstat 0.1")
    assert "2 samples" in text(browser, "warning")
    assert "1 line of" in text(browser, "warning")
    assert not browser.js("document.getElementById('warning').hidden")
    show({**realistic, "lost": 0, "scopes_left_out": 3})
    assert text(browser, "warning") == "Left out, as others had more exits: 3 VMs and vCPUs."
    show({**realistic, "lost": 0})
    assert browser.js("document.getElementById('warning').hidden")


def test_figures_of_each_scope(browser, show, realistic):
    show(realistic)
    labels = browser.js("[...document.getElementById('scope').options].map(o => o.text)")
    assert labels == [s["label"] for s in realistic["scopes"]]
    shown = []
    for i, scope in enumerate(realistic["scopes"]):
        choose(browser, "scope", i)
        assert text(browser, "label") == scope["label"]
        expected = expected_figures(scope)
        shown.append(figures(browser))
        assert shown[-1].keys() == expected.keys()
        for key, value in shown[-1].items():
            check(value, expected[key])
        assert number(shown[-1]["exits"])[0] == scope["total"]["exits"]
    # The VM with one vCPU is as its vCPU; all others differ.
    assert len({json.dumps(s) for s in shown}) == len(shown) - 1


def test_table_of_reasons(browser, show, realistic):
    show(realistic)
    for i, scope in enumerate(realistic["scopes"]):
        choose(browser, "scope", i)
        head, *rows, last = table(browser)
        assert head == ["number", "name", "lost", "of all lost", "exits", "share", "exits/s", "handle",
                        "handle per exit", "user", "wait", "preempted"]

        def lost(t):
            return t["handle"] + t["user"] + t["preempted"]

        # Most is lost to the first one, as in tables of text.
        assert [row[1] for row in rows] == [
            r["name"] for r in sorted(scope["reasons"], key=lambda r: -lost(r["total"]))]
        total = {"nr": None, "name": "TOTAL", "total": scope["total"]}
        assert len(rows) == len(scope["reasons"])
        ordered = sorted(scope["reasons"], key=lambda r: -lost(r["total"]))
        for row, reason in zip([*rows, last], [*ordered, total]):
            t = reason["total"]
            assert row[0] == ("–" if reason["nr"] is None else str(reason["nr"]))
            assert row[1] == reason["name"]
            check(row[2], lost(t))
            check(row[3], lost(t) / lost(scope["total"]))
            assert row[4] == f"{t['exits']:,}"
            check(row[5], t["exits"] / scope["total"]["exits"])
            check(row[6], t["exits"] / known_seconds(scope))
            check(row[7], t["handle"])
            check(row[8], t["handle"] / t["exits"] if t["exits"] else None)
            for shown, phase in zip(row[9:], ("user", "wait", "preempted")):
                check(shown, t[phase])


def test_tables_are_sorted(browser, show, realistic):
    show(realistic)
    reasons = realistic["scopes"][0]["reasons"]

    def click(column):
        browser.js(f"""document.querySelectorAll("#reasons th button")[{column}].click()""")
        return [row[1] for row in table(browser)[1:-1]]

    def by(key):
        return [r["name"] for r in sorted(reasons, key=key)]

    assert click(7) == by(lambda r: -r["total"]["handle"])
    assert click(7) == by(lambda r: r["total"]["handle"])
    assert click(0)[1:] == by(lambda r: -1 if r["nr"] is None else r["nr"])[1:]
    assert click(1) == by(lambda r: r["name"])
    assert browser.js("""[...document.querySelectorAll("#reasons th")]
        .map(t => t.ariaSort)""") == [None, "ascending"] + [None] * 10
    assert table(browser)[-1][1] == "TOTAL"
    choose(browser, "scope", 1)
    assert [row[1] for row in table(browser)[1:-1]] == by(lambda r: r["name"])

    lost = {s["label"]: expected_figures(s)["lost"] for s in realistic["scopes"]}
    rows = table(browser, "scopes")[1:]
    for row in rows:
        check(row[3], lost[row[0]])
    assert sorted(lost.values(), reverse=True) == [lost[row[0]] for row in rows]
    browser.js("document.querySelector('#scopes tbody button').click()")
    assert text(browser, "label") == rows[0][0]


def test_areas_show_rates_and_shares(browser, show, realistic):
    """The points of the two areas, against the data; and no line through what is unknown."""
    show(realistic)
    for index, scope in enumerate(realistic["scopes"]):
        choose(browser, "scope", index)
        known = [i for i, v in enumerate(scope["phases"]["guest"]) if v is not None]
        for unit in "all", "busy", "seconds":
            choose(browser, "unit", unit)
            sets = areas(browser, "phases")
            assert sets.keys() == set(R.PHASES) - ({"wait"} if unit == "busy" else set())
            for i, *points in zip(known, *sets.values()):
                whole = sum(scope["phases"][p][i] for p in sets) / 100
                whole = scope["dt"][i] if unit == "seconds" else whole
                for phase, (end, value) in zip(sets, points):
                    assert end == scope["t"][i]
                    assert math.isclose(value, scope["phases"][phase][i] / whole)
            assert all(len(points) == len(known) for points in sets.values())
        sets = areas(browser, "exits")
        ranked = scope["reasons"]
        assert [*sets] == [r["name"] for r in ranked[:9]] + [f"{len(ranked) - 9} others"]
        for reasons, points in zip([*([r] for r in ranked[:9]), ranked[9:]], sets.values()):
            assert points == [[scope["t"][i], sum(r["exits"][i] for r in reasons)]
                              for i in known]


def test_areas_are_painted(browser, show):
    """In the middle of each band is its colour, and in a gap is none."""
    rng = random.Random(4)
    t = [float(2 * i + 2) for i in range(10)]
    kinds = [(i, f"R{i}", 1000, 40e-6, 60e-6, 0, 80e-6) for i in range(12)]
    scope = R.vcpu(rng, "vCPU", t, [2.0] * 10, lambda s: (0.3, 0.1), kinds, gaps={4, 5})
    show(R.report([scope]))
    for chart in "exits", "phases":
        sets = browser.js(f"""Chart.getChart("{chart}").data.datasets
            .map(d => [d.backgroundColor, d.data.map(p => [p.x, p.y])])""")
        inside = []
        for end in t[:4] + t[6:]:
            below = 0
            for colour, points in sets:
                value = dict(points)[end]
                if value > (3 if chart == "phases" else 100):
                    # Just after the step, and just before the next.
                    inside += [(colour, end - 1.9, below + value / 2),
                               (colour, end - 0.1, below + value / 2)]
                below += value
        assert len(inside) >= 48
        painted = pixels(browser, chart, [place[1:] for place in inside])
        assert [f"#{bytes(p[:3]).hex()}" for p in painted] == [p[0] for p in inside]
        # Nothing, or a line that hatches it, which is not quite opaque.
        assert all(p[3] == 0 or max(p[:3]) - min(p[:3]) < 20 for p in pixels(
            browser, chart, [(t[i] - 1.3, y) for i in (4, 5) for y in range(2, 90, 8)]))


def test_long_pauses_are_short(browser, show):
    """A week in which nothing was recorded, or the 56 years by which a clock was set, and both sides are seen."""
    rng = random.Random(5)
    for pause in 7 * 86400, 56 * 31557600:
        t = [float(2 * i + 2) for i in range(10)] + [pause + 2.0 * i for i in range(11, 21)]
        kinds = [(i, f"R{i}", 1000, 40e-6, 60e-6, 0, 80e-6) for i in range(3)]
        scope = R.vcpu(rng, "vCPU", t, [2.0] * 20, lambda s: (0.3, 0.1), kinds)
        show(R.report([scope]))
        places = browser.js("[0, 20, %r, %r].map(place)" % (t[10] - 2, t[-1]))
        first, gap, second = (b - a for a, b in zip(places, places[1:]))
        assert first == pytest.approx(20) and second == pytest.approx(20, rel=0.01) and 0.5 < gap < 3
        # The axis and what the mouse is told go back to moments.
        assert browser.js("[1, %r].map(t => momentAt(place(t)))" % t[-3]) == [1, pytest.approx(t[-3])]
        for chart in "exits", "phases":
            colours_at = pixels(browser, chart, [(places[0] + 5, 20), (places[2] + 5, 20)])
            assert all(p[3] == 255 and max(p[:3]) - min(p[:3]) > 20 for p in colours_at)
        ticks = browser.js("Chart.getChart('exits').scales.x.ticks.map(t => t.value)")
        assert sum(places[0] <= tick <= places[1] for tick in ticks) > 1
        assert sum(places[2] <= tick <= places[3] + 1e-3 for tick in ticks) > 1


def areas(browser, id):
    """The last point of each interval: {name: [[x, y], ...]}.  Each interval has two, and
    a point without a value is where the line ends."""
    sets = browser.js(f"""Chart.getChart("{id}").data.datasets
        .map(d => [d.label, d.data.map(p => [p.x, p.y])])""")
    result = {}
    for name, points in sets:
        known = [p for p in points if p[1] is not None]
        assert [p[1] for p in known[::2]] == [p[1] for p in known[1::2]]
        assert [p[0] for p in points] == sorted({p[0] for p in points})
        result[name] = known[1::2]
    return result


def test_reason_has_one_colour(browser, show, realistic):
    show(realistic)
    first = None
    for index in range(len(realistic["scopes"])):
        choose(browser, "scope", index)
        area, bars, swatches = browser.js("""[
            Chart.getChart("exits").data.datasets.map(d => [d.label, d.backgroundColor]),
            Chart.getChart("bycount").data.labels.map((l, i) =>
                [l, Chart.getChart("bycount").data.datasets[0].backgroundColor[i]]),
            [...document.querySelectorAll("#reasons tbody .swatch")].map(s =>
                [s.parentNode.textContent, "#" + s.style.backgroundColor.match(/\\d+/g)
                    .map(v => Number(v).toString(16).padStart(2, "0")).join("")])]""")
        area, bars, swatches = dict(area[:-1]), dict(bars), dict(swatches)
        assert len(set(area.values())) == 9
        assert all(bars[name] == swatches[name] == area[name] for name in area)
        first = first or area
        assert all(area[name] == first[name] for name in area if name in first)


def test_bars(browser, show, realistic):
    show(realistic)
    reasons = realistic["scopes"][0]["reasons"]

    def bars(id):
        return browser.js(f"""[Chart.getChart("{id}").data.labels,
            ...Chart.getChart("{id}").data.datasets.map(d => d.data)]""")

    assert bars("bycount") == [[r["name"] for r in reasons[:12]],
                               [r["total"]["exits"] for r in reasons[:12]]]
    spent = ["handle", "user", "preempted"]
    slow = sorted(reasons, key=lambda r: -sum(r["total"][p] for p in spent))[:12]
    assert bars("bytime") == [[r["name"] for r in slow],
                              *([r["total"][p] for r in slow] for p in spent)]


def one_cell():
    """Of six intervals and all buckets, three cells are not empty; one interval is not
    known."""
    t = [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    empty = [0] * len(R.BUCKETS)

    def cells(interval, bucket, exits):
        column = [*empty]
        column[bucket] = exits
        return [None if i == 4 else column if i == interval else empty for i in range(6)]

    none = [None if i == 4 else 0 for i in range(6)]
    data = R.finish("host", "host", t, [2.0] * 6, {p: none for p in R.PHASES}, [],
                    {"buckets": R.BUCKETS, "reasons": [
                        {"nr": 10, "name": "CPUID", "total": cells(1, 3, 2),
                         "handle": cells(1, 2, 2)},
                        {"nr": None, "name": "OTHER", "total": cells(2, 23, 2000),
                         "handle": cells(2, 5, 2000)}]})
    return R.report([data], tsc_khz=1000000, clock_khz=1000000)


def test_heatmap(browser, show):
    show(one_cell())
    # The grid of the axes is on whole seconds, and between buckets.
    rare, frequent, nothing = [253, 231, 37, 255], [68, 1, 84, 255], [0, 0, 0, 0]
    assert pixels(browser, "heat", [(3.1, 3.5), (5.1, 23.5)]) == [rare, frequent]
    assert pixels(browser, "heat", [(1.1, 3.5), (7.1, 3.5), (3.1, 2.5), (3.1, 4.5), (5.1, 3.5),
                                    (5.1, 22.5), (3.1, 23.5)]) == [nothing] * 7
    # At 1 GHz, a cycle is a nanosecond.
    assert text(browser, "heattext") == (
        "Of 2,002 exits, half took 1.07 s or more, 99 % took 1.07 s or more, and the longest "
        "1.07 s or more.")
    assert text(browser, "ramp") == "1 exits/s1,000 exits/s, log scale"
    hover(browser, "heat", 3.1, 3.5)
    assert text(browser, "tip") == (
        "2 s to 4 s (09:26:57 UTC)\n1.02 µs to 2.05 µs\n1 exits/s, 2 exits")
    hover(browser, "heat", 5.1, 23.5)
    assert text(browser, "tip") == (
        "4 s to 6 s (09:26:59 UTC)\n1.07 s or more\n1,000 exits/s, 2,000 exits")
    hover(browser, "heat", 9.1, 3.5)
    assert text(browser, "tip").endswith("not known")

    choose(browser, "kind", "handle")
    choose(browser, "reason", "10")
    assert text(browser, "heattext") == (
        "Of 2 exits, half took less than 1.02 µs, 99 % took less than 1.02 µs, and the longest "
        "512 ns to 1.02 µs.")
    assert pixels(browser, "heat", [(3.1, 2.5)]) == [[33, 145, 140, 255]]
    choose(browser, "reason", "null")
    assert "Of 2,000 exits" in text(browser, "heattext")


def test_heatmap_adds_up(browser, show, realistic):
    show(realistic)
    for index, scope in enumerate(realistic["scopes"]):
        choose(browser, "scope", index)
        assert f"Of {scope['total']['exits']:,} exits" in text(browser, "heattext")
    for reason in scope["reasons"]:
        choose(browser, "reason", "null" if reason["nr"] is None else reason["nr"])
        assert f"Of {reason['total']['exits']:,} exits" in text(browser, "heattext")


def test_tooltip_of_an_area(browser, show, realistic):
    show(realistic)
    scope = realistic["scopes"][0]
    hover(browser, "exits", 50.7, 10)
    title, lines = browser.js("""(t => [t.title, t.body.map(b => b.lines[0])])(
        Chart.getChart("exits").tooltip)""")
    assert title == ["0:50 to 0:51 (09:27:44 UTC)"]
    top = max(scope["reasons"], key=lambda r: r["exits"][50])
    assert lines[0] == f" {top['name']}: {top['exits'][50]:,} /s"


def test_without_latency(browser, show):
    data = R.many(3, 3, 2)
    data["scopes"][1]["latency"] = None
    show(data)
    assert browser.js("document.getElementById('heatbox').offsetHeight") > 200
    choose(browser, "scope", 1)
    assert "no latencies of this one" in text(browser, "heattext")
    assert browser.js("document.getElementById('heatbox').offsetHeight") == 0
    # What is not shown is not drawn, even when everything changes its size.
    browser.call("Emulation.setDeviceMetricsOverride", width=700, height=900,
                 deviceScaleFactor=2, mobile=False)
    settle(browser)
    assert browser.js("[...document.querySelectorAll('canvas')].map(c => !!Chart.getChart(c))"
                      ) == [True, True, False, True, True]
    choose(browser, "scope", 0)
    assert len(colours(browser, "heat")) > 4
    show(R.many(3, 3, 1, latency=False))
    assert "exitstat record --latency" in text(browser, "heattext")


def test_without_most_phases(browser, show):
    data = R.few_phases()
    show(data)
    shown = figures(browser)
    check(shown["exits"], data["scopes"][0]["total"]["exits"])
    assert {shown[f] for f in (*R.PHASES, "lost")} == {"–"}
    assert [row[9:] for row in table(browser)[1:]] == [["–"] * 3] * 4
    assert [row[2:4] for row in table(browser)[1:]] == [["–"] * 2] * 4
    # A share of what is counted would say nothing.
    scope = data["scopes"][0]
    assert areas(browser, "phases") == {"handle": [
        [t, handle] for t, handle in zip(scope["t"], scope["phases"]["handle"])]}
    assert len(colours(browser, "bytime")) > 3


def test_hostile_names(browser, show):
    data = R.hostile()
    show(data)
    options = browser.js("[...document.getElementById('scope').options].map(o => o.text)")
    assert "<script>window.pwned = 1</script>" in options[0]
    for i in range(len(data["scopes"])):
        choose(browser, "scope", i)
    check_widths(browser)
    assert browser.js("window.pwned") is None
    assert browser.js("[document.scripts.length, document.images.length]") == [2, 0]
    names = [row[1] for row in table(browser)]
    assert "</script><script>window.pwned = 1</script>" in names
    assert "&lt;b&gt;" in names
    assert text(browser, "title") == f"VM-exits of {R.HOSTILE[0]}"
    # Neither do they turn the text, nor fill the page.
    everything = browser.js("document.body.innerText + document.title")
    assert not re.search("[\u0000-\u0008\u001b\u202a-\u202e\u2066-\u2069]", everything)
    assert "x" * 300 not in everything


@pytest.mark.parametrize("data", [
    R.report([]), R.no_intervals(), R.silent(), R.few_phases(), R.huge(), R.many(1, 1, 1),
    R.many(2, 10, 2, interval=0.01), R.many(5, 3, 1, interval=90000.0),
    {**R.many(3, 3, 1), "tsc_khz": 0}, {**R.many(3, 3, 1), "started": "soon"},
], ids=["no-scopes", "no-intervals", "silent", "few-phases", "huge", "one", "quick", "days",
        "no-tsc", "no-date"])
def test_corner_cases(browser, show, data):
    """Nothing is said on the console (see show), and nothing is odd in the page."""
    show(data)
    for i in range(len(data["scopes"])):
        choose(browser, "scope", i)
        check_widths(browser)
    shown = browser.js("document.body.innerText + [...document.querySelectorAll('canvas')]"
                       ".map(c => [c.ariaLabel, ...Object.values(Chart.getChart(c)?.scales || {})"
                       ".flatMap(s => s.ticks.map(t => t.label))]).join()")
    assert not re.search(r"NaN|undefined|null|Infinity|\[object", shown), shown
    empty = not any(s["t"] for s in data["scopes"])
    assert ("nothing to draw" in text(browser, "warning")) == empty


def test_huge_counters(browser, show):
    data = R.huge()
    show(data)
    check(figures(browser)["exits"], data["scopes"][0]["total"]["exits"])
    check(table(browser)[1][4], data["scopes"][0]["reasons"][0]["total"]["exits"])
    assert table(browser)[1][0] == "4294967295"
    assert len(colours(browser, "exits")) > 3


def test_many_intervals_and_reasons(browser, show):
    data = R.many(960, 60, 1)
    show(data)
    assert len(table(browser)) == 62
    for chart in CHARTS:
        assert len(colours(browser, chart)) > 3, chart


def test_many_scopes(browser, show):
    data = R.many(20, 10, 100, latency=False)
    show(data)
    shown = "[...document.getElementById('scope').options].map(o => o.text)"
    labels = [s["label"] for s in data["scopes"]]
    assert browser.js(shown) == labels
    assert not browser.js("document.getElementById('filterbox').hidden")
    browser.js("document.getElementById('filter').focus()")
    for letter in "ANT-7":
        browser.call("Input.dispatchKeyEvent", type="char", text=letter)
    matching = [label for label in labels if "tenant-7" in label]
    assert browser.js(shown) == [labels[0], *matching]
    assert text(browser, "found") == "11 of 100"
    assert text(browser, "label") == labels[0]
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter",
                 windowsVirtualKeyCode=13, text="\r")
    assert text(browser, "label") == matching[0]
    assert browser.js(shown) == matching
    # With few there is nothing to filter.
    show(R.many(2, 2, 20, latency=False))
    assert browser.js("document.getElementById('filterbox').offsetHeight") == 0


def test_on_paper(browser, show, realistic):
    browser.dark()
    show(realistic)
    browser.js("""addEventListener("beforeprint", () => window.onPaper = [
        getComputedStyle(document.documentElement).getPropertyValue("--bg"),
        document.getElementById("exits").clientWidth])""")
    assert len(browser.call("Page.printToPDF", printBackground=True)["data"]) > 50000
    background, width = browser.js("window.onPaper")
    assert background.strip() == "#fff"
    assert width <= 680
    assert browser.js("document.getElementById('exits').clientWidth") > 1000
    assert "#4a525c" in colours(browser, "phases")


def test_narrow_screen(browser, show, realistic):
    browser.size(360, 740, mobile=True)
    show(realistic)
    assert browser.js("document.documentElement.scrollWidth") == 360
    assert browser.js("document.getElementById('exits').clientWidth") > 300


def test_without_javascript(browser, tmp_path, realistic):
    path = tmp_path / "report.html"
    path.write_text(R.fill(realistic))
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(path, "document.readyState === 'complete' && !!document.body")
        shown = browser.js("document.body.innerText")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert "draws its charts and tables with JavaScript" in shown
    assert "Exits per second" not in shown


def test_template_alone(browser):
    browser.open(R.TEMPLATE)
    assert "empty template" in text(browser, "warning")
    assert complaints(browser) == []


@pytest.fixture
def server():
    """A server that somebody might want to send the data to."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


ASK = """(async base => {
    const ended = e => new Promise(r => { e.onload = e.onerror = r; });
    const add = (tag, values) => {
        const e = Object.assign(document.createElement(tag), values), end = ended(e);
        document.body.append(e);
        return end;
    };
    await Promise.allSettled([
        fetch(base + "/fetch"),
        add("img", { src: base + "/img" }),
        add("script", { src: base + "/script" }),
        add("link", { rel: "stylesheet", href: base + "/style" }),
        add("iframe", { src: base + "/frame" }),
    ]);
})"""


def test_policy_lets_nothing_out(browser, tmp_path, server, realistic):
    base, asked = server
    path = tmp_path / "report.html"
    # What the same does without a policy.
    path.write_text("<!DOCTYPE html><body>")
    browser.open(path, "document.readyState === 'complete'")
    browser.js(f"{ASK}('{base}')")
    assert {"/fetch", "/img", "/script", "/style", "/frame"} <= set(asked)

    asked.clear()
    path.write_text(R.fill(realistic))
    browser.open(path)
    browser.js("""window.refused = [];
        document.addEventListener("securitypolicyviolation",
            e => window.refused.push(e.effectiveDirective))""")
    browser.js(f"{ASK}('{base}')")
    assert asked == []
    assert sorted(browser.js("window.refused")) == [
        "connect-src", "frame-src", "img-src", "script-src-elem", "style-src-elem"]
    refused = browser.call("Runtime.evaluate", expression="try { eval('1') } catch (e) { e.name }",
                           allowUnsafeEvalBlockedByCSP=False)
    assert refused["result"]["value"] == "EvalError"


def test_page_is_whole():
    """Two scripts, one style, and nothing that names another file."""
    template = R.TEMPLATE.read_text()
    assert template.count("/*EXITSTAT_CHART_JS*/\n") == 1
    assert template.count("const data = /*EXITSTAT_DATA*/null;\n") == 1
    assert not re.search(r"(?:src|href)=(?!\"data:)|@import|url\(|innerHTML|outerHTML|"
                         r"insertAdjacentHTML|document\.write", template)


def test_screenshot(tmp_path):
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(R.fill(R.many(3, 3, 1)))
    R.screenshot(page, picture, 640, 480)
    header = picture.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(header[16:20], "big") == 640
    assert int.from_bytes(header[20:24], "big") == 480
