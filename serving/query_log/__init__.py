"""The query log: every answered question leaves a durable record before its answer goes out.

``QueryLog.keep`` is what a route calls. The records form one chain of hashes over
all workers, each commit ends with a signature, and ``cemrisk log`` verifies, shows and searches them.
"""

from serving.query_log.entry import Answered
from serving.query_log.settings import LogSettings
from serving.query_log.writer import QueryLog

__all__ = ["Answered", "LogSettings", "QueryLog"]
