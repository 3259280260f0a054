from settop.commands.status import lines_of

IMAGE = {"name": "[/red]", "version": "1.0.0", "image_size": 31_457_280, "sha256": "ab" * 32}
TRIAL = {"source": "slot-a", "state": "trial", "tries_left": 2, "active": False, **IMAGE}
FAILED = {"source": "slot-b", "state": "failed", "failure": "its tries are used up without a confirmation"}
WHOLE = {"hardware": "00A1B2:7", "floor": 0, "sources": [TRIAL, FAILED, {"source": "eeprom", "state": "factory"}]}


def test_it_fits_a_narrow_terminal_and_the_digest_is_whole():
    lines = lines_of("box", WHOLE)
    assert all(len(line) <= 60 or "ab" * 32 in line for line in lines), lines
    assert "        SHA-256 " + "ab" * 32 in lines
    assert "slot-a  trial, 2 tries left" in lines
    assert "        [/red] 1.0.0, 31,457,280 bytes" in lines
