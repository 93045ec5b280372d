"""What is around the tool: manual pages, services, completion.

The services run under a real systemd, which is the init of namespaces of its own and sees this
machine's programs, /usr, and nothing else of it.  What it reads is a debugfs that tree.py made.
"""
import contextlib
import errno
import json
import os
import pathlib
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import termios
import time

import docs
import pace
import pytest

import tool
import tree as trees
from pace import wait_until

MAN = tool.SRC / "man"
UNITS = tool.SRC / "systemd"
COMPLETION = tool.SRC / "completion/exitstat"
PAGES = sorted(page.name for page in MAN.iterdir())

pytestmark = [pytest.mark.usefixtures("programs"), pytest.mark.together(seconds=60)]


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A host with some VMs, nested ones among them."""
    return trees.Tree(tmp_path_factory.mktemp("host") / "tree", vms=9, vcpus=2)


def paths_of(host):
    return ["--debugfs", host.debugfs, "--procfs", host.procfs]


def exitstat(*args):
    result = tool.run(tool.SHARED, *args)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


# Manual pages


def plain(roff):
    """A line of roff without fonts and escapes."""
    for escape, text in ("\\-", "-"), ("\\(aq", "'"), ("\\&", ""), ("\\e", "\\"):
        roff = roff.replace(escape, text)
    roff = re.sub(r"\\f[A-Z]", "", roff)
    if re.match(r"\.[BIR]{1,2} ", roff):
        words = shlex.split(roff.replace("'", "\\'"))
        roff = ("" if len(words[0]) == 3 else " ").join(words[1:])
    return roff


def page(name):
    return (MAN / name).read_text().splitlines()


def section(name, title):
    """The lines of a section, with its subsections."""
    lines = page(name)
    start = lines.index(f".SH {title}") + 1
    ends = [i for i in range(start, len(lines)) if lines[i].startswith(".SH ")]
    return lines[start:ends[0] if ends else len(lines)]


def tags(lines):
    """What the entries of a section are called."""
    return [plain(lines[i + 1]) for i, line in enumerate(lines) if line == ".TP"]


def text_of_page(name):
    return " ".join(plain(line) for line in page(name))


def page_of(command):
    return f"exitstat-{command}.8"


def help_of(command=None):
    return exitstat(*([command] if command else []), "--help")


def help_section(text, title):
    return [line.split()[0] for line in
            text.split(f"\n{title}:\n")[1].split("\n\n")[0].splitlines()]


def options_of(command):
    """Each option of a command, with its letter and its argument."""
    return {(letter or None, name, argument or None) for letter, name, argument in re.findall(
        r"^ {2}(?:(-\w), | {4})(--[\w-]+)(?: (\S+))?(?:  | *$)", help_of(command), re.M)}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_well_formed(name):
    for command in ["man", "--warnings", "-l", MAN / name], ["mandoc", "-T", "lint", MAN / name]:
        result = subprocess.run(command, capture_output=True, text=True,
                                env={**tool.ENV, "MANROFFOPT": "-ww", "MANWIDTH": "100",
                                     "LC_ALL": "C.UTF-8"})
        assert result.returncode == 0, result.stdout
        assert not result.stderr
    # mandoc finds nothing at all.
    assert not result.stdout


def test_each_command_has_a_page():
    commands = help_section(help_of(), "Commands")
    assert sorted(commands) == sorted(tool.COMMANDS)
    assert [tag.split()[0].rstrip(",") for tag in tags(section("exitstat.8", "COMMANDS"))] == commands
    assert {name for name in PAGES if name.endswith(".8")} == {
        "exitstat.8", *map(page_of, commands)}
    for command in commands:
        assert f"exitstat-{command}(8) and exitstat(8)" in help_of(command)
        assert text_of_page(page_of(command)).count(f"exitstat {command}")


@pytest.mark.parametrize("name", PAGES)
def test_pages_point_to_pages(name):
    text = text_of_page(name)
    for other, number in re.findall(r"(exitstat[\w-]*)\s?\((\d)\)", text):
        assert f"{other}.{number}" in PAGES, other
    if name != "exitstat.8":
        assert "exitstat(8)" in text or name == "exitstat-recording.5"
    assert "exitstat 0.1" in text and tool.run(tool.SHARED, "--version").stdout == "exitstat 0.1\n"


@pytest.mark.parametrize("command", tool.COMMANDS)
def test_options_are_documented(command):
    """Those of --help, neither more nor less, with their arguments."""
    documented = set()
    for tag in tags(section(page_of(command), "OPTIONS")):
        words = [word.rstrip(",") for word in tag.split()]
        letter = None
        for i, word in enumerate(words):
            argument = words[i + 1] if i + 1 < len(words) else None
            if re.fullmatch("-[A-Za-z]", word):
                letter = word
            elif word.startswith("--"):
                argument = argument if argument and not re.match("--?[A-Za-z]", argument) else None
                documented.add((letter, word, argument))
                letter = None
    assert documented == options_of(command)


def test_common_options_are_explained():
    explained = " ".join(tags(section("exitstat.8", "OPTIONS")))
    own = {"--host", "--output", "--html", "--isa", "--latency", "--top", "--measure"}
    for command in tool.COMMANDS:
        for _, name, _ in options_of(command):
            assert re.search(f"{name}(?![a-z])", explained) or name in own, name


def columns_of(command):
    return help_section(help_of(command), "Columns")


def test_columns_are_documented():
    """Each once."""
    documented = [column for tag in tags(section("exitstat.8", "COLUMNS")) for column in tag.split(", ")]
    assert sorted(documented) == sorted({*columns_of("show"), *columns_of("list")})
    assert sorted(columns_of("top")) == sorted(documented)
    assert columns_of("guest") == columns_of("report") == columns_of("show")


@pytest.mark.parametrize("command", ["details", "diff", "reasons"])
def test_own_columns_are_documented(command):
    documented = [column for tag in tags(section(page_of(command), "COLUMNS")) for column in tag.split(", ")]
    assert sorted(documented) == sorted(columns_of(command))


def test_keys_are_documented():
    """Those that the program itself explains."""
    helped = re.search(r"top_key_help\[\] = \{(.*?)\n\};", (tool.SRC / "top/keys.c").read_text(), re.S)[1]
    helped = re.findall(r'\{ "(.*?)", ', helped)
    assert len(helped) > 10
    documented = {key for tag in tags(section(page_of("top"), "KEYS")) for key in tag.split(", ")}
    for keys in helped:
        for key in keys.replace("\\u2192", "Right").replace("\\u2190", "Left").split():
            assert key in documented


def examples(name):
    """Command lines, each with the output that the page shows."""
    block = None
    for line in page(name):
        if line == ".nf":
            block = []
        elif line == ".fi":
            if block and re.match(r"[#$] exitstat", block[0]):
                for i, text in enumerate(block):
                    if re.match(r"[#$] exitstat", text):
                        more = block[i + 1:] if text.endswith("|") else []
                        yield (" ".join([text, *map(str.strip, more)])[2:],
                               [] if more else [b for b in block[i + 1:] if b[:1] not in "#$"])
            block = None
        elif block is not None:
            block.append(plain(line))


EXAMPLES = [(name, *example) for name in PAGES for example in examples(name)]


def test_there_are_examples():
    assert len(EXAMPLES) > 20
    # Those of the kernel are in test_machine_bpf.py.
    assert {name for name, *_ in EXAMPLES} == {
        n for n in PAGES if n.endswith(".8")} - {"exitstat-attach.8", "exitstat-detach.8"}


def run_example(command, words, host, path):
    """The same on another host, in less time, with files at other places."""
    vm = next(vm for vm in host.vms.values() if vm.name.startswith("web"))
    words = [{"1234": str(vm.pid), "web1": vm.name}.get(word, word) for word in words]
    if "--" in words:
        words[words.index("--") + 1:] = ["true"]
    if "-d" in words or command == "record":
        for option, value in ("-d", "0.01"), ("-n", "2"):
            if option in words:
                words[words.index(option) + 1] = value
            else:
                words[:0] = [option, value]
    stdin = None
    for i, word in enumerate(words):
        if not word.endswith((".html", ".prom", ".jsonl", ".json")) and not (word == "-" and command == "report"):
            continue
        words[i] = file = path / pathlib.Path(word).name
        if words[i - 1] in ("-o", "--html", "--textfile"):
            continue
        # What another example, or that in front of the pipe, made.
        if word.endswith(".json"):
            file.write_text(exitstat("show", "--vm", "*", "--json", *paths_of(host)))
        else:
            tool.run(tool.SHARED, "record", "-o", file, "-d", "0.01", "-n", "2", *paths_of(host))
        if word == "-":
            words[i] = "-"
            stdin = file.open()

    if command == "guest":
        model = {"hypervisor0": "KVMKVMKVM", "leaves": 1, "top": 0x4fffffff, "abi": 1, "end": 86, "svm": 0,
                 "host": 0, "khz": 2893202}
        (path / "model").write_text("".join(f"{key} {value}\n" for key, value in model.items()) + "row 0 5 600\n")
        return tool.run(tool.MODEL, command, *words, env={"CPUID_MODEL": str(path / "model")})
    # It needs a KVM; test_machine_bpf.py runs it.
    if command == "doctor":
        words = [word for word in words if word != "--measure"]
    # It has no end; test_top.py runs it.
    if command == "top":
        words.append("--help")
    if command not in ("report", "diff", "reasons", "explain"):
        words[:0] = paths_of(host)
    return tool.run(tool.SHARED, command, *words, stdin=stdin)


@pytest.mark.parametrize("name,line,output", EXAMPLES, ids=[line[:60] for _, line, _ in EXAMPLES])
def test_examples_run(name, line, output, host, tmp_path):
    """With the columns that the page shows."""
    # What the pipe leads to need not be installed, but exitstat is.
    words = shlex.shlex(line, posix=True, punctuation_chars="|>")
    words.whitespace_split = True
    words = list(words)
    words = words[words.index("exitstat") + 1:]
    ends = [i for i, word in enumerate(words) if word in ("|", ">")]
    command, *words = words[:ends[0] if ends else None] or ["show"]
    if command not in tool.COMMANDS:
        command, words = "show", [command, *words]
    # Nothing here has exits of its own.
    if command == "details":
        pytest.skip("test_machine_details.py runs it")
    result = run_example(command, words, host, tmp_path)
    assert result.returncode == 0, result.stderr

    if command == "reasons":
        assert result.stdout.splitlines() == output
        return
    heads = [text.split() for text in output if re.search(r"\bEXITS\b", text)]
    now = [text.split() for text in result.stdout.splitlines() if re.search(r"\bEXITS\b", text)]
    for head in heads:
        # The page's host has no nested guests.
        assert head in [[word for word in other if not word.startswith("L2_")] for other in now]


def test_first_example_is_real(tree):
    """The table on the page of show is what exitstat makes of such counters."""
    _, _, output = next(example for example in EXAMPLES if example[0] == page_of("show"))
    rows = [(10, "CPUID", 10000, 10513702, 0, 0, 0, 0, 0),
            (12, "HLT", 431, 1700000, 0, 500000000, 0, 0, 0),
            (30, "IO_INSTRUCTION", 10412, 13992321, 88000123, 0, 12345, 0, 0)]
    tree.put(tool.text_of(rows, guest_cycles=9876543210))
    assert tool.check_ok(tree.run(program=tool.SHARED)).splitlines() == output


def keys_of(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


def test_json_fields_are_documented(host):
    text = text_of_page("exitstat.8")
    for args in ["show", "--host", "--vcpu", "all"], ["show", "--vm", "*"], ["list", "--vcpu", "all"]:
        for key in keys_of(json.loads(exitstat(*args, "--json", *paths_of(host)))):
            assert re.search(rf"\b{key}\b", text), key


def test_metrics_are_documented(host):
    text = " ".join(map(plain, section("exitstat.8", "OUTPUT FORMATS")))
    text = text[text.index("OpenMetrics and Prometheus"):]
    for args in (["show", "--host", "--vcpu", "all"], ["show", "--vm", "*", "-d", "0.01", "-n", "1"],
                 ["list", "--units", "cycles"], ["list", "--vcpu", "all"]):
        out = exitstat(*args, "--openmetrics", *paths_of(host))
        samples = re.findall(r"^(exitstat_\w+)(?:{(.*)})? ", out, re.M)
        assert samples
        for name, labels in samples:
            for label in re.findall(r'(\w+)="', labels):
                assert re.search(rf"\b{label}\b", text), label
            if name in text:
                continue
            parts = re.fullmatch(r"exitstat_(host|vm|vcpu)_(all_)?(\w+?)(?:_(seconds|cycles))?(_total|_delta)", name)
            assert parts, name
            for part in parts.groups():
                assert not part or part == "all_" or re.search(rf"\b{part}\b", text), (name, part)


def test_recording_is_documented(host, tmp_path):
    text = text_of_page("exitstat-recording.5")
    path = tmp_path / "recording"
    result = tool.run(tool.SHARED, "record", "-o", path, "-d", "0.01", "-n", "2", "--vcpu", "all",
                      "--latency", *paths_of(host))
    assert result.returncode == 0, result.stderr
    keys = {key for line in path.read_text().splitlines() for key in keys_of(json.loads(line))}
    assert {"schema", "t", "full", "scopes", "latency", "names", "end"} <= keys
    for key in keys:
        # Facts have doctor's names.
        assert key.isdigit() or "." in key or re.search(rf"\b{key}\b", text), key


# Completion


class Shell:
    """An interactive bash on a terminal, which completes."""

    def __init__(self, path):
        self.fd, terminal = pty.openpty()
        attributes = termios.tcgetattr(terminal)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        termios.tcsetwinsize(terminal, (50, 4000))
        self.text = ""
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"], stdin=terminal, stdout=terminal, stderr=terminal,
            start_new_session=True, cwd=path,
            env={**tool.ENV, "TERM": "dumb", "PS1": "", "HOME": str(path), "LC_ALL": "C.UTF-8",
                 "PATH": f"{tool.BUILD}:{tool.ENV['PATH']}", "BASH_COMPLETION_USER_DIR": str(path)})
        os.close(terminal)
        # Not `. completion/exitstat`: that it is found by its name is a part of it.
        (path / "completions").mkdir()
        shutil.copy(COMPLETION, path / "completions")
        self.send(". /usr/share/bash-completion/bash_completion\n"
                  "bind 'set enable-bracketed-paste off'\n"
                  "bind 'set bell-style none'\n"
                  """bind -x '"\\C-t": printf "<<%s>>\\n" "$READLINE_LINE"'\n"""
                  "echo rea''dy\n")
        self.wait_for("ready\r\n")

    def send(self, text):
        os.write(self.fd, text.encode())

    def wait_for(self, pattern):
        deadline = pace.Deadline(30)
        while not (match := re.search(pattern, self.text)):
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline.left()))
            assert ready, f"bash says only {self.text!r}"
            self.text += os.read(self.fd, 65536).decode()
        self.text = self.text[match.end():]
        return match

    def _press(self, line, key):
        # Print the line that is left, and delete it.
        self.send(line + key + "\x14")
        result = self.wait_for("<<(.*?)>>\r?\n")[1]
        self.send("\x05\x15")
        return result

    def tab(self, line):
        """What the line becomes."""
        return self._press(line, "\t")

    def all(self, line):
        """All words that may stand there, instead of what has been typed of the last one."""
        result = self._press(line, "\x1b*")
        stays = len(line) - len(re.split("[ =]", line)[-1])
        assert result[:stays] == line[:stays]
        return result[stays:].split()

    def close(self):
        os.close(self.fd)
        self.process.send_signal(signal.SIGHUP)
        self.process.wait(timeout=pace.limit(30))


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    path = tmp_path_factory.mktemp("shell")
    shell = Shell(path)
    for name in "one.jsonl", "two.jsonl":
        (path / name).touch()
    (path / "directory").mkdir()
    yield shell
    shell.close()


def test_completes_commands(shell):
    assert sorted(shell.all("exitstat ")) == sorted(tool.COMMANDS)
    assert sorted(shell.all("exitstat re")) == ["reasons", "record", "report"]
    assert shell.tab("exitstat sh") == "exitstat show "
    assert sorted(shell.all("sudo exitstat re")) == ["reasons", "record", "report"]
    assert shell.all("exitstat nonsense --") == ["--"]


@pytest.mark.parametrize("command", tool.COMMANDS)
def test_completes_options(shell, command):
    names = sorted(name for _, name, _ in options_of(command))
    assert sorted(shell.all(f"exitstat {command} --")) == names
    if command == "show":
        assert sorted(shell.all("exitstat --")) == names
    assert shell.tab(f"exitstat {command} --versi") == f"exitstat {command} --version "


@pytest.mark.parametrize("command", ["show", "list", "top", "report", "diff", "guest", "reasons"])
def test_completes_columns(shell, command):
    columns = sorted(columns_of(command))
    for option in "-o ", "--columns ", "--columns=", "--sort ", "--sort=":
        assert sorted(shell.all(f"exitstat {command} {option}")) == columns
    last = columns[-1]
    assert shell.tab(f"exitstat {command} -o {last.lower()}") == f"exitstat {command} -o {last}"
    # a second one in the list, more, and the other way round
    assert shell.tab(f"exitstat {command} -o {last},{last.lower()[:-1]}") == (
        f"exitstat {command} -o {last},{last}")
    assert shell.tab(f"exitstat {command} -o +{last.lower()[:-1]}") == f"exitstat {command} -o +{last}"
    assert shell.tab(f"exitstat {command} --sort -{last.lower()[:-1]}") == f"exitstat {command} --sort -{last} "


def test_completes_values(shell):
    assert sorted(shell.all("exitstat show --units ")) == ["auto", "cycles", "ns"]
    assert sorted(shell.all("exitstat show --units=")) == ["auto", "cycles", "ns"]
    assert shell.tab("exitstat list --vcpu ") == "exitstat list --vcpu all "
    assert sorted(shell.all("exitstat reasons --isa ")) == ["svm", "vmx"]
    assert sorted(shell.all("exitstat show --source ")) == ["bpf", "debugfs", "sysfs"]
    assert shell.tab("exitstat list --source=d") == "exitstat list --source=debugfs "
    assert shell.tab("exitstat guest --source ") == "exitstat guest --source cpuid "
    # nothing to be proposed
    for line in "exitstat show -d ", "exitstat record -n ", "exitstat show ", "exitstat list x":
        assert shell.tab(line) == line


def test_completes_reasons(shell):
    names = exitstat("reasons", "--csv", "-o", "NAME").split()[1:]
    assert sorted(shell.all("exitstat show --reason ")) == sorted(names)
    for begin in "cpu", "CPU":
        assert shell.all(f"exitstat guest --reason {begin}") == [
            name for name in names if name.upper().startswith("CPU")]


def test_completes_vms(shell, host):
    source = f"--debugfs {host.debugfs} --procfs={host.procfs}"
    # without those that would have to be quoted
    words = sorted({*host.vms, *(vm.name for vm in host.vms.values() if re.fullmatch(r"[\w.-]+", vm.name))})
    assert any("web" in word for word in words)
    for command in "show", "list", "record", "show -d 1":
        assert sorted(shell.all(f"exitstat {command} {source} --vm ")) == words
    assert sorted(shell.all(f"exitstat show {source} --vm web")) == [w for w in words if w.startswith("web")]
    some = sorted(host.vms)[0]
    assert shell.tab(f"exitstat show {source} --vm={some[:-1]}").strip() == f"exitstat show {source} --vm={some}"


def test_completes_files(shell):
    files = ["directory", "one.jsonl", "two.jsonl"]
    for line in "record -o ", "report ", "report --html ", "diff ", "diff one.jsonl ", "show --textfile ":
        found = [name.rstrip("/") for name in shell.all(f"exitstat {line}")]
        assert sorted(set(found) & set(files)) == files, line
    found = [name.rstrip("/") for name in shell.all("exitstat show --debugfs ")]
    assert "directory" in found and "one.jsonl" not in found


def test_completes_another_command(shell):
    for command in "show", "guest":
        assert sorted(shell.all(f"exitstat {command} -- ls --al")) == ["--all", "--almost-all"]


# Services


SERVICES = ["exitstat-record.service", "exitstat-textfile.service"]


def test_units_are_valid(tmp_path):
    """systemd finds nothing to complain of: no unknown setting, and no page that is not there."""
    pages = tmp_path / "man/man8"
    pages.mkdir(parents=True)
    for name in PAGES:
        if name.endswith(".8"):
            shutil.copy(MAN / name, pages)
    units = tmp_path / "units"
    units.mkdir()
    names = [*SERVICES, "exitstat-attach.service", "exitstat-textfile.timer"]
    for name in names:
        # By its name alone it is found once it is installed.
        (units / name).write_text((UNITS / name).read_text().replace(
            "ExecStart=exitstat ", f"ExecStart={tool.SHARED} "))
    result = subprocess.run(["systemd-analyze", "verify", *names], cwd=units, capture_output=True, text=True,
                            env={**tool.ENV, "MANPATH": str(tmp_path / "man"),
                                 "SYSTEMD_UNIT_PATH": f"{units}:/lib/systemd/system"})
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", SERVICES)
def test_exposure(unit):
    """1.2 at most of 10: what is left is the capability, bpf(2) to read what is pinned, /proc, and what systemd does not
    know of."""
    result = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=12",
                             UNITS / unit], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_services_are_alike():
    """A hardening that one has, the other has, too."""
    settings = []
    for unit in SERVICES:
        lines = (UNITS / unit).read_text().split("AmbientCapabilities=")[1].splitlines()
        settings.append([line for line in lines if re.match(r"\w+=", line) and not re.match(
            "BindPaths=|WantedBy=", line)])
    assert settings[0] == settings[1]


# Run by unshare(1) in namespaces of its own, with a directory that is to become the root: a Debian
# of this machine's programs, but for /usr/local, with nothing installed and nothing configured.
BOOT = r"""
set -e
root=$1
mount --make-rprivate /
mount -t tmpfs -o size=512m,mode=755 tmpfs $root
cd $root
mkdir -p etc/systemd/system home old opt proc root run srv sys usr var/cache var/log
mkdir -m 1777 tmp var/tmp
mount --rbind /usr usr
mount -o remount,bind,ro usr
mount -t tmpfs -o mode=755 tmpfs usr/local
for directory in bin lib lib64 sbin; do
	ln -s usr/$directory
