"""Which kernels Debian has and where they come from, and which patches are for which of them.

The archive here is a small one below a temporary directory, and so is the machine's apt.
"""
import hashlib
import os
import re
import shutil
import subprocess

import pytest

from lab import images

KERNEL = images.TOP / "kernel"
# Suite, label, and {kernel's release: version of its package}.
ARCHIVE = (
    ("bookworm", "Debian", {"6.1.0-55-cloud-amd64": "6.1.192-1"}),
    ("bookworm-updates", "Debian", {}),
    ("bookworm-security", "Debian-Security", {
        "6.1.0-56-cloud-amd64": "6.1.192-2", "6.12.115+deb12-cloud-amd64": "6.12.115-2~deb12u1",
        "6.12.117+deb12-cloud-amd64": "6.12.117-1~deb12u1"}),
    ("trixie", "Debian", {"6.12.117+deb13-cloud-amd64": "6.12.117-1"}),
    ("trixie-updates", "Debian", {}),
    ("trixie-security", "Debian-Security", {
        "6.12.115+deb13.1-cloud-amd64": "6.12.115-2", "6.12.118+deb13-cloud-amd64": "6.12.118-1"}),
    ("trixie-backports", "Debian", {"7.3.4+deb13-cloud-amd64": "7.3.4-1~bpo13+1"}),
)


def stanza(package, version, depends="", deb=b""):
    return (f"Package: {package}\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody\n"
            f"Filename: pool/{package}_{version}.deb\nSize: {len(deb)}\nSHA256: {hashlib.sha256(deb).hexdigest()}\n"
            + (f"Depends: {depends}\n" if depends else "") + "\n")


def compiler(release):
    if "deb13" not in release:
        return "linux-compiler-gcc-12-x86" if release.startswith("6.1.") else "gcc-12"
    return "gcc-14" if release.startswith("6.12.") else "gcc-14-for-host"


def source_package(path):
    """A linux-source-6.12 with as much of Linux as the series' scripts look for."""
    source = path / "linux-source-6.12"
    for name in (KERNEL / "touched").read_text().split():
        file = source / name if name.endswith(".h") else source / name / "main.c"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"line {n}\n" for n in range(1, 20)))
    tree = path / "deb"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/src").mkdir(parents=True)
    images.run("tar", "-cJf", tree / "usr/src/linux-source-6.12.tar.xz", "-C", path, "linux-source-6.12")
    (tree / "DEBIAN/control").write_text("Package: linux-source-6.12\nVersion: 6.12.118-1\nArchitecture: all\n"
                                         "Maintainer: nobody <nobody@localhost>\nDescription: source\n")
    images.run("dpkg-deb", "--root-owner-group", "-b", tree, path / "source.deb")
    return (path / "source.deb").read_bytes()


def packages(suite, kernels, debs):
    text = stanza("gcc-12", "1", "gcc-14") if suite.startswith("bookworm") else stanza("gcc-14", "1")
    for release, version in kernels.items():
        line = images.version(release)
        has_own_name = suite.startswith("bookworm") and line != "6.1"
        text += stanza(f"linux-image-{line}-cloud-amd64" if has_own_name else "linux-image-cloud-amd64", version,
                       f"linux-image-{release} (= {version})")
        text += stanza(f"linux-headers-{release}", version, f"linux-base, {compiler(release)}")
        text += stanza(f"linux-source-{line}", version, deb=debs.get(version, b""))
        if compiler(release) not in ("gcc-12", "gcc-14"):
            text += stanza(compiler(release), version)
    return text


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """A mirror of Debian, and one of its security archive."""
    path = tmp_path_factory.mktemp("mirror")
    debs = {"6.12.118-1": source_package(tmp_path_factory.mktemp("source"))}
    (path / "security/pool").mkdir(parents=True)
    for version, deb in debs.items():
        (path / f"security/pool/linux-source-6.12_{version}.deb").write_bytes(deb)
    for suite, label, kernels in ARCHIVE:
        dist = path / ("security" if "security" in suite else "debian") / "dists" / suite
        (dist / "main/binary-amd64").mkdir(parents=True)
        text = packages(suite, kernels, debs).encode()
        (dist / "main/binary-amd64/Packages").write_bytes(text)
        backports = "NotAutomatic: yes\nButAutomaticUpgrades: yes\n" if "backports" in suite else ""
        (dist / "Release").write_text(
            f"Origin: Debian\nLabel: {label}\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64\n"
            f"Components: main\nDate: Thu, 26 Nov 2026 00:00:00 UTC\n{backports}SHA256:\n"
            f" {hashlib.sha256(text).hexdigest()} {len(text)} main/binary-amd64/Packages\n")
    return path


