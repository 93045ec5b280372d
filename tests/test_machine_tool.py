"""exitstat on real KVM: differences, lists, recordings and the live view, against known exits."""
import json
import re

from vm import DEBUGFS, Paused, minivmm, reasons, stats

N = 1000
# The tool's names are those of Debian 12's kernel headers; what newer kernels call the rest.
NEWER_NAMES = {"vmx": {77: "TDCALL", 84: "MSR_READ_IMM", 85: "MSR_WRITE_IMM"},
               "svm": {165: "buslock", 166: "idle-halt"}}


def scopes(machine, command):
    return json.loads(machine.check(command))["scopes"]


def exits(scope, nr):
    return sum(row["exits"] for row in scope["reasons"] if row["reason"] == nr)


def test_command(machine):
    """What a VM did that lived and died within the command: all of it, and nothing else."""
    nr = reasons(machine)
    output = machine.check(f"exitstat --json -- minivmm cpuid:{N}")
    *steps, document = output.splitlines()
    assert json.loads(steps[0])["delta"]["exits"]
    host, = json.loads(document)["scopes"]
    assert exits(host, nr.CPUID) == N
    assert host["total"]["exits"] >= N + 1


def test_difference_of_a_vm(machine):
    """The steps of a paused VM, between two readings; its KVM statistic as the oracle."""
    nr = reasons(machine)
    vm = Paused(machine, "vm", "cpuid:100", "pause", f"cpuid:{N}", "pause")
    oracle = int(machine.check(f"cat {DEBUGFS}/{vm.dir}/exits"))
    # It runs the command once it has read what was before.
    machine.check(f"(exitstat --vm {vm.dir} --vcpu 0 --json -- bash -c 'touch /tmp/begun; "
                  "until [ -e /tmp/go ]; do sleep 0.1; done' >/tmp/difference; echo $? >/tmp/status) & "
                  "until [ -e /tmp/begun ]; do sleep 0.1; done; rm /tmp/begun")
    vm.resume()
    machine.check("touch /tmp/go; until [ -e /tmp/status ]; do sleep 0.1; done")
    vcpu, = scopes(machine, "cat /tmp/difference")
    assert machine.check("cat /tmp/status; rm /tmp/go /tmp/status") == "0\n"
    assert exits(vcpu, nr.CPUID) == N
    assert vcpu["total"]["exits"] == int(machine.check(f"cat {DEBUGFS}/{vm.dir}/exits")) - oracle
    vm.kill()


def test_list(machine):
    """Names and counts of VMs; KVM's own statistic as the oracle."""
    first = Paused(machine, "first", "--vcpus=2", "cpuid:10", "cpuid:20@1", "pause")
    second = Paused(machine, "second", f"cpuid:{N}", "pause")
    vms = {s["vm"]: s for s in scopes(machine, "exitstat list --json")}
    assert set(vms) == {first.dir, second.dir}
    for vm, vcpus in (first, 2), (second, 1):
        assert vms[vm.dir]["vm_name"] == "minivmm" and vms[vm.dir]["vcpus"] == vcpus
        assert vms[vm.dir]["exits"] == int(machine.check(f"cat {DEBUGFS}/{vm.dir}/exits"))
    vcpus = [s for s in scopes(machine, "exitstat list --vcpu all --json") if s["scope"] == "vcpu"]
    assert [(s["vm"], s["vcpu"]) for s in vcpus if s["vm"] == first.dir] == [(first.dir, 0), (first.dir, 1)]
    first.kill()
    second.kill()
    assert scopes(machine, "exitstat list --json") == []


def test_vms_that_come_and_go(machine):
    """Real VMs, created and ended while they are listed: never an error."""
    # They sleep for up to 0.25 s, so that they end anywhere in a reading, and some are seen whole:
    # a machine with one CPU may otherwise never run the tool while there is a VM.
    output = machine.check(
        "rm -f /tmp/stop; (until [ -e /tmp/stop ]; do "
        "minivmm --vcpus=2 pio-slow:1:$((RANDOM * 8)) >/dev/null; done) & "
        "for i in $(seq 60); do exitstat list --vcpu all --csv >/tmp/out 2>/tmp/err; "
        "echo $? $(wc -l </tmp/out) $(wc -c </tmp/err); done; touch /tmp/stop; wait; rm /tmp/stop", 300)
    replies = [line.split() for line in output.splitlines()]
    assert {(status, err) for status, _, err in replies} == {("0", "0")}, output
    assert {lines for _, lines, _ in replies} >= {"4"}, "no VM was seen"


