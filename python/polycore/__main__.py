# SPDX-License-Identifier: BSD-3-Clause
"""``python -m polycore``: the command line, and where the C++ library lies (--cmakedir, --includedir)."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
