-- The contract for other software: names, order, types and defaults of parameters and results, and the rights of a function.

begin;
select plan(416);

create function pg_temp.inputs(function oid) returns text
language sql
as $$
  select coalesce(string_agg(concat_ws(' = ', concat_ws(' ', quote_ident(a.name), format_type(a.type, null)),
    regexp_replace(
      pg_get_function_arg_default(function, a.ordinality::integer), '::[a-z0-9 ]+(\[\])?$', '')), ', ' order by a.ordinality), '')
  from pg_proc p
  cross join lateral unnest(
    p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[]),
    coalesce(p.proargmodes, array_fill('i'::"char", array[p.pronargs]))) with ordinality a(name, type, mode, ordinality)
  where p.oid = function
    and a.mode in ('i', 'b', 'v')
$$;
comment on function pg_temp.inputs(oid) is 'The parameters of a function with their types and defaults.';
create function pg_temp.output(function oid) returns text
language sql
as $$
  select concat_ws(' ', case when p.proretset then 'rows' end, coalesce(
    (select string_agg(concat_ws(' ', quote_ident(a.name), format_type(a.type, null)), ', ' order by a.ordinality)
     from unnest(p.proargnames, p.proallargtypes, p.proargmodes) with ordinality a(name, type, mode, ordinality)
     where a.mode in ('o', 'b', 't')),
    format_type(p.prorettype, null)))
  from pg_proc p
  where p.oid = function
$$;
comment on function pg_temp.output(oid) is 'The columns that a function returns, or its type.';

