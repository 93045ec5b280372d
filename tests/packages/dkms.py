"""exitstat-kvm-dkms in a Debian 12 with Debian's kernels, which are then booted.

A package is installed, a new kernel comes by apt, another flavour follows, and the package
goes.  After each step the machine with SVM boots what is there, its modprobe chooses KVM's
modules, and a small VM runs on them.

Not named test_*, so that `make check` leaves it alone: it downloads four kernels, and builds
KVM several times.
"""
import os
import re
import shutil
import subprocess

import docs
import pytest
from lab import images
from lab.machine import Machine
from vm import REASONS, by_reason, minivmm

from packages import debian

NEW = os.environ["KREL"]
FLAVOUR = NEW.replace("-cloud", "")
CUSTOM = NEW.split("+")[0] + "-custom"
SERIES = images.version(NEW)
SOURCE = f"linux-source-{SERIES}"
# 6.1 is Debian 12's own, and has no version in that name.
HEADERS = "linux-headers-amd64" if SERIES == "6.1" else f"linux-headers-{SERIES}-amd64"
UPDATES = "updates/dkms"
MODULES = ("kvm", "kvm-intel", "kvm-amd")
LOG = "/var/lib/dkms/exitstat-kvm/0.1/build/make.log"
DOES_NOT_FIT = "exitstat-kvm: the patches do not fit KVM of kernel {release} ({version}): use another " \
    f"kernel, or a newer exitstat-kvm-dkms; its stock modules stay ({LOG})"
CPUIDS = 1000


def version_of(release):
    return re.search("^Version: (.*)$", images.run("apt-cache", "show", f"linux-headers-{release}"), re.M)[1]


def previous_release():
    """The release before, of those whose source Debian's archive still has."""
    sources = re.findall(rf"{SOURCE} \|\s+(\S+)", images.run("apt-cache", "madison", SOURCE))
    name = re.escape(SERIES) + r"\.[0-9]+(-[0-9]+|\+deb12)-cloud-amd64"
    found = images.run("apt-cache", "search", "--names-only", f"^linux-headers-{name}$")
    releases = {version_of(release): release for release in re.findall(r"^linux-headers-(\S+)", found, re.M)}
    # apt has the newest first.
    known = [version for version in sources if version in releases]
    return releases[known[known.index(version_of(NEW)) + 1]]


OLD = previous_release()


def packages_of(release):
    """A kernel, and what it takes to build modules for it."""
    headers = f"linux-headers-{release}"
    depends = images.run("apt-cache", "depends", headers)
    return [f"linux-image-{release}", headers,
            *re.findall(r"Depends: (linux-headers-\S+-common|linux-kbuild-\S+)", depends)]


@pytest.fixture
def root(debs, request):
    """A host that runs the previous kernel, with the next one in its archive."""
    names = {*debian.depends(debs["exitstat"]), *debian.depends(debs["exitstat-kvm-dkms"])} - {SOURCE}
    tar = debian.tree(f"kernel-{SERIES}", [*sorted(names), *packages_of(OLD), f"{SOURCE}={version_of(OLD)}"])
    archive = debian.archive(f"archive-{SERIES}", [
        *dict.fromkeys(packages_of(NEW) + packages_of(FLAVOUR)), f"{SOURCE}={version_of(NEW)}",
        HEADERS, "openssl"])
    with debian.root(tar, f"root-{request.node.name}", archive) as made:
        made.run("echo 'deb [trusted=yes] file:/archive ./' >/etc/apt/sources.list\n"
                 "rm -f /etc/apt/sources.list.d/*\n"
                 "echo 'APT::Get::Assume-Yes true;' >/etc/apt/apt.conf.d/99yes\n"
                 "apt-get -q update; mkdir -p /root/build/deb")
        runs(made, OLD)
        made.outside("cp", debs["exitstat"], debs["exitstat-kvm-dkms"], made.path / "root/build/deb")
        yield made


def runs(root, release):
    """From now on it is this kernel that the host runs."""
    docs.put_uname(root.path / "usr/local/bin", release)


def as_documented(root, page, first, last=None):
    """Run a page's commands as they stand, but for the kernel's version; return what they say."""
    return root.run("cd /root && " + " && ".join(
        command.replace("linux-headers-6.12-amd64", HEADERS)
        for command in docs.steps(page, first, last)))


def apt_install(root, *packages):
    return root.run(f"apt-get -q install --no-install-recommends {' '.join(packages)}")


