"""What `bootbench sniff` says in words: nothing of how it counts."""

import re
from pathlib import Path

from bench.capture import analysis, ssu
from bench.capture.pictures import COUNTED, print_flute


def report(files, counts):
    fdt = {"instance": 7, "packets": 1, "files": [{"location": f"file{at}", "toi": at} for at in range(files)]}
    report = {"packets": 9, "seconds": 1.0, "rate_bps": 8e6, "tsis": ["0x1"], "objects": [], "fdt": [fdt]}
    release = {"name": "lab", "version": "1.0.0", "hardware": "00A1B2:7", "image_size": 9, "source_blocks": 1}
    return report | {"counts": counts, "releases": [release | {"repair_per_block": 3, "key_id": "ab"}]}


def test_files_that_are_not_named_are_counted(capsys):
    print_flute(report(5, {}))
    shown = capsys.readouterr().out
    assert "FDT instance 7: 5 files: file0 (0), file1 (1), file2 (2), and 2 more\n" in shown
    assert "9 bytes in 1 block, 3 repair symbols each" in shown
    print_flute(report(1, {}))
    assert "FDT instance 7: 1 file: file0 (0)\n" in capsys.readouterr().out


def test_what_is_counted_is_said_in_words(capsys):
    print_flute(report(1, {"announcements": 1600, "fdt_packets": 8}))
    assert "1,600 announcements of releases (signed headers); 8 packets of FDTs" in capsys.readouterr().out
    counted = {
        name
        for module in (analysis, ssu)
        for name in re.findall(r'counts\["(\w+)"\]', Path(module.__file__).read_text())
    }
    assert counted == set(COUNTED)
