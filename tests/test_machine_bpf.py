"""Counting by eBPF on the kernel's own KVM, which counts no exits by reason: against what KVM, the guest and perf know."""
import json
import re
import subprocess

import pytest
from paths import BUILD
from vm import DEBUGFS, Paused, reasons

PHASES = ("guest_ns", "handle_ns", "user_ns", "wait_ns", "preempted_ns")


@pytest.fixture
def stock(machine):
    machine.need_kvm("stock")
    return machine


@pytest.fixture
def stock_svm(svm):
    """The one that boots quickly, for what is the same with both."""
    svm.need_kvm("stock")
    return svm


def counted(machine, *steps, under="", options=""):
    """What minivmm's steps told of themselves, and the host as exitstat saw it meanwhile."""
    output = machine.check(f"{under} exitstat show --source bpf --json {options} -- minivmm {' '.join(steps)} 2>/tmp/err",
                           240)
    *lines, document = output.splitlines()
    document = json.loads(document)
    assert (document["source"], document["clock"], document["units"]) == ("bpf", "ns", "ns")
    return [json.loads(line) for line in lines], document["scopes"][0]


def exits(scope):
    """{exit reason, None of OTHER: exits}"""
    return {row["reason"]: row["exits"] for row in scope["reasons"]}


def time(scope):
    return scope["guest_ns"] + sum(scope["total"][name] for name in PHASES[1:])


def test_each_exit_is_counted(stock):
    """As many as the guest made, and in all as many as KVM's stat.exits; fastpath's among them."""
    nr = reasons(stock)
    steps, host = counted(stock, "cpuid:1000", "pio-kernel:500", "pio-user:300", "mmio:200", "wrmsr-icr:100",
                          "hlt:10:20000000", "stats")
    seen = exits(host)
    assert seen[nr.CPUID] == 1000
    # Each of the six steps ends with one write to a port, and so does the program.
    assert seen[nr.IO] == 500 + 300 + 6 + 1
    assert seen[nr.MSR_WRITE] >= 100 and seen[nr.HLT] == 10 and seen[nr.MMIO] >= 200
    assert host["total"]["exits"] == sum(seen.values()) == steps[-1]["stats"]["exits"]
    assert seen.get(None, 0) == 0
    # No guest of this guest's.
    assert host["total"]["l2_exits"] == host["total"]["l2_handle_ns"] == 0
    names = {row["reason"]: row["name"] for row in host["reasons"]}
    assert names[nr.CPUID].lower() == "cpuid"


def test_times_are_what_they_should_be(stock):
    steps, host = counted(stock, "hlt:20:20000000", "pio-slow:20:2000", "cpuid:1000", "stats")
    # As long as the vCPU itself measured, which ends a little earlier.
    khz = float(stock.check("gawk '/^cpu MHz/ { print $4; exit }' /proc/cpuinfo")) * 1000
    assert steps[-1]["elapsed"] / khz * 1e6 * 0.98 < time(host) < steps[-1]["elapsed"] / khz * 1e6 * 1.05 + 20e6
    rows = {row["reason"]: row for row in host["reasons"]}
    nr = reasons(stock)
    # KVM's own measure of the same.
    waited = steps[0]["delta"]
    waited = waited["halt_wait_ns"] + waited["halt_poll_success_ns"] + waited["halt_poll_fail_ns"]
    assert rows[nr.HLT]["wait_ns"] == pytest.approx(waited, rel=0.02)
    assert rows[nr.HLT]["handle_ns"] < rows[nr.HLT]["wait_ns"] / 5
    assert rows[nr.IO]["user_ns"] > 20 * 2e6
    assert rows[nr.CPUID]["user_ns"] == rows[nr.CPUID]["wait_ns"] == 0 < rows[nr.CPUID]["handle_ns"]


