-- Why a window shows what it shows, and leaves out the rest.
-- plans: reader

create or replace function kata.explain_window(
  context_id uuid,
  budget integer default null,
  at bigint default null,
  stable_step integer default 0,
  tokenizer text default null,
  recall bigint[] default null,
  recall_budget integer default null,
  reserve integer default 0,
  format text default null,
  max_rows integer default 100,
  after bigint default null
)
returns table (version bigint, role text, token_count integer, reason text, shown boolean, running_tokens bigint)
language plpgsql stable rows 100 security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record;
  v_view kata_data.view;
  v_hidden int8multirange;
begin
  v_context := kata_data.open_context(context_id, at);
  v_view := kata_data.view_of(context_id, v_context.at, v_context.view_version);
  v_hidden := kata_data.hidden(v_view);
  return query
  with shown as materialized (
    select w.version, w.token_count, w.reason, w.running_tokens
    from kata."window"(explain_window.context_id, budget, v_context.at, stable_step, tokenizer, recall, recall_budget, reserve, format) w
  )
  select m.version, m.role, coalesce(s.token_count, m.token_count),
    coalesce(s.reason, case
      when m.in_view then 'budget'
      when not v_hidden @> m.version then 'covered'
      when v_view.rewound @> m.version then 'rewound'
      else 'deleted'
    end),
    s.version is not null, s.running_tokens
  from kata.messages(context_id, explain_window.after, explain_window.max_rows, true, 'all', v_context.at) m
  left join shown s on s.version = m.version
  order by m.version desc;
end
$$;
comment on function kata.explain_window(uuid, integer, bigint, integer, text, bigint[], integer, integer, text, integer, bigint) is
'Lists the messages of a path, newest first, each with why a window has it or leaves it out.

context_id, budget, at, stable_step, tokenizer, recall, recall_budget, reserve, format: as kata.window.
max_rows: 1 to 1,000 rows.
after: the last version seen, to go on below it; null for the first page. Pages are exact under a fixed `at`.

Returns rows: version, role, token_count (as the window counts it; of rows that it does not show, in the context''s tokenizer), reason, shown,
running_tokens (null where not shown). Reasons of what is shown are those of kata.window. Of the others: budget (it is in the view and does
not fit), covered (a compaction took it), deleted, rewound.
In total a window leaves out view_tokens of kata.usage less its last running_tokens.
Errors: KC001, KC002, KC006, KC017. Cost: O(log n + rows of the window + max_rows).';