done
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mkdir dev
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
	touch dev/$node
	mount --bind /dev/$node dev/$node
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
# As debugfs's root is.
mount -t tmpfs -o mode=700 tmpfs sys/kernel/debug
printf '[Unit]\nDefaultDependencies=no\n' >etc/systemd/system/nothing.target
: >etc/machine-id
echo MANDATORY_MANPATH /usr/local/share/man >etc/manpath.config
cat >etc/passwd <<-PASSWD
root:x:0:0:root:/root:/bin/bash
prometheus:x:990:990:Prometheus daemon:/var/lib/prometheus:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
PASSWD
printf '%s\n' root:x:0: adm:x:4: prometheus:x:990: nogroup:x:65534: >etc/group
# As the packages make them.
mkdir -p var/lib/logrotate var/lib/prometheus/node-exporter
pivot_root . old
umount -l /old
rmdir /old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --unit=nothing.target --log-target=journal --show-status=no
"""


class Systemd:
    """A systemd in namespaces, with exitstat installed."""

    def __init__(self, path):
        self.path = path
        self.pid = None
        mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        cgroups = [mount[1] for mount in mounts if mount[2] == "cgroup2"]
        if not cgroups:
            pytest.skip("there is no cgroup2 to put systemd into")
        self.cgroup = pathlib.Path(cgroups[0]) / f"exitstat-test-{os.getpid()}"
        self.cgroup.mkdir()
        self.log = open(path / "log", "w+")
        (path / "new").mkdir()
        self.process = subprocess.Popen(
            ["unshare", "-m", "-p", "-n", "-u", "-i", "-C", "--fork", "--kill-child", "bash", "-c", BOOT,
             "boot", path / "new"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            preexec_fn=lambda: (self.cgroup / "cgroup.procs").write_text(str(os.getpid())))

    def boot(self):
        def is_up():
            assert self.process.poll() is None, (self.path / "log").read_text()
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            self.pid = children.split()[0] if children.split() else None
            return self.pid and self.run("systemctl", "is-system-running").stdout in (
                "running\n", "degraded\n")
        wait_until(is_up)
        self.root = pathlib.Path(f"/proc/{self.pid}/root")
        self.make("install")
        self.check("systemctl", "start", "systemd-journald")
        self.check("systemd-sysusers")
        self.check("systemctl", "daemon-reload")

    def make(self, target, *variables):
        subprocess.run(["make", "-s", "-C", tool.SRC, f"O={tool.BUILD}", target, f"DESTDIR={self.root}",
                        *variables], check=True)

    def run(self, *command, **kwargs):
        return subprocess.run(["nsenter", "-t", str(self.pid), "-a", *map(str, command)], capture_output=True,
                              text=True, timeout=pace.limit(120), **kwargs)

    def check(self, *command, **kwargs):
        result = self.run(*command, **kwargs)
        assert result.returncode == 0, result.stdout + result.stderr + self.run("journalctl", "-n", "20").stdout
        return result.stdout

    def shell(self, script):
        return self.check("bash", "-e", "-c", script)

    def show(self, unit, setting):
        return self.check("systemctl", "show", "--value", "-p", setting, unit).strip()

    def journal(self, unit):
        """What it said since reset()."""
        self.check("journalctl", "--sync")
        return self.check("journalctl", "-q", "-o", "cat", "-u", unit, "--after-cursor", self.cursor)

    def configure(self, text):
        (self.root / "etc/default/exitstat").write_text(text)

    def override(self, unit, text):
        directory = self.root / f"run/systemd/system/{unit}.d"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "test.conf").write_text(text)
        self.check("systemctl", "daemon-reload")

    def reset(self):
        """As it was after installation."""
        self.run("systemctl", "stop", "exitstat-textfile.timer", *SERVICES)
        self.run("systemctl", "reset-failed")
        self.shell("rm -rf /run/systemd/system/exitstat*.d /var/lib/exitstat /var/lib/prometheus/node-exporter/*;"
                   "chown root:root /var/lib/prometheus; umount -q /var/log/exitstat || true; rm -rf /var/log/exitstat /var/lib/logrotate/status;"
                   "systemctl daemon-reload")
        self.configure((UNITS / "exitstat.default").read_text())
        self.check("systemd-cat", "echo", "the next test")
        self.check("journalctl", "--sync")
        self.cursor = re.search("cursor: (.*)", self.check("journalctl", "-n", "1", "--show-cursor"))[1]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        for directory, _, _ in os.walk(self.cgroup, topdown=False):
            with contextlib.suppress(FileNotFoundError):
                wait_until(lambda: try_rmdir(directory))


def try_rmdir(path):
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def booted(tmp_path_factory):
    if os.geteuid():
        pytest.skip("only root can give systemd namespaces of its own")
    if subprocess.run(["unshare", "-m", "-p", "-n", "-u", "-i", "-C", "--fork", "true"]).returncode:
        pytest.skip("this machine gives root no namespaces")
    systemd = Systemd(tmp_path_factory.mktemp("systemd"))
    try:
        systemd.boot()
        yield systemd
    finally:
        systemd.close()


@pytest.fixture
def systemd(booted):
    """With a debugfs, and a VM of another user's."""
    booted.reset()
    tree = tool.Tree(booted.root / "sys/kernel/debug")
    tree.put(tool.text_of())
    booted.check("systemd-run", "--unit=vmm", "--uid=65534", "--gid=65534", "-p", "LogLevelMax=notice",
                 "sh", "-c", "sleep 9999; :", "-name", "guest=web1,debug-threads=on")
    booted.vm = booted.show("vmm", "MainPID") + "-11"
    tree.put(tool.text_of(scope="vm"), f"kvm/{booted.vm}")
    tree.put(tool.text_of(scope="vcpu"), f"kvm/{booted.vm}/vcpu0")
    booted.tree = tree
    yield booted
    booted.run("systemctl", "stop", "vmm")
    booted.shell("rm -rf /sys/kernel/debug/kvm")


