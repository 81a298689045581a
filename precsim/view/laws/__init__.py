"""Charts, tables and widgets about laws and fits."""
