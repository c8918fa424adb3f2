"""``python -m evmon``."""

import sys

from evmon._cli import main

if __name__ == "__main__":
    sys.exit(main())
