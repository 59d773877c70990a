"""A synthetic registry with known truth. See docs/simulator.md."""

from training.simulate.gain import expected_log_loss, share_of_gain
from training.simulate.registry import Registry, simulate
from training.simulate.world import World
from training.simulate.write import command, write

__all__ = ["Registry", "World", "command", "expected_log_loss", "share_of_gain", "simulate", "write"]