create temporary table expected (function text, volatility text, inputs text, output text);
insert into expected values
  ('abort_compaction', 'volatile',
    'compaction_id uuid, reason text = NULL',
    'void'),
  ('acts', 'stable',
    'context_id uuid, after bigint = NULL, max_rows integer = 100',
    'rows number bigint, kind text, acted_at timestamp with time zone, acted_by text, facts jsonb, content jsonb, digest bytea, '
      'frame text, content_digest bytea, salt bytea'),
  ('add_artifact', 'volatile',
    'context_id uuid, kind text, ref text, detail jsonb = NULL, version bigint = NULL',
    'void'),
  ('amend', 'volatile',
    'context_id uuid, version bigint, message jsonb, expected_version bigint = NULL, idempotency_key text = NULL',
    'bigint'),
  ('ancestry', 'stable',
    'context_id uuid',
    'rows context_id uuid, name text, fork_version bigint, depth integer, deleted_at timestamp with time zone, '
      'purged_at timestamp with time zone'),
  ('append', 'volatile',
    'context_id uuid, messages jsonb, expected_version bigint = NULL, idempotency_key text = NULL, on_duplicate text = ''error'', '
      'request_id bigint = NULL, usage jsonb = NULL',
    'rows version bigint, token_count integer, created_at timestamp with time zone, is_new boolean'),
  ('append_message', 'volatile',
    'context_id uuid, role text, content text, token_count integer = NULL, tool_call_id text = NULL, tool_name text = NULL, '
      'tool_calls jsonb = NULL, model text = NULL, metadata jsonb = NULL, pinned boolean = false, expected_version bigint = NULL, '
      'idempotency_key text = NULL, name text = NULL, parts jsonb = NULL, provider jsonb = NULL, token_source text = NULL, '
      'external_id text = NULL, occurred_at timestamp with time zone = NULL, request_id bigint = NULL, usage jsonb = NULL',
    'bigint'),
  ('append_record', 'volatile',
    'context_id uuid, kind text, data jsonb, external_id text = NULL, idempotency_key text = NULL, on_duplicate text = ''error''',
    'bigint'),
  ('archive_context', 'volatile',
    'context_id uuid',
    'void'),
  ('archive_inactive', 'volatile',
    'idle interval, dry_run boolean = false',
    'rows context_id uuid, name text, updated_at timestamp with time zone'),
  ('artifacts', 'stable',
    'context_id uuid, kind text = NULL, at bigint = NULL',
    'rows kind text, ref text, detail jsonb, first_version bigint, last_version bigint, mentions bigint'),
  ('assign_tenant', 'volatile',
    'role_name text, tenant text',
    'void'),
  ('begin_compaction', 'volatile',
    'context_id uuid, strategy text = NULL, claimed_by text = NULL, lease_seconds integer = 300, force boolean = false',
    'rows context_id uuid, compaction_id uuid, covered int8multirange, message_count bigint, source_tokens bigint, previous_summary text, '
      'lease_expires_at timestamp with time zone, needs_summary boolean, tokenizer text, summary_budget integer'),
  ('build_embedding_index', 'volatile',
    'model text, m integer = 16, ef_construction integer = 64, dry_run boolean = false, method text = ''hnsw''',
    'rows index text, bytes bigint, seconds double precision, recall_at_10 double precision, statement text'),
  ('check_heads', 'stable',
    'heads jsonb',
    'rows context_id uuid, version bigint, problem text, detail text'),
  ('export_family', 'stable',
    'context_id uuid, after text = NULL, max_rows integer = 1000',
    'rows line text'),
  ('import_family', 'volatile',
    'lines jsonb',
    'rows family_id uuid, is_new boolean, missing bigint'),
  ('heads', 'stable',
    'after uuid = NULL, max_rows integer = 1000',
    'rows context_id uuid, version bigint, digest bytea, last_digest bytea, acts bigint, act_digest bytea, requests bigint'),
  ('checkpoint', 'volatile',
    'context_id uuid, name text, at bigint = NULL, note text = NULL',
    'bigint'),
  ('checkpoints', 'stable',
    'context_id uuid',
    'rows name text, version bigint, note text, created_at timestamp with time zone'),
  ('claim_due_compaction', 'volatile',
    'claimed_by text, lease_seconds integer = 300, can_summarize boolean = true',
    'rows context_id uuid, compaction_id uuid, covered int8multirange, message_count bigint, source_tokens bigint, previous_summary text, '
      'lease_expires_at timestamp with time zone, needs_summary boolean, tokenizer text, summary_budget integer'),
  ('close_calls', 'volatile',
    'context_id uuid, call_ids text[] = NULL, reason text = ''cancelled''',
    'rows version bigint, token_count integer, created_at timestamp with time zone, is_new boolean'),
  ('commit_compaction', 'volatile',
    'compaction_id uuid, summary text, token_count integer = NULL, metadata jsonb = NULL',
    'rows summary_version bigint, covered int8multirange, message_count bigint, source_tokens bigint, result_tokens bigint'),
  ('common_ancestor', 'stable',
    'context_a uuid, context_b uuid',
    'rows segment_id uuid, version bigint'),
  ('compact', 'volatile',
    'context_id uuid, strategy text = ''digest'', force boolean = false',
    'rows summary_version bigint, covered int8multirange, message_count bigint, source_tokens bigint, result_tokens bigint'),
  ('compaction_artifacts', 'stable',
    'compaction_id uuid, max_rows integer = 200',
    'rows kind text, ref text, detail jsonb, first_version bigint, last_version bigint, mentions bigint'),
  ('compaction_source', 'stable',
    'compaction_id uuid',
    'rows version bigint, "position" bigint, role text, content text, token_count integer, token_source text, tool_call_id text, '
      'tool_name text, tool_calls jsonb, model text, metadata jsonb, pinned boolean, kind text, compacted_into bigint, '
      'group_version bigint, segment_id uuid, created_at timestamp with time zone, name text, parts jsonb, provider jsonb, '
      'in_view boolean, external_id text, occurred_at timestamp with time zone'),
  ('complete_request', 'volatile',
    'context_id uuid, request_id bigint, usage jsonb = NULL, error text = NULL',
    'void'),
  ('compaction_status', 'stable',
    'context_id uuid',
    'rows due boolean, reason text, view_tokens bigint, threshold_tokens bigint, budget integer, open_calls integer, in_progress boolean, '
      'failures integer, next_allowed_at timestamp with time zone, last_compacted_at timestamp with time zone, warning boolean'),
  ('compactions', 'stable',
    'context_id uuid',
    'rows compaction_id uuid, status text, strategy text, policy jsonb, covered int8multirange, summary_version bigint, '
      'merged_summaries bigint[], message_count bigint, source_tokens bigint, result_tokens bigint, claimed_by text, '
      'started_at timestamp with time zone, finished_at timestamp with time zone, error text'),
  ('create_context', 'volatile',
    'name text = NULL, policy jsonb = NULL, metadata jsonb = ''{}'', tokenizer text = ''o200k_base'', preset text = NULL, '
      'idempotency_key text = NULL',
    'uuid'),
  ('current_tenant', 'stable',
    '',
    'text'),
  ('delete_context', 'volatile',
    'context_id uuid',
    'void'),
  ('delete_messages', 'volatile',
    'context_id uuid, first_version bigint, last_version bigint = NULL',
    'bigint'),
  ('diff', 'stable',
    'context_a uuid, context_b uuid',
    'rows side text, version bigint, role text, kind text, preview text, token_count integer, created_at timestamp with time zone'),
  ('diff_requests', 'stable',
    'context_id uuid, a bigint, b bigint, context_b uuid = NULL',
    'rows change text, version bigint, role text, cause text, cause_version bigint, preview text, token_count integer'),
  ('diff_versions', 'stable',
    'context_id uuid, from_version bigint, to_version bigint',
    'rows change text, version bigint, role text, kind text, preview text, token_count integer'),
  ('drop_checkpoint', 'volatile',
    'context_id uuid, name text',
    'void'),
  ('drop_embedding_index', 'volatile',
    'model text',
    'boolean'),
  ('elide', 'volatile',
    'context_id uuid, first_version bigint, last_version bigint = NULL, keep_tokens integer = 100',
    'bigint'),
  ('embedding_models', 'stable',
    '',
    'rows name text, dimensions integer, embeddings bigint, bytes bigint, index_state text, tenant text'),
  ('entry_digests', 'stable',
    'context_id uuid, after bigint = NULL, max_rows integer = 100, at bigint = NULL',
    'rows version bigint, kind text, digest bytea, frame text, content_digest bytea, salt bytea, stub_salts bytea[]'),
  ('environment', 'stable',
    '',
    'text'),
  ('erase_message', 'volatile',
    'context_id uuid, version bigint, reason text',
    'rows segment_id uuid, version bigint, what text'),
  ('erasures', 'stable',
    'context_id uuid',
    'rows version bigint, reason text, erased_by text, erased_at timestamp with time zone'),
  ('explain_window', 'stable',
    'context_id uuid, budget integer = NULL, at bigint = NULL, stable_step integer = 0, tokenizer text = NULL, recall bigint[] = NULL, '
      'recall_budget integer = NULL, reserve integer = 0, format text = NULL, max_rows integer = 100, after bigint = NULL',
    'rows version bigint, role text, token_count integer, reason text, shown boolean, running_tokens bigint'),
  ('failing_compactions', 'stable',
    'max_rows integer = 100',
    'rows context_id uuid, tenant text, name text, failures integer, error text, attempted_at timestamp with time zone, '
      'next_attempt_at timestamp with time zone'),
  ('find_context', 'stable',
    'name text',
    'uuid'),
  ('find_message', 'stable',
    'context_id uuid, external_id text, at bigint = NULL',
    'bigint'),
  ('fork', 'volatile',
    'context_id uuid, at bigint = NULL, name text = NULL, policy jsonb = NULL, metadata jsonb = NULL, idempotency_key text = NULL',
    'uuid'),
  ('forks', 'stable',
    'context_id uuid',
    'rows context_id uuid, name text, fork_version bigint, version bigint, created_at timestamp with time zone, '
      'deleted_at timestamp with time zone'),
  ('get_context', 'stable',
    'context_id uuid',
    'rows context_id uuid, name text, tenant text, parent_id uuid, fork_version bigint, depth integer, version bigint, '
      'message_count bigint, raw_tokens bigint, view_tokens bigint, tokenizer text, open_calls text[], metadata jsonb, '
      'created_at timestamp with time zone, updated_at timestamp with time zone, archived_at timestamp with time zone, '
      'deleted_at timestamp with time zone'),
  ('get_message', 'stable',
    'context_id uuid, version bigint',
    'rows version bigint, "position" bigint, role text, content text, token_count integer, token_source text, tool_call_id text, '
      'tool_name text, tool_calls jsonb, model text, metadata jsonb, pinned boolean, kind text, compacted_into bigint, '
      'group_version bigint, segment_id uuid, created_at timestamp with time zone, name text, parts jsonb, provider jsonb, '
      'in_view boolean, external_id text, occurred_at timestamp with time zone'),
  ('get_tools', 'stable',
    'context_id uuid, at bigint = NULL',
    'rows tools json, version bigint, digest bytea, token_count integer'),
  ('set_tools', 'volatile',
    'context_id uuid, tools json, token_count integer = NULL, expected_version bigint = NULL',
    'bigint'),
  ('get_policy', 'stable',
    'context_id uuid',
    'jsonb'),
  ('get_or_create_context', 'volatile',
    'name text, policy jsonb = NULL, metadata jsonb = ''{}'', tokenizer text = ''o200k_base'', preset text = NULL, '
      'idempotency_key text = NULL',
    'rows context_id uuid, created boolean'),
  ('history', 'stable',
    'context_id uuid, before bigint = NULL, max_rows integer = 50',
    'rows version bigint, kind text, role text, preview text, token_count integer, view_tokens bigint, checkpoints text[], '
      'created_at timestamp with time zone, rewound_by bigint'),
  ('index_search', 'volatile',
    'context_id uuid, max_messages integer = NULL',
    'bigint'),
  ('key_result', 'stable',
    'context_id uuid, idempotency_key text',
    'rows function_name text, result jsonb, created_at timestamp with time zone, rewound_by bigint'),
  ('list_contexts', 'stable',
    'after uuid = NULL, max_rows integer = 50, include_deleted boolean = false, metadata jsonb = NULL, name_prefix text = NULL, '
      'order_by text = ''created'', roots_only boolean = false',
    'rows context_id uuid, name text, tenant text, parent_id uuid, fork_version bigint, depth integer, version bigint, '
      'message_count bigint, raw_tokens bigint, view_tokens bigint, tokenizer text, open_calls text[], metadata jsonb, '
      'created_at timestamp with time zone, updated_at timestamp with time zone, archived_at timestamp with time zone, '
      'deleted_at timestamp with time zone'),
  ('merge', 'volatile',
    'target uuid, source uuid, versions int8multirange = NULL, idempotency_key text = NULL',
    'rows version bigint, token_count integer, created_at timestamp with time zone, is_new boolean'),
  ('messages', 'stable',
    'context_id uuid, after bigint = NULL, max_rows integer = 100, descending boolean = false, visibility text = ''effective'', '
      'at bigint = NULL',
    'rows version bigint, "position" bigint, role text, content text, token_count integer, token_source text, tool_call_id text, '
      'tool_name text, tool_calls jsonb, model text, metadata jsonb, pinned boolean, kind text, compacted_into bigint, '
      'group_version bigint, segment_id uuid, created_at timestamp with time zone, name text, parts jsonb, provider jsonb, '
      'in_view boolean, external_id text, occurred_at timestamp with time zone'),
  ('pending_embeddings', 'stable',
    'model text, max_rows integer = 100, after_context uuid = NULL, after_version bigint = NULL',
    'rows context_id uuid, version bigint, content text, digest text, tenant text'),
  ('pending_search', 'stable',
    'max_rows integer = 100',
    'rows context_id uuid, messages bigint, tenant text'),
  ('pin', 'volatile',
    'context_id uuid, version bigint',
    'bigint'),
  ('policy_presets', 'stable',
    '',
    'rows name text, description text, policy jsonb'),
  ('prewarm', 'stable',
    'context_id uuid = NULL',
    'rows relation text, bytes bigint'),
  ('prompt', 'stable',
    'context_id uuid, budget integer = NULL, format text = ''openai'', at bigint = NULL, stable_step integer = 0, '
      'tokenizer text = NULL, recall bigint[] = NULL, recall_budget integer = NULL, reserve integer = 0, '
      'system text = ''wrapped'', thinking text = NULL, renderer integer = NULL',
    'jsonb'),
  ('purge_context', 'volatile',
    'context_id uuid, dry_run boolean = false',
    'rows removed bigint, kept bigint'),
  ('purge_deleted', 'volatile',
    'older_than interval, dry_run boolean = false',
    'rows context_id uuid, removed bigint, kept bigint'),
  ('purges', 'stable',
    'context_id uuid',
    'rows purged_at timestamp with time zone, purged_by text, cause_id uuid, removed bigint, kept bigint'),
  ('put_embeddings', 'volatile',
    'context_id uuid, model text, versions bigint[], embeddings real[], digests text[] = NULL',
    'integer'),
  ('put_token_counts', 'volatile',
    'context_id uuid, tokenizer text, versions bigint[], counts integer[]',
    'integer'),
  ('recall', 'stable',
    'context_id uuid, query text = NULL, embedding real[] = NULL, model text = NULL, max_rows integer = 10, at bigint = NULL, '
      'max_tokens integer = NULL',
    'rows version bigint, role text, content text, token_count integer, score double precision, text_rank bigint, vector_rank bigint, '
      'compacted_into bigint, name text, created_at timestamp with time zone, group_version bigint, kind text, preview text'),
  ('records', 'stable',
    'context_id uuid, kind text = NULL, after bigint = NULL, max_rows integer = 100, at bigint = NULL',
    'rows version bigint, kind text, data jsonb, external_id text, created_at timestamp with time zone'),
  ('register_tokenizer', 'volatile',
    'name text, bytes_per_token numeric, margin numeric = 0.15',
    'void'),
  ('renew_compaction', 'volatile',
    'compaction_id uuid, lease_seconds integer = 300',
    'timestamp with time zone'),
  ('replay', 'stable',
    'context_id uuid, request_id bigint',
    'rows body text, body_digest bytea, is_same boolean'),
  ('request', 'volatile',
    'context_id uuid, budget integer = NULL, format text = NULL, model text = NULL, tools json = NULL, options json = NULL, '
      'cache text = NULL, stable_step integer = NULL, tokenizer text = NULL, at bigint = NULL, recall bigint[] = NULL, '
      'recall_budget integer = NULL, reserve integer = 0, system text = NULL, thinking text = NULL',
    'rows request_id bigint, body text, token_count integer, start_version bigint, marks integer[], notes jsonb, '
      'body_digest bytea'),
  ('request_rows', 'stable',
    'context_id uuid, request_id bigint',
    'rows ordinal integer, version bigint, "position" bigint, role text, content text, reason text, display text, tool_call_id text, '
      'tool_name text, tool_calls jsonb, model text, metadata jsonb, created_at timestamp with time zone, kind text, name text, '
      'parts jsonb, provider jsonb, group_version bigint'),
  ('requests', 'stable',
    'context_id uuid, before bigint = NULL, max_rows integer = 50, showing bigint = NULL',
    'rows request_id bigint, at bigint, created_at timestamp with time zone, format text, model text, budget integer, '
      'token_count integer, message_count integer, start_version bigint, answer_version bigint, input_tokens integer, '
      'cached_tokens integer, written_tokens integer, output_tokens integer, duration_ms integer, error text'),
  ('resolve_context', 'stable',
    'selector text, include_deleted boolean = false',
    'uuid'),
  ('resolve_version', 'stable',
    'context_id uuid, selector text',
    'bigint'),
  ('restore_context', 'volatile',
    'context_id uuid',
    'void'),
  ('rewind', 'volatile',
    'context_id uuid, to_version bigint, expected_version bigint = NULL, idempotency_key text = NULL',
    'bigint'),
  ('search', 'stable',
    'context_id uuid, query text, max_rows integer = 20, at bigint = NULL',
    'rows version bigint, role text, rank double precision, headline text, token_count integer, compacted_into bigint, name text, '
      'created_at timestamp with time zone'),
  ('set_environment', 'volatile',
    'label text, current_label text = NULL',
    'void'),
  ('set_policy', 'volatile',
    'context_id uuid, policy jsonb',
    'jsonb'),
  ('state_at', 'stable',
    'context_id uuid, at bigint = NULL, visibility text = ''effective'', after bigint = NULL, max_rows integer = NULL',
    'rows version bigint, "position" bigint, role text, content text, token_count integer, token_source text, tool_call_id text, '
      'tool_name text, tool_calls jsonb, model text, metadata jsonb, pinned boolean, kind text, compacted_into bigint, '
      'group_version bigint, segment_id uuid, created_at timestamp with time zone, name text, parts jsonb, provider jsonb, '
      'in_view boolean, external_id text, occurred_at timestamp with time zone'),
  ('stats', 'stable',
    '',
    'jsonb'),
  ('tokenizers', 'stable',
    '',
    'rows name text, bytes_per_token numeric, margin numeric'),
  ('tree', 'stable',
    'context_id uuid',
    'rows context_id uuid, parent_id uuid, name text, fork_version bigint, depth integer, version bigint, view_tokens bigint, '
      'updated_at timestamp with time zone, archived_at timestamp with time zone, deleted_at timestamp with time zone, '
      'purged_at timestamp with time zone'),
  ('unarchive_context', 'volatile',
    'context_id uuid',
    'void'),
  ('undo', 'volatile',
    'context_id uuid, version bigint',
    'bigint'),
  ('unpin', 'volatile',
    'context_id uuid, version bigint',
    'bigint'),
  ('update_context', 'volatile',
    'context_id uuid, name text = NULL, metadata jsonb = NULL, merge boolean = false',
    'void'),
  ('usage', 'stable',
    'context_id uuid, at bigint = NULL',
    'rows version bigint, message_count bigint, raw_tokens bigint, view_tokens bigint, tools_tokens integer'),
  ('verify', 'stable',
    'context_id uuid = NULL, after uuid = NULL, max_contexts integer = NULL',
    'rows context_id uuid, version bigint, problem text, detail text'),
  ('version', 'immutable',
    '',
    'text'),
  ('window', 'stable',
    'context_id uuid, budget integer = NULL, at bigint = NULL, stable_step integer = 0, tokenizer text = NULL, recall bigint[] = NULL, '
      'recall_budget integer = NULL, reserve integer = 0, format text = NULL',
    'rows ordinal integer, version bigint, "position" bigint, role text, content text, token_count integer, running_tokens bigint, '
      'reason text, over_budget boolean, tool_call_id text, tool_name text, tool_calls jsonb, model text, metadata jsonb, '
      'created_at timestamp with time zone, kind text, name text, parts jsonb, provider jsonb, group_version bigint');

