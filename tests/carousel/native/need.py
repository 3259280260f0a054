"""What tests of the native core need: the core. Where there is no C compiler it is missing, and they say so."""

import pytest

from carousel.native import core, why_not

__all__ = ["BOTH", "IMPLEMENTATIONS", "needs_native"]

needs_native = pytest.mark.skipif(core() is None, reason=why_not() or "the native core is there")
IMPLEMENTATIONS = ["native", "numpy"] if core() is not None else ["numpy"]
BOTH = [pytest.param("native", marks=needs_native), "numpy"]
"""One suite over both."""
