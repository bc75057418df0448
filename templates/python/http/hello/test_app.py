import unittest

from app import handle
from nexus_sdk import Request


class HelloTest(unittest.TestCase):
    def test_greets_by_name(self):
        response = handle(Request(url="http://localhost/hello?name=Ada"))
        self.assertEqual(response.status, 200)
        self.assertEqual(response.text, "Hello, Ada!\n")

    def test_takes_the_name_from_a_body(self):
        response = handle(Request("POST", body='{"name": "Grace"}'))
        self.assertEqual(response.text, "Hello, Grace!\n")


if __name__ == "__main__":
    unittest.main()
