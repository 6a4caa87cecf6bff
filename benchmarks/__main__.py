"""Entry: `python -m benchmarks` from the root, `python benchmarks` from anywhere, `./run bench`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # with -m it is the root that stands there

from suite import main  # found by the line above

sys.exit(main())