def test_preemption(stock_svm):
    _, alone = counted(stock_svm, "cpuid:20000")
    stock_svm.check("taskset -c 0 bash -c 'while :; do :; done' & echo $! >/tmp/hog; disown")
    _, beside = counted(stock_svm, "cpuid:20000", under="taskset -c 0")
    stock_svm.check("kill $(cat /tmp/hog)")
    assert alone["total"]["preempted_ns"] < 0.2 * time(alone)
    assert 0.2 * time(beside) < beside["total"]["preempted_ns"] < 0.8 * time(beside)


def test_vms_that_already_run(stock):
    """Two VMs of two vCPUs each, from the moment on at which somebody wants to know."""
    nr = reasons(stock)
    vms = [Paused(stock, name, "--vcpus=2", "cpuid:10", "pause", f"cpuid:{n}", f"cpuid:{2 * n}@1", "pause")
           for name, n in (("a", 100), ("b", 300))]
    before = [int(stock.check(f"cat {DEBUGFS}/{vm.dir}/exits")) for vm in vms]
    stock.check("rm -f /tmp/go /tmp/status; (exitstat show --source bpf --vm '*' --vcpu all --json -- "
                "bash -c 'touch /tmp/attached; until [ -e /tmp/go ]; do sleep 0.1; done' >/tmp/seen 2>/tmp/err; "
                "echo $? >/tmp/status) & disown; until [ -e /tmp/attached ]; do sleep 0.1; done; rm /tmp/attached", 120)
    for vm in vms:
        vm.resume()
    after = [int(stock.check(f"cat {DEBUGFS}/{vm.dir}/exits")) for vm in vms]
    document = stock.check("touch /tmp/go; until [ -e /tmp/status ]; do sleep 0.1; done; cat /tmp/seen; "
                           "rm /tmp/go /tmp/status /tmp/seen", 120)
    vcpus = {(s["vm"], s["vcpu"]): s for s in json.loads(document)["scopes"]}
    assert set(vcpus) == {(vm.dir, i) for vm in vms for i in (0, 1)}
    for vm, n, first, last in zip(vms, (100, 300), before, after):
        assert exits(vcpus[vm.dir, 0])[nr.CPUID] == n and exits(vcpus[vm.dir, 1])[nr.CPUID] == 2 * n
        assert sum(vcpus[vm.dir, i]["total"]["exits"] for i in (0, 1)) == last - first
        vm.kill()


def test_vms_come_and_go(stock_svm):
    """The kernel takes the same memory for the next one, and the host loses nothing."""
    nr = reasons(stock_svm)
    output = stock_svm.check("(exitstat record --source bpf -d 0.2 -o /tmp/recording 2>/tmp/said; echo $? >/tmp/status) & disown; "
                         "until grep -q '\"t\"' /tmp/recording 2>/dev/null; do sleep 0.1; done; "
                         "for n in 100 200 300; do minivmm cpuid:$n pio-slow:10:100000 >/dev/null; done; sleep 0.5; "
                         "busybox killall -TERM exitstat; until [ -e /tmp/status ]; do sleep 0.1; done; cat /tmp/status; "
                         "rm /tmp/status; exitstat report /tmp/recording --json; exitstat report /tmp/recording --vm '*' --json; "
                         "rm /tmp/recording", 240)
    status, host, vms = map(json.loads, output.splitlines())
    assert status == 0
    assert exits(host["scopes"][0])[nr.CPUID] == 600
    assert [exits(vm)[nr.CPUID] for vm in vms["scopes"]] == [100, 200, 300]
    assert {vm["vm_name"] for vm in vms["scopes"]} == {"minivmm"}


def test_nothing_stays_behind(stock_svm):
    """Whatever ends the tool, no program of its own holds KVM's modules any more."""
    for end in "HUP", "TERM", "KILL":
        stock_svm.check(f"setsid exitstat show --source bpf -d 0.2 >/tmp/shown 2>&1 & echo $! >/tmp/pid; disown; "
                    f"until grep -q REASON /tmp/shown; do sleep 0.1; done; kill -{end} $(cat /tmp/pid); "
                    "while [ -e /proc/$(cat /tmp/pid) ]; do sleep 0.05; done", 120)
        stock_svm.check(f"for i in $(seq 50); do modprobe -r {stock_svm.vendor_module} kvm 2>/dev/null && break; sleep 0.1; done; "
                    "! lsmod | grep -q '^kvm '", 60)
        stock_svm.load_stock_kvm()


