-- The parts of an archive. The list is the format: one part per table, whose lines are its rows as JSON, with all columns that the source has.
-- A source is the table itself, or a view in archive_sources.sql where a row has a number that means something in this database only.
--
-- Not here is what the database derives: the index of artifacts, the index for searches, external ids by message. Embeddings are not here
-- either: a model makes them again. A test compares the list with the tables.

create or replace function kata_data.archive_parts()
returns setof kata_data.archive_part
language sql immutable rows 22
as $$
  values
    -- Contexts first, and what the rest refers to before the rest.
    (1, 'context', 'context', 'context_id', '{}'::text[], true),
    -- When a context is due, and which keys are left, changes without a change of its history.
    (2, 'head', 'head', 'context_id', '{}', false),
    (3, 'lineage', 'lineage', 'context_id', '{first_version}', true),
    (4, 'tool_list', 'archived_tool_list', 'context_id', '{digest}', true),
    (5, 'request_profile', 'archived_profile', 'context_id', '{digest}', true),
    (6, 'message', 'message', 'segment_id', '{version}', true),
    (7, 'token_count', 'token_count', 'segment_id', '{version,tokenizer}', true),
    (8, 'view_change', 'archived_change', 'segment_id', '{version}', true),
    (9, 'summary', 'summary', 'segment_id', '{version}', true),
    (10, 'record', 'record', 'segment_id', '{version}', true),
    (11, 'stub', 'archived_stub', 'context_id', '{change_version,version}', true),
    (12, 'amendment', 'archived_amendment', 'context_id', '{change_version}', true),
    (13, 'merge_origin', 'merge_origin', 'segment_id', '{version}', true),
    (14, 'checkpoint', 'checkpoint', 'context_id', '{version,name}', true),
    (15, 'act', 'act', 'context_id', '{number}', true),
    (16, 'compaction', 'compaction', 'context_id', '{started_at,compaction_id}', true),
    (17, 'compaction_guard', 'compaction_guard', 'context_id', '{}', false),
    (18, 'added_artifact', 'added_artifact', 'segment_id', '{version,kind,ref}', true),
    (19, 'purge', 'purge', 'context_id', '{purged_at,cause_id}', true),
    (20, 'erasure', 'erasure', 'segment_id', '{version}', true),
    (21, 'idempotency', 'archived_key', 'context_id', '{key}', false),
    (22, 'request', 'archived_request', 'context_id', '{request_id}', true)
$$;
comment on function kata_data.archive_parts() is
'The parts of an archive in their order.

part: the table, and the key of its lines. source: the relation whose rows they are. owner: its column with the context. keys: the other columns
by which the lines of a context ascend. is_compared: whether a row has to be as in the archive for the family to be equal.';

create or replace function kata_data.archive_columns(source text)
returns table (name text, type text, is_json boolean, is_nullable boolean)
language sql stable rows 20
as $$
  select a.attname::text, format_type(a.atttypid, null), a.atttypid = 'jsonb'::regtype, not a.attnotnull
  from pg_attribute a
  where a.attrelid = ('kata_data.' || quote_ident(source))::regclass
    and a.attnum > 0
    and not a.attisdropped
    and a.attidentity = ''
  order by a.attnum
$$;
comment on function kata_data.archive_columns(text) is
'The columns of a table or view of kata_data, except a number that the database gives itself.';

create or replace function kata_data.archive_names(source text) returns text[]
language sql stable
as $$
  select array_agg(c.name) from kata_data.archive_columns(source) c
$$;
comment on function kata_data.archive_names(text) is 'The names of the columns that a line of a source may have.';

create or replace function kata_data.archive_line(part text, source text) returns text
language sql stable
as $$
  -- A column that is null is left out: null in a line is the JSON value.
  select format('jsonb_build_object(%L, to_jsonb(t) %s - array_remove(array[%s]::text[], null))',
    part,
    (
      select string_agg(format('- %L::text', a.attname), ' ' order by a.attnum)
      from pg_attribute a
      where a.attrelid = ('kata_data.' || quote_ident(source))::regclass
        and a.attidentity <> ''),
    (
      select string_agg(format('case when t.%1$I is null then %1$L end', c.name), ', ')
      from kata_data.archive_columns(source) c
      where c.is_nullable))
$$;
comment on function kata_data.archive_line(text, text) is 'The expression that makes a line of an archive of a row t of a source.';

create or replace function kata_data.archive_key(source text, owner text, keys text[], value text default null) returns text
language sql stable
as $$
  -- In the order of bytes, whatever the locale of the database.
  select string_agg(
      case
        when value is null then format('t.%I', k.name)
        else format('(%s ->> %L)::%s', value, k.name, c.type)
      end || case when c.type = 'text' then ' collate "C"' else '' end, ', ' order by k.place)
  from unnest(owner || keys) with ordinality k(name, place)
  join kata_data.archive_columns(source) c on c.name = k.name
$$;
comment on function kata_data.archive_key(text, text, text[], text) is
'The key of a row t of a source, or of a JSON object with its columns, as a list of expressions.

value: the expression of the object; null for the row.';

create or replace function kata_data.family_contexts(family_id uuid) returns table (context_id uuid, depth integer)
language sql stable
as $$
  select c.context_id, c.depth
  from kata_data.context c
  where c.context_id = family_contexts.family_id
  union all
  select c.context_id, c.depth
  from kata_data.context c
  where c.family_id = family_contexts.family_id
    and c.parent_id is not null
$$;
comment on function kata_data.family_contexts(uuid) is 'The contexts of a family, and their depth.';
