"""Requests as operations: who is an agent, what was asked for, and when it is over."""

import contextlib
import contextvars
import functools
import sys
from http import client as http_client

from odoo import http, sql_db
from odoo.exceptions import UserError
from odoo.service import model as rpc

from ..recording import Call, Operation, cursors, effects
from ..recording.log import DatabaseLog

SESSION_HEADER = "X-Loomworks-Session"
SESSION_LENGTH = 64
KINDS = {"create": "create", "name_create": "create", "copy": "create", "write": "write", "unlink": "unlink"}
LOG_MODEL = "loomworks.ai.operation.log"
ROUNDS = 10  # of what follows a commit, which may bring on more; as many as Odoo's own flush before it

# Of the request that a remote procedure call came with: Odoo hides it while it makes the call.
_session_of_call = contextvars.ContextVar("loomworks_session", default="")


def activate():
    """Have cursors and remote procedure calls tell the operation under way: once in a process."""
    cursors.activate(sql_db.Cursor, _of_request)
    testing = sys.modules.get("odoo.tests.test_cursor")
    if testing:  # many cursors of a test share one transaction
        cursors.activate_shared(testing.TestCursor, _of_request)
    effects.activate(http_client.HTTPConnection, lambda: cursors.under_way(_of_request))
    if rpc.execute_cr.__name__ != "recorded_execute_cr":
        rpc.call_kw = _answering(rpc.call_kw)
        rpc.execute_cr = _recorded(rpc.execute_cr)
        http.borrow_request = _telling_session(http.borrow_request)


def _of_request():
    return getattr(http._request_stack.top, "loomworks_operation", None)


def current(cr):
    """Return the operation under way on this cursor's database, or None."""
    return cursors.current(cr, _of_request)


def begin(request, args):
    """Have this request recorded if it is an agent's."""
    user, running = request.env.user, getattr(request, "loomworks_operation", None)
    if running is not None:
        running.answered = False  # it is tried again
    elif request.env.uid and user._is_ai_agent():
        request.loomworks_operation = Operation(request.db, _call_of_request(request, user, args), log_of(request.env))


def answered(request):
    """Take note that what the request asked for has been done; its last commit is still to come."""
    operation = getattr(request, "loomworks_operation", None)
    if operation is not None:
        operation.answered = True
        _finish_after(request.env.cr.postcommit, operation)


def _finish_after(callbacks, operation, rounds=ROUNDS):
    """End the operation when nothing follows the commit any more: what the last flush adds, as mail, belongs to it."""

    def finish():
        if callbacks and rounds:
            _finish_after(callbacks, operation, rounds - 1)
        else:
            operation.finish()

    callbacks.add(finish)


def failed(request, exception):
    """List a request that failed, unless it was one that only reads."""
    operation = getattr(request, "loomworks_operation", None)
    if operation is None or operation.closed:
        return
    if request.env and not request.env.cr.closed:
        request.env.cr.rollback()  # it may hold locks that the list would wait for
    operation.fail(_words(exception), quietly=_only_reads(request.registry, operation.call))


def log_of(env):
    """Return the list of operations of this database."""

    def refuse(limit):
        raise UserError(
            env._(
                "Today's %s operations of AI agents are used up: nothing was changed. Reading and undoing still work; "
                "the count starts again at midnight (UTC). Ask your host for a plan with more.",
                limit,
            )
        )

    return DatabaseLog(env.registry.cursor, refuse)


def _call_of_request(request, user, args):
    path = request.httprequest.path
    model, method, ids, tool = "", "", (), path
    with contextlib.suppress(ValueError, TypeError, AttributeError, LookupError):
        if "__model__" in args:
            model, method, tool = args["__model__"], args["__method__"], "json2"
            ids = (request.get_json_data() or {}).get("ids") or ()
        elif path.startswith(("/web/dataset/call_kw", "/web/dataset/call_button")):
            params = request.get_json_data()["params"]
            model, method, tool = params["model"], params["method"], "web"
            ids = _ids(params.get("args"))
    return _call(user, _session_of(request), tool, model, method, _ids([ids]))


def _call(user, session, tool, model, method, ids):
    return Call(
        user_id=user.id,
        agent_id=user.id,
        session=session,
        tool=tool[:200],
        model=str(model),
        table=_table_of(user.env, model),
        method=str(method),
        record_ids=tuple(ids),
        kind=KINDS.get(method, "method"),
    )


def _table_of(env, model):
    """Return the table of a model, if it has one with records that stay."""
    found = env.get(model) if isinstance(model, str) else None
    return "" if found is None or found._abstract or found._transient else found._table


def _ids(args):
    """Return the numbers in the first argument, which those of a method on records are."""
    first = args[0] if args else ()
    first = [first] if isinstance(first, int) else first
    return tuple(one for one in first if isinstance(one, int)) if isinstance(first, (list, tuple)) else ()


def _only_reads(registry, call):
    """Tell whether the method says of itself that it only reads; calls of no method are pages, which do, too."""
    model = registry.get(call.model) if call.model else None
    return model is None or bool(getattr(getattr(model, call.method, None), "_readonly", False))


def _words(exception):
    return str(exception) or type(exception).__name__


def _answering(call_kw):
    @functools.wraps(call_kw)
    def answering_call_kw(model, name, args, kwargs):
        result = call_kw(model, name, args, kwargs)
        operation = current(model.env.cr)
        if operation is not None:
            operation.answered = True
        return result

    return answering_call_kw


def _recorded(execute_cr):
    """Wrap what XML-RPC and JSON-RPC call: their requests know no user before."""

    def recorded_execute_cr(cr, uid, obj, method, args, kw):
        operation = _rpc_operation(cr, uid, obj, method, args)
        if operation is None:
            return execute_cr(cr, uid, obj, method, args, kw)
        with cursors.within(operation):
            try:
                result = execute_cr(cr, uid, obj, method, args, kw)
            except Exception as error:
                cr.rollback()
                operation.fail(_words(error), quietly=_only_reads(_registry(cr), operation.call))
                raise
            operation.finish()
            return result

    return recorded_execute_cr


def _registry(cr):
    from odoo.modules.registry import Registry

    return Registry(cr.dbname)


def _rpc_operation(cr, uid, obj, method, args):
    registry = _registry(cr)
    if LOG_MODEL not in registry:
        return None
    from odoo import api

    env = api.Environment(cr, uid, {})
    if not env.user._is_ai_agent():
        return None
    call = _call(env.user, _session_of_call.get(), "rpc", obj, method, _ids(args))
    return Operation(cr.dbname, call, log_of(env))


def _session_of(request):
    return request.httprequest.headers.get(SESSION_HEADER, "")[:SESSION_LENGTH] if request else ""


def _telling_session(borrow_request):
    """Wrap what hides the request from a remote procedure call, so that its session is known."""

    @contextlib.contextmanager
    def telling_borrow_request():
        with borrow_request() as request:
            token = _session_of_call.set(_session_of(request))
            try:
                yield request
            finally:
                _session_of_call.reset(token)

    return telling_borrow_request
