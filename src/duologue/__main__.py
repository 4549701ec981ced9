"""`python -m duologue`: the command line."""

from .cli import main

main(prog_name="duologue")
