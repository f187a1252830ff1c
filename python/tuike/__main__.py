"""`python -m tuike` is `tuike`."""

from tuike.cli import main

if __name__ == "__main__":
    main()
