"""``python -m tasks.cli``."""

import sys

from tasks.cli.program import main

sys.exit(main())