def altered(deb, tmp_path):
    """The same package with a context line that no kernel has."""
    tree = tmp_path / "altered"
    images.run("fakeroot", "dpkg-deb", "-R", deb, tree)
    patch = next(tree.glob(f"usr/src/*/series/{SERIES}/*SVM-Count*"))
    lines = patch.read_text().splitlines(keepends=True)
    hunk = max(i for i, line in enumerate(lines) if line.startswith("@@"))
    lines[hunk + 1] = lines[hunk + 1].rstrip("\n") + " is not here\n"
    patch.write_text("".join(lines))
    target = tmp_path / "altered" / deb.name
    images.run("fakeroot", "dpkg-deb", "-b", tree, tmp_path / deb.name)
    return target.parent.parent / deb.name


def series_fits(root, release):
    """Whether patch, without DKMS or us, applies the series to that source."""
    said, status = root.run(
        f"mkdir -p /tmp/fits && cd /tmp/fits && tar -xJf /usr/src/{SOURCE}.tar.xz --strip-components=1 "
        f"{SOURCE}/arch/x86/kvm {SOURCE}/arch/x86/include/asm {SOURCE}/virt/kvm "
        f"{SOURCE}/include/linux/kvm_host.h {SOURCE}/Documentation/virt/kvm && "
        f"cat /usr/src/exitstat-kvm-*/series/{SERIES}/*.patch | patch -p1 -s --fuzz=0", check=False)
    root.run("rm -rf /tmp/fits")
    print(f"{release}: the series {'fits' if status == 0 else 'does not fit'}\n{said}")
    return status == 0


def has_modules(root, release):
    """All three, or none."""
    updates = root.path / "lib/modules" / release / UPDATES
    found = {path.name.split(".")[0] for path in updates.glob("*.ko*")}
    assert not found or found == set(MODULES)
    chosen = {root.run(f"modinfo -k {release} -n {name}").strip() for name in MODULES}
    assert all((UPDATES in path) == bool(found) for path in chosen), chosen
    status = root.run(f"dkms status -m exitstat-kvm -k {release}")
    assert ("installed" in status) == bool(found), status
    return bool(found)


class PackageMachine(Machine):
    """Boots a tree's kernel, with the tree as its root file system."""

    disks = (debian.PACKAGES / "root.img", debian.PACKAGES / "payload.img")

    @property
    def initrd(self):
        return debian.PACKAGES / f"initrd-{self.krel}"

    def __init__(self, root, release):
        name = f"{root.path.name}-{release}"
        super().__init__("qemu", release, images.LAB / "logs" / name)
        self.kernel = root.path / f"boot/vmlinuz-{release}"
        images.initrd(release, root.path, self.initrd)
        # What no machine needs that only runs, and what runs() made.
        root.outside("mksquashfs", root.path, self.disks[0], "-quiet", "-no-progress", "-noappend",
                     "-noI", "-noD", "-noF", "-noX",
                     "-e", "usr/local/bin/uname", "root", "archive", "usr/src", "usr/lib/gcc",
                     "usr/share/doc", "var/cache")
        tree = debian.PACKAGES / "payload"
        shutil.rmtree(tree, ignore_errors=True)
        for program, path in (("/bin/busybox", "usr/bin/busybox"),
                              (images.BUILD / "tests/minivmm", "usr/bin/minivmm"),
                              (images.HERE / "lab-init", "usr/sbin/lab-init")):
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(program, tree / path)
        images.squashfs(tree, self.disks[1])

    def vmlinuz(self):
        return self.kernel


def boot(root, release, ours):
    """Load KVM as any host does, and run a small VM on it."""
    with PackageMachine(root, release) as machine:
        machine.boot()
        assert machine.check("uname -r").strip() == release
        machine.check("modprobe kvm_amd")
        for command in docs.steps("README.md", "sudo modprobe"):
            machine.check(command.replace("kvm_intel", "kvm_amd"))
        done = minivmm(machine, f"cpuid:{CPUIDS}")[0]
        assert done["delta"]["exits"] >= CPUIDS
        if ours:
            assert machine.check("cat /sys/module/kvm/version /sys/module/kvm_amd/version") == "0.1\n0.1\n"
            assert by_reason(machine, done["delta"])[REASONS["svm"].CPUID] == CPUIDS
            said = machine.check("exitstat --reason CPUID --csv -o NAME,EXITS")
            assert int(re.search(r"cpuid,(\d+)", said)[1]) >= CPUIDS
        else:
            assert machine.run("ls /sys/module/kvm/version /sys/kernel/debug/kvm/exit_stats")[1] != 0
            assert "exit_reason_exits" not in done["delta"]
            assert machine.run("exitstat")[1] == 77


