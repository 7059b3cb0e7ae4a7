"""The stores that come with the program."""
