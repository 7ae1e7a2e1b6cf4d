"""``python -m rayot`` is the command ``rayot``."""

import sys

from rayot.cli import main

sys.exit(main())