METRICS = "/var/lib/exitstat/exitstat.prom"
# Where the node exporter finds them.
PROM = "/var/lib/prometheus/node-exporter/exitstat.prom"
# Of the directory with the node exporter's: Debian's package makes it the user prometheus's.
OWNERS = pytest.mark.parametrize("owner", ["root", "prometheus"])
RECORDING = "/var/log/exitstat/exitstat.jsonl"


def samples_of(systemd):
    """The whole lines of the recording, none if it is not there."""
    path = systemd.root / RECORDING.lstrip("/")
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(True) if line.endswith("\n")]


def test_installed_units_are_valid(systemd):
    assert systemd.check("systemd-analyze", "verify", *SERVICES, "exitstat-textfile.timer") == ""
    for unit in SERVICES:
        systemd.check("systemd-analyze", "security", "--no-pager", "--threshold=12", unit)
    for number, name in ("8", "exitstat-show"), ("5", "exitstat-recording"):
        assert systemd.check("man", "-w", number, name) == f"/usr/local/share/man/man{number}/{name}.{number}\n"


@OWNERS
def test_enabled_as_the_readme_says(systemd, owner):
    systemd.check("chown", owner, "/var/lib/prometheus")
    for command in docs.steps("README.md", "sudo systemd-sysusers", "sudo systemctl enable"):
        systemd.shell(command)
    wait_until(lambda: samples_of(systemd) and systemd.run("cat", PROM).stdout)
    systemd.shell("systemctl disable --now exitstat-record.service exitstat-textfile.timer")


