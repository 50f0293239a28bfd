"""Everything that changes the data folder: land, close, the registry, the inbox.

What belongs here: the order of the steps, under the lock. What does not: the steps, which are the packages above.
"""
