"""The program `tuike`: one command each, thin; what they do is in the modules they import.

Exit codes: 0 done, 1 found a fault, 2 used wrongly. Errors are one line on stderr.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from tuike import __version__, config
from tuike.archive_commands import COMMANDS as ARCHIVE
from tuike.config import option
from tuike.config_commands import config as config_group
from tuike.data import Data, DataError, DiskFull
from tuike.journal_commands import journal
from tuike.operations_commands import COMMANDS as OPERATIONS
from tuike.options import (
    edge_settings,
    with_admin,
    with_books,
    with_ceiling,
    with_data,
    with_database,
    with_edge,
    with_host,
    with_levels,
    with_logs,
    with_metrics,
    with_network,
    with_replica,
    with_retention,
    with_transport,
)
from tuike.proof_commands import PROOFS
from tuike.terminal import FAULT, USAGE, of_database, progress, stop


class Program(click.Group):
    """Reads the settings file before the first command is parsed."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        more.setdefault("default_map", config.default_map(self.commands))
        return super().make_context(*args, **more)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tuike")
def program() -> None:
    """tuike (推客): affiliate tracking and commission, self-hosted.

    Every option is also TUIKE_* in the environment and a key in tuike.toml (or the file that
    TUIKE_CONFIG names); the option wins, then the environment, then the file.
    """


def main() -> None:
    """Runs the program; what cannot be used or done is said in one line."""
    try:
        program(prog_name="tuike", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(USAGE)
    except click.UsageError as error:
        text = " ".join(error.format_message().split()).rstrip(".")
        stop(f"{text}; see `{error.ctx.command_path} --help`" if error.ctx else text)
    except click.ClickException as error:
        stop(error.format_message(), error.exit_code)
    except click.Abort:
        stop("interrupted", FAULT)
    except DiskFull as error:
        stop(str(error), FAULT)
    except DataError as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename}: {error.strerror}" if error.filename else str(error), FAULT)
    except Exception as error:
        stop(of_database(error), FAULT)


# --- the service and its parts ---------------------------------------------------------------------


@program.command()
@with_data
@with_replica
@with_host
@with_edge
@with_admin
@with_ceiling
@with_books
@with_retention
@option("--redis", callback=config.refused, expose_value=False, help="Not in this version.")
@option("--demo", is_flag=True, help="Fill an empty instance with the demo.")
@with_logs
def serve(
    data: Path,
    database: Any,
    database_read: Any,
    demo: bool,
    admin_port: int,
    public_url: str | None,
    max_levels: int,
    ceiling: int,
    payout_minimum: dict[str, int],
    retention_days: int,
    **options: Any,
) -> None:
    """Run everything on one machine, supervised.

    That is: edge workers, processor, admin API and dashboard. No other server is needed; with --database the books are
    on one. The first start writes
    an admin token to DATA/admin.token; TUIKE_ADMIN_TOKEN overrides it.
    """
    from tuike.edge import serving

    edge = edge_settings(options)
    books = serving.Books(max_levels, payout_minimum, ceiling, database, database_read, retention_days)
    with Data.open(data, create=True).lock("lock"):
        sys.exit(asyncio.run(serving.everything(data, edge, admin_port, public_url, books, with_demo=demo)))


@program.group(invoke_without_command=True)
@with_data
@with_host
@with_edge
@with_metrics
@with_network
@with_logs
def edge(
    data: Path,
    database: str | None,
    redis: str | None,
    journal_url: str | None,
    metrics_port: int | None,
    **options: Any,
) -> None:
    """Run the edge workers alone.

    Beside a processor on the same DATA; or, with --database, on one machine of several: DATA is this machine's own,
    and a new one is made under the secret in TUIKE_SECRET.
    """
    from tuike.edge import serving
    from tuike.joining import Network

    if click.get_current_context().invoked_subcommand is not None:
        return
    settings = edge_settings(options)
    if database is None:
        if redis is not None or journal_url is not None:
            raise click.UsageError("--redis and --journal-url go with --database")
        Data.open(data)
        sys.exit(asyncio.run(serving.edge_alone(data, settings, metrics_port)))
    network = Network(database, redis or "", journal_url or "")
    opened = Data.open_member(data)
    with opened.lock("lock"):
        network.check(opened)
        sys.exit(asyncio.run(serving.edge_of_many(opened, settings, metrics_port, network)))


