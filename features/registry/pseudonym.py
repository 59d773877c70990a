"""How identifiers of simulated patients are told from those of real ones, also where a pseudonym takes their place."""

from __future__ import annotations

#: Pseudonyms of simulated patients begin with this, and a training that sees one counts as synthetic for ever.
SIMULATED_PREFIX = "SIM-"


def is_simulated(identifier: object) -> bool:
    """Whether this names a simulated patient; unknown (None) does not."""
    return isinstance(identifier, str) and identifier.strip().startswith(SIMULATED_PREFIX)


def pseudonym(identifier: str, number: int) -> str:
    """What stands for an identifier that may not be kept: its number, and that it is simulated if it is."""
    return f"{SIMULATED_PREFIX if is_simulated(identifier) else ''}record-{number}"
