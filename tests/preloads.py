"""Libraries that are preloaded into a process under test: the C sources beside this file."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


class NoCompiler(Exception):
    """This machine has no C compiler."""


def compiled(source: str, folder: Path) -> Path:
    """The library of a source, e.g. `clock.c`. Raises NoCompiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompiler(f"no C compiler for {source} (apt-get install gcc)")
    library = folder / f"{source}.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, HERE / source], check=True)
    return library
