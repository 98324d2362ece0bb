"""Rows that name a bucket, whose settings are looked at every day: an object store can take away what it was given."""

from markupsafe import Markup
from odoo import api, fields, models
from odoo.addons.loomworks_tenant.errors import LoomworksError

from ..buckets import bucket as buckets
from ..buckets.bucket import Bucket
from ..buckets.verdict import Finding, Grade, judge, overall
from ..filestore.location import TENANTS

STATES = [
    (Grade.GOOD.value, "As they should be"),
    (Grade.UNKNOWN.value, "Not all known"),
    (Grade.WRONG.value, "To be changed"),
]
COLOURS = {Grade.GOOD: "success", Grade.NOTED: "info", Grade.UNKNOWN: "secondary", Grade.WRONG: "danger"}
LINE = Markup(
    '<tr><td class="pe-3 text-nowrap">{setting}</td>'
    '<td class="pe-3"><span class="badge text-bg-{colour}">{grade}</span></td>'
    '<td>{text}<div class="text-muted">{remedy}</div></td></tr>'
)


class BucketCheck(models.AbstractModel):
    """What names a bucket."""

    _name = "loomworks.bucket.check"
    _description = "Names a bucket whose settings are looked at"

    bucket_state = fields.Selection(STATES, "Bucket's settings", readonly=True, copy=False)
    bucket_checked_at = fields.Datetime("Settings looked at", readonly=True, copy=False)
    bucket_problem = fields.Char("Settings cannot be looked at", readonly=True, copy=False)
    bucket_findings = fields.Json(readonly=True, copy=False)
    bucket_findings_html = fields.Html("Settings", compute="_compute_bucket_findings_html")

    @api.depends("bucket_findings")
    def _compute_bucket_findings_html(self):
        labels = self._bucket_grades()
        for row in self:
            lines = [_line(Finding(**one), labels) for one in row.bucket_findings or ()]
            row.bucket_findings_html = Markup("<table>{}</table>").format(Markup("").join(lines)) if lines else False

    @api.model
    def _bucket_grades(self):
        return {
            Grade.GOOD: self.env._("good"),
            Grade.NOTED: self.env._("noted"),
            Grade.UNKNOWN: self.env._("unknown"),
            Grade.WRONG: self.env._("to be changed"),
        }

    def _bucket(self):
        """Return the bucket that is named, secrets included, or None.

        :raises LoomworksError: when a secret cannot be read
        """
        raise NotImplementedError

    @api.model
    def _cron_check_buckets(self):
        """Look at the settings of every bucket; one that cannot be asked keeps nobody else from being looked at."""
        rows = self._in_use()
        self.env["ir.cron"]._commit_progress(remaining=len(rows))
        for row in rows:
            row._check_bucket()
            self.env["ir.cron"]._commit_progress(1)

    def action_check_bucket(self):
        """Look at the bucket's settings now."""
        self.env["loomworks.tenant"]._check_operator()
        for row in self:
            row.sudo()._check_bucket()
        return True

    def _check_bucket(self):
        """Keep how the bucket is set; what was found last is no longer known once it cannot be asked."""
        self.ensure_one()
        try:
            bucket = self._bucket()
            findings = judge(buckets.read(bucket), bucket.prefix) if bucket else []
        except LoomworksError as error:
            values = {"bucket_state": Grade.UNKNOWN.value, "bucket_problem": error.message, "bucket_findings": False}
        else:
            plain = [{**vars(one), "grade": one.grade.value} for one in findings]
            state = overall(findings).value if findings else False
            values = {"bucket_state": state, "bucket_problem": False, "bucket_findings": plain or False}
        self.write({**values, "bucket_checked_at": fields.Datetime.now()})


class Cluster(models.Model):
    """A cluster whose bucket of files is looked at."""

    _name = "loomworks.cluster"
    _inherit = ["loomworks.cluster", "loomworks.bucket.check"]

    def _bucket(self):
        place = self._files_place()
        if not place:
            return None
        whole = place.location("")
        secrets = {"key": whole.key, "key_secret": whole.key_secret}
        return Bucket(whole.url, whole.bucket, whole.region, TENANTS, **secrets, ca_file=whole.ca_file)


def _line(finding, labels):
    grade = Grade(finding.grade)
    return LINE.format(
        setting=finding.setting,
        colour=COLOURS[grade],
        grade=labels[grade],
        text=finding.text,
        remedy=finding.remedy,
    )
