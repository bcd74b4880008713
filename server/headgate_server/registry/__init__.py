"""The registry side of loading: find one version in MLflow by plain REST and bring its files here."""
