"""My worker retries after the connection is cut between execution and reply: the job that
it has taken, but never seen, is not lost."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def take(client):
    """The next job. One that was taken before, and not finished, comes first."""
    for _ in range(3):
        try:
            return client.lindex("taken", 0) or client.lmove("jobs", "taken")
        except redis.ConnectionError:
            continue
    raise redis.ConnectionError("tried three times")


def test_a_job_whose_reply_was_cut_off_is_not_lost(respd):
    respd.load({"jobs": {"type": "list", "value": ["one", "two"]}})
    worker = respd.client(retry=Retry(NoBackoff(), 0))  # or redis-py itself takes "two", too
    with respd.faults.drop_after(command="lmove", times=1) as cut:
        assert take(worker) == "one"
        assert cut.hits() == 1
    assert worker.lrange("jobs", 0, -1) == ["two"]
