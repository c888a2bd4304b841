"""The subscriber is there before I publish: a message that comes earlier is lost."""

from concurrent.futures import ThreadPoolExecutor


def first_order(client):
    """What a service hears first."""
    with client.pubsub() as orders:
        orders.subscribe("orders")
        return next(message["data"] for message in orders.listen() if message["type"] == "message")


def test_the_service_hears_the_first_order(respd):
    with ThreadPoolExecutor() as service:
        heard = service.submit(first_order, respd.client())
        respd.until.subscribers("orders", 1)
        assert respd.client().publish("orders", "one") == 1
        assert heard.result(timeout=60) == "one"
