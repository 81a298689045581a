"""Charts and widgets."""

from precsim.view._theme import enable, finish

__all__ = ["enable", "finish"]
