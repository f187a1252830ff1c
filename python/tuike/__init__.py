"""tuike (推客): affiliate tracking and commission, self-hosted.

A click's way: `tuike.edge` answers it and journals it, `fold` in the processor counts it, `books` turn the
order that follows into money, `admin` shows both. `_core` is the Rust beneath all of them.
"""

from importlib.metadata import version

__version__ = version("tuike")
