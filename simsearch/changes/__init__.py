"""What a build holds, what its folder or table holds now, and what differs."""
