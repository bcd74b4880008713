"""The controllers of the plane: level-triggered functions over the API, no state of their own that matters."""
