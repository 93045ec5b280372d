"""The tool's folders are layers: an include goes to its own folder or to one below, and in no circle."""
import graphlib
import re

import pytest
from tool import SRC

FOLDERS = re.search(r"^FOLDERS := (.*)", (SRC / "Makefile").read_text(), re.M)[1].split()
FILES = sorted(path.relative_to(SRC) for path in SRC.rglob("*.[ch]"))


def includes(file):
    return re.findall(r'^#include "(.*)"', (SRC / file).read_text(), re.M)


def layer(file):
    """Of a file in no folder, main.c: the highest."""
    folder = str(file).rpartition("/")[0]
    return FOLDERS.index(folder) if folder else len(FOLDERS)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_includes_go_down(file):
    assert not [name for name in includes(file) if layer(name) > layer(file)]


def test_no_circle():
    graphlib.TopologicalSorter({str(file): includes(file) for file in FILES}).prepare()


# Each program is linked with one of these.
SEVERAL = {"view/table_render": ["view/table_plain", "view/table_smartcols"],
           "doctor/inhibits": ["doctor/inhibits", "doctor/inhibits_none"],
           "details/attach": ["details/attach", "details/attach_none"]}


def home(header, name):
    """The files that define a function; of a command the one that has its name."""
    unit = str(header.with_suffix(""))
    return [f"cmd/{name[4:]}"] if unit == "cmd/commands" else SEVERAL.get(unit, [unit])


@pytest.mark.parametrize("header", [f for f in FILES if f.suffix == ".h"], ids=str)
def test_a_header_declares_what_its_file_defines(header):
    text = re.sub(r"/\*.*?\*/", "", (SRC / header).read_text(), flags=re.S)
    declared = re.findall(r"^(?!static|extern|typedef|#)\w[\w \t*]*?\b(\w+)\([^;{]*\)(?:\s*__\w+\(.*\))?;", text, re.M)
    for name in declared:
        for unit in home(header, name):
            assert re.search(rf"^\w[\w \t*]*\b{name}\(", (SRC / f"{unit}.c").read_text(), re.M), (name, unit)
