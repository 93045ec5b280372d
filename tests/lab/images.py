"""Builds what a machine boots from, in build/lab/KERNEL_RELEASE.

    root.img     Debian packages of packages.txt's section "image", unpacked, and the kernel's
                 modules; rebuilt only when Debian's packages change
    payload.img  what is ours: KVM's modules, exitstat, the tests' programs, the guest's
                 initramfs; laid over root.img by the machine's initramfs
    initrd       finds the two disks and starts /sbin/lab-init

No package script runs and nothing is installed: packages are only unpacked.
"""
import contextlib
import fcntl
import hashlib
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

from paths import BUILD, TOP

LAB = BUILD / "lab"
HERE = pathlib.Path(__file__).resolve().parent
# Bochs wants whole cylinders of 16 heads and 63 sectors.
CYLINDER = 16 * 63 * 512
BOOT_MODULES = ("ata_piix", "sd_mod", "squashfs", "overlay")
DISK_MARGIN = 200 << 20


class BuildError(Exception):
    """One sentence that says what is missing."""


# How often a long step says that it goes on, in seconds.
BEAT = 15


@contextlib.contextmanager
def step(what):
    """Tell what is done, on one line: for how long already, and at the end how long it took."""
    print(f"{what} ...", end=" ", flush=True)
    start = time.monotonic()
    done = threading.Event()

    def go_on():
        while not done.wait(BEAT):
            print(f"{time.monotonic() - start:.0f},", end=" ", flush=True)

    teller = threading.Thread(target=go_on, daemon=True)
    teller.start()
    try:
        yield
    except BaseException:
        end = "failed"
        raise
    else:
        end = f"{time.monotonic() - start:.0f} s"
    finally:
        done.set()
        teller.join()
        print(end, flush=True)


def run(*args, **kwargs):
    """Run a program quietly; when it fails say which and show its last lines."""
    done = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, **kwargs)
    if done.returncode:
        lines = "\n".join(done.stdout.splitlines()[-10:])
        raise BuildError(f"{args[0]} failed with status {done.returncode}:\n{lines}")
    return done.stdout


def packages(section):
    return run(TOP / "packages.sh", "--print", section).split()


def digest(*paths):
    """Changes when the content of a file, or of a tree's file, changes."""
    sha = hashlib.sha256()
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                sha.update(f"{file.relative_to(TOP)}\0{file.stat().st_mode}\0".encode())
                sha.update(file.read_bytes())
    return sha.hexdigest()


def up_to_date(target, stamp):
    file = target.with_name(target.name + ".inputs")
    return target.exists() and file.exists() and file.read_text() == stamp


def put(target, stamp, source):
    """Move a finished file to its place: an interrupted run leaves no half image."""
    file = target.with_name(target.name + ".inputs")
    file.unlink(missing_ok=True)
    source.replace(target)
    file.write_text(stamp)


@contextlib.contextmanager
def locked(path):
    """One process at a time.  The lock goes with the process, so none is ever stale."""
    with open(path, "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def work_dir(name):
    path = LAB / f"{name}.tmp"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path)


def apt(*args, archives="archives", prefix=()):
    """apt-get as if on a machine on which nothing is installed."""
    state = LAB / "apt"
    (state / archives / "partial").mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    try:
        return run(*prefix, "apt-get", "-q", "-y", "-o", f"Dir::State::status={state}/status",
                   "-o", f"Dir::Cache::archives={state}/{archives}",
                   "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root",
                   "--no-install-recommends", *args)
    except BuildError as err:
        raise BuildError(f"{err}\nCannot get the machine's Debian packages: check the network, "
                         "then run apt-get update and try again.") from None


def need_space(size):
    free = shutil.disk_usage(LAB).free
    if free < size + DISK_MARGIN:
        raise BuildError(f"{LAB} has {free >> 20} MB free, {(size + DISK_MARGIN) >> 20} MB are "
                         "needed: free some space and run the same command again.")


