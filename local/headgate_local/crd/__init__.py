"""Custom kinds: from a CustomResourceDefinition to a served, defaulted, validated kind."""
