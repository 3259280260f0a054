"""What occurs in an array."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from carousel.distinct import distinct


@given(st.lists(st.integers(-3, 3)))
def test_each_value_once_in_order(values: list[int]) -> None:
    found = distinct(np.array(values, dtype=np.int64))
    assert found.tolist() == sorted(set(values))
    assert found.dtype == np.int64


def test_costs_no_import() -> None:
    code = "import sys, numpy as np; from carousel.distinct import distinct; distinct(np.arange(3)); "
    code += "print('numpy.ma' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
