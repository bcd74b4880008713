"""Services as loopback listeners that spread connections over ready endpoints."""
