"""Runs the tests of the chart. `tests/run helm` calls it, with HELM set to the program it built."""

import pathlib
import unittest

unittest.main(module=None, argv=["check.py", "discover", "--start-directory", str(pathlib.Path(__file__).parent)])
