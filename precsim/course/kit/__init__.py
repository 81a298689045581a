"""What an instructor hands out and works with, made from the problem sets and the book.

``chapters`` reads the objectives of the book, ``sets`` the exercises with points, minutes and the objectives that they
serve. From these two come ``schedule`` (weeks, due times, a calendar) and ``documents`` (syllabus, matrix, rubrics, the
guide for assistants). ``roster``, ``collect`` and ``platforms`` talk to learning
platforms, ``report`` says how hard each item was.
"""