def test_every_exit_number(machine):
    """The tool's table of exit numbers, against the one in the kernel that it runs on."""
    table = json.loads(machine.check(f"exitstat reasons --isa {machine.isa} --json"))["reasons"]
    kernel = machine.check("cd /sys/kernel/kvm/exit_stats; grep . reason-*/name")
    names = {int(nr): name for nr, name in re.findall(r"^reason-(\d+)/name:(\S+)$", kernel, re.M)}
    assert {row["reason"] for row in table if row["defined"] == "yes"} == set(names)
    for row in table:
        if row["defined"] == "yes":
            unnamed = {f"UNKNOWN_{row['reason']}", NEWER_NAMES[machine.isa].get(row["reason"])}
            assert names[row["reason"]] in ({row["name"]} if row["name"] else unnamed)


def test_record_and_report(machine):
    """A recording over a VM's life and death has all of the host's exits."""
    nr = reasons(machine)
    machine.check("(exitstat record -d 0.2 -o /tmp/recording 2>/tmp/said; echo $? >/tmp/status) & "
                  "until grep -q '\"t\"' /tmp/recording; do sleep 0.1; done")
    before = stats(machine)
    vm = Paused(machine, "vm", f"cpuid:{N}", "pause")
    machine.check("sleep 1")
    seen = stats(machine, vm.dir)
    vm.kill()
    minivmm(machine, f"cpuid:{2 * N}")
    after = stats(machine)
    machine.check("sleep 1; busybox killall -INT exitstat; until [ -e /tmp/status ]; do sleep 0.1; done")
    assert machine.check("cat /tmp/status; rm /tmp/status") == "0\n"
    host, = scopes(machine, "exitstat report /tmp/recording --json")
    assert exits(host, nr.CPUID) == 3 * N == after.exits(nr.CPUID) - before.exits(nr.CPUID)
    assert host["total"]["exits"] == after.total - before.total
    # The VM that began after the recording counts whole.
    vms = {s["vm"]: s for s in scopes(machine, "exitstat report /tmp/recording --vm '*' --json")}
    assert vms[vm.dir]["total"]["exits"] == seen.total
    machine.check("exitstat report /tmp/recording --html /tmp/report.html; grep -q EPT_\\\\\\|npf\\\\\\|CPUID\\\\\\|cpuid "
                  "/tmp/report.html; rm /tmp/recording /tmp/report.html")


def test_guest_views(machine):
    """In a real guest: differences, and the live view of the static program."""
    nr = reasons(machine)
    guest = machine.guest()
    documents = [json.loads(line) for line in guest.check("exitstat guest -d 1 -n 2 --json").splitlines()]
    for document in documents:
        scope, = document["scopes"]
        # Each reading asks for some hundred numbers.
        assert exits(scope, nr.CPUID) > 50
        assert document["seconds"] > 0.9
    output = guest.check("exitstat guest --json -- cpuid -1 -l 0x4FFFFFFE")
    scope, = json.loads(output.splitlines()[-1])["scopes"]
    assert "0x4ffffffe" in output and exits(scope, nr.CPUID) > 50
    output, status = guest.run("exitstat guest --top </dev/null")
    assert status == 1 and output.count("\n") == 1, output
    machine.stop_guest()


def test_names_of_real_vms(machine):
    """QEMU's -name, as libvirt gives it."""
    machine.start_guest(options="-name guest=web1,debug-threads=on")
    machine.check(f"until [ -d {DEBUGFS}/$(cat /run/guest-ttyS2.pid)-* ]; do sleep 0.1; done")
    vm, = scopes(machine, "exitstat list --json")
    assert (vm["vm"], vm["vm_name"]) == (machine.guest_vm(), "web1")
    assert scopes(machine, "exitstat show --vm 'web*' --json")[0]["vm"] == vm["vm"]
    machine.stop_guest()
