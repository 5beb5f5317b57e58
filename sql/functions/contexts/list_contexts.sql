-- Pages through contexts, newest first. Each of the three cases reads its page from one index and has a statement of its own, because a
-- condition such as (include_deleted or …) would keep the planner from that index; heads are looked up for the rows of the page only.
-- plans: lookup

create or replace function kata.list_contexts(after uuid default null, max_rows integer default 50, include_deleted boolean default false)
returns table (
  context_id uuid, name text, tenant text, parent_id uuid, fork_version bigint, depth integer, version bigint,
  message_count bigint, raw_tokens bigint, view_tokens bigint, tokenizer text, open_calls text[], metadata jsonb,
  created_at timestamptz, updated_at timestamptz, archived_at timestamptz, deleted_at timestamptz
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_tenant text;
  v_below uuid := coalesce(after, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
  v_page uuid[];
begin
  perform kata_data.check_max_rows(max_rows);
  v_tenant := kata_data.current_tenant();
  if v_tenant = '*' then
    v_page := array(
      select c.context_id from kata_data.context c
      where c.context_id < v_below and (include_deleted or c.deleted_at is null)
      order by c.context_id desc limit max_rows);
  elsif include_deleted then
    v_page := array(
      select c.context_id from kata_data.context c
      where c.tenant = v_tenant and c.context_id < v_below
      order by c.context_id desc limit max_rows);
  else
    v_page := array(
      select c.context_id from kata_data.context c
      where c.tenant = v_tenant and c.context_id < v_below and c.deleted_at is null
      order by c.context_id desc limit max_rows);
  end if;
  return query
  select r.*
  from unnest(v_page) p(context_id)
  cross join lateral (
    select r.*
    from kata_data.context_row r
    where r.context_id = p.context_id
    offset 0
  ) r
  order by r.context_id desc;
end
$$;
comment on function kata.list_contexts(uuid, integer, boolean) is
'Lists the caller''s contexts, newest first, in pages.

Under kata.tenant ''*'' it lists those of all tenants.

after: the last context_id of the page before; null for the first page. max_rows: 1 to 1,000.
include_deleted: list deleted contexts, too.

Returns rows as get_context.
Errors: KC017. Cost: O(log contexts + rows).';
