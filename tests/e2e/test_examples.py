"""The stories in examples/ run, and end as they say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
STORIES = {
    "first-carousel.sh": ["verified in", "this is image 1.0.0", "confirmed slot-a"],
    "lossy-link.sh": ["verified in", "installed 1.0.0 into slot-a"],
    "bad-update.sh": ["3 of 3 tries", "2 of 3 tries", "1 of 3 tries", "this is good 1.0.0", "(exit 4:"],
}

pytestmark = pytest.mark.processes


def test_every_story_is_told_in_the_readme_and_tested():
    scripts = {path.name for path in EXAMPLES.glob("*.sh")} - {"lab.sh"}
    assert scripts == STORIES.keys()
    assert all(name in (EXAMPLES / "README.md").read_text() for name in scripts)


@pytest.mark.long
@pytest.mark.parametrize("script", STORIES)
def test_the_story_ends_well(script, tmp_path):
    number = 1 + list(STORIES).index(script)
    groups = {"GROUP": f"239.255.81.{number}:{5180 + number}", "LOSSY_GROUP": f"239.255.82.{number}:{5190 + number}"}
    here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        ["bash", EXAMPLES / script],
        env={**os.environ, **here, **groups, "INTERFACE": "lo", "RATE": "20M"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    begin = 0
    for words in STORIES[script]:
        assert words in done.stdout[begin:], f"{words!r} is not told in its place:\n{done.stdout}{done.stderr}"
        begin = done.stdout.index(words, begin) + 1
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
