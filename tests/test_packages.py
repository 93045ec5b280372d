"""Debian packages: what is in them, and what lintian says.

tests/packages/ installs them; make check-packages runs that.
"""
import re
import subprocess

import docs
import pytest
from lab import images
from packages import debian

NAMES = {"exitstat", "exitstat-guest", "exitstat-kvm-dkms"}


pytestmark = pytest.mark.together(seconds=60)


@pytest.fixture(scope="module")
def debs():
    """Those of `make deb`, which leaves the work tree as it is."""
    status = ["git", "status", "--porcelain", "--ignored"]
    before = subprocess.run(status, cwd=images.TOP, check=True, capture_output=True).stdout
    subprocess.run(["make", "-s", "deb"], cwd=images.TOP, check=True, env=docs.environment())
    assert subprocess.run(status, cwd=images.TOP, check=True, capture_output=True).stdout == before
    return debian.packages_in(images.BUILD / "deb")


def field(deb, name):
    return images.run("dpkg-deb", "-f", deb, name).strip()


def contents(deb):
    """{path: mode}, without directories."""
    lines = (line.split() for line in images.run("dpkg-deb", "-c", deb).splitlines())
    return {line[5][1:]: line[0] for line in lines if not line[5].endswith("/")}


def test_build_dependencies_are_those_of_packages_txt():
    control = (images.TOP / "debian/control").read_text()
    wanted = re.search(r"^Build-Depends:(.*?)^\S", control, re.M | re.S)[1]
    names = {re.match(r"[\w.+-]+", word.strip())[0] for word in wanted.split(",") if word.strip()}
    names = {{"debhelper-compat": "debhelper", "dh-sequence-dkms": "dh-dkms"}.get(n, n) for n in names}
    # Which no package has to name.
    assert set(images.packages("deb")) == names | {"build-essential"}


def test_there_are_three(debs):
    assert debs.keys() == NAMES
    assert {field(deb, "Version") for deb in debs.values()} == {"0.1"}
    version = subprocess.run([images.BUILD / "exitstat", "--version"], check=True,
                             capture_output=True, text=True).stdout
    assert version == "exitstat 0.1\n"


def test_lintian_finds_nothing(debs):
    changes = next(debs["exitstat"].parent.glob("*.changes"))
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "warning,error", changes],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_overrides_say_why():
    for file in (images.TOP / "debian").glob("*lintian-overrides"):
        lines = file.read_text().splitlines()
        for i, line in enumerate(lines):
            assert line.startswith("#") or lines[i - 1].startswith("# "), line


def test_the_tool_is_what_make_installs(debs, tmp_path):
    """Packaging repeats nothing that the Makefile knows."""
    packed = {path.removesuffix(".gz") for path in contents(debs["exitstat"])
              if not path.startswith("/usr/share/doc/")}
    units, = {path.rpartition("/")[0] for path in packed if path.endswith((".service", ".timer"))}
    assert units.removeprefix("/usr") == "/lib/systemd/system"
    subprocess.run(["make", "-s", "-C", images.TOP / "tools/exitstat", f"O={images.BUILD}", "install",
                    f"DESTDIR={tmp_path}", "PREFIX=/usr", f"UNIT_DIR={units}", "INSTALLED="], check=True)
    installed = {f"/{path.relative_to(tmp_path)}" for path in tmp_path.rglob("*") if path.is_file()}
    assert packed == installed
    assert field(debs["exitstat"], "Built-Using").startswith("node-chart.js (= ")


def test_the_guests_program_needs_nothing(debs, tmp_path):
    assert field(debs["exitstat-guest"], "Depends") == ""
    files = contents(debs["exitstat-guest"])
    assert not files.keys() & contents(debs["exitstat"]).keys()
    images.run("dpkg-deb", "-x", debs["exitstat-guest"], tmp_path)
    program = tmp_path / "usr/bin/exitstat-guest"
    assert "INTERP" not in images.run("readelf", "-lW", program)
    for args in ["--help"], ["--csv", "--json"], ["reasons"]:
        own, whole = (subprocess.run([*command, *args], capture_output=True, text=True) for command in (
            [program], [images.BUILD / "exitstat-static", "guest"]))
        assert (own.returncode, own.stdout, own.stderr) == (whole.returncode, whole.stdout, whole.stderr)


def test_the_series_of_each_kernel_is_packed(debs):
    kernels = {path.name for path in (images.TOP / "kernel").glob("[0-9]*")}
    files = contents(debs["exitstat-kvm-dkms"])
    series = "/usr/src/exitstat-kvm-0.1/series/"
    packed = {path.removeprefix(series) for path in files if path.startswith(series)}
    assert packed == {str(patch.relative_to(images.TOP / "kernel")) for kernel in kernels
                      for patch in (images.TOP / "kernel" / kernel).rglob("*.patch")}
    depends = field(debs["exitstat-kvm-dkms"], "Depends")
    sources = re.findall(r"linux-source-[\d.]+", depends)
    assert set(sources) == {f"linux-source-{kernel}" for kernel in kernels}
    # The one that apt takes if none was chosen: it is in both of Debian's releases.
    assert sources[0] == "linux-source-6.12"


@pytest.mark.parametrize("release, is_ours", [
    ("6.12.117+deb12-cloud-amd64", True),
    ("6.12.117+deb12-amd64", True),
    ("6.1.0-56-amd64", True),
    ("6.1.0-56-cloud-amd64", True),
    ("6.12.118+deb13-amd64", True),
    ("6.12.118+deb13-cloud-amd64", True),
    ("6.12.115+deb13.1-amd64", True),
    ("7.3.4+deb13-amd64", True),
    ("7.3.4+deb13-cloud-amd64", True),
    ("6.12.117+deb12-rt-amd64", False),
    ("6.12.118+deb13-rt-amd64", False),
    ("6.12.118+deb13-arm64", False),
    ("6.12.118+deb14-amd64", False),
    ("6.12.117+deb11-amd64", False),
    ("6.12.117-custom", False),
    ("6.12.117", False),
    ("6.1.192-1-pve", False),
    ("6.13.2+deb12-amd64", False),
    ("7.2.12+deb13-amd64", False),
    ("16.12.117+deb12-amd64", False),
])
def test_other_kernels_are_left_alone(debs, tmp_path, release, is_ours):
    """What DKMS does with dkms.conf."""
    images.run("dpkg-deb", "-x", debs["exitstat-kvm-dkms"], tmp_path)
    conf = next(tmp_path.glob("usr/src/*/dkms.conf"))
    done = subprocess.run(["bash", "-c", '. "$1"; [[ $2 =~ $BUILD_EXCLUSIVE_KERNEL ]]', "-", conf, release])
    assert done.returncode == (0 if is_ours else 1)
