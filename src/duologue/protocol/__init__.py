"""The rules of the protocol, which both ends follow: no I/O, no clock and no randomness but what is passed in."""
