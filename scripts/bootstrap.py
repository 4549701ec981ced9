"""Makes the virtual environment that the Makefile works in; run by any Python there is.

It is written in the syntax that every Python since 2.7 reads, so that an old one can say that it is old.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Duologue needs Python 3.11 or newer; %s is %d.%d.%d."
        " Install one, or name it: make demo PYTHON=python3.12"
        % ((sys.executable,) + tuple(sys.version_info[:3]))
    )

from environment import main

main(sys.argv[1:])