def test_attach_is_enabled(systemd):
    """It runs before those that read, and says why it cannot where it cannot; what it does test_machine_bpf.py knows."""
    command, = docs.steps("Documentation/install.md", "sudo systemctl enable --now exitstat-attach.service",
                          "sudo systemctl enable --now exitstat-attach.service")
    systemd.shell(command.replace("--now ", ""))
    assert systemd.check("systemctl", "is-enabled", "exitstat-attach.service") == "enabled\n"
    assert "exitstat-record.service" in systemd.show("exitstat-attach", "Before")
    systemd.run("systemctl", "start", "--no-block", "exitstat-attach")
    wait_until(lambda: systemd.show("exitstat-attach", "ExecMainExitTimestamp"))
    assert int(systemd.show("exitstat-attach", "ExecMainStatus")) in (0, 1, 77)
    systemd.shell("systemctl disable --now exitstat-attach.service; exitstat detach")


@OWNERS
def test_textfile(systemd, owner):
    """The host's counters and those of another user's VM, by name, in a file that prometheus can read."""
    systemd.check("chown", owner, "/var/lib/prometheus")
    systemd.check("systemctl", "start", "exitstat-textfile")
    assert systemd.check("stat", "-L", "-c", "%U %a", PROM) == "exitstat 644\n"
    text = systemd.check("setpriv", "--reuid=prometheus", "--regid=prometheus", "--clear-groups", "cat", PROM)
    assert 'exitstat_host_exits_total{isa="vmx",reason="10",name="CPUID"} 10000\n' in text
    assert f'exitstat_vm_exits_total{{isa="vmx",vm="{systemd.vm}",vm_name="web1",reason="10"' in text
    assert "# EOF" not in text
    # Nothing else is there, and nothing was said.
    for path in METRICS, PROM:
        assert systemd.check("ls", "-A", pathlib.Path(path).parent).split() == ["exitstat.prom"]
    assert systemd.journal("exitstat-textfile") == ""


