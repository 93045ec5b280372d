"""Setting up: what packages.sh installs, waits for and says, and make install and uninstall.

apt and dpkg are this machine's, but their directories, locks, sources and settings are a test's
own, and so is what they install to.
"""
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import docs
import tool
from lab import images

SCRIPT = tool.TOP / "packages.sh"
LIST = tool.TOP / "packages.txt"
# All that packages.sh itself runs.
FEW = "sh awk cat cut dirname grep id mkdir paste realpath sed sort tr".split()
EMULATORS_AND_MORE = {"bochs", "chromium", "clang-format", "lintian", "qemu-system-x86", "tmux", "valgrind"}


def needs():
    """{target: sections}, as make knows it."""
    database = subprocess.run(["make", "-s", "-p", "-n", "-f", tool.TOP / "Makefile", "help"], cwd=tool.TOP,
                              env=docs.environment(), check=True, capture_output=True, text=True).stdout
    return {target: sections.split() for target, sections in re.findall(r"^NEEDS-(\w+) := (.*)$", database, re.M)}


def test_each_section_is_a_targets():
    lines = [line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    known = {words[0] for words in lines}
    used = {name for sections in needs().values() for name in sections}
    # kernel/compiler says which of these; and what make does not install here.
    assert used | {"compiler", "guest", "image", "verify", "promtool", "kernel"} == known
    assert len({tuple(words[:2]) for words in lines}) == len(lines)


@pytest.mark.parametrize("target", ["install", "tools", "series", "apply", "modules", "deb"])
def test_targets_take_no_more_than_their_own(target):
    """Nor does what their packages depend on, where nothing is installed yet."""
    packages = [package for name in needs()[target] for package in images.packages(name)]
    plan = images.apt("--print-uris", "install", *packages, archives="empty")
    names = {pathlib.PurePath(line.split()[1]).name.split("_")[0] for line in plan.splitlines()
             if line.startswith("'")}
    assert set(packages) <= names
    assert not names & EMULATORS_AND_MORE


def programs(directory, names):
    """A directory for PATH with programs of this machine's."""
    directory.mkdir()
    for name in names:
        (directory / name).symlink_to(shutil.which(name))
    return str(directory)


class Apt:
    """packages.sh with a packages.txt, and an apt that knows one package, hello-setup."""

    def __init__(self, path):
        self.path = path
        self.lists, self.archives = path / "lists", path / "archives"
        self.dpkg = path / "root/var/lib/dpkg"
        # What the package brings.
        self.file = path / "root/usr/share/hello-setup"
        for directory in self.lists, self.archives, path / "archive", path / "bin", path / "log", *(
                self.dpkg / name for name in ("info", "updates", "triggers")):
            directory.mkdir(parents=True)
        (self.dpkg / "status").touch()
        shutil.copy(SCRIPT, path)
        self.put_package()
        self.source(f"file:{path}/archive ./")
        (path / "apt.conf").write_text(f"""\
Dir::Etc::parts "-"; Dir::Etc::main "-"; Dir::Etc::sourceparts "-"; Dir::Etc::preferencesparts "-";
Dir::Etc::sourcelist "{path}/sources.list";
Dir::State "{path}"; Dir::State::lists "{self.lists}"; Dir::State::status "{self.dpkg}/status";
Dir::Cache "{path}"; Dir::Cache::archives "{self.archives}"; Dir::Log "{path}/log";
DPkg::Options {{ "--root={path}/root"; "--force-not-root"; "--log={path}/log/dpkg.log"; }};
APT::Sandbox::User "root"; Acquire::Retries "0";
""")
        # Whoever runs this: nothing here is root's.
        docs.put(path / "bin/sudo", 'exec "$@"')
        self.environment = docs.environment(APT_CONFIG=str(path / "apt.conf"),
                                            PATH=f"{path}/bin:{os.environ['PATH']}")

    def put_package(self):
        tree = self.path / "hello"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "usr/share").mkdir(parents=True)
        (tree / "usr/share/hello-setup").write_text("hello\n")
        control = ("Package: hello-setup\nVersion: 1\nArchitecture: all\n"
                   "Maintainer: nobody <nobody@localhost>\nDescription: for a test\n")
        (tree / "DEBIAN/control").write_text(control)
        deb = self.path / "archive/hello-setup.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, deb], check=True, capture_output=True)
        (self.path / "archive/Packages").write_text(
            f"{control}Filename: ./hello-setup.deb\nSize: {deb.stat().st_size}\n"
            f"SHA256: {hashlib.sha256(deb.read_bytes()).hexdigest()}\n")

    def source(self, *lines):
        (self.path / "sources.list").write_text("".join(f"deb [trusted=yes] {line}\n" for line in lines))

    def list(self, *lines):
        (self.path / "packages.txt").write_text("".join(f"{line}\n" for line in lines))

    def start(self, *sections):
        return subprocess.Popen([self.path / "packages.sh", *sections], env=self.environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *sections):
        process = self.start(*sections)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def refuses(self, *words):
        """One sentence, with these words."""
        status, _, err = self.run("demo")
        assert status == 1
        assert re.fullmatch(r"packages\.sh: [^\n]+\n", err)
        for word in words:
            assert word in err, err


