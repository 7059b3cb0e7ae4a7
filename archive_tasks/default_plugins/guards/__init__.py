"""The guards that come with the program: reasons to keep an item at home."""