@edge.command()
@click.argument("machine")
@option("--database", metavar="URL", required=True, help="The books of the instance.")
def retire(machine: str, database: str) -> None:
    """Declare a machine of several gone for good, with its disk.

    MACHINE is what stands in its DATA/machine, and in the metrics. Nobody waits for it any more; which of its events
    may be missing is kept and listed by `tuike verify`. It is refused while the machine lives; twice is once.
    """
    from tuike import joining

    click.echo(joining.retire(database, machine))


@program.command()
@with_data
@with_database
@with_books
@with_retention
@option("--redis", metavar="URL", help="What carries events from the edges of other machines.")
@option(
    "--folders",
    type=click.IntRange(0, 64),
    show_default="with --redis, one a core",
    help="Processes that fold hits, on one machine of several.",
)
@with_logs
@with_host
@with_metrics
def process(
    data: Path,
    database: Any,
    redis: str | None,
    folders: int | None,
    host: str,
    metrics_port: int | None,
    retention_days: int,
    **books: Any,
) -> None:
    """Run the processor alone: it folds hits and keeps the books.

    With --redis or --folders, and --database, on one machine of several: folders of hits, which share the work with
    those of other machines, and a bookkeeper, of whom one at a time keeps the books. DATA is this machine's own, and a
    new one is made under the secret in TUIKE_SECRET. Without --redis they fetch from the edges themselves.
    """
    if redis is None and folders is None:
        from tuike.process import run_processor

        opened = Data.open(data, database, create=True)
        run_processor(opened, retention_days=retention_days, **books)
        return
    if database is None:
        raise click.UsageError("--redis and --folders go with --database")
    from tuike.edge import serving
    from tuike.joining import Network

    opened = Data.open_member(data)
    network = Network(config.database_text(database), redis or "")
    network.check(opened)
    with opened.lock("lock"):
        cores = config.available_cores() if folders is None else folders
        helpers = network.processes(opened, cores, retention_days=retention_days, **books)
        sys.exit(asyncio.run(serving.processes_of_many(helpers, network.watched(), host, metrics_port)))


@program.command()
@with_data
@with_replica
@with_transport
@with_host
@with_admin
@with_ceiling
@with_levels
@with_logs
def admin(
    data: Path,
    database: Any,
    database_read: Any,
    redis: str | None,
    journal_url: str | None,
    host: str,
    admin_port: int,
    public_url: str | None,
    max_levels: int,
    ceiling: int,
) -> None:
    """Run the admin API alone.

    Beside a processor on the same DATA; or, with --redis or --journal-url, on one machine of several: DATA is this
    machine's own, and a new one is made under the secret in TUIKE_SECRET.
    """
    from tuike import control

    public_url = public_url or f"http://{host}:8080"
    member = redis is not None or journal_url is not None
    if member and database is None:
        raise click.UsageError("--redis and --journal-url go with --database")
    if not member or control.descriptor() is not None:
        from tuike.admin.app import run_admin

        opened = Data.open(data, database, database_read)
        run_admin(opened, host, admin_port, public_url, max_levels, ceiling, member=member)
        return
    from tuike.edge import serving
    from tuike.joining import Network

    network = Network(config.database_text(database), redis or "", journal_url or "")
    books = serving.Books(max_levels, {}, ceiling, database, database_read)
    opened = Data.open_member(data)
    with opened.lock("lock"):
        network.check(opened)
        sys.exit(asyncio.run(serving.admin_of_many(opened, host, admin_port, public_url, books, network)))