class Desk:
    """A machine with an apt of its own, and this project's scripts."""

    def __init__(self, path, entries):
        self.path = path
        shutil.copytree(KERNEL, path / "kernel")
        (path / "lists/partial").mkdir(parents=True)
        (path / "status").touch()
        (path / "sources.list").write_text("".join(f"{entry}\n" for entry in entries))
        # Nobody signed this archive.
        (path / "apt.conf").write_text(
            f'Dir::State "{path}";\nDir::State::status "{path}/status";\nDir::State::lists "{path}/lists";\n'
            f'Dir::Cache "{path}";\nDir::Etc::sourcelist "{path}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
            'Dir::Etc::parts "/dev/null";\nAPT::Sandbox::User "root";\nAPT::Architecture "amd64";\n'
            'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n'
            'Acquire::Languages "none";\n')
        self.env = os.environ | {"APT_CONFIG": str(path / "apt.conf")}
        subprocess.run(["apt-get", "-q", "update"], env=self.env, check=True, capture_output=True)

    def run(self, script, *args):
        done = subprocess.run([self.path / "kernel" / script, *args], env=self.env, capture_output=True, text=True)
        return done.stdout.strip(), done.stderr.strip(), done.returncode

    def says(self, script, *args):
        out, err, status = self.run(script, *args)
        assert status == 0, err
        return out


@pytest.fixture
def machine(mirror, tmp_path):
    """One with this release of Debian, and whatever is given as the mirror's options."""
    def make(release, options=""):
        return Desk(tmp_path / release, [
            f"deb {options} file:{mirror}/debian {release} main",
            f"deb {options} file:{mirror}/security {release}-security main"])
    return make


def test_the_default_is_the_machines_own_kernel(machine):
    bookworm, trixie = machine("bookworm"), machine("trixie")
    assert bookworm.says("default-release", "6.12") == "6.12.117+deb12-cloud-amd64"
    assert trixie.says("default-release", "6.12") == "6.12.118+deb13-cloud-amd64"
    assert not (bookworm.path / "build").exists() and not (trixie.path / "build").exists()


def test_another_releases_kernel_comes_from_the_machines_mirror(machine, mirror):
    bookworm, trixie = machine("bookworm"), machine("trixie")
    assert bookworm.says("default-release", "6.12+deb13") == "6.12.118+deb13-cloud-amd64"
    assert trixie.says("default-release", "6.12+deb12") == "6.12.117+deb12-cloud-amd64"
    assert trixie.says("default-release", "6.1") == "6.1.0-56-cloud-amd64"
    assert bookworm.says("default-release", "7.3") == trixie.says("default-release", "7.3") == "7.3.4"
    for desk, suite in (bookworm, "trixie"), (trixie, "bookworm"):
        sources = (desk.path / f"build/apt-{suite}/sources.list").read_text()
        assert [line.split()[2:] for line in sources.splitlines()] == [
            [f"file:{mirror}/debian/", suite, "main"], [f"file:{mirror}/debian/", f"{suite}-updates", "main"],
            [f"file:{mirror}/security/", f"{suite}-security", "main"]]
    # What this machine knows is not changed.
    said = subprocess.run(["apt-cache", "madison", "linux-source-6.12"], env=bookworm.env, check=True,
                          capture_output=True, text=True).stdout
    assert "~deb12u1" in said and "6.12.118" not in said


def test_the_machines_keys_are_respected(machine, tmp_path):
    key = tmp_path / "company.gpg"
    sources = machine("bookworm", f"[arch=amd64 signed-by={key}]").says("sources", "trixie").splitlines()
    assert len(sources) == 3
    for line in sources:
        named = re.match(r"deb \[signed-by=(\S+)\] ", line)[1].split(",")
        assert set(named) == {str(key), "/usr/share/keyrings/debian-archive-keyring.gpg"}


def test_keys_of_a_deb822_source(machine, mirror, tmp_path):
    desk = machine("bookworm")
    parts = desk.path / "sources.list.d"
    parts.mkdir()
    (desk.path / "sources.list").write_text("")
    (parts / "debian.sources").write_text(
        f"Types: deb\nURIs: file:{mirror}/security\nSuites: bookworm-security\nComponents: main\n\n"
        f"Types: deb\nURIs: file:{mirror}/debian\nSuites: bookworm\nComponents: main\nSigned-By: {tmp_path}/a.gpg\n")
    (desk.path / "apt.conf").write_text((desk.path / "apt.conf").read_text().replace(
        'sourceparts "/dev/null"', f'sourceparts "{parts}"'))
    subprocess.run(["apt-get", "-q", "update"], env=desk.env, check=True, capture_output=True)
    main, updates, security = desk.says("sources", "trixie").splitlines()
    assert f"{tmp_path}/a.gpg" in main and f"{tmp_path}/a.gpg" in updates
    assert "a.gpg" not in security and f"{mirror}/security/ trixie-security" in security


