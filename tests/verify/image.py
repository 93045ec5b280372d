"""Builds build/verify/verify.img: the other tools, in a file system of their own.

packages.txt's section "verify" as it depends, the headers of the machine's kernel for BCC,
kvm_stat and all of KVM's selftests from the kernel's source.  Packages are only unpacked, as
for the machine's root image; the tools run with chroot.
"""
import fcntl
import pathlib
import re
import shutil

from lab import images

VERIFY = images.BUILD / "verify"
HERE = pathlib.Path(__file__).resolve().parent
IMAGE = VERIFY / "verify.img"
SELFTESTS = VERIFY / "selftests/bin"
KVM_STAT = "tools/kvm/kvm_stat/kvm_stat"
# Where the image is mounted, and what the tools need of the machine there.
MOUNT = "/verify"
BINDS = ("proc", "sys", "dev", "tmp")
JUNK = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info",
        "usr/share/perl", "usr/share/zoneinfo", "usr/lib/x86_64-linux-gnu/perl-base", "boot")


def version_of(package):
    return re.search(r"^Version: (.*)$", images.run("apt-cache", "show", "--no-all-versions",
                                                    package), re.M)[1]


def kvm_stat(krel):
    """The kernel's kvm_stat: no package of Debian 12 has it but linux-source."""
    target = VERIFY / "kvm_stat"
    version = version_of(f"linux-image-{krel}")
    if images.up_to_date(target, version):
        return target
    source = f"linux-source-{images.version(krel)}"
    with images.step(f"Downloading {source} {version} for kvm_stat (150 MB)"):
        images.need_space(400 << 20)
        tmp = VERIFY / "source.tmp"
        shutil.rmtree(tmp, ignore_errors=True)
        tmp.mkdir(parents=True)
        images.run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download",
                   f"{source}={version}", cwd=tmp)
        deb, = tmp.glob("*.deb")
        images.run("dpkg", "-x", deb, tmp / "deb")
        images.run("tar", "-xJf", tmp / f"deb/usr/src/{source}.tar.xz", "--strip-components=1",
                   "-C", tmp, f"{source}/{KVM_STAT}")
        images.put(target, version, tmp / KVM_STAT)
        shutil.rmtree(tmp)
    return target


def build(krel):
    VERIFY.mkdir(parents=True, exist_ok=True)
    images.LAB.mkdir(parents=True, exist_ok=True)
    # apt's directory is the lab's.
    with open(images.LAB / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build_locked(krel)


def build_locked(krel):
    kernel = images.version(krel)
    images.run(images.TOP / "tests/build-selftests", "--all", images.BUILD / f"linux-{images.source(krel)}",
               images.BUILD / f"series/{kernel}", SELFTESTS.parent)
    script = kvm_stat(krel)
    wanted = images.packages("verify")
    plan = images.apt("--print-uris", "install", *wanted, archives="empty")
    uris = [line.split() for line in plan.splitlines() if line.startswith("'")]
    headers = images.BUILD / f"modules/headers-{krel}"
    stamp = "\n".join([*sorted(u[1] for u in uris), krel, script.read_text(),
                       (SELFTESTS.parent / ".complete").read_text(),
                       images.digest(HERE / "image.py")])
    if images.up_to_date(IMAGE, stamp):
        return
    with images.step(f"Downloading {len(uris)} Debian packages for the other tools, "
                     f"{sum(int(u[2]) for u in uris) >> 20} MB"):
        images.need_space(2 << 30)
        images.apt("--download-only", "install", *wanted)
    with images.step("Building their image"), images.work_dir("verify") as tmp:
        tree = tmp / "tree"
        images.unpack_files((images.LAB / "apt/archives" / name for name in sorted(u[1] for u in uris)), tree)
        for junk in JUNK:
            shutil.rmtree(tree / junk, ignore_errors=True)
        # BCC compiles against them.
        shutil.copytree(headers / "usr", tree / "usr", symlinks=True, dirs_exist_ok=True)
        (tree / f"lib/modules/{krel}").mkdir(parents=True, exist_ok=True)
        for name, package in ("build", f"linux-headers-{krel}"), ("source", common(headers)):
            link = tree / f"lib/modules/{krel}/{name}"
            link.unlink(missing_ok=True)
            link.symlink_to(f"/usr/src/{package}")
        shutil.copy2(script, tree / "usr/bin/kvm_stat")
        (tree / "usr/bin/kvm_stat").chmod(0o755)
        shutil.copytree(SELFTESTS, tree / "usr/lib/kvm-selftests")
        for name in BINDS:
            (tree / name).mkdir(exist_ok=True)
        # bpftrace crashes without.
        if not (tree / "bin/sh").exists():
            (tree / "bin/sh").symlink_to("bash")
        (tree / "etc").mkdir(exist_ok=True)
        (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
        images.squashfs(tree, tmp / "img")
        images.put(IMAGE, stamp, tmp / "img")


def common(headers):
    return next((headers / "usr/src").glob("linux-headers-*-common")).name
