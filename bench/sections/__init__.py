"""One module per section; each has `run() -> Report`. ORDER is the order of `make bench`."""

ORDER = ["version", "track", "swap", "key_lock", "locks", "upsert", "cap", "cooldown", "number", "total", "shapes",
         "contention", "growth", "partitions", "bulk", "size", "backend", "check"]