def test_no_mirror_is_known(tmp_path):
    desk = Desk(tmp_path / "none", [])
    out, err, status = desk.run("apt", "6.12.118+deb13-cloud-amd64", "apt-cache", "policy")
    assert (out, status) == ("", 1)
    assert err == ("sources: apt knows no mirror of Debian: name one in /etc/apt/sources.list and run "
                   "apt-get update")


def test_a_mirror_without_the_release(machine, mirror, tmp_path):
    part = tmp_path / "part"
    shutil.copytree(mirror / "debian/dists/bookworm", part / "debian/dists/bookworm")
    out, err, status = Desk(tmp_path / "desk", [f"deb file:{part}/debian bookworm main"]).run(
        "default-release", "6.12+deb13")
    assert (out, status) == ("", 1)
    assert err.splitlines()[-1] == ("apt: cannot read what Debian's trixie has; check the network and try again")


def test_kernels_without_a_series(machine):
    out, err, status = machine("bookworm").run("default-release", "6.5")
    assert (out, status) == ("", 2)
    assert err == "apt: there is no series for Linux 6.5; there is one for 6.1 6.12 7.3"


def test_without_apt(tmp_path):
    (tmp_path / "bin").mkdir()
    for name in "sh dirname realpath expr basename".split():
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    done = subprocess.run([KERNEL / "apt", "6.12", "true"], env={"PATH": str(tmp_path / "bin")},
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1, "apt: Debian's kernels come by apt, which is not here: run this on Debian, or in a container of it\n")


def test_revisions_of_both_releases(machine):
    expected = ["6.12.118-1 6.12.118+deb13-cloud-amd64", "6.12.117-1 6.12.117+deb13-cloud-amd64",
                "6.12.117-1~deb12u1 6.12.117+deb12-cloud-amd64", "6.12.115-2 6.12.115+deb13.1-cloud-amd64",
                "6.12.115-2~deb12u1 6.12.115+deb12-cloud-amd64"]
    for release in "bookworm", "trixie":
        assert machine(release).says("revisions", "6.12").splitlines() == expected


def test_the_compiler_is_the_headers(machine):
    bookworm, trixie = machine("bookworm"), machine("trixie")
    assert bookworm.says("compiler", "6.12.117+deb12-cloud-amd64") == "gcc-12"
    assert bookworm.says("compiler", "6.1.0-56-cloud-amd64") == "gcc-12"
    assert trixie.says("compiler", "6.12.118+deb13-cloud-amd64", "7.3.4+deb13-cloud-amd64") == "gcc-14"
    # Which only a package names here; and a kernel that is built of its source has no headers.
    assert bookworm.says("compiler", "6.12.118+deb13-cloud-amd64", "7.3.4") == ""


def test_no_mirrors_address_is_in_the_tree():
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=images.TOP, check=True, capture_output=True,
                             text=True).stdout.split("\0")
    address = re.compile(rb"\b(deb|ftp\d*|ftp\.\w+|cdn-\w+|security|archive|snapshot)\.debian\.(org|net)\b")
    assert [name for name in filter(None, tracked)
            if (images.TOP / name).is_file() and address.search((images.TOP / name).read_bytes())] == []


@pytest.fixture
def series(tmp_path):
    """Two patches, one of which has been another one twice."""
    path = tmp_path / "series"
    for name in ("0001-a.patch", "0002-b.patch", "before-6.12.116/0002-b.patch", "before-6.12.99/0001-a.patch",
                 "before-6.12.99/0002-b.patch"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).touch()
    return path


@pytest.mark.parametrize("version, chosen", [
    ("6.12.118-1", "0001-a 0002-b"),
    ("6.12.116-1", "0001-a 0002-b"),
    ("6.12.115-2", "0001-a before-6.12.116/0002-b"),
    ("6.12.115-2~deb12u1", "0001-a before-6.12.116/0002-b"),
    ("6.12.99-1", "0001-a before-6.12.116/0002-b"),
    ("6.12.98-1~deb12u1", "before-6.12.99/0001-a before-6.12.99/0002-b"),
    ("6.12.9-1", "before-6.12.99/0001-a before-6.12.99/0002-b"),
])
@pytest.mark.parametrize("kind", ["Debian's", "git"])
def test_patches_are_chosen_by_the_sources_version(series, tmp_path, version, chosen, kind):
    if kind == "git":
        numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version).groups()
        (tmp_path / "Makefile").write_text("# SPDX\nVERSION = {}\nPATCHLEVEL = {}\nSUBLEVEL = {}\nEXTRAVERSION =\n"
                                           .format(*numbers))
    else:
        (tmp_path / ".complete").write_text(f"{version}\n")
    said = subprocess.run([KERNEL / "patches", series, tmp_path], check=True, capture_output=True, text=True).stdout
    assert said.split() == [f"{series}/{name}.patch" for name in chosen.split()]