def test_textfile_gives_no_rights(systemd):
    """Not even where the user prometheus has put another directory in the exporter's place."""
    rights = systemd.check("stat", "-c", "%n %a %U %G", "/etc", "/var/lib/prometheus/node-exporter")
    systemd.shell("mv /var/lib/prometheus/node-exporter /var/lib/prometheus/elsewhere;"
                  "ln -s /etc /var/lib/prometheus/node-exporter; chown -R -h prometheus /var/lib/prometheus")
    try:
        systemd.check("systemctl", "start", "exitstat-textfile")
        assert systemd.check("find", "/etc", "-newer", METRICS, "!", "-type", "d") == "/etc/exitstat.prom\n"
        assert systemd.check("readlink", "/etc/exitstat.prom") == f"{METRICS}\n"
        assert systemd.run("setpriv", "--reuid=exitstat", "--clear-groups", "touch", "/etc/x").returncode
    finally:
        systemd.shell("rm -f /etc/exitstat.prom /var/lib/prometheus/node-exporter;"
                      "mv /var/lib/prometheus/elsewhere /var/lib/prometheus/node-exporter;"
                      "chown root /var/lib/prometheus/node-exporter")
    assert systemd.check("stat", "-c", "%n %a %U %G", "/etc", "/var/lib/prometheus/node-exporter") == rights