def test_life(root, debs):
    said = as_documented(root, "README.md", "sudo apt install", "sudo apt install --no-install-recommends ./")
    fits = series_fits(root, OLD)
    assert (DOES_NOT_FIT.format(release=OLD, version=version_of(OLD)) in said) == (not fits), said
    assert has_modules(root, OLD) == fits
    boot(root, OLD, ours=fits)

    # The next kernel, its headers and its source in one run of apt, whatever the order.
    before = root.run("cd /boot; sha256sum initrd.img-*")
    said = apt_install(root, f"linux-image-{NEW}", f"linux-headers-{NEW}", SOURCE)
    assert f"Building KVM with exit accounting for {NEW}" in said
    assert has_modules(root, NEW) and has_modules(root, OLD) == fits
    assert before in root.run("cd /boot; sha256sum initrd.img-*")
    boot(root, NEW, ours=True)

    # Another one that comes while ours works, and with what DKMS needs to sign modules.
    apt_install(root, "openssl")
    apt_install(root, f"linux-image-{FLAVOUR}")
    said = as_documented(root, "Documentation/install.md",
                         "sudo apt install --no-install-recommends linux-headers-6.12")
    assert f"Building KVM with exit accounting for {FLAVOUR}" in said
    assert has_modules(root, FLAVOUR) and has_modules(root, NEW)
    for name in MODULES:
        assert root.run(f"modinfo -k {FLAVOUR} -F signer {name}") == "DKMS module signing key\n"
    boot(root, FLAVOUR, ours=True)

    # A kernel goes, and takes what DKMS put there along.
    root.run(f"apt-get -q purge linux-image-{FLAVOUR} linux-headers-{FLAVOUR}")
    assert not (root.path / "lib/modules" / FLAVOUR / UPDATES).exists()

    # Those that were built before there was a key.
    runs(root, NEW)
    assert root.run(f"modinfo -k {NEW} -F signer kvm") == ""
    root.run("dkms remove exitstat-kvm/0.1 --all; dpkg-reconfigure exitstat-kvm-dkms")
    assert root.run(f"modinfo -k {NEW} -F signer kvm") == "DKMS module signing key\n"
    root.run(f"dkms uninstall exitstat-kvm/0.1 -k {NEW}")
    assert not has_modules(root, NEW)
    as_documented(root, "Documentation/install.md", "sudo dkms install")
    assert has_modules(root, NEW) and has_modules(root, OLD) == fits

    as_documented(root, "Documentation/install.md", "sudo apt remove")
    assert not has_modules(root, NEW) and not has_modules(root, OLD)
    assert not list(root.path.glob("lib/modules/*/updates"))
    assert not list(root.path.glob("var/lib/dkms/exitstat*"))
    assert not list(root.path.glob("var/cache/exitstat*"))
    boot(root, NEW, ours=False)
    root.run("dpkg -P exitstat-kvm-dkms")
    assert not list(root.path.glob("usr/src/exitstat*"))


def test_what_does_not_fit_is_said(root, debs, next_debs, tmp_path):
    # The patches of another kernel: one sentence, and apt goes on.
    apt_install(root, f"linux-image-{NEW}", f"linux-headers-{NEW}", SOURCE)
    said = root.install(altered(debs["exitstat-kvm-dkms"], tmp_path))
    sentence = DOES_NOT_FIT.format(release=NEW, version=version_of(NEW))
    assert said.count(sentence) == 1, said
    assert "FAILED" in root.run(f"cat {LOG}")
    assert not has_modules(root, NEW)
    assert root.run("dpkg-query -W -f '${Status}' exitstat-kvm-dkms") == "install ok installed"

    # A source of another version than the kernel's.
    wanted, here = version_of(OLD), version_of(NEW)
    assert f"exitstat-kvm: kernel {OLD} needs {SOURCE} {wanted}, here is {here}: run apt install " \
        f"{SOURCE}={wanted}; its stock modules stay ({LOG})" in said

    # A kernel that somebody built, with and without our package: nothing is said or done.
    root.run(f"mkdir /lib/modules/{CUSTOM} && ln -s /usr/src/linux-headers-{NEW} /lib/modules/{CUSTOM}/build")
    said = root.run(f"/etc/kernel/postinst.d/dkms {CUSTOM} && dpkg-trigger --by-package=dkms /usr/src && "
                    "dpkg --triggers-only -a")
    assert CUSTOM not in said.replace(f"for kernel {CUSTOM}", "").replace(f"for kernel: {CUSTOM}", ""), said
    assert not (root.path / "lib/modules" / CUSTOM / "updates").exists()

    # The next version of the package makes all well.
    said = root.install(next_debs["exitstat-kvm-dkms"])
    assert CUSTOM not in said
    assert has_modules(root, NEW)
    assert root.run(f"modinfo -k {NEW} -F version kvm") == "0.1+1\n"
