"""The dashboard's source and what is built of it: both languages whole, nothing from elsewhere, small."""

import gzip
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import installed

from tuike.admin import fraud_types, problems, why

DASHBOARD = Path(__file__).parents[2] / "dashboard"
STATIC = Path(__file__).parents[2] / "python" / "tuike" / "admin" / "static"
LARGEST = 100 * 1024
LONGEST_FILE = 300
LANGUAGES = ("en", "zh")
ENTRY = re.compile(r'^\s+"?([a-z_.0-9]+)"?:\s*("(?:[^"\\]|\\.)*"),$', re.MULTILINE)
# of a key that is put together, such as t(`nav.${name}`), the part before is what is looked for
ASKED = re.compile(r'\bt\(\s*["`]([a-z_.0-9]+)')

built = installed.needed(STATIC.exists(), "the dashboard is not built (make setup)")


def words(language: str) -> dict[str, str]:
    text = (DASHBOARD / "src" / "i18n" / f"{language}.ts").read_text()
    return {key: json.loads(value) for key, value in ENTRY.findall(text)}


def sources() -> list[Path]:
    return [path for path in sorted((DASHBOARD / "src").rglob("*.ts*")) if path.parent.name != "i18n"]


def test_both_languages_have_the_same_words_with_the_same_places() -> None:
    en, zh = (words(language) for language in LANGUAGES)
    assert len(en) > 300 and en.keys() == zh.keys()
    for key, text in en.items():
        assert zh[key].strip()
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", zh[key])), key


def test_every_word_that_is_asked_for_is_there() -> None:
    known = words("en")
    for path in sources():
        for key in ASKED.findall(path.read_text()):
            found = any(word.startswith(key) for word in known) if key.endswith((".", "sub")) else key in known
            assert found, f"{path.name}: {key}"


@pytest.mark.parametrize(
    ("group", "codes"),
    [
        ("error", problems.STATUS),
        ("order", why.ORDERS),
        ("touch", why.TOUCHES),
        ("level", why.LEVELS),
        ("flag", get_args(fraud_types.Rule)),
    ],
)
def test_every_code_of_the_api_has_words(group: str, codes: Iterable[str]) -> None:
    assert {f"{group}.{code or 'none'}" for code in codes} <= words("en").keys()


def test_files_are_short_enough_to_read() -> None:
    for path in sources():
        assert path.read_text().count("\n") <= LONGEST_FILE, path


def test_the_lock_file_names_no_addresses() -> None:
    locked = json.loads((DASHBOARD / "package-lock.json").read_text())["packages"]
    assert all("resolved" not in package for package in locked.values())
    assert all("integrity" in package for name, package in locked.items() if name)


@built
def test_the_page_is_small_and_loads_nothing_from_elsewhere() -> None:
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < LARGEST
    for path in files:
        addresses = set(re.findall(rb"https?://[^\s\"'`<>)]+", path.read_bytes()))
        assert all(address.startswith(b"http://www.w3.org/") for address in addresses), path
    index = (STATIC / "index.html").read_text()
    assert "<style" not in index and not re.search(r"<script(?![^>]*\bsrc=)", index), "the policy allows none inline"
