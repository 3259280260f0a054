import pytest

from bench.link.profiles import find_profile, load_profiles
from bench.link.topology import parse_target, read_topology
from carousel.errors import OperatorError

GOOD = """
seed = 7
[[trunk]]
name = "street"
down = "rate=200M,loss=0.5%,burst=10"
[[class]]
name = "good"
boxes = 20
to = "127.0.0.1:6001"
profile = "docsis31"
trunk = "street"
[[class]]
name = "bad"
to = "239.255.78.2:5078%lo"
down = "loss=20%"
up = "dead"
"""


def written(tmp_path, text):
    path = tmp_path / "lab.toml"
    path.write_text(text)
    return path


def test_a_topology_is_read(tmp_path):
    topology = read_topology(written(tmp_path, GOOD))
    good, bad = topology.classes
    assert [str(target) for target in good.targets][:2] == ["127.0.0.1:6001", "127.0.0.1:6002"]
    assert (len(good.targets), good.trunk, good.down.rate_bps) == (20, "street", 1e9)
    assert (bad.down.loss, bad.up.is_dead, bad.targets[0].is_group) == (0.2, True, True)
    assert topology.seed == 7


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('trunk = "street"', 'trunk = "road"', "there is no trunk 'road'; there are street"),
        ("boxes = 20", "boxes = 0", "boxes is a whole number from 1"),
        ("boxes = 20", "boxes = 60000", "boxes is a whole number"),
        ("boxes = 20", "box = 20", "there is no key 'box'"),
        ('to = "127.0.0.1:6001"', "", "'to' is missing"),
        ("127.0.0.1:6001", "127.0.0.1:65530", "pass port 65535"),
        ("127.0.0.1:6001", "localhost:1", "is not of the form"),
        ("%lo", "", "through which interface"),
        ("docsis31", "docsis99", "there is no profile 'docsis99'"),
        ("loss=20%", "loss=20%,x=1", "there is no 'x'"),
        ("seed = 7", "seed = -1", "seed is a whole number"),
        ("[[trunk]]", "[[trunk", "is no TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, sentence):
    with pytest.raises(OperatorError) as caught:
        read_topology(written(tmp_path, GOOD.replace(old, new, 1)))
    assert sentence in str(caught.value)


def test_targets():
    assert str(parse_target("[::1]:6001")) == "[::1]:6001"
    for text in ("127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000"):
        with pytest.raises(OperatorError):
            parse_target(text)


def test_profiles_ship_with_their_source_and_can_be_added(tmp_path):
    profiles = load_profiles()
    assert {"docsis30", "docsis31", "dsl", "wifi-multicast", "satellite", "3g", "edge", "one-way"} <= set(profiles)
    assert all(len(profile.source) > 20 for profile in profiles.values())
    assert profiles["one-way"].up.is_dead
    mine = tmp_path / "my.toml"
    mine.write_text('[shed]\ndown = "rate=1M"\nup = "dead"\n')
    assert find_profile("shed", mine).down.rate_bps == 1e6
    mine.write_text('[shed]\ndown = "rate=1M"\n')
    with pytest.raises(OperatorError, match="shed"):
        load_profiles(mine)
