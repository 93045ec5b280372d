"""A machine with VMX or SVM, emulated, that a test boots, commands and shuts down.

The emulator is chosen by EMU: bochs (VMX, the default), qemu (SVM, TCG), qemu-2cpus
(the same, slower), or kvm (what the CPU offers; needs nested virtualization).
"""
import itertools
import json
import os
import pathlib
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import time

import pace

from . import images

EMULATORS = ("bochs", "qemu", "qemu-2cpus", "kvm")
TROUBLE = re.compile(
    rb"Kernel panic - not syncing|-{12}\[ cut here|BUG: |Oops: |general protection fault|"
    rb"WARNING: CPU|soft lockup|self-detected stall|detected stalls|lab: cannot|"
    rb"end Kernel panic|Out of memory: Killed")
BOCHSRC = """\
cpu: model=corei7_haswell_4770, count=1, ips=100000000
memory: guest=1024, host=1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
display_library: rfb, options="timeout=0"
plugin_ctrl: speaker=0
speaker: enabled=0
sound: driver=default, waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path=root.img, mode=flat
ata0-slave: type=disk, path=payload.img, mode=flat
ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
ata1-master: type=cdrom, path=boot.iso, status=inserted
boot: cdrom
clock: sync=none
log: bochs.log
panic: action=fatal
"""
DISKS = ("root.img", "payload.img")
CMDLINE = "console=ttyS0 tsc=reliable quiet mitigations=off"
# Bochs is spared the kernel's tests of its crypto, and BPF's TCP: 500 million instructions.
SPARE = "cryptomgr.notests initcall_blacklist=jent_mod_init,bpf_tcp_ca_kfunc_init,bpf_dummy_struct_ops_init"


class LostMachine(Exception):
    """The machine crashed, warned, or does not answer; says what it said last."""


class CommandFailed(Exception):
    """A command that should have succeeded did not."""


class Console:
    """A serial line with a shell on it."""

    def __init__(self, machine, name, connection, log):
        self.machine = machine
        self.name = name
        self.connection = connection
        self.log = open(log, "ab", buffering=0)
        self.text = b""
        self.checked = 0
        self.numbers = itertools.count()
        self.lost = False

    def fileno(self):
        return self.connection.fileno()

    def take(self):
        """Take in what has arrived; at its end the line is lost."""
        try:
            data = self.connection.recv(65536)
        except ConnectionResetError:
            data = b""
        self.lost = not data
        self.log.write(data)
        self.text += data.replace(b"\r", b"")

    def receive(self):
        self.take()
        # A line may come in pieces, so look again at the end of what is known.
        trouble = self.machine.trouble.search(self.text, max(0, self.checked - 100))
        self.checked = len(self.text)
        if trouble:
            self.machine.settle()
            self.machine.fail(f"{self.name} said '{trouble[0].decode()}'")

    def last_lines(self):
        return "\n".join(self.text.decode(errors="replace").splitlines()[-25:])

    def wait_for(self, pattern, timeout):
        """Wait for a pattern, and return the match and the text before it."""
        deadline = pace.Deadline(timeout)
        while True:
            match = re.search(pattern, self.text)
            if match:
                before = self.text[:match.start()]
                self.text = self.text[match.end():]
                self.checked = 0
                return match, before.decode(errors="replace")
            if deadline.over():
                self.machine.fail(f"{self.name}: no '{pattern.decode()}' in {timeout} s, "
                                  f"on a machine {pace.factor():.1f} times slower than usual")
            self.machine.poll(1)

    def run(self, command, timeout=60):
        """Run a shell command in /; return its output, stderr included, and its exit status."""
        mark = f"end-{next(self.numbers)}"
        # The mark is sent in two pieces, so that it is found in the answer alone.
        self.send(f"cd /; {{\n{command}\n}} </dev/null 2>&1; echo \"@@\"{mark}:$?:\n")
        match, output = self.wait_for(f"@@{mark}:(\\d+):\n".encode(), timeout)
        return output, int(match[1])

    def check(self, command, timeout=60):
        """Run a shell command that must succeed; return its output."""
        output, status = self.run(command, timeout)
        if status:
            raise CommandFailed(f"'{command}' ended with status {status}:\n{output}")
        return output

    def send(self, text):
        for line in text.splitlines():
            if len(line) > 4000:
                raise ValueError("a serial line takes no more than 4095 characters a line")
        self.connection.sendall(text.encode())

    def close(self):
        self.connection.close()
        self.log.close()


