"""Assets, one module per plane and step; each asset is a sentence."""