def test_what_is_missing_is_said(stock_svm):
    refused = {
        # Totals since KVM was loaded are what nobody has counted.
        "exitstat": (77, "from now on"), "exitstat list": (77, "exitstat top"),
        "exitstat show --source bpf": (77, "-d SEC"),
        "setpriv --reuid nobody --clear-groups exitstat show --source bpf -d 1": (1, "root (CAP_SYS_ADMIN)"),
        "exitstat show --source bpf --vm 1234-5 -d 1": (1, "no VM 1234-5"),
    }
    for command, (status, words) in refused.items():
        output, ended = stock_svm.run(command)
        assert ended == status and words in output.splitlines()[-1] and output.startswith("exitstat: "), (command, output)
    stock_svm.check(f"modprobe -r {stock_svm.vendor_module} kvm")
    stock_svm.kvm = None
    output, status = stock_svm.run("exitstat show --source bpf -d 1")
    assert status == 77 and "neither kvm_intel nor kvm_amd is loaded" in output
    # With exit accounting there is no need for it, and DKMS' modules have no BTF.
    stock_svm.need_kvm("ours")
    output, status = stock_svm.run("exitstat show --source bpf -d 1")
    assert status == 77 and "without BTF" in output
    assert json.loads(stock_svm.check("exitstat show --json -- minivmm cpuid:10 | tail -n 1"))["source"] == "debugfs"


def test_perf_sees_the_same(stock_svm):
    """perf kvm stat beside it in one run; it leaves out a vCPU's last exit."""
    nr = reasons(stock_svm)
    _, host = counted(stock_svm, "cpuid:500", "mmio:150", "pio-user:70", "wrmsr-icr:90",
                      under="cd /tmp && perf kvm stat record -a -o perf.data")
    report = stock_svm.check("cd /tmp && perf kvm -i perf.data stat report 2>&1 | cat; rm -f perf.data", 180)
    perf = {match[1].replace(" ", "_"): int(match[2])
            for match in re.finditer(r"^ *(\w[\w ]*?) +(\d+) +\d+\.\d+%", report, re.M)}
    seen = {row["name"]: row["exits"] for row in host["reasons"]}
    last = next(row["name"] for row in host["reasons"] if row["reason"] == nr.IO)
    assert {**perf, last: perf[last] + 1} == seen, report


def test_attached_counters_stay(stock_svm):
    """Pinned, they count without us, all read the same ones, and detach takes away all there was."""
    machine, nr = stock_svm, reasons(stock_svm)
    output, status = machine.run("umount /sys/fs/bpf 2>/dev/null; exitstat attach")
    assert status == 1 and "mount -t bpf bpf /sys/fs/bpf" in output
    assert machine.check("mount -t bpf bpf /sys/fs/bpf; exitstat attach") == ""
    machine.check("minivmm cpuid:1000 >/dev/null; minivmm cpuid:500 >/dev/null")
    vm = Paused(machine, "vm", "--vcpus=2", "cpuid:10", "pause")
    for reader in "show", "show --textfile /tmp/metrics && cat /tmp/metrics >&2; exitstat show":
        output = machine.check(f"exitstat {reader} --json")
        assert "has counted since" in output and "from now on" not in output
        host, = json.loads(output.splitlines()[-1] if "\n{" not in output else output[output.index('{"schema'):])["scopes"]
        assert exits(host)[nr.CPUID] == 1510
    assert 'exitstat_host_exits_total{isa="svm"' in machine.check("cat /tmp/metrics")
    listed, = json.loads(machine.check("exitstat list --json 2>/dev/null"))["scopes"]
    assert listed["vm"] == vm.dir and listed["exits"] == int(machine.check(f"cat {DEBUGFS}/{vm.dir}/exits"))
    vm.kill()
    # A second reader has nothing to attach, nor has a second attach.
    assert "counting by eBPF" not in machine.check("exitstat show -d 0.2 -n 1 2>&1; exitstat top </dev/null 2>&1 || true")
    assert "already being counted, since 20" in machine.check("exitstat attach")
    # They hold the module of the tracepoints.
    assert machine.run(f"modprobe -r {machine.vendor_module} kvm")[1] != 0
    assert machine.check("exitstat detach; ls /sys/fs/bpf; exitstat detach") == ""
    machine.check("for i in $(seq 50); do modprobe -r kvm 2>/dev/null && break; sleep 0.1; done; "
                  "! lsmod | grep -q '^kvm '")
    machine.kvm = None
    assert machine.run("exitstat attach")[1] == 77


