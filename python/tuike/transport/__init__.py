"""From the journals of edges to the folds on other machines: `shipper` sends `entries` over `redis_log`; `http_log`
reads the same from the machines themselves."""
