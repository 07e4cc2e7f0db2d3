"""What the model may call. An operator's tools import from here: ``tool``, ``Background``,
``CallFacts``.
"""

from app.tools.parameters import CallFacts
from app.tools.registry import Background, tool

__all__ = ["Background", "CallFacts", "tool"]