def test_attach_and_detach_under_load(stock_svm):
    """VMs by the dozen, readers, and counters that come and go: no error but that there is nothing to read."""
    output = stock_svm.check(
        "mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf; rm -f /tmp/stop; "
        "for r in 1 2; do (until [ -e /tmp/stop ]; do exitstat list --json >/dev/null 2>/tmp/err$r; echo $?; done) & done; "
        "(until [ -e /tmp/stop ]; do minivmm --vcpus=2 cpuid:50 >/dev/null; done) & "
        "for i in $(seq 4); do exitstat attach && sleep 0.3 && exitstat detach || touch /tmp/failed; done; touch /tmp/stop; wait; "
        "rm /tmp/stop; ls /tmp/failed 2>/dev/null; ls /sys/fs/bpf", 240)
    assert set(output.split()) <= {"0", "1", "77"} and "0" in output.split(), output


def test_who_may_only_read(stock_svm):
    """As the services of the packages: a user with CAP_DAC_READ_SEARCH alone reads what is pinned, a copy of it."""
    machine, nr = stock_svm, reasons(stock_svm)
    user = "setpriv --reuid nobody --clear-groups --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search " \
           "--bounding-set=-all,+dac_read_search --no-new-privs "
    machine.check("mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf; chmod 700 /sys/fs/bpf")
    output, status = machine.run(f"{user} exitstat show")
    assert status == 77, output
    machine.check("exitstat attach --level histograms; minivmm cpuid:1000 >/dev/null")
    vm = Paused(machine, "vm", "--vcpus=2", "cpuid:10", "pause")
    host, = json.loads(machine.check(f"{user} exitstat show --json 2>/dev/null"))["scopes"]
    assert exits(host)[nr.CPUID] == 1010
    # It grows while it is open, too.
    output = machine.check(f"({user} exitstat record --latency -d 0.2 -n 5 -o - 2>/dev/null | cat >/tmp/recording) & "
                           "until grep -q '\"t\"' /tmp/recording 2>/dev/null; do sleep 0.1; done; minivmm cpuid:300 >/dev/null; "
                           "wait; exitstat report /tmp/recording --json; rm /tmp/recording", 120)
    host, = json.loads(output)["scopes"]
    assert exits(host)[nr.CPUID] == 300
    listed, = json.loads(machine.check(f"{user} exitstat list --json 2>/dev/null"))["scopes"]
    assert (listed["vm"], listed["exits"]) == (vm.dir, int(machine.check(f"cat {DEBUGFS}/{vm.dir}/exits")))
    # Without that capability nobody reads anything.
    output, status = machine.run("setpriv --reuid nobody --clear-groups exitstat show --source bpf")
    assert status == 1 and "root" in output, output
    vm.kill()
    machine.check("exitstat detach")


