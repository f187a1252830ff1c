"""Settings: an option, else `TUIKE_*` in the environment, else a key of `tuike.toml`, else the default."""

import ipaddress
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from tuike import _core, instants
from tuike.data import DataError

if TYPE_CHECKING:  # an edge needs no SQL
    from sqlalchemy import URL

CONFIG_FILE = "tuike.toml"
PAYOUT_MINIMUM: Mapping[str, int] = {"CNY": 10_000}
"""The least payout of each currency where nothing else is set, in minor units; in others nothing is paid out."""

WEBHOOK_ALLOW_PRIVATE = "TUIKE_WEBHOOK_ALLOW_PRIVATE"

Durability = Literal["process", "interval", "always"]


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """What changes the edge's answers and promises."""

    host: str
    edge_port: int
    workers: int
    durability: Durability
    front: bool
    trusted_proxies: tuple[str, ...]
    cross_site_cookies: bool
    readable_cookie: bool
    segment_mib: int
    rate_limit_hits: int
    rate_limit_orders: int


def option(name: str, **how: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A command-line option that is also `TUIKE_NAME` and the key `name` of the file."""
    plain = name.split("/")[0].removeprefix("--")
    how.setdefault("show_default", True)
    return click.option(name, envvar=f"TUIKE_{plain.upper().replace('-', '_')}", show_envvar=True, **how)


def passed_on(_context: click.Context, named: click.Parameter, value: bool | str) -> None:
    """For what the parts which are started read in their environment."""
    if value:
        assert isinstance(named.envvar, str)
        os.environ[named.envvar] = "1" if value is True else str(value)


def is_set(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("1", "true", "yes", "on")


def refused(_context: click.Context, named: click.Parameter, value: str | None) -> None:
    """For what the contract has and this version has not: it must not be taken in silence."""
    if value is not None:
        raise click.UsageError(
            f"{named.opts[0]} is for more than one machine, and this version runs on one; leave it out"
        )


def networks(_context: click.Context, _option: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Checks networks like 10.0.0.0/8; one text may hold several, by commas."""
    texts = [text.strip() for part in value for text in part.split(",") if text.strip()]
    for text in texts:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is no network such as 10.0.0.0/8") from error
    return tuple(texts)


def database(_context: click.Context, _option: click.Parameter, value: str | None) -> "URL | None":
    """Checks a server's URL."""
    if value is None:
        return None
    from tuike.stores import engine

    try:
        return engine.parse(value)
    except DataError as error:
        raise click.BadParameter(str(error)) from error


def instant(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    """Checks a time; in milliseconds."""
    try:
        return None if value is None else instants.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def ceiling(_context: click.Context, _option: click.Parameter, value: str) -> int:
    """Checks the platform's ceiling, in percent of an order's amount; a rate of 1e-6. It is half at most: the core and
    the database keep that bound whatever is set."""
    most = _core.Rule.MAX_CEILING
    try:
        rate = _core.parse_rate(value)
    except ValueError:
        rate = 0
    if not 0 < rate <= most:
        bounds = f"above 0 and at most {_core.format_rate(most)}, with up to 4 decimals"
        raise click.BadParameter(f"{value!r} is no percentage {bounds}")
    return rate


def minimums(_context: click.Context, _option: click.Parameter, value: tuple[str, ...]) -> dict[str, int]:
    """Checks least payouts like USD=50, beside those that stand by default; one text may hold several, by commas."""
    found = dict(PAYOUT_MINIMUM)
    for text in [text.strip() for part in value for text in part.split(",") if text.strip()]:
        currency, _, amount = text.partition("=")
        try:
            found[currency] = _core.parse_amount(amount, currency)
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is no least payout such as USD=50") from error
    return found


def minimums_text(minimum: Mapping[str, int]) -> str:
    """What `minimums` reads."""
    return ",".join(f"{currency}={_core.format_amount(least, currency)}" for currency, least in minimum.items())


def database_text(url: "URL") -> str:
    """A database's URL as it was given, its password included."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False)


def read_file(path: Path) -> dict[str, Any]:
    """The keys of `tuike.toml`, in the names of the options' parameters."""
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise click.UsageError(f"{path}: {error}") from error
    return {name.replace("-", "_"): value for name, value in keys.items()}


def default_map(commands: Mapping[str, click.Command]) -> dict[str, Any]:
    """The file's keys as each command's defaults. UsageError names a key that no command has."""
    named = os.environ.get("TUIKE_CONFIG")
    path = Path(named or CONFIG_FILE)
    keys = read_file(path) if named or path.exists() else {}
    known: set[str] = set()
    defaults = {name: _defaults(command, keys, known) for name, command in commands.items()}
    for key in keys:
        if key not in known:
            raise click.UsageError(f"{path}: no setting is called {key!r}")
    return defaults


def _defaults(command: click.Command, keys: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    """The keys that are options of this command and, by their names, of those below it."""
    below = command.commands.items() if isinstance(command, click.Group) else ()
    deeper = {name: _defaults(one, keys, known) for name, one in below}
    options = {option.name: option for option in command.params if isinstance(option, click.Option) and option.name}
    known.update(options)
    return deeper | {name: _given(option, keys[name]) for name, option in options.items() if name in keys}


def _given(option: click.Option, value: Any) -> str | list[str]:
    """A value of the file as if it had been typed; click then says of it what it would say there."""
    values = value if option.multiple and isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float) for one in values):
        raise click.UsageError(f"{option.opts[0].removeprefix('--')} in the settings file has to be one value")
    texts = [str(one) for one in values]
    return texts if option.multiple else texts[0]


def available_cores() -> int:
    return len(os.sched_getaffinity(0))
