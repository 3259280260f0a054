import pytest

from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError


@pytest.mark.parametrize("text", ["239.255.77.1:5077", "[ff15::4d]:5077"])
def test_reads_as_it_prints(text):
    assert str(Endpoint.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "239.255.77.1", "10.0.0.1:5077", "239.255.77.1:0", "239.255.77.1:70000", "ff15::4d:5077", "x:1"]
)
def test_bad_groups_are_explained(text):
    with pytest.raises(OperatorError, match=r"group|port"):
        Endpoint.parse(text)
