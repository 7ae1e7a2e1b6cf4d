"""``python -m rayot`` is the command ``rayot``."""

import sys

from rayot.cli import main

if __name__ == "__main__":
    sys.exit(main())
