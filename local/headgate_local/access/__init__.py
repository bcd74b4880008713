"""Who asks, and what they may: users and their tokens, roles and bindings."""
