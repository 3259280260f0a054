import pytest

from carousel.errors import OperatorError
from carousel.release.identity import Hardware, Version


@pytest.mark.parametrize("text", ["00A1B2:7", "00A1B2:7:3", "FFFFFF:65535:0", "00A1B2:0:65534"])
def test_hardware_reads_as_it_prints(text):
    assert str(Hardware.parse(text)) == text


def test_the_highest_hardware_version_stands_for_all():
    assert Hardware.parse("00A1B2:7:65535") == Hardware.parse("00A1B2:7")


@pytest.mark.parametrize(
    "text",
    ["", "7", "00A1B2", "A1B2:7", "00A1B2:70000", "00A1B2:7:99999", "00A1B2:7 ", "00A1B2:65536", "00A1B2:7:65536"],
)
def test_bad_hardware_is_explained(text):
    with pytest.raises(OperatorError, match="OUI:model"):
        Hardware.parse(text)


@pytest.mark.parametrize(
    ("box", "image", "fits"),
    [
        ("00A1B2:7:3", "00A1B2:7", True),
        ("00A1B2:7:3", "00A1B2:7:3", True),
        ("00A1B2:7:3", "00A1B2:7:4", False),
        ("00A1B2:7", "00A1B2:7:4", False),
        ("00A1B2:7", "00A1B2:8", False),
        ("00A1B2:7", "00A1B3:7", False),
    ],
)
def test_which_board_takes_which_image(box, image, fits):
    assert Hardware.parse(box).accepts(Hardware.parse(image)) is fits


def test_versions_are_ordered_as_numbers():
    assert Version.parse("1.10.0") > Version.parse("1.9.99")
    for text in ("1.4.0", "65535.65535.4294967295", "0.0.70000"):
        assert str(Version.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "1.2.3.4", "a.b.c", "65536.0.0", "0.65536.0", "1.2.4294967296", "-1.0.0"]
)
def test_bad_versions_are_explained(text):
    with pytest.raises(OperatorError, match=r"major\.minor\.patch"):
        Version.parse(text)