class Qmp:
    """QEMU's control protocol, on a console without a shell."""

    def __init__(self, console):
        self.console = console
        console.wait_for(rb'\{"QMP": .*\}\n', 60)
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        self.console.send(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        while True:
            match = self.console.wait_for(rb"(\{.*\})\n", 60)[0]
            reply = json.loads(match[1])
            if "error" in reply:
                raise CommandFailed(f"QEMU's {command}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]


class Machine:
    """Use as a context manager, and boot() it: the emulator ends with the block.

    machine.console  the kernel's console, ttyS0
    machine.run()    a shell command, on ttyS1
    machine.isa      vmx or svm, and vendor_module KVM's module for it
    machine.guest()  boots a real guest, wired to ttyS2 or ttyS3
    """

    LINES = ("console", "shell", "guest2", "guest3")
    # What no line may say.
    trouble = TROUBLE
    # On QEMU only: Bochs' are in BOCHSRC.
    cpus, memory, threads = None, 1024, "single"

    def __init__(self, emulator, krel, run_dir, cmdline=""):
        if emulator not in EMULATORS:
            raise ValueError(f"EMU={emulator}: use one of {', '.join(EMULATORS)}")
        self.emulator = emulator
        self.krel = krel
        self.dir = pathlib.Path(run_dir)
        self.cmdline = " ".join(filter(None, [CMDLINE, SPARE if emulator == "bochs" else "", cmdline]))
        self.process = None
        self.lines = []
        self.console = self.shell = self.monitor = self.qmp = None
        self.isa = None
        # What its vendor module says of the stats fd's arrays, once somebody asked.
        self.slots = {}
        # Whose modules of KVM are loaded, "ours" or "stock", and with which parameters.
        self.kvm = None

    @property
    def disks(self):
        return [images.images_dir(self.krel) / name for name in DISKS]

    @property
    def initrd(self):
        return images.images_dir(self.krel) / "initrd"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.alive():
                self.shutdown()
        finally:
            self.kill()

    @property
    def vendor_module(self):
        return {"svm": "kvm_amd", "vmx": "kvm_intel"}[self.isa]

    @property
    def guest_cpus(self):
        """How many CPUs a guest's kernel, the same as the machine's, knows to use."""
        config = images.BUILD / "kernel" / self.krel / ".config"
        known = re.search(r"^CONFIG_NR_CPUS=(\d+)$", config.read_text(), re.M) if config.exists() else None
        return int(known[1]) if known else 8192

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def boot(self):
        self.start()
        self.console.wait_for(b"lab: ready\n", 300)
        self.isa = "svm" if "svm" in self.check("cat /proc/cpuinfo").split() else "vmx"

    def save(self, file):
        """Write down, on QEMU, all that the machine is; it then goes on."""
        self.qmp = monitor = self.qmp or Qmp(self.monitor)
        monitor.execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        monitor.execute("migrate", uri=f"exec:cat >{shlex.quote(str(file))}")
        while (status := monitor.execute("query-migrate")["status"]) != "completed":
            if status in ("failed", "cancelled"):
                self.fail("QEMU cannot save the machine")
            time.sleep(0.1)
        monitor.execute("cont")

    def restore(self, saved, file):
        """Instead of a boot: go on where another machine of the same kind was saved."""
        self.start("-incoming", f"exec:cat {shlex.quote(str(file))}")
        self.isa, self.slots, self.kvm = saved.isa, dict(saved.slots), saved.kvm
        # Its shell goes on as if nothing had been.
        self.check(":")

    def start(self, *options):
        """Start the emulator, with its serial lines connected to us."""
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(pace.limit(60))
            prepare = self.bochs if self.emulator == "bochs" else self.qemu
            command = [*prepare(server.getsockname()[1]), *options]
            (self.dir / "command").write_text(shlex.join(command) + "\n")
            with open(self.dir / "emulator.log", "wb") as log:
                # setpriv: the emulator does not outlive this process, whatever kills it.
                self.process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", *command], cwd=self.dir, stdout=log,
                    stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
            for name in self.lines_of_emulator():
                try:
                    connection = server.accept()[0]
                except TimeoutError:
                    self.fail("the emulator did not start")
                self.lines.append(Console(self, name, connection, self.dir / f"{name}.log"))
        self.console, self.shell = self.lines[:2]
        self.monitor = self.lines[-1]

    def lines_of_emulator(self):
        """Its serial lines, and where it has one QEMU's control."""
        return self.LINES if self.emulator == "bochs" else (*self.LINES, "monitor")

    def bochs(self, port):
        # Bochs locks an image by a file beside it, and a killed Bochs leaves that behind.
        for disk in self.disks:
            (self.dir / disk.name).symlink_to(disk)
        rc = BOCHSRC
        for i in range(1, len(self.LINES) + 1):
            rc += f"com{i}: enabled=1, mode=socket-client, dev=127.0.0.1:{port}\n"
        (self.dir / "bochsrc").write_text(rc)
        (self.dir / "debugger").write_text("c\n")
        self.iso()
        return ["bochs", "-q", "-f", "bochsrc", "-rc", "debugger"]

    def iso(self):
        boot = self.dir / "iso/boot"
        (boot / "grub").mkdir(parents=True)
        shutil.copy2(self.vmlinuz(), boot / "vmlinuz")
        shutil.copy2(self.initrd, boot / "initrd")
        (boot / "grub/grub.cfg").write_text(
            f"linux /boot/vmlinuz {self.cmdline}\ninitrd /boot/initrd\nboot\n")
        images.run("grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", self.dir / "boot.iso",
                   self.dir / "iso")
        shutil.rmtree(self.dir / "iso")

    def vmlinuz(self):
        return images.kernel_dir(self.krel) / f"boot/vmlinuz-{self.krel}"

    def qemu(self, port):
        if self.emulator == "kvm":
            cpu = ["-accel", "kvm", "-cpu", "host"]
        else:
            # With a thread for each CPU, one may run into a breakpoint of the kernel's code
            # patching that is long gone, and panic; with one thread for all it is slow.
            cpu = ["-accel", f"tcg,thread={self.threads}", "-cpu", "EPYC,+svm,+npt"]
        cpus = self.cpus or (1 if self.emulator == "qemu" else 2)
        command = ["qemu-system-x86_64", "-M", "pc", *cpu, "-smp", str(cpus),
                   "-m", str(self.memory), "-nodefaults", "-no-user-config",
                   "-display", "none", "-no-reboot",
                   "-kernel", str(self.vmlinuz()), "-initrd", str(self.initrd),
                   "-append", self.cmdline]
        for i, disk in enumerate(self.disks):
            command += ["-drive", f"file={disk},format=raw,if=ide,index={i},snapshot=on"]
        for name in self.LINES:
            command += ["-chardev", f"socket,id={name},host=127.0.0.1,port={port}",
                        "-serial", f"chardev:{name}"]
        return [*command, "-chardev", f"socket,id=monitor,host=127.0.0.1,port={port}",
                "-mon", "chardev=monitor,mode=control"]

    def ready(self, timeout):
        """The lines that have something to take, waiting for at most timeout seconds."""
        live = [line for line in self.lines if not line.lost]
        return select.select(live, [], [], timeout)[0] if live else []

    def poll(self, timeout):
        """Take in what the machine says for at most timeout seconds, or until it says something."""
        ready = self.ready(timeout)
        for line in ready:
            line.receive()
        if self.process.poll() is not None and not ready:
            self.fail(f"the emulator ended with status {self.process.returncode}")

    def settle(self):
        """Let a crashing machine finish its sentence."""
        until = time.monotonic() + 3
        while time.monotonic() < until:
            for line in self.ready(0.5):
                line.take()
                if line.lost:
                    return

    def fail(self, why):
        said = "\n".join(f"--- {line.name}\n{line.last_lines()}" for line in self.lines)
        log = self.dir / "emulator.log"
        emulator = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        self.kill()
        raise LostMachine(f"{why}; logs are in {self.dir}\n{said}\n--- emulator\n{emulator}")

    def run(self, command, timeout=60):
        return self.shell.run(command, timeout)

    def check(self, command, timeout=60):
        return self.shell.check(command, timeout)

    def reload_kvm(self, *parameters):
        """Load KVM's modules anew, with parameters for kvm; counters begin at 0."""
        self.kvm = None
        self.check(f"modprobe -r {self.vendor_module} kvm && "
                   f"modprobe kvm {' '.join(parameters)} && modprobe {self.vendor_module}", 120)
        self.kvm = "ours", parameters

    def load_stock_kvm(self):
        """Load the kernel's own modules of KVM."""
        self.kvm = None
        vendor = self.vendor_module.replace("_", "-")
        self.check(f"modprobe -r {self.vendor_module} kvm; "
                   "cd /lib/modules/$(uname -r)/kernel/arch/x86/kvm; "
                   f"modprobe -a $(modinfo -F depends kvm.ko* {vendor}.ko* | tr , '\\n' | "
                   f"grep -vx kvm) && insmod kvm.ko* && insmod {vendor}.ko*", 180)
        self.kvm = "stock", ()

    def need_kvm(self, whose, *parameters):
        """See that these modules are loaded: what a test wants is loaded before it, not after another."""
        if self.kvm != (whose, parameters):
            self.load_stock_kvm() if whose == "stock" else self.reload_kvm(*parameters)

    def start_guest(self, line=2, options=""):
        """Start a guest under the machine's QEMU and KVM, and do not wait for it."""
        console = self.lines[line]
        console.text, console.checked = b"", 0
        if self.isa == "svm" and self.emulator != "kvm" and images.version(self.krel) == "7.3":
            # With the stock modules, too, CPUID tells a guest there another size of XSAVE's
            # area than XSAVE has, and the guest's kernel then dies.
            options = f"-cpu host,-xsave {options}"
        self.check(f"start-guest /dev/ttyS{line} {options}")

    def await_guest(self, line=2, timeout=240):
        """Return the console of a started guest as soon as it is ready."""
        console = self.lines[line]
        console.wait_for(b"guest: ready\n", timeout)
        # Its shell greets, and would prompt.
        console.send("PS1= PS2=\n")
        console.run(":")
        return console

    def guest(self, line=2, options="", timeout=240):
        """Boot a guest, and return its console."""
        self.start_guest(line, options)
        return self.await_guest(line, timeout)

    def guest_pid(self, line=2):
        return self.check(f"cat /run/guest-ttyS{line}.pid").strip()

    def guest_vm(self, line=2):
        """The guest's directory in /sys/kernel/debug/kvm, <pid>-<fd>."""
        return self.check(f"cd /sys/kernel/debug/kvm; echo {self.guest_pid(line)}-*").strip()

    def stop_guest(self, line=2):
        pid = self.guest_pid(line)
        self.check(f"kill {pid}; while [ -e /proc/{pid} ]; do sleep 0.1; done")

    def shutdown(self):
        # A console in flight would be lost with the machine.
        self.shell.send("sync; sleep 1; busybox poweroff -f\n")
        deadline = pace.Deadline(60)
        while self.process.poll() is None and not deadline.over():
            try:
                self.poll(1)
            except LostMachine:
                if self.process.returncode is None:
                    raise
        if self.process.poll() is None:
            self.fail("the machine did not power off")

    def kill(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for line in self.lines:
            line.close()
        self.lines = []
        for big in "boot.iso", *DISKS, *(f"{disk}.lock" for disk in DISKS):
            (self.dir / big).unlink(missing_ok=True)
