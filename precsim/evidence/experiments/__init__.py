"""What was trained, as lists of jobs.

``open_table`` declares the open table of runs, and ``make`` trains what is missing of it; ``chapters`` are the small
experiments of the book, ``demonstrations`` what it shows without a sweep.
"""