def squashfs(tree, target):
    # Not compressed: an emulated CPU reads faster than it decompresses.
    run("mksquashfs", tree, target, "-quiet", "-no-progress", "-noappend", "-all-root",
        "-noI", "-noD", "-noF", "-noX")
    size = target.stat().st_size
    os.truncate(target, -(-size // CYLINDER) * CYLINDER)


def cpio(tree, target):
    names = sorted(str(p.relative_to(tree)) for p in tree.rglob("*"))
    with open(target, "wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=tree, stdout=out,
                       input="\n".join(names).encode(), check=True)


def version(krel):
    """6.12 of 6.12.117+deb12-cloud-amd64."""
    return ".".join(krel.split(".")[:2])


def source(krel):
    """What the source of a kernel, and what is built of it alone, is called below build/."""
    return version(krel) + "".join(re.findall(r"\+deb\d+", krel))


def images_dir(krel):
    return LAB / krel


def kernel_dir(krel):
    """Where the kernel's boot/vmlinuz-* and lib/modules are."""
    own = BUILD / "kernel" / krel / "root"
    return own if own.exists() else LAB / "kernel" / krel


def kernel(krel):
    """Unpack Debian's kernel image package, if no kernel was built instead."""
    target = kernel_dir(krel)
    if target.exists():
        return
    image = f"linux-image-{krel}"
    with step(f"Downloading the kernel image {krel}"):
        apt = TOP / "kernel/apt", krel
        depends = run(*apt, "apt-cache", "depends", image)
        # Newer kernels are in more than one.
        unpack(image, target, 150 << 20, *re.findall(r"Depends: (linux-(?:base|binary|modules)-\S+)", depends), apt=apt)
    # Those have it beside the modules, and copy it to /boot when they are installed.
    vmlinuz = target / f"boot/vmlinuz-{krel}"
    if not vmlinuz.exists():
        vmlinuz.parent.mkdir(exist_ok=True)
        shutil.copy2(target / f"usr/lib/modules/{krel}/vmlinuz", vmlinuz)


def unpack(package, target, size, *more, apt=()):
    """Unpack Debian packages to target, without installing them, as a system with /usr merged."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # The tests' workers may want it at once.
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            download_and_unpack(package, target, size, *more, apt=apt)


def download_and_unpack(package, target, size, *more, apt):
    with work_dir(target.name) as tmp:
        need_space(size)
        try:
            run(*apt, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package, *more, cwd=tmp)
        except BuildError as err:
            raise BuildError(f"{err}\nCannot download {package}: check the network, run "
                             "apt-get update, and see that Debian has it.") from None
        unpack_files(tmp.glob("*.deb"), tmp / "tree")
        (tmp / "tree").replace(target)


def unpack_files(debs, tree):
    for deb in debs:
        run("dpkg", "-x", deb, tree)
    # Debian 12's packages still have files in /bin and the like, Debian 13's have not.
    for name in ("bin", "sbin", "lib", "lib64"):
        old, new = tree / name, tree / "usr" / name
        if old.is_dir() and not old.is_symlink():
            new.mkdir(parents=True, exist_ok=True)
            run("cp", "-a", f"{old}/.", new)
            shutil.rmtree(old)
        if new.exists() and not old.is_symlink():
            old.symlink_to(f"usr/{name}")


def root(krel):
    kernel(krel)
    # With no archives at hand, or apt would leave out what it has.
    plan = apt("--print-uris", "install", *packages("image"), archives="empty")
    uris = [line.split() for line in plan.splitlines() if line.startswith("'")]
    stamp = "\n".join(sorted(u[1] for u in uris) +
                      [krel, digest(HERE / "images.py", kernel_dir(krel) / "boot")])
    target = images_dir(krel) / "root.img"
    if up_to_date(target, stamp):
        return
    with step(f"Downloading {len(uris)} Debian packages for the machine's root image, "
              f"{sum(int(u[2]) for u in uris) >> 20} MB"):
        need_space(1 << 30)
        apt("--download-only", "install", *packages("image"))
    with step("Building the root image"), work_dir("root") as tmp:
        tree = tmp / "tree"
        unpack_files((LAB / "apt/archives" / name for name in sorted(u[1] for u in uris)), tree)
        for junk in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info",
                     "usr/share/iso-codes", "usr/share/xml", "usr/share/zoneinfo", "boot"):
            shutil.rmtree(tree / junk, ignore_errors=True)
        shutil.copytree(kernel_dir(krel) / "lib/modules", tree / "lib/modules", symlinks=True)
        for name in ("proc", "sys", "dev", "run", "tmp", "boot", "root"):
            (tree / name).mkdir(exist_ok=True)
        (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n"
                                         "nobody:x:65534:65534:nobody:/:/bin/sh\n")
        (tree / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
        squashfs(tree, tmp / "img")
        put(target, stamp, tmp / "img")


def busybox(tree):
    (tree / "bin").mkdir()
    shutil.copy2("/bin/busybox", tree / "bin")
    (tree / "bin/sh").symlink_to("busybox")


def builtin(modules):
    """The modules that are a part of the kernel."""
    return {pathlib.Path(line).stem.replace("-", "_")
            for line in (modules / "modules.builtin").read_text().splitlines()}


def module_name(path):
    return path.name.split(".")[0].replace("-", "_")


def in_order(files, names):
    """Modules in an order in which they can be loaded, with those that they depend on."""
    found = []
    for name in names:
        if name in files and name not in found:
            depends = run("modinfo", "-F", "depends", files[name]).replace("-", "_").strip().split(",")
            found += [n for n in in_order(files, filter(None, depends)) if n not in found]
            found.append(name)
    return found


def initrd(krel, root=None, target=None):
    """Of a kernel installed below root; by default of the unpacked or built one."""
    root = root or kernel_dir(krel)
    target = target or images_dir(krel) / "initrd"
    modules = root / "lib/modules" / krel
    stamp = krel + digest(HERE, kernel_dir(krel) / "boot")
    if up_to_date(target, stamp):
        return
    with step("Building the initramfs"), work_dir("initrd") as tmp:
        tree = tmp / "tree"
        (tree / "modules").mkdir(parents=True)
        busybox(tree)
        files = {module_name(p): p for p in modules.rglob("*.ko*")}
        missing = set(BOOT_MODULES) - files.keys() - builtin(modules)
        if missing:
            raise BuildError(f"the kernel {krel} has no {', '.join(sorted(missing))}")
        for i, name in enumerate(in_order(files, BOOT_MODULES)):
            module = tree / "modules" / f"{i}-{name}.ko"
            packed = files[name].read_bytes()
            module.write_bytes(lzma.decompress(packed) if files[name].suffix == ".xz" else packed)
            # Debug information and BTF cost an emulated CPU seconds.
            run("strip", "-g", module)
        shutil.copy2(HERE / "initramfs-init", tree / "init")
        cpio(tree, tmp / "img")
        put(target, stamp, tmp / "img")


def guest_kernel(krel, target):
    """The guest's kernel as its own decompressor would leave it, which takes Bochs many seconds.

    QEMU starts that by the kernel's PVH entry; a kernel without one stays as it is.
    """
    packed = kernel_dir(krel) / f"boot/vmlinuz-{krel}"
    target.write_bytes(subprocess.run([BUILD / f"linux-{source(krel)}/scripts/extract-vmlinux", packed],
                                      check=True, stdout=subprocess.PIPE).stdout)
    # Xen's note 18 is PVH's entry.
    if not re.search(r"Xen .*\(0x0*12\)", run("readelf", "-nW", target)):
        shutil.copy2(packed, target)


def guest_initrd(target):
    """The guest's: busybox, Debian's cpuid, and the static exitstat."""
    with work_dir("guest") as tmp:
        tree = tmp / "tree"
        tree.mkdir()
        busybox(tree)
        shutil.copy2("/usr/bin/cpuid", tree / "bin/cpuid.real")
        libs = run("ldd", "/usr/bin/cpuid").split()
        for lib in (pathlib.Path(w) for w in libs if w.startswith("/")):
            (tree / lib.parent.relative_to("/")).mkdir(parents=True, exist_ok=True)
            shutil.copy2(lib, tree / lib.relative_to("/"))
        (tree / "bin/cpuid.real").rename(tree / "bin/cpuid")
        shutil.copy2(BUILD / "exitstat-static", tree / "bin/exitstat")
        shutil.copy2(HERE / "guest-init", tree / "init")
        # Each megabyte takes a guest on Bochs a second to unpack.
        run("strip", tree / "bin/exitstat")
        cpio(tree, target)


def payload(krel):
    modules = BUILD / "modules" / krel
    programs = [BUILD / "exitstat", BUILD / "exitstat-static", *sorted(p for p in (BUILD / "tests").iterdir() if p.is_file())]
    test_modules = sorted((BUILD / "test-modules" / krel).glob("*.ko"))
    selftests = BUILD / "selftests" / source(krel)
    target = images_dir(krel) / "payload.img"
    stamp = krel + digest(HERE, kernel_dir(krel) / "boot", modules, selftests / "bin", selftests / "ours", *test_modules, *programs)
    if up_to_date(target, stamp):
        return
    with step("Building the payload image"), work_dir("payload") as tmp:
        need_space(200 << 20)
        tree, staging = tmp / "tree", tmp / "staging"
        shutil.copytree(kernel_dir(krel) / "lib/modules", staging / "lib/modules", symlinks=True)
        shutil.copytree(modules, staging / "lib/modules" / krel / "updates")
        run("/sbin/depmod", "-b", staging, krel)
        lib = tree / "usr/lib/modules" / krel
        lib.mkdir(parents=True)
        for file in (staging / "lib/modules" / krel).glob("modules.*"):
            shutil.copy2(file, lib)
        shutil.copytree(modules, lib / "updates")
        shutil.rmtree(staging)
        for name in ("usr/bin", "usr/lib/test-modules", "usr/sbin", "boot"):
            (tree / name).mkdir(parents=True)
        for module in test_modules:
            shutil.copy2(module, tree / "usr/lib/test-modules")
        shutil.copy2(BUILD / "exitstat", tree / "usr/bin")
        for program in programs[2:]:
            shutil.copy2(program, tree / "usr/bin")
        shutil.copytree(selftests / "bin", tree / "usr/lib/kvm-selftests")
        shutil.copytree(selftests / "ours", tree / "usr/lib/our-selftests")
        shutil.copy2(HERE / "lab-init", tree / "usr/sbin")
        shutil.copy2(HERE / "start-guest", tree / "usr/bin")
        guest_kernel(krel, tree / "boot/vmlinux")
        guest_initrd(tree / "boot/guest-initrd")
        squashfs(tree, tmp / "img")
        put(target, stamp, tmp / "img")


def build(krel):
    images_dir(krel).mkdir(parents=True, exist_ok=True)
    with locked(LAB / "lock"):
        root(krel)
        initrd(krel)
        payload(krel)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: images.py KERNEL_RELEASE")
    try:
        build(sys.argv[1])
    except BuildError as err:
        sys.exit(f"lab: {err}")
    except OSError as err:
        sys.exit(f"lab: {err}; free some space or check permissions, and run it again")
    except KeyboardInterrupt:
        sys.exit("lab: interrupted; the next run goes on from here")


if __name__ == "__main__":
    main()
