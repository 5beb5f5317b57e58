-- What the test files say in words: contexts go by name, and a talk is written as it would be told.

create schema fixture;
grant usage on schema fixture to public;

create function fixture.id(name text) returns uuid
language sql stable security definer set search_path = ''
as $$
  select c.context_id
  from kata_data.context c
  where c.name = id.name
  order by c.deleted_at is null desc, c.created_at desc
  limit 1
$$;
comment on function fixture.id(text) is 'The context of a name, whosever it is; of a deleted one too, where no live one has the name.';

create function fixture.calls(ids text) returns jsonb
language sql immutable
as $$
  select jsonb_agg(jsonb_build_object('id', c.id, 'type', 'function', 'function', jsonb_build_object('name', 'search', 'arguments', '{}')))
  from string_to_table(ids, ' ') c(id)
$$;
comment on function fixture.calls(text) is 'Tool calls with these ids, a space between two.';

create function fixture.drafts(script text) returns jsonb
language sql immutable
as $$
  select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
    'role', p.part[1],
    'token_count', p.part[2]::integer,
    'content', d.draft,
    'tool_calls', case p.part[3] when 'calls' then fixture.calls(p.part[4]) end,
    'tool_call_id', case p.part[3] when 'answers' then p.part[4] end,
    'pinned', nullif(d.draft like '% pinned', false))) order by d.ordinality)
  from regexp_split_to_table(script, ',\s*') with ordinality d(draft, ordinality)
  cross join lateral regexp_match(replace(d.draft, ' pinned', ''), '^(\w+) (\d+)(?: (calls|answers) (.+))?$') p(part)
$$;
comment on function fixture.drafts(text) is
'The messages of a script such as "system 10, assistant 7 calls a b, tool 3 answers a, user 2 pinned": role, tokens, and what there is
besides. The content of a message is its clause.';

create function fixture.context(name text, policy jsonb default null) returns uuid
language sql volatile
as $$
  select kata.create_context(name, policy)
$$;
comment on function fixture.context(text, jsonb) is 'Creates a context of this name.';

create function fixture.stored(context_id uuid) returns kata_data.context
language sql volatile
as $$
  select c from kata_data.context c where c.context_id = stored.context_id
$$;
comment on function fixture.stored(uuid) is 'The row of a context; volatile, so that it sees one made by the same statement.';

create function fixture.talk(context text, script text) returns bigint[]
language sql volatile
as $$
  select array_agg(a.version order by a.version) from kata.append(fixture.id(context), fixture.drafts(script)) a
$$;
comment on function fixture.talk(text, text) is 'Appends the messages of a script as one batch, and says which versions they took.';

create function fixture.fork(parent text, at bigint, name text) returns uuid
language sql volatile
as $$
  select kata.fork(fixture.id(parent), at, name)
$$;
comment on function fixture.fork(text, bigint, text) is 'Forks a context at a version.';

create function fixture.view(
  context text, budget integer, at bigint default null, stable_step integer default 0, tokenizer text default null
) returns bigint[]
language sql stable
as $$
  select array_agg(w.version order by w.ordinal) from kata."window"(fixture.id(context), budget, at, stable_step, tokenizer) w
$$;
comment on function fixture.view(text, integer, bigint, integer, text) is 'The versions that a window shows; null for none.';

create function fixture.page(
  context text, after bigint default null, max_rows integer default 100, descending boolean default false,
  visibility text default 'effective', at bigint default null
) returns bigint[]
language sql stable
as $$
  select array_agg(m.version order by m.ordinality)
  from kata.messages(fixture.id(context), after, max_rows, descending, visibility, at) with ordinality m
$$;
comment on function fixture.page(text, bigint, integer, boolean, text, bigint) is 'The versions on a page of messages; null for none.';

create function fixture.error(query text) returns table (code text, message text, detail text, hint text)
language plpgsql volatile
as $$
begin
  execute query;
exception
  when others then
    get stacked diagnostics code = returned_sqlstate, message = message_text, detail = pg_exception_detail, hint = pg_exception_hint;
    return next;
end
$$;
comment on function fixture.error(text) is 'What a statement fails with; no row where it does not.';

create function fixture.as_role(role text, query text, tenant text default '') returns text
language plpgsql volatile
as $$
declare
  v_result text;
begin
  perform set_config('kata.tenant', tenant, true);
  perform set_config('role', role, true);
  execute query into v_result;
  perform set_config('role', 'none', true);
  perform set_config('kata.tenant', '', true);
  return v_result;
end
$$;
comment on function fixture.as_role(text, text, text) is 'The first value that a query returns after SET ROLE, with kata.tenant set.';

create function fixture.as_session(role text, query text, tenant text default '') returns text
language plpgsql volatile
as $$
declare
  v_session text := session_user;
  v_result text;
begin
  perform set_config('kata.tenant', tenant, true);
  perform set_config('session_authorization', role, true);
  execute query into v_result;
  perform set_config('session_authorization', v_session, true);
  perform set_config('kata.tenant', '', true);
  return v_result;
end
$$;
comment on function fixture.as_session(text, text, text) is 'The first value that a query returns in a session of another role, with kata.tenant set.';

create function fixture.damage(statement text, context text default null) returns text[]
language plpgsql volatile
as $$
declare
  v_found text[];
begin
  begin
    alter table kata_data.message disable trigger all;
    alter table kata_data.erasure disable trigger all;
    set constraints all immediate;
    perform set_config('session_replication_role', 'replica', true);
    execute statement;
    perform set_config('session_replication_role', 'origin', true);
    if context is null then
      perform set_config('kata.tenant', '*', true);
    end if;
    v_found := array(
      select distinct concat_ws(' at ', v.problem, v.version) as problem from kata.verify(fixture.id(context)) v order by problem);
    raise exception using errcode = 'KC999';
  exception
    when sqlstate 'KC999' then null;
    when others then v_found := array['error: ' || sqlerrm];
  end;
  return v_found;
end
$$;
comment on function fixture.damage(text, text) is
'What verify finds, in all contexts or one, after a statement that nothing hinders; the damage is undone. A problem reads "kind at version",
an error of verify "error: …".';
