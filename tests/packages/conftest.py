"""Our packages, and their next version, built on each release of Debian for what installs them there."""
import pytest

from packages import debian


@pytest.fixture(scope="session", params=debian.RELEASES)
def release(request):
    return request.param


@pytest.fixture(scope="session")
def debs(release):
    return debian.build_on(release, debian.PACKAGES / release / "now")


@pytest.fixture(scope="session")
def next_debs(release):
    return debian.build_on(release, debian.PACKAGES / release / "next", "0.1+1")
