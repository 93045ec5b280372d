"""Installing the modules by hand, word for word as the README says it."""
import docs
from vm import DEBUGFS, REASONS, by_reason, minivmm


def test_install_and_go_back(own_machine):
    machine = own_machine
    vendor = machine.vendor_module

    def readme(first, last=None):
        for command in docs.steps("README.md", first, last):
            machine.check(f"cd /tmp/top; {command.replace('kvm_intel', vendor)}", 120)

    def ours():
        """Whether the modules in use count, and that they count right."""
        step, = minivmm(machine, "cpuid:1000")
        if machine.run(f"test -e {DEBUGFS}/exit_stats")[1]:
            assert "exit_reason_exits" not in step["delta"]
            return False
        assert by_reason(machine, step["delta"])[REASONS[machine.isa].CPUID] == 1000
        return True

    # As after make modules, on a host that has the stock modules only.
    machine.check("cd /lib/modules/$(uname -r); built=/tmp/top/build/modules/$(uname -r); mkdir -p $built && "
                  "mv updates/*.ko $built && depmod && "
                  f"modprobe -r {vendor} kvm && modprobe {vendor}", 120)
    assert not ours()
    readme("sudo install", "sudo modprobe")
    assert ours()
    readme("sudo modprobe -r kvm_intel kvm && sudo modprobe kvm exit_stats_cpuid=host")
    assert machine.check("cat /sys/module/kvm/parameters/exit_stats_cpuid") == "host\n"
    assert ours()
    readme("sudo rm", "sudo modprobe")
    assert not ours()
