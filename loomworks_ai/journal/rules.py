"""What is known of Odoo's tables: which are left out, which columns are secrets. Applied where such a table exists."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

# Caches, queues and traces come and go with the work, and nobody wants them back. What was done stays on record.
LEFT_OUT = frozenset(
    """
    loomworks_ai_operation_log loomworks_audit loomworks_template loomworks_tenant_step
    base_registry_signaling bus_bus bus_presence discuss_channel_rtc_session discuss_gif_favorite fetchmail_server_log
    ir_cron_progress ir_cron_trigger ir_logging ir_profile mail_gateway_allowed mail_presence mail_push mail_push_device
    orm_signaling_assets orm_signaling_default orm_signaling_groups orm_signaling_registry orm_signaling_routing
    orm_signaling_stable orm_signaling_templates res_device_log res_users_log res_users_deletion
    """.split()
)
# Credentials: a copy of them in a journal would be a second place to steal them from, and an undo must never make a
# revoked one valid again.
SECRET_TABLES = frozenset({"auth_totp_device", "res_users_apikeys", "auth_passkey_key"})
# As Odoo 19's own modules name them: passwords, and keys of providers and proxies. What is only hard to guess, as the
# access_token by which a document is shared, is none. Tokens for an hour, which Odoo itself renews while it works, are
# left as they are where they are named below, and come back with their rows elsewhere.
SECRET_NAME = re.compile(
    r"""(\w+_)?(
        password | passphrase | smtp_pass
      | (client|hash|totp|webhook|api|key)_secret | secret_key | (api|hmac|private)_key
      | (account|signup|auth|refresh|security)_token
    )""",
    re.VERBOSE,
)
SECRET_COLUMNS = {
    "res_users": ("oauth_access_token",),
    "fetchmail_server": ("google_gmail_access_token", "microsoft_outlook_access_token"),
    "ir_mail_server": ("google_gmail_access_token", "microsoft_outlook_access_token"),
    "mail_ice_server": ("credential",),
    "payment_provider": ("authorize_transaction_key", "authorize_signature_key", "worldline_webhook_key"),
    "res_company": ("l10n_hu_edi_signature_key",),
}


class SecretRows(NamedTuple):
    """Rows of which more columns are secrets: those whose ``column`` matches ``pattern``, of PostgreSQL's."""

    column: str
    pattern: str
    secret: tuple[str, ...]


# Odoo makes such keys itself, whoever asks first: that for notifications in browsers, say.
SECRET_ROWS = {
    "ir_config_parameter": SecretRows(
        "key",
        "(^|[._])(secret|password|passphrase|(access|api|hmac|local|private|secret|server)_key"
        "|(access|account|auth|refresh|security)_token|account_info)$",
        ("value",),
    ),
}

# Who wrote a row last, and when: others' writing to other columns moves these too, and is no reason to refuse.
BOOKKEEPING = frozenset({"write_uid", "write_date"})
# What became of messages that were waiting, and who has read them: Odoo writes it itself, and it was sent and read
# whatever an undo does.
READ = ("is_read", "read_date")
DELIVERY = {
    "mail_mail": ("state", "failure_type", "failure_reason", "scheduled_date"),
    "mail_notification": ("notification_status", "failure_type", "failure_reason", "mail_mail_id", *READ),
    "sms_sms": ("state", "failure_type", "to_delete"),
}
# Which number is next: if it went back to where an operation had it, those that others took since would be given twice.
COUNTERS = {"ir_sequence": "number_next", "ir_sequence_date_range": "number_next"}
# What the platform's reconciler keeps about its own work: no undo is about that.
LEFT_OUT_COLUMNS = {
    "loomworks_tenant": ("reconcile_at", "error_message", "error_code", "planned_goal", "converged_at", "has_problem"),
}


def is_left_out(schema: str, table: str, transient: frozenset[str]) -> bool:
    """Tell whether a table is not captured at all."""
    return schema == "public" and (table in LEFT_OUT or table in SECRET_TABLES or table in transient)


def is_of_credentials(schema: str, table: str) -> bool:
    """Tell whether a table is left out because it holds nothing but credentials."""
    return schema == "public" and table in SECRET_TABLES


def secrets(schema: str, table: str, columns: Collection[str]) -> tuple[str, ...]:
    """Return those of the columns of a table that stay out of the journal."""
    if schema != "public":
        return ()
    named = SECRET_COLUMNS.get(table, ())
    return tuple(name for name in columns if name in named or SECRET_NAME.fullmatch(name))


def secret_rows(schema: str, table: str, columns: Collection[str]) -> SecretRows | None:
    """Return which rows of a table have more secrets than others, or None."""
    found = SECRET_ROWS.get(table) if schema == "public" else None
    return found if found and {found.column, *found.secret} <= set(columns) else None


