"""What the documents name is there: targets, files, pictures, pages; and their commands run."""
import os
import re
import shutil
import subprocess

import pace
import pytest

from docs import PAGES, commands, environment, put, put_uname
from paths import KREL, TOP

# Made by make, or the reader's own.
MADE = re.compile(r"^(build|/|~|KERNEL_SRC)|VERSION|[<>*$]")


def makefile_targets():
    makefile = (TOP / "Makefile").read_text()
    return set(re.findall(r"^([a-z][\w-]*(?: [a-z][\w-]*)*):", makefile, re.M)) | {"check"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (TOP / page).read_text()
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert ((TOP / page).parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_targets_and_files_exist(page):
    text = (TOP / page).read_text()
    targets = {word for words in makefile_targets() for word in words.split()}
    for target in re.findall(r"(?:^    |`)(?:sudo )?make ([a-z][\w-]*)", text, re.M):
        assert target in targets, target
    for name in re.findall(r"`((?:kernel|tools|tests|debian|Documentation)/[\w./-]+)`", text):
        if not MADE.search(name):
            assert (TOP / name).exists(), name


def test_help_names_each_target_that_people_call():
    text = subprocess.run(["make", "-s", "help"], cwd=TOP, check=True, capture_output=True, text=True).stdout
    for target in "demo check check-all check-series bench verify study fuzz deb rfc install".split():
        assert re.search(rf"^make {target} ", text, re.M), target


def test_every_page_is_read_from_the_readme():
    readme = (TOP / "README.md").read_text()
    for page in PAGES[1:]:
        assert page in readme, page


pytestmark = pytest.mark.together(seconds=40)

# Run here as they stand, where the reader would.
HERE = [
    "make help", "make lab", "make lab KERNEL=6.12", "make series", "make series KERNEL=6.12",
    "make modules tools KREL=$(uname -r)", "make install", "sudo make install",
    "make -C tools/exitstat format", "man -l tools/exitstat/man/exitstat.8",
    "KREL=$(kernel/default-release 6.12) /usr/bin/python3 -m pytest tests/test_machine_counts.py "
    '-k "cpuid and svm"',
    "exitstat report Documentation/study/recording.jsonl.xz --html study.html",
]
# Run by another test, most of them word for word.
ELSEWHERE = {
    "make demo": "test_demo.py::test_demo",
    "EMU=qemu make demo": "test_demo.py::test_demo",
    "make deb": "test_packages.py::test_there_are_three",
    "make apply KERNEL=6.12 KERNEL_SRC=/path/to/linux": "test_series.py::test_make_apply",
    "make apply KERNEL=7.3 KERNEL_SRC=/path/to/linux": "test_series.py::test_make_apply",
    "make rfc": "test_series.py::test_posted_series",
    "make check-series REVISIONS=6.12.119-1": "test_kernels.py::test_a_revision_that_does_not_fit",
    "make tools": "test_setup.py::test_built_and_installed_without_apt",
    "sudo make uninstall": "test_setup.py::test_install_and_uninstall",
    "sudo exitstat top": "test_top.py::test_views_and_ways_between_them",
    "sudo exitstat list": "test_exitstat_views.py::test_list",
    "sudo exitstat --vm web1 -d 5": "test_selection.py::test_the_one_that_was_meant_stays_the_one",
    "sudo exitstat details MSR_WRITE": "test_machine_details.py::test_msrs",
    "exitstat explain MSR_WRITE": "test_explain.py::test_text",
    "chgrp -R GROUP /sys/kernel/kvm/exit_stats; chmod -R g+rX /sys/kernel/kvm/exit_stats":
        "test_machine_outside.py::test_sysfs_is_the_administrators_to_give",
    **dict.fromkeys((
        "sudo install -D -m 644 -t /lib/modules/$(uname -r)/updates build/modules/$(uname -r)/*.ko",
        "sudo depmod",
        "sudo modprobe -r kvm_intel kvm && sudo modprobe kvm_intel",
        "sudo modprobe -r kvm_intel kvm && sudo modprobe kvm exit_stats_cpuid=host && "
        "sudo modprobe kvm_intel",
        "sudo rm /lib/modules/$(uname -r)/updates/kvm.ko /lib/modules/$(uname -r)/updates/kvm-intel.ko "
        "/lib/modules/$(uname -r)/updates/kvm-amd.ko",
    ), "test_machine_install.py::test_install_and_go_back"),
    **dict.fromkeys((
        "sudo systemd-sysusers && sudo systemctl daemon-reload",
        "sudo systemctl enable --now exitstat-record.service exitstat-textfile.timer",
    ), "test_packaging.py::test_enabled_as_the_readme_says"),
    "sudo systemctl enable --now exitstat-attach.service": "test_packaging.py::test_attach_is_enabled",
    # By make check-packages.
    **dict.fromkeys((
        "sudo apt install --no-install-recommends linux-headers-$(uname -r) "
        "linux-source-$(uname -r | cut -d. -f1,2)=$(dpkg-query -W -f '${Version}' linux-image-$(uname -r))",
        "sudo apt install --no-install-recommends ./build/deb/exitstat_*.deb "
        "./build/deb/exitstat-kvm-dkms_*.deb",
        "cat /sys/module/kvm/version",
        "sudo apt install --no-install-recommends linux-headers-6.12-amd64",
        "sudo dkms install exitstat-kvm/0.1 -k $(uname -r)",
        "sudo apt remove exitstat-kvm-dkms",
        "sudo dpkg-reconfigure exitstat-kvm-dkms",
        "sudo dkms remove exitstat-kvm/0.1 --all",
    ), "packages/dkms.py::test_life"),
    "sudo apt install --no-install-recommends ./build/deb/exitstat_*.deb": "packages/install.py::test_use",
    "apt purge exitstat": "packages/install.py::test_nothing_is_left_after_purge",
}
# These run tests or measure, this very test among them, and a test of them would take hours.
TARGETS = {"make check", "make check-valgrind", "make check-demo", "make check-series",
           "make check-series REVISIONS=all", "make check-all", "make check-debug", "make check-packages",
           "make bench", "make verify", "make study", "make fuzz"}
# By make bench, and by make check.
SCRIPTS = re.compile(r"/usr/bin/python3 (tests/bench/(cost|native|growth|exitstat)\.py"
                     r"|-m pytest -s tests/test_disassembly\.py)")
# The emulated machines have neither UEFI nor Secure Boot.
NOT_RUN = {"sudo apt install openssl mokutil", "sudo mokutil --import /var/lib/dkms/mok.pub"}


def test_every_command_is_run_by_a_test():
    found = {command for page in PAGES for command in commands(page) if not SCRIPTS.fullmatch(command)}
    assert found == {*HERE, *ELSEWHERE, *TARGETS, *NOT_RUN}


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values())))
def test_that_test_exists(test):
    file, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (TOP / "tests" / file).read_text(), re.M)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A reader's: what is built is in PATH, the kernel that runs is the machine's, sudo is root."""
    path = tmp_path_factory.mktemp("desk")
    (path / "bin").mkdir()
    put(path / "bin/sudo", 'exec "$@"')
    put(path / "bin/exitstat", f'exec {TOP}/build/exitstat "$@"')
    put_uname(path / "bin", KREL)
    return path


@pytest.mark.parametrize("command", HERE)
def test_command_runs(command, desk, tmp_path):
    env = environment(PATH=f"{desk}/bin:{os.environ['PATH']}", DESTDIR=f"{desk}/installed",
                      PYTHONDONTWRITEBYTECODE="1")
    if " -m pytest " in command:
        # That it finds tests: they are run beside this one.
        env["PYTEST_ADDOPTS"] = "--collect-only -p no:xdist"
    # Those that write beside what they read.
    own = command.startswith(("xz", "exitstat"))
    if own:
        shutil.copytree(TOP / "Documentation/study", tmp_path / "Documentation/study")
    done = subprocess.run(["bash", "-ec", command], cwd=tmp_path if own else TOP, env=env, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=pace.limit(900), check=False)
    assert done.returncode == 0, done.stdout
