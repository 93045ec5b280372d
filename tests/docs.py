"""The commands that the documents tell people to run; tests take them from there."""
import os
import re

from paths import TOP

PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md",
         *sorted(f"Documentation/{p.name}" for p in (TOP / "Documentation").glob("*.md"))]
COMMAND = re.compile(r"(?:[A-Z]+=(?:\$\([^)]*\)|\S)+ )*"
                     r"(?:sudo|make|man|cat|chgrp|apt|xz|exitstat|/usr/bin/python3) ")
# No command as it stands.
SYNOPSIS = re.compile(r"^exitstat( |$)|=VERSION$")


def commands(page):
    """A page's commands in their order, without comments: lines of blocks, and words in the text."""
    text = (TOP / page).read_text()
    found = []
    for block, words in re.findall(r"^    (\S.*)|`([^`]+)`", text, re.M):
        command = re.sub(r" +# .*", "", block or re.sub(r"\s+", " ", words))
        if COMMAND.match(f"{command} ") and (block or not SYNOPSIS.search(command)):
            found.append(command)
    return found


def steps(page, first, last=None):
    """A page's commands from the one that begins so to the next that begins so, as root says them."""
    found = commands(page)
    begin = next(i for i, command in enumerate(found) if command.startswith(first))
    end = next(i for i, command in enumerate(found[begin:], begin) if command.startswith(last or first))
    return [command.replace("sudo ", "") for command in found[begin:end + 1]]


def put(program, script):
    """Write a shell script that stands for a program."""
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def put_uname(directory, release):
    """A uname of a host that runs this kernel."""
    put(directory / "uname", f'[ "$*" != -r ] || exec echo {release}\nexec /usr/bin/uname "$@"')


def environment(**more):
    """A reader's, who is in no make and has chosen no kernel and no emulator."""
    return {name: value for name, value in os.environ.items()
            if name not in ("MAKEFLAGS", "MAKELEVEL", "KREL", "EMU")} | more
