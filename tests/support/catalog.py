"""What a database has: the definition of every object of its schema "public"."""

from __future__ import annotations

import psycopg

# Each query returns one text per object of the schema "public": its definition, its privileges and its comment.
CATALOG = {
    "tables": """
        select concat_ws(' ', relname, relkind, relrowsecurity, relforcerowsecurity, relacl,
          obj_description(oid, 'pg_class'))
        from pg_class where relnamespace = 'public'::regnamespace and relkind <> 'i'""",
    "columns": """
        select concat_ws(' ', a.attrelid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
          a.attnotnull, a.attidentity, a.attgenerated, a.attacl, pg_get_expr(d.adbin, d.adrelid))
        from pg_attribute a join pg_class c on c.oid = a.attrelid
          left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped""",
    "constraints": """
        select concat_ws(' ', conrelid::regclass, contypid::regtype, conname, pg_get_constraintdef(oid))
        from pg_constraint where connamespace = 'public'::regnamespace""",
    "indexes": "select indexdef from pg_indexes where schemaname = 'public'",
    "functions": """
        select concat_ws(' ', pg_get_functiondef(oid), proacl, obj_description(oid, 'pg_proc'))
        from pg_proc where pronamespace = 'public'::regnamespace""",
    "triggers": """
        select pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid
        where c.relnamespace = 'public'::regnamespace and not t.tgisinternal""",
    "policies": """
        select concat_ws(' ', tablename, policyname, permissive, roles, cmd, qual, with_check)
        from pg_policies where schemaname = 'public'""",
}


def objects(dsn: str) -> dict[str, list[str]]:
    """Return the catalog's entry of every object, sorted."""
    with psycopg.connect(dsn) as connection:
        return {kind: sorted(text for (text,) in connection.execute(query.encode())) for kind, query in CATALOG.items()}
