import re

import pytest
from pytest_respd import RespdError


def test_what_was_sent_is_on_record(respd):
    shop, reader = respd.client(client_name="shop"), respd.client()
    with respd.record(limit=100) as record:
        shop.set("order:1", "new")
        shop.set("order:2", "new")
        reader.get("order:1")
        record.assert_sent("SET", "order:?", "new", times=2)
        record.assert_sent("set", "order:1", "...")
        record.assert_sent("GET", "order:1", times=0, name="shop")
        record.assert_in_order("SET order:1 new", "GET order:1")
        record.assert_untouched("secret:*")
        with pytest.raises(AssertionError, match="^'GET other' was not sent; sent: GET order:1 "):
            record.assert_sent("GET", "other")
        with pytest.raises(AssertionError, match=re.escape("'GET order:1' was not sent")):
            record.assert_in_order("GET order:1", name="shop")
        with pytest.raises(AssertionError, match="order:"):
            record.assert_untouched("order:*")
        with pytest.raises(RespdError, match="^ERR RESPD RECORD ASSERT takes, "):
            record.assert_sent()
        request, reply = record.entries(key="order:2")
        assert request["words"] == ["SET", "order:2", "new"]
        assert (reply["request"], reply["text"]) == (request["seq"], "OK")
        assert record.entries(count=1, name="shop")[0]["seq"] == reply["seq"]
        assert record.count(command="set") == 4
        assert "SET order:1 new" in record.transcript(command="set")
        assert record.state()["state"] == "recording"
        record.clear()
        assert record.count() == 0
    with pytest.raises(RespdError, match="no record"):
        record.count()


def test_what_was_delivered_is_on_record(respd):
    with respd.client().pubsub() as listener, respd.record() as record:
        listener.subscribe("news")
        respd.until.subscribers("news", 1)
        respd.client().publish("news", "today")
        record.assert_delivered("message", "news", "to*", times=1)
        with pytest.raises(AssertionError, match="^'message news tomorrow' was not delivered"):
            record.assert_delivered("message", "news", "tomorrow")
