-- Pages through contexts. choose_contexts finds the page; heads are looked up for its rows only.
-- plans: lookup

create or replace function kata.list_contexts(
  after uuid default null,
  max_rows integer default 50,
  include_deleted boolean default false,
  out context_id uuid, out name text, out tenant text, out parent_id uuid, out fork_version bigint, out depth integer, out version bigint,
  out message_count bigint, out raw_tokens bigint, out view_tokens bigint, out tokenizer text, out open_calls text[],
  -- A filter, and a column of the result.
  inout metadata jsonb default null,
  out created_at timestamptz, out updated_at timestamptz, out archived_at timestamptz, out deleted_at timestamptz,
  name_prefix text default null,
  order_by text default 'created',
  roots_only boolean default false
) returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.check_max_rows(max_rows);
  perform kata_data.check_order(order_by);
  perform kata_data.check_metadata(coalesce(list_contexts.metadata, '{}'));
  return query
  select r.*
  from unnest(kata_data.choose_contexts(
    kata_data.current_tenant(), after, max_rows, coalesce(include_deleted, false), list_contexts.metadata, name_prefix, order_by,
    coalesce(roots_only, false))) with ordinality p(context_id, place)
  cross join lateral (
    select r.*
    from kata_data.context_row r
    where r.context_id = p.context_id
    offset 0
  ) r
  order by p.place;
end
$$;
comment on function kata.list_contexts(uuid, integer, boolean, jsonb, text, text, boolean) is
'Lists the caller''s contexts, newest first, in pages.

Under kata.tenant ''*'' it lists those of all tenants.

after: the last context_id of the page before; null for the first page. max_rows: 1 to 1,000.
include_deleted: list deleted contexts, too.
metadata: only contexts whose metadata contain this object; null for any. name_prefix: only contexts whose name begins with this text;
  null for any.
order_by: ''created'' or ''updated'', the last append or change, newest first. Under ''updated'' a context that changes between two pages may
  come twice or be missed.
roots_only: leave forks out.

Returns rows as get_context.
Errors: KC017. Cost: O(log contexts + rows), and with metadata or roots_only the contexts that are passed over; with name_prefix
or ''updated'' O(contexts that match).';

create or replace function kata_data.check_order(order_by text) returns void
language plpgsql immutable
as $$
begin
  if order_by in ('created', 'updated') then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = format('order_by "%s" is unknown', coalesce(left(order_by, 100), 'null')),
    detail = 'Contexts are listed by the time of their creation, or of their last change.',
    hint = 'Pass created or updated.';
end
$$;
comment on function kata_data.check_order(text) is 'Refuses an order of contexts that is not created or updated. KC017.';
