"""For tests of what must be refused."""

import unittest

from chart import template


class Refusals(unittest.TestCase):
    def refused(self, values, *expected, **kwargs):
        flags = kwargs.pop("flags", ())
        done = template(values, *flags, **kwargs)
        self.assertNotEqual(done.returncode, 0, f"helm accepted {values}")
        for text in expected:
            self.assertIn(text, done.stderr)

    def refused_twice(self, values, *expected):
        """Also by who skips the schema."""
        self.refused(values, *expected)
        self.refused(values, *expected, flags=["--skip-schema-validation"])