def test_a_revision_that_does_not_fit(machine, tmp_path):
    """Patch, file and hunk are shown, and the next patch is not what is complained of."""
    series = tmp_path / "series"
    series.mkdir()
    for number, text in ("0001", "line 3"), ("0002", "line 4 of another version"), ("0003", "line 5"):
        (series / f"{number}-change.patch").write_text(
            "--- a/virt/kvm/main.c\n+++ b/virt/kvm/main.c\n"
            f"@@ -{number[3]},5 +{number[3]},5 @@ int main(void)\n line {int(number[3])}\n"
            f" line {int(number[3]) + 1}\n-{text}\n+changed\n line {int(number[3]) + 3}\n line {int(number[3]) + 4}\n")
    out, err, status = machine("bookworm").run("check-revisions", "6.12", series, tmp_path / "out", "6.12.118-1")
    assert status == 1
    assert "--- virt/kvm/main.c\n" in out and "-line 4 of another version\n+changed\n" in out
    assert err == (f"build-modules: {series}/0002-change.patch does not apply to the source of "
                   "6.12.118+deb13-cloud-amd64, 6.12.118-1: the hunks above fail")
    assert out.splitlines()[-1] == "6.12.118-1: DOES NOT FIT, see above"
    # What is kept is what the series touches.
    kept = {path.name for path in (tmp_path / "out/source-6.12.118-1").iterdir()}
    assert kept == {"arch", "Documentation", "include", "virt", ".complete"}


def test_a_revision_that_debian_does_not_serve(machine, tmp_path):
    out, err, status = machine("trixie").run("check-revisions", "6.12", tmp_path, tmp_path / "out", "6.12.119-1")
    assert (out, status) == ("", 1)
    assert err == ("check-revisions: Debian serves no revision 6.12.119-1 of Linux 6.12 now; it has: "
                   "6.12.118-1 6.12.117-1 6.12.117-1~deb12u1 6.12.115-2 6.12.115-2~deb12u1")


SYMVERS = ("0x1\tkvm_read\tarch/x86/kvm/kvm\tEXPORT_SYMBOL_GPL\t\n"
           "0x2\tkvm_own\tarch/x86/kvm/kvm\tEXPORT_SYMBOL_GPL\tmodule:kvm-amd,kvm-intel\n"
           "0x3\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n")
# Stock vendor modules must not find that.
INIT = "0x6\tkvm_init\tarch/x86/kvm/kvm\tEXPORT_SYMBOL_GPL\t\n"


@pytest.mark.parametrize("old, new, complaint", [
    ("", "", ""),
    ("0x3\tprintk", "0x4\tprintk", ""),
    ("kvm-amd,kvm-intel", "kvm-amd,kvm-exit-stats-test,kvm-intel", ""),
    ("0x1", "0x9", "the export of kvm_read has another version\n"),
    ("kvm_read", "kvm_reads", "the export of kvm_read is gone\n"),
    ("EXPORT_SYMBOL_GPL\tmodule", "EXPORT_SYMBOL\tmodule", "the export of kvm_own is now EXPORT_SYMBOL\n"),
    ("EXPORT_SYMBOL_GPL\t\n", "EXPORT_SYMBOL_GPL\tmodule:kvm-amd\n",
     "the export of kvm_read is not any more for all modules\n"),
    ("kvm-amd,kvm-intel", "kvm-amd,kvm-intel-more",
     "the export of kvm_own is not any more for module:kvm-amd,kvm-intel\n"),
    ("0x3", f"{INIT}0x3", "the export of kvm_init is there for stock vendor modules\n"),
    ("module:kvm-amd,kvm-intel", "KVM", "the export of kvm_own is not any more for module:kvm-amd,kvm-intel\n"),
])
def test_exports_stay(tmp_path, old, new, complaint):
    (tmp_path / "stock").write_text(SYMVERS + INIT)
    (tmp_path / "ours").write_text(SYMVERS.replace(old, new) + "0x5\tkvm_new\tarch/x86/kvm/kvm\tEXPORT_SYMBOL_GPL\t\n")
    done = subprocess.run([KERNEL / "check-exports", tmp_path / "ours", tmp_path / "stock"],
                          capture_output=True, text=True)
    assert (done.stdout, done.returncode) == (complaint, 1 if complaint else 0)


def test_a_kernel_that_exports_nothing_of_kvm(tmp_path):
    (tmp_path / "stock").write_text("0x3\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n")
    done = subprocess.run([KERNEL / "check-exports", tmp_path / "stock", tmp_path / "stock"], capture_output=True)
    assert done.returncode == 1
