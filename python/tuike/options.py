"""Options that several commands share, each as what adds it to a command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tuike import _core, config, logs
from tuike.config import EdgeSettings, option

Command = Callable[..., Any]
RATE = click.IntRange(0, 1_000_000_000)
READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


def with_data(command: Command) -> Command:
    directory = click.Path(file_okay=False, path_type=Path)
    return option("--data", type=directory, default=Path("data"), help="The instance's data directory.")(command)


def with_database(command: Command) -> Command:
    text = "The server that has the books: postgresql://, mysql:// or mariadb://USER:PASSWORD@HOST/NAME."
    callback = config.database
    return option("--database", metavar="URL", callback=callback, show_default="SQLite, in DATA", help=text)(command)


def with_replica(command: Command) -> Command:
    text = "A copy of the database that reports and lists are read from; it may be seconds behind."
    callback = config.database
    named = option("--database-read", metavar="URL", callback=callback, show_default="--database", help=text)
    return named(with_database(command))


def with_edge(command: Command) -> Command:
    cores = config.available_cores()
    for add in (
        option(
            "--edge-port", type=click.IntRange(0, 65535), default=8080, help="Port of pixel, redirect and postback."
        ),
        option(
            "--workers", type=click.IntRange(1, 256), default=cores, show_default="one a core", help="Edge workers."
        ),
        option(
            "--durability",
            type=click.Choice(["process", "interval", "always"]),
            default="interval",
            help="What an answered hit survives: process's end, power cut less 100 ms (orders: whole), power cut.",
        ),
        option(
            "--front", type=click.Choice(["on", "off"]), default="on", help="off: everything through aiohttp alone."
        ),
        option(
            "--trusted-proxies",
            multiple=True,
            callback=config.networks,
            help="Networks whose X-Forwarded-For and X-Forwarded-Proto count.",
        ),
        option("--cross-site-cookies", is_flag=True, help="Cookies as SameSite=None; Partitioned (needs TLS)."),
        option("--affiliate-cookie", is_flag=True, help="Also set affiliate_track, readable by scripts."),
        option(
            "--rate-limit-hits",
            type=RATE,
            default=0,
            show_default="none",
            help="Hits of one /24 (IPv6: /48) that count in a minute, by worker; more are answered, marked and held.",
        ),
        option(
            "--rate-limit-orders",
            type=RATE,
            default=0,
            show_default="none",
            help="Postbacks of one merchant in a minute, by worker; new orders above it are taken and held.",
        ),
        option("--segment-mib", type=click.IntRange(2, 1024), default=64, help="Largest journal segment, in MiB."),
    ):
        command = add(command)
    return command


def with_metrics(command: Command) -> Command:
    text = "A port for /healthz, /readyz and /metrics, on one machine of several."
    return option("--metrics-port", type=click.IntRange(1, 65535), show_default="none", help=text)(command)


def with_network(command: Command) -> Command:
    text = "The books of an instance on several machines."
    return with_transport(option("--database", metavar="URL", help=text)(command))


def with_transport(command: Command) -> Command:
    for add in (
        option("--redis", metavar="URL", help="What carries events to them; without it they are fetched from here."),
        option(
            "--journal-url",
            metavar="URL",
            show_default="where this machine listens",
            help="Where the other machines reach this one.",
        ),
    ):
        command = add(command)
    return command


def with_host(command: Command) -> Command:
    return option("--host", default="127.0.0.1", help="Address to listen on.")(command)


def with_admin(command: Command) -> Command:
    text = "Let webhooks go to private addresses too, and without TLS."
    flag = {"is_flag": True, "expose_value": False, "callback": config.passed_on}
    command = option("--webhook-allow-private", help=text, **flag)(command)
    text = "Where browsers reach the edge; links begin with it."
    command = option("--public-url", show_default="http://HOST:EDGE_PORT", help=text)(command)
    return option("--admin-port", type=click.IntRange(0, 65535), default=8081, help="Port of the admin API.")(command)


def with_logs(command: Command) -> Command:
    how = {"type": click.Choice(logs.FORMATS), "default": "text", "expose_value": False, "callback": config.passed_on}
    return option("--log-format", help="Of the lines on stderr.", **how)(command)


def with_levels(command: Command) -> Command:
    levels = click.IntRange(1, 3)
    return option("--max-levels", type=levels, default=3, help="Where a promoter's chain is cut.")(command)


def with_ceiling(command: Command) -> Command:
    text = "No order pays more, in percent of its amount; for rules written from now on. 50 at most."
    most = _core.format_rate(_core.Rule.MAX_CEILING)
    return option("--ceiling", metavar="PERCENT", default=most, callback=config.ceiling, help=text)(command)


def with_books(command: Command) -> Command:
    text = "The least payout of a currency, as USD=50; CNY=100 stands by default."
    return option("--payout-minimum", multiple=True, callback=config.minimums, help=text)(with_levels(command))


def with_retention(command: Command) -> Command:
    text = "After how many days hits lose whoever they were about; 0: the longest window and 30 days."
    return option("--retention-days", type=click.IntRange(0, 3650), default=0, help=text)(command)


def edge_settings(options: dict[str, Any]) -> EdgeSettings:
    return EdgeSettings(
        host=options.pop("host"),
        edge_port=options.pop("edge_port"),
        workers=options.pop("workers"),
        durability=options.pop("durability"),
        front=options.pop("front") == "on",
        trusted_proxies=options.pop("trusted_proxies"),
        cross_site_cookies=options.pop("cross_site_cookies"),
        readable_cookie=options.pop("affiliate_cookie"),
        segment_mib=options.pop("segment_mib"),
        rate_limit_hits=options.pop("rate_limit_hits"),
        rate_limit_orders=options.pop("rate_limit_orders"),
    )
