"""The tool's packages in a clean Debian 12 and 13: installed, used, upgraded, removed and purged.

Not named test_*, so that `make check` leaves it alone: it makes a Debian of its own.
"""
import re

import pytest

from packages import debian

CONFIGURED = "/etc/default/exitstat"
# Written by dpkg and others, whatever is installed.
IGNORED = re.compile(r"/(var/(lib/(dpkg|apt)|cache/(apt|ldconfig)|log/(dpkg|apt|alternatives))|proc|dev|root"
                     r"|archive|etc/ld\.so\.cache|run)\b")


@pytest.fixture
def root(debs, release, request):
    """What exitstat depends on is installed, and what every Debian has."""
    tar = debian.tree(f"clean-{release}", debian.depends(debs["exitstat"]), release)
    with debian.root(tar, f"root-{request.node.originalname}-{release}") as made:
        yield made


def test_twice_built_is_the_same(debs, release):
    again = debian.build_on(release, debian.PACKAGES / release / "again")
    assert {name: deb.read_bytes() for name, deb in again.items()} == {
        name: deb.read_bytes() for name, deb in debs.items()}


def files(root):
    """{path: what it is}, of what is not the package manager's own."""
    found = root.run(r"find / -xdev -path /proc -prune -o -printf '%p %y %m %u %l\n'")
    return {line.split()[0]: line for line in found.splitlines() if not IGNORED.match(line.split()[0])}


def test_use(root, debs):
    root.install(debs["exitstat"], debs["exitstat-guest"])
    assert root.run("exitstat --version") == "exitstat 0.1\n"
    assert "EPT_VIOLATION" in root.run("exitstat reasons --isa vmx")
    # Here are no exits to see, neither of the host nor of a guest.
    said, status = root.run("exitstat", check=False)
    assert status in (1, 77) and said.startswith("exitstat: ")
    whole, own = root.run("exitstat guest", check=False), root.run("exitstat-guest", check=False)
    assert own == whole and own[1] == 77
    assert root.run("exitstat-guest --help").startswith("Usage: exitstat guest ")
    assert "Chart.js" in root.run("grep -a 'Chart.js v' /usr/bin/exitstat")
    assert root.run("ls /usr/share/exitstat/schema").split() == [
        f"exitstat.{kind}.json" for kind in ("diff", "list", "reasons", "recording", "show")]


def test_nothing_runs_unless_asked(root, debs):
    root.install(debs["exitstat"])
    for unit in "exitstat-record.service", "exitstat-textfile.timer":
        said, status = root.run(f"systemctl --root=/ is-enabled {unit}", check=False)
        assert (said, status) == ("disabled\n", 1)
    passwd = root.run("getent passwd exitstat").split(":")
    assert passwd[0] == "exitstat" and passwd[6].strip() == "/usr/sbin/nologin"
    root.run("systemd-analyze verify --man=no /lib/systemd/system/exitstat-*")


def test_upgrade_keeps_what_the_administrator_chose(root, debs, next_debs):
    root.install(debs["exitstat"], debs["exitstat-guest"])
    root.run(f"echo 'RECORD_OPTIONS=-d 60' >{CONFIGURED}; systemctl --root=/ enable exitstat-record")
    root.install(next_debs["exitstat"], next_debs["exitstat-guest"])
    assert root.run("dpkg-query -W -f '${Version}' exitstat") == "0.1+1"
    assert root.run(f"cat {CONFIGURED}") == "RECORD_OPTIONS=-d 60\n"
    assert root.run("systemctl --root=/ is-enabled exitstat-record") == "enabled\n"
    assert root.run("systemctl --root=/ is-enabled exitstat-textfile.timer", check=False)[0] == "disabled\n"


def test_nothing_is_left_after_purge(root, debs):
    before = files(root)
    # As the services leave it.
    link = "/var/lib/prometheus/node-exporter/exitstat.prom"
    metrics = "/var/lib/exitstat/exitstat.prom"
    root.run("mkdir -p /var/lib/prometheus/node-exporter")
    root.install(debs["exitstat"], debs["exitstat-guest"])
    root.run(f"systemctl --root=/ enable exitstat-record exitstat-textfile.timer; "
             f"mkdir /var/log/exitstat /var/lib/exitstat; touch /var/log/exitstat/exitstat.jsonl {metrics};"
             f"ln -s {metrics} {link}")
    root.run("dpkg -r exitstat exitstat-guest")
    # Numbers that nobody writes any more would pass for news; recordings and settings stay.
    root.run(f"test ! -L {link} && test -e /var/log/exitstat/exitstat.jsonl")
    root.run(f"test -e {CONFIGURED}")
    root.run("yes | apt purge exitstat; dpkg -P exitstat-guest; rm -r /var/lib/prometheus")
    after = files(root)
    left = {path for path in after.keys() | before.keys() if after.get(path) != before.get(path)}
    # Debian's system users stay, and so does what a file was before its last change.
    users = {f"/etc/{name}{old}" for name in ("passwd", "group", "shadow", "gshadow") for old in ("", "-")}
    assert left <= users | {"/etc/.pwd.lock"}, left
    assert root.run("dpkg-query -W 'exitstat*'", check=False)[1] == 1
