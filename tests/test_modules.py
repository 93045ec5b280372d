"""The modules built for Debian's stock kernel."""
import subprocess

import pytest
from paths import BUILD, KREL


def modinfo(module, field):
    path = BUILD / "modules" / KREL / f"{module}.ko"
    return subprocess.run(["/sbin/modinfo", "-F", field, path], check=True,
                          capture_output=True, text=True).stdout


@pytest.mark.parametrize("module", ["kvm", "kvm-intel", "kvm-amd"])
def test_modules_are_for_the_stock_kernel(module):
    assert modinfo(module, "vermagic").split()[0] == KREL


def test_kvm_has_the_parameters():
    names = {line.split(":")[0] for line in modinfo("kvm", "parm").splitlines()}
    assert {"exit_stats", "exit_stats_cpuid", "exit_stats_cpuid_cpl0"} <= names