select set_eq(
  $$select p.proname::text from pg_proc p where p.pronamespace = 'kata'::regnamespace$$, 'select function from expected',
  'the public functions are these');
select is(pg_temp.inputs(p.oid), e.inputs, 'its parameters stay: ' || e.function)
from expected e left join pg_proc p on p.pronamespace = 'kata'::regnamespace and p.proname = e.function
order by e.function;
select is(pg_temp.output(p.oid), e.output, 'its result stays: ' || e.function)
from expected e left join pg_proc p on p.pronamespace = 'kata'::regnamespace and p.proname = e.function
order by e.function;
select is(
  case p.provolatile when 'v' then 'volatile' when 's' then 'stable' else 'immutable' end, e.volatility,
  format('it is %s: %s', e.volatility, e.function))
from expected e left join pg_proc p on p.pronamespace = 'kata'::regnamespace and p.proname = e.function
order by e.function;

select is_empty(
  $$select p.pronamespace::regnamespace, p.proname
    from pg_proc p
    where p.pronamespace in ('kata'::regnamespace, 'kata_data'::regnamespace)
    group by 1, 2 having count(*) > 1$$,
  'one name is one signature');
select is_empty(
  $$select p.proname
    from pg_proc p
    join pg_type t on t.oid = p.prorettype
    where p.pronamespace = 'kata'::regnamespace and t.typtype = 'c'$$,
  'no public function returns a composite type');
