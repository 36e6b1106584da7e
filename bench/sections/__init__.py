"""One module per section; each has `run() -> Report`. ORDER is the order of `make bench`."""

ORDER = ["version", "swap", "key_lock", "cap", "cooldown", "contention", "bulk", "backend"]
