"""A proxy in front of several databases: the same functions, on PL/Proxy.

routes.py       where each function goes
functions.py    the functions of a shard, and those of a proxy that follow from them
shards.py       the map of shards: made, compared, changed
"""