def test_two_hundred_vms(stock_svm):
    """Killed while they run, under four readers and somebody who attaches and detaches: nothing is left, nothing lost."""
    machine, nr = stock_svm, reasons(stock_svm)
    machine.check("mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf; rm -f /tmp/stop /tmp/status")
    before = programs(machine)
    readers = "list --json", "show --vm '*' --vcpu all --json", "show -d 0.1 -n 2 --json", "show --source bpf --json -- true"
    output = machine.check(
        "(exitstat record --source bpf -d 0.5 -o /tmp/recording 2>/dev/null; echo $? >/tmp/status) & "
        "until grep -q '\"t\"' /tmp/recording 2>/dev/null; do sleep 0.1; done; " +
        "".join(f"(until [ -e /tmp/stop ]; do exitstat {reader} >/dev/null 2>&1; echo $?; done) & " for reader in readers) +
        "(until [ -e /tmp/stop ]; do exitstat attach; exitstat detach; done >/dev/null 2>&1) & "
        "mkfifo /tmp/fifo; exec 9<>/tmp/fifo; "
        "for i in $(seq 100); do minivmm cpuid:1000 >/dev/null; minivmm cpuid:100 pause <&9 >/dev/null 2>&1 & vm=$!; "
        "sleep 0.$((i % 3))$((i % 10)); kill -KILL $vm; wait $vm 2>/dev/null; done; exec 9>&-; rm /tmp/fifo; "
        "touch /tmp/stop; sleep 1; busybox killall -TERM exitstat; until [ -e /tmp/status ]; do sleep 0.1; done; wait; "
        "exitstat detach; rm /tmp/stop /tmp/status; exitstat report /tmp/recording --json; rm /tmp/recording", 240)
    statuses, document = output.replace("Terminated", "").split("{", 1)
    # A VM that has gone, or nothing attached just now, is no error of ours.
    assert set(statuses.split()) <= {"0", "1", "77", "143"} and statuses.split().count("0") > 10, statuses
    host, = json.loads("{" + document)["scopes"]
    assert 100 * 1000 <= exits(host)[nr.CPUID] <= 100 * 1100
    assert exits(host).get(None, 0) == 0
    assert programs(machine) == before and machine.check("ls /sys/fs/bpf") == ""
    assert not re.search(r"BUG|WARNING|Oops", machine.check("dmesg"))


def test_lockdown_confidentiality(own_machine):
    """debugfs is closed then, and eBPF without probe_read is not, from 6.2 on.  There is no way back: a machine of its own."""
    machine, nr = own_machine, reasons(own_machine)
    machine.load_stock_kvm()
    machine.check("mount -t securityfs securityfs /sys/kernel/security; echo confidentiality >/sys/kernel/security/lockdown")
    assert machine.run("cat /sys/kernel/debug/kvm/exits")[1] != 0
    release = tuple(map(int, machine.check("uname -r").split(".")[:2]))
    for level in "counts", "times", "histograms":
        output, status = machine.run(f"exitstat show --source bpf --json --level {level} -- minivmm cpuid:1000 2>/tmp/err | tail -n 1; "
                                     "cat /tmp/err >&2", 120)
        if release < (6, 2):
            assert "before 6.2" in output, output
        else:
            assert exits(json.loads(output.splitlines()[0])["scopes"][0])[nr.CPUID] == 1000
    _, facts = examine(machine, status=77 if release < (6, 2) else 0)
    assert facts["kernel", "lockdown"][0] == "confidentiality"


