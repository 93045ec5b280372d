"""Builds the study's guest, build/study/guest.img: Debian 12 as mmdebstrap installs it, on a disk
with GRUB, as a virtual server has it.

Unlike the lab's images this is a configured system: its packages' scripts ran, in a chroot or a
user namespace of mmdebstrap's.
"""
import fcntl
import io
import os
import shutil
import struct
import tarfile

from lab import images

STUDY = images.BUILD / "study"
HERE = images.TOP / "tests/study"
DISK_MIB = 512
PARTITION_SECTOR = 2048
GRUB = "/usr/lib/grub/i386-pc"
# Where GRUB's modules and what the study adds go, and with which mode.
FILES = (("study", "usr/local/sbin/study", 0o755),
         ("study.service", "etc/systemd/system/study.service", 0o644),
         ("80-dhcp.network", "etc/systemd/network/80-dhcp.network", 0o644),
         ("fstab", "etc/fstab", 0o644),
         ("grub.cfg", "boot/grub/grub.cfg", 0o644))
# fakeroot, that the files keep their owners when it is not root who builds.
TO_EXT4 = """\
mkdir tree
tar -xf root.tar -C tree
rm root.tar
mke2fs -q -t ext4 -d tree -E offset=$((512 * $1)) disk $(($2 * 1024 - $1 / 2))k
"""


def sources():
    """Debian's mirrors, as this machine's apt knows them."""
    lines = images.run("apt-get", "indextargets", "--format",
                       "deb $(REPO_URI) $(CODENAME) $(COMPONENT)", "Identifier: Packages",
                       "Origin: Debian")
    if not lines.strip():
        raise images.BuildError("apt knows no mirror of Debian: run apt-get update and try again.")
    return lines


def additions(krel, target):
    """What is not of a package, as a tar file that is unpacked over the guest's root."""
    def add(data, name, mode):
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), mode
        tar.addfile(info, io.BytesIO(data))

    with tarfile.open(target, "w") as tar:
        for source, name, mode in FILES:
            text = (HERE / "guest" / source).read_text().replace("@KREL@", krel)
            add(text.encode(), name, mode)
        add(b"guest\n", "etc/hostname", 0o644)
        for file in sorted(os.listdir(GRUB)):
            if file.endswith((".mod", ".lst")):
                with open(f"{GRUB}/{file}", "rb") as data:
                    add(data.read(), f"boot/grub/i386-pc/{file}", 0o644)


def install(krel, tmp):
    additions(krel, tmp / "additions.tar")
    (tmp / "sources.list").write_text(sources())
    with open(tmp / "sources.list", encoding="ascii") as mirrors:
        try:
            images.run("mmdebstrap", "--variant=minbase",
                       f"--include={','.join(guest_packages(krel))}",
                       f"--customize-hook=tar-in {tmp}/additions.tar /",
                       "--customize-hook=chroot $1 systemctl enable study systemd-networkd",
                       "", tmp / "root.tar", "-", stdin=mirrors)
        except images.BuildError as err:
            raise images.BuildError(
                f"{err}\nCannot install the study's guest: check the network, and that "
                "mmdebstrap may make a chroot here (as root, or with user namespaces).") from None


def guest_packages(krel):
    return [*images.packages("guest"), f"linux-image-{krel}"]


def bootable(tmp):
    """Write a master boot record, a partition table, and GRUB between them and the partition."""
    images.run("grub-mkimage", "-O", "i386-pc", "-d", GRUB, "-o", tmp / "core.img",
               "-p", "(hd0,msdos1)/boot/grub", "-c", HERE / "guest/grub-early.cfg",
               "biosdisk", "part_msdos", "ext2", "serial", "terminal", "echo")
    core = (tmp / "core.img").read_bytes()
    if len(core) > (PARTITION_SECTOR - 1) * 512:
        raise images.BuildError("GRUB does not fit before the guest's partition.")
    with open(f"{GRUB}/boot.img", "rb") as file:
        boot = file.read(440)
    # Bootable, Linux, without an address in cylinders.
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff",
                        PARTITION_SECTOR, DISK_MIB * 2048 - PARTITION_SECTOR)
    with open(tmp / "disk", "r+b") as disk:
        disk.write(boot + bytes(6) + entry + bytes(48) + b"\x55\xaa")
        # boot.img takes the rest of GRUB from the next sector on.
        disk.write(core)


def build(krel):
    STUDY.mkdir(parents=True, exist_ok=True)
    with open(STUDY / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return build_locked(krel)


def build_locked(krel):
    target = STUDY / "guest.img"
    plan = images.apt("--print-uris", "install", *guest_packages(krel), archives="empty")
    uris = [line.split() for line in plan.splitlines() if line.startswith("'")]
    stamp = "\n".join(sorted(u[1] for u in uris) + [images.digest(HERE / "guest",
                                                                  HERE / "guest.py")])
    if images.up_to_date(target, stamp):
        return target
    images.need_space(2 << 30)
    tmp = STUDY / "guest.tmp"
    shutil.rmtree(tmp, ignore_errors=True)
    tmp.mkdir()
    with images.step(f"Installing the study's guest, {len(uris)} Debian packages, "
                     f"{sum(int(u[2]) for u in uris) >> 20} MB"):
        install(krel, tmp)
    with images.step("Building its disk"):
        with open(tmp / "disk", "wb") as disk:
            disk.truncate(DISK_MIB << 20)
        images.run("fakeroot", "sh", "-ec", TO_EXT4, "sh", str(PARTITION_SECTOR), str(DISK_MIB),
                   cwd=tmp)
        bootable(tmp)
    images.put(target, stamp, tmp / "disk")
    shutil.rmtree(tmp)
    return target
