"""Calls as an agent makes them: JSON-2 and XML-RPC with its key."""

import json
import urllib.error
import urllib.request
import xmlrpc.client


class Refused(Exception):
    """The server's answer to a call that it refused."""

    def __init__(self, status, answer):
        super().__init__(f"{status}: {answer.get('message')}")
        self.status = status
        self.answer = answer


class AgentClient:
    """A program with a key."""

    def __init__(self, port, database, uid, key, session=""):
        self.uid = uid
        self._port = port
        self._database = database
        self._key = key
        self._session = session

    def __call__(self, model, method, **arguments):
        """Call a method through JSON-2."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        if self._session:
            headers["X-Loomworks-Session"] = self._session
        url = f"http://127.0.0.1:{self._port}/json/2/{model}/{method}"
        request = urllib.request.Request(url, json.dumps(arguments).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise Refused(error.code, json.load(error)) from error

    def xmlrpc(self, model, method, *args, **kwargs):
        """Call a method through XML-RPC."""
        headers = [("X-Loomworks-Session", self._session)] if self._session else []
        url = f"http://127.0.0.1:{self._port}/xmlrpc/2/object"
        server = xmlrpc.client.ServerProxy(url, allow_none=True, headers=headers)
        return server.execute_kw(self._database, self.uid, self._key, model, method, list(args), kwargs)
