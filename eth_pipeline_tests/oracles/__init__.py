"""Independent implementations and the scripts that ran them."""
