"""Charts about budgets, plans, serving and the design of sweeps."""
