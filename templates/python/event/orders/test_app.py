import unittest

from app import handle
from nexus_sdk import Event, PermanentError


def order(*prices):
    items = [{"sku": "tea", "price": price} for price in prices]
    return Event("com.shop.order.created", {"order": 42, "items": items})


class OrdersTest(unittest.TestCase):
    def test_adds_up(self):
        accepted = handle(order(7, 5))
        self.assertEqual(accepted.type, "com.shop.order.accepted")
        self.assertEqual(accepted.data, {"order": 42, "total": 12})

    def test_refuses_an_empty_order_for_good(self):
        with self.assertRaises(PermanentError):
            handle(order())


if __name__ == "__main__":
    unittest.main()
