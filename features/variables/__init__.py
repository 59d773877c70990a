"""The clinical variables themselves, one module for each part of the story, put together in ``dictionary``."""
