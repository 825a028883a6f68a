"""Plain functions that tests share. Fixtures are in the conftest.py beside the tests that use them."""
