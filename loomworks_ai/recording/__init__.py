"""One request as one operation: captured on every cursor that it opens, through commits, retries and failures.

Plain Python: Odoo's cursors and its log are handed in. `operation` keeps what one request has written, `cursors` lets
it see the statements, `effects` notes what leaves the system meanwhile.
"""

from .operation import Call, Operation, Outcome

__all__ = ["Call", "Operation", "Outcome"]
