"""The rounding kernels: float magic add under numba (`fast`), integer bits for NumPy and JAX (`integer`).

Two formulations of one definition, on purpose: each is the other's test.
"""
