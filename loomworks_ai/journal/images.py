"""SQL expressions: a row as hstore, its key, and conditions on them."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from .catalog import Table
from .sqltext import Constant, Name, Part, as_written, columns, compose


def names(given: Sequence[str]) -> Part:
    """Return names as an array of text."""
    return sql.SQL("{}::text[]").format(Constant(list(given)))


def shown(table: Table, image: Part, h: Part, *whole_rows: Part) -> Part:
    """Return ``image``, an hstore, without the columns that the journal does not hold.

    :param whole_rows: the hstores of the row before and after, where ``image`` is less, or one of two
    """
    if not table.hidden and not table.has_secrets:
        return image
    hidden = _with_secrets(table, table.hidden, whole_rows or (image,), h)
    return compose("{h}.delete({image}, {hidden})", h=h, image=image, hidden=hidden)


def _with_secrets(table: Table, always: Sequence[str], whole_rows: Sequence[Part], h: Part) -> Part:
    """Return names of columns as an array, with those that are secrets in this row, as one of these has it."""
    rule = table.secret_rows
    if rule is None:
        return names(always)
    matches = [
        compose(
            "{h}.fetchval({row}, {column}) OPERATOR(pg_catalog.~) {pattern}",
            h=h,
            row=row,
            column=Constant(rule.column),
            pattern=Constant(rule.pattern),
        )
        for row in whole_rows
    ]
    return compose(
        "CASE WHEN {matches} THEN {more} ELSE {always} END",
        matches=sql.SQL(" OR ").join(matches),
        more=names(sorted({*always, *rule.secret})),
        always=names(always),
    )


def whole(table: Table, alias: str, h: Part) -> Part:
    """Return the row ``alias`` of ``table`` as the journal holds it."""
    return shown(table, compose("{h}.hstore({alias}.*)", h=h, alias=Name(alias)), h)


def some(given: Sequence[str], alias: str, h: Part) -> Part:
    """Return only these columns of the row ``alias``: the fewer, the cheaper."""
    return compose(
        "(SELECT {h}.hstore(picked.*) FROM (SELECT {columns}) AS picked)", h=h, columns=columns(given, prefix=alias)
    )


def key_of(table: Table, alias: str, h: Part) -> Part:
    """Return the key of the row ``alias``: its columns, or the whole row where the table has none."""
    if not table.key:
        return whole(table, alias, h)
    return some(table.key, alias, h)


def key_match(table: Table, alias: str, key: Part, h: Part) -> Part:
    """Return the condition that the row ``alias`` of ``table`` is the one of the hstore ``key``."""
    return equal(table, table.key, table.key, table.operators, alias, key, h)


def equal(
    table: Table, own: Sequence[str], others: Sequence[str], operators: Sequence[str], alias: str, image: Part, h: Part
) -> Part:
    """Return the condition that columns ``own`` of ``alias`` have the values of ``others`` in the hstore ``image``."""
    terms = [
        compose(
            "{column} {equals} ({h}.fetchval({image}, {key}))::{type}",
            h=h,
            column=Name(alias, name),
            equals=as_written(operator),
            image=image,
            key=Constant(key),
            type=as_written(table.columns[name]),
        )
        for name, key, operator in zip(own, others, operators, strict=True)
    ]
    return sql.SQL(" AND ").join(terms)


def credentials_in(table: Table, image: Part, h: Part, *whole_rows: Part) -> Part:
    """Return the secret columns among those of the hstore ``image``, or NULL; ``whole_rows`` as for `shown`."""
    if not table.has_secrets:
        return sql.SQL("NULL::text[]")
    return compose(
        "(SELECT pg_catalog.array_agg(key) FROM {h}.skeys({h}.slice({image}, {secret})) AS key)",
        h=h,
        image=image,
        secret=_with_secrets(table, table.secret, whole_rows or (image,), h),
    )


def filled_credentials(table: Table, image: Part, h: Part) -> Part:
    """Return the secret columns that the hstore ``image``, of a whole row, has a value for, or NULL."""
    if not table.has_secrets:
        return sql.SQL("NULL::text[]")
    return compose(
        "(SELECT pg_catalog.array_agg(key) FROM {h}.each({h}.slice({image}, {secret})) WHERE value IS NOT NULL)",
        h=h,
        image=image,
        secret=_with_secrets(table, table.secret, (image,), h),
    )
