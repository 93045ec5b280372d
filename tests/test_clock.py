"""Times by different clocks: converted, or refused, and never added up as they are."""
import json
import subprocess
import types

import pytest
from test_recording import KHZ, Recorder, Writer, data_of, host_scope, vm_scope
from test_top import Screen
from tool import ASAN, ENV, STATIC, TEXT, check_ok, check_refused, run

OTHER = "recorded by clocks that differ: all times are told by the first, "


def two_sections(path, first, second):
    """100 exits of 1000 ticks each by either header's clock, in two seconds."""
    lines = []
    for i, header in enumerate((first, second)):
        writer = Writer(started=f"2026-11-24T20:0{i}:00.000Z")
        writer.header.update(header)
        writer.out = [json.dumps(writer.header)]
        writer.sample(0, host_scope([10, 0, 0], latency=[[10, "handle", 512, 0]]), full=True)
        writer.sample(1, host_scope([10, 100, 100_000], latency=[[10, "handle", 512, 100]]))
        lines += writer.out
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("second, factor", [
    ({"tsc_khz": KHZ}, 1), ({"tsc_khz": KHZ * 1009 // 1000}, 1), ({"tsc_khz": KHZ * 2}, 0.5),
    ({"tsc_khz": KHZ // 2}, 2), ({"clock": "ns"}, KHZ / 1e6), ({"tsc_khz": 0, "clock": "ns"}, KHZ / 1e6),
    ({"clock": "tsc"}, 1)], ids=str)
def test_sections_by_two_clocks(tmp_path, programs, second, factor):
    path = two_sections(tmp_path / "r", {"tsc_khz": KHZ}, second)
    result = run(ASAN, "report", path, "--json")
    assert result.returncode == 0
    assert (OTHER in result.stderr) == (factor != 1)
    row, = json.loads(result.stdout)["scopes"][0]["reasons"]
    assert row["exits"] == 200
    assert row["handle_cycles"] == pytest.approx(100_000 * (1 + factor), abs=1)
    ns = json.loads(run(ASAN, "report", path, "--json", "--units", "ns").stdout)
    assert ns["scopes"][0]["reasons"][0]["handle_ns"] == pytest.approx(row["handle_cycles"] * 1e6 / KHZ, abs=1)
    # The page adds the same times, and histograms of one clock alone.
    assert run(ASAN, "report", path, "--html", tmp_path / "page").returncode == 0
    scope, = data_of(tmp_path / "page")["scopes"]
    assert scope["total"]["handle"] == pytest.approx(row["handle_cycles"] / KHZ / 1e3, rel=1e-5)
    cells = [sum(cell) for cell in scope["latency"]["reasons"][0]["handle"] if cell]
    assert sum(cells) == (200 if factor == 1 else 100)


@pytest.mark.parametrize("first, second", [
    ({"tsc_khz": 0}, {"tsc_khz": KHZ}), ({"tsc_khz": KHZ}, {"tsc_khz": 0}),
    ({"tsc_khz": 0}, {"clock": "ns"}), ({"clock": "ns"}, {"tsc_khz": 0})], ids=str)
def test_sections_that_cannot_be_added(tmp_path, programs, first, second):
    path = two_sections(tmp_path / "r", first, second)
    for command in ["report", path], ["report", path, "--html", tmp_path / "page"], ["diff", path, path]:
        check_refused(run(ASAN, *command), 1, path, "two clocks")


def test_a_clock_that_nobody_knows(tmp_path, programs):
    path = two_sections(tmp_path / "r", {"tsc_khz": KHZ}, {"clock": "sundial"})
    # Such a section is skipped as any damaged one, and the other one read.
    result = run(ASAN, "report", path, "--json")
    assert "damaged" in result.stderr
    assert json.loads(result.stdout)["scopes"][0]["total"]["handle_cycles"] == 100_000


def test_ns_have_no_cycles(tmp_path, programs):
    path = two_sections(tmp_path / "r", *[{"tsc_khz": 0, "clock": "ns"}] * 2)
    out = check_ok(run(ASAN, "report", path))
    assert "times in ns" in out and "HANDLE_NS" in out and " 200000 " in out and "CYCLES" not in out
    check_refused(run(ASAN, "report", path, "--units", "cycles"), 1, "--units ns")
    check_refused(run(ASAN, "diff", path, path, "--units", "cycles"), 1, "frequency")
    document = json.loads(check_ok(run(ASAN, "report", path, "--json")))
    assert (document["units"], document["clock"], document["tsc_khz"]) == ("ns", "ns", 0)
    assert 'exitstat_host_handle_seconds_delta{isa="vmx",reason="10",name="CPUID"} 0.000200000' in \
        check_ok(run(ASAN, "report", path, "--openmetrics"))


def test_diff_of_two_clocks(tmp_path, programs):
    tsc = two_sections(tmp_path / "tsc", *[{"tsc_khz": KHZ}] * 2)
    ns = two_sections(tmp_path / "ns", *[{"tsc_khz": 0, "clock": "ns"}] * 2)
    document = json.loads(check_ok(run(ASAN, "diff", tsc, ns, "--json")))
    assert document["units"] == "ns" and [document[side]["clock"] for side in "ab"] == ["tsc", "ns"]
    assert document["total"]["b"]["handle_ns"] == 200_000
    assert document["total"]["a"]["handle_ns"] == 200_000 * 10**6 // KHZ
    for sides in (tsc, ns), (ns, tsc):
        check_refused(run(ASAN, "diff", *sides, "--units", "cycles"), 1, ns, "frequency")


def test_diff_keeps_integers(tmp_path, programs):
    """Beyond 2^53, where a double has holes."""
    paths, values = [tmp_path / "a", tmp_path / "b"], [2**62 + 1, 2**62 + 4]
    for path, value in zip(paths, values):
        writer = Writer()
        writer.sample(0, host_scope([10, 0, 0]), vm_scope(1, [10, 0, 0]), full=True)
        writer.sample(1, host_scope([10, value, value]), vm_scope(1, [10, value, value]))
        writer.put(path)
    document = json.loads(check_ok(run(ASAN, "diff", *paths, "--json")))
    for part in document["reasons"][0], document["total"]:
        for side, value in zip("ab", values):
            assert (part[side]["exits"], part[side]["handle_cycles"]) == (value, value)
    columns = "exits_a,exits_b,exits_diff,handle_cycles_diff"
    assert check_ok(run(ASAN, "diff", *paths, "--csv", "--columns", columns)).splitlines()[1:] == [
        f"{values[0]},{values[1]},3,3"]
    assert check_ok(run(ASAN, "diff", *paths[::-1], "--csv", "--columns", columns)).splitlines()[1:] == [
        f"{values[1]},{values[0]},-3,-3"]
    assert f"}} {values[0]}\n" in check_ok(run(ASAN, "diff", *paths, "--openmetrics"))


# A source of the tests' own, tests/data/exitstat/text_source.c: nothing else knows of it.

COUNTS = """\
- - 10 1000 5000000
- - 12 30 700000
100-11 web 10 600 3000000
200-12 db 10 400 2000000
200-12 db 12 30 700000
"""


@pytest.fixture
def text(tmp_path, programs):
    (tmp_path / "counts").write_text(COUNTS)

    def start(command, *options, **kwargs):
        return run(TEXT, command, *options, "--debugfs", tmp_path, **kwargs)
    return start


def test_another_source_is_shown(text):
    out = check_ok(text("show"))
    assert out.splitlines()[0] == "host: vmx, times in ns, from text"
    assert out.splitlines()[1].split() == ["REASON", "NAME", "EXITS", "%EXITS", "NS/EXIT", "HANDLE_NS", "%HANDLE"]
    assert out.splitlines()[2].split() == ["10", "R10", "1000", "97.09", "5000", "5000000", "87.72"]
    document = json.loads(check_ok(text("show", "--json", "--vm", "db")))
    assert (document["source"], document["clock"], document["units"]) == ("text", "ns", "ns")
    assert document["scopes"][0]["total"] == {"exits": 430, "handle_ns": 2700000}
    check_refused(text("show", "--units", "cycles"), 1, "--units ns")
    check_refused(text("show", "--vcpu", "all"), 2, "no source")
    assert check_ok(text("show", "--source", "text")) == out
    check_refused(text("show", "--source", "debugfs"), 2, "choose one of text")


def test_another_source_is_listed_and_measured(text, tmp_path):
    document = json.loads(check_ok(text("list", "--json")))
    assert [(vm["vm"], vm["vm_name"], vm["exits"], vm["handle_ns"]) for vm in document["scopes"]] == [
        ("100-11", "web", 600, 3000000), ("200-12", "db", 430, 2700000)]
    assert 'exitstat_host_handle_seconds_total{isa="vmx",reason="12",name="R12"} 0.000700000' in \
        check_ok(text("show", "--openmetrics"))


def test_units_stay_when_no_vm_is_left(text, tmp_path):
    (tmp_path / "none").write_text("- - 10 1 1\n")
    output = check_ok(text("list", "--json", "-d", "0.1", "-n", "1"))
    assert json.loads(output)["units"] == "ns"
    process = subprocess.Popen([TEXT, "list", "--json", "-d", "0.1", "-n", "40", "--debugfs", tmp_path], env=ENV,
                               text=True, stdout=subprocess.PIPE)
    first = process.stdout.readline()
    (tmp_path / "none").rename(tmp_path / "counts")
    documents = [json.loads(line) for line in (first, *process.stdout)]
    assert process.wait() == 0
    assert documents[0]["scopes"] and not documents[-1]["scopes"]
    assert {document["units"] for document in documents} == {"ns"}


def test_another_source_is_recorded(text, tmp_path):
    path, page = tmp_path / "recording", tmp_path / "page"
    where = types.SimpleNamespace(debugfs=tmp_path, procfs="/proc")
    with Recorder(where, path, program=TEXT) as recorder:
        recorder.wait()
        (tmp_path / "new").write_text(COUNTS.replace("1000", "1500"))
        (tmp_path / "new").rename(tmp_path / "counts")
        recorder.wait()
        assert recorder.stop()[0] == 0
    header = json.loads(path.read_text().splitlines()[0])
    assert (header["source"], header["clock"], header["tsc_khz"]) == ("text", "ns", 0)
    out = check_ok(run(ASAN, "report", path))
    assert out.splitlines()[0].endswith(", from text") and "R10" in out and " 500 " in out
    check_ok(run(ASAN, "report", path, "--html", page))
    data = data_of(page)
    assert (data["source"], data["clock_khz"], data["tsc_khz"]) == ("text", 1_000_000, 0)


def test_another_source_is_live(text, tmp_path):
    screen = Screen(tmp_path, [TEXT, "top", "-d", "0.2", "--debugfs", tmp_path])
    try:
        screen.wait_for("times in ns, from text", "exits/s")
        (tmp_path / "new").write_text(COUNTS.replace("1000", "9000"))
        (tmp_path / "new").rename(tmp_path / "counts")
        screen.wait_for("10 R10", "TIME/EXIT")
        screen.keys("u")
        screen.wait_for("HANDLE_NS")
        screen.keys("u")
        screen.wait_for("the TSC's frequency is not known here")
        screen.keys("2")
        screen.wait_for("100-11", "web", "db")
        screen.keys("q")
        assert screen.wait_end() == 0
    finally:
        screen.close()
    assert "AddressSanitizer" not in (tmp_path / "errors").read_text()


def test_a_program_without_ebpf_says_so(tmp_path, programs):
    check_refused(run(STATIC, "show", "--source", "bpf", "-d", "1"), 77, "built without eBPF")


@pytest.mark.parametrize("files, words", [
    ([], "neither kvm_intel nor kvm_amd is loaded"),
    (["module/kvm_intel/initstate"], "no BTF (CONFIG_DEBUG_INFO_BTF)"),
    (["module/kvm_amd/initstate", "kernel/btf/vmlinux"], "KVM's modules were built without BTF")], ids=str)
def test_why_ebpf_cannot_count(tmp_path, programs, files, words):
    for name in files:
        (tmp_path / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / name).touch()
    where = ["--debugfs", tmp_path / "debug", "--sysfs", tmp_path / "sys"]
    check_refused(run(ASAN, "show", "--source", "bpf", "-d", "1", *where), 77, words, "with exit accounting")
    # It is no way out for those who did not ask for it, either.
    assert "from now on" not in run(ASAN, "show", *where).stderr
