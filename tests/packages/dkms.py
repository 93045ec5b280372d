"""exitstat-kvm-dkms in a Debian 12 and a Debian 13 with their kernels, which are then booted.

A package is installed, a new kernel comes by apt, another flavour follows, and the package
goes.  After each step the machine with SVM boots what is there, its modprobe chooses KVM's
modules, and a small VM runs on them.

Not named test_*, so that `make check` leaves it alone: it downloads kernels, and builds KVM
several times.
"""
import difflib
import re
import shutil

import docs
import pytest
from lab import images
from lab.machine import Machine
from paths import KREL
from vm import REASONS, by_reason, minivmm

from packages import debian

SERIES = images.version(KREL)
UPDATES = "updates/dkms"
MODULES = ("kvm", "kvm-intel", "kvm-amd")
LOG = "/var/lib/dkms/exitstat-kvm/0.1/build/make.log"
DOES_NOT_FIT = "exitstat-kvm: the patches do not fit KVM of kernel {release} ({version}): use another " \
    f"kernel, or a newer exitstat-kvm-dkms; its stock modules stay ({LOG})"
CPUIDS = 1000


class Kernels:
    """Those of a version that a release of Debian has: the newest, with its flavour, and the one before."""

    def __init__(self, suite, series):
        self.suite = suite
        self.source = f"linux-source-{series}"
        debian_release = debian.RELEASES.get(suite, "+deb13").partition("+")[2]
        # 6.1 is Debian 12's alone, and its kernels do not say so.
        known = [line.split() for line in images.run(images.TOP / "kernel/revisions", series).splitlines()]
        known = [(version, release) for version, release in known
                 if debian_release in release or (series, suite) == ("6.1", "bookworm")]
        if not known:
            pytest.skip(f"Debian's {suite} has no kernel {series}")
        self.versions = {release: version for version, release in known}
        self.new, *older = self.versions
        self.old = older[0] if older else None
        self.flavour = self.new.replace("-cloud", "")
        self.versions[self.flavour] = self.versions[self.new]
        self.custom = self.new.split("+")[0] + "-custom"
        # Debian's own kernel has no version in that name.
        own = (series, suite) in (("6.1", "bookworm"), ("6.12", "trixie"))
        self.headers = "linux-headers-amd64" if own else f"linux-headers-{series}-amd64"

    def packages_of(self, release):
        """A kernel, and what it takes to build modules for it."""
        headers = f"linux-headers-{release}"
        depends = images.run(*debian.apt(self.suite), "apt-cache", "depends", headers)
        return [f"linux-image-{release}", headers,
                *re.findall(r"Depends: (linux-headers-\S+-common|linux-kbuild-\S+)", depends)]


@pytest.fixture(scope="session")
def kernels(release):
    return Kernels(release, SERIES)


def host(debs, kernels, release, name, archive=None):
    """A host that runs this kernel, with an archive of packages."""
    names = {*debian.depends(debs["exitstat"]), *debian.depends(debs["exitstat-kvm-dkms"])} - {kernels.source}
    series = images.version(release)
    tar = debian.tree(f"kernel-{series}-{kernels.suite}", [
        *sorted(names), *kernels.packages_of(release), f"{kernels.source}={kernels.versions[release]}"], kernels.suite)
    return debian.root(tar, f"root-{name}-{kernels.suite}", archive)


@pytest.fixture
def root(debs, kernels, request):
    """A host that runs the previous kernel, with the next one in its archive."""
    archive = debian.archive(f"archive-{SERIES}-{kernels.suite}", [
        *dict.fromkeys(kernels.packages_of(kernels.new) + kernels.packages_of(kernels.flavour)),
        f"{kernels.source}={kernels.versions[kernels.new]}", kernels.headers, "openssl"], kernels.suite)
    with host(debs, kernels, kernels.old, request.node.originalname, archive) as made:
        made.run("echo 'deb [trusted=yes] file:/archive ./' >/etc/apt/sources.list\n"
                 "rm -f /etc/apt/sources.list.d/*\n"
                 "echo 'APT::Get::Assume-Yes true;' >/etc/apt/apt.conf.d/99yes\n"
                 "apt-get -q update; mkdir -p /root/build/deb")
        runs(made, kernels.old)
        made.outside("cp", debs["exitstat"], debs["exitstat-kvm-dkms"], made.path / "root/build/deb")
        yield made


def runs(root, release):
    """From now on it is this kernel that the host runs."""
    docs.put_uname(root.path / "usr/local/bin", release)


