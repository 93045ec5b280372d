"""The lab's machine with the study's guest on a third disk, and what it recorded."""
import io
import tarfile

from lab import images
from lab.machine import Machine

from . import guest

# After the guest, on the same disk: what the machine is to run, and later what it recorded.
EXCHANGE_MIB = 64
EXCHANGE = guest.DISK_MIB << 20


class StudyMachine(Machine):
    DISK = "study.img"
    # Where the machine finds it: slave on the second IDE channel.
    ADDRESS = "1:0:1:0"

    def prepare(self):
        """Copy the guest, which writes to its disk, and put our programs behind it."""
        target = self.dir / self.DISK
        images.run("cp", "--sparse=always", guest.STUDY / "guest.img", target)
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            for file in (guest.HERE / "run-study", guest.STUDY / "stamp"):
                tar.add(file, file.name)
        with open(target, "r+b") as disk:
            disk.seek(EXCHANGE)
            disk.write(data.getvalue())
            size = EXCHANGE + (EXCHANGE_MIB << 20)
            disk.truncate(-(-size // images.CYLINDER) * images.CYLINDER)

    def bochs(self, port):
        self.prepare()
        command = super().bochs(port)
        with open(self.dir / "bochsrc", "a", encoding="ascii") as rc:
            rc.write(f"ata1-slave: type=disk, path={self.DISK}, mode=flat\n"
                     # A line for each VM-exit, and some come by the million.
                     "error: action=ignore\ninfo: action=ignore\n")
        return command

    def poll(self, timeout):
        """Show what the guest says of itself, too."""
        super().poll(timeout)
        line = self.lines[2]
        *whole, line.text = line.text.split(b"\n")
        line.checked = 0
        for text in whole:
            print(f"  {text.decode(errors='replace')}", flush=True)

    def study(self):
        """Record the guest's whole life."""
        name = self.check(f"ls /sys/bus/scsi/devices/{self.ADDRESS}/block").strip()
        disk = f"/dev/{name}"
        self.check(f"mkdir /tmp/study && modprobe {self.vendor_module} && "
                   f"dd if={disk} bs=1M skip={guest.DISK_MIB} count=1 | tar -xC /tmp/study")
        self.check(f"/tmp/study/run-study {disk} {guest.DISK_MIB} /dev/ttyS2", 3000)
        self.check("cd /tmp/study && tar -cf out.tar out && "
                   f"dd if=out.tar of={disk} bs=1M seek={guest.DISK_MIB} oflag=direct && sync",
                   300)

    def fetch(self, target):
        """Take what was recorded from the disk, once the machine is off."""
        target.mkdir(parents=True, exist_ok=True)
        with open(self.dir / self.DISK, "rb") as disk:
            disk.seek(EXCHANGE)
            with tarfile.open(fileobj=disk, mode="r|") as tar:
                for member in tar:
                    if member.isfile():
                        name = member.name.rpartition("/")[2]
                        (target / name).write_bytes(tar.extractfile(member).read())

    def kill(self):
        super().kill()
        (self.dir / f"{self.DISK}.lock").unlink(missing_ok=True)
