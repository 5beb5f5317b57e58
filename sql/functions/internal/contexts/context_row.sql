-- A context as get_context and list_contexts show it.

create or replace view kata_data.context_row as
select
  c.context_id, c.name, c.tenant, c.parent_id, c.fork_version, c.depth,
  h.version, h.message_count, h.raw_tokens, h.view_tokens, c.tokenizer,
  array(select o.key from jsonb_each_text(h.open_calls) o order by o.value::bigint, o.key collate "C") as open_calls,
  c.metadata, c.created_at, greatest(c.updated_at, h.last_at) as updated_at, c.archived_at, c.deleted_at
from kata_data.context c
cross join lateral (
  select n.*
  from kata_data.head n
  where n.context_id >= c.context_id and n.context_id <= c.context_id
  order by n.context_id desc
  limit 1) h;
comment on view kata_data.context_row is 'A context as get_context and list_contexts show it.';
