-- The language of the test files: contexts go by name, and a conversation is written as a list of messages.

create schema fixture;
grant usage on schema fixture to public;

create function fixture.id(name text) returns uuid
language sql stable security definer set search_path = pg_catalog, pg_temp
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
comment on function fixture.as_session(text, text, text) is 'The first value that a query returns in a session of another role, '
  'with kata.tenant set.';

create function fixture.damage(statement text, context text default null) returns text[]
language plpgsql volatile
as $$
declare
  v_found text[];
begin
  begin
    alter table kata_data.message disable trigger all;
    alter table kata_data.erasure disable trigger all;
    alter table kata_data.view_change disable trigger all;
    alter table kata_data.summary disable trigger all;
    alter table kata_data.stub disable trigger all;
    alter table kata_data.record disable trigger all;
    alter table kata_data.amendment disable trigger all;
    alter table kata_data.entry_id disable trigger all;
    alter table kata_data.act disable trigger all;
    alter table kata_data.purge disable trigger all;
    alter table kata_data.request disable trigger all;
    alter table kata_data.request_profile disable trigger all;
    alter table kata_data.tool_list disable trigger all;
    set constraints all immediate;
    perform set_config('session_replication_role', 'replica', true);
    execute statement;
    perform set_config('session_replication_role', 'origin', true);
    if context is null then
      perform set_config('kata.tenant', '*', true);
    end if;
    v_found := array(
      select distinct concat_ws(' at ', v.problem, v.version) as problem
      from kata.verify(fixture.id(context)) v
      -- The triggers that are disabled here are not damage of the statement.
      where v.problem <> 'security'
      order by problem);
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

create function fixture.seen(context text, at bigint default null) returns text
language sql stable
as $$
  select string_agg(
    m.version || case m.kind when 'summary' then '=' when 'stub' then '~' else '' end || case when m.pinned then '*' else '' end, ' '
    order by m.ordinality)
  from kata.state_at(fixture.id(context), at) with ordinality m
$$;
comment on function fixture.seen(text, bigint) is
'The view in short: versions in reading order, = behind a summary, ~ behind what is shortened, '
  '* behind what is pinned. Null for an empty view.';

create function fixture.compact(
  context text, summary text default 'so far', token_count integer default 5, strategy text default 'summarize'
) returns bigint
language plpgsql volatile
as $$
declare
  v_begun record;
begin
  select b.* into strict v_begun from kata.begin_compaction(fixture.id(context), strategy, force => true) b;
  return (
    select c.summary_version
    from kata.commit_compaction(v_begun.compaction_id, case when strategy in ('summarize', 'digest') then summary end, token_count) c);
end
$$;
comment on function fixture.compact(
  text, text, integer, text) is 'Compacts a context in two phases, although it is not due, and says which version that took.';

create function fixture.contradictions(context text) returns setof text
language plpgsql volatile
as $$
declare
  v_id uuid := fixture.id(context);
  v_newest bigint := (select c.version from kata.get_context(v_id) c);
  v_fork uuid;
