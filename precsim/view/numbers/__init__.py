"""Charts and widgets about formats, rounding, scales and sums."""
