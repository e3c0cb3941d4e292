"""``python -m sansdimse_apps`` is ``sansdimse``."""

import sys

from sansdimse_apps.cli import main

if __name__ == "__main__":
    sys.exit(main())