select is_empty(
  $$select p.proname
    from pg_proc p
    cross
    join lateral unnest(p.proargtypes) a(type)
    join pg_type t on t.oid = a.type
    where p.pronamespace = 'kata'::regnamespace and t.typnamespace <> 'pg_catalog'::regnamespace$$,
  'public parameters are of types that every client can pass');
select is_empty(
  $$select c.relname from pg_class c where c.relnamespace = 'kata'::regnamespace and c.relkind <> 'v'$$,
  'the public schema has functions and views only');

select ok(obj_description(p.oid, 'pg_proc') is not null, 'it has a comment: ' || p.proname)
from pg_proc p where p.pronamespace = 'kata'::regnamespace order by p.proname;
select is_empty(
  $$select p.proname, a.name
    from pg_proc p
    cross join lateral unnest(p.proargnames, coalesce(p.proargmodes, array_fill('i'::"char", array[p.pronargs]))) a(name, mode)
    where p.pronamespace = 'kata'::regnamespace
      and a.mode in ('i', 'b', 'v') and obj_description(p.oid, 'pg_proc') !~ ('\m' || a.name || '\M')$$,
  'the comment of a public function names every parameter');
select is_empty(
  $$select p.proname, a.name
    from pg_proc p
    cross join lateral unnest(p.proargnames, p.proargmodes) a(name, mode)
    where p.pronamespace = 'kata'::regnamespace
      and a.mode in ('o', 'b', 't') and obj_description(p.oid, 'pg_proc') !~ ('\m' || a.name || '\M')
      and obj_description(p.oid, 'pg_proc') !~ '\mas (append|get_context|get_message)\M'$$,
  'and every column of its result, or the function that returns the same');
