"""Fuzz exitstat: run.py [--seconds N] [--keep] [TARGET]...

Each target runs for so many seconds, as many at once as there are CPUs, from the seeds and the
inputs that are kept in tests/data/exitstat/fuzz/.  What it finds is made small and put there, where
'make check' runs it until it is repaired, and ever after.  With --keep the inputs
that are kept are chosen anew, from all that there are, as those that reach the most.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import seeds
from paths import BUILD, TOP

HERE = pathlib.Path(__file__).resolve().parent
FUZZ = BUILD / "fuzz"
TARGETS = sorted(path.stem for path in HERE.glob("fuzz_*.c"))
FINDINGS = ("crash", "leak", "timeout", "oom")

# No input needs longer than that, and none needs more memory, in MiB.
TIMEOUT = 5
MEMORY = 1024
MAX_LEN = {"fuzz_diff": 16384, "fuzz_recording": 16384, "fuzz_report": 16384, "fuzz_scan": 16384}
# How many inputs of a target are kept, and how many bytes.
KEEP = {"fuzz_scan": (64, 150000)}
KEEP_OTHERS = 18, 40000


class Target:
    def __init__(self, name):
        self.name = name
        self.program = FUZZ / name
        self.corpus = FUZZ / "corpus" / name
        self.found = FUZZ / "found" / name
        self.log = FUZZ / f"{name}.log"
        self.kept = seeds.kept(name)
        self.stats = {}

    def options(self):
        yield from (f"-timeout={TIMEOUT}", f"-rss_limit_mb={MEMORY}", f"-artifact_prefix={self.found}/",
                    f"-max_len={MAX_LEN.get(self.name, 8192)}")
        dictionary = HERE / f"{self.name}.dict"
        if dictionary.exists():
            yield f"-dict={dictionary}"

    def call(self, *args, log=subprocess.DEVNULL):
        # In memory, as some targets write files for each input.
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="exitstat-fuzz-", dir=shm) as directory:
            env = {"PATH": os.environ["PATH"], "TMPDIR": directory,
                   "UBSAN_OPTIONS": "print_stacktrace=1"}
            return subprocess.run([self.program, *self.options(), *args], stdout=log,
                                  stderr=subprocess.STDOUT, env=env, check=False).returncode

    def begin(self):
        shutil.rmtree(self.found, ignore_errors=True)
        for directory in self.corpus, self.found, self.kept:
            directory.mkdir(parents=True, exist_ok=True)
        for name, data in seeds.seeds(self.name):
            (self.corpus / f"seed-{name}").write_bytes(data)
        for path in self.kept.iterdir():
            if not path.name.startswith(FINDINGS):
                shutil.copy(path, self.corpus)

    def run(self, seconds):
        self.begin()
        with open(self.log, "wb") as log:
            status = self.call(f"-max_total_time={seconds}", "-print_final_stats=1",
                               self.corpus, log=log)
        self.read_log(status)
        self.keep_findings()
        return self

    def read_log(self, status):
        text = self.log.read_text(errors="replace")
        for key in ("number_of_executed_units", "average_exec_per_sec", "peak_rss_mb",
                    "slowest_unit_time_sec"):
            values = re.findall(rf"stat::{key}: +(\d+)", text)
            self.stats[key] = int(values[-1]) if values else None
        for key in "cov", "ft":
            values = re.findall(rf" {key}: (\d+)", text)
            self.stats[key] = int(values[-1]) if values else 0
        self.stats["corpus"] = len(list(self.corpus.iterdir()))
        if status and not list(self.found.iterdir()):
            sys.exit(f"{self.name} ended with status {status}, see {self.log}")

    def keep_findings(self):
        self.stats["findings"] = []
        for path in sorted(self.found.iterdir()):
            if path.name.startswith("slow-unit"):
                continue
            small = self.found / f"{path.name}.small"
            kind = path.name.split("-")[0]
            if kind == "crash":
                self.call("-minimize_crash=1", "-max_total_time=60", f"-exact_artifact_path={small}",
                          path)
            data = (small if small.exists() else path).read_bytes()
            kept = self.kept / f"{kind}-{seeds.sha(data)}"
            kept.write_bytes(data)
            self.stats["findings"].append(kept)

    def keep_corpus(self):
        """Of all inputs those few that reach the most, and that are no burden to a repository."""
        control = FUZZ / f"{self.name}.merge"
        control.unlink(missing_ok=True)
        new = FUZZ / "small" / self.name
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        # By places in the program alone, not by how often each was passed.
        self.call("-merge=1", "-set_cover_merge=1", "-use_counters=0",
                  f"-merge_control_file={control}", new, self.corpus)
        reached = read_control_file(control)
        max_files, room = KEEP.get(self.name, KEEP_OTHERS)

        # What was written for a purpose is one of them in any case.
        chosen = [path.read_bytes() for path in reached if path.name.startswith("seed-hostile")]
        done = set().union(*(features for path, features in reached.items()
                             if path.name.startswith("seed-hostile")))
        room -= sum(map(len, chosen))
        while len(chosen) < max_files and reached:
            # A file is a burden by itself, too.
            best = max(reached, key=lambda path: (len(reached[path] - done)
                                                  / (path.stat().st_size + 2000), path))
            size = best.stat().st_size
            more = reached.pop(best) - done
            if more and size <= room and best.read_bytes() not in chosen:
                chosen.append(best.read_bytes())
                done |= more
                room -= size
        for path in self.kept.iterdir():
            if not path.name.startswith(FINDINGS):
                path.unlink()
        for data in chosen:
            (self.kept / seeds.sha(data)).write_bytes(data)


def read_control_file(path):
    """What -merge has found out: the features that each file reaches."""
    lines = path.read_text().splitlines()
    number = int(lines[0])
    files = [pathlib.Path(line) for line in lines[2:2 + number]]
    reached = {}
    for line in lines[2 + number:]:
        word, *numbers = line.split()
        if word == "FT":
            index, *features = map(int, numbers)
            reached[files[index]] = set(features)
    return reached


def build():
    subprocess.run(["make", "-s", "-C", HERE, f"O={BUILD}", f"-j{os.cpu_count()}", "fuzz"],
                   check=True)


def number(value):
    return "-" if value is None else f"{value:,}".replace(",", " ")


def main():
    parser = argparse.ArgumentParser(description="Fuzz exitstat.")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N",
                        help="targets at once (default: the number of CPUs)")
    parser.add_argument("--keep", action="store_true", help="choose the inputs to keep anew")
    parser.add_argument("targets", nargs="*", metavar="TARGET", default=TARGETS)
    args = parser.parse_args()
    unknown = set(args.targets) - set(TARGETS)
    if unknown:
        sys.exit(f"run.py: no target {min(unknown)}, there are {', '.join(TARGETS)}")

    build()
    print(f"{len(args.targets)} targets of {args.seconds} s, {args.jobs} at once", flush=True)
    findings = []
    line = "{:<16} {:>12} {:>8} {:>9} {:>9} {:>7} {:>9}".format
    print(line("TARGET", "RUNS", "RUNS/S", "BRANCHES", "FEATURES", "CORPUS", "FINDINGS"))
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for target in pool.map(lambda name: Target(name).run(args.seconds), args.targets):
            stats = target.stats
            print(line(target.name, number(stats["number_of_executed_units"]),
                       number(stats["average_exec_per_sec"]), number(stats["cov"]),
                       number(stats["ft"]), number(stats["corpus"]), len(stats["findings"])),
                  flush=True)
            findings += stats["findings"]
            if args.keep and not stats["findings"]:
                target.keep_corpus()
    for path in findings:
        print(f"found: {path.relative_to(TOP)}")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
