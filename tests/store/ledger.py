"""The process that writes down what a store reported: standard input to a file, fsynced, line by line."""

import os
import sys

if __name__ == "__main__":
    with open(sys.argv[1], "ab", buffering=0) as ledger:  # noqa: PTH123 - a script of its own, light to start
        while chunk := os.read(0, 1 << 16):
            ledger.write(chunk)
            os.fsync(ledger.fileno())
