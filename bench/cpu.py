"""Where a process spends its processor time, by part: sampled with Linux' perf.

`python bench/cpu.py RESULT.json` prints what a run found: the parts in µs, and the functions that take most."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import servers
import visitors
from generator import Load
from part import Bench, Figure, Json, Result
from servers import Missing

PERF_MISSING = "perf is not installed (apt-get install linux-perf)"
PER_SECOND = 1_499
TOP = 40
KERNEL = (
    ("kernel, receiving", ("tcp_recvmsg", "sock_read_iter")),
    ("kernel, sending", ("tcp_sendmsg", "sock_write_iter")),
    ("kernel, epoll", ("do_epoll_wait", "ep_send_events", "do_epoll_ctl")),
    ("kernel, syncing files", ("do_fsync", "vfs_fsync_range")),
    ("kernel, writing files", ("vfs_write", "vfs_read")),
)
"""Parts of the kernel, by what is in the chain of calls; the first that fits."""
USER = (("_core", "Rust"), ("uvloop", "uvloop"), ("python", "Python"), ("sqlite", "SQLite"), ("libc", "C library"))
"""Parts outside it, by what is in the name of the file."""


class Sampler:
    """Samples a process, all its threads, from now until `finish`."""

    def __init__(self, process: int, directory: Path, seconds: float) -> None:
        self._file = directory / "perf.data"
        command = ["perf", "record", "--quiet", "--event", "cpu-clock", "--freq", str(PER_SECOND)]
        command += ["--call-graph", "fp", "--output", str(self._file), "--pid", str(process)]
        command += ["--", "sleep", str(seconds)]
        self._process = None
        if shutil.which("perf"):
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def finish(self) -> Json:
        """`parts`: share of the samples by part. `top`: share of the parts' functions that have most.

        Missing where perf is not there, or may not look."""
        if self._process is None:
            raise Missing(PERF_MISSING)
        _, problem = self._process.communicate()
        if self._process.returncode != 0:
            raise Missing(f"perf may not look: {(problem.splitlines() or [''])[0]}")
        command = ["perf", "script", "--input", str(self._file), "--no-inline", "--fields", "ip,sym,dso"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        parts: Counter[str] = Counter()
        functions: Counter[tuple[str, str]] = Counter()
        for chain in done.stdout.split("\n\n"):
            frames = [line.split(maxsplit=1)[-1] for line in chain.splitlines() if line.strip()]
            if frames:
                part = _part(frames)
                parts[part] += 1
                functions[part, frames[0].rpartition(" (")[0]] += 1
        total = max(1, parts.total())
        return {
            "samples": parts.total(),
            "parts": {part: count / total for part, count in parts.most_common()},
            "top": [[part, name, count / total] for (part, name), count in functions.most_common(TOP)],
        }


def _part(frames: list[str]) -> str:
    """The part that the innermost frame belongs to; frames are `function (file)`."""
    file = frames[0].rpartition("(")[2]
    if "kernel" in file:
        names = {frame.partition(" ")[0].partition("+")[0] for frame in frames}
        return next((part for part, calls in KERNEL if names & set(calls)), "kernel, else")
    return next((part for name, part in USER if name in file), "else")


def measure(bench: Bench) -> Result:
    result = Result()
    tuike = servers.start_tuike(bench)
    with servers.stopping(tuike):
        cookies = visitors.returning(tuike)
        seconds = 3 * bench.settings.seconds
        for request, path in (
            ("pixel", visitors.pixels(bench, cookies)),
            ("redirect", visitors.redirects(bench, cookies)),
        ):
            # what a hit takes without the sampler, and the parts of it from a run with it
            measured = Load(bench, tuike, path).finish()
            sampler = Sampler(tuike.workers[0], bench.directory, seconds)
            sampled = Load(bench, tuike, path, seconds=seconds).finish()
            try:
                found = sampler.finish()
            except Missing as missing:
                result.left_out.append(f"CPU by part: {missing}")
                break
            result.rounds += [{"request": request, **run} for run in (measured, sampled)]
            result.details[request] = {"us": measured["server_cpu_us"], **found}
            for part, share in found["parts"].items():
                name = f"CPU of a {request}: {part}"
                result.figures.append(Figure(name, "µs", (share * measured["server_cpu_us"],)))
    result.count("hits while sampled", tuike.answered, tuike.recorded())
    result.faults += tuike.faults
    return result


def lines(run: Json) -> Iterator[str]:
    """What the parts `cpu` and `drain` of a run found, as text: µs a hit, and per cent of the drain."""
    parts = run["parts"]
    hits = parts["cpu"]["details"] if "cpu" in parts else {}
    drain = parts["drain"]["details"].get("cpu") if "drain" in parts else None
    for name, found, scale, unit in (
        *((f"a {request}", found, found["us"], "µs") for request, found in hits.items()),
        *((("the drain", drain, 100, "%"),) if drain else ()),
    ):
        yield f"CPU of {name}, {found['samples']:,} samples"
        for part, share in found["parts"].items():
            yield f"{share * scale:8.2f} {unit} {part}"
            for of, function, taken in found["top"]:
                if of == part:
                    yield f"{taken * scale:20.2f} {function}"


if __name__ == "__main__":
    print("\n".join(lines(json.loads(Path(sys.argv[1]).read_text()))))
