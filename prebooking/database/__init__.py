"""The functions of the database, as Python calls them."""
