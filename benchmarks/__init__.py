"""The benchmark: hostile data, the real landing and close, a floor, other engines on the same files, and an audit.

`make bench` runs it and `make audit` judges any closed month. Nothing of the product imports anything from here; the
audit, the timelines and the peers import nothing of the product either, or they would prove nothing.
"""
