"""The same deliverables from every engine: a whole month's statements, out of the same landed files and timelines.

`contract` says what an engine gets and must leave; each engine is a module with its best honest form; `proof` is what
each of them runs over its own files; `judge` is the one checker for all, the product included.
"""