def test_levels(stock):
    """Counts alone, and histograms, in which each exit is once for each time."""
    nr = reasons(stock)
    _, host = counted(stock, "cpuid:1000", "pio-user:200", "stats", options="--level counts")
    seen = exits(host)
    assert seen[nr.CPUID] == 1000 and seen.get(None, 0) == 0
    # What is not known is left out.
    assert set(host["total"]) == {"exits", "l2_exits"} and "guest_ns" not in host
    table = stock.check("exitstat show --source bpf --level counts -- minivmm cpuid:100 2>&1", 120)
    assert re.search(r"^ *REASON NAME +EXITS %EXITS EXITS/S *$", table, re.M), table
    output = stock.check("(exitstat record --source bpf --latency -d 0.2 -o /tmp/recording 2>/tmp/said; echo $? >/tmp/status) & "
                         "disown; until grep -q '\"t\"' /tmp/recording 2>/dev/null; do sleep 0.1; done; "
                         "minivmm cpuid:1000 pio-slow:20:2000 >/dev/null; sleep 0.5; busybox killall -TERM exitstat; "
                         "until [ -e /tmp/status ]; do sleep 0.1; done; cat /tmp/said /tmp/recording; "
                         "rm /tmp/status /tmp/recording", 240)
    assert "some 430 instructions" in output.splitlines()[0]
    counts, histograms = {}, {}
    for line in output.splitlines()[1:]:
        for scope in json.loads(line).get("scopes", []) if line.startswith("{") else []:
            if scope["scope"] == "host":
                counts.update({number: row for number, *row in scope["reasons"]})
                histograms.update({(number, which, start): n for number, which, start, n in scope.get("latency", [])})
    # Each exit that has ended; what the VM ended in, an exit to the VMM, has not.
    ended = {number: row[0] - (number == nr.IO) for number, row in counts.items()}
    for which, times in ("handle", 1), ("total", 2):
        of = {number: {start: n for (nr_, kind, start), n in histograms.items() if (nr_, kind) == (number, which)}
              for number in counts}
        assert {number: sum(buckets.values()) for number, buckets in of.items()} == ended
        for number, buckets in of.items():
            # between what it were if all took as little, and as much, as their buckets have
            time = sum(counts[number][1:2] if times == 1 else [counts[number][c] for c in (1, 2, 4)])
            assert sum(start * n for start, n in buckets.items()) <= time
            if number != nr.IO:
                assert time <= sum(2 * max(start, 128) * n for start, n in buckets.items())
    # The VMM takes 2 ms for each of these.
    assert sum(n for (number, which, start), n in histograms.items()
               if (number, which) == (nr.IO, "total") and start >= 1 << 20) >= 20


def test_a_kvm_without_events_is_told(stock_svm):
    """KVM's own count grows, and no event tells of an exit, as with PVM."""
    stock_svm.check("mkdir -p /tmp/debugfs/kvm; echo 10 >/tmp/debugfs/kvm/exits")
    output, status = stock_svm.run("(sleep 3; echo 20 >/tmp/debugfs/kvm/exits) & "
                                   "exitstat show --source bpf --debugfs /tmp/debugfs -d 8 -n 1; s=$?; "
                                   "rm -r /tmp/debugfs; (exit $s)", 120)
    assert status == 77 and "no kvm_exit events" in output, output


def test_more_vcpus_than_rows(stock_svm):
    """There are 254 of them; who has none shares one, and the host loses nothing."""
    machine, nr = stock_svm, reasons(stock_svm)
    machine.check("mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf; exitstat attach")
    vms = [Paused(machine, name, "--vcpus=128", "cpuid:10", "pause") for name in "ab"]
    machine.check("minivmm cpuid:500 >/dev/null", 120)
    host, = json.loads(machine.check("exitstat show --json 2>/dev/null"))["scopes"]
    assert exits(host)[nr.CPUID] == 520
    for vm in vms:
        vm.kill()
    # Their rows are free again.
    machine.check("minivmm cpuid:500 >/dev/null", 120)
    host, = json.loads(machine.check("exitstat show --json 2>/dev/null; exitstat detach"))["scopes"]
    assert exits(host)[nr.CPUID] == 1020


def test_a_cpu_that_goes_and_comes(stock_svm):
    """VMs that run on a CPU that is taken off line, and once it is there again."""
    nr = reasons(stock_svm)
    steps, host = counted(stock_svm, "cpuid:20000", "stats",
                          under="(for i in 1 2 3; do sleep 0.2; echo 0 >/sys/devices/system/cpu/cpu1/online; sleep 0.2; "
                                "echo 1 >/sys/devices/system/cpu/cpu1/online; done) >/dev/null 2>&1 &")
    assert exits(host)[nr.CPUID] == 20000 and host["total"]["exits"] == steps[-1]["stats"]["exits"]


def examine(machine, options="", status=0, timeout=120):
    output, ended = machine.run(f"exitstat doctor --json {options} 2>/tmp/err", timeout)
    assert ended == status, output
    document = json.loads(output)
    return document, {(fact["group"], fact["name"]): (fact["value"], fact["text"]) for fact in document["facts"]}


