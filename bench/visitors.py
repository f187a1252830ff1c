"""Browsers that were here before, and the files of requests that they and others send."""

import http.client
from collections.abc import Sequence
from pathlib import Path

import workload
from part import Bench
from servers import START_LIMIT, Server

VISITORS = 64


def returning(server: Server) -> list[str]:
    """`Cookie` fields of browsers that have followed a link each: `VISITORS` clicks; each from an address of its own,
    for a server that trusts the load as its proxy."""
    cookies = []
    for number in range(VISITORS):
        connection = http.client.HTTPConnection(server.host, timeout=START_LIMIT)
        agent = workload.AGENTS[number % len(workload.AGENTS)]
        headers = {"User-Agent": agent, "X-Forwarded-For": f"203.0.113.{number}"}
        connection.request("GET", f"/c/{workload.LINKS[number]}", headers=headers)
        set_cookies = connection.getresponse().headers.get_all("Set-Cookie", [])
        cookies.append("; ".join(field.partition(";")[0] for field in set_cookies))
        connection.close()
    server.answered += VISITORS
    return cookies


def pixels(bench: Bench, cookies: Sequence[str]) -> Path:
    return write(bench, "pixel", workload.pixels(cookies))


def redirects(bench: Bench, cookies: Sequence[str]) -> Path:
    return write(bench, "redirect", workload.redirects(cookies))


def write(bench: Bench, name: str, requests: bytes) -> Path:
    """A file that the generator sends."""
    path = bench.directory / f"{name}.requests"
    path.write_bytes(requests)
    return path
