"""Side-by-side measurements against peers, in one run: `make bench`.

Absolute times say more about the machine than about the code, so every figure is a ratio of two things
measured in turn (A B A B ...), with its spread.
"""