def bookkeeping(schema: str, table: str) -> frozenset[str]:
    """Return the columns of a table that are left as they are where they have changed since."""
    return BOOKKEEPING.union(DELIVERY.get(table, ()) if schema == "public" else ())


def counts(label: str, columns: Collection[str]) -> bool:
    """Tell whether one of the columns is the number that a row of a table gives next."""
    return COUNTERS.get(label) in columns


def left_out_columns(schema: str, table: str) -> tuple[str, ...]:
    """Return the columns of a table that an undo leaves as they are."""
    return LEFT_OUT_COLUMNS.get(table, ()) if schema == "public" else ()


# The dates up to which the books of a company or of one above it are closed, as Odoo 19 asks for them before it changes
# an entry; which of these columns there are depends on its version. Nobody's exceptions count: an undo has no user.
CLOSED = """
    EXISTS (
        SELECT FROM public.res_company own
        JOIN public.res_company c ON starts_with(own.parent_path, c.parent_path)
        LEFT JOIN public.account_journal j ON j.id = t.journal_id
        WHERE own.id = t.company_id AND t.date <= GREATEST(
            (to_jsonb(c)->>'fiscalyear_lock_date')::date, (to_jsonb(c)->>'hard_lock_date')::date,
            CASE WHEN j.type IN ('sale', 'purchase') THEN (to_jsonb(c)->>(j.type || '_lock_date'))::date END,
            CASE WHEN {taxed} THEN (to_jsonb(c)->>'tax_lock_date')::date END))
"""
# What a tax statement is made of: lines of taxes, lines that are taxed (by nothing, too), and those with tags of taxes.
TAXED = """
    EXISTS (
        SELECT FROM public.account_move_line l WHERE l.move_id = {move} AND (
            l.tax_line_id IS NOT NULL
            OR EXISTS (SELECT FROM public.account_move_line_account_tax_rel x WHERE x.account_move_line_id = l.id)
            OR EXISTS (SELECT FROM public.account_account_tag_account_move_line_rel x
                       JOIN public.account_account_tag g ON g.id = x.account_account_tag_id
                       WHERE x.account_move_line_id = l.id AND g.applicability = 'taxes')))
"""
TAXED_MOVE = TAXED.format(move="t.id")
TAXED_LINE = f"(t.tax_line_id IS NOT NULL OR {TAXED.format(move='t.move_id')})"
CLOSED_MOVE = f"t.state = 'posted' AND {CLOSED.format(taxed=TAXED_MOVE)}"
CLOSED_LINE = f"t.parent_state = 'posted' AND {CLOSED.format(taxed='false')}"
# Only that of taxes, which leaves more columns open.
CLOSED_TAX_LINE = f"t.parent_state = 'posted' AND {CLOSED.format(taxed=TAXED_LINE)} AND NOT ({CLOSED_LINE})"
# What Odoo 19 asks before it writes, in `account.move` and `account.move.line`: see `_get_integrity_hash_fields`,
# `_get_lock_date_protected_fields` and `button_draft` there. Where an entry belongs comes with all of its lines. What
# is paid of it, and by what, is in other columns: that may change at any time.
PLACE = ("date", "journal_id", "company_id")
HASHED_MOVE_COLUMNS = ("name", "state", "inalterable_hash", *PLACE)
CLOSED_MOVE_COLUMNS = ("name", "state", *PLACE)
OF_MOVE = ("move_id", "move_name", "parent_state", *PLACE)
HASHED_LINE_COLUMNS = ("name", "balance", "debit", "credit", "account_id", "partner_id", *OF_MOVE)
CLOSED_TAX_LINE_COLUMNS = ("balance", "debit", "credit", "tax_line_id", *OF_MOVE)
CLOSED_LINE_COLUMNS = (*CLOSED_TAX_LINE_COLUMNS, "account_id", "amount_currency", "currency_id", "partner_id")
SECURED_MOVE = """
    EXISTS (SELECT FROM public.account_move m WHERE m.id = t.move_id AND m.inalterable_hash IS NOT NULL)
"""
HASHED = "the entry is secured by its hash"
LOCKED = "its period is closed"
AUDITED = "its company keeps an audit trail of what was once posted"
AUDITED_MOVE = """
    t.posted_before AND EXISTS (
        SELECT FROM public.res_company c
        WHERE c.id = t.company_id AND (to_jsonb(c)->>'restrictive_audit_trail')::boolean)
"""
AUDITED_ENTRY = """
    EXISTS (
        SELECT FROM public.account_move m JOIN public.res_company c ON c.id = m.company_id
        WHERE m.id = {number} AND m.posted_before AND (to_jsonb(c)->>'restrictive_audit_trail')::boolean)
"""
# Its lines stay posted with it, where the undo would have it that it never was.
AUDITED_LINE = f"""
    EXISTS (
        SELECT FROM pg_temp.loomworks_net x JOIN loomworks.relation r ON r.id = x.relation
        WHERE r.schema_name = 'public' AND r.table_name = 'account_move' AND x.act = 'U'
          AND loomworks.key_to_json(x.target) ? 'posted_before'
          AND (loomworks.key_to_json(x.key)->>'id')::integer = t.move_id)
    AND {AUDITED_ENTRY.format(number="t.move_id")}
"""
# Its entries' messages are the trail, with what these say has changed, and so are its documents. What kind a document
# is, Odoo reads from the file itself: it may have been stored as text.
AUDITED_MESSAGE = f"t.model = 'account.move' AND {AUDITED_ENTRY.format(number='t.res_id')}"
AUDITED_VALUE = f"""
    EXISTS (
        SELECT FROM public.mail_message x WHERE x.id = t.mail_message_id AND x.model = 'account.move'
        AND {AUDITED_ENTRY.format(number="x.res_id")})
"""
AUDITED_FILE = f"""
    t.res_model = 'account.move' AND (t.store_fname IS NOT NULL OR t.db_datas IS NOT NULL)
    AND COALESCE(t.mimetype, 'text/plain') ~ '^(application|text)/(pdf|xml|plain|octet-stream)$'
    AND {AUDITED_ENTRY.format(number="t.res_id")}
"""
AUDITED_FILE_COLUMNS = ("res_model", "res_id", "store_fname", "db_datas", "company_id")
ERASED = "what it is about has been deleted for good"
REMAINS = "it still has data, which nobody would delete any more"
STANDS = "it stands for data, or for work, outside of this database; end that with the record's own buttons"
OUTSIDE = "snapshot restore reset import base_backup files_backup".split()  # models of the platform


