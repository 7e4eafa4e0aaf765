"""Reading the two JSON files into frozen values, and telling everything that is wrong with them."""
