"""Runs the tests of the chart. `tests/run helm` calls it, with HELM and PORTCULLIS set to the programs it built."""

import pathlib
import unittest

unittest.main(module=None, argv=["check.py", "discover", "--start-directory", str(pathlib.Path(__file__).parent)])
