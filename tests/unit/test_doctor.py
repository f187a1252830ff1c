"""What the doctor finds, and how long it says that cookies last."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tuike import doctor
from tuike.cookies import site
from tuike.data import Data
from tuike.doctor import Check, examine

URL = "https://go.shop.example"


def looks(data: Path, **more: object) -> list[Check]:
    given = {"public_url": "http://127.0.0.1:8080", "shops": (), "known": ("TUIKE_DATA",), "environment": {}}
    given |= {"synchronised": lambda: True, **more}
    return examine(data, **given)  # type: ignore[arg-type]


def faults(checks: list[Check]) -> dict[str, str]:
    return {check.about: check.text for check in checks if check.fault}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 0)
    monkeypatch.setattr(doctor, "LEAST_FREE_SHARE", 0)
    monkeypatch.setattr(doctor, "LEAST_FILES", 1)
    data = Data.open(tmp_path / "data", create=True)
    data.root.chmod(0o700)
    return data.root


def test_a_sound_instance_has_no_fault(data: Path) -> None:
    assert faults(looks(data)) == {}


def spoil_permissions(data: Path) -> None:
    (data / "secret").chmod(0o644)


def spoil_data(data: Path) -> None:
    (data / "secret").unlink()


def spoil_books(data: Path) -> None:
    (data / "books.sqlite").write_bytes(b"no database at all" * 100)


@pytest.mark.parametrize(
    ("about", "spoil", "says"),
    [
        ("permissions", spoil_permissions, "secret is open to others; chmod 600"),
        ("data", spoil_data, "restore it from a backup"),
        ("books", spoil_books, "cannot be read"),
    ],
)
def test_what_is_spoilt_is_named(data: Path, about: str, spoil: Callable[[Path], None], says: str) -> None:
    spoil(data)
    assert says in faults(looks(data))[about]


def test_what_the_machine_lacks_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 1 << 60)
    monkeypatch.setattr(doctor, "LEAST_FILES", 1 << 60)
    found = faults(looks(data, synchronised=lambda: False, environment={"TUIKE_DATTA": "x", "TUIKE_DATA": "y"}))
    assert set(found) == {"disk", "limits", "clock", "settings"}
    assert found["settings"].startswith("TUIKE_DATTA ")
    assert (
        "32 at least"
        in faults(looks(data, environment={"TUIKE_ADMIN_TOKEN": "short"}, known=("TUIKE_ADMIN_TOKEN",)))["settings"]
    )


def test_the_kernel_can_be_asked_whether_the_clock_is_synchronised() -> None:
    assert isinstance(doctor.is_synchronised(), bool)


NAMES = {
    "go.shop.example": ("go.shop.example", ["192.0.2.10"]),
    "shop.example": ("shop.example", ["192.0.2.1"]),
    "t.shop.example": ("customers.tracker.example", ["198.51.100.1"]),
    "far.shop.example": ("far.shop.example", ["203.0.113.1"]),
    "six.shop.example": ("six.shop.example", ["192.0.9.9", "2001:db8::1"]),
    "alone.other.example": ("alone.other.example", ["192.0.2.10"]),
}


def test_an_archive_that_no_erasure_can_reach_is_a_fault_that_names_the_extra(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "archive").mkdir()
    assert faults(looks(data)) == {}
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert "pip install 'tuike[archive]'" in faults(looks(data))["archive"]


def lookup(host: str) -> tuple[str, list[str]]:
    if host not in NAMES:
        raise OSError(-2, "Name or service not known")
    return NAMES[host]


@pytest.mark.parametrize(
    ("url", "shops", "says", "fault"),
    [
        (URL, (), "last up to 30 days", False),
        (URL, ("www.shop.example",), "on www.shop.example are of the same site", False),
        (URL, ("https://elsewhere.example/cart",), "on elsewhere.example are third-party", True),
        ("http://go.shop.example", (), "cannot be Secure", True),
        ("https://t.shop.example", (), "CNAME into tracker.example: Safari keeps cookies 7 days", True),
        ("https://far.shop.example", (), "on another network (203.0.113.1)", True),
        ("https://six.shop.example", (), "last up to 30 days", False),
        ("https://alone.other.example", (), "last up to 30 days", False),
        ("https://nowhere.example", (), "has no address", True),
        ("go.shop.example", (), "no http or https URL", True),
        ("http://localhost:8080", (), "is this machine", False),
    ],
)
def test_how_long_cookies_last_behind_a_name(
    data: Path, url: str, shops: tuple[str, ...], says: str, fault: bool
) -> None:
    checks = [check for check in looks(data, public_url=url, shops=shops, resolve=lookup) if check.about == "cookies"]
    (check,) = [check for check in checks if says in check.text]
    assert check.fault == fault


def test_a_site_is_what_was_registered() -> None:
    for host, registered in (
        ("a.b.shop.example", "shop.example"),
        ("shop.example", "shop.example"),
        ("www.shop.co.uk", "shop.co.uk"),
        ("go.shop.com.cn.", "shop.com.cn"),
        ("x.y.cn", "y.cn"),
    ):
        assert site(host) == registered, host
