"""What the documents name is there: targets, files, pictures, pages."""
import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"Documentation/{p.name}" for p in
                                                          (TOP / "Documentation").glob("*.md"))]
# Made by make, or the reader's own.
MADE = re.compile(r"^(build|/|~|KERNEL_SRC)|VERSION|[<>*$]")


def makefile_targets():
    return set(re.findall(r"^([a-z][\w-]*(?: [a-z][\w-]*)*):", (TOP / "Makefile").read_text(), re.M)) | {"check"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (TOP / page).read_text()
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert ((TOP / page).parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_targets_and_files_exist(page):
    text = (TOP / page).read_text()
    targets = {word for words in makefile_targets() for word in words.split()}
    for target in re.findall(r"(?:^    |`)(?:sudo )?make ([a-z][\w-]*)", text, re.M):
        assert target in targets, target
    for name in re.findall(r"`((?:kernel|tools|tests|debian|Documentation)/[\w./-]+)`", text):
        if not MADE.search(name):
            assert (TOP / name).exists(), name


def test_help_names_each_target_that_people_call():
    text = subprocess.run(["make", "-s", "help"], cwd=TOP, check=True, capture_output=True, text=True).stdout
    for target in "demo check check-all check-series bench verify study fuzz deb rfc install".split():
        assert re.search(rf"^make {target} ", text, re.M), target


def test_every_page_is_read_from_the_readme():
    readme = (TOP / "README.md").read_text()
    for page in PAGES[1:]:
        assert page in readme, page
