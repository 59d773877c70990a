"""What is known about a patient: dictionary, export readers, checks, derived features, measures in CT."""

#: Of the software; pyproject.toml says it too, for those who install the package.
VERSION = "0.1.0"