@pytest.fixture
def apt(tmp_path):
    return Apt(tmp_path / "apt")


def test_what_is_missing_is_installed(apt):
    apt.list(f"demo hello-setup {apt.file}", "other no-such-package no-such-program")
    status, out, err = apt.run("demo")
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == "Installing Debian packages: hello-setup"
    assert apt.file.read_text() == "hello\n"


def test_what_is_there_is_left_alone(apt):
    """By whatever means it came: no package is installed, and there is no apt to be asked."""
    apt.source("http://127.0.0.1:9/ ./")
    apt.list("demo no-such-package sh /etc/passwd stdio.h libc.a json-c.pc pytest.py")
    assert apt.run("demo") == (0, "", "")
    assert apt.run() == (0, "", "")
    assert not (apt.path / "build").exists()


def test_the_first_package_that_apt_knows(apt):
    apt.list(f"demo no-such-package|hello-setup {apt.file}")
    status, out, _ = apt.run("demo")
    assert status == 0 and "packages: hello-setup\n" in out


def test_packages_are_only_printed(apt):
    """Those that are there, too."""
    apt.list("demo no-such-package|hello-setup no-such-program", "demo a sh", "demo b|no-such-package")
    apt.run("demo")
    assert apt.run("--print", "demo") == (0, "hello-setup\na\nno-such-package\n", "")


def test_one_package_of_a_section(apt):
    apt.list("demo no-such-package no-such-program", f"demo hello-setup {apt.file}")
    status, out, _ = apt.run("demo/hello-setup")
    assert status == 0 and "packages: hello-setup\n" in out


def test_unknown_section(apt):
    apt.list("other sh sh")
    apt.refuses("has no demo")


def test_a_package_that_only_counts_itself(apt):
    """Where no thing is named, Debian's package has to be there."""
    apt.list("demo dpkg")
    assert apt.run("demo") == (0, "", "")
    apt.list("demo no-such-package")
    apt.refuses("apt does not know no-such-package", "sources")


def test_without_a_network(apt):
    apt.source("http://127.0.0.1:9/ ./")
    apt.list(f"demo hello-setup {apt.file}")
    apt.refuses("http://127.0.0.1:9/", "check the network")
    # What apt knew before can no longer be fetched.
    apt.source(f"file:{apt.path}/archive ./")
    apt.run("demo")
    shutil.rmtree(apt.dpkg.parent.parent.parent)
    for name in ("info", "updates", "triggers"):
        (apt.dpkg / name).mkdir(parents=True)
    (apt.dpkg / "status").touch()
    (apt.path / "archive/hello-setup.deb").unlink()
    apt.refuses("hello-setup.deb", "check the network")


def test_of_two_sources_one_is_out_of_reach(apt):
    apt.source("http://127.0.0.1:9/ ./", f"file:{apt.path}/archive ./")
    apt.list(f"demo hello-setup {apt.file}")
    assert apt.run("demo")[0] == 0
    apt.list("demo no-such-package no-such-program")
    apt.refuses("apt does not know no-such-package", "http://127.0.0.1:9/", "check the network")


