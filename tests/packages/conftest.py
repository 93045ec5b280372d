"""Our packages, and their next version, for what installs them."""
import pytest

from packages import debian


@pytest.fixture(scope="module")
def debs():
    return debian.build(debian.PACKAGES / "now")


@pytest.fixture(scope="module")
def next_debs():
    return debian.build(debian.PACKAGES / "next", "0.1+1")
