"""FHIR R4: from a patient's resources to a question, and from an answer to resources. Pure, apart from ``routes``."""