class Protection(NamedTuple):
    """Rows that no undo touches: those of which ``condition`` holds for the row ``t``."""

    condition: str
    reason: str
    needed: tuple[str, ...]  # the columns that the condition asks for
    now: str = "UD"  # what is not done to the row as it is: updates, deletions
    future: bool = True  # nor may it become such a row
    tables: tuple[str, ...] = ()  # that the condition asks for, where they may not be there
    columns: tuple[str, ...] = ()  # which updates it is about: those that restore one of these; all where there is none


PROTECTED = {
    "account_move": [
        Protection("t.inalterable_hash IS NOT NULL", HASHED, ("inalterable_hash",), columns=HASHED_MOVE_COLUMNS),
        Protection(CLOSED_MOVE, LOCKED, ("state", *PLACE), columns=CLOSED_MOVE_COLUMNS),
        Protection(AUDITED_MOVE, AUDITED, ("posted_before", "company_id"), future=False, columns=("posted_before",)),
    ],
    "mail_message": [
        Protection(AUDITED_MESSAGE, AUDITED, ("model", "res_id"), now="D", future=False, tables=("account_move",)),
    ],
    "mail_tracking_value": [
        Protection(AUDITED_VALUE, AUDITED, ("mail_message_id",), future=False, tables=("account_move", "mail_message")),
    ],
    "ir_attachment": [
        Protection(
            AUDITED_FILE,
            AUDITED,
            ("res_model", "res_id", "mimetype", "store_fname", "db_datas"),
            future=False,
            tables=("account_move",),
            columns=AUDITED_FILE_COLUMNS,
        ),
    ],
    "account_move_line": [
        Protection(SECURED_MOVE, HASHED, ("move_id", "parent_state"), columns=HASHED_LINE_COLUMNS),
        Protection(CLOSED_LINE, LOCKED, ("parent_state", *PLACE), columns=CLOSED_LINE_COLUMNS),
        Protection(
            CLOSED_TAX_LINE,
            LOCKED,
            ("parent_state", "move_id", "tax_line_id", *PLACE),
            columns=CLOSED_TAX_LINE_COLUMNS,
        ),
        Protection(
            AUDITED_LINE, AUDITED, ("move_id", "parent_state"), now="U", future=False, columns=("parent_state",)
        ),
    ],
    # As the platform's own methods have it: see `loomworks.tenant`.
    "loomworks_tenant": [
        Protection("t.erased_at IS NOT NULL", ERASED, ("erased_at",), now="U", future=False),
        Protection(
            "t.state <> 'draft' AND t.erased_at IS NULL", REMAINS, ("state", "erased_at"), now="D", future=False
        ),
    ],
    **{f"loomworks_{name}": [Protection("true", STANDS, (), now="D", future=False)] for name in OUTSIDE},
}


def protections(schema: str, table: str) -> list[Protection]:
    """Return what protects rows of a table."""
    return PROTECTED.get(table, []) if schema == "public" else []
