"""The comparisons of make verify: that they can fail, and perf's on one machine."""
import dataclasses
import re

import pytest
from verify import compare, loops, perf, times
from vm import minivmm, reasons, stats

REPORT = """\
Analyze events for all VMs, all VCPUs:

             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time

               cpuid        500    83.33%     9.69%     16.40us    301.36us     20.24us ( +-   4.68% )
             PF excp          3     0.50%     0.39%    118.78us    151.85us    137.31us ( +-   7.10% )

Total Samples:503, Total events handled time:10531.93us.
"""
STATISTICS = """\
Aggregated stats:
          SAMPLE events:       1279  (86.7%)
            LOST events:          2  ( 0.1%)
kvm:kvm_exit stats:
          SAMPLE events:        504
"""
EVENTS = "exits cpuid 500 500 10120000\nexits PF_excp 4 3 411930\nlast PF_excp\nearly 0\n"


def test_counts_off_by_one_are_found():
    counts = {"cpuid": 500, "io": 31, "hlt": 0}
    verdict = compare.equal("svm", "", "", counts, {"cpuid": 500, "io": 31})
    assert verdict.holds and verdict.planted == verdict.caught == 9
    for wrong in {"cpuid": 501, "io": 31}, {"cpuid": 500}, {"cpuid": 31, "io": 500}, \
            {**counts, "npf": 1}:
        assert not compare.equal("svm", "", "", counts, wrong).holds


def test_a_comparison_that_finds_no_planted_error_fails():
    assert not compare.judge("svm", "", "", lambda _: [], {"a": 1}, [{"a": 2}]).holds
    assert not compare.judge("svm", "", "", lambda _: [], {"a": 1}, []).holds


def test_perfs_report_is_parsed():
    report = perf.parse_report(REPORT)
    assert report.exits == {"cpuid": 500, "PF_excp": 3} and report.total == 503
    assert report.ns["cpuid"] == pytest.approx(500 * 20240)
    events = perf.parse_events(EVENTS, STATISTICS)
    assert events.exits == {"cpuid": 500, "PF_excp": 4} and events.pairs["PF_excp"] == 3
    assert (events.last, events.early, events.samples, events.lost) == (["PF_excp"], 0, 504, 2)
    with pytest.raises(ValueError):
        perf.parse_report(REPORT + "\nProcessed 100 events and lost 1 chunks!\n")


def test_times_off_are_found():
    table = [times.Row("cpuid", 500, 12e6, 10e6, 4000), times.Row("io", 300, 101.2e6, 100e6, 4000),
             times.Row("hlt", 5, 800.02e6, 800e6, 4000)]
    assert not times.problems(table, "vmx")
    verdict = compare.judge("vmx", "", "", lambda t: times.problems(t, "vmx"), table,
                            times.errors(table, "vmx"))
    assert verdict.holds and verdict.planted == 6
    # No hook is between the tracepoints.
    assert times.problems([dataclasses.replace(table[2], ours=799.99e6)], "vmx")


def test_loops_off_are_found():
    results = [loops.Result(loop, 5000, 1000 + loop.instructions, 900, 0, 0, 1)
               for loop in loops.LOOPS]
    verdict = compare.judge("vmx", "", "", lambda r: loops.problems(r, True), results,
                            loops.errors(results, True))
    assert verdict.holds and verdict.planted == 2 * len(loops.LOOPS)
    # Through userspace the constant is another one.
    assert not loops.problems([dataclasses.replace(r, handle=800) if r.loop.to_user else r
                               for r in results], True)
    verdict = compare.judge("svm", "", "", lambda r: loops.problems(r, False), results,
                            loops.errors(results, False))
    assert verdict.holds and verdict.planted == len(loops.LOOPS)


def test_perf_sees_the_same_exits(svm):
    """Each of them, the last one too; and for each reason our time is more, by little."""
    before = stats(svm)
    recording = perf.Recording(svm)
    minivmm(svm, "cpuid:1000", "pio-user:200", "mmio:300", "hlt:20:20000000", "wrmsr-icr:400",
            "vmcall:500")
    recording.stop()
    found = times.between(before, stats(svm), int(before.keys["tsc_khz"]))
    events, report = recording.events(), recording.report()
    recording.delete()
    ours = {name: exits for name, (exits, _) in found.items()}
    verdict = compare.equal("svm", "", "", ours, events.exits)
    assert verdict.holds, verdict
    assert events.lost == events.early == 0 and len(events.last) == 1
    ours[events.last[0]] -= 1
    assert ours == report.exits
    assert report.total == sum(ours.values()) == events.samples - 1
    name = stats(svm).rows[reasons(svm).CPUID]["name"]
    assert ours[name] == 1000 and re.match("cpuid", name)
    for name, (_, ns) in found.items():
        assert ns >= events.ns[name], name
