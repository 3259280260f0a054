"""Each transition of a record, in C as in Python (settop/store/choice.py)."""

import pytest
from hypothesis import given

from settop.store.choice import free_slot
from tests.firmware_stub.core.sameflash import records, settled
from tests.firmware_stub.stubhost import library

pytestmark = pytest.mark.stub


@settled
@given(records)
def test_the_same_free_slot(record):
    assert library().host_free_slot(record.build()) == free_slot(record)
