"""Grading of notebooks by strangers: their code runs in a sandbox, the judge outside compares plain data with a key.

``guest`` is the process in the ``sandbox``, ``channel`` the hostile pipe to it, ``judge`` asks and compares, ``key``
holds inputs and truths, which ``keys`` computes once. ``intake`` reads and mends submissions, ``harmless`` writes what
may be looked at, ``records``, ``gradebook`` and ``classroom`` keep what was found out.
"""
