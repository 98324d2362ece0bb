"""Programs go on when a restore changes the tenant's database.

Calls by XML-RPC and JSON-RPC name the database, and so does the header ``X-Odoo-Database``. A name that the tenant's
database has had, its first one above all, counts as the present one's; who may come in is decided there, as ever.
"""

from __future__ import annotations

from typing import Any

from .carried_sessions import own_database, present

HEADER = "HTTP_X_ODOO_DATABASE"  # of the WSGI environment
NAMING_METHODS = frozenset({"login", "authenticate"})  # of the service "common"; its others name no database


def activate(http: Any, model: Any, common: Any, config: Any) -> None:
    """Lead earlier names to the only database of ``config``; nothing for any Odoo that is no tenant's.

    ``model`` and ``common`` are Odoo's services of these names; to activate it twice changes nothing.
    """
    own = own_database(config)
    if not own or hasattr(http.Application, "_loomworks_database"):
        return
    http.Application._loomworks_database = own
    http.Application.__call__ = _named_by_header(http.Application.__call__, own)
    model.dispatch = _named_first(model.dispatch, own)
    common.dispatch = _named_first(common.dispatch, own, NAMING_METHODS)


def _named_by_header(call: Any, own: str) -> Any:
    def called(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        if HEADER in environ:
            environ[HEADER] = present(environ[HEADER], own)
        return call(self, environ, start_response)

    return called


def _named_first(dispatch: Any, own: str, methods: frozenset[str] | None = None) -> Any:
    def dispatched(method: str, params: Any) -> Any:
        if params and isinstance(params[0], str) and (methods is None or method in methods):
            params = [present(params[0], own), *params[1:]]
        return dispatch(method, params)

    return dispatched
