import time
from datetime import timedelta


def test_the_clock_is_moved(respd):
    clock, client = respd.clock, respd.client()
    assert not clock.is_frozen()
    assert abs(clock.now() - time.time()) < 60
    clock.freeze()
    assert clock.is_frozen()
    clock.set(1_700_000_000)
    client.set("lock", "mine", px=1500)
    clock.advance(0.5)
    clock.advance(timedelta(milliseconds=250))
    assert clock.now() == 1_700_000_000.75
    assert client.pttl("lock") == 750
    assert clock.advance_to_next() == {"due": "key", "db": 0, "key": "lock"}
    assert clock.advance_to_next() is None
    clock.resume()
    assert not clock.is_frozen()