def as_documented(root, page, first, last=None, headers=None):
    """Run a page's commands as they stand, but for the kernel's version; return what they say."""
    commands = " && ".join(docs.steps(page, first, last))
    return root.run(f"cd /root && {commands.replace('linux-headers-6.12-amd64', headers or '')}")


def apt_install(root, *packages):
    return root.run(f"apt-get -q install --no-install-recommends {' '.join(packages)}")


def altered(deb, tmp_path, alter):
    """The same package, with other files."""
    tree = tmp_path / "altered"
    images.run("fakeroot", "dpkg-deb", "-R", deb, tree)
    alter(next(tree.glob("usr/src/*")))
    images.run("fakeroot", "dpkg-deb", "-b", tree, tmp_path / deb.name)
    return tmp_path / deb.name


def fits_nowhere(source):
    """With a context line that no kernel has."""
    patch = next((source / "series" / SERIES).glob("*SVM-Count*"))
    lines = patch.read_text().splitlines(keepends=True)
    hunk = max(i for i, line in enumerate(lines) if line.startswith("@@"))
    lines[hunk + 1] = lines[hunk + 1].rstrip("\n") + " is not here\n"
    for file in source.glob(f"series/{SERIES}/**/{patch.name}"):
        file.write_text("".join(lines))


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
                     "usr/libexec/gcc", "usr/share/doc", "var/cache")
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


def test_life(root, kernels):
    old, new, flavour = kernels.old, kernels.new, kernels.flavour
    as_documented(root, "README.md", "sudo apt install", "sudo apt install --no-install-recommends ./")
    assert has_modules(root, old)
    boot(root, old, ours=True)

    # The next kernel, its headers and its source in one run of apt, whatever the order.
    before = root.run("cd /boot; sha256sum initrd.img-*")
    said = apt_install(root, f"linux-image-{new}", f"linux-headers-{new}", kernels.source)
    assert f"Building KVM with exit accounting for {new}" in said
    assert has_modules(root, new) and has_modules(root, old)
    assert before in root.run("cd /boot; sha256sum initrd.img-*")
    boot(root, new, ours=True)

    # Another one that comes while ours works, and with what DKMS needs to sign modules.
    apt_install(root, "openssl")
    apt_install(root, f"linux-image-{flavour}")
    said = as_documented(root, "Documentation/install.md",
                         "sudo apt install --no-install-recommends linux-headers-6.12", headers=kernels.headers)
    assert f"Building KVM with exit accounting for {flavour}" in said
    assert has_modules(root, flavour) and has_modules(root, new)
    for name in MODULES:
        assert root.run(f"modinfo -k {flavour} -F signer {name}") == "DKMS module signing key\n"
    boot(root, flavour, ours=True)

    # A kernel goes, and takes what DKMS put there along.
    root.run(f"apt-get -q purge linux-image-{flavour} linux-headers-{flavour}")
    assert not (root.path / "lib/modules" / flavour / UPDATES).exists()

    # Those that were built before there was a key.
    runs(root, new)
    assert root.run(f"modinfo -k {new} -F signer kvm") == ""
    root.run("dkms remove exitstat-kvm/0.1 --all; dpkg-reconfigure exitstat-kvm-dkms")
    assert root.run(f"modinfo -k {new} -F signer kvm") == "DKMS module signing key\n"
    root.run(f"dkms uninstall exitstat-kvm/0.1 -k {new}")
    assert not has_modules(root, new)
    as_documented(root, "Documentation/install.md", "sudo dkms install")
    assert has_modules(root, new) and has_modules(root, old)

    as_documented(root, "Documentation/install.md", "sudo apt remove")
    assert not has_modules(root, new) and not has_modules(root, old)
    assert not list(root.path.glob("lib/modules/*/updates"))
    assert not list(root.path.glob("var/lib/dkms/exitstat*"))
    assert not list(root.path.glob("var/cache/exitstat*"))
    boot(root, new, ours=False)
    root.run("dpkg -P exitstat-kvm-dkms")
    assert not list(root.path.glob("usr/src/exitstat*"))


