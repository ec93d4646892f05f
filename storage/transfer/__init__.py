"""Files to a store and back by the AWS CRT: many at once, bounded in memory, checked from end to end."""
