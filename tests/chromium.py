"""Debian's Chromium, headless, for tests that look at a page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

import installed
from waiting import PATIENCE

CHROMIUM = (
    os.environ.get("TUIKE_CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
PATIENT_MS = PATIENCE * 1000
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

needed = installed.needed(CHROMIUM, "chromium is not installed (apt-get install chromium)")


@contextmanager
def launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET), timeout=PATIENT_MS)
        yield chromium
        chromium.close()