def programs(machine):
    """How many programs of eBPF the kernel has, which frees them a little later."""
    return int(machine.check("sleep 0.5; grep -c '[[]bpf[]]' /proc/kallsyms || true"))


def test_doctor_on_a_stock_kernel(stock):
    """It says what can be done, and why VMs get interrupts with exits, as KVM's own log of that has it."""
    before = programs(stock)
    document, facts = examine(stock)
    assert document["can_count"] and facts["sources", "bpf"][0] == "yes" and facts["sources", "debugfs"][0] == "no"
    assert facts["kernel", "user"][0] == facts["kernel", "btf"][0] == "yes"
    assert facts["kernel", "release"][0] == stock.check("uname -r").strip()
    assert facts["parameters", "halt_poll_ns"][0] == stock.check("cat /sys/module/kvm/parameters/halt_poll_ns").strip()
    assert facts["parameters", "apicv_inhibited_vms"] == ("0", "of 0")
    vm = Paused(stock, "vm", "--vcpus=2", "cpuid:10", "pause")
    _, facts = examine(stock)
    value, text = facts["parameters", "apicv_inhibited_vms"]
    # Neither emulated CPU has it.
    assert value == "1" and re.fullmatch(rf"of 1: .*\bDISABLED? \(1, as {vm.dir}\).*", text), text
    vm.kill()
    assert programs(stock) == before
    output, status = stock.run("setpriv --reuid nobody --clear-groups exitstat doctor")
    assert status == 1 and re.search(r"^  user +no: lacks CAP_SYS_ADMIN", output, re.M), output


def test_doctor_with_exit_accounting(svm):
    """Which modules these are, by the ID that their file has."""
    svm.need_kvm("ours")
    document, facts = examine(svm)
    assert document["can_count"] and facts["sources", "debugfs"][0] == facts["sources", "sysfs"][0] == "yes"
    assert facts["sources", "bpf"][0] == "no" and "without BTF" in facts["sources", "bpf"][1]
    notes = subprocess.run(["readelf", "-n", BUILD / "modules" / svm.krel / "kvm.ko"], capture_output=True, text=True).stdout
    assert "build ID " + re.search(r"Build ID: (\w+)", notes)[1] in facts["kvm", "kvm"][1]
    document, _ = examine(svm, "--measure", timeout=240)
    costs = document["measured"]["costs"]
    assert [(cost["exit"], cost["counted"], cost["added_cycles"]) for cost in costs] == [
        (name, "debugfs", None) for name in ("cpuid", "port_kvm", "port_vmm", "hlt")]


def test_doctor_measures(stock):
    """Its VM's exits are those that it was made for, as the counters of KVM see them, and take what they take."""
    before = programs(stock)
    document, _ = examine(stock, "--measure", timeout=900)
    costs = {(cost["exit"], cost["counted"]): cost for cost in document["measured"]["costs"]}
    levels = ["no", "counts", "times", "histograms"]
    assert list(costs) == [(name, level) for name in ("cpuid", "port_kvm", "port_vmm", "hlt") for level in levels]
    khz = float(stock.check("gawk '/^cpu MHz/ { print $4; exit }' /proc/cpuinfo")) * 1000
    assert document["measured"]["tsc_khz"] == pytest.approx(khz, rel=0.05)
    for cost in costs.values():
        assert cost["ns"] == pytest.approx(cost["cycles"] / khz * 1e6, rel=0.05)
    # The way to the VMM and back is longer, in each of them.
    for level in levels:
        assert costs["port_vmm", level]["cycles"] > costs["port_kvm", level]["cycles"]
    if stock.isa == "vmx":
        # A cycle is an instruction.
        for name in "cpuid", "port_kvm":
            assert 100 < costs[name, "counts"]["added_cycles"] < 300 < costs[name, "times"]["added_cycles"] < 600
    assert programs(stock) == before
