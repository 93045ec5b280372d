"""The series against Debian's kernel source: it applies, and checkpatch is content."""
import re
import shutil
import subprocess

import docs
import pytest
from lab import images
from paths import BUILD, KREL, TOP

KERNEL = images.version(KREL)
SOURCE = BUILD / f"linux-{images.source(KREL)}"
PATCHES = sorted((BUILD / "series" / KERNEL).glob("*.patch"))
# The core is the same for kernels that have no kzalloc_obj().
IGNORED = ["FILE_PATH_CHANGES", "ALLOC_WITH_SIZEOF"]
# Macros that are used in one place, with plain names; and delays that must be busy.
STRICT_IGNORED = ["MACRO_ARG_REUSE", "USLEEP_RANGE"]
# A list of modules' names, as on the lines around it, is no C.
IGNORED_IN = {"7.3/KVM-x86-Add-KUnit-tests-for-exit-accounting.patch": ["SPACING", "COMPLEX_MACRO"],
              # KVM writes their owner, as that of its others.
              **{f"{version}/KVM-Hold-the-vendor-module-by-stats-fds-too.patch": ["CONST_STRUCT"]
                 for version in ("6.12", "7.3")}}


def git(*args, cwd):
    return subprocess.run(
        ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *args],
        cwd=cwd, check=True, capture_output=True, text=True)


def test_make_apply(tmp_path):
    assert PATCHES
    tree = tmp_path / "linux"
    for name in ("arch/x86/kvm", "virt/kvm", "arch/x86/include", "Documentation/virt/kvm",
                 "tools/testing/selftests/kvm"):
        shutil.copytree(SOURCE / name, tree / name)
    (tree / "include/linux").mkdir(parents=True)
    shutil.copy2(SOURCE / "include/linux/kvm_host.h", tree / "include/linux")
    shutil.copy2(SOURCE / "Makefile", tree)
    git("init", "-q", cwd=tree)
    git("add", "-A", cwd=tree)
    git("commit", "-q", "-m", "base", cwd=tree)
    subprocess.run(["make", "-s", "apply", f"KERNEL={KERNEL}", f"KERNEL_SRC={tree}"], cwd=TOP, check=True,
                   env=docs.environment(GIT_COMMITTER_NAME="test", GIT_COMMITTER_EMAIL="test@localhost"))
    applied = git("log", "--format=%s", cwd=tree).stdout.splitlines()
    assert len(applied) == len(PATCHES) + 1
    for name in "exit_stats.c", "exit_stats.h":
        core = (TOP / "kernel" / name).read_bytes()
        assert (tree / "arch/x86/kvm" / name).read_bytes() == core


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_checkpatch(patch):
    run = subprocess.run(
        ["perl", SOURCE / "scripts/checkpatch.pl", "--no-tree", "--terse",
         "--ignore", ",".join(IGNORED + IGNORED_IN.get(f"{KERNEL}/{patch.name[5:]}", [])), patch],
        capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_posted_series(tmp_path):
    """make rfc: numbered, with a cover letter, and checkpatch is content with more, too."""
    if not (TOP / "kernel" / KERNEL / "cover-letter").exists():
        pytest.skip("only the newest kernel's series is posted")
    subprocess.run([TOP / "kernel/make-rfc", KERNEL, SOURCE, TOP / "build/series" / KERNEL,
                    tmp_path / "rfc"], check=True)
    cover, *patches = sorted((tmp_path / "rfc").iterdir())
    assert "***" not in cover.read_text() and "@" not in cover.read_text().split("\n\n", 1)[1]
    for n, patch in enumerate(patches, 1):
        assert f"Subject: [RFC PATCH {n:02}/{len(PATCHES)}]" in patch.read_text()
        run = subprocess.run(
            ["perl", SOURCE / "scripts/checkpatch.pl", "--no-tree", "--terse", "--strict", "--ignore",
             ",".join([*IGNORED, *STRICT_IGNORED, *IGNORED_IN.get(f"{KERNEL}/{patch.name[5:]}", [])]),
             patch], capture_output=True, text=True)
        assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("version", sorted(path.name for path in (TOP / "kernel").glob("[0-9]*")))
def test_the_first_patch_brings_the_symbol(version):
    """Who bisects can enable what each patch brings; the tests' own symbol comes with the tests."""
    added = {patch.name: [line[len("+config "):] for line in patch.read_text().splitlines() if line.startswith("+config ")]
             for patch in (TOP / "kernel" / version).glob("*.patch")}
    symbols = {name.split("-", 1)[1]: found for name, found in added.items() if found}
    assert symbols == {"KVM-x86-Add-the-core-of-exit-accounting.patch": ["KVM_EXIT_STATS"],
                       "KVM-x86-Add-KUnit-tests-for-exit-accounting.patch": ["KVM_EXIT_STATS_KUNIT_TEST"]}


def silent_returns(text, function):
    """The blocks of a *_vcpu_run() that return before the guest is entered, and count no exit."""
    body = re.search(rf"^[^\n;]*\b{function}\([^;{{]*\)\n{{\n(.*?)^}}", text, re.M | re.S)
    if not body:
        return None
    before = body[1][:re.search(r"_vcpu_enter_exit\(", body[1]).start()]
    blocks = re.findall(r"^\tif \([^{]*?\{\n.*?^\t\}|^\tif \([^{;]*?\n\t\t[^;]*;", before, re.M | re.S)
    returning = [block for block in blocks if re.search(r"\breturn\b", block)]
    assert sum(len(re.findall(r"\breturn\b", block)) for block in returning) == len(re.findall(r"\breturn\b", before))
    return [block for block in returning if not re.search(r"_count_(exit|no_entry)\(vcpu\)", block)]


def test_no_return_without_an_exit(tmp_path):
    """KVM's stat.exits counts whatever *_vcpu_run() returns from, entered or not."""
    shutil.copytree(SOURCE, tmp_path / "linux", symlinks=True, ignore=shutil.ignore_patterns("tools", "usr"))
    for patch in PATCHES:
        subprocess.run(["patch", "-p1", "-s", "-f", "-i", patch], cwd=tmp_path / "linux", check=False, capture_output=True)
    found = {}
    for name in "vmx/vmx.c", "svm/svm.c", "vmx/tdx.c":
        path = tmp_path / "linux/arch/x86/kvm" / name
        text = path.read_text() if path.exists() else ""
        found[name] = silent_returns(text, f"{path.stem}_vcpu_run")
    assert found == {"vmx/vmx.c": [], "svm/svm.c": [], "vmx/tdx.c": [] if found["vmx/tdx.c"] is not None else None}
