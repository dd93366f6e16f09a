"""Runs the tests of the chart and of the Dockerfile. `tests/run helm` calls it, with the programs that it built in the environment."""

import pathlib
import unittest

unittest.main(module=None, argv=["check.py", "discover", "--start-directory", str(pathlib.Path(__file__).parent)])