def test_textfile_is_replaced_regularly(systemd):
    systemd.override("exitstat-textfile.timer", "[Timer]\nOnUnitActiveSec=\nOnActiveSec=100ms\n"
                     "OnUnitActiveSec=300ms\nAccuracySec=1ms\n")
    systemd.check("systemctl", "start", "exitstat-textfile.timer")
    path = systemd.root / METRICS.lstrip("/")
    wait_until(path.exists)
    before = path.stat().st_ino
    systemd.tree.put(tool.text_of(failed_entries=77))
    wait_until(lambda: "exitstat_host_failed_entries_total{isa=\"vmx\"} 77" in path.read_text())
    assert path.stat().st_ino != before
    # A host where that fails keeps the last values, and the journal says why, once for each time.
    systemd.shell("mv /sys/kernel/debug/kvm /sys/kernel/debug/no-kvm")
    wait_until(lambda: "the module kvm is not loaded" in systemd.journal("exitstat-textfile"))
    assert "} 77" in path.read_text()
    systemd.shell("mv /sys/kernel/debug/no-kvm /sys/kernel/debug/kvm")
    systemd.tree.put(tool.text_of(failed_entries=78))
    wait_until(lambda: "exitstat_host_failed_entries_total{isa=\"vmx\"} 78" in path.read_text())


