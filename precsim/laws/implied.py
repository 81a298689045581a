"""The share of parameters that one observed loss implies: a law's base read backward."""

from __future__ import annotations

import numpy as np

from precsim.laws.composition import Law


def implied_factor(law: Law, N, D, loss):
    """F = N_eff/N such that the base predicts the observed loss, base(f·N, D) = loss; shape of the arguments.

    Parameters
    ----------
    law : Law
        With a base whose loss falls in N; its factors and degradations are not used.
    N, D, loss : array_like
        Parameters, tokens, observed loss as trained [nats/token]; they broadcast.

    Returns
    -------
    float or ndarray
        NaN where no number of parameters from 10⁻⁹·N to 10³·N gives the loss: below the base's limit for infinite
        N, for instance.

    Raises
    ------
    ValueError
        If the law has no base.

    Examples
    --------
    >>> from precsim.laws import Chinchilla
    >>> law = Chinchilla(E=1.0, A=400.0, B=800.0, alpha=0.5, beta=0.5)
    >>> round(float(implied_factor(law, 1e6, 1e8, law(0.25e6, 1e8))), 9)
    0.25
    """
    if law.base is None:
        raise ValueError(f"the share of parameters is read off a base; {law.label} has none")
    N, D, loss = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (N, D, loss)))
    low, high = np.full(N.shape, np.log(1e-9)), np.full(N.shape, np.log(1e3))
    inside = (law.base.loss(N * np.exp(low), D) >= loss) & (law.base.loss(N * np.exp(high), D) <= loss)
    for _ in range(60):  # the bracket of 28 e-folds shrinks below the last bit
        middle = 0.5 * (low + high)
        over = law.base.loss(N * np.exp(middle), D) > loss
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return np.where(inside, np.exp(0.5 * (low + high)), np.nan)[()]
