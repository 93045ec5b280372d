"""Trees of Debian 12 and 13 to install packages in: made by mmdebstrap, entered by chroot.

Root is needed in a tree only, so that whoever may use user namespaces can do it.
"""
import contextlib
import fcntl
import os
import re
import shutil
import subprocess

from lab import images

# {suite: its kernels, as kernel/apt knows them}
RELEASES = {"bookworm": "6.12+deb12", "trixie": "6.12+deb13"}
BACKPORTS = {"trixie-backports": "7.3"}
PACKAGES = images.BUILD / "packages"
# A tree's files belong to many users: as those whom this user may be, or as root.
NAMESPACE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *(
    [] if os.geteuid() == 0 else ["--map-root-user", "--map-auto"])]
ENTER = """\
root=$1
shift
mount -t proc proc "$root/proc"
for device in null zero full random urandom; do
	[ -e "$root/dev/$device" ] || : >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
if [ -d "$ARCHIVE" ]; then
	mkdir -p "$root/archive"
	mount --bind "$ARCHIVE" "$root/archive"
fi
exec chroot "$root" "$@"
"""


def apt(suite):
    """What goes before a command of apt's that shall know this suite."""
    return images.TOP / "kernel/apt", (RELEASES | BACKPORTS)[suite]


def tree(name, packages, suite):
    """The path of a tar file of Debian with these packages; made when Debian's change."""
    PACKAGES.mkdir(parents=True, exist_ok=True)
    target = PACKAGES / f"{name}.tar"
    with open(PACKAGES / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        plan = images.apt("--print-uris", "install", *packages, archives="empty", prefix=apt(suite))
        stamp = "\n".join(sorted(line.split()[1] for line in plan.splitlines() if line.startswith("'")))
        if images.up_to_date(target, stamp):
            return target
        images.need_space(2 << 30)
        (PACKAGES / "sources.list").write_text(images.run(images.TOP / "kernel/sources", suite))
        tmp = PACKAGES / f"{name}.tmp.tar"
        with images.step(f"Installing Debian's {suite} with {', '.join(packages)}"), \
                open(PACKAGES / "sources.list", encoding="ascii") as mirrors:
            images.run("mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}",
                       "", tmp, "-", stdin=mirrors)
        images.put(target, stamp, tmp)
    return target


def archive(name, packages, suite):
    """A directory of packages for apt, downloaded once; each is a name, or name=version."""
    target = PACKAGES / name
    stamp = "\n".join(packages)
    if images.up_to_date(target, stamp):
        return target
    tmp = PACKAGES / f"{name}.tmp"
    for old in tmp, target:
        shutil.rmtree(old, ignore_errors=True)
    tmp.mkdir(parents=True)
    with images.step(f"Downloading {', '.join(packages)}"):
        images.run(*apt(suite), "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages, cwd=tmp)
    (tmp / "Packages").write_text(subprocess.run(
        ["dpkg-scanpackages", "-m", "."], cwd=tmp, check=True, capture_output=True, text=True).stdout)
    images.put(target, stamp, tmp)
    return target


class Root:
    """A tree that is written to, unpacked from a tar file."""

    def __init__(self, tar, path, archive_dir=None):
        self.path = path
        self.archive = archive_dir
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        self.outside("tar", "-xf", tar, "-C", path)

    def outside(self, *command):
        """A command that may do with the tree's files what root may."""
        images.run(*NAMESPACE, *command)

    def run(self, script, check=True):
        """Run a shell script in the tree; return what it said, and its status unless it must be 0."""
        env = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
               "ARCHIVE": str(self.archive or ""), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [*NAMESPACE, "sh", "-ec", ENTER, "sh", self.path, "sh", "-c", script], env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if check:
            assert done.returncode == 0, done.stdout
            return done.stdout
        return done.stdout, done.returncode

    def install(self, *debs):
        self.outside("cp", *debs, self.path / "root")
        return self.run(f"dpkg -i {' '.join(f'/root/{deb.name}' for deb in debs)}")

    def remove(self):
        self.outside("rm", "-rf", self.path)


@contextlib.contextmanager
def root(tar, name, archive_dir=None):
    made = Root(tar, PACKAGES / name, archive_dir)
    try:
        yield made
    finally:
        made.remove()


def depends(deb):
    """The names of the packages that a package depends on."""
    return [re.match(r"[\w.+-]+", word.strip())[0]
            for word in images.run("dpkg-deb", "-f", deb, "Depends").split(",")]


def build(target):
    """Build our packages on this machine."""
    images.run(images.TOP / "debian/build-packages", target)
    return packages_in(target)


def packages_in(directory):
    return {deb.name.split("_")[0]: deb for deb in directory.glob("*.deb")}


def build_on(suite, target, version=None):
    """Build them, or the next version, on a Debian of that suite, which has what they are built of alone."""
    top = target.with_name(f"{target.name}.tree")
    copy(top, version)
    tar = tree(f"build-{suite}", images.packages("deb"), suite)
    stamp = images.digest(top, tar.with_name(f"{tar.name}.inputs"))
    if not images.up_to_date(target, stamp):
        tmp = target.with_name(f"{target.name}.tmp")
        for old in tmp, target:
            shutil.rmtree(old, ignore_errors=True)
        tmp.mkdir()
        with root(tar, f"root-build-{suite}") as made:
            made.outside("cp", "-r", top, made.path / "root/exitstat")
            made.run("cd /root/exitstat && make -s deb")
            for deb in (made.path / "root/exitstat/build/deb").glob("*.deb"):
                shutil.copy2(deb, tmp)
        images.put(target, stamp, tmp)
    shutil.rmtree(top)
    return packages_in(target)


def copy(top, version=None):
    """Copy this tree; with a version, our packages' next one has that."""
    shutil.rmtree(top, ignore_errors=True)
    shutil.copytree(images.TOP, top, symlinks=True, ignore=shutil.ignore_patterns(
        "build", ".git", "__pycache__", ".pytest_cache"))
    if version:
        changelog = top / "debian/changelog"
        old = changelog.read_text()
        entry = old.split("\n -- ")[0].splitlines()[0]
        new = entry.replace(f"({entry.split('(')[1].split(')')[0]})", f"({version})")
        signature = next(line for line in old.splitlines() if line.startswith(" -- "))
        changelog.write_text(f"{new}\n\n  * The next version.\n\n{signature}\n\n{old}")
