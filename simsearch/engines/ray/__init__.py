"""Ray: an engine that hands shards to a cluster, the process that commands it, and what runs on its machines."""
