"""One loader a flavor, each importing its own runtime only when it is used."""
