"""Rules of the built-in kinds: the defaults and refusals of the real server that users and controllers meet."""