def test_textfile_options(systemd):
    systemd.configure("TEXTFILE_OPTIONS=list --units cycles\n")
    systemd.check("systemctl", "start", "exitstat-textfile")
    text = systemd.check("cat", PROM)
    assert "exitstat_vm_all_exits_total{" in text and "exitstat_vm_guest_cycles_total" in text
    assert "exitstat_host" not in text


def test_textfile_without_node_exporter(systemd):
    systemd.shell("mv /var/lib/prometheus/node-exporter /var/lib/prometheus/elsewhere")
    try:
        systemd.check("systemctl", "start", "exitstat-textfile")
        assert systemd.show("exitstat-textfile", "ConditionResult") == "no"
    finally:
        systemd.shell("mv /var/lib/prometheus/elsewhere /var/lib/prometheus/node-exporter")


def test_installed_elsewhere(systemd):
    """The program and the settings are those below PREFIX."""
    prefix = "/opt/exitstat"
    systemd.make("install", f"PREFIX={prefix}")
    systemd.shell(f"systemctl link {prefix}/lib/systemd/system/*")
    try:
        systemd.configure("TEXTFILE_OPTIONS=show\nRECORD_OPTIONS=--nonsense\n")
        (systemd.root / "opt/exitstat/etc/default/exitstat").write_text("TEXTFILE_OPTIONS=list\n")
        systemd.shell("mv /usr/local/bin/exitstat /usr/local/bin/hidden")
        for unit in SERVICES:
            systemd.check("systemctl", "start", unit)
        text = systemd.check("cat", PROM)
        assert "exitstat_vm_all_exits_total{" in text and "exitstat_host" not in text
        wait_until(lambda: samples_of(systemd))
        systemd.check("systemctl", "stop", "exitstat-record")
    finally:
        systemd.shell("mv /usr/local/bin/hidden /usr/local/bin/exitstat; rm /etc/systemd/system/exitstat-*")
        (systemd.root / "opt/exitstat/etc/default/exitstat").unlink()
        systemd.make("uninstall", f"PREFIX={prefix}")
    assert not systemd.check("find", "/opt", "-mindepth", "1")


PROBE = r"""
{
grep -E '^(NoNewPrivs|Seccomp|Cap(Inh|Prm|Eff|Bnd|Amb)):' /proc/self/status
echo user: $(id -un 2>/dev/null || id -u)
echo root: $(ls /)
echo etc: $(ls -A /etc 2>&1)
echo disks: $(find /var /home /root /srv 2>/dev/null)
echo links: $(ls /sys/class/net)
echo devices: $(ls /dev)
head -n 1 /sys/kernel/debug/kvm/exit_stats
tr '\0' ' ' </proc/$VMM/cmdline; echo
for file in /x /usr/x /sys/kernel/mm/x /var/x $ALLOWED/x /var/lib/prometheus/node-exporter/x \
		/sys/kernel/debug/kvm/x; do
	(: >$file) 2>/dev/null && echo can write $file
done
cat /proc/kcore 2>&1 | head -c 100
unshare -U true 2>/dev/null && echo can unshare
nice -n -5 true 2>&1 | head -n 1
python3 -c '
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(321, 7, ctypes.create_string_buffer(128), 128)
print("bpf:", ctypes.get_errno())'
}
exit 0
"""


@pytest.mark.parametrize("unit,allowed", [("exitstat-record.service", "/var/log/exitstat"),
                                          ("exitstat-textfile.service", "/var/lib/exitstat")])
def test_sandbox(systemd, unit, allowed):
    """What another program can do in the place of exitstat."""
    (systemd.root / "usr/local/bin/probe").write_text("#!/usr/bin/sh\n" + PROBE)
    systemd.shell("chmod 755 /usr/local/bin/probe; rm -f /run/probe")
    systemd.override(unit, f"[Service]\nExecStart=\nExecStart=/usr/local/bin/probe\nRestart=no\nType=oneshot\n"
                     f"StandardOutput=append:/run/probe\nEnvironment=ALLOWED={allowed} "
                     f"VMM={systemd.vm.split('-')[0]}\n")
    systemd.check("systemctl", "start", unit)
    out = systemd.check("cat", "/run/probe")
    capabilities = dict(re.findall(r"^(Cap\w+):\s+(\w+)$", out, re.M))
    # CAP_DAC_READ_SEARCH
    assert set(capabilities.values()) == {"0000000000000004"} and len(capabilities) == 5
    assert re.search(r"^NoNewPrivs:\s+1$", out, re.M) and re.search(r"^Seccomp:\s+2$", out, re.M)
    assert re.search(r"^root: dev lib lib64 proc run sys tmp usr var$", out, re.M)
    assert re.search(r"^etc: ls: cannot access '/etc'", out, re.M)
    disks = re.search("^disks: (.*)$", out, re.M)[1].split()
    directories = [pathlib.Path(allowed), *([pathlib.Path(PROM).parent] if "textfile" in unit else [])]
    assert set(disks) - {"/var/tmp"} <= {str(p) for path in directories for p in [path, *path.parents]} | {
        f"{allowed}/x", RECORDING}
    assert re.search("^links: lo$", out, re.M)
    devices = set(re.search("^devices: (.*)$", out, re.M)[1].split())
    assert not devices & {"kvm", "mem", "kmsg", "sda", "vda", "net"}
    # What exitstat needs is there.
    assert "exit_stats version=1" in out
    assert "-name guest=web1,debug-threads=on" in out
    assert re.findall("^can .*$", out, re.M) == [f"can write {allowed}/x"]
    assert "/proc/kcore: No such file" in out
    # Reading what is pinned is allowed, and would be refused with EPERM; there is no pin without a name.
    assert int(re.search(r"^bpf: (\d+)$", out, re.M)[1]) not in (0, errno.EPERM)


