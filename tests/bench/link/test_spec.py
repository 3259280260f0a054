import pytest

from bench.link.spec import LinkSpec, format_link, parse_link, read_loss_trace, read_rate_trace
from carousel.errors import OperatorError

WHOLE = (
    "rate=50M,queue=200ms,delay=20ms,jitter=5ms,loss=1%,burst=4,reorder=0.5%,duplicate=0.1%,corrupt=0.01%,outage=10s+2s"
)


def test_the_example_of_the_docs():
    spec = parse_link(WHOLE)
    assert spec == LinkSpec(
        rate_bps=50e6,
        queue_s=0.2,
        delay_s=0.02,
        jitter_s=0.005,
        loss=0.01,
        burst=4.0,
        reorder=0.005,
        duplicate=0.001,
        corrupt=0.0001,
        outages=((10.0, 2.0),),
    )


def test_other_models_and_bases():
    assert parse_link("p=1%,r=30%").ge == (0.01, 0.3, 0.0, 1.0)
    assert parse_link("p=1%,r=30%,1-h=90%,1-k=0.25").ge == pytest.approx((0.01, 0.3, 0.1, 0.75))
    assert parse_link("p13=1%,p31=20%").four_state == (0.01, 0.2, 0.0, 0.0, 0.0)
    assert parse_link("dead").is_dead
    assert parse_link("loss=100%").is_dead
    assert parse_link("") == LinkSpec()
    assert parse_link("loss=3%", parse_link(WHOLE)).rate_bps == 50e6
    assert parse_link("outage=1s+1s/5s+500ms").outages == ((1.0, 1.0), (5.0, 0.5))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("los=1%", "there is no 'los'; there are rate, queue"),
        ("rate", "there is no 'rate'"),
        ("rate=fast", "rate=fast is not a rate in bit/s"),
        ("loss=101%", "loss=101% is not a share"),
        ("loss=-1", "loss=-1 is not a share"),
        ("delay=20", "delay=20 is not a time"),
        ("delay=2000000s", "up to an hour"),
        ("burst=0.5,loss=1%", "burst=0.5 is not a mean burst length"),
        ("burst=3", "burst needs a loss"),
        ("loss=80%,burst=2", "can't make up a loss of 80%"),
        ("outage=10s", "outage=10s is not when and for how long"),
        ("p=1%", "needs p and r"),
        ("p=1%,r=0", "never leaves a state"),
        ("p=1%,r=2%,h=10%", "write 1-h, what that state loses, as tc's gemodel does"),
        ("p=1%,r=2%,k=99%", "write 1-k"),
        ("p=1%,r=2%,1-h=1%,1-k=2%", "the bad state loses less"),
        ("p=1%,r=2%,p13=1%", "not both"),
        ("p13=60%,p14=60%", "may not pass 1"),
        ("loss=1%,p=1%,r=2%", "one loss model"),
        ("reorder=1%", "reorder needs a delay"),
        ("delay=1ms,jitter=2ms", "jitter can't pass the delay"),
    ],
)
def test_what_can_not_be_is_one_sentence(text, sentence):
    with pytest.raises(OperatorError, match="link ") as caught:
        parse_link(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_traces(tmp_path):
    good = tmp_path / "good"
    good.write_text("1\n1\n4\n")
    assert read_rate_trace(good) == (1, 1, 4)
    good.write_text("# passed lost\n10 2\n3 1\n")
    assert read_loss_trace(good) == [(10, 2), (3, 1)]
    for text in ("", "5\n3\n", "x\n"):
        good.write_text(text)
        with pytest.raises(OperatorError, match="Mahimahi"):
            read_rate_trace(good)
    for text in ("", "1\n", "-1 2\n", "0 0\n"):
        good.write_text(text)
        with pytest.raises(OperatorError, match="loss trace"):
            read_loss_trace(good)


@pytest.mark.parametrize(
    "text",
    [
        "rate=50M,queue=200ms,delay=20ms,jitter=5ms,loss=1%,burst=4",
        "loss=0.1%,reorder=1%,delay=3ms,duplicate=2%,corrupt=0.5%",
        "p=0.01,r=0.2,1-h=0.75,1-k=0.25",
        "p13=0.01,p31=0.3,p32=0.1,p23=0.2,p14=0.01",
        "outage=10s+2s/30s+1s",
        "dead",
        "",
    ],
)
def test_a_link_is_written_as_it_is_read(text):
    assert parse_link(format_link(parse_link(text))) == parse_link(text)
