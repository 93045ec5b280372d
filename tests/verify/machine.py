"""The lab's machine with the other tools."""
import shlex
import shutil

from lab import images
from lab.machine import Machine

from . import image


class VerifyMachine(Machine):
    """The other tools' image stands behind the payload on its disk.

    With a third disk, the kernel might call any of them sda.
    """

    @property
    def disks(self):
        root, _ = super().disks
        return [root, self.dir / "joined/payload.img"]

    def join(self):
        payload = images.images_dir(self.krel) / "payload.img"
        joined = self.disks[1]
        joined.parent.mkdir(parents=True, exist_ok=True)
        with open(joined, "wb") as out:
            for part in payload, image.IMAGE:
                self.offset = out.tell()
                with open(part, "rb") as data:
                    shutil.copyfileobj(data, out, 1 << 20)
            self.size = out.tell()

    def bochs(self, port):
        self.join()
        command = super().bochs(port)
        with open(self.dir / "bochsrc", "a", encoding="ascii") as rc:
            # A line for some of the selftests' exits, which come by the million.
            rc.write("error: action=ignore\ninfo: action=ignore\n")
        return command

    def qemu(self, port):
        self.join()
        return super().qemu(port)

    def boot(self):
        super().boot()
        self.check(f"modprobe {self.vendor_module}")

    def mount(self):
        """Mount the other tools, and what of the machine they need."""
        # The kernel probes disks side by side, and may name them in either order.
        disk = self.check(f"grep -lx {self.size // 512} /sys/block/sd[ab]/size").split("/")[3]
        self.check(f"mkdir -p {image.MOUNT} && modprobe loop && "
                   f"losetup -r -o {self.offset} /dev/loop0 /dev/{disk} && "
                   f"mount -t squashfs -o ro /dev/loop0 {image.MOUNT} && "
                   + " && ".join(f"mount --rbind /{d} {image.MOUNT}/{d}" for d in image.BINDS))

    def chroot(self, command):
        """A command line that runs one of the other tools."""
        return f"chroot {image.MOUNT} /bin/bash -c {shlex.quote(command)}"

    def kill(self):
        super().kill()
        self.disks[1].unlink(missing_ok=True)
