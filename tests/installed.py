"""Programs that tests need beside what pip installs. A machine that lacks one is told so, and the tests are skipped;
where TUIKE_TEST_ALL is set, as in CI, they fail."""

import os
import shutil
from typing import NoReturn

import pytest

ALL = bool(os.environ.get("TUIKE_TEST_ALL"))


def lacking(what: str) -> NoReturn:
    """Ends a test or a fixture: `what` is missing, and how to get it."""
    text = f"NOT TESTED: {what}"
    if ALL:
        pytest.fail(text)
    pytest.skip(text)


def needed(there: object, what: str) -> pytest.MarkDecorator:
    """Marks tests that cannot be without `there`; with TUIKE_TEST_ALL they are run and fail."""
    return pytest.mark.skipif(not there and not ALL, reason=f"NOT TESTED: {what}")


def program(name: str, package: str) -> str:
    """The path of a program of a Debian package."""
    path = shutil.which(name)
    return path or lacking(f"{name} is not installed (apt-get install {package})")
