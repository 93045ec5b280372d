#!/usr/bin/python3
"""Make the pictures of 'exitstat top': it runs in a real terminal, tmux, on an invented host.

    top_screenshot.py [--size COLUMNSxLINES] [OUTPUT-DIRECTORY]

writes top.png and top-latency.png, by default to Documentation.  Needs tmux and chromium; what the
host counts is always the same, but for how often it is read.
"""
import argparse
import html
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP / "tests"))
from tree import Tree  # noqa: E402

# As of xterm, a little milder.
COLORS = ["#1d2026", "#e06c75", "#7fb069", "#e5b95c", "#5b8fd6", "#b877c9", "#4fb3bf", "#d7dae0"]
CELL_WIDTH, CELL_HEIGHT, MARGIN = 9, 19, 12


class Screen:
    def __init__(self, directory, columns, lines, command):
        self.tmux = ["tmux", "-f", "/dev/null", "-S", str(directory / "tmux")]
        env = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        env.pop("NO_COLOR", None)
        subprocess.run([*self.tmux, "set", "-g", "default-terminal", "tmux-256color", ";", "new-session",
                        "-d", "-x", str(columns), "-y", str(lines), *command], check=True, env=env)

    def keys(self, *keys):
        subprocess.run([*self.tmux, "send-keys", *keys], check=True)

    def text(self, *options):
        return subprocess.run([*self.tmux, "capture-pane", "-p", "-N", *options], check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    def close(self):
        subprocess.run([*self.tmux, "kill-server"], check=False)


class Style:
    """What the escape sequences up to here say."""

    def __init__(self):
        self.set([0])

    def set(self, codes):
        for code in codes:
            if code == 0:
                self.bold = self.underline = self.reverse = self.dim = False
                self.front, self.back = None, None
            elif code in (1, 2, 4, 7):
                setattr(self, {1: "bold", 2: "dim", 4: "underline", 7: "reverse"}[code], True)
            elif 30 <= code < 38:
                self.front = COLORS[code - 30]
            elif code == 39:
                self.front = None
            elif 40 <= code < 48:
                self.back = COLORS[code - 40]
            elif code == 49:
                self.back = None

    def css(self):
        front, back = self.front or COLORS[7], self.back or COLORS[0]
        if self.reverse:
            front, back = back, front
        return (f"color:{front};background:{back}" + ";font-weight:bold" * self.bold
                + ";text-decoration:underline" * self.underline + ";opacity:.6" * self.dim)


def to_html(text, columns, lines):
    style = Style()
    rows = []
    for line in text.split("\n")[:lines]:
        row = ""
        for part in re.findall(r"\x1b\[[\d;]*m|[^\x1b]+", line):
            if part.startswith("\x1b"):
                style.set([int(code or 0) for code in part[2:-1].split(";")])
            else:
                # A block of one colour, behind a letter for terminals without colours.
                if style.front and style.front == style.back:
                    part = " " * len(part)
                row += f'<span style="{style.css()}">{html.escape(part)}</span>'
        rows.append(f"<div>{row or ' '}</div>")
    return (f'<!DOCTYPE html><meta charset="utf-8"><style>html,body{{margin:0;background:{COLORS[0]}}}'
            f"pre{{margin:{MARGIN}px;width:{columns * CELL_WIDTH}px;font:15px 'DejaVu Sans Mono'}}"
            f"div,span{{height:{CELL_HEIGHT}px;line-height:{CELL_HEIGHT}px;display:inline-block;"
            "white-space:pre;vertical-align:top}div{display:block}</style><pre>" + "".join(rows) + "</pre>")


def make_picture(text, columns, lines, path):
    size = f"{columns * CELL_WIDTH + 2 * MARGIN},{lines * CELL_HEIGHT + 2 * MARGIN}"
    with tempfile.TemporaryDirectory() as directory:
        page = pathlib.Path(directory) / "page.html"
        page.write_text(to_html(text, columns, lines))
        subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                        f"--user-data-dir={directory}/profile", f"--window-size={size}",
                        f"--screenshot={path}", page.as_uri()], check=True, capture_output=True)


def run(tree, seconds, step=0.25):
    """Let the host go on for a while, in step with the clock."""
    end = time.monotonic() + seconds
    beat = time.monotonic()
    while beat < end:
        beat += step
        time.sleep(max(0, beat - time.monotonic()))
        tree.advance(step)


def main():
    parser = argparse.ArgumentParser(description="Make the pictures of 'exitstat top'.")
    parser.add_argument("--size", default="110x32")
    parser.add_argument("--exitstat", default=TOP / "build/exitstat")
    parser.add_argument("output", nargs="?", type=pathlib.Path, default=TOP / "Documentation")
    args = parser.parse_args()
    columns, lines = map(int, args.size.split("x"))

    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        tree = Tree(directory / "tree", vms=14, vcpus=4)
        command = [str(args.exitstat), "top", "--debugfs", str(tree.debugfs), "--procfs", str(tree.procfs)]
        if os.geteuid() == 0:
            # The name of this machine tells nobody anything.
            command = ["unshare", "--uts", "sh", "-c", 'hostname kvm1; exec "$@"', "sh", *command]
        screen = Screen(directory, columns, lines, command)
        try:
            run(tree, 2)
            screen.keys("2", "Down", "Down")
            run(tree, 2)
            table = screen.text("-e")
            screen.keys("1")
            run(tree, 2)
            # Of a reason for which the VMM works, too.
            shown = screen.text().split("\n")
            names = [line.split()[1] for line in shown if re.match(r" +\d+ [A-Z]", line)]
            screen.keys(*["Down"] * names.index("IO_INSTRUCTION"), "l", "c")
            run(tree, 4)
            latency = screen.text("-e")
        finally:
            screen.close()
    make_picture(table, columns, lines, args.output / "top.png")
    make_picture(latency, columns, lines, args.output / "top-latency.png")


if __name__ == "__main__":
    main()
