import pytest
import redis
from pytest_respd import RespdError


def test_each_call_adds_the_fault_that_it_says(respd):
    faults = respd.faults
    faults.error("boom", command="config|get", user="default")
    every = {"key": "order:*", "channel": "n?ws", "name": "w", "id": 7, "library": "py", "db": 15}
    faults.delay(0.5, **every, nth=3)
    faults.drop_before(name="w", every=2)
    faults.drop_after(name="w", times=4)
    faults.drop_amid(chance=50, seed=9, name="w")
    faults.refuse(nth=1000)
    for each in (faults.hang, faults.stall, faults.trickle, faults.lose, faults.duplicate, faults.reorder):
        each(name="w")
    assert [fault["fault"] for fault in faults.list()] == [
        "ERROR boom COMMAND config|get USER default",
        "DELAY 500 KEY order:* CHANNEL n?ws NAME w ID 7 LIBRARY py DB 15 NTH 3",
        "DROP BEFORE NAME w EVERY 2",
        "DROP AFTER NAME w TIMES 4",
        "DROP MIDDLE NAME w CHANCE 50 SEED 9",
        "REFUSE NTH 1000",
        "HANG NAME w",
        "STALL NAME w",
        "TRICKLE NAME w",
        "LOSE NAME w",
        "DUPLICATE NAME w",
        "REORDER NAME w",
    ]
    faults.clear()
    assert faults.list() == []
    with pytest.raises(RespdError, match="^ERR syntax error$"):
        faults.refuse(nth=1, times=2)


def test_what_is_mistyped_says_what_there_is(respd):
    with pytest.raises(TypeError, match="unexpected keyword argument 'comand'; there are .* command, "):
        respd.faults.error("LOADING", comand="get")
    with respd.record() as record, pytest.raises(TypeError, match="'kye'"):
        record.assert_sent("GET", "*", kye="order:*")


def test_a_fault_strikes_until_it_is_removed(respd):
    client = respd.client()
    with respd.faults.error("ERR boom", command="get", key="order:*", every=2) as fault:
        assert client.get("order:1") is None
        assert client.get("page:1") is None
        with pytest.raises(redis.ResponseError, match="boom"):
            client.get("order:1")
        assert (fault.hits(), fault.matches()) == (1, 2)
    client.get("order:1")
    client.get("order:1")
    with pytest.raises(RespdError, match="^ERR no such fault$"):
        fault.hits()


def test_a_fault_that_the_test_has_removed_is_none_at_the_end_of_its_block(respd):
    with respd.faults.error("LOADING"):
        respd.faults.clear()
    assert respd.client().ping()


def test_no_fault_keeps_a_test_from_removing_it(respd):
    hang = respd.faults.hang()
    stuck = respd.client(socket_timeout=0.1, retry=None)
    with pytest.raises(redis.TimeoutError):
        stuck.ping()
    hang.remove()
    assert respd.client().ping()
