"""A grid file that shows its rules; printed by ``precsim sweep --help`` and run by the tests."""

EXAMPLE = """\
# every key is a field of a Job; a list is a set of alternatives
language = {kind = "zipf-facts", vocabulary = 64}
model = {kind = "mlp", width = [8, 16]}             # two models
tokens = [80_000, 500_000]
post = ["INT3", "INT4", {weights = "INT3", method = "gptq"}]   # all of them, on every model

[[grid]]
seed = [0, 1, 2, 3]                                 # in float32

[[grid]]
recipe = {weights = ["INT2", "INT3", "INT4"]}       # low-precision training
"""