def test_what_apt_says_otherwise(apt):
    (apt.dpkg / "status").write_text("Package: broken\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
                                     "Depends: no-such-package\n")
    apt.list(f"demo hello-setup {apt.file}")
    apt.refuses("Unmet dependencies", f"{apt.path}/build/apt.log")


def test_a_package_without_what_it_should_bring(apt):
    apt.list("demo hello-setup no-such-program")
    apt.refuses("still lacks program no-such-program", "hello-setup")


def locks(apt):
    return {"lists": apt.lists / "lock", "archives": apt.archives / "lock", "dpkg": apt.dpkg / "lock-frontend"}


@pytest.mark.parametrize("name", ["lists", "archives", "dpkg"])
def test_a_lock_is_waited_for(apt, name):
    """It is named, and who holds it, once."""
    apt.list(f"demo hello-setup {apt.file}")
    path = locks(apt)[name]
    with open(path, "w", encoding="ascii") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        process = apt.start("demo")
        said = ""
        while "Waiting" not in said:
            said = process.stdout.readline()
            assert said, process.stderr.read()
        assert re.fullmatch(rf"Waiting for the lock {path}, held by process {os.getpid()} \(.+\) \.\.\.\n", said)
        # It tries again, and goes on waiting.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "Waiting" not in out and apt.file.exists()


def test_without_root_and_sudo(apt, tmp_path):
    few = programs(tmp_path / "few", sorted({*FEW, "apt-get", "apt-cache"} - {"id"}))
    docs.put(pathlib.Path(few, "id"), "echo 1000")
    apt.environment["PATH"] = few
    apt.list("demo no-such-package|hello-setup no-such-program")
    apt.refuses("lacks program no-such-program", "as root, run apt-get install --no-install-recommends hello-setup")


# Without apt


def test_what_is_missing_is_named(tmp_path):
    """With nothing at hand each target says what it lacks, by names that mean something anywhere."""
    path = programs(tmp_path / "few", FEW)
    for target, names in {
            "install": ["program gcc", "program pkg-config", "library json-c", "library ncursesw", "library smartcols",
                        "header <stdio.h>"],
            "tools": ["library libc.a", "library libjson-c.a", "program gcc"],
            "modules": ["program apt-get", "program dpkg", "program gcc", "library libelf.so.1", "program patch"],
            "check": ["program chromium", "program bochs", "Debian package busybox-static"],
    }.items():
        done = subprocess.run([SCRIPT, *needs()[target]], env={"PATH": path}, capture_output=True, text=True)
        assert done.returncode == 1 and not done.stdout
        assert re.fullmatch(r"packages\.sh: this machine lacks [^\n]+, as there is no apt-get here to do so\n",
                            done.stderr)
        for name in names:
            assert name in done.stderr, done.stderr


