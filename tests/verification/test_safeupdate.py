"""UPDATE and DELETE without WHERE are found in every part of a function, and nothing else is."""

from __future__ import annotations

import pytest

from tests.verification.safeupdate import unguarded


@pytest.mark.parametrize(
    "body",
    [
        "update t set a = 1",
        "UPDATE public.t AS x SET a = 1;",
        "update only public . t * set a = 1; select 1 where true",
        'update "my table" set a = (select 1 from b where b.id = 2)',
        "update t set a = case when b then 1 else 2 end returning (select 1 where true)",
        "update t set a = 1 -- where a = 2",
        "update t set a = 1 /* where /* a */ = 2 */",
        "update t set a = 'where'",
        "update t set a = array[(select 1 where true)]",
        "delete from t",
        "delete from only t using u; select 1 from t where a",
        "if found then delete from t; end if; perform 1 from t where a",
        "with gone as (delete from t returning *) select * from gone where a",
        "with x as (select 1 where true) update t set a = 1 from x",
        "with x as (update t set a = 1), y as (select 1 where true) select 1",
        "for r in update t set a = 1 returning * loop delete from u where b; end loop",
        "for r in select * from t where a for update loop update t set a = 1; end loop",
        "insert into t select 1 where true on conflict (a) do nothing; update t set a = 1",
        "execute 'update t set a = 1'",
        "execute format('delete from %I', 'where')",
        "execute format('update %I.%I set a = %L', s, t, 'it''s where')",
        "execute $q$ update t set a = 1 $q$ using 'where'",
        "return $block$ do $$ begin delete from t; end $$ $block$",
        r"execute E'delete from t -- \' where '",
    ],
)
def test_a_statement_without_where_is_found(body: str) -> None:
    assert len(unguarded(body)) == 1


@pytest.mark.parametrize(
    "body",
    [
        "update t set a = 1 where b",
        "update public.t as x set a = (select 1), b = array[1] from u where u.id = x.id returning *",
        'update "where" set "set" = 1 where true',
        "delete from t using u where t.id = u.id",
        "with gone as (delete from t where a returning *) select * from gone",
        "insert into t values (1) on conflict (a) do update set a = excluded.a",
        "insert into t values (1) on conflict (a) do update set a = excluded.a returning a",
        "select 1 from t for update",
        "select 1 from t for no key update skip locked",
        "for r in select * from t for update loop update t set a = 1 where b; end loop",
        "-- update t set a = 1",
        "/* delete from t /* delete from u */ delete from v */ select 1",
        "raise exception 'an update needs a WHERE, and so does a delete'",
        "create trigger x before update on t for each row execute function f()",
        "merge into t using u on t.id = u.id when matched then update set a = 1 when not matched then delete",
        "select last_update, delete_from from t",
        "execute 'update t set a = 1 where b'",
        "return $block$ do $$ begin delete from t where a; end $$ $block$",
    ],
)
def test_no_other_statement_is_found(body: str) -> None:
    assert unguarded(body) == []