begin
  if to_regclass('pg_temp.told') is null then
    create temporary table told (
      at bigint, ordinality bigint, version bigint, "position" bigint, kind text, token_count integer, content text, group_version bigint,
      pinned boolean);
  end if;
  truncate told;
  insert into told
  select a.at, m.ordinality, m.version, m."position", m.kind, m.token_count, m.content, m.group_version, m.pinned
  from generate_series(0, v_newest) a(at)
  cross join lateral kata.state_at(v_id, a.at) with ordinality m;

  return query
  select format('usage at %s: %s tokens, not %s', u.version, u.view_tokens, coalesce(t.tokens, 0))
  from generate_series(0, v_newest) a(at)
  cross join lateral kata.usage(v_id, a.at) u
  left join (select t.at, sum(t.token_count) as tokens from told t group by t.at) t on t.at = a.at
  where u.view_tokens <> coalesce(t.tokens, 0);

  return query
  select format('history at %s: %s tokens, not %s', h.version, h.view_tokens, u.view_tokens)
  from kata.history(v_id, max_rows => 1000) h
  cross join lateral kata.usage(v_id, h.version) u
  where h.view_tokens <> u.view_tokens;

  return query
  select format('window at %s: %s, not %s', a.at, w.rows, t.rows)
  from generate_series(0, v_newest) a(at)
  left join lateral (
    select array_agg(row(w.version, w."position", w.kind, w.token_count, w.content, w.group_version)::text order by w.ordinal) as rows
    from kata."window"(v_id, 2147483647, a.at) w) w on true
  left join lateral (
    select array_agg(
      row(
        t.version, t."position", t.kind, t.token_count, t.content, case t.kind when 'summary' then t.version else t.group_version end)::text
      order by t.ordinality) as rows
    from told t where t.at = a.at) t on true
  where w.rows is distinct from t.rows;

  -- A budget of exactly what there is takes all; one less leaves out a whole group, or nothing fits.
  return query
  select format('window at %s with a budget of %s: %s rows, not %s', a.at, u.view_tokens, w.rows, t.rows)
  from generate_series(0, v_newest) a(at)
  cross join lateral kata.usage(v_id, a.at) u
  cross join lateral (select count(*) as rows from kata."window"(v_id, u.view_tokens::integer, a.at) w) w
  cross join lateral (select count(*) as rows from told t where t.at = a.at) t
  where u.view_tokens > 0 and w.rows <> t.rows;
  return query
  select format('window at %s with a budget of %s: %s tokens', a.at, u.view_tokens - 1, w.tokens)
  from generate_series(0, v_newest) a(at)
  cross join lateral kata.usage(v_id, a.at) u
  cross join lateral (
    select sum(w.token_count) as tokens, bool_or(w.over_budget) as over_budget
    from kata."window"(v_id, u.view_tokens::integer - 1, a.at) w) w
  where u.view_tokens > 1 and w.tokens > u.view_tokens - 1 and not w.over_budget;

  return query
  select format(
    'window at %s with a budget of %s: row %s is numbered %s and adds up to %s, not %s', w.at, w.budget, w.number, w.ordinal,
    w.running_tokens, w.total)
  from (
    select a.at, b.budget, w.ordinal, w.running_tokens, w.ordinality,
      row_number() over o as number, sum(w.token_count) over o as total
    from generate_series(0, v_newest) a(at)
    cross join lateral kata.usage(v_id, a.at) u
    cross join lateral (select distinct 1 + u.view_tokens::integer * q.quarters / 4 as budget from generate_series(1, 4) q(quarters)) b
    cross join lateral kata."window"(v_id, b.budget, a.at) with ordinality w
    window o as (partition by a.at, b.budget order by w."position")
  ) w
  where (w.ordinal, w.ordinality, w.running_tokens) is distinct from (w.number, w.number, w.total);

  return query
  select format('positions at %s do not ascend: %s', t.at, array_agg(t."position" order by t.ordinality))
  from told t
  group by t.at
  having array_agg(t."position" order by t.ordinality) <> array_agg(t."position" order by t."position")
    or count(distinct t."position") < count(*);

  return query
  select format('at %s half of group %s is in the view', a.at, r.group_version)
  from generate_series(0, v_newest) a(at)
  cross join lateral kata.state_at(v_id, a.at, 'all') r
  left join told t on t.at = a.at and t.version = r.version
  where r.kind <> 'summary'
    and not (kata_data.view_at(v_id, a.at)).rewound @> r.version
  group by a.at, r.group_version
  having count(t.version) not in (0, count(*));

  return query
  select format('at %s version %s is shown and covered by %s, which is %s', a.at, r.version, r.compacted_into, s.kind)
  from generate_series(0, v_newest) a(at)
  cross join lateral kata.state_at(v_id, a.at, 'all') r
  left join told t on t.at = a.at and t.version = r.version
  left join told s on s.at = a.at and s.version = r.compacted_into
  where r.compacted_into is not null and (t.version is not null or s.kind is distinct from 'summary');

  return query
  select format(
    'pages of %s %s at %s: %s, not %s', p.visibility, case when p.descending then 'down' else 'up' end, p.at, p.versions, p.wanted)
  from (
    select a.at, v.visibility, d.descending, fixture.paged(v_id, a.at, v.visibility, d.descending, 1 + (a.at % 4)::integer) as versions,
      coalesce((select array_agg(m.version order by case when d.descending then -m.ordinality else m.ordinality end)
        from kata.state_at(v_id, a.at, v.visibility) with ordinality m), '{}') as wanted
    from generate_series(0, v_newest) a(at), (values ('effective'), ('raw'), ('all')) v(visibility), (values (false), (true)) d(descending)
  ) p
  where p.versions <> p.wanted;

  return query
  select format('from %s to %s: %s', f.at, u.at, d.problem)
  from generate_series(0, v_newest) f(at), generate_series(0, v_newest) u(at)
  cross join lateral (
    select string_agg(format('version %s %s', coalesce(b.version, a.version), coalesce(d.change, 'unsaid')), ', ') as problem
    from (select t.version, t.kind, t.token_count from told t where t.at = f.at) b
    full join (select t.version, t.kind, t.token_count from told t where t.at = u.at) a using (version)
    full join kata.diff_versions(v_id, f.at, u.at) d using (version)
    where d.change is distinct from case
        when b.kind is null then 'added'
        when a.kind is null then 'removed'
        when (b.kind, b.token_count) is distinct from (a.kind, a.token_count) then case
          when a.token_count < b.token_count then 'shortened' else 'restored' end
      end
      or d.change is not null and (d.kind, d.token_count) is distinct from (
        case when d.change = 'removed' then b.kind else a.kind end,
        case when d.change = 'removed' then b.token_count else a.token_count end)
  ) d
  where d.problem is not null;

  for v_at in 0 .. v_newest loop
    v_fork := kata.fork(v_id, v_at);
    return query
    select format('a fork at %s shows %s, not %s', v_at, f.rows, t.rows)
    from (select array_agg(row(m.version, m."position", m.kind, m.token_count, m.content, m.pinned)::text order by m.ordinality) as rows
      from kata.messages(v_fork, max_rows => 1000) with ordinality m) f,
      (
        select array_agg(row(t.version, t."position", t.kind, t.token_count, t.content, t.pinned)::text order by t.ordinality) as rows
        from told t
        where t.at = v_at) t
    where f.rows is distinct from t.rows;
    return query
    select format('a fork at %s holds %s, not %s', v_at, f, u) from kata.usage(v_fork) f, kata.usage(v_id, v_at) u where f <> u;
    return query
    select format('a fork at %s: %s at %s: %s', v_at, v.problem, v.version, v.detail) from kata.verify(v_fork) v;
    perform kata.delete_context(v_fork);
  end loop;
end
$$;
comment on function fixture.contradictions(text) is
'Where the reads of a context disagree, at any of its versions: state, usage, history, window, pages, comparisons, and forks made there.';

create function fixture.paged(context_id uuid, at bigint, visibility text, descending boolean, max_rows integer) returns bigint[]
language plpgsql stable
as $$
declare
  v_versions bigint[] := '{}';
  v_page record;
  v_after bigint;
begin
  loop
    select array_agg(m.version order by m.ordinality) as versions, count(*) as rows,
      (array_agg(case when visibility = 'effective' then m."position" else m.version end order by m.ordinality desc))[1] as last
    into v_page
    from kata.messages(context_id, v_after, max_rows, descending, visibility, at) with ordinality m;
    v_versions := v_versions || coalesce(v_page.versions, '{}');
    exit when v_page.rows < max_rows;
    v_after := v_page.last;
  end loop;
  return v_versions;
end
$$;
comment on function fixture.paged(uuid, bigint, text, boolean, integer) is 'The versions that pages of messages show, one after the other.';
