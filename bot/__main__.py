"""``python -m bot`` is ``pagerunner``."""

from bot.cli import main

if __name__ == "__main__":
    main()
