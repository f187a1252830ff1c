"""Real Redis servers for tests: one, or a cluster of three masters; without a disk, as a lost one comes back."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

import installed
from ports import free_port
from waiting import until

START_S = 60.0


class RedisServer:
    """One server. Killed and started again, it is empty."""

    def __init__(self, root: Path, *, cluster: bool = False) -> None:
        self.port = free_port()
        self._program = installed.program("redis-server", "redis-server")
        self._root = root
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self._root), "--dbfilename", f"{self.port}.rdb"]
        if self._cluster:
            command += ["--cluster-enabled", "yes", "--cluster-config-file", f"{self.port}.nodes"]
            command += ["--cluster-node-timeout", "1000", "--cluster-port", str(free_port())]
            command += ["--repl-diskless-sync-delay", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, "redis answers", START_S)

    @property
    def is_master(self) -> bool:
        with self.client() as client:
            told: dict[str, str] = client.info("replication")
            return told["role"] == "master"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> "redis.Redis":
        return redis.Redis(port=self.port)

    def _answers(self) -> bool:
        return _pongs(self.url)


def _pongs(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


@contextmanager
def running() -> Iterator[RedisServer]:
    """One server with nothing in it."""
    with tempfile.TemporaryDirectory(prefix="tuike-redis-") as root:
        server = RedisServer(Path(root))
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def behind_tls(root: Path) -> Iterator[tuple[str, Path]]:
    """One server that speaks TLS alone: its URL, and a certificate that vouches for it."""
    key, certificate = root / "key.pem", root / "certificate.pem"
    made = [installed.program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    made += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    port = free_port()
    command = [installed.program("redis-server", "redis-server"), "--port", "0", "--tls-port", str(port)]
    command += ["--bind", "127.0.0.1", "--save", "", "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    command += ["--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"rediss://127.0.0.1:{port}"
        until(lambda: _pongs(f"{url}?ssl_ca_certs={certificate}"), "redis answers", START_S)
        yield url, certificate
    finally:
        server.kill()
        server.wait()


@contextmanager
def cluster(replicas: int = 0) -> Iterator[list[RedisServer]]:
    """Three masters that share all slots, each with so many replicas."""
    client = installed.program("redis-cli", "redis-tools")
    with tempfile.TemporaryDirectory(prefix="tuike-redis-") as root, ExitStack() as stack:
        servers = [RedisServer(Path(root), cluster=True) for _ in range(3 + 3 * replicas)]
        for server in servers:
            stack.callback(server.kill)
            server.start()
        hosts = [f"127.0.0.1:{server.port}" for server in servers]
        create = [client, "--cluster", "create", *hosts, "--cluster-replicas", str(replicas), "--cluster-yes"]
        subprocess.run(create, check=True, capture_output=True, timeout=START_S)
        until(lambda: all(_is_whole(server) for server in servers), "the cluster to be whole", START_S)
        until(lambda: sum(server.is_master for server in servers) == 3, "the replicas to be replicas", START_S)
        yield servers


def _is_whole(server: RedisServer) -> bool:
    with server.client() as client:
        told: dict[str, str] = client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
        link: dict[str, str] = client.info("replication")
        return told["cluster_state"] == "ok" and link.get("master_link_status", "up") == "up"
