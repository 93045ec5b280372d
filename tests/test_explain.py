"""exitstat explain: what there is to say of each reason, and that it is said of all of them.

Which reasons there are is taken from the kernel's headers, and which files from the source of its
KVM; both are read here anew.
"""
import json
import pathlib
import re

import jsonschema
import pytest

from tool import ASAN, BUILD, SRC, STATIC, check_ok, check_refused, run

pytestmark = pytest.mark.usefixtures("programs")

PARTS = ["what", "causes", "normal", "which"]


def explained(*args, program=ASAN):
    out = json.loads(check_ok(run(program, "explain", "--json", *args)))
    jsonschema.validate(out, json.loads((SRC / "schema/exitstat.explain.json").read_text()))
    return out["reasons"]


@pytest.mark.parametrize("isa", ["vmx", "svm"])
def test_every_reason_of_the_kernel_is_explained(isa):
    header = pathlib.Path(f"/usr/include/x86_64-linux-gnu/asm/{isa}.h").read_text()
    header = header.partition("_EXIT_REASON_FLAGS")[0]
    names = {name.replace(" ", "_") for name in re.findall(r'\{ [\w +]+,\s+"([^"]+)" \}', header)}
    assert len(names) > 50
    rows = explained("--isa", isa, "*")
    assert {row["name"] for row in rows} >= names and len({row["reason"] for row in rows}) == len(rows)
    for row in rows:
        assert all(row[part] for part in PARTS) and row["sources"]
        # Sentences that end, and no two blanks in a row.
        for part in *PARTS, "then":
            assert not re.search(r"  |^ | $|\n", row.get(part, ""))
        assert row["what"].endswith(".") and row["causes"].endswith(".")


@pytest.mark.parametrize("isa", ["vmx", "svm"])
def test_every_number_of_the_manuals_is_explained(isa):
    rows = json.loads(check_ok(run(ASAN, "reasons", "--isa", isa, "--json")))["reasons"]
    for row in rows:
        if row["defined"] == "yes":
            assert [one["reason"] for one in explained("--isa", isa, str(row["reason"]))] == [row["reason"]]


def test_sources_are_there():
    """Each file of the kernel that is named, in the kernel's source from which the modules are built."""
    kernel_source = next(BUILD.glob("linux-6.*"))
    sources = {source for isa in ("vmx", "svm") for row in explained("--isa", isa, "*") for source in row["sources"]}
    paths = {path for source in sources for path in re.findall(r"\b(?:arch|Documentation)/\S+?(?=,|$)", source)}
    assert len(paths) > 10
    for path in paths:
        # Of the documents only KVM's are fetched with it.
        if path.startswith(("arch/", "Documentation/virt/kvm/")):
            assert (kernel_source / path).is_file(), path
    # No key that leads nowhere, and none that nobody needs.
    text = (SRC / "model/explain_x86.c").read_text()
    keys = set(re.findall(r'^\t\{ "(\S+)",', text, re.M))
    used = {key for line in re.findall(r'\.sources = "(.*?)"', text) for key in line.split()}
    assert keys == used


@pytest.mark.parametrize("args, found", [
    (["--isa", "vmx", "EPT_VIOLATION"], [48]), (["--isa", "vmx", "ept_violation"], [48]), (["--isa", "vmx", "48"], [48]),
    (["--isa", "vmx", "0x30"], [48]), (["--isa", "svm", "0x400"], [0x400]), (["--isa", "svm", "npf"], [0x400]),
    (["--isa", "vmx", "MSR_*"], [31, 32, 34]), (["--isa", "svm", "4294967295"], [0xffffffff])])
@pytest.mark.parametrize("program", [ASAN, STATIC], ids=lambda path: path.name)
def test_which_reasons(args, found, program):
    assert sorted(row["reason"] for row in explained(*args, program=program)) == found


def test_reasons_of_the_other_vendor():
    """Whatever this machine is."""
    assert [row["isa"] for row in explained("npf")] == ["svm"]
    assert [row["isa"] for row in explained("EPT_VIOLATION")] == ["vmx"]


def test_text():
    out = check_ok(run(ASAN, "explain", "--isa", "vmx", "MSR_WRITE"))
    assert out.startswith("MSR_WRITE: exit number 32 (0x20) of vmx\n  What      ")
    assert all(len(line) < 80 for line in out.splitlines())
    for title in "Causes", "Normal", "Which one", "Then", "Sources":
        assert re.search(rf"^  {title} +\S", out, re.M)
    said = " ".join(line[12:] for line in out.splitlines()[1:])
    row, = explained("--isa", "vmx", "MSR_WRITE")
    assert all(row[part] in said for part in (*PARTS, "then"))
    # Those that mean the same are explained once.
    out = check_ok(run(ASAN, "explain", "--isa", "vmx", "VM*"))
    assert out.count("VMREAD: exit number 23") == 1 and out.count("Nested virtualization.") == 1


def test_errors():
    for word in "nosuch", "999", "", "0x30x", "*nosuch*":
        check_refused(run(ASAN, "explain", word), 1, "there is no exit reason")
    check_refused(run(ASAN, "explain"), 2, "REASON is missing")
    check_refused(run(ASAN, "explain", "--isa", "arm", "1"), 2, "vmx or svm")
    check_refused(run(ASAN, "explain", "1", "2"), 2, "unexpected argument '2'")


def test_reasons_say_what_they_mean():
    out = check_ok(run(ASAN, "reasons", "--isa", "vmx", "-l", "--reason", "HLT"))
    assert out.splitlines()[0].split()[-1] == "MEANING"
    assert explained("--isa", "vmx", "HLT")[0]["what"] in out


def test_document_names_existing_commands():
    """What it tells people to run is there."""
    text = (SRC / "model/explain_x86.c").read_text()
    commands = set(re.findall(r"'exitstat (\w+)'", text))
    assert commands and commands <= set(re.findall(r"^  (\w+) ", check_ok(run(ASAN, "--help")), re.M))
