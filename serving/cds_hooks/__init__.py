"""CDS Hooks 2.0: discovery, the service for two hooks, feedback, and who may call it."""
