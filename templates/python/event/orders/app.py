import logging

from nexus_sdk import Event, PermanentError, event


@event
def handle(event: Event) -> Event:
    """What it gives back is an event for whoever handles that type. A ``PermanentError`` says that
    a retry does not help; any other exception is tried again."""
    order = event.data
    if not order["items"]:
        raise PermanentError("an order needs items")
    total = sum(item["price"] for item in order["items"])
    logging.info("order accepted", extra={"order": order["order"], "total": total})
    return Event("com.shop.order.accepted", {"order": order["order"], "total": total})