def test_what_is_not_built_is_said(root, kernels, debs, next_debs, tmp_path):
    old, new, custom, source = kernels.old, kernels.new, kernels.custom, kernels.source
    # No kernel that is supported: one sentence, and apt goes on.
    root.run(f"mv /lib/modules/{old} /lib/modules/{custom}")
    said = root.install(debs["exitstat-kvm-dkms"])
    assert (f"exitstat-kvm: none of the kernels here ({custom}) is supported, and their stock modules stay: "
            "install Debian 12's or 13's kernel 6.12 or 6.1 or 7.3, not for realtime, with its headers\n") in said
    # One without headers.
    root.run(f"mv /lib/modules/{custom} /lib/modules/{old}; mv /lib/modules/{old}/build /tmp")
    said = root.run("dpkg-reconfigure exitstat-kvm-dkms")
    assert said == (f"exitstat-kvm: kernel {old} has no headers here, and its stock modules stay: "
                    f"run apt install linux-headers-{old}\n")
    assert not has_modules(root, old)
    root.run(f"mv /tmp/build /lib/modules/{old}; dpkg -P exitstat-kvm-dkms")

    # The patches of another kernel.
    apt_install(root, f"linux-image-{new}", f"linux-headers-{new}", source)
    said = root.install(altered(debs["exitstat-kvm-dkms"], tmp_path, fits_nowhere))
    sentence = DOES_NOT_FIT.format(release=new, version=kernels.versions[new])
    assert said.count(sentence) == 1, said
    log = root.run(f"cat {LOG}")
    # The log has the hunk, and where it should go.
    assert "FAILED" in log and "is not here" in log and "--- arch/x86/kvm/svm/svm.c" in log, log
    assert not has_modules(root, new)
    assert root.run("dpkg-query -W -f '${Status}' exitstat-kvm-dkms") == "install ok installed"

    # A source of another version than the kernel's.
    wanted, here = kernels.versions[old], kernels.versions[new]
    assert f"exitstat-kvm: kernel {old} needs {source} {wanted}, here is {here}: run apt install " \
        f"{source}={wanted}; its stock modules stay ({LOG})" in said

    # A kernel that somebody built, with and without our package: nothing is said or done.
    root.run(f"mkdir /lib/modules/{custom} && ln -s /usr/src/linux-headers-{new} /lib/modules/{custom}/build")
    said = root.run(f"/etc/kernel/postinst.d/dkms {custom} && dpkg-trigger --by-package=dkms /usr/src && "
                    "dpkg --triggers-only -a")
    assert custom not in said.replace(f"for kernel {custom}", "").replace(f"for kernel: {custom}", ""), said
    assert not (root.path / "lib/modules" / custom / "updates").exists()

    # The next version of the package makes all well.
    said = root.install(next_debs["exitstat-kvm-dkms"])
    assert custom not in said
    assert has_modules(root, new)
    assert root.run(f"modinfo -k {new} -F version kvm") == "0.1+1\n"


def test_a_newer_series_may_touch_more(root, kernels, debs, next_debs, tmp_path):
    """What is kept of a source was what an older package needed."""
    def touches_more(source):
        file = "include/linux/kvm_types.h"
        old = root.run(f"tar -xJOf /usr/src/{kernels.source}.tar.xz {kernels.source}/{file}").splitlines(keepends=True)
        new = [*old, "/* touched */\n"]
        with open(source / "kernel/touched", "a", encoding="ascii") as touched:
            touched.write(f"{file}\n")
        for patch in source.glob(f"series/{SERIES}/**/*Add-the-core*"):
            patch.write_text(patch.read_text() + "".join(difflib.unified_diff(old, new, f"a/{file}", f"b/{file}")))

    def kept():
        return sorted(str(path.relative_to(root.path / "var/cache/exitstat-kvm"))
                      for path in (root.path / "var/cache/exitstat-kvm").glob("*/*"))

    version = kernels.versions[kernels.old]
    root.install(debs["exitstat-kvm-dkms"])
    before, = kept()
    assert has_modules(root, kernels.old) and before.startswith(f"{version}/")
    root.install(altered(next_debs["exitstat-kvm-dkms"], tmp_path, touches_more))
    assert has_modules(root, kernels.old)
    assert root.run(f"modinfo -k {kernels.old} -F version kvm") == "0.1+1\n"
    after, = kept()
    assert after != before and after.startswith(f"{version}/")
    assert (root.path / "var/cache/exitstat-kvm" / after / "include/linux/kvm_types.h").exists()
    # With its kernel it goes.
    root.run(f"rm -r /lib/modules/{kernels.old}/build; dpkg-trigger --by-package=dkms /usr/src; "
             "dpkg --triggers-only -a")
    assert kept() == []


def test_a_kernel_of_backports():
    """Debian 13's, whose symbols have no versions."""
    kernels = Kernels("trixie-backports", "7.3")
    built = debian.build_on("trixie", debian.PACKAGES / "trixie/now")
    with host(built, kernels, kernels.new, "backports") as made:
        runs(made, kernels.new)
        said = made.install(built["exitstat"], built["exitstat-kvm-dkms"])
        assert f"Building KVM with exit accounting for {kernels.new}" in said
        assert has_modules(made, kernels.new), made.run(f"cat {LOG}", check=False)[0]
        boot(made, kernels.new, ours=True)