select is_empty(
  $$select p.proname
    from pg_proc p
    where p.pronamespace = 'kata'::regnamespace and p.pronargs > 0 and obj_description(p.oid, 'pg_proc') !~ 'Cost: '$$,
  'and what it costs');
select is_empty(
  $$select p.proname from pg_proc p
    where p.pronamespace = 'kata'::regnamespace
      and pg_temp.inputs(p.oid) ~ '\mcontext_id uuid\M' and obj_description(p.oid, 'pg_proc') !~ 'Errors:.*KC001'$$,
  'and that it may not find its context');
select is_empty(
  $$select p.proname from pg_proc p where p.pronamespace = 'kata_data'::regnamespace and obj_description(p.oid, 'pg_proc') is null$$,
  'every internal function has a comment, too');
select is_empty(
  $$select c.relname
    from pg_class c
    where c.relnamespace = 'kata_data'::regnamespace and c.relkind in ('r', 'v') and obj_description(c.oid, 'pg_class') is null$$,
  'so has every table and view');

-- Bodies return these types by `select r.*`: a column in another place would be another value under the same name.
select is_empty(
  $$select r.function, r.type
    from (values
      ('get_message', 'message_row'), ('messages', 'message_row'), ('state_at', 'message_row'), ('compaction_source', 'message_row'),
      ('window', 'window_row'), ('begin_compaction', 'lease'), ('claim_due_compaction', 'lease')
    ) r(function, type)
    where (
        select array_agg((a.attname::text, a.atttypid) order by a.attnum)
        from pg_attribute a
        where a.attrelid = format('kata_data.%I', r.type)::regclass and a.attnum > 0 and not a.attisdropped)
      is distinct from (
        select array_agg((x.name, x.type) order by x.place)
        from pg_proc p
        cross join lateral unnest(p.proargnames, p.proargmodes, p.proallargtypes) with ordinality x(name, mode, type, place)
        where p.pronamespace = 'kata'::regnamespace and p.proname = r.function and x.mode in ('b', 'o', 't'))$$,
  'a function that returns rows of an internal type has the columns of that type');

select * from finish();
rollback;