def test_chart_js_by_name(tmp_path):
    path = programs(tmp_path / "few", FEW)
    (tmp_path / "packages.txt").write_text("demo libjs-chart.js CHART_JS=/no/such/file.js\n")
    shutil.copy(SCRIPT, tmp_path)

    def run(**variables):
        return subprocess.run([tmp_path / "packages.sh", "demo"], env={"PATH": path, **variables},
                              capture_output=True, text=True)
    done = run()
    assert done.returncode == 1 and "lacks file /no/such/file.js (CHART_JS= can name another)" in done.stderr
    done = run(CHART_JS="/not/there/either.js")
    assert (done.returncode, done.stderr) == (1, "packages.sh: CHART_JS=/not/there/either.js is not there\n")
    assert run(CHART_JS="/etc/passwd").returncode == 0


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The source as somebody gets it, with nothing built."""
    path = tmp_path_factory.mktemp("source") / "exitstat"
    shutil.copytree(tool.TOP, path, symlinks=True,
                    ignore=shutil.ignore_patterns("build", ".git", "__pycache__", ".pytest_cache"))
    return path


def test_built_and_installed_without_apt(source, tmp_path):
    """On a Linux that has what it takes; Chart.js lies elsewhere."""
    names = {path.name for directory in os.environ["PATH"].split(":") if os.path.isdir(directory)
             for path in pathlib.Path(directory).iterdir()}
    path = programs(tmp_path / "bin", sorted(
        name for name in names if not name.startswith(("apt", "dpkg", "sudo")) and shutil.which(name)))
    chart = tmp_path / "chart.js"
    chart.write_text("/*! Chart.js v0.0, of this test */\n")
    # As seen from where make was called, which calls another elsewhere.
    relative = f"CHART_JS={os.path.relpath(chart, source)}", "DESTDIR=../staged"
    for target in "tools", "series", "install":
        done = subprocess.run(["make", "-s", f"-j{os.cpu_count()}", target, *relative], cwd=source, text=True,
                              env=docs.environment(PATH=path, CFLAGS="-O0"), capture_output=True)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
    installed = source.parent / "staged/usr/local/bin/exitstat"
    for program in installed, source / "build/exitstat-static":
        assert tool.run(program, "--version").stdout == "exitstat 0.1\n"
    assert b"Chart.js v0.0, of this test" in installed.read_bytes()
    assert list((source / "build/series/6.12").glob("*.patch"))


# make install and make uninstall


# All else cannot be written to: the directories that may be, the command.
READ_ONLY = 'for path in "$1" "$2"; do mount --bind "$path" "$path"; done; mount -o remount,bind,ro /; shift 2; exec "$@"'


def make(target, *variables, **kwargs):
    return subprocess.run(["make", "-s", target, *variables], cwd=tool.TOP, env=docs.environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **kwargs)


def files(root):
    """{path: its content, or none}"""
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


@pytest.fixture
def root(tmp_path):
    """Where others have installed, too."""
    root = tmp_path / "root"
    for name in "etc/default", "usr/local/bin", "usr/local/share/man/man8", "usr/lib/systemd/system":
        (root / name).mkdir(parents=True)
    (root / "etc/default/other").write_text("other\n")
    (root / "usr/local/share/man/man8/other.8").write_text("other\n")
    return root


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("variables, prefix, etc", [
    ((), "usr/local", "etc"),
    (("PREFIX=/usr",), "usr", "etc"),
    (("PREFIX=/opt/exitstat/",), "opt/exitstat", "opt/exitstat/etc"),
    (("PREFIX=/opt", "SYSCONFDIR=/etc/opt"), "opt", "etc/opt"),
])
def test_install_and_uninstall(root, variables, prefix, etc):
    """Uninstalling leaves what was there before."""
    before = files(root)
    for _ in range(2):
        done = make("install", *variables, f"DESTDIR={root}", umask=0o077)
        assert (done.returncode, done.stdout) == (0, "")
    new = files(root)
    assert {path: new[path] for path in before} == before
    ours = {path for path in new if path not in before and new[path] is not None}
    assert all(path.startswith((f"{prefix}/", f"{etc}/")) for path in ours)
    assert {f"{prefix}/bin/exitstat", f"{prefix}/share/man/man8/exitstat.8", f"{etc}/default/exitstat",
            f"{etc}/logrotate.d/exitstat"} <= ours
    for path in root.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() or path.name == "exitstat" and path.parent.name == "bin"
                                               else 0o644), path
    # They name the program and the settings that were installed.
    for name in "record", "textfile":
        unit = (root / prefix / f"lib/systemd/system/exitstat-{name}.service").read_text()
        assert f"\nExecStart=/{prefix}/bin/exitstat " in unit
        assert f"\nEnvironmentFile=-/{etc}/default/exitstat\n" in unit
    assert f"/{etc}/default/exitstat" in (root / prefix / "share/man/man8/exitstat.8").read_text()

    done = make("uninstall", *variables, f"DESTDIR={root}")
    assert (done.returncode, done.stdout) == (0, "")
    assert files(root) == before


@pytest.mark.usefixtures("programs")
def test_nothing_is_written_elsewhere(tmp_path):
    """Nor is root needed, where the directory is one's own."""
    namespace = ["unshare", "-m", *([] if not os.geteuid() else ["--map-root-user"])]
    if subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("this machine gives no namespaces, in which all else could not be written to")
    for target in "install", "uninstall":
        done = subprocess.run(
            [*namespace, "sh", "-ec", READ_ONLY, "sh", tool.BUILD, tmp_path, "make", "-s", target, f"PREFIX={tmp_path}/x"],
            cwd=tool.TOP, env=docs.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")
        assert (tmp_path / "x/bin/exitstat").exists() == (target == "install")
    assert not (tmp_path / "x").exists()


@pytest.mark.usefixtures("programs")
def test_settings_stay(root):
    make("install", f"DESTDIR={root}")
    settings = root / "etc/default/exitstat"
    settings.write_text("RECORD_OPTIONS=-d 60\n")
    for _ in range(2):
        done = make("install", f"DESTDIR={root}")
        assert (done.returncode, done.stdout) == (0, f"{settings} is there already, and stays as it is\n")
    done = make("uninstall", f"DESTDIR={root}")
    assert (done.returncode, done.stdout) == (0, f"{settings} was changed, and stays\n")
    assert settings.read_text() == "RECORD_OPTIONS=-d 60\n"
    assert not [path for path in files(root) if "exitstat" in path and path != "etc/default/exitstat"]


def test_nothing_to_uninstall(root):
    before = files(root)
    done = make("uninstall", f"DESTDIR={root}")
    assert done.returncode
    assert f"install-tree: there is no {root}/usr/local/share/exitstat/installed" in done.stdout
    assert files(root) == before


@pytest.fixture
def install(tmp_path):
    """install-tree, for trees of a few files."""
    (tmp_path / "dest/bin").mkdir(parents=True)

    def run(**contents):
        tree = tmp_path / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        for name, text in contents.items():
            path = tree / name.replace("_", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        args = [tmp_path / "dest", "/lib/own/list", "/etc", tree] if contents else [
            "--remove", tmp_path / "dest", "/lib/own/list"]
        done = subprocess.run([tool.SRC / "install-tree", *args], capture_output=True, text=True, check=True)
        return done.stderr
    run.dest = tmp_path / "dest"
    return run


def test_another_version(install):
    """What it no longer has goes, and so do settings that nobody has changed."""
    assert install(bin_a="1", bin_b="1", share_old_b="1", etc_x="1", etc_y="1", etc_z="1") == ""
    (install.dest / "etc/y").write_text("changed")
    (install.dest / "etc/z").write_text("changed")
    assert install(bin_a="2", etc_x="2", etc_y="2") == (
        f"{install.dest}/etc/y is there already, and stays as it is\n{install.dest}/etc/z was changed, and stays\n")
    now = files(install.dest)
    assert (now["bin/a"], now["etc/x"], now["etc/y"], now["etc/z"]) == (b"2", b"2", b"changed", b"changed")
    assert "bin/b" not in now and "share/old/b" not in now
    install()
    assert files(install.dest) == {"bin": None, "etc": None, "etc/y": b"changed", "etc/z": b"changed"}


def test_settings_of_others(install):
    """What was there before, though the same, is not taken away."""
    (install.dest / "etc").mkdir()
    (install.dest / "etc/x").write_text("1")
    assert install(bin_a="1", etc_x="1") == ""
    install()
    assert files(install.dest) == {"bin": None, "etc": None, "etc/x": b"1"}


def test_a_link_is_not_followed(install):
    (install.dest / "elsewhere").write_text("other")
    (install.dest / "bin/a").symlink_to("../elsewhere")
    install(bin_a="1")
    assert (install.dest / "elsewhere").read_text() == "other" and (install.dest / "bin/a").read_text() == "1"


def test_interrupted(install):
    """What was put before something went wrong is known, and goes with the rest."""
    (install.dest / "lib/x").mkdir(parents=True)
    before = files(install.dest)
    with pytest.raises(subprocess.CalledProcessError):
        install(bin_a="1", etc_x="1", lib_x="1", sbin_b="1")
    assert "bin/a" in files(install.dest)
    install()
    assert files(install.dest) == before