# --- work on an instance ---------------------------------------------------------------------------


@program.command()
@with_data
@with_database
@option("--edge-port", type=click.IntRange(0, 65535), default=8080, help="The edge's port, for the URLs.")
@option("--admin-port", type=click.IntRange(0, 65535), default=8081, help="The admin API's port, for the URLs.")
@with_ceiling
def demo(data: Path, database: Any, edge_port: int, admin_port: int, ceiling: int) -> None:
    """Fill an empty instance with a demo; print what to open.

    It has a merchant, products, a promoter tree and links.
    """
    from tuike import demo

    try:
        click.echo(demo.fill(Data.open(data, database, create=True), edge_port, admin_port, ceiling))
    except demo.NotFilled as error:
        stop(str(error))


@program.command("import")
@click.argument("kind", type=click.Choice(["promoters", "links", "clicks", "conversions"]))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_data
@with_database
@with_books
@option("--strict", is_flag=True, help="One bad row, and nothing goes in.")
def import_(kind: str, file: Path, data: Path, database: Any, strict: bool, **books: Any) -> None:
    """Bring in what another tracker exported.

    FILE is CSV with a header, or NDJSON, also gzip. Its columns:

    \b
    promoters    id,name,parent?,kind?
    links        code,promoter,product,url?,channel?
    clicks       time,aff,pid,visitor?,cust?,did?,ip?,ua?,channel?,sub1..5?
    conversions  time,pid,order_id,amount,currency?,status?,click_id?,visitor?,cust?,did?,aff?,coupon?

    Rows may be in any order. A bad row is named with its line and reason, the rest goes in. A run that
    was killed is simply run again: no row of this file goes in twice. Rows are known by the file and
    their line, so put mended rows into a file of their own.
    """
    from tuike.importing import run
    from tuike.rows import FileError

    try:
        result = run(Data.open(data, database, create=True), kind, file, strict=strict, **books)
    except FileError as error:
        stop(str(error))
    for bad in result.bad:
        click.echo(f"{file}:{bad.line}: {bad.reason}", err=True)
    click.echo(f"{len(result.taken)} rows in, {len(result.before)} were in before, {len(result.bad)} bad")
    sys.exit(FAULT if result.bad else 0)


@program.command()
@with_data
@with_database
@with_books
@option("--as-of", metavar="TIME", callback=config.instant, help="RFC 3339 or Unix seconds.", show_default="now")
def settle(data: Path, database: Any, as_of: int | None, **books: Any) -> None:
    """Release what is due.

    It returns when the run is done, whether the instance is running or not. Twice is once; a run that was killed is
    gone on with.
    """
    from tuike import settling

    try:
        click.echo(settling.text(settling.run(Data.open(data, database), as_of, **books)))
    except settling.Refused as refused:
        stop(str(refused))


@program.command()
@with_data
@option("--to", metavar="URL", required=True, callback=config.database, help="postgresql://, mysql:// or mariadb://")
@option("--machines", is_flag=True, help="For several machines: what they have in SQL is made of the journal, too.")
def migrate(data: Path, to: Any, machines: bool) -> None:
    """Move the books from DATA to a server.

    The instance must be stopped. All tables are compared when they are there, row by row; nothing in DATA is changed.
    Killed, it is run again and goes on. Afterwards start with --database URL. With --machines the
    instance goes on as one on several: DATA is the first edge's.
    """
    from tuike.faults import Found
    from tuike.migrating import migrate as move

    try:
        with progress("moving") as told:
            moved = move(Data.open(data), to, told, several=machines)
    except Found as found:
        stop(str(found), FAULT)
    click.echo(f"{moved.rows} rows in {moved.tables} tables are equal{', as they were before' if moved.before else ''}")


program.add_command(journal)
program.add_command(config_group)
for command in (*PROOFS, *OPERATIONS, *ARCHIVE):
    program.add_command(command)
