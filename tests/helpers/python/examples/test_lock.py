"""My lock is lost when its time is up while I work: I must not release that of another."""

import pytest
from redis.exceptions import LockNotOwnedError


def lock(client):
    return client.lock("report", timeout=30, blocking=False)


def test_who_works_for_too_long_does_not_release_the_lock_of_another(respd):
    mine, theirs = lock(respd.client()), lock(respd.client())
    assert mine.acquire()
    assert not theirs.acquire()

    respd.clock.advance(30)  # I work.

    assert not mine.owned()
    assert theirs.acquire()
    with pytest.raises(LockNotOwnedError):
        mine.release()
    assert theirs.owned()
