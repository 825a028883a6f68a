"""What tests share: plain functions. Fixtures are in the conftest.py beside the tests that use them."""
