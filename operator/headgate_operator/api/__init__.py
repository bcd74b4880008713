"""The ModelDeployment resource as values: frozen dataclasses, parsed from and written to JSON at the edge."""
