"""Reading registry exports: flat CSV, any CSV with a mapping file, REDCap with its data dictionary."""

from features.registry.export import Export, Row, read_export
from features.registry.write import write_split

__all__ = ["Export", "Row", "read_export", "write_split"]