def test_record(systemd):
    systemd.configure("RECORD_OPTIONS=-d 0.05 --vcpu all\n")
    systemd.check("systemctl", "start", "exitstat-record")
    wait_until(lambda: len(samples_of(systemd)) > 3)
    assert systemd.check("stat", "-c", "%U %a", RECORDING, "/var/log/exitstat") == "exitstat 600\nexitstat 700\n"
    head, first, *_ = samples_of(systemd)
    assert (head["schema"], head["interval"], head["source"]) == ("exitstat.recording", .05, "debugfs")
    assert [scope.get("vm") for scope in first["scopes"]] == [None, systemd.vm, systemd.vm]
    assert first["scopes"][1]["name"] == "web1"
    systemd.check("systemctl", "stop", "exitstat-record")
    assert samples_of(systemd)[-1]["end"] == "SIGTERM"
    assert systemd.show("exitstat-record", "Result") == "success"
    # The next start appends.
    before = (systemd.root / RECORDING.lstrip("/")).read_text()
    systemd.check("systemctl", "start", "exitstat-record")
    wait_until(lambda: len((systemd.root / RECORDING.lstrip("/")).read_text()) > len(before))
    assert (systemd.root / RECORDING.lstrip("/")).read_text().startswith(before)


def test_record_is_rotated(systemd):
    """As logrotate.timer does it every day: nothing is missing, and each file is whole."""
    systemd.configure("RECORD_OPTIONS=-d 0.05\n")
    systemd.check("systemctl", "start", "exitstat-record")
    names = []
    for _ in range(3):
        wait_until(lambda: len(samples_of(systemd)) > 5)
        assert systemd.check("logrotate", "-f", "/etc/logrotate.d/exitstat") == ""
        wait_until(lambda: (systemd.root / RECORDING.lstrip("/")).exists())
        # The next name has another second.
        time.sleep(1.1)
    assert systemd.show("exitstat-record", "NRestarts") == "0"
    systemd.check("systemctl", "stop", "exitstat-record")
    names = systemd.shell("cd /var/log/exitstat; ls").split()
    assert [re.sub(r"\d{8}-\d{6}", "DATE", name) for name in names] == [
        "exitstat-DATE.jsonl.gz", "exitstat-DATE.jsonl.gz", "exitstat-DATE.jsonl", "exitstat.jsonl"]
    assert set(systemd.shell("cd /var/log/exitstat; stat -c '%U %a' *").splitlines()) == {"exitstat 600"}
    for name in names:
        text = systemd.shell(f"cd /var/log/exitstat; zcat -f {name}")
        lines = [json.loads(line) for line in text.splitlines()]
        assert lines[0]["schema"] == "exitstat.recording"
        assert lines[-1]["end"] == ("SIGTERM" if name == names[-1] else "SIGHUP")
        assert not any(line.get("lost") for line in lines)


def test_nothing_to_rotate(systemd):
    assert systemd.check("logrotate", "-f", "/etc/logrotate.d/exitstat") == ""
    assert systemd.show("exitstat-record", "ActiveState") == "inactive"


def test_record_on_a_full_disk(systemd):
    systemd.shell("mkdir -p /var/log/exitstat; mount -t tmpfs -o size=64k tmpfs /var/log/exitstat;"
                  "head -c 40000 /dev/zero >/var/log/exitstat/filler")
    systemd.configure("RECORD_OPTIONS=-d 0.002\n")
    systemd.check("systemctl", "start", "exitstat-record")
    wait_until(lambda: "samples are being lost" in systemd.journal("exitstat-record"))
    assert systemd.show("exitstat-record", "ActiveState") == "active"
    systemd.shell("rm /var/log/exitstat/filler")
    wait_until(lambda: "samples are being written again" in systemd.journal("exitstat-record"))
    systemd.check("systemctl", "stop", "exitstat-record")
    text = (systemd.root / RECORDING.lstrip("/")).read_text()
    lines = []
    for line in filter(None, text.splitlines()):
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(line))
    assert any(line.get("lost") for line in lines) and "samples" in lines[-1]
    assert systemd.show("exitstat-record", "NRestarts") == "0"


def test_record_without_kvm(systemd):
    """It tries again."""
    systemd.shell("mv /sys/kernel/debug/kvm /sys/kernel/debug/no-kvm")
    systemd.override("exitstat-record.service", "[Service]\nRestartSec=200ms\n")
    systemd.check("systemctl", "start", "exitstat-record")
    wait_until(lambda: systemd.show("exitstat-record", "SubState") == "auto-restart")
    assert "the module kvm is not loaded" in systemd.journal("exitstat-record")
    systemd.shell("mv /sys/kernel/debug/no-kvm /sys/kernel/debug/kvm")
    wait_until(lambda: samples_of(systemd))


def test_record_with_wrong_options(systemd):
    """It does not try again, and says what is wrong."""
    systemd.configure("RECORD_OPTIONS=--nonsense\n")
    systemd.check("systemctl", "start", "exitstat-record")
    wait_until(lambda: systemd.show("exitstat-record", "ActiveState") == "failed")
    assert "--nonsense" in systemd.journal("exitstat-record")
