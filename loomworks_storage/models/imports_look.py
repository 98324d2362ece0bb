"""A look at sources before anything is made of them: by the control plane, within seconds."""

import time
from concurrent.futures import ThreadPoolExecutor

from odoo import models
from odoo.addons.loomworks_tenant.errors import InvalidQuantity, LoomworksError
from odoo.addons.loomworks_tenant.kube import quantity
from odoo.exceptions import UserError

from ..filestore.store import Store
from ..importing.lines import Line
from ..importing.looking import looked_into
from .imports import in_units

THREADS = 8
LOOK_SECONDS = 40  # for all lines of a list; a request may take two minutes


class Cluster(models.Model):
    """A cluster whose sources can be looked at."""

    _inherit = "loomworks.cluster"

    def _look_at_sources(self, lines):
        """Return for each line what is wrong with its source, and what is in it; nothing where time has run out.

        :raises UserError: when the place of sources is not named, or does not answer
        """
        self.ensure_one()
        sources = self.sudo()._import_sources()
        if not sources:
            raise UserError(self.env._("“%s” does not say where sources of imports are.", self.name))
        until = time.monotonic() + LOOK_SECONDS
        try:
            store = Store(sources.location(), soon=True)
            with ThreadPoolExecutor(THREADS) as pool:
                return list(pool.map(lambda line: _look(store, line, until), lines))
        except LoomworksError as error:
            raise UserError(str(error)) from error


def _look(store, line, until):
    return looked_into(store, line, quick=True) if time.monotonic() < until else ([], {})


class Import(models.Model):
    """An import whose source can be looked at before it begins."""

    _inherit = "loomworks.import"

    def action_look(self):
        """Look at the source, and say what is in it, or what is wrong with it."""
        self.ensure_one()
        self._check_operator()
        [(_one, problems, contents)] = self._looked_at()
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "danger" if problems else "success",
                "sticky": bool(problems),
                "title": self.source,
                "message": "; ".join(problems) or self._said(contents),
            },
        }

    def action_dry_run(self):
        """Look at each of these imports as :meth:`action_import` would begin it; nothing is made or changed.

        :return: a list of dicts: ``id``, the ``problems`` in words (none: it would begin), and the ``contents`` of the
            source: ``files``, ``bytes`` and ``dump``; empty where it has a problem, or is too large to be counted now
        :raises UserError: when a place of sources is not named, or does not answer
        """
        self._check_operator()
        return [
            {"id": one.id, "problems": [*one._problems(self), *problems], "contents": contents}
            for one, problems, contents in self._looked_at()
        ]

    def _looked_at(self):
        """Yield each import with what is wrong with its source, and what is in it."""
        for cluster, imports in self.grouped("cluster_id").items():
            looked = cluster._look_at_sources([one._to_line() for one in imports])
            for one, (problems, contents) in zip(imports, looked, strict=True):
                yield one, [*problems, *one.plan_id._too_small_for(contents)], contents

    def _to_line(self):
        expected = {"files": self.expected_files, "bytes": int(self.expected_bytes)}
        return Line(0, self.name, self.subdomain, self.plan_id.name, self.source, self.dump or "", **expected)

    def _problems(self, beside):
        """Return what keeps it from beginning together with those ``beside``, but for its source."""
        draft, problems = self.env["loomworks.tenant"].new({"subdomain": self.subdomain}), []
        for check in (self._check_can_begin, draft._check_subdomain):
            try:
                check()
            except UserError as error:
                problems.append(str(error))
        taken = (
            self.env["loomworks.tenant"]
            .sudo()
            .search_count(
                [("subdomain", "=", self.subdomain), ("erased_at", "=", False), ("id", "!=", self.tenant_id.id)],
                limit=1,
            )
        )
        if taken or beside.mapped("subdomain").count(self.subdomain) > 1:
            problems.append(self.env._("The subdomain “%s” is taken.", self.subdomain))
        return problems

    def _said(self, contents):
        if not contents:
            return self.env._("It is there. It is large: its files are counted when it is brought in.")
        return self.env._(
            "%(files)s files, %(size)s, and a %(kind)s dump of %(dump)s",
            files=contents["files"],
            size=in_units(contents["bytes"]),
            kind=contents["dump"]["kind"],
            dump=in_units(contents["dump"]["size"]),
        )


class Plan(models.Model):
    """A plan whose volume has to take a source's files."""

    _inherit = "loomworks.plan"

    def _too_small_for(self, contents):
        """Return what to say when the files of a source do not fit; nothing otherwise."""
        try:
            room = quantity.to_bytes(self.volume_size)
        except InvalidQuantity:
            return []
        if not contents or contents["bytes"] <= room:
            return []
        return [
            self.env._(
                "its files need %(needed)s, and a volume of the plan “%(plan)s” has %(room)s",
                needed=in_units(contents["bytes"]),
                plan=self.name,
                room=in_units(room),
            )
        ]
